//! The record of a run as bytes: its batch, and how its steps used it. Replaying it on the model's earlier state gives
//! the same result, bit for bit. For a large model and a small batch the record is much smaller than the model.
//!
//! The bytes are a safetensors file: `inputs`, `targets` or `labels`, and everything else as JSON in the metadata's
//! entry `backpropd`. It has no checksum of its own.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use faer::Par;
use safetensors::tensor::{Dtype as TensorType, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::model::{Committed, Model, Outcome, Revision};
use super::request_log::RequestId;
use super::run::{Advance, Plan, Run};
use super::run_data::{DatasetReference, Datasets, RunData};
use super::spec::Spec;
use super::tensor_file::{self, MetadataError, numbers, tensor_type, with_metadata};
use super::workspace::Workspace;
use backpropd_engine::nn::{
    ARITHMETIC, Batch, Matrix, Minibatches, Scalar, TargetsRef, WeightsDigest,
};

/// The format versions that are written and read: with its samples, and with the name of a dataset.
const VERSION: u32 = 1;
const VERSION_WITH_DATASET: u32 = 2;
const INPUTS: &str = "inputs";
const TARGETS: &str = "targets";
const LABELS: &str = "labels";

/// The floating-point operations that take as long as one step's memory traffic for a byte of the model's state, which
/// is read forward, backward and for the update, and written. Measured: steps of 784-1024-1024-10 on 1, 8 and 64
/// samples took 5, 5 and 16 ms on two cores of an AMD EPYC that do 100,000 operations in a microsecond.
const OPERATIONS_PER_BYTE: u64 = 70;

/// The steps of a run, or the last of them.
#[derive(Debug)]
pub struct Redo<T> {
    /// The plan of the run.
    pub plan: Plan<T>,
    /// Steps of the request before the first one here, including those of earlier tries.
    pub first: u64,
    /// The model before these steps.
    pub before: Arc<Committed<T>>,
    /// The model after these steps.
    pub after: Revision<T>,
}

/// The result of replaying runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedoOutcome {
    /// When the last run ended.
    pub updated: SystemTime,
    /// The digest recorded after the run, if the replay gives another one. A processor with different instructions may
    /// round differently.
    pub other_digest: Option<WeightsDigest>,
    /// The arithmetic recorded for the last steps, if it differs from the current one.
    pub other_arithmetic: Option<u32>,
}

/// Why a run cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedoError {
    /// Written by another version of this program.
    #[error("format version {0}; this program reads up to version {VERSION_WITH_DATASET}")]
    Version(u32),
    /// The run began with another model.
    #[error("it began at step {began}, the model is at step {found} or has other weights")]
    OtherModel {
        /// The step at which the run began.
        began: u64,
        /// The model's step.
        found: u64,
    },
    /// The replay diverges, which the run did not.
    #[error("it diverges after {0} steps")]
    Diverges(u64),
    /// The samples that it names cannot be read.
    #[error("its samples cannot be read: {0}")]
    NoSamples(String),
    /// Undamaged, but not written by this program.
    #[error("not a run: {0}")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    minibatch_size: usize,
    shuffle_seed: Option<i64>,
    learning_rate: Option<f64>,
    first: u64,
    steps: u64,
    /// The model's step before the run.
    began: u64,
    before: WeightsDigest,
    after: WeightsDigest,
    /// The arithmetic that took the steps. Older records lack it and used the first.
    #[serde(default = "first_arithmetic")]
    arithmetic: u32,
    updated: SystemTime,
    request: Option<(RequestId, Outcome)>,
    /// Where the samples are, unless the record holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetReference>,
}

fn first_arithmetic() -> u32 {
    1
}

impl<T: Scalar> Redo<T> {
    /// The number of steps.
    fn steps(&self) -> u64 {
        self.after.committed.step - self.before.step
    }

