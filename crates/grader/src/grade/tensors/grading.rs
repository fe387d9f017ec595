//! Grading block by block, so that other work gets its turn between the blocks.

use super::comparison::{Compared, Comparison, MOST_NAMED_ENTRIES};
use super::constant::Constant;
use super::naming::Naming;
use super::trying::{Found, Trying};
use super::{
    Closeness, Extras, PendingReferences, References, SubmittedTensor, TensorReport, Tolerance,
    check,
};
use crate::grade::tensor_mistakes::{Budget, Gradients, Kinks, Tensor, Walk};
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Architecture, BatchRef, Objective};

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

/// Gradients under grading, from the reference's forward pass to the last report.
pub struct TensorGrading {
    stage: Stage,
    budget: Budget,
}

enum Stage {
    Pending(Box<(PendingReferences, Vec<SubmittedTensor>, Tolerance, Detail)>),
    Judging(Box<Judging>),
    Refused(Violations),
}

impl TensorGrading {
    /// Begins; the arguments are those of [`References::new`] and [`super::grade_tensors`].
    ///
    /// # Errors
    /// Whatever does not fit the network, all of it at once.
    pub fn new(
        (architecture, objective): (&Architecture, Objective),
        parameters: Vec<f64>,
        batch: BatchRef<'_, f64>,
        extras: Extras<'_>,
        submitted: Vec<SubmittedTensor>,
        (tolerance, detail): (Tolerance, Detail),
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let pending = violations.take_own(PendingReferences::new(
            architecture,
            parameters,
            objective,
            batch,
            extras,
        ));
        violations.take_own(check::submitted(architecture, &submitted));
        let pending = violations.into_result(pending)?;
        Ok(Self {
            stage: Stage::Pending(Box::new((pending, submitted, tolerance, detail))),
            budget: Budget::default(),
        })
    }

    /// The bytes that it takes besides what was submitted, about.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        // The accepted gradients, the wrong ones, and the working copies of a layer; see `Kinks` for how many.
        const GRADIENTS: usize = 7;
        let entries = architecture.units_per_sample().saturating_mul(2);
        let entries = entries.saturating_add(architecture.input_size());
        let gradients = entries
            .saturating_mul(rows)
            .saturating_add(architecture.parameter_count());
        gradients.saturating_mul(GRADIENTS * size_of::<f64>())
    }

    /// Computes one more block, a fraction of a millisecond as a rule; `false` at the end.
    pub fn advance(&mut self) -> bool {
        self.budget.refill();
        match &mut self.stage {
            Stage::Pending(pending) => {
                let Some(references) = pending.0.advance(&mut self.budget) else {
                    return true;
                };
                let submitted = std::mem::take(&mut pending.1);
                let (tolerance, detail) = (pending.2, pending.3);
                let (stage, more) = match references {
                    Ok(references) => {
                        let judging = Judging::new(references, submitted, tolerance, detail);
                        (Stage::Judging(Box::new(judging)), true)
                    }
                    Err(violations) => (Stage::Refused(violations), false),
                };
                self.stage = stage;
                more
            }
            Stage::Judging(judging) => !judging.advance(&mut self.budget),
            Stage::Refused(_) => false,
        }
    }

    /// The reports, in the order in which the tensors were submitted.
    ///
    /// # Errors
    /// The right gradients overflow.
    pub fn into_reports(self) -> Result<Vec<TensorReport>, Violations> {
        match self.stage {
            Stage::Judging(judging) => Ok(judging.into_reports()),
            Stage::Refused(violations) => Err(violations),
            Stage::Pending(_) => Ok(Vec::new()),
        }
    }
}

/// Submitted tensors against references that are there.
pub(super) struct Judging {
    references: References,
    submitted: Vec<SubmittedTensor>,
    tolerance: Tolerance,
    detail: Detail,
    /// The gradients that are right: one, or several where a unit lies on its kink.
    accepted: Vec<(Kinks, Gradients)>,
    comparisons: Vec<Comparison>,
    closeness: Vec<Closeness>,
    step: Step,
    reports: Vec<TensorReport>,
}

