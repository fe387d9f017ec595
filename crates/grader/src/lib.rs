//! Grading for backpropd: reads and evaluates formulas, and grades answers and gradients.
//!
//! Pure: no IO, no clock, no thread of its own. [`grade`] builds on [`formula`], never the reverse.

pub mod formula;
pub mod grade;
