//! Grading of backpropagation work: formulas that a student derived, gradients that a student's code computed. Pure.

pub mod assignment;
mod mistake;
mod network;
mod report;
pub mod sample;
mod tolerance;

pub use assignment::{
    Assignment, AssignmentError, BatchKind, Carry, CatalogueEntry, NetworkSpec, Question, Rubric,
};
pub use mistake::Mistake;
pub use network::{Network, Numbers};
pub use report::{GradeReport, Grid, QuestionReport, Understood, Verdict};
pub use sample::{SampleError, Sampler, sample_networks};
pub use tolerance::Tolerance;
