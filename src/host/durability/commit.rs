//! The commit of a model: in the log where that takes it (`commit_to_log`), else in the model's file (`commit_to_file`), else
//! taken back.

use std::sync::Arc;

use super::commit_to_file::write_file;
use super::persistence::Persistence;
use super::redo_budget::ReplayPlan;
use crate::host::models::any_model::with_model;
use crate::host::models::handle::ModelEntry;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::NotStored;
use crate::nn::Scalar;
use crate::store::Storage;
use crate::training::{Model, Revision};

impl Persistence {
    /// Writes a new model to its file, even if a deletion is already waiting. `turn` is the turn to change the model.
    ///
    /// # Errors
    /// The disk write fails.
    pub async fn keep_new<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        let folder = match self {
            Self::Memory => return Ok(()),
            Self::Folder(folder) => folder,
            Self::Shared(shared) => return shared.create(entry, model).await,
        };
        let (entry, model) = (Arc::clone(entry), Arc::clone(model));
        let write = move |store: &dyn Storage| {
            let _turn = turn;
            write_file(store, &entry, &model).map(drop)
        };
        folder.with_store(write).await
    }

    /// Writes a model to its file unless it is deleted; returns the written state, if any. `turn` is the turn to change
    /// the model, held until the write is done, even if the caller has left. A run may continue meanwhile.
    ///
    /// # Errors
    /// The disk write fails; the last commit stays in place.
    pub async fn put_model<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        model: &Arc<Model<T>>,
        turn: Arc<WriteTurn>,
    ) -> Result<Option<Revision<T>>, NotStored> {
        let folder = match self {
            Self::Memory => return Ok(None),
            Self::Folder(folder) => folder,
            Self::Shared(shared) => return shared.commit(entry, model).await.map(Some),
        };
        let (entry, model) = (Arc::clone(entry), Arc::clone(model));
        let write = move |store: &dyn Storage| {
            let _turn = turn;
            if entry.deleted.is_cancelled() {
                return Ok(None);
            }
            write_file(store, &entry, &model).map(Some)
        };
        folder.with_store(write).await
    }

    /// Makes the changes to a model since `before` durable, or rolls them back. `turn` is the turn to change it;
    /// `replay` says how to replay the changes, if known.
    ///
    /// # Errors
    /// The disk write fails; the model is in its previous state.
    pub async fn commit<T: Scalar>(
        &self,
        entry: &Arc<ModelEntry>,
        turn: &Arc<WriteTurn>,
        model: &Arc<Model<T>>,
        before: Revision<T>,
        replay: Option<ReplayPlan<T>>,
    ) -> Result<(), NotStored> {
        if let Some(folder) = self.folder()
            && folder.log(entry, model, turn, &before, replay).await
        {
            return Ok(());
        }
        let stored = self.put_model(entry, model, Arc::clone(turn)).await;
        if stored.is_err() {
            model.restore(before);
        }
        stored.map(|_| ())
    }

    /// Writes everything acknowledged of a model to its file, unless the file has it already. `turn` is the turn to
    /// change the model.
    ///
    /// # Errors
    /// The disk write fails; the log keeps its commits.
    pub async fn checkpoint(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        let is_due = entry.is_behind() || entry.is_logged();
        self.put_if(is_due, entry, turn).await
    }

    /// Persists what was acknowledged from memory, unless that is done. `turn` is the turn to change the model.
    ///
    /// # Errors
    /// The disk write fails; the model is unchanged.
    pub async fn catch_up(
        &self,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        self.put_if(entry.is_behind(), entry, turn).await
    }

    async fn put_if(
        &self,
        is_due: bool,
        entry: &Arc<ModelEntry>,
        turn: Arc<WriteTurn>,
    ) -> Result<(), NotStored> {
        if !self.is_on() || !is_due || entry.deleted.is_cancelled() {
            return Ok(());
        }
        with_model!(entry.model.get(), model => self.put_model(entry, &model, turn).await.map(|_| ()))
    }
}
