//! kill -9 at any moment: what was acknowledged is there, nothing is half there, a repeated request trains once.
//!
//! Eight clients create, train, replace and delete forty models on a server that is killed and started again, round
//! after round. A second server, which is never killed, is told every request once: the two must agree on every step and
//! every bit of the weights. More rounds than the suite's few:
//!
//! `CRASH_ROUNDS=200 cargo test --release --test crash -- --nocapture`
//!
//! With `--features failpoints` the process also ends by itself at any step of a commit or of a start, and its disk fails
//! or is full for a while; a refused request is sent again until it is taken.

mod cut_connections;
#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../server/fixture.rs"]
mod fixture;
mod full_disk;
mod process;

use std::time::{Duration, Instant};

use backpropd::service::pb::{self, train_batch_response::Event};
use fixture::{
    Server, Training, homework_parameters, homework_with_adam, next, numbers, train, wide,
};
use process::Process;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

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
    /// Whether it is large, so that what is kept of a run is the run.
    is_wide: bool,
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
                let request = pb::CreateModelRequest {
                    session: SESSION.to_owned(),
                    model_id: self.name.clone(),
                    spec: Some(if self.is_wide {
                        wide()
                    } else {
                        homework_with_adam()
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
                    parameters: if self.is_wide {
                        wide_parameters()
                    } else {
                        homework_parameters()
                    },
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

/// Parameters of the large models, scaled so that training them converges.
fn wide_parameters() -> Vec<pb::LayerParameters> {
    let tensor = |shape: &[i32], scale: f64| {
        let count = shape.iter().product::<i32>() as usize;
        let values = numbers(count, 1).into_iter().map(|number| number * scale);
        pb::Tensor {
            shape: shape.to_vec(),
            values: values.collect(),
            ..Default::default()
        }
    };
    let layer = |(units, fan_in): (i32, i32)| pb::LayerParameters {
        weights: Some(tensor(&[units, fan_in], 2.0 / f64::from(fan_in).sqrt())),
        bias: Some(tensor(&[units], 1.0)),
    };
    [(128, 4), (128, 128), (1, 128)].map(layer).to_vec()
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

/// What goes wrong in a round besides the kill, as FAILPOINTS says it; nothing in a normal build.
fn fault(random: &mut Random) -> String {
    const STEPS: [&str; 6] = [
        "create",
        "write",
        "sync_file",
        "sync_folder",
        "rename",
        "remove_file",
    ];
    let step = STEPS[random.below(STEPS.len() as u64) as usize];
    let after = random.below(200);
    match random.below(5) {
        0 => String::new(),
        1 => format!("disk.{step}=5%return"),
        2 => format!("disk.write={after}*off->40*return(full)->off"),
        3 => format!("disk.{step}=1*return(abort)"),
        _ => format!("disk.{step}={after}*off->return(abort)"),
    }
}

/// What a client has heard of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Refused,
}

/// Whether the server lives and says that its disk does not.
fn is_refused(status: &Status) -> bool {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    matches!(reason.as_deref(), Some("NOT_STORED" | "DISK_FULL"))
}

/// One client's round: its requests go to `real` until that dies, and to `shadow` once each.
async fn work(
    mut slots: Vec<Slot>,
    mut real: Training,
    mut shadow: Training,
    mut random: Random,
    heard: mpsc::UnboundedSender<Answer>,
) -> Vec<Slot> {
    loop {
        let at = random.below(slots.len() as u64) as usize;
        let slot = &mut slots[at];
        let request = slot.choose(&mut random);
        slot.sent += 1;
        let answer = loop {
            match slot.send(&mut real, &request).await {
                // Sent again until it is taken; what it has done then, it has done once.
                Err(status) if is_refused(&status) => {
                    slot.pending = Some(request.clone());
                    let _ = heard.send(Answer::Refused);
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(seen) => {
                let expected = slot.send(&mut shadow, &request).await;
                let expected = expected.expect("nobody kills this one");
                assert_eq!(seen, expected, "{} {request:?}", slot.name);
                slot.seen = seen;
                slot.pending = None;
                let _ = heard.send(Answer::Done);
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
                is_wide: at == 0,
                sent: 0,
                seen: None,
                pending: None,
            };
            (0..MODELS_PER_CLIENT).map(slot).collect()
        })
        .collect();
    let (mut all, mut unanswered, mut slowest) = (0, 0, Duration::ZERO);
    let (mut refused, mut aborted) = (0, 0);
    for round in 0..rounds {
        // A start without faults, to look at what the last round has left.
        let began = Instant::now();
        let mut process = Process::start(folder.path(), "").await.expect("it starts");
        let mut real = process.client().await;
        slowest = slowest.max(began.elapsed());
        let url = format!("http://{}", process.address);
        let connected = pb::session_service_client::SessionServiceClient::connect(url).await;
        let made = connected
            .expect("it listens")
            .create_session(create.clone())
            .await;
        made.expect("made, or made before");
        let mut calm = shadow.training().await;
        for slots in &mut clients {
            unanswered += slots.iter().filter(|slot| slot.pending.is_some()).count();
            check(slots, &mut real, &mut calm).await;
        }
        if cfg!(feature = "failpoints") {
            process.child.kill().await.expect("it is killed");
            // A fault at its start ends it; the next start has none.
            let faults = fault(&mut random);
            process = match Process::start(folder.path(), &faults).await {
                Some(process) => process,
                None => {
                    aborted += 1;
                    Process::start(folder.path(), "").await.expect("it starts")
                }
            };
        }
        let (acknowledged, mut heard) = mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        // All connected before any begins: a fault that one brings about ends the server for all.
        let mut connected = Vec::new();
        for slots in clients.drain(..) {
            connected.push((slots, process.client().await, shadow.training().await));
        }
        for (at, (slots, real, calm)) in connected.into_iter().enumerate() {
            let random = Random(round * CLIENTS as u64 + at as u64);
            let work = work(slots, real, calm, random, acknowledged.clone());
            tasks.push(tokio::spawn(work));
        }
        drop(acknowledged);
        // The moment: after so many answers, in the middle of whatever the others are doing.
        for _ in 0..20 + random.below(200) {
            match heard.recv().await {
                Some(Answer::Done) => all += 1,
                Some(Answer::Refused) => refused += 1,
                // A fault was quicker.
                None => {
                    aborted += 1;
                    break;
                }
            }
        }
        process.child.kill().await.expect("it is killed");
        for task in tasks {
            clients.push(task.await.expect("no client found a fault"));
        }
        heard.close();
        while let Some(answer) = heard.recv().await {
            all += u64::from(answer == Answer::Done);
            refused += u64::from(answer == Answer::Refused);
        }
    }
    println!(
        "{rounds} kills, {aborted} of them by itself, {all} acknowledged requests, {unanswered} unanswered, {refused} \
         refused by a failing disk, slowest start {slowest:?}: none lost, none half done, none done twice"
    );
}
