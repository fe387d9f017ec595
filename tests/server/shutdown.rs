//! Shutdown: every stream ends with what is committed, health says so, and `serve` returns.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{
    FOREVER, PATIENCE, Server, Training, create_homework, fact, listen, next, refused, train,
    under_way,
};

#[tokio::test]
async fn a_shutdown_ends_runs_with_their_steps_and_returns() {
    let server = Server::with(|config| {
        config.threads = 1;
        config.quantum_ms = 60_000;
        config.drain_seconds = 1;
    })
    .await;
    let mut silent = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let mut health = HealthClient::new(server.channel().await);
    let request = HealthCheckRequest {
        service: "backprop.v1.TrainingService".into(),
    };
    let mut health = health.watch(request).await.expect("known").into_inner();
    let status = next(&mut health)
        .await
        .expect("a stream")
        .expect("a status");
    assert_eq!(status.status(), ServingStatus::Serving);

    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    let waiting = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    // The one thread is taken: this one has begun and computes nothing yet.
    let second = client.train_batch(train(&waiting, FOREVER)).await;
    let served = server.shut_down();

    let told = listen(started, stream).await;
    let details = refused(told.error(), Code::Unavailable, "SHUTDOWN");
    let retry = details.retry_info().expect("RetryInfo");
    assert!(retry.retry_delay.is_some());
    let last = told.steps.last().expect("steps").step;
    assert_eq!(fact(told.error(), "step"), last.to_string());
    assert_eq!(fact(told.error(), "steps_done"), last.to_string());

    let mut second = second.expect("a good request").into_inner();
    let started = crate::fixture::begin(&mut second).await;
    let told = listen(started, second).await;
    refused(told.error(), Code::Unavailable, "SHUTDOWN");

    let status = next(&mut health)
        .await
        .expect("a stream")
        .expect("a status");
    assert_eq!(status.status(), ServingStatus::NotServing);
    // The watch of health and the silent socket stay open, and `serve` returns all the same.
    let served = tokio::time::timeout(PATIENCE, served).await;
    served
        .expect("serve returns")
        .expect("no panic")
        .expect("served");
    // The server's own preface may lie there; after it the silent socket is closed, or was cut off.
    let mut said = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut said));
    let _ = closed.await.expect("the silent socket is closed");
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_takes_no_more_connections() {
    let server = Server::with(|config| config.drain_seconds = 3600).await;
    let address = server.address;
    let mut client = server.training().await;
    create_homework(&mut client).await;
    let _silent = TcpStream::connect(address).await.expect("it listens");
    let served = server.shut_down();
    let served = tokio::time::timeout(PATIENCE, served).await;
    served
        .expect("serve returns")
        .expect("no panic")
        .expect("served");
    assert!(TcpStream::connect(address).await.is_err());
}

/// The program, serving on a free port, with these arguments and a pipe as its standard input.
async fn program(arguments: &[&str]) -> (Child, Training) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_backpropd"))
        .args(["serve", "--ephemeral", "--port", "0", "--log", "error"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("text").expect("a line");
    let (_, address) = line.rsplit_once(' ').expect("it says where");
    let client = Training::connect(format!("http://{address}")).await;
    (child, client.expect("it listens"))
}

#[tokio::test]
async fn the_end_of_the_standard_input_stops_the_program_in_order() {
    let (mut child, mut client) = program(&["--until-stdin-ends"]).await;
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"ignored\n").await.expect("it reads");
    let model = create_homework(&mut client).await;
    let (started, stream) = under_way(&mut client, train(&model, FOREVER)).await;
    drop(stdin);
    let told = listen(started, stream).await;
    refused(told.error(), Code::Unavailable, "SHUTDOWN");
    let status = tokio::time::timeout(PATIENCE, child.wait()).await;
    let status = status.expect("it ends").expect("a status");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn without_being_asked_the_program_outlives_its_standard_input() {
    let (mut child, mut client) = program(&[]).await;
    drop(child.stdin.take());
    for _ in 0..100 {
        create_homework(&mut client).await;
    }
    assert_eq!(child.try_wait().expect("a status"), None);
}
