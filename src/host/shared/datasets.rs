//! Datasets of the shared store: their files are fetched when a call first names them, and kept in a folder of this
//! node until it stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use backpropd_bucket::{self as bucket, Create, Read, Seen};
use backpropd_datasets::Summary;
use tokio::time::Instant;

use super::copy::DatasetCopy;
use super::{SharedStore, unknown, unreachable};
use crate::host::Host;
use crate::host::datasets::{About, ListedDataset, Outline};
use crate::host::refused::{NotStored, Refused};
use crate::training::{DatasetName, Id, SessionName};

impl Host {
    /// Makes this node's copy of a dataset current, if it shares them with other nodes.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sync_dataset(&self, name: &DatasetName) -> Result<(), Refused> {
        let (Some(shared), Some(session)) = (self.persistence.shared(), &name.session) else {
            return Ok(());
        };
        let Some(generation) = shared.generation(session) else {
            return Ok(());
        };
        if shared.has_fresh_dataset(name) {
            return Ok(());
        }
        // One call fetches it, and those that come meanwhile wait for that.
        let _turn = shared.fetches.take(name).await;
        if shared.has_fresh_dataset(name) {
            return Ok(());
        }
        let copy = shared.datasets().get(name).cloned();
        let (id, dataset) = (session.0.to_string(), name.dataset.to_string());
        let before = copy.as_ref().map(|copy| &copy.seen);
        let sent = Instant::now();
        let read = shared
            .bucket
            .read_dataset(&id, generation, &dataset, before)
            .await;
        match read.map_err(|error| unreachable(&error))? {
            Read::Unchanged => {
                if let Some(copy) = copy {
                    copy.checked.note(sent);
                }
                Ok(())
            }
            Read::Missing => {
                self.forget_dataset(shared, name, session);
                Ok(())
            }
            Read::Found(object) => {
                self.forget_dataset(shared, name, session);
                let path = shared.new_path();
                let fetched = shared
                    .bucket
                    .fetch_dataset(&id, generation, &dataset, &path)
                    .await;
                if fetched.map_err(|error| unreachable(&error))? {
                    self.datasets
                        .found(session, name.dataset.clone(), path.clone());
                    shared.note_dataset(name, object.seen, path, sent);
                    self.note_datasets(session);
                }
                Ok(())
            }
        }
    }

    fn forget_dataset(&self, shared: &SharedStore, name: &DatasetName, session: &SessionName) {
        shared.datasets().remove(name);
        if let Some(entry) = self.datasets.get(name) {
            entry.deleted.cancel();
            self.datasets.remove(name);
            self.note_datasets(session);
        }
    }

    /// The datasets of a session in the store, at most `count` after `after`; `None` if this node shares none. Fetches no
    /// file.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn list_shared_datasets(
        &self,
        session: &SessionName,
        after: Option<&Id>,
        count: usize,
    ) -> Result<Option<Vec<ListedDataset>>, Refused> {
        let Some(shared) = self.persistence.shared() else {
            return Ok(None);
        };
        let Some(generation) = shared.generation(session) else {
            return Ok(Some(Vec::new()));
        };
        let (id, after) = (session.0.to_string(), after.map(Id::to_string));
        let listed = shared
            .bucket
            .list_datasets(&id, generation, after.as_deref(), count)
            .await;
        let listed = listed.map_err(|error| unreachable(&error))?;
        let listed = listed.into_iter();
        Ok(Some(
            listed
                .filter_map(|found| listed_of(session, &found))
                .collect(),
        ))
    }

    /// Drops this node's copy of a dataset, if it shares them with other nodes: the next use fetches it again.
    pub fn release_dataset(&self, name: &DatasetName) {
        if let (Some(shared), Some(session)) = (self.persistence.shared(), &name.session) {
            self.forget_dataset(shared, name, session);
        }
    }

    /// Stores a dataset whose file is complete, if this node shares datasets with others.
    ///
    /// # Errors
    /// Another node has created a dataset of this name or deleted the session; the store does not answer.
    pub async fn share_dataset(
        &self,
        name: &DatasetName,
        created: SystemTime,
        summary: &Summary,
        path: &Path,
    ) -> Result<(), NotStored> {
        let (Some(shared), Some(session)) = (self.persistence.shared(), &name.session) else {
            return Ok(());
        };
        let generation = shared.generation(session).ok_or(NotStored::Moved)?;
        let (id, dataset) = (session.0.to_string(), name.dataset.to_string());
        let outline = Outline::from(summary);
        let digest = outline.digest.clone();
        let about = serde_json::to_string(&About { created, outline });
        let about = about.map_err(|error| NotStored::of(&error.into()))?;
        let sent = Instant::now();
        let created = shared
            .bucket
            .create_dataset(&id, generation, &dataset, &digest, &about, path)
            .await;
        match created {
            Create::Created(seen) => {
                shared.note_dataset(name, seen, path.to_owned(), sent);
                Ok(())
            }
            Create::Taken(_) | Create::Overtaken(_) | Create::NoSession => Err(NotStored::Moved),
            Create::Unknown(error) => Err(unknown(&error)),
        }
    }
}

/// A dataset of the store in a list; `None` if its id is none.
fn listed_of(session: &SessionName, found: &bucket::ListedDataset) -> Option<ListedDataset> {
    let name = DatasetName {
        session: Some(session.clone()),
        dataset: Id::parse(&found.id)?,
    };
    let about = serde_json::from_str::<About>(&found.about);
    let about = about.inspect_err(|error| {
        tracing::error!(dataset = %name, %error, "the shared store has no description of a dataset that can be read");
    });
    let (created, outline) = about
        .ok()
        .map(|about| (about.created, about.outline))
        .unzip();
    Some(ListedDataset {
        name,
        created,
        outline,
    })
}

impl SharedStore {
    fn has_fresh_dataset(&self, name: &DatasetName) -> bool {
        let copy = self.datasets().get(name).cloned();
        copy.is_some_and(|copy| copy.checked.is_fresh(self.trust))
    }

    /// A path of this node for the file of a dataset.
    pub fn new_path(&self) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.folder
            .path()
            .join(format!("{number}.dataset.safetensors"))
    }

    fn note_dataset(&self, name: &DatasetName, seen: Seen, path: PathBuf, sent: Instant) {
        let copy = DatasetCopy::of(seen, path, sent);
        self.datasets().insert(name.clone(), Arc::new(copy));
    }

    /// Deletes a dataset.
    ///
    /// # Errors
    /// The store does not answer; retrying is safe.
    pub async fn delete_dataset(
        &self,
        session: &SessionName,
        dataset: &Id,
    ) -> Result<(), NotStored> {
        let generation = self.generation(session).ok_or(NotStored::Moved)?;
        let (id, dataset_id) = (session.0.to_string(), dataset.to_string());
        let deleted = self
            .bucket
            .delete_dataset(&id, generation, &dataset_id)
            .await;
        deleted.map_err(|error| unknown(&error))?;
        let name = DatasetName {
            session: Some(session.clone()),
            dataset: dataset.clone(),
        };
        self.datasets().remove(&name);
        Ok(())
    }
}
