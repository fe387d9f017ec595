//! Tensors: bytes and numbers from a request into a matrix, and back.

use bytes::Bytes;

use crate::nn::pauses::{Pauses, WALK};
use crate::nn::{Dtype, Matrix, Scalar, Violations};
use crate::service::convert::integers::{Suspicion, guess};
use crate::service::pb;

/// How a reply's tensors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As numbers, readable in JSON.
    Values,
    /// As little-endian bytes.
    Raw,
}

/// How many dimensions a tensor has here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// `[n]`; becomes a matrix of one column.
    Vector,
    /// `[m, n]`.
    Matrix,
}

/// A tensor whose shape and number of entries agree, not yet of the model's type.
#[derive(Clone, Debug)]
pub struct TensorParts {
    rows: usize,
    columns: usize,
    entries: Entries,
}

#[derive(Clone, Debug)]
enum Entries {
    Values(Vec<f64>),
    Raw32(Bytes),
    Raw64(Bytes),
}

impl Encoding {
    /// What a reply uses: what is asked for, else what the request's own tensor used.
    pub fn of_reply(
        asked: i32,
        request: Option<&TensorParts>,
        violations: &mut Violations,
    ) -> Self {
        let as_request = request.map_or(Self::Values, TensorParts::encoding);
        match pb::TensorEncoding::try_from(asked) {
            Ok(pb::TensorEncoding::Unspecified) => as_request,
            Ok(pb::TensorEncoding::Values) => Self::Values,
            Ok(pb::TensorEncoding::Raw) => Self::Raw,
            Err(_) => {
                violations.add(
                    "encoding",
                    asked,
                    "TENSOR_ENCODING_VALUES (1) or TENSOR_ENCODING_RAW (2)",
                );
                as_request
            }
        }
    }

    /// The bytes that `entries` numbers of type `dtype` take in a reply.
    pub fn bytes(self, entries: usize, dtype: Dtype) -> usize {
        entries.saturating_mul(match self {
            Self::Values => size_of::<f64>(),
            Self::Raw => dtype.size(),
        })
    }
}

