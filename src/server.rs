//! Assembles the rooms into a server: services, call log, reflection, health, startup and shutdown.

#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod methods;
pub mod ops;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faer::Par;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use self::health::announce;
use self::ops::Ops;
use crate::config::Config;
use crate::gateway::{Converting, Gateway, Turns};
use crate::host::Host;
pub use crate::host::HostError;
pub use crate::host::clock::Clock;
pub use crate::host::datasets::SharedDataset;
use crate::host::metrics::Metrics;
use crate::host::metrics::state::HostMetrics;
use crate::rpc::Router;
use crate::rpc::handlers::datasets::Datasets;
use crate::rpc::handlers::grading::Gradings;
use crate::rpc::handlers::server_info::ServerInfo;
use crate::rpc::handlers::sessions::Sessions;
use crate::rpc::pb;
use crate::rpc::services::dataset_service_server::DatasetServiceServer;
use crate::rpc::services::grading_service_server::GradingServiceServer;
use crate::rpc::services::server_service_server::ServerServiceServer;
use crate::rpc::services::session_service_server::SessionServiceServer;
use crate::transport::call_log::CallLog;
use crate::transport::call_metrics::{CallCollector, CallMetrics};
use crate::transport::connections;
use crate::transport::login::Entrance;
use crate::transport::tls::{Tls, TlsError};
pub use crate::transport::traces::{Traces, TracesError};

/// The largest request without tensors, in bytes: ample for names and numbers.
const SMALL_REQUEST: usize = 64 << 10;

/// How soon the metrics show the expiry of a replaced certificate.
const SHOW_EXPIRY: Duration = Duration::from_secs(1);

/// The longest time that the last traces take at the end: a collector that does not answer must not hold up a restart.
const LAST_TRACES: Duration = Duration::from_secs(2);

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The host could not start: its threads, its data folder, its assignments.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The reflection service could not be built from the compiled protos.
    #[error("cannot build the reflection service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server that is initialized but not yet serving.
pub struct Server {
    host: Arc<Host>,
    tls: Option<Arc<Tls>>,
    ops: Option<Ops>,
    traces: Traces,
}

/// Loads the certificate, the stored sessions and models, and the assignments.
///
/// # Errors
/// Reading the certificate, starting the threads, reading the data folder or loading the assignments failed.
pub fn open(config: Config) -> Result<Server, ServeError> {
    open_with_clock(config, Clock::of_the_machine())
}

/// [`open`] with the caller's clocks.
///
/// # Errors
/// As [`open`].
pub fn open_with_clock(config: Config, clock: Clock) -> Result<Server, ServeError> {
    open_with(config, clock, None)
}

/// [`open`] with one more shared dataset.
///
/// # Errors
/// As [`open`].
///
/// # Panics
/// The dataset's id is none, or the memory for datasets is smaller than the dataset.
pub fn open_sharing(config: Config, shared: Option<SharedDataset>) -> Result<Server, ServeError> {
    open_with(config, Clock::of_the_machine(), shared)
}

fn open_with(
    config: Config,
    clock: Clock,
    shared: Option<SharedDataset>,
) -> Result<Server, ServeError> {
    // Products set their own parallelism; faer's operators, should one be used, must not start threads.
    faer::set_global_parallelism(Par::Seq);
    let tls = Tls::of(&config)?;
    let mut host = Host::start(config, clock)?;
    if let Some(shared) = shared {
        host.datasets.share(shared);
    }
    let host = Arc::new(host);
    Ok(Server {
        host,
        tls,
        ops: None,
        traces: Traces::default(),
    })
}

/// [`open`], [`Server::probe`], then [`Server::serve`].
///
/// # Errors
/// Those of all three.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    open(config)?.probe().await?.serve(listener, shutdown).await
}

impl Server {
    /// Answers probes and scrapes on the operator's port.
    #[must_use]
    pub fn with_ops(self, ops: Ops) -> Self {
        let ops = Some(ops);
        Self { ops, ..self }
    }

    /// Exports a span of each call.
    #[must_use]
    pub fn with_traces(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Tries the store that this server shares with others, if there is one.
    ///
    /// # Errors
    /// It cannot be reached or used, or it ignores a condition of a write.
    pub async fn probe(self) -> Result<Self, ServeError> {
        if let Some(shared) = self.host.persistence.shared() {
            shared.probe().await.map_err(HostError::from)?;
        }
        Ok(self)
    }

    /// Serves on `listener` until `shutdown` resolves. Then health answers NOT_SERVING, every run and stream ends
    /// within a step, the calls in progress finish, and this returns after at most `drain_seconds`.
    ///
    /// # Errors
    /// The reflection service could not be built.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        serve_on(self, listener, shutdown).await
    }
}

