//! Compares gradients from a student's code with the right ones.
//!
//! [`References`] computes the right gradients. [`grade_tensors`] compares and, if a tensor is wrong, computes the
//! wrong gradients of common mistakes to identify the student's. [`TensorGrading`] does both block by block.

mod advice;
mod case;
mod check;
mod comparison;
mod constant;
mod diagnosis;
mod grading;
mod naming;
mod references;
mod report;
mod rules;
mod search;
mod submitted;

pub use case::Detail;
pub use check::MOST_AXES;
pub use grading::{TensorGrading, grade_tensors};
pub use references::References;
pub use report::{Closeness, TensorReport, Worst};
pub use submitted::{Extras, SubmittedTensor};

#[cfg(test)]
mod tests;
