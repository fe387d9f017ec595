//! Grades block by block, so that other work runs between the blocks.

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Architecture, BatchRef, Objective};

use super::advice;
use super::case::{Detail, Submission};
use super::check;
use super::comparison::Comparison;
use super::naming::Naming;
use super::references::{PendingReferences, References};
use super::report::{Closeness, TensorReport};
use super::search::{Findings, Search};
use super::submitted::{Extras, SubmittedTensor};
use crate::grade::budget::Budget;
use crate::grade::pass::Gradients;
use crate::grade::tensor_mistakes::Walk;
use crate::grade::wrong::Kinks;
use crate::grade::{Tolerance, Verdict};

/// Gradients being graded, from the reference's forward pass to the last report.
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
    /// Begins; the arguments are those of [`References::new`] and [`grade_tensors`].
    ///
    /// # Errors
    /// All violations at once.
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

    /// Its approximate memory besides the submission, in bytes.
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

    /// Computes one more block, usually a fraction of a millisecond; `false` at the end.
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

    /// The reports, in the order of the submitted tensors.
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

/// Grades every tensor, in the given order, with full detail.
///
/// # Errors
/// Quantities that the network does not have or that come twice, and shapes that do not hold as many values as were
/// given; at `submitted[i].layer` and `submitted[i].shape`.
pub fn grade_tensors(
    references: &References,
    submitted: &[SubmittedTensor],
    tolerance: &Tolerance,
) -> Result<Vec<TensorReport>, Violations> {
    check::submitted(&references.pass.architecture, submitted)?;
    let (references, submitted) = (references.clone(), submitted.to_vec());
    let mut judging = Judging::new(references, submitted, *tolerance, Detail::Full);
    let mut budget = Budget::default();
    loop {
        budget.refill();
        if judging.advance(&mut budget) {
            return Ok(judging.into_reports());
        }
    }
}

/// Submitted tensors and their finished references.
struct Judging {
    references: References,
    submitted: Vec<SubmittedTensor>,
    /// What to add to the report on each tensor if it is right.
    advice: Vec<Option<String>>,
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
    Searching(Box<Search>),
    Reporting(Box<Findings>, Naming),
    Done,
}

impl Judging {
    fn new(
        references: References,
        mut submitted: Vec<SubmittedTensor>,
        tolerance: Tolerance,
        detail: Detail,
    ) -> Self {
        let advice = submitted.iter_mut().map(|tensor| {
            let shape = advice::straighten(tensor, &references);
            let blind = match detail {
                Detail::Full => advice::blindness(tensor.quantity, &references),
                Detail::Coarse => None,
            };
            match (shape, blind) {
                (Some(shape), Some(blind)) => Some(format!("{shape} {blind}")),
                (shape, blind) => shape.or(blind),
            }
        });
        let advice = advice.collect();
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
            advice,
            tolerance,
            detail,
            step: Step::Accepting(others, None),
        }
    }

    fn submission(&self) -> Submission<'_> {
        Submission {
            references: &self.references,
            submitted: &self.submitted,
            accepted: &self.accepted,
            comparisons: &self.comparisons,
            closeness: &self.closeness,
            tolerance: self.tolerance,
            detail: self.detail,
        }
    }

    fn into_reports(self) -> Vec<TensorReport> {
        self.reports
    }

    /// Continues while `budget` lasts; returns whether it is done.
    fn advance(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            let step = std::mem::replace(&mut self.step, Step::Done);
            self.step = match step {
                Step::Accepting(others, walk) => self.accept(others, walk, budget),
                Step::Comparing(tensor, accepted) => self.compare(tensor, accepted, budget),
                Step::Searching(mut search) => match search.advance(self.submission(), budget) {
                    Some(found) => Step::Reporting(Box::new(found), Naming::new(self.submission())),
                    None => Step::Searching(search),
                },
                Step::Reporting(found, mut naming) => {
                    let at = self.reports.len();
                    match naming.advance(self.submission(), &found, at, budget) {
                        Some(report) => self.reports.push(self.advised(at, report)),
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

    /// The report with the advice on a right tensor.
    fn advised(&self, at: usize, mut report: TensorReport) -> TensorReport {
        if report.verdict == Verdict::Correct
            && let Some(Some(advice)) = self.advice.get(at)
        {
            report.message = format!("{} {advice}", report.message);
        }
        report
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
            return Step::Searching(Box::new(Search::new(self.submission(), budget)));
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
        let case = self.submission().case(tensor);
        let closeness = case.map_or(Closeness::Wrong, |case| case.find_closeness());
        self.closeness.push(closeness);
        Step::Comparing(tensor + 1, 0)
    }
}
