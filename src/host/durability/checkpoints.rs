//! From the log into files: what was committed in a hurry is put into its file a while later, and at the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::host::Host;
use crate::host::models::handle::{ModelEntry, WriteTurn};
use crate::host::refused::NotStored;
use crate::host::tags::ModelTag;

/// The log is looked after this often.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Files that are written at once: enough for the disk to gather them, and few beside the calls.
const AT_ONCE: usize = 8;

impl Host {
    /// Puts commits that have been in the log for `commit_seconds` into their files, and removes what is left of the
    /// log; for ever.
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
                    // Whoever writes it now is not to wait: a newer commit frees this one, or a later look finds the
                    // model's turn free, or so much of it is in the log that it is written whole.
                    if let Some(turn) = entry.turn_if_free()
                        && let Err(not_stored) = self.persistence.checkpoint(&entry, Arc::new(turn)).await
                    {
                        tracing::error!(model = %ModelTag(&entry.name), ?not_stored, "it stays in the log");
                    }
                })
                .await;
        }
    }

    /// Writes down what was acknowledged from memory, and puts all that is in the log into files.
    pub async fn file_all(&self) {
        let models = self.registry().every_model();
        stream::iter(models)
            .for_each_concurrent(AT_ONCE, |entry| self.file_last(entry))
            .await;
        self.persistence.tend_log(Duration::ZERO).await;
    }

    /// Puts all of a model whose session expires into its file, so that the folder can be moved with everything that was
    /// acknowledged. Returns the turn to change the model: while it is held nothing is added.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn file_expired(&self, entry: &Arc<ModelEntry>) -> Result<Arc<WriteTurn>, NotStored> {
        let turn = entry.turn_to_store().await;
        let turn = Arc::new(turn.map_err(|_| NotStored::Failed)?);
        self.persistence
            .checkpoint(entry, Arc::clone(&turn))
            .await?;
        Ok(turn)
    }

    async fn file_last(&self, entry: Arc<ModelEntry>) {
        let Ok(turn) = entry.turn_to_store().await else {
            return;
        };
        let is_behind = entry.is_behind();
        if let Err(not_stored) = self.persistence.checkpoint(&entry, Arc::new(turn)).await {
            let model = ModelTag(&entry.name);
            if is_behind {
                tracing::error!(%model, ?not_stored, "its last steps are lost");
            } else {
                tracing::error!(%model, ?not_stored, "it stays in the log");
            }
        }
    }
}
