//! The samples of a run: those of its request, or rows of a dataset that the request names.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::DatasetName;
use super::spec::Spec;
use backpropd_engine::nn::{Batch, Samples, Scalar};

/// The samples of a run.
#[derive(Debug)]
pub enum RunData<T> {
    /// The batch of the request, shared with the code that persists the run.
    Batch(Arc<Batch<T>>),
    /// Rows of a dataset.
    Dataset {
        /// The rows.
        samples: Arc<dyn Samples<T>>,
        /// What a record of the run says instead of the rows.
        reference: Arc<DatasetReference>,
    },
}

/// Rows of a dataset, as a run's record names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetReference {
    /// The dataset's name.
    pub dataset: String,
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// The selected rows.
    pub selection: Selection,
    /// Whether they are standardized.
    pub standardize: bool,
}

impl DatasetReference {
    /// Whether the dataset lives as long as the models that use it, so that a replay can rely on it: whether it belongs to
    /// their session.
    pub fn is_lasting(&self) -> bool {
        DatasetName::parse(&self.dataset).is_some_and(|name| name.session.is_some())
    }
}

/// Which rows of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Selection {
    /// Every row.
    All,
    /// Consecutive rows, counted from 0.
    Range {
        /// The first.
        start: usize,
        /// The one after the last.
        end: usize,
    },
    /// One part of a split.
    Split {
        /// The fraction of the rows that are held out.
        held_out: f64,
        /// The seed of the split.
        seed: i64,
        /// Whether the rows are those held out, instead of the others.
        is_held_out: bool,
    },
}

/// Finds the rows that a record names.
pub trait Datasets {
    /// The rows, in the type of a model with this spec.
    ///
    /// # Errors
    /// There is no such dataset, it is another one by now, or it does not fit.
    fn find<T: Scalar>(
        &self,
        reference: &DatasetReference,
        spec: &Spec,
    ) -> Result<Arc<dyn Samples<T>>, String>;
}

/// No datasets.
#[derive(Clone, Copy, Debug)]
pub struct NoDatasets;

impl Datasets for NoDatasets {
    fn find<T: Scalar>(
        &self,
        reference: &DatasetReference,
        _: &Spec,
    ) -> Result<Arc<dyn Samples<T>>, String> {
        Err(format!("{} does not exist", reference.dataset))
    }
}

impl<T: Scalar> RunData<T> {
    /// The samples.
    pub fn samples(&self) -> &dyn Samples<T> {
        match self {
            Self::Batch(batch) => &**batch,
            Self::Dataset { samples, .. } => &**samples,
        }
    }

    /// m.
    pub fn rows(&self) -> usize {
        self.samples().rows()
    }
}

impl<T> Clone for RunData<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Batch(batch) => Self::Batch(Arc::clone(batch)),
            Self::Dataset { samples, reference } => Self::Dataset {
                samples: Arc::clone(samples),
                reference: Arc::clone(reference),
            },
        }
    }
}
