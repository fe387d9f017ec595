//! kill -9 at any moment: what was acknowledged is there, nothing is half there, a repeated request trains once.
//!
//! Eight clients create, train, replace and delete forty models on a server that is killed and started again, round
//! after round. A second server, which is never killed, is told every request once: the two must agree on every step and
//! every bit of the weights. More rounds than the suite's few:
//!
//! `CRASH_ROUNDS=200 cargo test --release --test crash -- --nocapture`

#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../server/fixture.rs"]
mod fixture;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use backpropd::service::pb::{self, train_batch_response::Event};
use fixture::{Server, Training, homework, homework_parameters, next, train};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tonic::{Code, Status};

const CLIENTS: usize = 8;
const MODELS_PER_CLIENT: usize = 5;
const SESSION: &str = "sessions/crash";

/// A model's step and the digest of its weights; `None` where there is no model.
type Seen = Option<(i64, String)>;

/// What a client asks of one of its models.
#[derive(Clone, Debug)]
enum Request {
    Create { seed: i64 },
    Train { steps: i32 },
    Replace,
    Delete,
}

/// A model, as its client knows it.
struct Slot {
    name: String,
    /// How many requests it has been sent; numbers their ids.
    sent: u64,
    seen: Seen,
    /// Sent, and not answered when the server died.
    pending: Option<Request>,
}

impl Slot {
    /// Sends a request under this slot's current id.
    async fn send(&self, client: &mut Training, request: &Request) -> Result<Seen, Status> {
        let id = format!("request-{}", self.sent);
        match request {
            Request::Create { seed } => {
                let adam = pb::model_spec::Optimizer::Adam(pb::Adam::default());
                let request = pb::CreateModelRequest {
                    session: SESSION.to_owned(),
                    model_id: self.name.clone(),
                    spec: Some(pb::ModelSpec {
                        optimizer: Some(adam),
                        ..homework()
                    }),
                    seed: *seed,
                    request_id: format!("{}-{id}", self.name),
                    ..Default::default()
                };
                let made = client.create_model(request).await?.into_inner().model;
                Ok(made.map(|model| (model.step, model.weights_digest)))
            }
            Request::Train { steps } => {
                let model = pb::Model {
                    name: self.full_name(),
                    ..Default::default()
                };
                let request = pb::TrainBatchRequest {
                    request_id: id,
                    ..train(&model, *steps)
                };
                let mut stream = client.train_batch(request).await?.into_inner();
                while let Some(reply) = next(&mut stream).await? {
                    if let Some(Event::Completed(end)) = reply.event {
                        assert_eq!(end.steps_done, i64::from(*steps), "{}", self.name);
                        return Ok(Some((end.step, end.weights_digest)));
                    }
                }
                Err(Status::unavailable(
                    "the stream ended without its Completed",
                ))
            }
            Request::Replace => {
                let request = pb::SetParametersRequest {
                    model: self.full_name(),
                    parameters: homework_parameters(),
                    request_id: id,
                    ..Default::default()
                };
                let reply = client.set_parameters(request).await?.into_inner();
                Ok(Some((reply.step, reply.weights_digest)))
            }
            Request::Delete => {
                let name = self.full_name();
                match client.delete_model(pb::DeleteModelRequest { name }).await {
                    // The one that was not answered has done it.
                    Err(status) if status.code() == Code::NotFound && self.pending.is_some() => {
                        Ok(None)
                    }
                    deleted => deleted.map(|_| None),
                }
            }
        }
    }

    /// What a server says of the model.
    async fn look(&self, client: &mut Training) -> Seen {
        match fixture::get(client, &self.full_name()).await {
            Ok(model) => Some((model.step, model.weights_digest)),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{}: {status}", self.name),
        }
    }

    fn full_name(&self) -> String {
        format!("{SESSION}/models/{}", self.name)
    }

    fn choose(&self, random: &mut Random) -> Request {
        if self.seen.is_none() {
            return Request::Create {
                seed: random.below(1 << 20) as i64,
            };
        }
        match random.below(20) {
            0 => Request::Delete,
            1 | 2 => Request::Replace,
            3..8 => Request::Train {
                steps: 1 + random.below(400) as i32,
            },
            _ => Request::Train { steps: 1 },
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same seed, the same rounds.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }
}

/// The program itself, on a folder.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    async fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_backpropd"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error"])
            .arg("--data-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("text").expect("a line");
        let (_, address) = line.rsplit_once(' ').expect("it says where");
        Self {
            address: address.to_owned(),
            child,
        }
    }

