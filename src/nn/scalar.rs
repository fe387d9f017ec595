//! The two types that the engine computes in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// Which of the two types a model computes in.
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

/// `f32` or `f64`: what the engine asks of its numbers.
pub trait Scalar:
    faer::traits::ComplexField
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
    /// The type's name on the wire.
    const DTYPE: Dtype;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Rounds to the nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Neither infinite nor not a number.
    fn finite(self) -> bool;
    /// eˣ.
    fn exponential(self) -> Self;
    /// ln(1 + x), accurate near 0.
    fn logarithm_of_one_plus(self) -> Self;
    /// The natural logarithm.
    fn logarithm(self) -> Self;
    /// tanh x.
    fn hyperbolic_tangent(self) -> Self;
    /// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
    fn error_function(self) -> Self;
    /// √x.
    fn square_root(self) -> Self;
    /// |x|.
    fn magnitude(self) -> Self;
}

macro_rules! scalar {
    ($type:ty, $dtype:expr, $erf:path) => {
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
            fn exponential(self) -> Self {
                self.exp()
            }
            fn logarithm_of_one_plus(self) -> Self {
                self.ln_1p()
            }
            fn logarithm(self) -> Self {
                self.ln()
            }
            fn hyperbolic_tangent(self) -> Self {
                self.tanh()
            }
            fn error_function(self) -> Self {
                $erf(self)
            }
            fn square_root(self) -> Self {
                self.sqrt()
            }
            fn magnitude(self) -> Self {
                self.abs()
            }
        }
    };
}

scalar!(f32, Dtype::Float32, libm::erff);
scalar!(f64, Dtype::Float64, libm::erf);
