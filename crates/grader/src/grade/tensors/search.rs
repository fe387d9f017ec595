//! Searches the wrong gradients of common mistakes: computes them one by one and compares them with the submission.

use super::case::Submission;
use super::constant::Constant;
use super::diagnosis::Diagnosis;
use super::report::Closeness;
use crate::grade::budget::Budget;
use crate::grade::pass::Gradients;
use crate::grade::tensor_mistakes::{Candidate, Computation, candidates};

/// The work limit of all wrong backward passes and their comparisons, in multiplications; about a second of one core.
const MOST_WORK: usize = 1_000_000_000;

/// The search in progress.
pub(super) struct Search {
    candidates: Vec<Candidate>,
    constants: Vec<Constant>,
    /// The tensors whose mistake is searched.
    open: Vec<usize>,
    /// The candidates that match each of the tensors, in their order.
    matches: Vec<Vec<usize>>,
    /// The number of tensors that each candidate matches.
    votes: Vec<usize>,
    findings: Findings,
    /// The current candidate and kinks.
    candidate: usize,
    kinks: usize,
    computation: Option<Computation>,
    wrong: Option<Gradients>,
    /// The next of those that are open.
    next: usize,
    /// The limit on `Budget::spent`.
    most_spent: usize,
}

/// The result of the search, for each tensor.
#[derive(Default)]
pub(super) struct Findings {
    /// The mistake that gives it exactly.
    pub(super) exact: Vec<Option<Diagnosis>>,
    /// The mistake that gives it up to a constant, for tensors with two mistakes.
    pub(super) scaled: Vec<Option<Diagnosis>>,
}

impl Search {
    pub(super) fn new(submission: Submission<'_>, budget: &Budget) -> Self {
        let constants = Constant::all(submission.references);
        let count = submission.submitted.len();
        let is_open = |&at: &usize| {
            submission.case(at).is_some_and(|case| {
                case.is_nameable() && case.closeness != Closeness::Right && !case.is_single()
            })
        };
        let open: Vec<usize> = (0..count).filter(is_open).collect();
        let references = submission.references;
        let candidates = if open.is_empty() {
            Vec::new()
        } else {
            let has_earlier = references.earlier.is_some();
            candidates(&references.pass, has_earlier, references.learning_rate)
        };
        Self {
            votes: vec![0; candidates.len()],
            candidates,
            constants,
            open,
            matches: vec![Vec::new(); count],
            findings: Findings {
                exact: vec![None; count],
                scaled: vec![None; count],
            },
            candidate: 0,
            kinks: 0,
            computation: None,
            wrong: None,
            next: 0,
            most_spent: budget.spent().saturating_add(MOST_WORK),
        }
    }

    /// Continues while `budget` lasts; returns the result once, at the end.
    pub(super) fn advance(
        &mut self,
        submission: Submission<'_>,
        budget: &mut Budget,
    ) -> Option<Findings> {
        let references = submission.references;
        while let Some(candidate) = self.candidates.get(self.candidate) {
            if budget.spent() > self.most_spent {
                break;
            }
            let wrong = match self.wrong.take() {
                Some(wrong) => wrong,
                None => {
                    let at_kinks = (submission.accepted[self.kinks].0, submission.tolerance.kink);
                    let (pass, right) = (&references.pass, &references.right);
                    let computation = self.computation.get_or_insert_with(|| {
                        candidate.begin(pass, right, references.earlier.as_ref(), at_kinks)
                    });
                    let wrong = computation.advance(pass, budget)?;
                    (self.computation, self.next) = (None, 0);
                    wrong
                }
            };
            while let Some(&at) = self.open.get(self.next) {
                if budget.is_spent() {
                    self.wrong = Some(wrong);
                    return None;
                }
                self.compare(submission, at, &wrong, budget);
                self.next += 1;
            }
            self.kinks += 1;
            if self.kinks == submission.accepted.len() {
                (self.candidate, self.kinks) = (self.candidate + 1, 0);
            }
        }
        Some(self.vote())
    }

    fn compare(
        &mut self,
        submission: Submission<'_>,
        at: usize,
        wrong: &Gradients,
        budget: &mut Budget,
    ) {
        let Some(case) = submission.case(at) else {
            return;
        };
        let (given, index) = (case.given, self.candidate);
        let Some(wrong) = wrong.get(given.quantity) else {
            return;
        };
        if wrong.shape != given.shape {
            return;
        }
        budget.spend(given.values.len());
        if case.is_multiple(&wrong.values, 1.0) {
            budget.spend(given.values.len());
            // At several kinks a candidate can give the same tensor.
            if self.matches[at].last() != Some(&index) {
                self.matches[at].push(index);
                self.votes[index] += 1;
            }
        } else if self.findings.scaled[at].is_none() && case.tells_all() {
            budget.spend(given.values.len().saturating_mul(self.constants.len()));
            let mut constants = self.constants.iter();
            let found = constants.find(|c| case.is_multiple(&wrong.values, c.factor));
            let candidate = &self.candidates[index];
            let both = |c: &Constant| c.besides(candidate.mistake, &candidate.question);
            self.findings.scaled[at] = found.map(both);
        }
    }

    /// Of the mistakes that explain a tensor, the one that explains most tensors.
    fn vote(&mut self) -> Findings {
        for &at in &self.open {
            // The first with the most votes; `max_by_key` would return the last.
            let best = self.matches[at]
                .iter()
                .rev()
                .max_by_key(|&&index| self.votes[index]);
            self.findings.exact[at] = best.map(|&index| {
                let candidate = &self.candidates[index];
                let meaning = candidate.mistake.meaning();
                Diagnosis::new(candidate.mistake, meaning, &candidate.question)
            });
        }
        std::mem::take(&mut self.findings)
    }
}
