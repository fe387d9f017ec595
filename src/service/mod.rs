//! The edge: the only code that knows gRPC and protobuf.
//!
//! A call finds its service (`services`); a handler converts in (`codec`, `convert`), calls the core, converts out
//! (`convert`, `reply`). What a call may not do by itself has a room of its own: computing (`compute`), a run from its
//! beginning to its end (`run_task`, `run_commits`), what is kept of it (`persistence`,
//! `log_filing`), what its readers see (`feed`, `streams`), errors (`status`),
//! deadlines (`deadline`), logs and panics (`telemetry`), connections (`connections`), what calls may take (`memory`,
//! `places`, `fair_queue`).

mod allowance;
mod assignments;
mod bodies;
mod caller;
mod check;
mod clock;
mod codec;
mod compare;
mod compute;
mod connections;
mod convert;
mod create;
mod deadline;
mod encoded;
mod entry;
mod examine;
mod expiry;
mod fair_queue;
mod feed;
mod frame_pace;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grade_gradients;
mod grading;
mod lives;
mod log_filing;
mod making;
mod memory;
mod methods;
mod niceness;
mod over_limit;
mod parameters;
mod patient_stream;
mod peer;
mod persistence;
mod places;
mod predict;
mod reads;
mod reply;
mod rope;
mod run_commits;
mod run_event;
mod run_task;
mod run_turns;
mod seats;
mod secrets;
mod server_info;
mod services;
mod session_turns;
mod sessions;
mod status;
mod streams;
mod tags;
mod telemetry;
mod training;
mod transfer;
pub mod trash;

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faer::Par;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

pub use self::assignments::{AssignmentsError, load_graders};
pub use self::clock::Clock;
pub use self::codec::CountingCodec;
use self::compute::{Compute, ComputeLimits};
pub use self::convert::grading::{asked_reveal, read_report};
use self::entry::ModelEntry;
use self::grading::{GradingDesk, Gradings};
use self::making::Makings;
use self::memory::Account;
use self::pb::grading_service_server::GradingServiceServer;
use self::pb::server_service_server::ServerServiceServer;
use self::pb::session_service_server::SessionServiceServer;
use self::persistence::Persistence;
use self::places::Places;
pub use self::reply::GradientsReply;
pub use self::secrets::{Secrets, read_secrets};
use self::services::Services;
use self::session_turns::SessionTurns;
use self::telemetry::Telemetry;
use crate::config::Config;
use crate::nn::ArchitectureLimits;
use crate::store::StoreError;
use crate::training::{Access, ModelName, Now, Registry, RegistryLimits};

/// The messages, services and clients generated from `proto/backprop/v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod pb {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/messages.rs"
    ));
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/services.rs"
    ));

    /// The compiled protos, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/descriptors.binpb"
    ));
}

/// Requests without tensors are names and numbers: nothing that fills this is meant, in bytes.
const SMALL_REQUEST: usize = 64 << 10;

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
    #[error("cannot load the grading secret: {0}. Check `grading_secret_file`")]
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
    clock: Clock,
    /// The uptime up to which the trash has been counted down.
    trash_counted: Mutex<Duration>,
    config: Config,
    limits: ArchitectureLimits,
    registry: Mutex<Registry<ModelEntry>>,
    grading: GradingDesk,
    persistence: Persistence,
    session_turns: SessionTurns,
    makings: Makings,
    compute: Compute,
    /// What calls under way may hold together.
    memory: Arc<Account>,
    streams: Arc<Places>,
    /// What goes on whether its caller waits or not, and is waited for before the server ends.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// A server that has what it needs and serves nobody yet.
pub struct Opened(Arc<Server>);

/// Reads what is kept and makes ready what is to be graded by.
///
/// # Errors
/// The server could not be started: its threads, its data folder, its assignments.
pub fn open(config: Config) -> Result<Opened, ServeError> {
    open_with_clock(config, Clock::of_the_machine())
}

/// [`open`] with clocks of the caller's own.
///
/// # Errors
/// The same.
pub fn open_with_clock(config: Config, clock: Clock) -> Result<Opened, ServeError> {
    // Products name their own parallelism; faer's operators, should one be used, must not start threads of theirs.
    faer::set_global_parallelism(Par::Seq);
    Ok(Opened(Arc::new(Server::start(config, clock)?)))
}

/// [`open`], then [`Opened::serve`].
///
/// # Errors
/// Those of the two.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    open(config)?.serve(listener, shutdown).await
}

