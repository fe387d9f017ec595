//! The edge: the only code that knows gRPC and protobuf.
//!
//! A handler converts in (`convert`), calls the core, converts out. What a call may not do by itself has a room of
//! its own: computing (`compute`), a run from its beginning to its end (`run_task`, `run_commits`), what its readers see
//! (`feed`, `streams`), errors (`status`), deadlines (`deadline`), logs and panics (`telemetry`),
//! connections (`connections`).

mod assignments;
mod check;
mod compute;
mod connections;
mod convert;
mod create;
mod deadline;
mod entry;
mod examine;
mod feed;
mod grading;
mod parameters;
mod persistence;
mod run_commits;
mod run_event;
mod run_task;
mod server_info;
mod sessions;
mod status;
mod streams;
mod telemetry;
mod training;
mod transfer;

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use faer::Par;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

pub use self::assignments::{AssignmentsError, load_graders};
use self::compute::{Compute, Timing};
pub use self::convert::grading::{asked_reveal, read_report};
use self::deadline::Deadline;
use self::entry::{ModelEntry, with_model};
use self::grading::{Grading, Gradings};
use self::pb::grading_service_server::GradingServiceServer;
use self::pb::server_service_server::ServerServiceServer;
use self::pb::session_service_server::SessionServiceServer;
use self::pb::training_service_server::TrainingServiceServer;
use self::persistence::{NotStored, Persistence};
use crate::config::Config;
use crate::nn::ArchitectureLimits;
use crate::store::StoreError;
use crate::training::{Access, ModelName, Registry, RegistryLimits, SessionName};

/// The messages, services and clients generated from `proto/backprop/v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod pb {
    tonic::include_proto!("backprop.v1");

    /// The compiled protos, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/backprop.v1.descriptors"));
}

/// Requests without tensors are names and numbers: nothing that fills this is meant, in bytes.
const SMALL_REQUEST: usize = 64 << 10;

