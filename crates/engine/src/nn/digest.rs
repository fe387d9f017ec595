//! A digest of parameters: equal digests mean equal shapes and equal bits.

use super::pauses::{Pauses, WALK};
use super::{Architecture, Dtype, Scalar};

/// BLAKE3 over the type, the layers' shapes and the parameters' little-endian bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WeightsDigest(blake3::Hash);

impl WeightsDigest {
    /// The digest of `parameters` laid out by `architecture`.
    pub fn new<T: Scalar>(architecture: &Architecture, parameters: &[T]) -> Self {
        let mut hasher = Self::hasher::<T>(architecture);
        update_with(&mut hasher, parameters);
        Self(hasher.finalize())
    }

    /// [`Self::new`] with pauses.
    pub async fn new_in_blocks<T: Scalar>(
        architecture: &Architecture,
        parameters: &[T],
        pauses: &impl Pauses,
    ) -> Self {
        let mut hasher = Self::hasher::<T>(architecture);
        update_in_blocks(&mut hasher, parameters, pauses).await;
        Self(hasher.finalize())
    }

    /// A hasher that has read everything before the parameters.
    fn hasher<T: Scalar>(architecture: &Architecture) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"backpropd weights 1");
        hasher.update(match T::DTYPE {
            Dtype::Float32 => b"f32",
            Dtype::Float64 => b"f64",
        });
        for layer in architecture.layers() {
            for size in [layer.fan_in, layer.units, layer.bias.len()] {
                hasher.update(&(size as u64).to_le_bytes());
            }
        }
        hasher
    }
}

impl TryFrom<String> for WeightsDigest {
    type Error = blake3::HexError;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(hex).map(Self)
    }
}

impl From<WeightsDigest> for String {
    fn from(digest: WeightsDigest) -> Self {
        digest.to_string()
    }
}

impl std::fmt::Display for WeightsDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.to_hex().as_str())
    }
}

/// [`update_with`] with pauses.
pub async fn update_in_blocks<T: bytemuck::Pod>(
    hasher: &mut blake3::Hasher,
    values: &[T],
    pauses: &impl Pauses,
) {
    for values in values.chunks(WALK) {
        update_with(hasher, values);
        pauses.pause().await;
    }
}

/// Hashes the little-endian bytes of `values`.
pub fn update_with<T: bytemuck::Pod>(hasher: &mut blake3::Hasher, values: &[T]) {
    // A big-endian machine would have to swap the bytes first; refuse to compile there instead.
    const {
        assert!(
            cfg!(target_endian = "little"),
            "digests are of little-endian bytes"
        )
    }
    hasher.update(bytemuck::cast_slice(values));
}