impl Opened {
    /// Serves on `listener` until `shutdown` resolves. Then health answers NOT_SERVING, every run and stream ends
    /// within a step, calls under way are finished, and after at most `drain_seconds` it returns.
    ///
    /// # Errors
    /// The reflection service could not be built.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        serve_on(self.0, listener, shutdown).await
    }
}

async fn serve_on(
    server: Arc<Server>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    announce(&health, tonic_health::ServingStatus::NotServing).await;

    let service = wrapped(&server, Routes::new(health_service))?;

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
    let service = |peer| service.clone().for_peer(peer);
    let (account, stop) = (Arc::clone(&server.memory), stop_accepting.clone());
    let connections = connections::serve(listener, service, account, &server.config, stop);
    tokio::pin!(connections);
    tokio::select! {
        ((), ()) = async { tokio::join!(stopping, &mut connections) } => {}
        ((), ()) = async { tokio::join!(server.retire(), server.tend_log()) } => {}
    }
    server.settle().await;
    tracing::info!("stopped");
    Ok(())
}

/// Every service, added to `routes`, with what surrounds a call.
fn wrapped(server: &Arc<Server>, routes: Routes) -> Result<Telemetry<Services>, ServeError> {
    let receive = server.config.max_request_bytes;
    let routes = routes
        .add_service(
            reflection()?
                .build_v1()?
                .max_decoding_message_size(SMALL_REQUEST),
        )
        .add_service(
            reflection()?
                .build_v1alpha()?
                .max_decoding_message_size(SMALL_REQUEST),
        )
        .add_service(
            SessionServiceServer::new(sessions::Sessions(Arc::clone(server)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        )
        .add_service(
            GradingServiceServer::new(Gradings(Arc::clone(server)))
                .max_decoding_message_size(receive),
        )
        .add_service(
            ServerServiceServer::new(server_info::ServerInfo(Arc::clone(server)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        );
    let services = Services::new(server, routes);
    let account = Arc::clone(&server.memory);
    Ok(Telemetry::new(services, &server.config, account))
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
    fn start(config: Config, clock: Clock) -> Result<Self, ServeError> {
        let persistence = Persistence::open(&config.data_dir)?;
        let grading = GradingDesk::start(&config)?;
        let threads = config.compute_threads();
        let limits = ComputeLimits {
            waiting: config.max_waiting_calls,
            waiting_of_origin: config.max_waiting_calls_per_address,
            waiting_of_session: config.max_waiting_calls_per_session,
            inline_flops: config.inline_flops,
        };
        let compute = Compute::start(threads, limits).map_err(ServeError::Threads)?;
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
                bytes_per_session: config.max_session_parameter_bytes,
                sessions_per_owner: config.max_sessions_per_address,
                models_per_owner: config.max_models_per_address,
                bytes_per_owner: config.max_parameter_bytes_per_address,
                empty_session_ttl: Duration::from_secs(config.empty_session_ttl_seconds),
                session_ttl: Duration::from_secs(config.session_ttl_seconds),
                requests_per_session: config.request_ids_per_model,
            })),
            grading,
            persistence,
            session_turns: SessionTurns::default(),
            makings: Makings::default(),
            compute,
            memory: Account::of_server(config.max_in_flight_bytes),
            streams: Places::new(config.max_streams_per_session, "max_streams_per_session"),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            trash_counted: Mutex::new(clock.now().uptime),
            config,
            clock,
        };
        let remembered = server.config.request_ids_per_model;
        server
            .persistence
            .load(
                &mut server.registry(),
                remembered,
                server.config.compute_threads(),
                server.now(),
            )
            .map_err(ServeError::Unlisted)?;
        Ok(server)
    }

    /// Sessions and models. Held for look-ups and insertions only, never while computing or waiting.
    fn registry(&self) -> MutexGuard<'_, Registry<ModelEntry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now.
    fn now(&self) -> Now {
        self.clock.now()
    }

    /// Finds a model, and renews its session.
    ///
    /// # Errors
    /// No such model; one whose snapshot is damaged.
    async fn find(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        telemetry::note_model(name);
        let found = self.registry().model(name, self.now());
        match found {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => self.bring_back(name).await,
            Err(error) => Err(self.persistence.loss(name).unwrap_or_else(|| error.into())),
        }
    }

    /// Finds a model to work on, and renews its session.
    ///
    /// # Errors
    /// No such model; one that is for grading only.
    async fn open(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Status> {
        let entry = self.find(name).await?;
        match self.grading.veil.access(&entry) {
            Access::Full => Ok(entry),
            Access::CompareOnly => Err(status::compare_only()),
        }
    }
}
