//! The right answer of a question.

use super::Network;
use super::values::Values;
use crate::formula::Expr;

/// A right answer, and its values on the question's networks.
pub(super) struct Solution {
    pub(super) formula: Expr,
    pub(super) networks: Vec<Network>,
    /// Every way to give the free indices values, from 1.
    pub(super) letters: Vec<Vec<(char, usize)>>,
    /// Those of the derivative itself, which the formula has too.
    pub(super) values: Values,
}
