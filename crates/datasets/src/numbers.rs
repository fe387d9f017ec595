//! Numbers in memory, of one of the engine's types.

use backpropd_engine::nn::{Dtype, Scalar};

/// The largest piece that is read, checked or hashed at once, in bytes: it fits the caches.
pub(crate) const BLOCK_BYTES: usize = 1 << 18;

/// Numbers of a type that is known when the program runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Numbers {
    /// Numbers of either type.
    pub(crate) fn from_vec<T: Scalar>(numbers: Vec<T>) -> Self {
        match T::DTYPE {
            Dtype::Float32 => Self::F32(bytemuck::cast_vec(numbers)),
            Dtype::Float64 => Self::F64(bytemuck::cast_vec(numbers)),
        }
    }

    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::Float32,
            Self::F64(_) => Dtype::Float64,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F64(numbers) => numbers.len(),
        }
    }

    /// The numbers, if they are of type `T`.
    pub(crate) fn slice<T: Scalar>(&self) -> Option<&[T]> {
        match self {
            Self::F32(numbers) if T::DTYPE == Dtype::Float32 => {
                bytemuck::try_cast_slice(numbers).ok()
            }
            Self::F64(numbers) if T::DTYPE == Dtype::Float64 => {
                bytemuck::try_cast_slice(numbers).ok()
            }
            Self::F32(_) | Self::F64(_) => None,
        }
    }
}
