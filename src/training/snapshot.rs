//! A model as bytes: a safetensors file that holds all of it, so that whoever writes one file writes the whole model.
//!
//! Tensors are named `layer1.weight` (units × fan_in), `layer1.bias`, …; what the optimizer remembers lies beside them
//! as `optimizer.first.layer1.weight`, `optimizer.second.layer1.weight`, …. The metadata's entry `backpropd` is JSON:
//! the format's version, the spec, the step and the remembered requests. The last tensor, `checksum`, is BLAKE3 over
//! every byte before it, header included.

use std::sync::Arc;
use std::time::SystemTime;

use safetensors::tensor::{Dtype as TensorType, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::compare::CompareTerms;
use super::model::{Committed, Kept, Model, Outcome};
use super::request_log::RequestId;
use super::session::Access;
use super::spec::{Spec, SpecParts};
use super::tensor_file::{self, MetadataError, tensor_type, with_metadata};
use crate::nn::{Architecture, ArchitectureLimits, Dtype, Scalar, State};

/// The format that is written, and the only one that is read so far.
const VERSION: u32 = 1;
/// Sorts behind every other tensor, because one-byte types come last in a safetensors file.
const CHECKSUM: &str = "checksum";
const CHECKSUM_BYTES: usize = blake3::OUT_LEN;

/// What is kept beside the model itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The model's full name.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last changed.
    pub updated: SystemTime,
    /// What may be done with it.
    pub access: Access,
    /// The CreateModel request that made it, if that wants to be done once.
    pub made_by: Option<RequestId>,
    /// What it is compared on, where only that may be done with it and its maker said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareTerms>,
}

/// A model of either type, read back.
#[derive(Debug)]
pub enum Restored {
    /// Computes in `f32`.
    F32(Model<f32>),
    /// Computes in `f64`.
    F64(Model<f64>),
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Bytes differ from those that were written.
    #[error("the checksum does not fit: the file is cut off or damaged")]
    Damaged,
    /// Written by another version of this program.
    #[error("format version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// Undamaged, and still not what this program writes.
    #[error("not a snapshot: {0}")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    about: About,
    spec: SpecParts,
    step: u64,
    updates: u64,
    requests: Vec<(RequestId, Outcome)>,
}

impl Metadata {
    /// Whether these numbers can have come about. A checksum tells damage; it does not tell who wrote the file.
    fn check(&self) -> Result<(), SnapshotError> {
        let done = |outcome: &Outcome| match outcome {
            Outcome::Interrupted { steps_done } => *steps_done,
            Outcome::Finished(summary) => summary.step.max(summary.steps_done),
            Outcome::Diverged(divergence) => divergence.step.max(divergence.steps_done),
            Outcome::ParametersSet { step, .. } => *step,
        };
        let latest = self.requests.iter().map(|(_, outcome)| done(outcome)).max();
        let step = self.step;
        // Whatever was acknowledged is read; `LARGEST_STEP` ends training.
        if i64::try_from(step).is_err() {
            Err(malformed(format!("step {step} is above 2^63")))
        } else if self.updates > step {
            Err(malformed(format!(
                "{} updates by step {step}",
                self.updates
            )))
        } else if let Some(latest) = latest.filter(|latest| *latest > step) {
            Err(malformed(format!(
                "a request of step {latest} by step {step}"
            )))
        } else {
            Ok(())
        }
    }
}

