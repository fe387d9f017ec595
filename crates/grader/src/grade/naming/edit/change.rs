//! One change of a formula, and what the formula around it says about it.

use smallvec::{SmallVec, smallvec};

use crate::formula::{Bindings, Expr, Indices, Kind, Symbol};
use crate::grade::Mistake;

/// The formula that is changed, which decides what a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::grade) enum Side {
    /// A right answer: a change makes a mistake.
    Solution,
    /// A wrong answer: a change corrects a mistake.
    Answer,
}

/// A mistake, and the node without it, or with it in a right answer.
pub(super) type Change = (Mistake, Expr);

/// The letters that have a value at a node: the question's and those of the sums around it.
pub(super) type Letters = SmallVec<[char; 4]>;

/// The surroundings of a node.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) inside: Inside,
    /// Whether it is a factor of a product: what multiplies a factor can multiply the product instead.
    pub(super) is_factor: bool,
    /// Whether it is what an index picks an entry of.
    pub(super) is_base: bool,
    /// Whether it is an entry of a matrix that is written out.
    pub(super) is_entry: bool,
    pub(super) letters: Letters,
    /// The number of the question's own letters.
    pub(super) free: usize,
}

/// What a node is part of. Inside a mask only indices are changed, since the mask is changed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Formula,
    Mask,
}

/// Collects the changes of one node.
pub(super) struct Changes<'a> {
    pub(super) side: Side,
    pub(super) place: &'a Place,
    pub(super) bindings: &'a dyn Bindings,
    pub(super) found: Vec<Change>,
}

impl Changes<'_> {
    /// The number of samples of the network.
    pub(super) fn samples(&self) -> usize {
        let m = self.bindings.value(Symbol::BatchSize);
        m.map_or(1, |m| m.at(0, 0) as usize)
    }

    /// Whether the question is about a batch.
    pub(super) fn is_of_batch(&self) -> bool {
        self.samples() > 1
    }

    /// Whether a part of an answer is a number, so that neither transposes nor the order or kind of a product matter.
    pub(super) fn is_scalar(&self, expr: &Expr) -> bool {
        self.side == Side::Answer && is_scalar(expr)
    }

    /// A change that means the same mistake on either side.
    pub(super) fn put(&mut self, mistake: Mistake, expr: Expr) {
        self.found.push((mistake, expr));
    }

    /// A change that makes the first mistake in a solution and corrects the second in an answer.
    pub(super) fn put_by_side(&mut self, made: Mistake, corrected: Mistake, expr: Expr) {
        let mistake = match self.side {
            Side::Solution => made,
            Side::Answer => corrected,
        };
        self.put(mistake, expr);
    }

    /// A change that makes a mistake, and corrects none.
    pub(super) fn make(&mut self, mistake: Mistake, expr: impl FnOnce() -> Expr) {
        if self.side == Side::Solution {
            self.put(mistake, expr());
        }
    }

    /// A change that corrects a mistake, and makes none.
    pub(super) fn correct(&mut self, mistake: Mistake, expr: impl FnOnce() -> Expr) {
        if self.side == Side::Answer {
            self.put(mistake, expr());
        }
    }
}

/// Whether a formula is made of numbers and entries alone.
fn is_scalar(expr: &Expr) -> bool {
    let mut open: SmallVec<[&Expr; 16]> = smallvec![expr];
    while let Some(piece) = open.pop() {
        match &piece.kind {
            Kind::Number(_)
            | Kind::Letter(_)
            | Kind::Symbol(Symbol::BatchSize | Symbol::Units(_)) => {}
            // One index of a matrix is a row.
            Kind::Select(base, indices @ Indices::Two(..))
                if matches!(base.kind, Kind::Symbol(_)) && indices.is_entry() => {}
            Kind::Negate(_)
            | Kind::Transpose(_)
            | Kind::Binary(..)
            | Kind::Compare(..)
            | Kind::Sum(..) => open.extend(piece.parts()),
            _ => return false,
        }
    }
    true
}
