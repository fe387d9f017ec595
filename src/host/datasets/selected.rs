//! Selected rows of a dataset as samples.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use backpropd_datasets::{Dataset, Split, TruthRows, TruthSlices};

use super::entry::{DatasetEntry, Opened, without_path};
use super::fit::check_fit;
use crate::fault::Violations;
use crate::host::parts::dataset_rows::DatasetRows;
use crate::nn::batch::check_target_values;
use crate::nn::pauses::Pauses;
use crate::nn::{BatchRef, Loss, MinibatchBuffers, Samples, SamplesError, Scalar, TargetsRef};
use crate::training::{DatasetReference, Selection, Spec};

/// Rows that are checked between two pauses.
const CHECKED_AT_ONCE: usize = 1024;

/// Which rows, in order.
#[derive(Debug)]
enum Rows {
    Range(Range<usize>),
    Some(Vec<usize>),
}

/// Rows of a dataset.
#[derive(Debug)]
struct Selected {
    /// With constants if it is standardized.
    dataset: Dataset,
    /// Counts its memory.
    _opened: Opened,
    rows: Rows,
    standardize: bool,
}

/// The samples that a record names.
///
/// # Errors
/// The dataset is another one by now, or does not fit.
pub fn recorded<T: Scalar>(
    entry: &DatasetEntry,
    reference: &DatasetReference,
    spec: &Spec,
) -> Result<Arc<dyn Samples<T>>, String> {
    let opened = entry.open_now()?;
    let digest = opened.dataset.digest().to_string();
    if digest != reference.digest {
        return Err(format!(
            "{} has the digest {digest}, the run was on {}",
            entry.name, reference.digest
        ));
    }
    check_fit(spec, &opened.dataset).map_err(|violations| violations.to_string())?;
    let rows = rows_of(reference.selection, &opened.dataset).map_err(|v| v.to_string())?;
    let dataset = match reference.standardize {
        true => opened.standardized()?,
        false => opened.dataset.clone(),
    };
    Ok(Arc::new(Selected {
        dataset,
        _opened: opened,
        rows,
        standardize: reference.standardize,
    }))
}

/// The rows that a request names, if they fit the model, and what a record says of them.
///
/// # Errors
/// Rows or targets that do not fit.
pub async fn select<T: Scalar>(
    entry: &DatasetEntry,
    (opened, dataset): (Opened, Dataset),
    asked: &DatasetRows,
    spec: &Spec,
    pauses: &impl Pauses,
) -> Result<(Arc<dyn Samples<T>>, DatasetReference), Violations> {
    let mut violations = Violations::new();
    violations.take_own(check_fit(spec, &opened.dataset));
    let rows = violations.take_at("dataset", rows_of(asked.selection, &opened.dataset));
    let rows = violations.into_result(rows)?;
    let reference = DatasetReference {
        dataset: entry.name.to_string(),
        digest: opened.dataset.digest().to_string(),
        selection: asked.selection,
        standardize: asked.standardize,
    };
    let selected = Selected {
        dataset,
        _opened: opened,
        rows,
        standardize: asked.standardize,
    };
    check_values::<T>(&selected, spec, pauses).await?;
    Ok((Arc::new(selected), reference))
}

fn rows_of(selection: Selection, dataset: &Dataset) -> Result<Rows, Violations> {
    let all = dataset.rows();
    let mut violations = Violations::new();
    let rows = match selection {
        Selection::All => Rows::Range(0..all),
        Selection::Range { start, end } => {
            // Absent, the end is the last row.
            let end = if end == usize::MAX { all } else { end };
            if start >= end || end > all {
                let given = format!("rows {start} to {end}");
                let allowed = format!("0 <= start < end <= {all}, the rows of the dataset");
                violations.add("range", given, allowed);
            }
            Rows::Range(start..end)
        }
        Selection::Split {
            held_out,
            seed,
            is_held_out,
        } => {
            if all < 2 {
                violations.add("split", "a dataset of one row", "at least 2 rows");
            }
            let split = violations.take_at("split", Split::new(seed, held_out));
            let parts = split.map(|split| split.parts(dataset));
            let part = parts.map(|parts| match is_held_out {
                true => parts.held_out,
                false => parts.train,
            });
            Rows::Some(part.unwrap_or_default())
        }
    };
    violations.into_result(Some(rows))
}

