//! The engine: multi-layer perceptrons, their backward pass and their training, generic over `f32` and `f64`.
//!
//! Pure: no IO, no clock, no thread of its own; parallelism, seeds and scratch memory are arguments. In reading order:
//! [`Architecture`] lays out a network, [`Mlp::forward`] returns a [`Trace`], [`Trace::backward`] computes every
//! gradient, [`Optimizer`] and [`Schedule`] turn gradients into steps. [`Pass`] gives access to every [`Quantity`]
//! and explains each entry; [`Evaluation`] measures outputs against targets, [`finite_difference`] checks the gradients, [`jacobian`] computes ∂A/∂B of any two quantities.

pub mod activation;
pub mod architecture;
pub mod backward;
pub mod batch;
mod compiled;
pub mod digest;
mod elementwise;
pub mod evaluation;
pub mod explain;
mod exponential;
pub mod finite_difference;
pub mod init;
pub mod jacobian;
mod loops;
pub mod loss;
pub mod minibatches;
pub mod mlp;
pub mod norm;
pub mod optimizer;
pub mod pauses;
mod product;
pub mod quantity;
pub mod samples;
pub mod scalar;
pub mod schedule;
mod slices;
mod smooth;
mod targets;
pub mod threads;

pub use activation::{Activation, ReluAtZero};
pub use architecture::{Architecture, ArchitectureLimits, Init, Layer, LayerSpec};
pub use backward::{Backward, Descent, InputGradient, squares_in_blocks};
pub use batch::{Batch, BatchRef, Matrix, MinibatchBuffers};
pub use digest::WeightsDigest;
pub use evaluation::{Evaluated, Evaluation, EvaluationParts};
pub use explain::{Detail, Entry, ExplainLimits, Explanation};
pub use init::{initialize, initialize_in_blocks};
pub use loss::{Loss, Objective, Reduction};
pub use minibatches::Minibatches;
pub use mlp::{ForwardBuffers, Mlp, Trace};
pub use norm::norm;
pub use optimizer::{Optimizer, Rule, State, Update, Updated};
pub use pauses::Pauses;
pub use quantity::{Pass, Quantity, Shape};
pub use samples::{Samples, SamplesError};
pub use scalar::{Dtype, Scalar};
pub use schedule::{Decay, Schedule};
pub use targets::{Targets, TargetsRef};

/// The version of the arithmetic that computes a step. The same number promises the same bits for the same model and
/// batch, on one kind of processor. It increases with every change of the last bits of anything that training computes.
///
/// 1: exponentials of the platform's library. 2: the engine's own, and slopes that keep their digits where they
/// saturate.
pub const ARITHMETIC: u32 = 2;
