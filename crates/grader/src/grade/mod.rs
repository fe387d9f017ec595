//! Grades backpropagation work: formulas that a student derived, and gradients that a student's code computed. Pure.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a walk over formulas treats the kinds it is about and passes by all others"
)]

pub mod alternatives;
mod assignment;
mod budget;
mod carry;
pub mod check;
mod closed;
mod feedback;
pub mod formats;
mod given;
mod grader;
mod grading;
mod judge;
mod key;
mod likeness;
mod meaning;
mod mistake;
mod named;
mod naming;
mod network;
mod numbers;
mod overrides;
mod pass;
mod proof;
mod quantity;
mod question;
pub mod receipt;
mod report;
pub mod sample;
pub mod sheet;
mod solution;
mod stated;
mod steps;
pub mod submission;
mod tensor_mistakes;
pub mod tensors;
mod tolerance;
mod values;
mod wrong;

pub use assignment::faults::FileFault;
pub use assignment::{
    AnswerKind, Assignment, AssignmentError, BUILT_IN, BatchKind, Carry, CatalogueEntry, Constant,
    Convention, JacobianLayout, NetworkSpec, Question, Rubric,
};
pub use given::{Given, GivenArray};
pub use grader::{Grader, GraderError, Reveal};
pub use grading::Grading;
pub use key::{Finding, Place, lint_key};
pub use mistake::Mistake;
pub use network::{Layout, Network, Numbers, Samples, WeightShape};
pub use overrides::{MAX_OVERRIDES, OverridesAdded, assignment_of_overrides};
pub use proof::{MistakeProof, Proofs, QuestionProof};
pub use quantity::Quantity;
pub use report::{GradeReport, Grid, QuestionReport, Ruling, Understood, Verdict};
pub use sample::{Condition, SampleError, Sampler, sample_networks};
pub use tensors::{
    Closeness, Detail, Extras, References, SubmittedTensor, TensorGrading, TensorReport, Worst,
    grade_tensors,
};
pub use tolerance::Tolerance;

#[cfg(test)]
mod tests;
