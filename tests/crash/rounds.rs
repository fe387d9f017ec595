//! Rounds: a server that is started, used and killed, beside one that is not.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use backpropd::rpc::pb::session_service_client::SessionServiceClient;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::clients::{Answer, SESSION_ID, Slot, check, work};
use crate::fixture::Server;
use crate::process::{Process, Setting};
use crate::random::Random;

const CLIENTS: usize = 8;
const MODELS_PER_CLIENT: usize = 5;

/// The server on trial, the one that is never killed, and the clients of both.
pub struct Rounds {
    folder: TempDir,
    shadow: Server,
    clients: Vec<Vec<Slot>>,
    /// Rounds that were begun.
    pub begun: u64,
    /// What came of them.
    pub tally: Tally,
}

/// What came of all rounds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were under way when the server died.
    pub unanswered: usize,
    /// Refusals by a disk that fails.
    pub refused: u64,
    /// Refusals by a busy server.
    pub busy: u64,
    /// Refusals by a limit of one start.
    pub forbidden: u64,
    /// Servers that a fault ended.
    pub aborted: u64,
    /// The slowest start without a fault.
    pub slowest: Duration,
}

impl Tally {
    fn count(&mut self, answer: Answer) {
        match answer {
            Answer::Done => self.acknowledged += 1,
            Answer::DiskRefused => self.refused += 1,
            Answer::Busy => self.busy += 1,
            Answer::Forbidden => self.forbidden += 1,
        }
    }
}

fn session() -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        session_id: SESSION_ID.to_owned(),
        request_id: SESSION_ID.to_owned(),
        ..Default::default()
    }
}

impl Rounds {
    /// No round yet.
    pub async fn new() -> Self {
        let shadow = Server::start().await;
        let mut sessions = shadow.sessions().await;
        sessions.create_session(session()).await.expect("made");
        let slots = |client| {
            let slot = |at| Slot {
                name: format!("c{client}-{at}"),
                is_wide: at == 0,
                sent: 0,
                seen: None,
                pending: None,
            };
            (0..MODELS_PER_CLIENT).map(slot).collect()
        };
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            shadow,
            clients: (0..CLIENTS).map(slots).collect(),
            begun: 0,
            tally: Tally::default(),
        }
    }

    /// The folder of the server on trial.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Starts the server as `calm` says, and looks at what the last round has left: every model is as it was
    /// acknowledged.
    pub async fn look(&mut self, calm: &Setting) -> Process {
        let began = Instant::now();
        let process = Process::start(self.folder.path(), calm).await;
        let process = process.expect("it starts");
        let mut real = process.client().await;
        self.tally.slowest = self.tally.slowest.max(began.elapsed());
        let url = format!("http://{}", process.address);
        let sessions = SessionServiceClient::connect(url).await;
        let made = sessions
            .expect("it listens")
            .create_session(session())
            .await;
        made.expect("made, or made before");
        let mut shadow = self.shadow.training().await;
        for slots in &mut self.clients {
            let pending = slots.iter().filter(|slot| slot.pending.is_some());
            self.tally.unanswered += pending.count();
            check(slots, &mut real, &mut shadow).await;
        }
        process
    }

    /// Starts the server anew as `setting` says, in place of `process`; one that a fault ends at its start is started
    /// as `calm` says instead.
    pub async fn restart(
        &mut self,
        mut process: Process,
        setting: &Setting,
        calm: &Setting,
    ) -> Process {
        process.child.kill().await.expect("it is killed");
        if let Some(process) = Process::start(self.folder.path(), setting).await {
            return process;
        }
        self.tally.aborted += 1;
        let process = Process::start(self.folder.path(), calm).await;
        process.expect("it starts")
    }

    /// Has the clients work until `moment` of their answers have come, calls `halfway` in the middle, and kills the
    /// server.
    pub async fn work(&mut self, mut process: Process, moment: u64, halfway: impl FnOnce()) {
        let (acknowledged, mut heard) = mpsc::unbounded_channel();
        // All connected before any begins: a fault that one brings about ends the server for all.
        let mut connected = Vec::new();
        for slots in self.clients.drain(..) {
            let shadow = self.shadow.training().await;
            connected.push((slots, process.client().await, shadow));
        }
        let mut tasks = Vec::new();
        for (at, (slots, real, shadow)) in connected.into_iter().enumerate() {
            let random = Random(self.begun * CLIENTS as u64 + at as u64);
            let work = work(slots, real, shadow, random, acknowledged.clone());
            tasks.push(tokio::spawn(work));
        }
        drop(acknowledged);
        self.begun += 1;
        let mut halfway = Some(halfway);
        for at in 0..moment {
            if at >= moment / 2
                && let Some(halfway) = halfway.take()
            {
                halfway();
            }
            let Some(answer) = heard.recv().await else {
                // A fault was quicker.
                self.tally.aborted += 1;
                break;
            };
            self.tally.count(answer);
        }
        process.child.kill().await.expect("it is killed");
        for task in tasks {
            self.clients
                .push(task.await.expect("no client found a fault"));
        }
        heard.close();
        while let Some(answer) = heard.recv().await {
            self.tally.count(answer);
        }
    }
}

/// What goes wrong in a round besides the kill, as FAILPOINTS says it; nothing in a normal build.
pub fn fault(random: &mut Random) -> String {
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