    /// The approximate size of the record, in bytes.
    pub fn bytes(&self) -> usize {
        let RunData::Batch(batch) = &self.plan.data else {
            return 0;
        };
        let batch = batch.view();
        let targets = match batch.targets {
            TargetsRef::Values(values) => size_of_val(values),
            TargetsRef::Labels(labels) => size_of_val(labels),
        };
        size_of_val(batch.inputs) + targets
    }

    /// The approximate cost of a replay, in floating-point operations.
    pub fn operations(&self, spec: &Spec) -> u64 {
        let products = 3 * spec
            .architecture
            .forward_flops(self.plan.minibatches.size());
        let passes = OPERATIONS_PER_BYTE.saturating_mul(spec.state_bytes() as u64);
        self.steps().saturating_mul(products.saturating_add(passes))
    }

    /// Encodes the record, with the time when the run ended.
    ///
    /// # Errors
    /// More entries than a file can describe.
    pub fn encode(&self, spec: &Spec, updated: SystemTime) -> Result<Vec<u8>, RedoError> {
        let plan = &self.plan;
        let is_own = |(request, _): &&(RequestId, Outcome)| Some(request) == plan.request.as_ref();
        let metadata = Metadata {
            version: match plan.data {
                RunData::Batch(_) => VERSION,
                RunData::Dataset { .. } => VERSION_WITH_DATASET,
            },
            minibatch_size: plan.minibatches.size(),
            shuffle_seed: plan.minibatches.seed(),
            learning_rate: plan.learning_rate,
            first: self.first,
            steps: self.steps(),
            began: self.before.step,
            before: self.before.digest(spec),
            after: self.after.committed.digest(spec),
            arithmetic: ARITHMETIC,
            updated,
            request: self.after.requests.last().filter(is_own).cloned(),
            dataset: match &plan.data {
                RunData::Batch(_) => None,
                RunData::Dataset { reference, .. } => Some((**reference).clone()),
            },
        };
        let metadata = serde_json::to_string(&metadata).map_err(malformed)?;
        let RunData::Batch(batch) = &plan.data else {
            let none: [(&str, TensorView<'_>); 0] = [];
            return safetensors::serialize(none, with_metadata(metadata)).map_err(malformed);
        };
        let float = tensor_type::<T>();
        let batch = batch.view();
        let matrix = |numbers| {
            let bytes: &[u8] = bytemuck::cast_slice(numbers);
            let columns = bytes.len() / size_of::<T>() / batch.rows.max(1);
            TensorView::new(float, vec![batch.rows, columns], bytes).map_err(malformed)
        };
        let targets = match batch.targets {
            TargetsRef::Values(values) => (TARGETS, matrix(values)?),
            TargetsRef::Labels(labels) => {
                let bytes = bytemuck::cast_slice(labels);
                let tensor = TensorView::new(TensorType::U32, vec![batch.rows], bytes);
                (LABELS, tensor.map_err(malformed)?)
            }
        };
        let tensors = [(INPUTS, matrix(batch.inputs)?), targets];
        safetensors::serialize(tensors, with_metadata(metadata)).map_err(malformed)
    }
}

/// Whether this program reads that format version.
pub fn is_known(version: u32) -> bool {
    [VERSION, VERSION_WITH_DATASET].contains(&version)
}

/// Replays runs in order, on `par` threads, with the samples in their records or in `datasets`. The caller is the model's only writer. `None` if there are no runs.
///
/// # Errors
/// The model is unchanged, or partway through the replay.
pub fn redo<T: Scalar>(
    runs: &[Vec<u8>],
    model: &Arc<Model<T>>,
    par: Par,
    datasets: &impl Datasets,
) -> Result<Option<RedoOutcome>, RedoError> {
    let spec = model.spec();
    let mut last: Option<Metadata> = None;
    let mut workspace = None;
    for bytes in runs {
        let (metadata, data) = decode(bytes, spec, datasets)?;
        let found = model.committed();
        let weights = match &last {
            // The digest after all runs shows whether these are the model's own.
            Some(last) => last.after,
            None => found.digest(spec),
        };
        if found.step != metadata.began || weights != metadata.before {
            return Err(RedoError::OtherModel {
                began: metadata.began,
                found: found.step,
            });
        }
        drop(found);
        workspace = Some(take_steps(&metadata, data, model, par, workspace)?);
        if let Some((request, outcome)) = &metadata.request {
            model.record(Some(request.clone()), outcome.clone());
        }
        last = Some(metadata);
    }
    Ok(last.map(|last| RedoOutcome {
        updated: last.updated,
        other_digest: (model.committed().digest(spec) != last.after).then_some(last.after),
        other_arithmetic: (last.arithmetic != ARITHMETIC).then_some(last.arithmetic),
    }))
}

/// Takes the steps of one run, in the buffers of the previous run.
fn take_steps<T: Scalar>(
    metadata: &Metadata,
    data: RunData<T>,
    model: &Arc<Model<T>>,
    par: Par,
    earlier: Option<Workspace<T>>,
) -> Result<Workspace<T>, RedoError> {
    let end = metadata.first.checked_add(metadata.steps);
    let end = end.ok_or_else(|| malformed("too many steps"))?;
    let (size, seed) = (metadata.minibatch_size, metadata.shuffle_seed);
    let plan = Plan {
        minibatches: Minibatches::new(data.rows(), size, seed),
        data,
        // Never reached, so that the run stops where the recorded one did and its final summary, which is known, is not
        // computed.
        steps: u64::MAX,
        learning_rate: metadata.learning_rate,
        request: None,
    };
    let mut run = Run::within(earlier, Arc::clone(model), plan, metadata.first, par);
    let last_step = metadata.began.saturating_add(metadata.steps);
    if metadata.steps > 0 {
        let advance = run.advance(|metrics| {
            if metrics.step < last_step {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if let Advance::NoSamples(error) = advance {
            return Err(RedoError::NoSamples(error.0));
        }
    }
    if run.steps_done() != end {
        return Err(RedoError::Diverges(run.steps_done() - metadata.first));
    }
    Ok(run.into_workspace())
}

fn decode<T: Scalar>(
    bytes: &[u8],
    spec: &Spec,
    datasets: &impl Datasets,
) -> Result<(Metadata, RunData<T>), RedoError> {
    let metadata: Metadata = tensor_file::metadata(bytes, is_known)?;
    if let Some(reference) = &metadata.dataset {
        let samples = datasets.find::<T>(reference, spec);
        let samples = samples.map_err(RedoError::NoSamples)?;
        let reference = Arc::new(reference.clone());
        return Ok((metadata, RunData::Dataset { samples, reference }));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let tensor = |name| tensors.tensor(name).map_err(malformed);
    let matrix = |tensor: &TensorView<'_>| match *tensor.shape() {
        [rows, columns] if tensor.data().len() == rows * columns * T::DTYPE.size() => Ok(Matrix {
            rows,
            columns,
            entries: numbers(tensor.data()).collect(),
        }),
        ref shape => {
            let dtype = tensor.dtype();
            Err(malformed(format!("a matrix {shape:?} of {dtype:?}")))
        }
    };
    let inputs = matrix(&tensor(INPUTS)?)?;
    if inputs.rows == 0 {
        return Err(malformed("a batch of no samples"));
    }
    let (targets, labels) = if tensors.names().contains(&LABELS) {
        (None, numbers::<i32>(tensor(LABELS)?.data()).collect())
    } else {
        (Some(matrix(&tensor(TARGETS)?)?), Vec::new())
    };
    let (architecture, objective) = (&spec.architecture, spec.objective);
    let batch = Batch::new(
        architecture,
        objective,
        inputs,
        targets,
        &labels,
        usize::MAX,
    );
    let batch = Arc::new(batch.map_err(malformed)?);
    Ok((metadata, RunData::Batch(batch)))
}

impl From<MetadataError> for RedoError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Version(version) => Self::Version(version),
            MetadataError::Malformed(what) => Self::Malformed(what),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> RedoError {
    RedoError::Malformed(error.to_string())
}
