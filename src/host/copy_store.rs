//! Copies everything from one store to another: a data folder, or a bucket. Neither may be in use by a server meanwhile.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::Config;
use crate::host::clock::Clock;
use crate::host::disk_thread::on_disk_thread;
use crate::host::durability::NotRead;
use crate::host::grading_desk::GradingDesk;
use crate::host::metrics::Metrics;
use crate::host::models::any_model::with_model;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::{NotStored, Refused};
use crate::host::{Host, HostError, open_persistence};
use crate::training::{Access, DatasetName, Id, ModelName, SessionName, SessionRecord};

/// So many names are listed at a time.
const PAGE: usize = 100;

/// What was copied, and what was there already from an earlier try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopySummary {
    /// Sessions in the original.
    pub sessions: usize,
    /// Models that were copied.
    pub models: usize,
    /// Datasets that were copied.
    pub datasets: usize,
    /// Models and datasets that the target had already, with the same content.
    pub found: usize,
}

/// Why a copy ended.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Something cannot be read.
    #[error("cannot read {name}")]
    NotRead {
        /// The session, model or dataset.
        name: String,
        /// The refusal.
        cause: Refused,
    },
    /// Something cannot be written.
    #[error("cannot write {name}")]
    NotWritten {
        /// The session, model or dataset.
        name: String,
        /// The refusal.
        cause: Refused,
    },
    /// The target has something else under the same name.
    #[error(
        "the target has another {0} than the original: nothing is replaced; delete one of the two, or choose another target"
    )]
    Differs(String),
    /// What was written does not read back as it should.
    #[error(
        "{0} does not read back as it was written: the target is damaged, or changed by a server meanwhile"
    )]
    Unsound(String),
    /// The original is a folder that does not exist.
    #[error("there is no folder {0}: name the data folder or the bucket to copy from")]
    NoFolder(String),
    /// A model of the original is lost, and a copy would be without it.
    #[error("{0} is lost in the original: delete it there, or restore it, and begin again")]
    Lost(String),
}

/// Copies all sessions, models and datasets of `from` to `to`, each the path of a data folder or the address of a bucket.
/// `cache` is the folder for the files of a bucket's datasets meanwhile; empty: the system's.
///
/// What the target has already with the same content is left alone, so that an interrupted copy goes on.
///
/// # Errors
/// A store cannot be used; something cannot be read or written; the target has something else of the same name.
pub async fn copy_store(from: &str, to: &str, cache: &str) -> Result<CopySummary, CopyError> {
    // To open it would create it.
    if !is_bucket(from) && !Path::new(from).is_dir() {
        return Err(CopyError::NoFolder(from.to_owned()));
    }
    let (from, to) = (open(from, cache).await?, open(to, cache).await?);
    if let Some((name, _)) = from.persistence.lost_models().first() {
        return Err(CopyError::Lost(name.to_string()));
    }
    let mut summary = CopySummary::default();
    for session in from.session_names().await? {
        summary.sessions += 1;
        copy_session(&from, &to, &session, &mut summary).await?;
    }
    // Commits that went into the log of a folder go into the models' files.
    to.file_all().await;
    Ok(summary)
}

fn is_bucket(store: &str) -> bool {
    store.contains("://") || store.starts_with("memory:")
}

/// A host on a store, without clients.
async fn open(store: &str, cache: &str) -> Result<Arc<Host>, CopyError> {
    let text = store.to_owned();
    let mut config = Config {
        max_sessions: usize::MAX,
        max_models: usize::MAX,
        max_models_per_session: usize::MAX,
        max_sessions_per_address: usize::MAX,
        // Nothing stays in memory that is in a file: each model is read when it is its turn.
        max_total_parameter_bytes: 0,
        ..Config::default()
    };
    if is_bucket(store) {
        config.store = text;
        config.store_cache_dir = cache.to_owned();
    } else {
        config.data_dir = text;
    }
    let metrics = Arc::new(Metrics::default());
    let persistence = open_persistence(&config, &metrics)?;
    if let Some(shared) = persistence.shared() {
        shared.probe().await.map_err(HostError::from)?;
    }
    let clock = Clock::of_the_machine();
    let host = Host::with(config, clock, metrics, persistence, GradingDesk::empty())?;
    Ok(Arc::new(host))
}

