//! Formulas of the backward pass: parsed from LaTeX or plain text, evaluated, and rendered. Pure.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a walk over tokens or trees treats the kinds it is about and passes by all others"
)]

mod atom;
mod brackets;
mod budget;
mod calculus;
mod chain;
mod characters;
mod code;
mod commands;
mod derivative;
mod ellipsis;
mod entries;
mod error;
mod eval;
mod expr;
mod functions;
mod lexer;
mod matrix;
mod memory;
mod names;
mod parser;
mod reading;
mod render;
mod scripts;
mod shown;
mod sums;
mod symbol;
mod text;
mod tree;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use budget::too_much_work;
pub use chain::{OtherReading, Side, parse};
pub use error::{Fault, FormulaError, underline};
pub use eval::{Value, evaluate, evaluate_counting, shape_text};
pub use expr::{Comparison, Expr, Function, Index, Indices, Kind, Operator, Semantics};
pub use lexer::MAX_BYTES;
pub use matrix::Matrix;
pub use memory::{Memory, evaluate_again};
pub use names::{Names, QUANTITIES};
pub use parser::Scope;
pub use reading::readings;
pub use render::{Notation, render};
pub use shown::{shown_in_latex, shown_in_plain};
pub use symbol::{Bindings, Symbol};
pub use text::{Answer, Named, Redefinition, StatedRange, StatedShape, read};
pub use tree::{MAX_HEIGHT, STACK_BYTES};

/// A piece of the text that a formula was read from, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}