impl Entries {
    /// Here and not beside the check for finite numbers: a FLOAT32 model has rounded a subnormal float64 to 0 by then.
    fn check_integers(&self, field: &str, violations: &mut Violations) {
        let suspicion = Suspicion::Subnormal;
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
    /// Reads a tensor's shape and counts its entries; nothing is allocated by what the shape claims.
    pub fn read(
        tensor: Option<pb::Tensor>,
        field: &str,
        rank: Rank,
        violations: &mut Violations,
    ) -> Option<Self> {
        let form = match rank {
            Rank::Vector => "[n]",
            Rank::Matrix => "[m, n]",
        };
        let Some(tensor) = tensor else {
            violations.add(field, "nothing", format!("a tensor of shape {form}"));
            return None;
        };
        let before = violations.len();
        let shape = read_shape(&tensor.shape, field, rank, violations);
        let dtype = pb::Dtype::try_from(tensor.dtype);
        if dtype.is_err() {
            let allowed = "DTYPE_FLOAT32 (1) or DTYPE_FLOAT64 (2)";
            violations.add(format!("{field}.dtype"), tensor.dtype, allowed);
        }
        if tensor.values.is_empty() == tensor.raw.is_empty() {
            let given = if tensor.values.is_empty() {
                "neither values nor raw"
            } else {
                "values and raw"
            };
            violations.add(field, given, "exactly one of the two");
        }
        let (rows, columns) = shape?;
        let dtype = dtype.ok()?;
        if violations.len() > before {
            return None;
        }
        // Two dimensions below 2³¹ multiply without overflow in 64 bits.
        let count = rows as u64 * columns as u64;
        let (given, unit) = if tensor.raw.is_empty() {
            (tensor.values.len() as u64, 1)
        } else if dtype == pb::Dtype::Float32 {
            (tensor.raw.len() as u64, 4)
        } else {
            (tensor.raw.len() as u64, 8)
        };
        if count.checked_mul(unit) != Some(given) {
            let (part, what) = match unit {
                1 => ("values", format!("{count} values")),
                _ => (
                    "raw",
                    format!(
                        "{count} entries × {unit} bytes = {} bytes",
                        u128::from(count) * u128::from(unit)
                    ),
                ),
            };
            let guess = match unit {
                1 => String::new(),
                _ => guess(given, count, unit),
            };
            let shape = format!("{:?}", tensor.shape);
            violations.add(
                format!("{field}.{part}"),
                given,
                format!("{what}, by the shape {shape}{guess}"),
            );
            return None;
        }
        let entries = if tensor.raw.is_empty() {
            Entries::Values(tensor.values)
        } else if dtype == pb::Dtype::Float32 {
            Entries::Raw32(tensor.raw)
        } else {
            Entries::Raw64(tensor.raw)
        };
        entries.check_integers(field, violations);
        (violations.len() == before).then_some(Self {
            rows,
            columns,
            entries,
        })
    }

    /// How the entries were written.
    pub fn encoding(&self) -> Encoding {
        match self.entries {
            Entries::Values(_) => Encoding::Values,
            Entries::Raw32(_) | Entries::Raw64(_) => Encoding::Raw,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many entries.
    pub fn entries(&self) -> usize {
        self.rows * self.columns
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

    /// The entries in the model's type: moved where they are of that type already, else copied once.
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

fn read_shape(
    shape: &[i32],
    field: &str,
    rank: Rank,
    violations: &mut Violations,
) -> Option<(usize, usize)> {
    let size = |given: i32| usize::try_from(given).ok().filter(|size| *size > 0);
    let read = match (rank, shape) {
        (Rank::Vector, &[n]) => size(n).map(|n| (n, 1)),
        (Rank::Matrix, &[m, n]) => size(m).zip(size(n)),
        (Rank::Vector | Rank::Matrix, _) => None,
    };
    match read {
        Some(sizes) => Some(sizes),
        None => {
            let allowed = match rank {
                Rank::Vector => "[n] with n at least 1",
                Rank::Matrix => {
                    "[m, n] with both at least 1; a single sample of n features is [1, n]"
                }
            };
            let start = &shape[..shape.len().min(8)];
            let given = if start.len() < shape.len() {
                format!("{} dimensions", shape.len())
            } else {
                format!("{start:?}")
            };
            violations.add(format!("{field}.shape"), given, allowed);
            None
        }
    }
}

/// Little-endian bytes of type `From` as numbers of type `To`. The bytes need not be aligned.
fn decode<From: Scalar, To: Scalar>(raw: &[u8]) -> Vec<To> {
    if From::DTYPE == To::DTYPE {
        // One copy, whatever the alignment; the length was checked against the shape.
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

/// The name of a type on the wire.
pub fn dtype(dtype: Dtype) -> pb::Dtype {
    match dtype {
        Dtype::Float32 => pb::Dtype::Float32,
        Dtype::Float64 => pb::Dtype::Float64,
    }
}

/// A tensor for a reply; sizes come from models and batches, whose limits lie far below 2³¹.
pub fn write<T: Scalar>(shape: &[usize], entries: &[T], encoding: Encoding) -> pb::Tensor {
    let (values, raw) = match encoding {
        Encoding::Values => (
            entries.iter().map(|entry| entry.to_f64()).collect(),
            Bytes::new(),
        ),
        Encoding::Raw => (
            Vec::new(),
            Bytes::copy_from_slice(bytemuck::cast_slice(entries)),
        ),
    };
    pb::Tensor {
        shape: shape
            .iter()
            .map(|&size| i32::try_from(size).unwrap_or(i32::MAX))
            .collect(),
        values,
        raw,
        dtype: dtype(T::DTYPE).into(),
    }
}

/// [`write`] with pauses.
pub async fn write_in_blocks<T: Scalar>(
    shape: &[usize],
    entries: &[T],
    encoding: Encoding,
    pauses: &impl Pauses,
) -> pb::Tensor {
    let (mut values, mut raw) = (Vec::new(), Vec::new());
    match encoding {
        Encoding::Values => values.reserve_exact(entries.len()),
        Encoding::Raw => raw.reserve_exact(size_of_val(entries)),
    }
    for entries in entries.chunks(WALK) {
        match encoding {
            Encoding::Values => values.extend(entries.iter().map(|entry| entry.to_f64())),
            Encoding::Raw => raw.extend_from_slice(bytemuck::cast_slice(entries)),
        }
        pauses.pause().await;
    }
    pb::Tensor {
        values,
        raw: raw.into(),
        ..write::<T>(shape, &[], encoding)
    }
}
