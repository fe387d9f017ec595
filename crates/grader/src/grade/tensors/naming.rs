//! Reports on wrong tensors: each is named by the first rule that explains it.

use super::case::{Case, Submission};
use super::comparison::{MOST_NAMED_ENTRIES, TensorComparison};
use super::constant::Constant;
use super::diagnosis::Diagnosis;
use super::report::{Closeness, TensorReport};
use super::rules::{Clues, close, rules};
use super::search::Findings;
use crate::grade::budget::Budget;
use crate::grade::report::Verdict;
use crate::grade::{Mistake, feedback};

/// What is known of all tensors of a submission, and the progress of the rules.
pub(super) struct Naming {
    constants: Vec<Constant>,
    /// Whether the gradients of all parameters, and no others, are twice the right ones.
    doubled: bool,
    /// The next rule to try on the current tensor.
    rule: usize,
}

impl Naming {
    pub(super) fn new(submission: Submission<'_>) -> Self {
        Self {
            constants: Constant::all(submission.references),
            doubled: submission.tells_all() && parameters_doubled(submission),
            rule: 0,
        }
    }

    /// Continues while `budget` lasts; returns the report on tensor `at` when it is ready.
    pub(super) fn advance(
        &mut self,
        submission: Submission<'_>,
        findings: &Findings,
        at: usize,
        budget: &mut Budget,
    ) -> Option<TensorReport> {
        let case = submission.case(at)?;
        let entries = case.given.values.len();
        if case.compared.is_right() {
            budget.spend(entries);
            return Some(report(&case, None));
        }
        let clues = Clues {
            case,
            exact: findings.exact[at].as_ref(),
            scaled: findings.scaled[at].as_ref(),
            two: findings.two[at].as_ref(),
            turned: findings.turned[at].as_ref(),
            constants: &self.constants,
            doubled: self.doubled,
        };
        let mut diagnosis = None;
        while let Some(rule) = rules(&case).get(self.rule) {
            if budget.is_spent() {
                return None;
            }
            budget.spend(entries.saturating_mul(2 * submission.accepted.len()));
            diagnosis = rule(&clues);
            if diagnosis.is_some() {
                break;
            }
            self.rule += 1;
        }
        self.rule = 0;
        Some(report(&case, diagnosis))
    }
}

/// The report on a wrong tensor with this diagnosis.
fn report(case: &Case<'_>, diagnosis: Option<Diagnosis>) -> TensorReport {
    let mut report = if case.tells_all() {
        case.compared.report(case.closeness)
    } else {
        case.compared.verdict(case.closeness)
    };
    if report.verdict == Verdict::Correct {
        return report;
    }
    let diagnosis = diagnosis.unwrap_or_else(|| unexplained(case));
    let off = difference(case, &report);
    report.mistake = Some(diagnosis.mistake);
    report.message = format!("{off} {} {}", diagnosis.observation, diagnosis.question);
    report
}

/// The feedback on a tensor that no rule explains.
fn unexplained(case: &Case<'_>) -> Diagnosis {
    let compared = &case.compared;
    let question = feedback::question(Mistake::Other);
    if compared.given.values.is_empty() {
        let found = "It holds no numbers.";
        Diagnosis::new(Mistake::ShapeMismatch, found, "Was it computed at all?")
    } else if !compared.is_finite() {
        not_finite(compared)
    } else if !compared.has_right_shape() {
        Diagnosis::usual(Mistake::ShapeMismatch)
    } else if case.closeness == Closeness::WithinOnePercent {
        close()
    } else if compared.given.values.len() > MOST_NAMED_ENTRIES {
        let found =
            format!("With more than {MOST_NAMED_ENTRIES} entries its mistake is not looked for.");
        Diagnosis::new(Mistake::Other, found, question)
    } else {
        Diagnosis::new(
            Mistake::Other,
            "It is none of the usual mistakes.",
            question,
        )
    }
}

/// How the tensor differs: its shape, or how many entries and by how much, if the report may say so.
fn difference(case: &Case<'_>, report: &TensorReport) -> String {
    let (compared, quantity) = (&case.compared, report.quantity);
    if !compared.has_right_shape() {
        let (given, expected) = (&compared.given.shape, &compared.expected.shape);
        return format!("{quantity} has shape {given:?} where {expected:?} is expected.");
    }
    if !case.tells_all() {
        return match report.closeness {
            Closeness::WithinOnePercent => {
                format!("{quantity} is right within 1 %, and no better.")
            }
            Closeness::Right | Closeness::Wrong => format!("{quantity} is wrong."),
        };
    }
    let all = compared.given.values.len();
    let size = match (report.largest_absolute_error, report.largest_relative_error) {
        (Some(absolute), Some(relative)) => {
            format!(", by up to {absolute:.1e} (relative {relative:.1e})")
        }
        _ => String::new(),
    };
    let wrong = all - compared.count();
    format!("{wrong} of {all} entries of {quantity} differ{size}.")
}

fn parameters_doubled(submission: Submission<'_>) -> bool {
    let doubled = |case: &Case<'_>| case.is_multiple(&case.compared.expected.values, 2.0);
    let (parameters, others): (Vec<Case<'_>>, Vec<Case<'_>>) = submission
        .cases()
        .partition(|case| case.given.quantity.is_parameter());
    !parameters.is_empty() && parameters.iter().all(doubled) && !others.iter().any(doubled)
}

fn not_finite(compared: &TensorComparison<'_>) -> Diagnosis {
    let values = &compared.given.values;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    let first = values.iter().position(|value| !value.is_finite());
    let place = if compared.has_right_shape() {
        let (row, column) = compared.place(first.unwrap_or(0));
        format!(", the first at row {row}, column {column}")
    } else {
        String::new()
    };
    Diagnosis::new(
        Mistake::Other,
        format!("{count} of its entries are infinite or not a number{place}."),
        "Does an exponential overflow, or is something divided by 0?",
    )
}
