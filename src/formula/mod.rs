//! Formulas of the backward pass: read from LaTeX or plain text, evaluated, written again. Pure.

mod matrix;
mod symbol;

pub use matrix::Matrix;
pub use symbol::{Bindings, Symbol};

/// A piece of the text that a formula was read from, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}
