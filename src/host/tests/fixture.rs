//! A host on a clock that the test moves.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::TempDir;

use crate::config::Config;
use crate::fault::Violations;
use crate::host::caller::Caller;
use crate::host::clock::Clock;
use crate::host::deadline::Deadline;
use crate::host::durability::Persistence;
use crate::host::grading_desk::GradingDesk;
use crate::host::limits::memory::{Account, Reservation};
use crate::host::metrics::Metrics;
use crate::host::models::new_model::{NewModel, Source};
use crate::host::parts::batch::BatchParts;
use crate::host::parts::dataset_rows::SamplesParts;
use crate::host::parts::integers::Suspicion;
use crate::host::parts::run::{Length, RunParts};
use crate::host::parts::tensor::{Entries, TensorParts};
use crate::host::party::Parties;
use crate::host::refused::Refused;
use crate::host::runs::RunEvents;
use crate::host::runs::event::{RunEnd, RunStart};
use crate::host::runs::step_feed::Event;
use crate::host::{Host, HostError, open_persistence};
use crate::nn::{
    Activation, ArchitectureLimits, Dtype, Init, LayerSpec, Loss, Objective, Optimizer, Reduction,
    ReluAtZero,
};
use crate::store::StoreError;
use crate::training::spec::{DecayParts, ScheduleParts, SpecParts};
use crate::training::{Access, ModelName, Now, Placement, RequestId, SessionName, Spec};

/// The longest real time that a test waits for a thread.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of steps of a run that does not end within a test.
pub const ENDLESS: u64 = 1 << 40;

/// A host with the control of its clock.
pub struct Scene {
    pub host: Arc<Host>,
    /// How far the host's clock is ahead of tokio's.
    ahead: Arc<Mutex<Duration>>,
    /// Dropping it at the end releases the thread that stops the clock from running ahead.
    _hold: mpsc::Sender<()>,
}

/// A host that was dropped lets go of its folder when its last task has ended.
async fn open_own(config: &Config, metrics: &Arc<Metrics>) -> Persistence {
    for _ in 0..5_000 {
        match open_persistence(config, metrics) {
            Err(HostError::Store(StoreError::Locked(_))) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            opened => return opened.expect("a store of our own"),
        }
    }
    panic!("another host has the folder {}", config.data_dir)
}

impl Scene {
    /// A host without persistence, with one compute thread.
    pub async fn new(set: impl FnOnce(&mut Config)) -> Self {
        Self::start("", set).await
    }

    /// A host on this folder.
    pub async fn on(folder: &TempDir, set: impl FnOnce(&mut Config)) -> Self {
        Self::start(folder.path().to_str().expect("UTF-8"), set).await
    }

    /// A node that shares the store of this name with the others of the test.
    pub async fn node(store: &str) -> Self {
        Self::sharing(&format!("memory:{store}"), |_| {}).await
    }

    /// A node on the store at this address.
    pub async fn sharing(url: &str, set: impl FnOnce(&mut Config)) -> Self {
        Self::start("", |config| {
            config.store = url.to_owned();
            config.ephemeral = false;
            set(config);
        })
        .await
    }

    async fn start(data_dir: &str, set: impl FnOnce(&mut Config)) -> Self {
        // A paused tokio clock jumps to the next timer whenever every task is waiting, even for a compute thread. It
        // does not while a blocking thread is busy.
        let (hold, held) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        let mut config = Config {
            data_dir: data_dir.to_owned(),
            ephemeral: data_dir.is_empty(),
            threads: 1,
            max_steps_per_run: u64::MAX,
            ..Config::default()
        };
        set(&mut config);
        let metrics = Arc::new(Metrics::default());
        let persistence = open_own(&config, &metrics).await;
        let start = tokio::time::Instant::now();
        let ahead = Arc::<Mutex<Duration>>::default();
        let skipped = Arc::clone(&ahead);
        let clock = Clock::from_fn(move || {
            let skipped = *skipped.lock().unwrap_or_else(PoisonError::into_inner);
            let uptime = start.elapsed() + skipped;
            Now {
                uptime,
                date: UNIX_EPOCH + Duration::from_secs(1_800_000_000) + uptime,
            }
        });
        let host = Host::with(config, clock, metrics, persistence, GradingDesk::empty());
        Self {
            host: Arc::new(host.expect("it starts")),
            ahead,
            _hold: hold,
        }
    }

