//! The commit of a model to the shared store.

use std::io;
use std::sync::Arc;

use backpropd_bucket::{Commit, Create, Encode, MARK_ENTRY, Mark, Seen};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{SharedStore, unknown};
use crate::host::disk_thread::on_disk_thread;
use crate::host::durability::about;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::NotStored;
use crate::nn::Scalar;
use crate::store::Anchor;
use crate::training::snapshot::{self, About};
use crate::training::{Model, Revision};

/// Models above this size, in bytes, are encoded on a thread of their own.
const LARGEST_INLINE: usize = 32 << 10;

/// A state of a model to be written.
struct Content<T> {
    model: Arc<Model<T>>,
    revision: Revision<T>,
    about: About,
}

impl<T: Scalar> Content<T> {
    fn encode(
        model: &Model<T>,
        revision: &Revision<T>,
        about: &About,
        mark: String,
    ) -> io::Result<Bytes> {
        let bytes = snapshot::encode_with(model.spec(), revision, about, Some((MARK_ENTRY, mark)));
        bytes.map(Bytes::from).map_err(io::Error::other)
    }
}

impl<T: Scalar> Encode for Content<T> {
    fn encode<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            let mark = serde_json::to_string(mark).map_err(io::Error::other)?;
            if self.model.spec().state_bytes() <= LARGEST_INLINE {
                return Self::encode(&self.model, &self.revision, &self.about, mark);
            }
            let (model, about) = (Arc::clone(&self.model), self.about.clone());
            let revision = self.revision.clone();
            let encode = move || Self::encode(&model, &revision, &about, mark);
            on_disk_thread(encode).await.map_err(io::Error::other)?
        })
    }
}

impl SharedStore {
    /// Writes a new model, unless one of the name exists. The caller holds the turn to change it.
    ///
    /// # Errors
    /// Another node has created a model of this name or deleted the session; the store does not answer.
    pub async fn create<T: Scalar>(
        &self,
        entry: &ModelEntry,
        model: &Arc<Model<T>>,
    ) -> Result<(), NotStored> {
        let mut seen = entry.shared.lock().await;
        let name = &entry.name;
        let generation = self.generation(&name.session).ok_or(NotStored::Moved)?;
        let content = content(entry, model);
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let sent = Instant::now();
        let create = self
            .bucket
            .create_model(&session, generation, &id, &content);
        match self.reached(create).await? {
            Create::Created(new) => {
                note_stored(entry, &content.revision, &mut seen, new, sent);
                Ok(())
            }
            // Overtaken: durable, and another node has trained it already.
            Create::Taken(_) | Create::Overtaken(_) => Err(NotStored::Moved),
            Create::NoSession => {
                // The next call looks at the session again.
                self.forget_session(&name.session);
                Err(NotStored::Moved)
            }
            Create::Unknown(error) => Err(unknown(&error)),
        }
    }

    /// Writes a model over the version that this node has, and returns the written state. The caller holds the turn to
    /// change it.
    ///
    /// # Errors
    /// Another node has written or deleted the model, or the store does not tell whether it has the commit. This node's
    /// copy is dropped, so that the next call reads the model anew.
    pub async fn commit<T: Scalar>(
        &self,
        entry: &ModelEntry,
        model: &Arc<Model<T>>,
    ) -> Result<Revision<T>, NotStored> {
        let mut seen = entry.shared.lock().await;
        let before = match &*seen {
            Some(before) if !entry.deleted.is_cancelled() => before,
            Some(_) | None => {
                self.note_moved(entry);
                return Err(NotStored::Moved);
            }
        };
        let content = content(entry, model);
        let name = &entry.name;
        let (session, id) = (name.session.0.to_string(), name.model.to_string());
        let sent = Instant::now();
        let commit = self.bucket.commit_model(&session, before, &id, &content);
        let committed = self.reached(commit).await;
        match committed.inspect_err(|_| self.note_moved(entry))? {
            Commit::Stored(new) => {
                note_stored(entry, &content.revision, &mut seen, new, sent);
                Ok(content.revision)
            }
            Commit::Overtaken => {
                // Acknowledged, and out of date already.
                self.note_moved(entry);
                Ok(content.revision)
            }
            Commit::Moved => {
                self.note_moved(entry);
                Err(NotStored::Moved)
            }
            Commit::Unknown(error) => {
                self.note_moved(entry);
                Err(unknown(&error))
            }
        }
    }
}

fn content<T: Scalar>(entry: &ModelEntry, model: &Arc<Model<T>>) -> Content<T> {
    Content {
        model: Arc::clone(model),
        revision: model.revision(),
        about: about(entry),
    }
}

fn note_stored<T: Scalar>(
    entry: &ModelEntry,
    revision: &Revision<T>,
    seen: &mut Option<Seen>,
    new: Seen,
    sent: Instant,
) {
    *seen = Some(new);
    entry.shared.checked().note(sent);
    note_whole(entry, revision.committed.step);
}

/// Notes that the store has a model at this step, whole like a file. The anchor of a file matters to a log alone, and there
/// is none.
pub(super) fn note_whole(entry: &ModelEntry, step: u64) {
    entry.committed(|on_disk| on_disk.filed(step, Anchor::of(&[])));
}