/// Checks the targets of a loss that does not take every number.
async fn check_values<T: Scalar>(
    selected: &Selected,
    spec: &Spec,
    pauses: &impl Pauses,
) -> Result<(), Violations> {
    let takes_all = match spec.objective.loss {
        Loss::HalfSquaredError | Loss::MeanSquaredError => true,
        Loss::CrossEntropy | Loss::BinaryCrossEntropy => false,
    };
    if takes_all || selected.dataset.labels().is_some() {
        return Ok(());
    }
    let n = spec.architecture.output_size();
    let all: Vec<usize> = (0..Samples::<T>::rows(selected)).collect();
    let mut buffers = MinibatchBuffers::<T>::new();
    for rows in all.chunks(CHECKED_AT_ONCE) {
        buffers.clear();
        let mut violations = Violations::new();
        if let Err(error) = selected.fetch(rows, &mut buffers) {
            violations.add("dataset", error, "a dataset that can be read");
        }
        if let TargetsRef::Values(values) = buffers.view(rows.len()).targets {
            let first = rows.first().copied().unwrap_or_default();
            check_target_values(
                spec.objective.loss,
                "dataset",
                n,
                values,
                first,
                &mut violations,
            );
        }
        violations.into_result(Some(()))?;
        pauses.pause().await;
    }
    Ok(())
}

impl Selected {
    /// The rows of the dataset at these places of the selection.
    fn places<'a>(&self, rows: &'a [usize]) -> Cow<'a, [usize]> {
        match &self.rows {
            Rows::Range(range) if range.start == 0 => Cow::Borrowed(rows),
            Rows::Range(range) => rows.iter().map(|row| range.start + row).collect(),
            Rows::Some(some) => rows.iter().map(|row| some[*row]).collect(),
        }
    }
}

impl<T: Scalar> Samples<T> for Selected {
    fn rows(&self) -> usize {
        match &self.rows {
            Rows::Range(rows) => rows.len(),
            Rows::Some(rows) => rows.len(),
        }
    }

    fn whole(&self) -> Option<BatchRef<'_, T>> {
        let Rows::Range(rows) = &self.rows else {
            return None;
        };
        if self.standardize {
            return None;
        }
        let dataset = &self.dataset;
        let (inputs, truth) = dataset.whole::<T>()?;
        let columns = dataset.features();
        Some(BatchRef {
            inputs: &inputs[rows.start * columns..rows.end * columns],
            targets: match truth {
                TruthSlices::Labels(labels) => TargetsRef::Labels(&labels[rows.clone()]),
                TruthSlices::Targets(targets) => {
                    let n = dataset.truth().target_columns();
                    TargetsRef::Values(&targets[rows.start * n..rows.end * n])
                }
            },
            rows: rows.len(),
        })
    }

    fn fetch(&self, rows: &[usize], into: &mut MinibatchBuffers<T>) -> Result<(), SamplesError> {
        let (inputs, values, labels) = into.parts();
        let mut truth = TruthRows {
            labels: std::mem::take(labels),
            targets: std::mem::take(values),
        };
        let (dataset, rows) = (&self.dataset, self.places(rows));
        let copied = dataset.copy_rows(&rows, self.standardize, inputs, &mut truth);
        *labels = truth.labels;
        *values = truth.targets;
        copied.map_err(|error| SamplesError(without_path(&error)))
    }

    fn announce(&self, rows: &[usize]) {
        if !self.dataset.is_in_memory() {
            self.dataset.announce(&self.places(rows));
        }
    }
}
