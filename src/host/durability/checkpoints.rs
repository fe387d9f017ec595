//! Checkpoints: commits in the log are moved into the models' files after a while and at shutdown.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::host::Host;
use crate::host::models::handle::ModelEntry;
use crate::host::models::write_turn::WriteTurn;
use crate::host::refused::NotStored;
use crate::host::tags::ModelTag;

/// Interval between two passes over the log.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Files written concurrently: enough for the disk to batch them, yet few compared to the calls.
const AT_ONCE: usize = 8;

impl Host {
    /// Moves commits that are older than `commit_seconds` from the log into files, and removes segments that are no
    /// longer needed; runs forever.
    pub async fn tend_log(&self) {
        let patience = Duration::from_secs(self.config.commit_seconds);
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            if !self.persistence.tend_log(patience).await {
                continue;
            }
            let models = self.registry().every_model();
            let due = models.into_iter().filter(|entry| entry.is_to_be_filed());
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |entry| async move {
                    // Do not queue behind a writer: its newer commit invalidates this one, or a later pass finds the
                    // turn free, or the model exceeds its share of the log and is written whole.
                    if let Some(turn) = entry.turns.persist_if_free()
                        && let Err(not_stored) = self.persistence.checkpoint(&entry, Arc::new(turn)).await
                    {
                        let model = ModelTag(&entry.name);
                        tracing::error!(%model, ?not_stored, "a checkpoint failed; the commits stay in the log");
                    }
                })
                .await;
        }
    }

    /// Persists what was acknowledged from memory, and moves all commits from the log into files.
    pub async fn file_all(&self) {
        let models = self.registry().every_model();
        stream::iter(models)
            .for_each_concurrent(AT_ONCE, |entry| self.file_last(entry))
            .await;
        self.persistence.tend_log(Duration::ZERO).await;
    }

    /// Writes everything acknowledged of a model in an expired session into its file, so that the folder can be moved.
    /// Returns the turn to change the model: no commit is added while it is held.
    ///
    /// # Errors
    /// The disk write fails.
    pub async fn file_expired(&self, entry: &Arc<ModelEntry>) -> Result<Arc<WriteTurn>, NotStored> {
        let turn = entry.turns.persist().await;
        let turn = Arc::new(turn.map_err(|_| NotStored::Failed)?);
        self.persistence
            .checkpoint(entry, Arc::clone(&turn))
            .await?;
        Ok(turn)
    }

    async fn file_last(&self, entry: Arc<ModelEntry>) {
        let Ok(turn) = entry.turns.persist().await else {
            return;
        };
        let is_behind = entry.is_behind();
        if let Err(not_stored) = self.persistence.checkpoint(&entry, Arc::new(turn)).await {
            let model = ModelTag(&entry.name);
            if is_behind {
                tracing::error!(%model, ?not_stored, "a checkpoint failed; the model's last steps are lost");
            } else {
                tracing::error!(%model, ?not_stored, "a checkpoint failed; the model's commits stay in the log");
            }
        }
    }
}
