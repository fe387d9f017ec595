//! Sessions and models: lifecycle, training, persistence, quotas. The host is independent of HTTP, protobuf and tonic:
//! the edge calls its functions, which return values or fail with [`refused::Refused`].

pub mod assignments;
pub mod backup;
pub mod caller;
pub mod clock;
pub mod compute;
pub mod copy_store;
pub mod datasets;
pub mod deadline;
pub mod disk_thread;
pub mod durability;
pub mod evaluate;
pub mod grading_counts;
pub mod grading_desk;
pub mod hashed_turns;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod models;
pub mod parts;
pub mod party;
pub mod reference;
pub mod refused;
pub mod resource;
pub mod runs;
pub mod secrets;
pub mod shared;
pub mod tags;
pub mod target;
#[cfg(test)]
mod tests;
pub mod trash;
pub mod veil;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backpropd_identity::Reach;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::caller::Caller;
use self::clock::Clock;
use self::compute::{Compute, ComputeLimits};
use self::datasets::{Catalogue, SharedDatasetsError};
use self::disk_thread::on_disk_thread;
use self::durability::Persistence;
use self::grading_desk::{GradingDesk, GradingDeskError};
use self::identity::{KeyFileError, Keyring};
use self::limits::memory::Account;
use self::limits::stream_slots::StreamSlots;
use self::metrics::Metrics;
use self::models::creation_turns::CreationTurns;
use self::models::handle::ModelEntry;
use self::models::session_turns::SessionTurns;
use self::refused::Refused;
use self::resource::Resource;
use self::runs::book::RunBook;
use self::shared::{SharedStore, SharedStoreError};
use crate::config::Config;
use crate::nn::ArchitectureLimits;
use crate::store::StoreError;
use crate::training::{Access, ModelName, Now, Registry, RegistryError, SessionName};

