//! DeleteDataset.

use std::sync::Arc;

use super::entry::DatasetEntry;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::training::{DatasetName, SessionName};

impl Host {
    /// Deletes a dataset of a session. Runs on it stop after their current step.
    ///
    /// # Errors
    /// A shared dataset; no such session or dataset; the disk refuses, and the dataset remains.
    pub async fn delete_dataset(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        name: &DatasetName,
    ) -> Result<(), Refused> {
        let Some(session) = name.session.clone() else {
            return Err(Refused::SharedDataset(name.clone()));
        };
        let (host, caller, name) = (Arc::clone(self), Arc::clone(caller), name.clone());
        self.finish(async move {
            let entry = host.find_dataset(&caller, &name).await?;
            host.remove_dataset(&session, &entry).await
        })
        .await
    }

    /// Tells the registry how many datasets a session has.
    pub fn note_datasets(&self, session: &SessionName) {
        let count = self.datasets.count(session);
        self.registry().note_datasets(session, count);
    }

    async fn remove_dataset(
        self: &Arc<Self>,
        session: &SessionName,
        entry: &DatasetEntry,
    ) -> Result<(), Refused> {
        // From here on no run begins on it, and those in progress stop.
        entry.deleted.cancel();
        // The log may hold runs on it, which could not be replayed without it.
        let models = self.registry().all_models(session);
        for model in models.iter().filter(|model| model.is_logged()) {
            let turn = Arc::new(model.turns.persist().await?);
            self.persistence.checkpoint(model, turn).await?;
        }
        let name = &entry.name;
        self.persistence
            .delete_dataset(session, &name.dataset)
            .await?;
        self.datasets.remove(name);
        self.note_datasets(session);
        Ok(())
    }
}
