//! A network that fails between the server's answer and its client: a retry with the same id trains once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backpropd::rpc::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{self, Training, create, homework, train};
use crate::process::{Process, Setting};
use crate::random::Random;

const CLIENTS: u64 = 8;
const REQUESTS: i64 = 40;
const KILLS: usize = 5;

/// A connection that is cut at the wrong moment can leave the client's library waiting with no connection at all (about
/// once in 35,000 calls, seen with the server idle and every socket closed); whoever retries has a deadline for that.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// More calls without an answer than that are the server's doing.
const MOST_UNANSWERED: u32 = 2;

/// Passes everything on to the server, and of its answers so many bytes; then it hangs up.
async fn pass_on(client: TcpStream, server: String, mut bytes: usize) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let down = async {
        let mut buffer = [0; 4096];
        while let Ok(read) = from_server.read(&mut buffer).await {
            let passed = read.min(bytes);
            bytes -= passed;
            if read == 0 || to_client.write_all(&buffer[..passed]).await.is_err() || bytes == 0 {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// A proxy to whatever address `upstream` holds.
async fn proxy(upstream: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let mut random = Random(4);
        while let Ok((client, _)) = listener.accept().await {
            let server = upstream.lock().expect("unpoisoned").clone();
            // A call's answers are some hundred bytes: within the first, or after a few.
            let bytes = 1 + random.below(2_000) as usize;
            tokio::spawn(pass_on(client, server, bytes));
        }
    });
    address
}

/// Trains one step under this id, however often it takes; returns how often it took, and how often nobody answered.
async fn train_once(proxy: &str, model: &pb::Model, id: i64) -> (u32, u32) {
    let request = pb::TrainBatchRequest {
        request_id: format!("step {id}"),
        ..train(model, 1)
    };
    let mut unanswered = 0;
    for tries in 1.. {
        match tokio::time::timeout(ANSWERED_WITHIN, try_to_train(proxy, request.clone())).await {
            Ok(Some(())) => return (tries, unanswered),
            Ok(None) => {}
            Err(_) => unanswered += 1,
        }
    }
    unreachable!("tried for ever")
}

async fn try_to_train(proxy: &str, request: pb::TrainBatchRequest) -> Option<()> {
    let mut client = Training::connect(format!("http://{proxy}")).await.ok()?;
    let mut stream = client.train_batch(request).await.ok()?.into_inner();
    loop {
        let message = stream.message().await.ok()??;
        if let Some(pb::train_batch_response::Event::Completed(_)) = message.event {
            return Some(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_trains_once_however_the_connection_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), &Setting::default())
        .await
        .expect("it starts");
    let upstream = Arc::new(Mutex::new(process.address.clone()));
    let proxy = proxy(Arc::clone(&upstream)).await;
    let mut models = Vec::new();
    for seed in 0..CLIENTS {
        models.push(create(&mut process.client().await, homework(), seed as i64).await);
    }
    let (done, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for model in models.clone() {
        let (proxy, done) = (proxy.clone(), done.clone());
        tokio::spawn(async move {
            for id in 0..REQUESTS {
                let _ = done.send(train_once(&proxy, &model, id).await);
            }
        });
    }
    drop(done);
    let all = CLIENTS as usize * REQUESTS as usize;
    let (mut answered, mut tries, mut silent) = (0, 0, 0);
    while let Some((more, unanswered)) = heard.recv().await {
        tries += more;
        silent += unanswered;
        answered += 1;
        if answered % (all / (KILLS + 1)) == 0 && answered < all {
            process.child.kill().await.expect("it is killed");
            process = Process::start(folder.path(), &Setting::default())
                .await
                .expect("it starts");
            *upstream.lock().expect("unpoisoned") = process.address.clone();
        }
    }
    assert_eq!(answered, all);
    assert!(
        silent <= MOST_UNANSWERED,
        "{silent} calls without an answer"
    );
    let mut client = process.client().await;
    for model in &models {
        assert_eq!(
            fixture::now(&mut client, model).await.step,
            REQUESTS,
            "{}",
            model.name
        );
    }
    println!("{all} distinct requests sent {tries} times, {KILLS} kills: each trained once");
}
