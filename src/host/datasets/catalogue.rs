//! Which datasets there are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backpropd_datasets::Dataset;

use super::entry::{DatasetEntry, DatasetMemory, Source};
use crate::config::Config;
use crate::host::refused::Refused;
use crate::training::{DatasetName, Id, RequestId, RequestIdReused, SessionName};

/// The datasets of a session, by id.
type OfSession = BTreeMap<Id, Arc<DatasetEntry>>;

/// The datasets that are being uploaded: their sessions and their sizes.
#[derive(Debug, Default)]
struct Arriving {
    number: u64,
    uploads: BTreeMap<u64, (SessionName, u64)>,
}

/// The place of an upload in the quotas, until it is dropped.
#[derive(Debug)]
pub struct UploadPlace {
    arriving: Arc<Mutex<Arriving>>,
    number: u64,
}

impl Drop for UploadPlace {
    fn drop(&mut self) {
        locked(&self.arriving).uploads.remove(&self.number);
    }
}

fn locked(arriving: &Mutex<Arriving>) -> MutexGuard<'_, Arriving> {
    arriving.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A dataset that is open when the server starts, for all of its clients to read.
#[derive(Clone, Debug)]
pub struct SharedDataset {
    /// Its id.
    pub id: &'static str,
    /// Its rows.
    pub dataset: Dataset,
}

/// Every dataset.
#[derive(Debug)]
pub struct Catalogue {
    shared: OfSession,
    sessions: Mutex<BTreeMap<SessionName, OfSession>>,
    arriving: Arc<Mutex<Arriving>>,
    /// The memory that open datasets take.
    pub memory: Arc<DatasetMemory>,
}

impl Catalogue {
    /// The shared datasets alone.
    pub fn new(shared: OfSession, memory: Arc<DatasetMemory>) -> Self {
        Self {
            shared,
            sessions: Mutex::default(),
            arriving: Arc::default(),
            memory,
        }
    }

    /// Adds a shared dataset that is open already.
    ///
    /// # Panics
    /// Its id is none, or the memory for datasets is smaller than it.
    pub fn share(&mut self, shared: SharedDataset) {
        let id = Id::parse(shared.id).expect("an id");
        let opened = self.memory.hold(shared.dataset);
        let opened = opened.expect("memory for the dataset");
        let name = DatasetName {
            session: None,
            dataset: id.clone(),
        };
        let source = Source::Memory(opened);
        let entry = DatasetEntry::new(name, source, (None, None), 0, &self.memory);
        self.shared.insert(id, Arc::new(entry));
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionName, OfSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dataset under this name. The caller has checked its session.
    pub fn get(&self, name: &DatasetName) -> Option<Arc<DatasetEntry>> {
        match &name.session {
            None => self.shared.get(&name.dataset).cloned(),
            Some(session) => self.sessions().get(session)?.get(&name.dataset).cloned(),
        }
    }

    /// The dataset of a session that this request created.
    ///
    /// # Errors
    /// The request's id belongs to another request.
    pub fn made_by(
        &self,
        session: &SessionName,
        request: &RequestId,
    ) -> Result<Option<Arc<DatasetEntry>>, RequestIdReused> {
        let sessions = self.sessions();
        let mut entries = sessions.get(session).into_iter().flat_map(BTreeMap::values);
        let made = entries.find(|entry| {
            let made_by = entry.request.as_ref();
            made_by.is_some_and(|made_by| made_by.id == request.id)
        });
        match made {
            Some(entry) if entry.request.as_ref() != Some(request) => {
                Err(RequestIdReused(request.id.clone()))
            }
            made => Ok(made.cloned()),
        }
    }

    /// Adds a dataset of a session.
    ///
    /// # Errors
    /// The name is taken, or a quota is used up.
    pub fn insert(&self, entry: Arc<DatasetEntry>, config: &Config) -> Result<(), Refused> {
        let mut sessions = self.sessions();
        let arriving = locked(&self.arriving);
        room(&sessions, &arriving, &entry.name, entry.bytes, config)?;
        self.put(&mut sessions, entry);
        Ok(())
    }

    /// The number of datasets of a session.
    pub fn count(&self, session: &SessionName) -> usize {
        self.sessions().get(session).map_or(0, BTreeMap::len)
    }

    /// The number of datasets of each session that has some.
    pub fn counts(&self) -> Vec<(SessionName, usize)> {
        let sessions = self.sessions();
        let count = |(name, datasets): (&SessionName, &OfSession)| (name.clone(), datasets.len());
        sessions.iter().map(count).collect()
    }

    /// Adds a dataset that was found on disk.
    pub fn restore(&self, entry: Arc<DatasetEntry>) {
        self.put(&mut self.sessions(), entry);
    }

    fn put(&self, sessions: &mut BTreeMap<SessionName, OfSession>, entry: Arc<DatasetEntry>) {
        if let Some(session) = entry.name.session.clone() {
            let datasets = sessions.entry(session).or_default();
            datasets.insert(entry.name.dataset.clone(), entry);
        }
    }

    /// Takes a place in the quotas for a dataset that is about to arrive.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn expect(
        &self,
        name: &DatasetName,
        bytes: u64,
        config: &Config,
    ) -> Result<UploadPlace, Refused> {
        let sessions = self.sessions();
        let mut arriving = locked(&self.arriving);
        room(&sessions, &arriving, name, bytes, config)?;
        let number = arriving.number;
        arriving.number += 1;
        if let Some(session) = &name.session {
            arriving.uploads.insert(number, (session.clone(), bytes));
        }
        Ok(UploadPlace {
            arriving: Arc::clone(&self.arriving),
            number,
        })
    }

