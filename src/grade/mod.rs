//! Grading of backpropagation work: formulas that a student derived, gradients that a student's code computed. Pure.

mod mistake;
mod report;
mod tolerance;

pub use mistake::Mistake;
pub use report::{GradeReport, Grid, QuestionReport, Understood, Verdict};
pub use tolerance::Tolerance;
