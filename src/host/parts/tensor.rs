//! A matrix in a request, as numbers or bytes.

use bytes::Bytes;

use super::integers::Suspicion;
use crate::fault::Violations;
use crate::nn::pauses::{Pauses, WALK};
use crate::nn::{Matrix, Scalar};

/// A tensor whose shape matches its number of entries, not yet of the model's scalar type.
#[derive(Clone, Debug)]
pub struct TensorParts {
    rows: usize,
    columns: usize,
    entries: Entries,
}

/// The entries as sent, in row-major order.
#[derive(Clone, Debug)]
pub enum Entries {
    /// Numbers.
    Values(Vec<f64>),
    /// Little-endian bytes of FLOAT32.
    Raw32(Bytes),
    /// Little-endian bytes of FLOAT64.
    Raw64(Bytes),
}

impl Entries {
    /// Done here rather than with the check for finite numbers, because by then a FLOAT32 model has rounded subnormal
    /// float64 to 0.
    fn check_integers(&self, suspicion: Suspicion, field: &str, violations: &mut Violations) {
        let (part, mistaken) = match self {
            Self::Values(values) => ("values", suspicion.of_values(values)),
            Self::Raw32(raw) => ("raw", suspicion.of_raw_32(raw)),
            Self::Raw64(raw) => ("raw", suspicion.of_raw_64(raw)),
        };
        if let Some(mistaken) = mistaken {
            mistaken.note(format!("{field}.{part}"), violations);
        }
    }
}

impl TensorParts {
    /// A `rows` x `columns` matrix; the caller has checked the number of entries. Entries that look like integers read
    /// as floating-point numbers are a violation at `field`.
    pub fn new(
        (rows, columns): (usize, usize),
        entries: Entries,
        suspicion: Suspicion,
        field: &str,
        violations: &mut Violations,
    ) -> Option<Self> {
        let before = violations.len();
        entries.check_integers(suspicion, field, violations);
        (violations.len() == before).then_some(Self {
            rows,
            columns,
            entries,
        })
    }

    /// Adds what was sent to a fingerprint.
    pub fn update(&self, hasher: &mut blake3::Hasher) {
        for size in [self.rows, self.columns] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        match &self.entries {
            Entries::Values(values) => hasher.update(bytemuck::cast_slice(values)),
            Entries::Raw32(bytes) | Entries::Raw64(bytes) => hasher.update(bytes),
        };
    }

    /// Whether the entries are raw bytes.
    pub fn is_raw(&self) -> bool {
        match self.entries {
            Entries::Values(_) => false,
            Entries::Raw32(_) | Entries::Raw64(_) => true,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.rows * self.columns
    }

    /// Converts the entries to the scalar type of `sum`, multiplies each by `factor`, and adds them to `sum`, which they
    /// replace if `is_first`. Returns whether they are finite. `sum` has as many entries.
    pub async fn add_in_blocks<T: Scalar>(
        &self,
        sum: &mut [T],
        factor: T,
        is_first: bool,
        pauses: &impl Pauses,
    ) -> bool {
        match &self.entries {
            Entries::Values(values) => {
                let blocks = values.chunks(WALK);
                let convert = |value: &f64| T::from_f64(*value);
                let blocks = blocks.map(|block| block.iter().map(convert));
                add(sum, factor, is_first, blocks, pauses).await
            }
            Entries::Raw32(raw) => {
                let (raw, _) = raw.as_chunks::<4>();
                let convert = |raw: &[u8; 4]| of::<f32, T>(f32::from_le_bytes(*raw));
                let blocks = raw.chunks(WALK).map(|block| block.iter().map(convert));
                add(sum, factor, is_first, blocks, pauses).await
            }
            Entries::Raw64(raw) => {
                let (raw, _) = raw.as_chunks::<8>();
                let convert = |raw: &[u8; 8]| of::<f64, T>(f64::from_le_bytes(*raw));
                let blocks = raw.chunks(WALK).map(|block| block.iter().map(convert));
                add(sum, factor, is_first, blocks, pauses).await
            }
        }
    }

    /// [`Self::into_matrix`] with pauses.
    pub async fn into_matrix_in_blocks<T: Scalar>(self, pauses: &impl Pauses) -> Matrix<T> {
        let (rows, columns) = (self.rows, self.columns);
        let mut entries = Vec::new();
        match self.entries {
            Entries::Values(values) => match bytemuck::allocation::try_cast_vec(values) {
                Ok(same) => entries = same,
                Err((_, values)) => {
                    entries.reserve_exact(values.len());
                    for values in values.chunks(WALK) {
                        entries.extend(values.iter().map(|&value: &f64| T::from_f64(value)));
                        pauses.pause().await;
                    }
                }
            },
            Entries::Raw32(raw) => decode_in_blocks::<f32, T>(&raw, &mut entries, pauses).await,
            Entries::Raw64(raw) => decode_in_blocks::<f64, T>(&raw, &mut entries, pauses).await,
        }
        Matrix {
            rows,
            columns,
            entries,
        }
    }

    /// Converts the entries to the model's scalar type: moves them if they have it already, else copies them once.
    pub fn into_matrix<T: Scalar>(self) -> Matrix<T> {
        let entries = match self.entries {
            Entries::Values(values) => match bytemuck::allocation::try_cast_vec(values) {
                Ok(same) => same,
                Err((_, values)) => values.into_iter().map(T::from_f64).collect(),
            },
            Entries::Raw32(raw) => decode::<f32, T>(&raw),
            Entries::Raw64(raw) => decode::<f64, T>(&raw),
        };
        Matrix {
            rows: self.rows,
            columns: self.columns,
            entries,
        }
    }
}

/// Converts a number; without rounding if the types are the same.
fn of<From: Scalar, To: Scalar>(number: From) -> To {
    To::from_f64(number.to_f64())
}

/// Adds blocks of numbers, each times `factor`, to `sum`, which they replace if `is_first`. Returns whether the numbers are
/// finite.
async fn add<T: Scalar, I: Iterator<Item = T> + Send>(
    sum: &mut [T],
    factor: T,
    is_first: bool,
    blocks: impl Iterator<Item = I> + Send,
    pauses: &impl Pauses,
) -> bool {
    let mut is_finite = true;
    for (sum, numbers) in sum.chunks_mut(WALK).zip(blocks) {
        for (sum, number) in sum.iter_mut().zip(numbers) {
            is_finite &= number.finite();
            let term = factor * number;
            // Not 0 + term, which would lose the sign of −0.
            *sum = if is_first { term } else { *sum + term };
        }
        pauses.pause().await;
    }
    is_finite
}

/// Decodes little-endian bytes of type `From` into numbers of type `To`. The bytes need not be aligned.
fn decode<From: Scalar, To: Scalar>(raw: &[u8]) -> Vec<To> {
    if From::DTYPE == To::DTYPE {
        // One copy, aligned or not; the length has been checked against the shape.
        return bytemuck::pod_collect_to_vec(raw);
    }
    raw.chunks_exact(size_of::<From>())
        .map(|bytes| To::from_f64(bytemuck::pod_read_unaligned::<From>(bytes).to_f64()))
        .collect()
}

/// [`decode`] with pauses.
async fn decode_in_blocks<From: Scalar, To: Scalar>(
    raw: &[u8],
    entries: &mut Vec<To>,
    pauses: &impl Pauses,
) {
    entries.reserve_exact(raw.len() / size_of::<From>());
    for raw in raw.chunks(WALK * size_of::<From>()) {
        entries.extend(decode::<From, To>(raw));
        pauses.pause().await;
    }
}