    /// The datasets of sessions whose files are damaged, and how. Reads all of them.
    pub fn damaged(&self) -> Vec<(DatasetName, String)> {
        let sessions = self.sessions();
        let all = sessions.values().flat_map(BTreeMap::values);
        let damaged = all.filter_map(|entry| Some((entry.name.clone(), entry.damage()?)));
        damaged.collect()
    }

    /// Removes a dataset of a session.
    pub fn remove(&self, name: &DatasetName) {
        if let Some(session) = &name.session {
            let mut sessions = self.sessions();
            if let Some(datasets) = sessions.get_mut(session) {
                datasets.remove(&name.dataset);
                if datasets.is_empty() {
                    sessions.remove(session);
                }
            }
        }
    }

    /// Removes the datasets of a session that no longer exists.
    pub fn remove_session(&self, session: &SessionName) {
        let removed = self.sessions().remove(session);
        for entry in removed.into_iter().flat_map(BTreeMap::into_values) {
            entry.deleted.cancel();
        }
    }

    /// The shared datasets, or those of a session, after `after`; at most `count`.
    pub fn page(
        &self,
        session: Option<&SessionName>,
        after: Option<&Id>,
        count: usize,
    ) -> Vec<Arc<DatasetEntry>> {
        let page = |datasets: &OfSession| {
            let later = datasets
                .iter()
                .filter(|(id, _)| after.is_none_or(|after| *id > after));
            later
                .take(count)
                .map(|(_, entry)| Arc::clone(entry))
                .collect()
        };
        match session {
            None => page(&self.shared),
            Some(session) => self.sessions().get(session).map(page).unwrap_or_default(),
        }
    }

    /// Closes the datasets that no call has used for `idle`.
    pub fn close_idle(&self, idle: Duration) {
        let sessions = self.sessions();
        let owned = sessions.values().flat_map(BTreeMap::values);
        for entry in self.shared.values().chain(owned) {
            entry.close_idle(idle);
        }
    }
}

fn room(
    sessions: &BTreeMap<SessionName, OfSession>,
    arriving: &Arriving,
    name: &DatasetName,
    bytes: u64,
    config: &Config,
) -> Result<(), Refused> {
    let empty = OfSession::new();
    let session = name.session.as_ref().and_then(|name| sessions.get(name));
    let session = session.unwrap_or(&empty);
    let uploads = arriving.uploads.values();
    let all_arriving = uploads.clone().map(|(_, bytes)| bytes).sum::<u64>();
    let own = uploads.filter(|(session, _)| Some(session) == name.session.as_ref());
    let own: Vec<u64> = own.map(|(_, bytes)| *bytes).collect();
    if session.contains_key(&name.dataset) {
        return Err(Refused::DatasetTaken(name.clone()));
    }
    let size = |datasets: &OfSession| datasets.values().map(|entry| entry.bytes).sum::<u64>();
    let all = sessions.values().map(size).sum::<u64>();
    let limits = [
        (
            "max_datasets_per_session",
            (session.len() + own.len()) as u64 + 1,
            config.max_datasets_per_session as u64,
            "datasets in a session",
        ),
        (
            "max_session_dataset_bytes",
            (size(session) + own.iter().sum::<u64>()).saturating_add(bytes),
            config.max_session_dataset_bytes as u64,
            "bytes of datasets in a session",
        ),
        (
            "max_total_dataset_bytes",
            (all + all_arriving).saturating_add(bytes),
            config.max_total_dataset_bytes as u64,
            "bytes of datasets in all sessions",
        ),
    ];
    for (setting, needed, limit, what) in limits {
        if needed > limit {
            let message = format!(
                "this would be {needed} {what}; {limit} are allowed ({setting}): delete datasets you no longer need, or send \
                 fewer rows"
            );
            return Err(Refused::quota(setting, limit, message));
        }
    }
    Ok(())
}
