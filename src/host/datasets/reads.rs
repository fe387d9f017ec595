//! GetDataset and ListDatasets.

use std::sync::Arc;

use super::entry::{DatasetEntry, DatasetState};
use super::outline::ListedDataset;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::training::{DatasetName, Id, SessionName};

impl Host {
    /// Finds a dataset, and renews its session's lease.
    ///
    /// # Errors
    /// No such session or dataset.
    pub async fn find_dataset(
        &self,
        caller: &Caller,
        name: &DatasetName,
    ) -> Result<Arc<DatasetEntry>, Refused> {
        caller.note(|| Resource::Dataset(name.clone()));
        if let Some(session) = &name.session {
            self.admit(caller, session).await?;
            self.registry().session(session, self.now())?;
            self.sync_dataset(name).await?;
        }
        let entry = self.datasets.get(name);
        entry.ok_or_else(|| Refused::NoDataset(name.clone()))
    }

    /// Describes a dataset.
    ///
    /// # Errors
    /// No such dataset; its file cannot be read.
    pub async fn describe_dataset(
        &self,
        caller: &Caller,
        name: &DatasetName,
    ) -> Result<DatasetState, Refused> {
        let entry = self.find_dataset(caller, name).await?;
        let opened = entry.open().await?;
        Ok(DatasetState::of(entry, &opened))
    }

    /// A page of the shared datasets, or of a session's: at most `size` after the id `after`, and the id after which the
    /// next page begins. None is opened. Datasets whose header cannot be read are left out; a request for one of them says
    /// why.
    ///
    /// # Errors
    /// No such session.
    pub async fn page_of_datasets(
        &self,
        caller: &Caller,
        session: Option<&SessionName>,
        after: Option<&Id>,
        size: usize,
    ) -> Result<(Vec<ListedDataset>, Option<Id>), Refused> {
        if let Some(session) = session {
            self.admit(caller, session).await?;
            self.registry().session(session, self.now())?;
            if let Some(mut page) = self.list_shared_datasets(session, after, size + 1).await? {
                let next = page.get(size).and_then(|_| page.get(size - 1));
                let next = next.map(|last| last.name.dataset.clone());
                page.truncate(size);
                return Ok((page, next));
            }
        }
        let mut entries = self.datasets.page(session, after, size + 1);
        let next = entries.get(size).and_then(|_| {
            let last = entries.get(size - 1);
            last.map(|entry| entry.name.dataset.clone())
        });
        entries.truncate(size);
        let mut page = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Ok(listed) = ListedDataset::of(&entry).await {
                page.push(listed);
            }
        }
        Ok((page, next))
    }
}
