//! Sessions and models that this node shares with other nodes of a cluster, through an object store.
//!
//! The store has the truth; the registry and the handles of this node are copies. A copy is trusted for
//! `store_trust_seconds`, then read again if the store has another version. A commit names the version that it builds
//! on, and the store refuses it if another node has committed since: this node then drops its copy and answers MOVED.
//! `crates/bucket` has the protocol; this room applies it to sessions, models and datasets.

mod ahead;
mod cache;
mod commit;
mod copy;
mod datasets;
mod ids;
mod listing;
mod models;
mod reach;
mod sessions;
mod upkeep;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use backpropd_bucket::{Bucket, Generation, Lease, OpenError, Options, Seen, Unavailable};
use tokio::time::Instant;

use self::ahead::Ahead;
use self::cache::CacheFolder;
pub use self::copy::SharedCopy;
use self::copy::{CheckTime, DatasetCopy};
use self::reach::Reach;
use crate::config::Config;
use crate::host::hashed_turns::HashedTurns;
use crate::host::metrics::Metrics;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::{NotStored, Refused};
use crate::training::{DatasetName, Id, SessionName, SessionRecord};

/// Number of turns to fetch a dataset: others are fetched meanwhile, but for the few that share a turn.
const FETCHES: usize = 64;

/// Requests to the store at a time, of those that no call waits for.
const AT_ONCE: usize = 8;

/// The store that this node shares with others.
#[derive(Debug)]
pub struct SharedStore {
    bucket: Bucket,
    /// How long a copy is believed without a look at the store.
    trust: Duration,
    /// Interval between two removals of what has expired.
    sweep_every: Duration,
    sessions: Mutex<HashMap<SessionName, Arc<SessionCopy>>>,
    datasets: Mutex<HashMap<DatasetName, Arc<DatasetCopy>>>,
    /// Turns to fetch a dataset.
    fetches: HashedTurns<FETCHES>,
    /// The files of datasets; removed when the server stops.
    folder: CacheFolder,
    files: AtomicU64,
    reach: Reach,
    ahead: Ahead,
    metrics: Arc<Metrics>,
}

/// Why the shared store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SharedStoreError {
    /// The address or the credentials are invalid.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder for the files of datasets cannot be created.
    #[error("cannot create a folder for datasets in {folder}: {source} (store_cache_dir)")]
    Folder {
        /// Where it would be.
        folder: String,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// This node's copy of a session.
#[derive(Debug)]
struct SessionCopy {
    seen: Seen,
    /// The record as stored.
    record: SessionRecord,
    checked: CheckTime,
    /// When this node last renewed the lease in the store, or read it.
    leased: Instant,
}

impl SharedStore {
    /// The store of the configuration, if it names one. Does no IO.
    ///
    /// # Errors
    /// An invalid address, or credentials that are missing; no folder for the files of datasets.
    pub fn of(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Self>, SharedStoreError> {
        if config.store.is_empty() {
            return Ok(None);
        }
        let options = Options {
            timeout: Duration::from_secs(config.store_timeout_seconds),
            watch: Arc::clone(metrics) as _,
            ..Options::default()
        };
        Ok(Some(Self {
            bucket: Bucket::open(&config.store, options)?,
            trust: Duration::from_secs(config.store_trust_seconds),
            sweep_every: Duration::from_secs(config.store_sweep_seconds),
            sessions: Mutex::default(),
            datasets: Mutex::default(),
            fetches: HashedTurns::default(),
            folder: cache_folder(&config.store_cache_dir)?,
            files: AtomicU64::new(0),
            reach: Reach::default(),
            ahead: Ahead::default(),
            metrics: Arc::clone(metrics),
        }))
    }

    /// The store's address, without secrets.
    pub fn describe(&self) -> &str {
        self.bucket.describe()
    }

    /// Whether the store can be reached, and keeps the conditions of writes.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub async fn probe(&self) -> Result<(), SharedStoreError> {
        Ok(self.bucket.probe().await?)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionName, Arc<SessionCopy>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn datasets(&self) -> MutexGuard<'_, HashMap<DatasetName, Arc<DatasetCopy>>> {
        self.datasets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a request to the store, unless the store cannot be reached: calls that wait for it end, so that their
    /// callers ask another node.
    ///
    /// # Errors
    /// It cannot be reached; whether the request has taken effect is unknown.
    async fn within_reach<V>(&self, request: impl Future<Output = V>) -> Result<V, Refused> {
        self.reach.note_use();
        tokio::select! {
            biased;
            done = request => Ok(done),
            () = self.reach.until(false) => Err(Refused::Unreachable),
        }
    }

    /// [`Self::within_reach`] for a change.
    ///
    /// # Errors
    /// As above.
    async fn reached<V>(&self, request: impl Future<Output = V>) -> Result<V, NotStored> {
        let done = self.within_reach(request).await;
        done.map_err(|_| NotStored::Unknown)
    }

    /// Drops this node's copy of a model that another node has changed: the next call reads it anew.
    fn note_moved(&self, entry: &ModelEntry) {
        self.metrics.moved.inc();
        entry.note_moved();
    }

    /// Whether this node knows a session of this name.
    pub fn knows(&self, name: &SessionName) -> bool {
        self.sessions().contains_key(name)
    }

    fn session(&self, name: &SessionName) -> Option<Arc<SessionCopy>> {
        self.sessions().get(name).cloned()
    }

    /// Which life of the session this node knows.
    fn generation(&self, name: &SessionName) -> Option<Generation> {
        Some(self.session(name)?.seen.mark.generation)
    }

    fn note_session(&self, name: &SessionName, seen: Seen, record: SessionRecord, at: Instant) {
        let copy = SessionCopy {
            seen,
            record,
            checked: CheckTime::at(at),
            leased: at,
        };
        self.sessions().insert(name.clone(), Arc::new(copy));
    }

    fn forget_session(&self, name: &SessionName) {
        self.sessions().remove(name);
        self.datasets()
            .retain(|dataset, _| dataset.session.as_ref() != Some(name));
    }
}

/// A folder of this process alone, in the one of the configuration or the system's for temporary files.
fn cache_folder(within: &str) -> Result<CacheFolder, SharedStoreError> {
    let within = match within {
        "" => std::env::temp_dir(),
        within => within.into(),
    };
    CacheFolder::create(&within).map_err(|source| SharedStoreError::Folder {
        folder: within.display().to_string(),
        source,
    })
}

/// The ids of a listing, in order.
fn sorted_ids(listed: &[String]) -> Vec<Id> {
    let mut sorted: Vec<Id> = listed.iter().filter_map(|id| Id::parse(id)).collect();
    sorted.sort();
    sorted
}

/// The lease of a session from now on.
fn lease(record: &SessionRecord) -> Lease {
    Lease {
        ttl: record.ttl,
        at: SystemTime::now(),
    }
}

/// The outcome of a write that the store does not tell; logs the cause.
fn unknown(error: &Unavailable) -> NotStored {
    tracing::error!(%error, "the shared store does not tell whether it has a change");
    NotStored::Unknown
}

/// The refusal for a store that does not answer; logs the cause.
fn unreachable(error: &Unavailable) -> Refused {
    tracing::error!(%error, "the shared store cannot be reached");
    Refused::Unreachable
}
