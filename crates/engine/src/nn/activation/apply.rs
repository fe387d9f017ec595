//! h = σ(z), entry by entry, and the pull-back dz = dh ⊙ σ′(z), with σ′ computed from z.

use super::super::Scalar;
use super::super::elementwise::{combine, map, map_smooth, pull_back_smooth};
use super::super::smooth::{Gelu, Sigmoid, Silu, Tanh};
use super::{Activation, ReluAtZero};

impl ReluAtZero {
    /// The mask of a unit with pre-activation `z`: whether its gradient passes.
    pub fn passes<T: Scalar>(self, z: T) -> bool {
        match self {
            Self::One => z >= T::ZERO,
            Self::Zero => z > T::ZERO,
        }
    }
}

impl Activation {
    /// h = σ(z); `z` and `h` have the same length.
    pub fn forward<T: Scalar>(self, z: &[T], h: &mut [T]) {
        T::activate(self, z, h);
    }

    /// [`Self::forward`], compiled for one type.
    pub(in super::super) fn activate<T: Scalar>(self, z: &[T], h: &mut [T]) {
        match self {
            Self::Linear => h.copy_from_slice(z),
            // NaN stays NaN, so that a broken network is visible.
            Self::Relu => map(z, h, |z| if z <= T::ZERO { T::ZERO } else { z }),
            Self::LeakyRelu { slope } => {
                let slope = T::from_f64(slope);
                map(z, h, move |z| if z > T::ZERO { z } else { slope * z });
            }
            Self::Sigmoid => map_smooth::<Sigmoid, T>(z, h),
            Self::Tanh => map_smooth::<Tanh, T>(z, h),
            Self::Gelu => map_smooth::<Gelu, T>(z, h),
            Self::Silu => map_smooth::<Silu, T>(z, h),
        }
    }

    /// dz = dh ⊙ σ′(z); the three have the same length.
    pub fn backward<T: Scalar>(self, z: &[T], dh: &[T], dz: &mut [T], at_zero: ReluAtZero) {
        T::pull_back(self, z, dh, dz, at_zero);
    }

    /// [`Self::backward`], compiled for one type.
    pub(in super::super) fn pull_back<T: Scalar>(
        self,
        z: &[T],
        dh: &[T],
        dz: &mut [T],
        at_zero: ReluAtZero,
    ) {
        match self {
            Self::Linear => dz.copy_from_slice(dh),
            Self::Relu => mask(z, dh, dz, T::ZERO, at_zero),
            Self::LeakyRelu { slope } => mask(z, dh, dz, T::from_f64(slope), at_zero),
            Self::Sigmoid => pull_back_smooth::<Sigmoid, T>(z, dh, dz),
            Self::Tanh => pull_back_smooth::<Tanh, T>(z, dh, dz),
            Self::Gelu => pull_back_smooth::<Gelu, T>(z, dh, dz),
            Self::Silu => pull_back_smooth::<Silu, T>(z, dh, dz),
        }
    }
}

/// dz = dh ⊙ df(z).
fn pull_back<T: Scalar>(z: &[T], dh: &[T], dz: &mut [T], df: impl Fn(T) -> T) {
    combine(z, dh, dz, move |z, dh| dh * df(z));
}

/// dz = dh where the mask is set, `slope`·dh elsewhere.
fn mask<T: Scalar>(z: &[T], dh: &[T], dz: &mut [T], slope: T, at_zero: ReluAtZero) {
    // Selected outside the loop, which then needs no branch.
    match at_zero {
        ReluAtZero::One => pull_back(z, dh, dz, move |z| {
            if ReluAtZero::One.passes(z) {
                T::ONE
            } else {
                slope
            }
        }),
        ReluAtZero::Zero => pull_back(z, dh, dz, move |z| {
            if ReluAtZero::Zero.passes(z) {
                T::ONE
            } else {
                slope
            }
        }),
    }
}