    async fn client(&self) -> Training {
        let url = format!("http://{}", self.address);
        Training::connect(url).await.expect("it listens")
    }
}

/// One client's round: its requests go to `real` until that dies, and to `shadow` once each.
async fn work(
    mut slots: Vec<Slot>,
    mut real: Training,
    mut shadow: Training,
    mut random: Random,
    acknowledged: mpsc::UnboundedSender<()>,
) -> Vec<Slot> {
    loop {
        let at = random.below(slots.len() as u64) as usize;
        let slot = &mut slots[at];
        let request = slot.choose(&mut random);
        slot.sent += 1;
        match slot.send(&mut real, &request).await {
            Ok(seen) => {
                let expected = slot.send(&mut shadow, &request).await;
                let expected = expected.expect("nobody kills this one");
                assert_eq!(seen, expected, "{} {request:?}", slot.name);
                slot.seen = seen;
                let _ = acknowledged.send(());
            }
            Err(status) => {
                let dead = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                assert!(dead.contains(&status.code()), "{}: {status}", slot.name);
                slot.pending = Some(request);
                return slots;
            }
        }
    }
}

/// After a restart: every model is as it was acknowledged, or as the unanswered request leaves it; sent again, that
/// request has been done once.
async fn check(slots: &mut [Slot], real: &mut Training, shadow: &mut Training) {
    for slot in slots {
        let found = slot.look(real).await;
        let Some(request) = slot.pending.clone() else {
            assert_eq!(
                found, slot.seen,
                "{}: an acknowledged request is lost",
                slot.name
            );
            continue;
        };
        let after = slot.send(shadow, &request).await.expect("it lives");
        assert!(
            found == slot.seen || found == after,
            "{} {request:?}: half done, {found:?}",
            slot.name
        );
        let again = slot.send(real, &request).await.expect("it lives");
        assert_eq!(again, after, "{} {request:?}: not done once", slot.name);
        slot.seen = after;
        slot.pending = None;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kill_9() {
    let rounds = std::env::var("CRASH_ROUNDS");
    let rounds: u64 = rounds.map_or(8, |rounds| rounds.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let shadow = Server::start().await;
    let create = pb::CreateSessionRequest {
        session_id: "crash".to_owned(),
        request_id: "crash".to_owned(),
        ..Default::default()
    };
    let mut sessions = shadow.sessions().await;
    sessions.create_session(create.clone()).await.expect("made");

    let mut random = Random(20);
    let mut clients: Vec<Vec<Slot>> = (0..CLIENTS)
        .map(|client| {
            let slot = |at| Slot {
                name: format!("c{client}-{at}"),
                sent: 0,
                seen: None,
                pending: None,
            };
            (0..MODELS_PER_CLIENT).map(slot).collect()
        })
        .collect();
    let (mut all, mut unanswered, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..rounds {
        let began = Instant::now();
        let mut process = Process::start(folder.path()).await;
        let mut real = process.client().await;
        slowest = slowest.max(began.elapsed());
        let url = format!("http://{}", process.address);
        let connected = pb::session_service_client::SessionServiceClient::connect(url).await;
        let mut sessions = connected.expect("it listens");
        let made = sessions.create_session(create.clone()).await;
        made.expect("made, or made before");

        let mut calm = shadow.training().await;
        for slots in &mut clients {
            unanswered += slots.iter().filter(|slot| slot.pending.is_some()).count();
            check(slots, &mut real, &mut calm).await;
        }
        let (acknowledged, mut heard) = mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for (at, slots) in clients.drain(..).enumerate() {
            let (real, calm) = (process.client().await, shadow.training().await);
            let random = Random(round * CLIENTS as u64 + at as u64);
            let work = work(slots, real, calm, random, acknowledged.clone());
            tasks.push(tokio::spawn(work));
        }
        // The moment: after so many answers, in the middle of whatever the others are doing.
        for _ in 0..20 + random.below(200) {
            heard.recv().await.expect("somebody is at work");
            all += 1;
        }
        process.child.kill().await.expect("it is killed");
        for task in tasks {
            clients.push(task.await.expect("no client found a fault"));
        }
        heard.close();
        while heard.recv().await.is_some() {
            all += 1;
        }
    }
    println!(
        "{rounds} kills, {all} acknowledged requests, {unanswered} unanswered, slowest start {slowest:?}: none lost, \
         none half done, none done twice"
    );
}
