//! Reads tensors from requests and writes them into replies.

use bytes::Bytes;

use crate::fault::Violations;
use crate::host::parts::integers::{Suspicion, guess};
use crate::host::parts::tensor::{Entries, TensorParts};
use crate::nn::pauses::{Pauses, WALK};
use crate::nn::{Dtype, Scalar};
use crate::rpc::pb;

/// The encoding of the tensors in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As numbers, readable in JSON.
    Values,
    /// As little-endian bytes.
    Raw,
}

/// The rank of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// `[n]`; becomes a matrix of one column.
    Vector,
    /// `[m, n]`.
    Matrix,
}

impl Encoding {
    /// The encoding of a reply: the requested one, or else that of the request's own tensor.
    pub fn of_reply(
        asked: i32,
        request: Option<&TensorParts>,
        violations: &mut Violations,
    ) -> Self {
        let as_request = match request {
            Some(tensor) if tensor.is_raw() => Self::Raw,
            Some(_) | None => Self::Values,
        };
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

    /// The size of `entries` numbers of type `dtype` in a reply, in bytes.
    pub fn bytes(self, entries: usize, dtype: Dtype) -> usize {
        entries.saturating_mul(match self {
            Self::Values => size_of::<f64>(),
            Self::Raw => dtype.size(),
        })
    }
}

/// Reads a tensor's shape and counts its entries. It allocates nothing for the size that the shape claims.
pub fn read(
    tensor: Option<pb::Tensor>,
    field: &str,
    rank: Rank,
    violations: &mut Violations,
) -> Option<TensorParts> {
    read_as(tensor, field, rank, Suspicion::Subnormal, violations)
}

/// [`read`] with another suspicion of integers that were sent as the bytes of floating-point numbers.
pub fn read_as(
    tensor: Option<pb::Tensor>,
    field: &str,
    rank: Rank,
    suspicion: Suspicion,
    violations: &mut Violations,
) -> Option<TensorParts> {
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
    // The product of two dimensions below 2³¹ fits 64 bits.
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
    TensorParts::new((rows, columns), entries, suspicion, field, violations)
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

/// A type of entries as the wire's enum.
pub fn dtype(dtype: Dtype) -> pb::Dtype {
    match dtype {
        Dtype::Float32 => pb::Dtype::Float32,
        Dtype::Float64 => pb::Dtype::Float64,
    }
}

/// A tensor message. Sizes come from models and batches, whose limits are far below 2³¹.
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

/// [`write()`] with pauses.
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