enum Step {
    Accepting(Vec<Kinks>, Option<Box<Walk>>),
    /// The next tensor and the next of the accepted gradients.
    Comparing(usize, usize),
    Trying(Box<Trying>),
    Reporting(Box<Found>, Naming),
    Done,
}

/// What names are found by.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) references: &'a References,
    pub(super) submitted: &'a [SubmittedTensor],
    pub(super) accepted: &'a [(Kinks, Gradients)],
    pub(super) comparisons: &'a [Comparison],
    pub(super) closeness: &'a [Closeness],
    pub(super) tolerance: Tolerance,
    pub(super) detail: Detail,
}

impl Judging {
    pub(super) fn new(
        references: References,
        submitted: Vec<SubmittedTensor>,
        tolerance: Tolerance,
        detail: Detail,
    ) -> Self {
        let others = if references.pass.has_kinks(tolerance.kink) {
            vec![Kinks::Off, Kinks::On, Kinks::Switched]
        } else {
            Vec::new()
        };
        Self {
            accepted: vec![(Kinks::AsTheyAre, references.right.clone())],
            comparisons: Vec::with_capacity(submitted.len()),
            closeness: Vec::with_capacity(submitted.len()),
            reports: Vec::with_capacity(submitted.len()),
            references,
            submitted,
            tolerance,
            detail,
            step: Step::Accepting(others, None),
        }
    }

    fn case(&self) -> Case<'_> {
        Case {
            references: &self.references,
            submitted: &self.submitted,
            accepted: &self.accepted,
            comparisons: &self.comparisons,
            closeness: &self.closeness,
            tolerance: self.tolerance,
            detail: self.detail,
        }
    }

    pub(super) fn into_reports(self) -> Vec<TensorReport> {
        self.reports
    }

    /// Goes on for as long as `budget` lasts; whether that was all.
    pub(super) fn advance(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            let step = std::mem::replace(&mut self.step, Step::Done);
            self.step = match step {
                Step::Accepting(others, walk) => self.accept(others, walk, budget),
                Step::Comparing(tensor, accepted) => self.compare(tensor, accepted, budget),
                Step::Trying(mut trying) => match trying.advance(&self.case(), budget) {
                    Some(found) => Step::Reporting(Box::new(found), Naming::new(&self.case())),
                    None => Step::Trying(trying),
                },
                Step::Reporting(found, mut naming) => {
                    match naming.advance(&self.case(), &found, self.reports.len(), budget) {
                        Some(report) => self.reports.push(report),
                        None if self.reports.len() == self.submitted.len() => return true,
                        None => {}
                    }
                    Step::Reporting(found, naming)
                }
                Step::Done => return true,
            };
        }
        false
    }

    fn accept(
        &mut self,
        mut others: Vec<Kinks>,
        walk: Option<Box<Walk>>,
        budget: &mut Budget,
    ) -> Step {
        let Some(&kinks) = others.last() else {
            return Step::Comparing(0, 0);
        };
        let new = || Box::new(Walk::new_right(kinks, self.tolerance.kink));
        let mut walk = walk.unwrap_or_else(new);
        match walk.advance(&self.references.pass, budget) {
            None => Step::Accepting(others, Some(walk)),
            Some(gradients) => {
                self.accepted.push((kinks, gradients));
                others.pop();
                Step::Accepting(others, None)
            }
        }
    }

    fn compare(&mut self, tensor: usize, accepted: usize, budget: &mut Budget) -> Step {
        let Some(given) = self.submitted.get(tensor) else {
            let constants = Constant::all(&self.references);
            return Step::Trying(Box::new(Trying::new(&self.case(), constants, budget)));
        };
        if let Some((_, gradients)) = self.accepted.get(accepted)
            && let Some(expected) = gradients.get(given.quantity)
        {
            budget.spend(given.values.len().saturating_mul(4));
            let comparison = Comparison::new(given, (accepted, expected), self.tolerance);
            match self.comparisons.get_mut(tensor) {
                None => self.comparisons.push(comparison),
                Some(best) if comparison.is_better_than(best) => *best = comparison,
                Some(_) => {}
            }
            return Step::Comparing(tensor, accepted + 1);
        }
        budget.spend(given.values.len().saturating_mul(self.accepted.len()));
        let closeness = self.case().find_closeness(tensor);
        self.closeness.push(closeness);
        Step::Comparing(tensor + 1, 0)
    }
}