/// How often the files of keys are looked at: a revoked person is out within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The compute threads could not be started.
    #[error("cannot start the compute threads: {0}. Set `threads` to fewer")]
    Threads(#[source] io::Error),
    /// The assignments or the grading secret cannot be loaded.
    #[error(transparent)]
    Grading(#[from] GradingDeskError),
    /// The folder of shared datasets cannot be used.
    #[error(transparent)]
    Datasets(#[from] SharedDatasetsError),
    /// A file of keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The data folder could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shared store's address or credentials are invalid.
    #[error("cannot use the store: {0}")]
    Shared(#[from] SharedStoreError),
    /// The data folder could not be listed.
    #[error("cannot list the sessions in `data_dir`: {0}")]
    Unlisted(#[source] io::Error),
}

/// All state of the server: the registry of sessions and models, the compute threads, the data folder.
pub struct Host {
    clock: Clock,
    /// The uptime up to which the retention times of the trash have been counted down.
    pub trash_counted: Mutex<Duration>,
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub limits: ArchitectureLimits,
    registry: Mutex<Registry<ModelEntry>>,
    pub datasets: Catalogue,
    pub grading: GradingDesk,
    /// Who may call.
    pub keyring: Arc<Keyring>,
    pub persistence: Persistence,
    pub session_turns: SessionTurns,
    pub creation_turns: CreationTurns,
    pub compute: Compute,
    /// The memory budget shared by all calls in progress.
    pub memory: Arc<Account>,
    pub streams: Arc<StreamSlots>,
    pub runs: RunBook,
    /// Tasks that outlive their callers. Shutdown waits for them.
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// The data folder or the shared store of a configuration.
///
/// # Errors
/// Neither can be opened.
fn open_persistence(config: &Config, metrics: &Arc<Metrics>) -> Result<Persistence, HostError> {
    Ok(match SharedStore::of(config, metrics)? {
        Some(shared) => Persistence::Shared(Box::new(shared)),
        None => Persistence::open(&config.data_dir, metrics)?,
    })
}

impl Host {
    /// Starts a host with the data folder and the assignments named in the configuration.
    ///
    /// # Errors
    /// The threads cannot be started, or the data folder or the assignments cannot be loaded.
    pub fn start(config: Config, clock: Clock) -> Result<Self, HostError> {
        let metrics = Arc::new(Metrics::default());
        let persistence = open_persistence(&config, &metrics)?;
        let grading = GradingDesk::start(&config)?;
        Self::with(config, clock, metrics, persistence, grading)
    }

    /// Starts a host with an open folder and loaded assignments.
    fn with(
        config: Config,
        clock: Clock,
        metrics: Arc<Metrics>,
        persistence: Persistence,
        grading: GradingDesk,
    ) -> Result<Self, HostError> {
        let threads = config.compute_threads();
        let limits = ComputeLimits {
            waiting: config.max_waiting_calls,
            waiting_of_origin: config.max_waiting_calls_per_address,
            waiting_of_session: config.max_waiting_calls_per_session,
            inline_flops: config.inline_flops,
        };
        let compute = Compute::start(threads, limits, &metrics).map_err(HostError::Threads)?;
        let host = Self {
            limits: ArchitectureLimits {
                layers: config.max_layers,
                units: config.max_units,
                parameters: config.max_parameters,
            },
            registry: Mutex::new(Registry::new(limits::of_registry(&config))),
            datasets: Catalogue::start(&config)?,
            grading,
            keyring: Arc::new(Keyring::start(&config)?),
            persistence,
            session_turns: SessionTurns::default(),
            creation_turns: CreationTurns::default(),
            compute,
            memory: Account::of_server(config.max_in_flight_bytes),
            streams: StreamSlots::new(config.max_streams_per_session, "max_streams_per_session"),
            runs: RunBook::new(&config, &metrics),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            trash_counted: Mutex::new(clock.now().uptime),
            config,
            metrics,
            clock,
        };
        let remembered = host.config.request_ids_per_model;
        host.persistence
            .load_all(
                &mut host.registry(),
                &host.datasets,
                remembered,
                host.config.compute_threads(),
                host.now(),
            )
            .map_err(HostError::Unlisted)?;
        for (session, count) in host.datasets.counts() {
            host.registry().note_datasets(&session, count);
        }
        Ok(host)
    }

    /// Locks the registry. Hold the lock for look-ups and insertions only, never while computing or waiting.
    pub fn registry(&self) -> MutexGuard<'_, Registry<ModelEntry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clocks.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Reads the files of keys when they change, every second. Never returns.
    pub async fn tend_keys(&self) {
        if !self.keyring.is_on() {
            return std::future::pending().await;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let keyring = Arc::clone(&self.keyring);
            // A panic would be a bug, which the panic hook has logged; the keys in force stay.
            let _ = on_disk_thread(move || keyring.look_again()).await;
        }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Checks that the caller may name this session. A person who may name only their own sessions is told the same of
    /// another person's session and of one that does not exist. Without identities every caller may name every session.
    ///
    /// # Errors
    /// The session is not the caller's; the store that this node shares with others cannot be reached.
    pub async fn admit(&self, caller: &Caller, session: &SessionName) -> Result<(), Refused> {
        self.sync_session(session).await?;
        self.admit_to_known(caller, session)
    }

    /// [`Host::admit`] to a session whose copy on this node is current.
    ///
    /// # Errors
    /// The session is not the caller's.
    pub fn admit_to_known(&self, caller: &Caller, session: &SessionName) -> Result<(), Refused> {
        let Some(identity) = caller.identity() else {
            return Ok(());
        };
        let is_own = self.registry().is_owned_by(session, &identity.subject);
        caller.note(|| Resource::Session(session.clone()));
        if !is_own {
            caller.note_foreign();
        }
        if is_own || caller.reach() == Reach::Any {
            return Ok(());
        }
        Err(RegistryError::NotYours(session.clone()).into())
    }

    /// [`Host::admit`] to the session of a model, to which the call is attributed.
    ///
    /// # Errors
    /// As for [`Host::admit`].
    pub async fn admit_to_model(&self, caller: &Caller, name: &ModelName) -> Result<(), Refused> {
        caller.note(|| Resource::Model(name.clone()));
        self.admit(caller, &name.session).await?;
        caller.note_model(name);
        Ok(())
    }

    /// Finds a model, renews its session's lease, and attributes the call to the model.
    ///
    /// # Errors
    /// The session is not the caller's; there is no such model, or its snapshot is damaged.
    pub async fn find(
        &self,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<Arc<ModelEntry>, Refused> {
        self.admit_to_model(caller, name).await?;
        self.look_up(name).await
    }

    /// [`Host::find`] without attributing the call to the model.
    ///
    /// # Errors
    /// As for [`Host::find`].
    pub async fn look_up(&self, name: &ModelName) -> Result<Arc<ModelEntry>, Refused> {
        self.sync_model(name).await?;
        let found = self.registry().model(name, self.now());
        match found {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => self.reload(name).await,
            Err(error) => Err(self.persistence.loss(name).unwrap_or_else(|| error.into())),
        }
    }

    /// Finds a model with full access, and renews its session's lease.
    ///
    /// # Errors
    /// There is no such model, or its access is COMPARE_ONLY.
    pub async fn open(
        &self,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<Arc<ModelEntry>, Refused> {
        let entry = self.find(caller, name).await?;
        match self.grading.veil.access(&entry) {
            Access::Full => Ok(entry),
            Access::CompareOnly => Err(Refused::CompareOnly),
        }
    }
}
