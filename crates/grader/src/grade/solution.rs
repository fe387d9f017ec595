//! The right answer of a question.

use super::Network;
use super::values::Values;
use crate::formula::Expr;

/// A right answer, and its values on the question's networks.
pub(super) struct Solution {
    pub(super) formula: Expr,
    pub(super) networks: Vec<Network>,
    /// All values of the free indices, from 1.
    pub(super) letters: Vec<Vec<(char, usize)>>,
    /// The values of the derivative itself, which the formula matches.
    pub(super) values: Values,
}
