//! The digest of the content of a dataset, equal for equal content in any format.

use std::fmt;
use std::str::FromStr;

use backpropd_engine::nn::Dtype;

use crate::standardization::Standardization;
use crate::truth::TruthKind;

/// BLAKE3 over shape, number type, numbers, labels and standardization constants: equal for equal content in any format.
/// Names of columns and classes are not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentDigest([u8; 32]);

/// Hashes inputs and truth side by side, because an upload interleaves them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContentHasher {
    pub(crate) inputs: blake3::Hasher,
    pub(crate) truth: blake3::Hasher,
}

/// The hashes of the numbers and of the truth, from which any digest of the content follows without reading it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentHashes {
    inputs: blake3::Hash,
    truth: blake3::Hash,
}

impl ContentHasher {
    pub(crate) fn labels(&mut self, labels: &[u32]) {
        self.truth.update(bytemuck::cast_slice(labels));
    }

    pub(crate) fn finish(&self) -> ContentHashes {
        ContentHashes {
            inputs: self.inputs.finalize(),
            truth: self.truth.finalize(),
        }
    }
}

impl ContentHashes {
    pub(crate) fn digest(
        &self,
        rows: usize,
        features: usize,
        dtype: Dtype,
        truth: &TruthKind,
        standardization: Option<&Standardization>,
    ) -> ContentDigest {
        let mut all = blake3::Hasher::new();
        all.update(b"backpropd dataset 1\n");
        let (kind, columns) = match truth {
            TruthKind::Labels { names } => (0, names.len()),
            TruthKind::Targets { columns } => (1, *columns),
        };
        for number in [rows, features, dtype.size(), kind, columns] {
            all.update(&(number as u64).to_le_bytes());
        }
        all.update(self.inputs.as_bytes());
        all.update(self.truth.as_bytes());
        if let Some(standardization) = standardization {
            for moments in std::iter::once(&standardization.inputs).chain(&standardization.targets)
            {
                all.update(bytemuck::cast_slice(&moments.means));
                all.update(bytemuck::cast_slice(&moments.deviations));
            }
        }
        ContentDigest(*all.finalize().as_bytes())
    }

    /// As the canonical file stores them.
    pub(crate) fn to_hex(self) -> String {
        format!("{}{}", self.inputs.to_hex(), self.truth.to_hex())
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let (inputs, truth) = text.split_at_checked(64)?;
        Some(Self {
            inputs: blake3::Hash::from_hex(inputs).ok()?,
            truth: blake3::Hash::from_hex(truth).ok()?,
        })
    }
}

impl ContentDigest {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ContentDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentDigest {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(*blake3::Hash::from_hex(text)?.as_bytes()))
    }
}
