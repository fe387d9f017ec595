//! A model as bytes: one safetensors file that holds all of its state, so that a model is persisted by writing a single
//! file.
//!
//! Tensors are named `layer1.weight` (units × fan_in), `layer1.bias`, …; the optimizer's state follows as
//! `optimizer.first.layer1.weight`, `optimizer.second.layer1.weight`, …. The metadata's entry `backpropd` is JSON: the
//! format's version, the spec, the step and the remembered requests. The last tensor, `checksum`, is BLAKE3 over every
//! byte before it, header included.

mod checks;
mod reader;

use std::time::SystemTime;

use safetensors::tensor::{Dtype as TensorType, TensorView};
use serde::{Deserialize, Serialize};

pub use self::checks::Rules;
pub use self::reader::{Body, Head};
use super::compare::CompareTerms;
use super::model::{Model, Outcome, Revision};
use super::request_log::RequestId;
use super::session::Access;
use super::spec::{Spec, SpecParts};
use super::tensor_file::{self, MetadataError, tensor_type, with_metadata};
use backpropd_engine::nn::{Architecture, Scalar, State};

/// The format version that this program writes, and the only one that it reads.
const VERSION: u32 = 1;
/// Sorts after every other tensor, because one-byte types come last in a safetensors file.
const CHECKSUM: &str = "checksum";
const CHECKSUM_BYTES: usize = blake3::OUT_LEN;

/// Data stored with a model besides its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The model's full name.
    pub name: String,
    /// The creation time.
    pub created: SystemTime,
    /// The time of the last change.
    pub updated: SystemTime,
    /// The access to the model.
    pub access: Access,
    /// The CreateModel request that created it, if it has a request id.
    pub made_by: Option<RequestId>,
    /// The fixed comparison of a COMPARE_ONLY model, if its creator set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareTerms>,
}

/// A decoded model of either type.
#[derive(Debug)]
pub enum DecodedModel {
    /// Computes in `f32`.
    F32(Model<f32>),
    /// Computes in `f64`.
    F64(Model<f64>),
}

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes differ from those that were written.
    #[error("the checksum does not match: the file is truncated or damaged")]
    Damaged,
    /// Written by another version of this program.
    #[error("format version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// Undamaged, but not written by this program.
    #[error("not a snapshot: {0}")]
    Malformed(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    version: u32,
    about: About,
    spec: SpecParts,
    step: u64,
    updates: u64,
    requests: Vec<(RequestId, Outcome)>,
}

/// Encodes a model; the same model and `about` give the same bytes.
///
/// # Errors
/// More parameters than a file can describe.
pub fn encode<T: Scalar>(
    spec: &Spec,
    revision: &Revision<T>,
    about: &About,
) -> Result<Vec<u8>, SnapshotError> {
    encode_with(spec, revision, about, None)
}

/// [`encode`] with one more entry, key and value, in the file's metadata: decoding ignores it.
///
/// # Errors
/// As [`encode`].
pub fn encode_with<T: Scalar>(
    spec: &Spec,
    revision: &Revision<T>,
    about: &About,
    entry: Option<(&str, String)>,
) -> Result<Vec<u8>, SnapshotError> {
    let state = &revision.committed.state;
    let metadata = Metadata {
        version: VERSION,
        about: about.clone(),
        spec: spec.parts(),
        step: revision.committed.step,
        updates: state.updates,
        requests: revision.requests.clone(),
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
    let mut entries = with_metadata(metadata);
    if let (Some(entries), Some((key, value))) = (&mut entries, entry) {
        entries.insert(key.to_owned(), value);
    }
    let mut bytes = safetensors::serialize(tensors, entries).map_err(malformed)?;
    let covered = bytes.len() - CHECKSUM_BYTES;
    let checksum = blake3::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}

/// Decodes a model and the data stored with it.
///
/// # Errors
/// Damaged bytes, another format version, a model that `rules` refuse, or numbers that are not finite.
pub fn decode(bytes: &[u8], rules: &Rules) -> Result<(DecodedModel, About), SnapshotError> {
    if !is_sound(bytes) {
        return Err(SnapshotError::Damaged);
    }
    let Some((head, read)) = Head::read(bytes, rules)? else {
        return Err(malformed("the file ends within its header"));
    };
    if head.file_bytes() != bytes.len() {
        return Err(malformed("the file is not as long as its header says"));
    }
    let mut body = head.into_body(None);
    body.push(&bytes[read..])?;
    body.finish()
}

/// Whether the checksum at the end matches the bytes before it. Every format version ends with one, which tells a file
/// of an unknown version from a damaged file.
pub fn is_sound(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .is_some_and(|(covered, checksum)| blake3::hash(covered).as_bytes() == checksum)
}

/// The format version in the header of a snapshot or a redo, if `start` holds the whole header.
pub fn version(start: &[u8]) -> Option<u32> {
    tensor_file::version(start)
}

/// Whether this program reads that format version.
pub fn is_known(version: u32) -> bool {
    version == VERSION
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

/// Every tensor of a network: its name, its range in the flat parameters, its shape.
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