    /// Advances the clock and lets the woken tasks start.
    pub async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// Advances the host's clock alone, where the store needs the time of the machine.
    pub fn skip(&self, time: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    /// Creates a 2-2-1 model in a new session.
    pub async fn model(&self, session: &str) -> ModelName {
        let name = ModelName::parse(&format!("sessions/{session}/models/m")).expect("a name");
        let (caller, session) = (caller(), name.session.clone());
        let terms = (None, Access::Full);
        let created = self.host.create_session(&caller, session, terms, None);
        created.await.expect("the session is new");
        let created = self.host.create_model(&caller, new_model(&name, None));
        created.await.expect("the model is new");
        name
    }

    /// Trains for this many steps.
    pub async fn train(&self, name: &ModelName, steps: u64) -> Result<RunEvents, Refused> {
        self.train_with(name, caller(), |run| run.length = Length::Steps(steps))
            .await
    }

    /// Trains with a request modified by `set`.
    pub async fn train_with(
        &self,
        name: &ModelName,
        caller: Arc<Caller>,
        set: impl FnOnce(&mut RunParts),
    ) -> Result<RunEvents, Refused> {
        let mut run = RunParts {
            samples: Some(SamplesParts::Sent(batch())),
            held_out: None,
            length: Length::Steps(1),
            minibatch_size: usize::MAX,
            shuffle_seed: None,
            learning_rate: None,
            request_id: String::new(),
            expected_step: None,
            metrics_every: 1,
            is_relaxed: false,
            stop_on_disconnect: true,
        };
        set(&mut run);
        self.host.train(&caller, name, run).await
    }

    /// The step in memory.
    pub async fn step(&self, name: &ModelName) -> u64 {
        let found = self.host.look_up(name).await;
        found.expect("it is there").model.step()
    }

    /// The step on disk.
    pub async fn durable_step(&self, name: &ModelName) -> Option<u64> {
        let found = self.host.look_up(name).await;
        found.expect("it is there").durable_step()
    }
}

/// A request for a 2-2-1 model.
pub fn new_model(name: &ModelName, request: Option<RequestId>) -> NewModel {
    let spec = spec();
    NewModel {
        placement: Placement {
            name: name.clone(),
            new_session: false,
            bytes: spec.state_bytes(),
            request,
            owner: None,
        },
        spec,
        source: Source::Seed(1),
        access: Access::Full,
        compare: None,
        validate_only: false,
    }
}

/// A caller without a deadline.
pub fn caller() -> Arc<Caller> {
    caller_until(Deadline::NONE)
}

/// A caller with this deadline.
pub fn caller_until(deadline: Deadline) -> Arc<Caller> {
    let memory = (Account::of_server(1 << 30), Reservation::default());
    Arc::new(Caller::new(0, Parties::SERVER, deadline, memory, None))
}

/// Waits until a thread has brought about a condition, with the clock stopped.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

/// The beginning of a run.
pub async fn start_of(events: &RunEvents) -> RunStart {
    match events.next().await {
        Ok(Event::Started(start)) => start,
        other => panic!("a run begins with its start, not {other:?}"),
    }
}

/// The end of a run, and how many of its steps were reported.
pub async fn end_of(events: &RunEvents) -> (RunEnd, usize) {
    let mut reported = 0;
    loop {
        match events.next().await.expect("the reader keeps up") {
            Event::Started(_) | Event::HeldOut(_) | Event::Changed => {}
            Event::Steps(steps) => reported += steps.len(),
            Event::Ended(end, dropped) => {
                return (end, reported + usize::try_from(dropped).expect("small"));
            }
        }
    }
}

fn batch() -> BatchParts {
    let mut violations = Violations::new();
    let mut tensor = |shape, values: &[f64]| {
        let entries = Entries::Values(values.to_vec());
        TensorParts::new(
            shape,
            entries,
            Suspicion::Subnormal,
            "inputs",
            &mut violations,
        )
        .expect("numbers")
    };
    BatchParts {
        inputs: tensor((2, 2), &[1.0, 2.0, -1.0, 0.5]),
        targets: Some(tensor((2, 1), &[1.0, -1.0])),
        labels: Vec::new(),
    }
}

fn spec() -> Spec {
    let layer = |units| LayerSpec {
        units,
        activation: Activation::Tanh,
        bias: true,
        init: Init::XavierNormal,
    };
    let parts = SpecParts {
        input_size: 2,
        layers: vec![layer(2), layer(1)],
        relu_at_zero: ReluAtZero::One,
        objective: Objective {
            loss: Loss::HalfSquaredError,
            reduction: Reduction::Mean,
        },
        optimizer: Optimizer::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        },
        learning_rate: 0.01,
        schedule: ScheduleParts {
            warmup_steps: 0,
            decay: DecayParts::Constant,
        },
        clip_norm: 0.0,
        dtype: Dtype::Float64,
    };
    parts.validate(&ArchitectureLimits::LARGEST).expect("valid")
}

/// The session of a model.
pub fn session_of(name: &ModelName) -> SessionName {
    name.session.clone()
}
