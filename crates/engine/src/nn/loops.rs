//! The signatures of the inner loops. They are apart from the loops themselves, which need [`Scalar`](super::Scalar):
//! this trait is a supertrait of it.

use faer::{MatMut, MatRef};

use super::activation::{Activation, ReluAtZero};
use super::loss::Objective;
use super::optimizer::{Update, Updated};
use super::targets::TargetsRef;

/// The inner loops. Generic code calls them through this trait, whose implementations for `f32` and `f64` are concrete.
///
/// The compiler translates generic code in the crate that names the concrete type, at that crate's level of
/// optimisation. The crates above the engine are not optimised in tests, where such a loop is fifty times as slow.
#[allow(non_snake_case, reason = "matrices have the names of the mathematics")]
pub trait Loops: Sized {
    fn activate(activation: Activation, z: &[Self], h: &mut [Self]);
    fn pull_back(
        activation: Activation,
        z: &[Self],
        dh: &[Self],
        dz: &mut [Self],
        at_zero: ReluAtZero,
    );
    fn evaluate(
        objective: Objective,
        f: &[Self],
        targets: TargetsRef<'_, Self>,
        per_sample: &mut [f64],
        df: &mut [Self],
    );
    fn update(update: Update<'_, Self>, gradient: &[Self]) -> Updated;

    fn add_entries(to: &mut [Self], from: &[Self]);
    fn add_to_rows(to: &mut [Self], from: &[Self]);
    fn add_rows(to: &mut [Self], from: &[Self], columns: usize, first: usize);
    fn scale_entries(to: &mut [Self], factor: Self);
    fn squares_of_rows(sums: &mut [f64], entries: &[Self], columns: usize);
    fn all_finite(entries: &[Self]) -> bool;

    fn product(dst: MatMut<'_, Self>, lhs: MatRef<'_, Self>, rhs: MatRef<'_, Self>);
    fn gradient_panel(
        dW: MatMut<'_, Self>,
        dz: MatRef<'_, Self>,
        h: MatRef<'_, Self>,
        first: usize,
    );
    fn small_forward(z: &mut [Self], h: &[Self], W: &[Self], k: usize);
    fn small_backward(dh: &mut [Self], dz: &[Self], W: &[Self], k: usize);
    fn add_small_gradient(dW: &mut [Self], dz: &[Self], h: &[Self], k: usize);
}
