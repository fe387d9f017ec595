//! One dataset of the catalogue.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use backpropd_datasets::{
    Dataset, OpenOptions, ReadError, Standardization, Summary, digits, open, read_summary,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::host::disk_thread::on_disk_thread;
use crate::host::refused::Refused;
use crate::training::{DatasetName, RequestId};

/// What the file of a dataset says of its creation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    pub created: SystemTime,
    pub request: Option<RequestId>,
}

/// Where a dataset comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The digits, which are part of the program.
    Digits,
    /// A file; labels or targets can be in another one beside it.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether this process wrote it, so that the hashes in it are believed.
        is_own: bool,
    },
    /// Memory alone, on a server without a data folder.
    Memory(Opened),
}

/// An open dataset, which counts against the memory for datasets as long as anyone uses it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The dataset.
    pub dataset: Dataset,
    /// The constants of all rows, once they are needed, of a dataset that was given none.
    of_all_rows: Arc<OnceLock<Standardization>>,
    _share: Arc<MemoryShare>,
}

impl Opened {
    /// The dataset with constants: its own, or else those of all rows, which takes two passes the first time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn standardized(&self) -> Result<Dataset, String> {
        if self.dataset.standardization().is_some() {
            return Ok(self.dataset.clone());
        }
        let constants = match self.of_all_rows.get() {
            Some(constants) => constants.clone(),
            None => {
                let rows: Vec<usize> = (0..self.dataset.rows()).collect();
                let constants = Standardization::of(&self.dataset, &rows);
                let constants = constants.map_err(|error| without_path(&error))?;
                self.of_all_rows.get_or_init(|| constants).clone()
            }
        };
        let standardized = self.dataset.with_standardization(Some(constants));
        standardized.map_err(|fault| fault.to_string())
    }
}

/// Why rows cannot be read, as clients see it, who have no business with the folders of the server.
pub fn without_path(error: &ReadError) -> String {
    match error {
        ReadError::Changed { .. } => "its file has changed since it was opened".to_owned(),
        ReadError::Io { error, .. } => format!("its file cannot be read: {error}"),
        ReadError::NoSuchRow { .. } | ReadError::NotFinite { .. } => error.to_string(),
    }
}

/// The memory for datasets.
#[derive(Debug)]
pub struct DatasetMemory {
    limit: usize,
    used: AtomicUsize,
}

#[derive(Debug)]
struct MemoryShare {
    memory: Arc<DatasetMemory>,
    bytes: usize,
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl DatasetMemory {
    /// All of it free.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Counts an open dataset; `None` if its memory is not free.
    pub fn hold(self: &Arc<Self>, dataset: Dataset) -> Option<Opened> {
        let bytes = dataset.resident_bytes();
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= self.limit)
            });
        let memory = Arc::clone(self);
        taken.ok().map(|_| Opened {
            dataset,
            of_all_rows: Arc::default(),
            _share: Arc::new(MemoryShare { memory, bytes }),
        })
    }
}

/// A dataset's place in the catalogue.
#[derive(Debug)]
pub struct DatasetEntry {
    /// Its name.
    pub name: DatasetName,
    /// When it was created; `None` for a shared one.
    pub created: Option<SystemTime>,
    /// The request that created it.
    pub request: Option<RequestId>,
    /// The size of its numbers, in bytes; counts against quotas. 0 for a shared one.
    pub bytes: u64,
    /// Cancelled when it is deleted.
    pub deleted: CancellationToken,
    source: Source,
    memory: Arc<DatasetMemory>,
    opened: Mutex<OpenDataset>,
    /// As it was when it was last opened.
    summary: std::sync::Mutex<Option<Summary>>,
}

/// A dataset that is open, and when it was last used.
type OpenDataset = Option<(Opened, Instant)>;

/// A dataset for a reply.
#[derive(Clone, Debug)]
pub struct DatasetState {
    /// Its place in the catalogue.
    pub entry: Arc<DatasetEntry>,
    /// What it is.
    pub summary: Summary,
}

impl DatasetState {
    /// Of a dataset that is open.
    pub fn of(entry: Arc<DatasetEntry>, opened: &Opened) -> Self {
        Self {
            entry,
            summary: opened.dataset.summary(),
        }
    }
}

impl DatasetEntry {
    /// A dataset that is not open yet.
    pub fn new(
        name: DatasetName,
        source: Source,
        (created, request): (Option<SystemTime>, Option<RequestId>),
        bytes: u64,
        memory: &Arc<DatasetMemory>,
    ) -> Self {
        Self {
            name,
            created,
            request,
            bytes,
            deleted: CancellationToken::new(),
            source,
            memory: Arc::clone(memory),
            opened: Mutex::default(),
            summary: std::sync::Mutex::default(),
        }
    }

