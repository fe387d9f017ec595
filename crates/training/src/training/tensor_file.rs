//! What snapshots and redos share as safetensors files: JSON metadata with a version, and numbers.

use std::collections::HashMap;

use safetensors::tensor::{Dtype as TensorType, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use backpropd_engine::nn::{Dtype, Scalar};

const METADATA: &str = "backpropd";

/// Why a file lacks the expected metadata.
pub(super) enum MetadataError {
    /// Written by another version of this program.
    Version(u32),
    /// Not written by this program.
    Malformed(String),
}

impl<E: std::fmt::Display> From<E> for MetadataError {
    fn from(error: E) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Wraps metadata for a safetensors header.
pub(super) fn with_metadata(json: String) -> Option<HashMap<String, String>> {
    Some(HashMap::from([(METADATA.to_owned(), json)]))
}

/// Reads a file's metadata. The version is checked before the rest, so that a newer file reports its version.
pub(super) fn metadata<M: DeserializeOwned>(
    bytes: &[u8],
    is_known: fn(u32) -> bool,
) -> Result<M, MetadataError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let entries = header.metadata().clone().unwrap_or_default();
    read_metadata(&entries, is_known)
}

/// Reads the metadata from a parsed header.
pub(super) fn read_metadata<M: DeserializeOwned>(
    entries: &HashMap<String, String>,
    is_known: fn(u32) -> bool,
) -> Result<M, MetadataError> {
    let text = entries.get(METADATA);
    let text = text.ok_or_else(|| format!("no {METADATA:?} metadata"))?;
    let Versioned { version } = serde_json::from_str(text)?;
    if !is_known(version) {
        return Err(MetadataError::Version(version));
    }
    Ok(serde_json::from_str(text)?)
}

/// The metadata that every format version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The length prefix at the start of a file, which holds the size of its header.
pub(super) const LENGTH_BYTES: usize = 8;

/// The length of a file's header after that prefix.
pub(super) fn header_length(bytes: &[u8]) -> Option<u64> {
    let (length, _) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    Some(u64::from_le_bytes(*length))
}

/// The version of a file, if `start` holds its whole header.
pub(super) fn version(start: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: HashMap<String, String>,
    }
    let end = usize::try_from(header_length(start)?).ok()?;
    let header = start.get(LENGTH_BYTES..end.checked_add(LENGTH_BYTES)?)?;
    let header: Header = serde_json::from_slice(header).ok()?;
    let versioned: Versioned = serde_json::from_str(header.metadata.get(METADATA)?).ok()?;
    Some(versioned.version)
}

/// The safetensors type of `T`.
pub(super) fn tensor_type<T: Scalar>() -> TensorType {
    match T::DTYPE {
        Dtype::Float32 => TensorType::F32,
        Dtype::Float64 => TensorType::F64,
    }
}

/// The numbers of a tensor, read from bytes of any alignment.
pub(super) fn numbers<N: bytemuck::AnyBitPattern>(bytes: &[u8]) -> impl Iterator<Item = N> {
    let numbers = bytes.chunks_exact(size_of::<N>());
    numbers.map(bytemuck::pod_read_unaligned)
}