impl<'a> Case<'a> {
    /// The tensor beside the right one. Tensors that have none were refused before.
    pub(super) fn compared(&self, at: usize) -> Option<Compared<'a>> {
        Compared::new(self, at)
    }

    /// Whether reports tell errors, and not only verdicts.
    pub(super) fn tells_all(&self) -> bool {
        self.detail == Detail::Full
    }

    /// Whether a tensor's mistake is looked for.
    pub(super) fn is_nameable(&self, at: usize) -> bool {
        let entries = self.submitted[at].values.len();
        let fewest = match self.detail {
            Detail::Full => 0,
            Detail::Coarse => FEWEST_COARSE_ENTRIES,
        };
        let is_finite = self
            .compared(at)
            .is_some_and(|compared| compared.is_finite());
        is_finite && (fewest..=MOST_NAMED_ENTRIES).contains(&entries)
    }

    fn find_closeness(&self, at: usize) -> Closeness {
        let Some(compared) = self.compared(at) else {
            return Closeness::Wrong;
        };
        let is_small = compared.given.values.len() < FEWEST_COARSE_ENTRIES;
        if is_small && !self.tells_all() && !compared.is_right() {
            return Closeness::Wrong;
        }
        compared.closeness(self.right(at))
    }

    /// The right tensors of the quantity: one, or several at a kink.
    pub(super) fn right(&self, at: usize) -> impl Iterator<Item = &'a Tensor> {
        let quantity = self.submitted[at].quantity;
        let accepted = self.accepted.iter();
        accepted.filter_map(move |(_, gradients)| gradients.get(quantity))
    }

    /// The tolerance to recognise values with: mistakes in single precision are the same mistakes.
    fn recognition(&self, at: usize) -> Tolerance {
        let single = self.compared(at).is_some_and(|compared| compared.single());
        if single && self.tells_all() {
            Tolerance {
                relative: self.tolerance.relative.max(Tolerance::FLOAT32.relative),
                ..self.tolerance
            }
        } else {
            self.tolerance
        }
    }

    /// Whether the given values are these times a factor. Zeros prove nothing.
    pub(super) fn is_multiple(&self, at: usize, values: &[f64], factor: f64) -> bool {
        let given = &self.submitted[at].values;
        self.recognition(at).accepts_multiple(given, values, factor)
    }

    /// Whether the tensor would be right, were it allowed the errors of single precision.
    pub(super) fn is_single(&self, at: usize) -> bool {
        self.tells_all()
            && self.tolerance.relative < Tolerance::FLOAT32.relative
            && self
                .compared(at)
                .is_some_and(|compared| compared.has_right_shape() && compared.single())
            && self.equals_right(at)
    }

    /// Whether the numbers are those of a right answer, whatever their shape.
    pub(super) fn equals_right(&self, at: usize) -> bool {
        let given = &self.submitted[at].values;
        let tolerance = self.recognition(at);
        self.right(at)
            .any(|right| tolerance.accepts(given, &right.values))
    }

    /// A mistake that the numbers of the submission alone tell.
    pub(super) fn is_all_zeros(&self, at: usize) -> bool {
        self.submitted[at].values.iter().all(|&value| value == 0.0)
    }
}