async fn serve_on(
    Server {
        host,
        tls,
        ops,
        traces,
    }: Server,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    announce(&health, tonic_health::ServingStatus::NotServing).await;

    let calls = CallMetrics::new(methods::paths(), host.metrics.connections.clone());
    let service = wrapped(&host, Routes::new(health_service), &calls, &traces)?;

    announce(&health, tonic_health::ServingStatus::Serving).await;
    if let Some(ops) = &ops {
        ops.serving(registry(&host, calls)).await;
    }
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, threads = host.config.compute_threads(), "serving");
    }
    let stop_accepting = CancellationToken::new();
    let stopping = async {
        shutdown.await;
        tracing::info!("stopping");
        announce(&health, tonic_health::ServingStatus::NotServing).await;
        if let Some(ops) = &ops {
            ops.stopping().await;
        }
        host.shutdown.cancel();
        stop_accepting.cancel();
        Instant::now()
    };
    let service = |peer, full| service.clone().for_peer(peer, full);
    let (account, stop) = (Arc::clone(&host.memory), stop_accepting.clone());
    let terms = (&host.config, tls.clone());
    let connections = connections::serve(listener, service, account, terms, stop);
    tokio::pin!(connections);
    let asked = tokio::select! {
        (asked, ()) = async { tokio::join!(stopping, &mut connections) } => asked,
        ((), ()) = async { tokio::join!(host.retire(), host.tend_log()) } => Instant::now(),
        () = host.tend_shared() => Instant::now(),
        () = follow_reach(&host, &health, ops.as_ref()) => Instant::now(),
        () = watch(tls.as_deref(), &host.metrics) => Instant::now(),
        () = host.tend_keys() => Instant::now(),
    };
    host.settle().await;
    let drain = Duration::from_secs(host.config.drain_seconds);
    let left = drain.saturating_sub(asked.elapsed());
    traces.flush(left.min(LAST_TRACES)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Says that the server is not ready while the store that it shares with others cannot be reached. Never returns.
async fn follow_reach(host: &Host, health: &HealthReporter, ops: Option<&Ops>) {
    for is_reached in [false, true].into_iter().cycle() {
        host.shared_store_is(is_reached).await;
        if host.shutdown.is_cancelled() {
            return std::future::pending().await;
        }
        let status = if is_reached {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        announce(health, status).await;
        if let Some(ops) = ops {
            ops.reached(is_reached).await;
        }
    }
}

/// Follows the certificate's files, and shows when it expires. Never returns.
async fn watch(tls: Option<&Tls>, metrics: &Metrics) {
    let Some(tls) = tls else {
        return std::future::pending().await;
    };
    let show = async {
        loop {
            metrics.set_certificate_expiry(Some(tls.expires()));
            tokio::time::sleep(SHOW_EXPIRY).await;
        }
    };
    tokio::join!(tls.watch(), show);
}

/// The services, the call log around them, and the gateway on both sides of it.
type Wrapped = Gateway<CallLog<Converting<Router>>>;

/// Adds every service to `routes`, and wraps them in the call log and the gateway.
fn wrapped(
    host: &Arc<Host>,
    routes: Routes,
    calls: &Arc<CallMetrics>,
    traces: &Traces,
) -> Result<Wrapped, ServeError> {
    let receive = host.config.max_request_bytes;
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
            SessionServiceServer::new(Sessions(Arc::clone(host)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        )
        .add_service(
            DatasetServiceServer::new(Datasets(Arc::clone(host)))
                .max_decoding_message_size(receive),
        )
        .add_service(
            GradingServiceServer::new(Gradings(Arc::clone(host)))
                .max_decoding_message_size(receive),
        )
        .add_service(
            ServerServiceServer::new(ServerInfo(Arc::clone(host)))
                .max_decoding_message_size(receive.min(SMALL_REQUEST)),
        );
    let services = Router::new(host, routes);
    let turns = Turns::new(host.config.compute_threads());
    let services = Converting::new(services, receive, turns.clone());
    let account = Arc::clone(&host.memory);
    let entrance = Entrance::new(
        Arc::clone(&host.keyring),
        host.clock(),
        Arc::clone(&host.metrics),
    );
    let calls = CallLog::new(
        services,
        &host.config,
        Arc::clone(&account),
        entrance,
        Arc::clone(calls),
        traces.clone(),
    );
    Ok(Gateway::new(calls, &host.config, account, turns))
}

/// The metrics of the host and of its calls.
fn registry(host: &Arc<Host>, calls: Arc<CallMetrics>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(HostMetrics(Arc::clone(host))));
    registry.register_collector(Box::new(CallCollector(calls)));
    registry
}

fn reflection() -> Result<tonic_reflection::server::Builder<'static>, ServeError> {
    // Without tonic_types' descriptors, error details print as base64.
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use crate::rpc::pb::FILE_DESCRIPTOR_SET;
    use crate::transport::methods::{Kind, is_read};

    /// The transport knows methods by name: a new one that it does not know would pass for a call with one message each
    /// way.
    #[test]
    fn the_transport_knows_how_the_messages_of_every_method_come_and_go() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("compiled protos");
        let services = set.file.iter().flat_map(|file| {
            let package = file.package();
            file.service.iter().map(move |service| (package, service))
        });
        let mut known = 0;
        for (package, service) in services {
            for method in &service.method {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                let kind = Kind::of(&path);
                let fits = match (method.client_streaming(), method.server_streaming()) {
                    (false, false) => kind == Kind::Unary,
                    (false, true) => matches!(kind, Kind::Events | Kind::Export),
                    (true, false) => matches!(kind, Kind::Import | Kind::Upload),
                    (true, true) => false,
                };
                assert!(
                    fits,
                    "{path} is not {kind:?}: name it in `transport::methods`"
                );
                let reads = ["Get", "List"];
                if reads.iter().any(|read| method.name().starts_with(read)) {
                    assert!(
                        is_read(&path),
                        "{path} reads: name it in `transport::methods`"
                    );
                }
                known += 1;
            }
        }
        assert!(known > 15, "{known} methods");
    }
}
