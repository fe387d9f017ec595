//! The two types that the engine computes in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

use super::loops::Loops;

/// The type that a model computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Dtype {
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
}

impl Dtype {
    /// The size of one entry, in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Float32 => size_of::<f32>(),
            Self::Float64 => size_of::<f64>(),
        }
    }
}

/// `f32` or `f64`, with the operations that the engine needs.
pub trait Scalar:
    Loops
    + faer::traits::ComplexField
    + bytemuck::Pod
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
{
    /// The corresponding [`Dtype`].
    const DTYPE: Dtype;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Rounds to the nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// Converts without rounding.
    fn to_f64(self) -> f64;
    /// Whether the number is neither infinite nor NaN.
    fn finite(self) -> bool;
    /// √x.
    fn square_root(self) -> Self;
}

macro_rules! scalar {
    ($type:ty, $dtype:expr) => {
        impl Scalar for $type {
            const DTYPE: Dtype = $dtype;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[allow(clippy::cast_possible_truncation, trivial_numeric_casts)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn finite(self) -> bool {
                self.is_finite()
            }
            fn square_root(self) -> Self {
                self.sqrt()
            }
        }
    };
}

scalar!(f32, Dtype::Float32);
scalar!(f64, Dtype::Float64);
