//! The inner loops, compiled in this crate for `f32` and `f64`: each method of [`Loops`] is the generic function of the
//! same name.

use faer::{MatMut, MatRef};

use super::activation::{Activation, ReluAtZero};
use super::elementwise;
use super::loops::Loops;
use super::loss::Objective;
use super::optimizer::{Update, Updated};
use super::product;
use super::targets::TargetsRef;

macro_rules! compiled {
    ($type:ty) => {
        #[allow(non_snake_case, reason = "matrices have the names of the mathematics")]
        impl Loops for $type {
            fn activate(activation: Activation, z: &[Self], h: &mut [Self]) {
                activation.activate(z, h);
            }
            fn pull_back(
                activation: Activation,
                z: &[Self],
                dh: &[Self],
                dz: &mut [Self],
                at_zero: ReluAtZero,
            ) {
                activation.pull_back(z, dh, dz, at_zero);
            }
            fn evaluate(
                objective: Objective,
                f: &[Self],
                targets: TargetsRef<'_, Self>,
                per_sample: &mut [f64],
                df: &mut [Self],
            ) {
                objective.evaluate_here(f, targets, per_sample, df);
            }
            fn update(update: Update<'_, Self>, gradient: &[Self]) -> Updated {
                update.apply_here(gradient)
            }

            fn add_entries(to: &mut [Self], from: &[Self]) {
                elementwise::add_entries(to, from);
            }
            fn add_to_rows(to: &mut [Self], from: &[Self]) {
                elementwise::add_to_rows(to, from);
            }
            fn add_rows(to: &mut [Self], from: &[Self], columns: usize, first: usize) {
                elementwise::add_rows(to, from, columns, first);
            }
            fn scale_entries(to: &mut [Self], factor: Self) {
                elementwise::scale_entries(to, factor);
            }
            fn squares_of_rows(sums: &mut [f64], entries: &[Self], columns: usize) {
                elementwise::squares_of_rows(sums, entries, columns);
            }
            fn all_finite(entries: &[Self]) -> bool {
                elementwise::all_finite(entries)
            }

            fn product(dst: MatMut<'_, Self>, lhs: MatRef<'_, Self>, rhs: MatRef<'_, Self>) {
                product::product(dst, lhs, rhs);
            }
            fn gradient_panel(
                dW: MatMut<'_, Self>,
                dz: MatRef<'_, Self>,
                h: MatRef<'_, Self>,
                first: usize,
            ) {
                product::gradient_panel(dW, dz, h, first);
            }
            fn small_forward(z: &mut [Self], h: &[Self], W: &[Self], k: usize) {
                product::small_forward(z, h, W, k);
            }
            fn small_backward(dh: &mut [Self], dz: &[Self], W: &[Self], k: usize) {
                product::small_backward(dh, dz, W, k);
            }
            fn add_small_gradient(dW: &mut [Self], dz: &[Self], h: &[Self], k: usize) {
                product::add_small_gradient(dW, dz, h, k);
            }
        }
    };
}

compiled!(f32);
compiled!(f64);
