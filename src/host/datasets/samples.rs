//! Rows of a dataset for a call on a model.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::selected::select;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::disk_thread::on_disk_thread;
use crate::host::models::any_model::ModelScalar;
use crate::host::parts::dataset_rows::DatasetRows;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::nn::{Batch, BatchRef, MinibatchBuffers, Samples, SamplesError, Scalar};
use crate::training::{DatasetName, DatasetReference, Model, Selection, SessionName, Spec};

/// Rows of a dataset that fit a model.
pub struct Found<T> {
    /// The rows.
    pub samples: Arc<dyn Samples<T>>,
    /// What a record says of them.
    pub reference: DatasetReference,
    /// Cancelled when the dataset is deleted.
    pub deleted: CancellationToken,
}

impl<T: Scalar> Found<T> {
    /// In place of a dataset that no longer exists, for a request whose outcome is known.
    pub fn gone(name: &DatasetName) -> Self {
        let reference = DatasetReference {
            dataset: name.to_string(),
            digest: String::new(),
            selection: Selection::All,
            standardize: false,
        };
        Self {
            samples: Arc::new(Gone),
            reference,
            deleted: CancellationToken::new(),
        }
    }
}

/// Samples that cannot be fetched.
#[derive(Debug)]
struct Gone;

impl<T: Scalar> Samples<T> for Gone {
    fn rows(&self) -> usize {
        1
    }

    fn whole(&self) -> Option<BatchRef<'_, T>> {
        None
    }

    fn fetch(&self, _: &[usize], _: &mut MinibatchBuffers<T>) -> Result<(), SamplesError> {
        Err(SamplesError("the dataset was deleted".to_owned()))
    }
}

impl Host {
    /// The rows that a call on a model of `session` names; `None` for a network in the request.
    ///
    /// # Errors
    /// No such dataset; one of another session; rows or targets that do not fit; a file that cannot be read.
    pub async fn find_rows<T: ModelScalar>(
        &self,
        caller: &Caller,
        session: Option<&SessionName>,
        asked: &DatasetRows,
        spec: &Spec,
    ) -> Result<Found<T>, Refused> {
        let name = &asked.name;
        if let (Some(session), Some(own)) = (session, &name.session)
            && session != own
        {
            // Another person's dataset answers as in every method.
            caller.note(|| Resource::Dataset(name.clone()));
            self.admit(caller, own).await?;
            let mut violations = Violations::new();
            let allowed = format!("a shared one, or one of {session}, the model's session");
            violations.add("dataset.dataset", name, allowed);
            return Err(violations.into());
        }
        let entry = self.find_dataset(caller, name).await?;
        let opened = caller.deadline.limit(entry.open()).await?;
        let source = if asked.standardize {
            let standardized = opened.clone();
            let standardized = on_disk_thread(move || standardized.standardized()).await;
            let standardized = standardized.unwrap_or_else(|panic| Err(panic.to_string()));
            standardized.map_err(|error| Refused::DatasetUnreadable {
                name: name.clone(),
                error,
            })?
        } else {
            opened.dataset.clone()
        };
        let (asked, spec, selected) = (asked.clone(), spec.clone(), Arc::clone(&entry));
        // The rows of a split are found in one pass over the labels.
        let work = 64 * opened.dataset.rows() as u64;
        let find = |turns| async move {
            let source = (opened, source);
            select::<T>(&selected, source, &asked, &spec, &turns).await
        };
        let (samples, reference) = self.compute_in_blocks(caller, work, find).await?.0?;
        Ok(Found {
            samples,
            reference,
            deleted: entry.deleted.clone(),
        })
    }
}

impl Host {
    /// Rows of a dataset as a batch, for a call that reads a model.
    ///
    /// # Errors
    /// As [`Host::find_rows`]; too many rows, no memory for them.
    pub async fn fetch_batch<T: ModelScalar>(
        &self,
        caller: &Caller,
        model: &Model<T>,
        asked: &DatasetRows,
    ) -> Result<Batch<T>, Refused> {
        let found = self.find_rows::<T>(caller, None, asked, model.spec());
        let samples = found.await?.samples;
        let (rows, most) = (samples.rows(), self.config.max_batch_rows);
        let mut violations = Violations::new();
        if rows > most {
            let allowed = format!("at most {most} rows; name a range, and make several calls");
            violations.add("dataset", format!("{rows} rows"), allowed);
        }
        violations.into_result(Some(()))?;
        let architecture = &model.spec().architecture;
        let columns = architecture.input_size();
        let entries = rows.saturating_mul(columns + architecture.output_size());
        caller.hold(entries.saturating_mul(size_of::<T>()))?;
        let fetched = on_disk_thread(move || {
            let mut buffers = MinibatchBuffers::new();
            match samples.whole() {
                Some(whole) => buffers.append(whole),
                None => samples.fetch(&(0..rows).collect::<Vec<_>>(), &mut buffers)?,
            }
            Ok::<_, SamplesError>(Batch::of_checked(buffers, columns))
        });
        let fetched = fetched.await.map_err(|_| Refused::Bug)?;
        fetched.map_err(|error| Refused::DatasetUnreadable {
            name: asked.name.clone(),
            error: error.0,
        })
    }
}