    /// Its file, if it has one.
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File { path, .. } => Some(path),
            Source::Digits | Source::Memory(_) => None,
        }
    }

    /// Opens it, unless that is done.
    ///
    /// # Errors
    /// It was deleted, its file cannot be read, or it does not fit into the memory for datasets.
    pub async fn open(&self) -> Result<Opened, Refused> {
        if self.deleted.is_cancelled() {
            return Err(Refused::NoDataset(self.name.clone()));
        }
        let mut opened = self.opened.lock().await;
        if let Some((opened, used)) = opened.as_mut() {
            *used = Instant::now();
            return Ok(opened.clone());
        }
        let (source, memory) = (self.source.clone(), Arc::clone(&self.memory));
        let read = on_disk_thread(move || source.open(&memory)).await;
        let read = read.unwrap_or_else(|panic| Err(panic.to_string()));
        let new = read.map_err(|error| {
            tracing::error!(dataset = %self.name, error, "a dataset cannot be used");
            Refused::DatasetUnreadable {
                name: self.name.clone(),
                error,
            }
        })?;
        self.keep(&mut opened, &new);
        Ok(new)
    }

    fn keep(&self, opened: &mut OpenDataset, new: &Opened) {
        *opened = Some((new.clone(), Instant::now()));
        *self.known_summary() = Some(new.dataset.summary());
    }

    fn known_summary(&self) -> std::sync::MutexGuard<'_, Option<Summary>> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is, without opening it: as it was when it was last opened, or else as the header of its file says. `None`
    /// for a file that was never opened and has no such header.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub async fn summary(&self) -> Result<Option<Summary>, Refused> {
        if let Some(summary) = self.known_summary().clone() {
            return Ok(Some(summary));
        }
        let Source::File { path, .. } = &self.source else {
            return Ok(Some(self.open().await?.dataset.summary()));
        };
        if path
            .extension()
            .is_none_or(|ending| ending != "safetensors")
        {
            return Ok(None);
        }
        let path = path.clone();
        let read = on_disk_thread(move || read_summary(&path)).await;
        let read = read.map_err(|_| Refused::Bug)?;
        read.map_err(|error| Refused::DatasetUnreadable {
            name: self.name.clone(),
            error: error.fault.to_string(),
        })
    }

    /// [`Self::open`] at startup.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn open_now(&self) -> Result<Opened, String> {
        let mut opened = self.opened.try_lock().map_err(|error| error.to_string())?;
        if let Some((opened, _)) = opened.as_ref() {
            return Ok(opened.clone());
        }
        let new = self.source.open(&self.memory)?;
        self.keep(&mut opened, &new);
        Ok(new)
    }

    /// What is wrong with its file, of which every byte is read.
    pub fn damage(&self) -> Option<String> {
        let Source::File { path, .. } = &self.source else {
            return None;
        };
        let digest = |trust_hashes| {
            let options = OpenOptions {
                max_resident_bytes: 0,
                trust_hashes,
                ..OpenOptions::default()
            };
            let opened = open(path, &options);
            opened.map(|it| it.digest()).map_err(|error| error.fault)
        };
        // The digest of what is in the file, and the one that was written with it.
        match digest(false).and_then(|found| Ok(found == digest(true)?)) {
            Ok(true) => None,
            Ok(false) => Some("its content is not what was written".to_owned()),
            Err(fault) => Some(fault.to_string()),
        }
    }

    /// Closes it if it has not been used for `idle`. Those who use it keep it.
    pub fn close_idle(&self, idle: Duration) {
        if let Ok(mut opened) = self.opened.try_lock()
            && opened
                .as_ref()
                .is_some_and(|(_, used)| used.elapsed() >= idle)
        {
            *opened = None;
        }
    }
}

impl Source {
    fn open(&self, memory: &Arc<DatasetMemory>) -> Result<Opened, String> {
        if let Self::Memory(opened) = self {
            // Its memory is counted already.
            return Ok(opened.clone());
        }
        let free = memory.free();
        let first = self.open_within(free)?;
        let held = memory.hold(first);
        // Another one may have taken the memory meanwhile: then this one is read in blocks.
        let held = match held {
            Some(held) => Some(held),
            None => memory.hold(self.open_within(0)?),
        };
        held.ok_or_else(|| {
            format!(
                "it does not fit into the memory for datasets, {} bytes (max_dataset_memory_bytes)",
                memory.limit()
            )
        })
    }

    fn open_within(&self, bytes: usize) -> Result<Dataset, String> {
        let options = |is_own| OpenOptions {
            max_resident_bytes: bytes as u64,
            trust_hashes: is_own,
            ..OpenOptions::default()
        };
        match self {
            Self::Digits => Ok(digits()),
            Self::Memory(opened) => Ok(opened.dataset.clone()),
            Self::File { path, is_own } => {
                open(path, &options(*is_own)).map_err(|error| error.fault.to_string())
            }
        }
    }
}