impl Host {
    /// The names of all sessions.
    async fn session_names(&self) -> Result<Vec<SessionName>, CopyError> {
        let mut names: Vec<SessionName> = Vec::new();
        loop {
            let page = self.list_sessions(None, names.last(), PAGE).await;
            let page = page.map_err(not_read("the list of sessions"))?;
            let is_last = page.len() < PAGE;
            names.extend(page.into_iter().map(|session| session.name));
            if is_last {
                return Ok(names);
            }
        }
    }

    /// The record of a session; `None` if there is none.
    pub(super) async fn record_of(
        &self,
        session: &SessionName,
    ) -> Result<Option<SessionRecord>, Refused> {
        self.sync_session(session).await?;
        Ok(self.registry().record(session))
    }

    /// A model, in memory as long as the caller has it; `None` if there is none.
    async fn model_of(&self, name: &ModelName) -> Result<Option<Arc<ModelEntry>>, Refused> {
        let known = self.registry().peek(name);
        match known {
            // Its last commits are in the log of the folder.
            Some(Some(entry)) => return Ok(Some(entry)),
            None if self.persistence.shared().is_none() => {
                return self.persistence.loss(name).map_or(Ok(None), Err);
            }
            Some(None) | None => {}
        }
        let remembered = self.config.request_ids_per_model;
        match self.persistence.load(name, remembered).await {
            Ok(entry) => Ok(Some(Arc::new(entry))),
            Err(NotRead::Gone) => Ok(None),
            Err(NotRead::Lost) => Err(self.persistence.loss(name).unwrap_or(Refused::NotRead)),
            Err(NotRead::Failed) => Err(Refused::NotRead),
        }
    }

    /// The names of at most `count` datasets of a session after `after`, in order.
    async fn dataset_names(
        &self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
    ) -> Result<Vec<DatasetName>, Refused> {
        if let Some(listed) = self.list_shared_datasets(session, after, count).await? {
            return Ok(listed.into_iter().map(|listed| listed.name).collect());
        }
        let page = self.datasets.page(Some(session), after, count).into_iter();
        Ok(page.map(|entry| entry.name.clone()).collect())
    }
}

/// Says what cannot be read.
fn not_read(name: &str) -> impl Fn(Refused) -> CopyError + Copy {
    move |cause| CopyError::NotRead {
        name: name.to_owned(),
        cause,
    }
}

/// Says what cannot be written.
fn not_written(name: &str) -> impl Fn(Refused) -> CopyError + Copy {
    move |cause| CopyError::NotWritten {
        name: name.to_owned(),
        cause,
    }
}

async fn copy_session(
    from: &Arc<Host>,
    to: &Arc<Host>,
    session: &SessionName,
    summary: &mut CopySummary,
) -> Result<(), CopyError> {
    let name = session.to_string();
    let (read, written) = (not_read(&name), not_written(&name));
    // Expired since it was listed.
    let Some(record) = from.record_of(session).await.map_err(read)? else {
        return Ok(());
    };
    match to.record_of(session).await.map_err(written)? {
        Some(there) if there == record => {}
        Some(_) => return Err(CopyError::Differs(name)),
        None => {
            let turn = to.session_turns.take(session).await;
            let put = to.persistence.put_session(session, &record, turn).await;
            put.map_err(|cause| written(cause.into()))?;
            to.adopt_session(session, record);
        }
    }
    let mut after = None;
    loop {
        let page = from.model_ids(session, after.as_ref(), PAGE).await;
        let page = page.map_err(read)?;
        for model in &page {
            let session = session.clone();
            let model = model.clone();
            copy_model(from, to, &ModelName { session, model }, summary).await?;
        }
        if page.len() < PAGE {
            break;
        }
        after = page.last().cloned();
    }
    let mut after = None;
    loop {
        let page = from.dataset_names(session, after.as_ref(), PAGE).await;
        let page = page.map_err(read)?;
        for dataset in &page {
            let copied = copy_dataset(from, to, dataset, summary).await;
            // The files of a bucket's datasets are fetched one at a time.
            from.release_dataset(dataset);
            to.release_dataset(dataset);
            copied?;
        }
        if page.len() < PAGE {
            return Ok(());
        }
        after = page.last().map(|last| last.dataset.clone());
    }
}