/// Expired sessions are looked for this often; until then their names and places are taken, though nobody finds them.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// What is acknowledged from memory is on disk this much later, and the time that writing takes.
const STORE_WITHIN: Duration = Duration::from_millis(500);

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The compute threads could not be started.
    #[error("cannot start the compute threads: {0}. Set `threads` to fewer")]
    Threads(#[source] io::Error),
    /// The assignments could not be made ready.
    #[error(transparent)]
    Assignments(#[from] AssignmentsError),
    /// The grading secret could not be read or drawn.
    #[error("cannot have the grading secret: {0}. Check `grading_secret_file`")]
    Secret(#[source] io::Error),
    /// The data folder could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder could not be listed.
    #[error("cannot list the sessions in `data_dir`: {0}")]
    Unlisted(#[source] io::Error),
    /// The reflection service could not be built from the compiled protos.
    #[error("cannot build the reflection service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// What every handler works with.
struct Server {
    config: Config,
    limits: ArchitectureLimits,
    registry: Mutex<Registry<ModelEntry>>,
    grading: Grading,
    persistence: Persistence,
    compute: Compute,
    par: Par,
    /// What goes on whether its caller waits or not, and is waited for before the server ends.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Serves on `listener` until `shutdown` resolves. Then health answers NOT_SERVING, every run and stream ends within
/// a step, calls under way are finished, and after at most `drain_seconds` it returns.
///
/// # Errors
/// The server could not be started.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    // Products name their own parallelism; faer's operators, should one be used, must not start threads of theirs.
    faer::set_global_parallelism(Par::Seq);
    let server = Arc::new(Server::start(config)?);
    let (health, health_service) = tonic_health::server::health_reporter();
    announce(&health, tonic_health::ServingStatus::NotServing).await;

    let (receive, send) = (server.config.max_request_bytes, usize::MAX);
    let routes = Routes::new(health_service)
        .add_service(reflection()?.build_v1()?)
        .add_service(reflection()?.build_v1alpha()?)
        .add_service(
            TrainingServiceServer::new(training::Training(Arc::clone(&server)))
                .max_decoding_message_size(receive)
                .max_encoding_message_size(send),
        )
        .add_service(
            SessionServiceServer::new(sessions::Sessions(Arc::clone(&server)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        )
        .add_service(
            GradingServiceServer::new(Gradings(Arc::clone(&server)))
                .max_decoding_message_size(receive),
        )
        .add_service(
            ServerServiceServer::new(server_info::ServerInfo(Arc::clone(&server)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        )
        .prepare();
    let service = telemetry::Telemetry::new(routes, receive);

    announce(&health, tonic_health::ServingStatus::Serving).await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, threads = server.config.compute_threads(), "serving");
    }
    let stop_accepting = CancellationToken::new();
    let stopping = async {
        shutdown.await;
        tracing::info!("stopping");
        announce(&health, tonic_health::ServingStatus::NotServing).await;
        server.shutdown.cancel();
        stop_accepting.cancel();
    };
    let connections = connections::serve(listener, service, &server.config, stop_accepting.clone());
    tokio::pin!(connections);
    tokio::select! {
        ((), ()) = async { tokio::join!(stopping, &mut connections) } => {}
        () = server.expire_sessions() => {}
    }
    server.settle().await;
    tracing::info!("stopped");
    Ok(())
}

fn reflection() -> Result<tonic_reflection::server::Builder<'static>, ServeError> {
    // Without tonic_types' descriptors the details of an error print as base64.
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET))
}

async fn announce(health: &HealthReporter, status: tonic_health::ServingStatus) {
    let services = [
        "",
        "backprop.v1.TrainingService",
        "backprop.v1.SessionService",
        "backprop.v1.GradingService",
        "backprop.v1.ServerService",
    ];
    for service in services {
        health.set_service_status(service, status).await;
    }
}

impl Server {
    fn start(config: Config) -> Result<Self, ServeError> {
        let persistence = Persistence::open(&config.data_dir)?;
        let grading = Grading::start(&config)?;
        let threads = config.compute_threads();
        let compute = Compute::start(threads, config.max_waiting_calls, config.inline_flops)
            .map_err(ServeError::Threads)?;
        let server = Self {
            limits: ArchitectureLimits {
                layers: config.max_layers,
                units: config.max_units,
                parameters: config.max_parameters,
            },
            registry: Mutex::new(Registry::new(RegistryLimits {
                sessions: config.max_sessions,
                models: config.max_models,
                models_per_session: config.max_models_per_session,
                bytes: config.max_total_parameter_bytes,
                session_ttl: Duration::from_secs(config.session_ttl_seconds),
                requests_per_session: config.request_ids_per_model,
            })),
            grading,
            persistence,
            compute,
            par: run_task::parallelism(threads),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            config,
        };
        let remembered = server.config.request_ids_per_model;
        server
            .persistence
            .load(&mut server.registry(), &server.limits, remembered)
            .map_err(ServeError::Unlisted)?;
        Ok(server)
    }

    /// Sessions and models. Held for look-ups and insertions only, never while computing or waiting.
    fn registry(&self) -> MutexGuard<'_, Registry<ModelEntry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a model, and renews its session.
    ///
    /// # Errors
    /// No such model; one whose snapshot is damaged.
    fn find(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let found = self.registry().model(name, SystemTime::now());
        found.map_err(|error| self.persistence.loss(name).unwrap_or_else(|| error.into()))
    }

    /// Finds a model to work on, and renews its session.
    ///
    /// # Errors
    /// No such model; one that is for grading only.
    fn open(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let entry = self.find(name)?;
        match entry.access {
            Access::Full => Ok(entry),
            Access::CompareOnly => Err(status::compare_only()),
        }
    }

    /// Removes sessions that nobody called for their time to live; for ever.
    async fn expire_sessions(&self) {
        loop {
            tokio::time::sleep(EXPIRE_EVERY).await;
            let expired = self.registry().expired(SystemTime::now());
            for name in expired {
                if let Err(not_stored) = self.delete_session(&name).await {
                    tracing::error!(%name, ?not_stored, "an expired session cannot be removed yet");
                }
            }
        }
    }

    /// Removes a session, its models and their files, and tells how many models it had.
    async fn delete_session(&self, name: &SessionName) -> Result<usize, Status> {
        let models = self.registry().all_models(name);
        for entry in &models {
            entry.deleted.cancel();
        }
        if self.persistence.is_on() {
            // Whoever still writes one of them is done before the files go.
            for entry in &models {
                entry.idle().await;
            }
            let deleted = self.persistence.delete_session(name).await;
            deleted.map_err(NotStored::status)?;
        }
        let models = self.registry().delete_session(name)?;
        for entry in &models {
            entry.deleted.cancel();
        }
        Ok(models.len())
    }

    /// Removes a model and its files.
    async fn delete_model(&self, name: &ModelName) -> Result<(), Status> {
        let found = self.registry().model(name, SystemTime::now());
        if found.is_err() && self.persistence.is_lost(name) {
            let deleted = self.persistence.delete_model(name).await;
            return deleted.map_err(NotStored::status);
        }
        let entry = found?;
        entry.deleted.cancel();
        if self.persistence.is_on() {
            // Whoever still writes it is done before its files go.
            entry.idle().await;
            let deleted = self.persistence.delete_model(name).await;
            deleted.map_err(NotStored::status)?;
        }
        self.registry().delete_model(name, SystemTime::now())?;
        Ok(())
    }

    /// Makes a new session durable, or takes it back.
    async fn keep_session(&self, name: &SessionName) -> Result<(), Status> {
        if !self.persistence.is_on() {
            return Ok(());
        }
        let Some(record) = self.registry().unstored_record(name) else {
            return Ok(());
        };
        let kept = self.persistence.put_session(name, &record).await;
        let mut registry = self.registry();
        match kept {
            Ok(()) => registry.note_stored(name, &record),
            Err(not_stored) => {
                // Whoever is already using it would lose more than a name.
                if registry.all_models(name).is_empty() {
                    let _ = registry.delete_session(name);
                }
                return Err(not_stored.status());
            }
        }
        Ok(())
    }

    /// Makes a new model durable, or takes it back.
    async fn keep_new(&self, entry: &Arc<ModelEntry>) -> Result<(), Status> {
        if !self.persistence.is_on() || entry.durable_step().is_some() {
            return Ok(());
        }
        let (turn, _) = entry
            .write_turn(self.config.max_waiting_runs_per_model)
            .await?;
        if entry.durable_step().is_some() {
            return Ok(());
        }
        self.keep_session(&entry.name.session).await?;
        let turn = Arc::new(turn);
        let kept = with_model!(&entry.model, model => {
            self.persistence.put_model(entry, model, turn).await.map(|_| ())
        });
        kept.map_err(|not_stored| {
            entry.deleted.cancel();
            let _ = self.registry().delete_model(&entry.name, SystemTime::now());
            not_stored.status()
        })
    }

    /// Has what was just acknowledged from memory written down soon.
    fn store_soon(self: &Arc<Self>, entry: &Arc<ModelEntry>) {
        if !entry.note_behind() {
            return;
        }
        let (server, entry) = (Arc::clone(self), Arc::clone(entry));
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    // What is still behind is written down after the last call has ended.
                    () = server.shutdown.cancelled() => return,
                    () = entry.deleted.cancelled() => return,
                    () = tokio::time::sleep(STORE_WITHIN) => {}
                }
                // A run under way sees to it itself, before its end.
                let turn = tokio::select! {
                    biased;
                    () = server.shutdown.cancelled() => return,
                    turn = entry.turn_to_store() => turn,
                };
                let Ok(turn) = turn else { return };
                // A disk that refuses is asked again, until it takes it.
                if server
                    .persistence
                    .catch_up(&entry, Arc::new(turn))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        });
    }

    /// Waits for what still works for callers, and writes down what was acknowledged from memory.
    async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        let all = self.registry().every_model();
        for entry in all {
            if let Ok(turn) = entry.turn_to_store().await
                && let Err(not_stored) = self.persistence.catch_up(&entry, Arc::new(turn)).await
            {
                tracing::error!(model = %entry.name, ?not_stored, "its last steps are lost");
            }
        }
    }

    /// What `work`, of about `flops` floating-point operations, comes to by the caller's deadline, and where the time
    /// went.
    async fn compute_by<V: Send + 'static>(
        &self,
        deadline: Deadline,
        flops: u64,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> Result<(V, Timing), Status> {
        deadline
            .limit(async { Ok(self.compute.run(flops, work).await?) })
            .await
    }

    /// Models as a reply shows them; their digests are computed where they are not known.
    async fn describe(&self, entries: Vec<Arc<ModelEntry>>) -> Result<Vec<pb::Model>, Status> {
        let parameters =
            |entry: &Arc<ModelEntry>| entry.model.spec().architecture.parameter_count() as u64;
        let work = entries.iter().map(parameters).sum();
        let describe = move || {
            entries
                .iter()
                .map(|entry| convert::model::model(entry))
                .collect()
        };
        Ok(self.compute.run(work, describe).await?.0)
    }

    /// One model as a reply shows it.
    async fn describe_one(&self, entry: Arc<ModelEntry>) -> Result<pb::Model, Status> {
        let described = self.describe(vec![entry]).await?.pop();
        described.ok_or_else(status::internal)
    }
}