/// The model as bytes; the same model and `about` give the same bytes.
///
/// # Errors
/// More parameters than a file can describe.
pub fn encode<T: Scalar>(
    spec: &Spec,
    kept: &Kept<T>,
    about: &About,
) -> Result<Vec<u8>, SnapshotError> {
    let state = &kept.committed.state;
    let metadata = Metadata {
        version: VERSION,
        about: about.clone(),
        spec: spec.parts(),
        step: kept.committed.step,
        updates: state.updates,
        requests: kept.requests.clone(),
    };
    let metadata = serde_json::to_string(&metadata).map_err(malformed)?;
    let tensor_type = tensor_type::<T>();
    let mut tensors = Vec::new();
    for (prefix, numbers) in parts(state) {
        if numbers.is_empty() {
            continue;
        }
        for (name, range, shape) in places(&spec.architecture) {
            let bytes = bytemuck::cast_slice(&numbers[range]);
            let tensor = TensorView::new(tensor_type, shape, bytes).map_err(malformed)?;
            tensors.push((format!("{prefix}{name}"), tensor));
        }
    }
    let blank = [0; CHECKSUM_BYTES];
    let checksum =
        TensorView::new(TensorType::U8, vec![CHECKSUM_BYTES], &blank).map_err(malformed)?;
    tensors.push((CHECKSUM.to_owned(), checksum));
    let mut bytes = safetensors::serialize(tensors, with_metadata(metadata)).map_err(malformed)?;
    let covered = bytes.len() - CHECKSUM_BYTES;
    let checksum = blake3::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// The model that `bytes` hold, and what was kept beside it.
///
/// # Errors
/// Damaged bytes, another version, a model beyond `limits`, numbers that are not finite.
pub fn decode(
    bytes: &[u8],
    limits: &ArchitectureLimits,
    remembered_requests: usize,
) -> Result<(Restored, About), SnapshotError> {
    let covered = bytes
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .ok_or(SnapshotError::Damaged)?;
    if blake3::hash(&bytes[..covered]).as_bytes() != &bytes[covered..] {
        return Err(SnapshotError::Damaged);
    }
    let metadata: Metadata = tensor_file::metadata(bytes, VERSION)?;
    metadata.check()?;
    let spec = metadata.spec.clone().validate(limits).map_err(malformed)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let about = metadata.about.clone();
    let model = match spec.dtype {
        Dtype::Float32 => Restored::F32(restore(spec, metadata, &tensors, remembered_requests)?),
        Dtype::Float64 => Restored::F64(restore(spec, metadata, &tensors, remembered_requests)?),
    };
    Ok((model, about))
}

fn restore<T: Scalar>(
    spec: Spec,
    metadata: Metadata,
    tensors: &SafeTensors<'_>,
    remembered_requests: usize,
) -> Result<Model<T>, SnapshotError> {
    let mut state = State::new(read(&spec.architecture, "", tensors)?, &spec.optimizer);
    state.updates = metadata.updates;
    if !state.first.is_empty() {
        state.first = read(&spec.architecture, FIRST, tensors)?;
    }
    if !state.second.is_empty() {
        state.second = read(&spec.architecture, SECOND, tensors)?;
    }
    let kept = Kept {
        committed: Arc::new(Committed::new(state, metadata.step)),
        requests: metadata.requests,
    };
    Ok(Model::restored(spec, kept, remembered_requests))
}

const FIRST: &str = "optimizer.first.";
const SECOND: &str = "optimizer.second.";

fn parts<T>(state: &State<T>) -> [(&'static str, &[T]); 3] {
    [
        ("", &state.parameters),
        (FIRST, &state.first),
        (SECOND, &state.second),
    ]
}

/// Every tensor of a network: its name, where it lies in the flat parameters, its shape.
fn places(
    architecture: &Architecture,
) -> impl Iterator<Item = (String, std::ops::Range<usize>, Vec<usize>)> {
    (1..).zip(architecture.layers()).flat_map(|(i, layer)| {
        let weight = (
            format!("layer{i}.weight"),
            layer.weights.clone(),
            vec![layer.units, layer.fan_in],
        );
        let bias = (
            format!("layer{i}.bias"),
            layer.bias.clone(),
            vec![layer.units],
        );
        std::iter::once(weight).chain(layer.has_bias().then_some(bias))
    })
}

/// The flat numbers of all tensors whose names begin with `prefix`.
fn read<T: Scalar>(
    architecture: &Architecture,
    prefix: &str,
    tensors: &SafeTensors<'_>,
) -> Result<Vec<T>, SnapshotError> {
    let mut numbers = Vec::with_capacity(architecture.parameter_count());
    for (name, _, shape) in places(architecture) {
        let name = format!("{prefix}{name}");
        let tensor = tensors.tensor(&name).map_err(malformed)?;
        let bytes = tensor.data();
        let count: usize = shape.iter().product();
        if tensor.shape() != shape || bytes.len() != count * T::DTYPE.size() {
            let (given, dtype) = (tensor.shape(), tensor.dtype());
            return Err(SnapshotError::Malformed(format!(
                "{name} is {given:?} of {dtype:?}"
            )));
        }
        numbers.extend(tensor_file::numbers::<T>(bytes));
    }
    if numbers.iter().all(|number| number.to_f64().is_finite()) {
        Ok(numbers)
    } else {
        let message = format!("{prefix}layer*: a number is not finite");
        Err(SnapshotError::Malformed(message))
    }
}

impl From<MetadataError> for SnapshotError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Version(version) => Self::Version(version),
            MetadataError::Malformed(what) => Self::Malformed(what),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
