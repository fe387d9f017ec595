//! The engine: multi-layer perceptrons, their backward pass and how they learn, generic over `f32` and `f64`.
//!
//! Pure: no IO, no clock, no thread of its own; parallelism, seeds and scratch memory are arguments. In reading
//! order: [`Architecture`] lays a network out, [`Mlp::forward`] makes a [`Trace`], [`Trace::backward`] every
//! gradient, [`Optimizer`] and [`Schedule`] turn gradients into steps. [`Pass`] shows every [`Quantity`] of it;
//! [`finite_difference`] judges the gradients, [`jacobian`] gives ∂A/∂B of any two quantities.

pub mod activation;
pub mod architecture;
pub mod backward;
pub mod batch;
pub mod digest;
mod elementwise;
mod exponential;
pub mod finite_difference;
pub mod init;
pub mod jacobian;
pub mod loss;
pub mod mlp;
pub mod norm;
pub mod optimizer;
pub mod pauses;
mod product;
pub mod quantity;
pub mod scalar;
pub mod schedule;
mod slices;
mod smooth;
pub mod threads;

pub use activation::{Activation, ReluAtZero};
pub use architecture::{Architecture, ArchitectureLimits, Layer, LayerSpec};
pub use backward::{Backward, Descent, InputGradient};
pub use batch::{Batch, BatchRef, Matrix, MinibatchBuffers, Minibatches, Targets, TargetsRef};
pub use digest::WeightsDigest;
pub use init::{Init, initialize, initialize_in_blocks};
pub use loss::{Loss, Objective, Reduction};
pub use mlp::{ForwardBuffers, Mlp, Trace};
pub use norm::norm;
pub use optimizer::{Optimizer, Rule, State, Update, Updated};
pub use pauses::Pauses;
pub use quantity::{Pass, Quantity, Shape};
pub use scalar::{Dtype, Scalar};
pub use schedule::{Decay, Schedule};

/// Which arithmetic computes a step: the same number promises the same bits for the same model and batch, on one kind
/// of processor. It grows with every change of the last bits of anything that training computes.
///
/// 1: exponentials of the platform's library. 2: of our own, and slopes that keep their digits where they saturate.
pub const ARITHMETIC: u32 = 2;
