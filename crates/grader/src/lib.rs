//! The grading of backpropd: formulas are read and evaluated, and answers and gradients are judged.
//!
//! Pure: no IO, no clock, no thread of its own. [`grade`] builds on [`formula`], never the other way round.

pub mod formula;
pub mod grade;
