//! Tensors that were submitted together beside the right ones: what their mistakes are named by.

use super::comparison::{Comparison, MOST_NAMED_ENTRIES, TensorComparison};
use super::references::References;
use super::report::Closeness;
use super::submitted::SubmittedTensor;
use crate::grade::Tolerance;
use crate::grade::pass::{Gradients, Tensor};
use crate::grade::wrong::Kinks;

/// With fewer entries a tensor could be found by trying: then only right and wrong are told, and no mistake.
const FEWEST_COARSE_ENTRIES: usize = 4;

/// How much a report tells of a wrong tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Errors, the entries that are furthest off, a mark for each entry, and the mistake.
    Full,
    /// Whether it is right, within 1 % or wrong, and a mistake whose numbers it has: what a search for the right entries
    /// cannot use.
    Coarse,
}

/// All tensors of one submission, and all that they are judged by.
#[derive(Clone, Copy)]
pub(super) struct Submission<'a> {
    pub(super) references: &'a References,
    pub(super) submitted: &'a [SubmittedTensor],
    /// The gradients that are right: one, or several where a unit lies on its kink.
    pub(super) accepted: &'a [(Kinks, Gradients)],
    pub(super) comparisons: &'a [Comparison],
    /// How near each tensor is to the right one, as far as that is known.
    pub(super) closeness: &'a [Closeness],
    pub(super) tolerance: Tolerance,
    pub(super) detail: Detail,
}

/// One tensor of a submission beside the right one.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) submission: Submission<'a>,
    pub(super) given: &'a SubmittedTensor,
    pub(super) compared: TensorComparison<'a>,
    pub(super) closeness: Closeness,
}

impl<'a> Submission<'a> {
    /// The case of a tensor that is compared already; a quantity that the network does not have gives none.
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

    /// Whether reports tell errors, and not only verdicts.
    pub(super) fn tells_all(self) -> bool {
        self.detail == Detail::Full
    }
}

impl<'a> Case<'a> {
    /// Whether reports tell errors, and not only verdicts.
    pub(super) fn tells_all(&self) -> bool {
        self.submission.tells_all()
    }

    /// Whether the tensor's mistake is looked for.
    pub(super) fn is_nameable(&self) -> bool {
        let fewest = match self.submission.detail {
            Detail::Full => 0,
            Detail::Coarse => FEWEST_COARSE_ENTRIES,
        };
        let entries = self.given.values.len();
        self.compared.is_finite() && (fewest..=MOST_NAMED_ENTRIES).contains(&entries)
    }

    /// How near the tensor is to the right one, computed anew.
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

    /// The tolerance to recognise values with: mistakes in single precision are the same mistakes.
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

    /// Whether the tensor would be right, were it allowed the errors of single precision.
    pub(super) fn is_single(&self) -> bool {
        self.tells_all()
            && self.submission.tolerance.relative < Tolerance::FLOAT32.relative
            && self.compared.has_right_shape()
            && self.compared.single()
            && self.equals_right()
    }

    /// Whether the numbers are those of a right answer, whatever their shape.
    pub(super) fn equals_right(&self) -> bool {
        let tolerance = self.recognition();
        self.right()
            .any(|right| tolerance.accepts(&self.given.values, &right.values))
    }

    /// Whether the submission alone shows the mistake.
    pub(super) fn is_all_zeros(&self) -> bool {
        self.given.values.iter().all(|&value| value == 0.0)
    }
}
