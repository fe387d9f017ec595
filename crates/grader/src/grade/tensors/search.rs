//! Searches the wrong gradients of common mistakes: computes them one by one and compares them with the submission.

use super::case::{Case, Submission};
use super::constant::Constant;
use super::diagnosis::Diagnosis;
use super::report::Closeness;
use crate::grade::budget::Budget;
use crate::grade::pass::{Gradients, transposed};
use crate::grade::tensor_mistakes::{Candidate, Computation, candidates, pairs};
use crate::grade::{Mistake, feedback};

/// The work limit of all wrong backward passes and their comparisons, in multiplications; about a second of one core.
const MOST_WORK: usize = 1_000_000_000;

/// The same limit for those with two mistakes.
const MOST_PAIR_WORK: usize = 100_000_000;

/// The search in progress.
pub(super) struct Search {
    candidates: Vec<Candidate>,
    /// The number of candidates with one mistake, once those with two are added behind them.
    singles: Option<usize>,
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
    /// The two mistakes that together give it exactly.
    pub(super) two: Vec<Option<Diagnosis>>,
    /// The mistake whose transpose it is, for tensors with two mistakes.
    pub(super) turned: Vec<Option<Diagnosis>>,
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
            singles: None,
            constants,
            open,
            matches: vec![Vec::new(); count],
            findings: Findings {
                exact: vec![None; count],
                scaled: vec![None; count],
                two: vec![None; count],
                turned: vec![None; count],
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
        loop {
            if self.candidate == self.candidates.len() && !self.add_pairs(submission, budget) {
                break;
            }
            let Some(candidate) = self.candidates.get(self.candidate) else {
                break;
            };
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

    /// Continues with every two mistakes at once, for the tensors that no single one explains. Returns whether there
    /// are any.
    fn add_pairs(&mut self, submission: Submission<'_>, budget: &Budget) -> bool {
        if self.singles.is_some() || !submission.tells_all() {
            return false;
        }
        self.singles = Some(self.candidates.len());
        let is_unexplained =
            |&at: &usize| self.matches[at].is_empty() && self.findings.scaled[at].is_none();
        if !self.open.iter().any(is_unexplained) {
            return false;
        }
        let pairs = pairs(&self.candidates);
        let most = budget.spent().saturating_add(MOST_PAIR_WORK);
        self.most_spent = self.most_spent.min(most);
        self.votes.resize(self.candidates.len() + pairs.len(), 0);
        self.candidates.extend(pairs);
        self.candidate < self.candidates.len()
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
        let is_searched = self.matches[at].is_empty() && self.findings.scaled[at].is_none();
        if self.singles.is_some() && !is_searched && self.is_single(at) {
            return;
        }
        self.compare_turned(case, at, &wrong.shape, &wrong.values, budget);
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
        } else if self.singles.is_none() && self.findings.scaled[at].is_none() && case.tells_all() {
            budget.spend(given.values.len().saturating_mul(self.constants.len()));
            let mut constants = self.constants.iter();
            let found = constants.find(|c| case.is_multiple(&wrong.values, c.factor));
            let candidate = &self.candidates[index];
            let both = |c: &Constant| c.besides(candidate.mistake, &candidate.question);
            self.findings.scaled[at] = found.map(both);
        }
    }

    /// Whether a tensor is explained by a candidate with one mistake.
    fn is_single(&self, at: usize) -> bool {
        let singles = self.singles.unwrap_or(usize::MAX);
        self.findings.scaled[at].is_some() || self.matches[at].iter().any(|&index| index < singles)
    }

    /// Compares with the transpose of a candidate, which is a second mistake.
    fn compare_turned(
        &mut self,
        case: Case<'_>,
        at: usize,
        shape: &[usize],
        wrong: &[f64],
        budget: &mut Budget,
    ) {
        let [rows, columns] = *shape else { return };
        let is_open = self.findings.turned[at].is_none() && self.singles.is_none();
        if !is_open
            || !case.tells_all()
            || case.given.shape != [columns, rows]
            || rows == 1 && columns == 1
        {
            return;
        }
        budget.spend(wrong.len().saturating_mul(2));
        if case.is_multiple(&transposed(wrong, rows, columns), 1.0) {
            let candidate = &self.candidates[self.candidate];
            let turned = (
                Mistake::TransposedResult,
                Mistake::TransposedResult.meaning(),
            );
            let question = format!(
                "{} {}",
                feedback::question(Mistake::TransposedResult),
                candidate.question
            );
            self.findings.turned[at] = Some(Diagnosis::two(turned, candidate.mistake, question));
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
            let Some(&index) = best else { continue };
            let candidate = &self.candidates[index];
            let meaning = candidate.mistake.meaning();
            let found = match candidate.second {
                Some(second) => {
                    let first = (candidate.mistake, meaning);
                    Diagnosis::two(first, second, candidate.question.clone())
                }
                None => Diagnosis::new(candidate.mistake, meaning, &candidate.question),
            };
            if self.singles.is_some_and(|singles| index >= singles) {
                self.findings.two[at] = Some(found);
            } else {
                self.findings.exact[at] = Some(found);
            }
        }
        std::mem::take(&mut self.findings)
    }
}