async fn copy_model(
    from: &Host,
    to: &Host,
    name: &ModelName,
    summary: &mut CopySummary,
) -> Result<(), CopyError> {
    let told = name.to_string();
    let (read, written) = (not_read(&told), not_written(&told));
    let Some(original) = from.model_of(name).await.map_err(read)? else {
        return Ok(());
    };
    let content = original.model.get().step_and_digest();
    if let Some(there) = to.model_of(name).await.map_err(written)? {
        if there.model.get().step_and_digest() != content {
            return Err(CopyError::Differs(told));
        }
        summary.found += 1;
        return Ok(());
    }
    let (access, made_by): (Access, _) = (original.access, original.made_by.clone());
    let copy = ModelEntry::new(
        name.clone(),
        original.model.get(),
        access,
        made_by,
        original.created,
    );
    let copy = Arc::new(copy.with_compare(original.compare));
    copy.set_updated(original.updated());
    let turn = copy.turns.persist().await.map_err(written)?;
    let kept = with_model!(copy.model.get(), model => {
        to.persistence.keep_new(&copy, &model, Arc::new(turn)).await
    });
    kept.map_err(|cause: NotStored| written(cause.into()))?;
    let remembered = to.config.request_ids_per_model;
    let back = to.persistence.load(name, remembered).await;
    let is_sound = back.is_ok_and(|back| back.model.get().step_and_digest() == content);
    if !is_sound {
        return Err(CopyError::Unsound(told));
    }
    summary.models += 1;
    Ok(())
}

async fn copy_dataset(
    from: &Host,
    to: &Host,
    original: &DatasetName,
    summary: &mut CopySummary,
) -> Result<(), CopyError> {
    let name = original.to_string();
    let (read, written) = (not_read(&name), not_written(&name));
    from.sync_dataset(original).await.map_err(read)?;
    let original = from.datasets.get(original);
    let original = original.ok_or_else(|| read(Refused::Bug))?;
    let (Some(session), Some(file)) = (&original.name.session, original.file()) else {
        return Ok(());
    };
    let opened = original.open().await.map_err(read)?;
    let digest = opened.dataset.digest();
    to.sync_dataset(&original.name).await.map_err(written)?;
    if let Some(there) = to.datasets.get(&original.name) {
        let there = there.open().await.map_err(written)?;
        if there.dataset.digest() != digest {
            return Err(CopyError::Differs(name));
        }
        summary.found += 1;
        return Ok(());
    }
    let path = to.persistence.new_dataset(session, &original.name.dataset);
    let path = path.await.map_err(|cause| written(cause.into()))?;
    let path = path.ok_or_else(|| written(Refused::Bug))?;
    let (source, target) = (file.to_owned(), path.clone());
    let copied = on_disk_thread(move || copy_file(&source, &target)).await;
    let copied = copied.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    copied.map_err(|error| written(NotStored::of(&error).into()))?;
    let created = original.created.unwrap_or(SystemTime::UNIX_EPOCH);
    let told = opened.dataset.summary();
    let shared = to
        .share_dataset(&original.name, created, &told, &path)
        .await;
    shared.map_err(|cause| written(cause.into()))?;
    let is_sound = to
        .has_dataset(&original.name, path, &digest.to_string())
        .await;
    if !is_sound.map_err(written)? {
        return Err(CopyError::Unsound(name));
    }
    summary.datasets += 1;
    Ok(())
}

/// Copies a file durably: the name appears when the content is there.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut partial = to.as_os_str().to_owned();
    partial.push(".tmp");
    fs::copy(from, &partial)?;
    fs::File::open(&partial)?.sync_all()?;
    fs::rename(&partial, to)?;
    to.parent()
        .map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

impl Host {
    /// Adds the file of a dataset to the catalogue, and whether it has this digest, every byte read.
    async fn has_dataset(
        &self,
        name: &DatasetName,
        path: std::path::PathBuf,
        digest: &str,
    ) -> Result<bool, Refused> {
        let Some(session) = &name.session else {
            return Ok(false);
        };
        self.datasets.found(session, name.dataset.clone(), path);
        let entry = self.datasets.get(name).ok_or(Refused::Bug)?;
        let opened = entry.open().await?;
        Ok(opened.dataset.digest().to_string() == digest && entry.damage().is_none())
    }
}
