//! The tensors of one submission with the right ones, from which mistakes are identified.

use super::comparison::{Comparison, MOST_NAMED_ENTRIES, TensorComparison};
use super::references::References;
use super::report::Closeness;
use super::submitted::SubmittedTensor;
use crate::grade::Tolerance;
use crate::grade::pass::{Gradients, Tensor};
use crate::grade::wrong::Kinks;

/// Smaller tensors could be found by trial and error: their reports give only the verdict, and no mistake.
const FEWEST_COARSE_ENTRIES: usize = 4;

/// The level of detail in the report on a wrong tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Errors, the entries with the largest errors, a mark for each entry, and the mistake.
    Full,
    /// Whether it is right, within 1 % or wrong, and a mistake that matches it exactly: nothing that a search for the
    /// right entries can use.
    Coarse,
}

/// All tensors of one submission, with the data to grade them.
#[derive(Clone, Copy)]
pub(super) struct Submission<'a> {
    pub(super) references: &'a References,
    pub(super) submitted: &'a [SubmittedTensor],
    /// The gradients that are right: one, or several where a unit lies on its kink.
    pub(super) accepted: &'a [(Kinks, Gradients)],
    pub(super) comparisons: &'a [Comparison],
    /// How close each tensor is to the right one, if known.
    pub(super) closeness: &'a [Closeness],
    pub(super) tolerance: Tolerance,
    pub(super) detail: Detail,
}

/// One tensor of a submission with the right one.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) submission: Submission<'a>,
    pub(super) given: &'a SubmittedTensor,
    pub(super) compared: TensorComparison<'a>,
    pub(super) closeness: Closeness,
}

impl<'a> Submission<'a> {
    /// The case of a tensor that is compared already; `None` for a quantity that the network does not have.
    pub(super) fn case(self, at: usize) -> Option<Case<'a>> {
        let (given, comparison) = (self.submitted.get(at)?, self.comparisons.get(at)?);
        let (_, gradients) = self.accepted.get(comparison.accepted())?;
        let expected = gradients.get(given.quantity)?;
        Some(Case {
            submission: self,
            given,
            compared: TensorComparison::new(given, expected, comparison),
            closeness: self
                .closeness
                .get(at)
                .map_or(Closeness::Wrong, |known| *known),
        })
    }

    /// The cases of all tensors.
    pub(super) fn cases(self) -> impl Iterator<Item = Case<'a>> {
        (0..self.submitted.len()).filter_map(move |at| self.case(at))
    }

    /// Whether reports include errors, and not only verdicts.
    pub(super) fn tells_all(self) -> bool {
        self.detail == Detail::Full
    }
}

impl<'a> Case<'a> {
    /// Whether reports include errors, and not only verdicts.
    pub(super) fn tells_all(&self) -> bool {
        self.submission.tells_all()
    }

    /// Whether to search for the tensor's mistake.
    pub(super) fn is_nameable(&self) -> bool {
        let fewest = match self.submission.detail {
            Detail::Full => 0,
            Detail::Coarse => FEWEST_COARSE_ENTRIES,
        };
        let entries = self.given.values.len();
        self.compared.is_finite() && (fewest..=MOST_NAMED_ENTRIES).contains(&entries)
    }

    /// How close the tensor is to the right one, computed anew.
    pub(super) fn find_closeness(&self) -> Closeness {
        let is_small = self.given.values.len() < FEWEST_COARSE_ENTRIES;
        if is_small && !self.tells_all() && !self.compared.is_right() {
            return Closeness::Wrong;
        }
        self.compared.closeness(self.right())
    }

    /// The right tensors of the quantity: one, or several at a kink.
    pub(super) fn right(&self) -> impl Iterator<Item = &'a Tensor> + use<'a> {
        let quantity = self.given.quantity;
        let accepted = self.submission.accepted.iter();
        accepted.filter_map(move |(_, gradients)| gradients.get(quantity))
    }

    /// The tolerance for recognizing values: a mistake in single precision is the same mistake.
    fn recognition(&self) -> Tolerance {
        let tolerance = self.submission.tolerance;
        if self.compared.single() && self.tells_all() {
            Tolerance {
                relative: tolerance.relative.max(Tolerance::FLOAT32.relative),
                ..tolerance
            }
        } else {
            tolerance
        }
    }

    /// Whether the given values are these times a factor. Zeros prove nothing.
    pub(super) fn is_multiple(&self, values: &[f64], factor: f64) -> bool {
        let given = &self.given.values;
        self.recognition().accepts_multiple(given, values, factor)
    }

    /// Whether the tensor would be right with the tolerance of single precision.
    pub(super) fn is_single(&self) -> bool {
        self.tells_all()
            && self.submission.tolerance.relative < Tolerance::FLOAT32.relative
            && self.compared.has_right_shape()
            && self.compared.single()
            && self.equals_right()
    }

    /// Whether the numbers are those of a right answer, in any shape.
    pub(super) fn equals_right(&self) -> bool {
        let tolerance = self.recognition();
        self.right()
            .any(|right| tolerance.accepts(&self.given.values, &right.values))
    }

    /// Whether the submission alone reveals the mistake.
    pub(super) fn is_all_zeros(&self) -> bool {
        self.given.values.iter().all(|&value| value == 0.0)
    }
}
