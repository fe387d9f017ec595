//! Checks an answer key: its final answers, and the steps of its chains.

use std::collections::BTreeMap;

use super::Mistake;
use super::grader::Grader;
use super::judge::mistakes;
use super::naming::{self, Edits};
use super::question::{Prepared, best};
use super::steps::complete;
use super::values::{Values, evaluate_on};
use crate::formula::{Expr, Fault, Notation, Side, Span, parse, readings, render};

/// The work limit for one answer of a key, in entries: several times what the longest needs, and about a second.
const MAX_WORK: usize = 20_000_000;

/// The work limit for all answers of a key: several seconds. The printed key needs a quarter to a third of it.
pub(super) const MAX_WORK_OF_KEY: usize = 120_000_000;

/// The subject of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The last side of the chain that answers the question.
    FinalAnswer,
    /// An intermediate side.
    Step,
    /// A side that cannot be parsed, so that it is not checked.
    Unreadable,
}

/// An error in a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The question's id.
    pub question: String,
    /// The subject of the finding.
    pub place: Place,
    /// The chain of the answer, from 1.
    pub chain: usize,
    /// The side of the chain, from 1.
    pub side: usize,
    /// Its bytes in the key's text.
    pub span: Span,
    /// The error.
    pub message: String,
    /// The correction in LaTeX: the side with its slips corrected, or else the right answer.
    pub should_be: Option<String>,
}

/// Checks every side of every chain: in the chain that answers the question against the computed derivative, in other
/// chains against their own first side. Sides that cannot be computed as one matrix are skipped.
pub fn lint_key(grader: &Grader, answers: &BTreeMap<String, String>) -> Vec<Finding> {
    lint_within(grader, answers, MAX_WORK_OF_KEY)
}

/// [`lint_key`] with a work limit. Sides beyond the limit are reported.
pub(super) fn lint_within(
    grader: &Grader,
    answers: &BTreeMap<String, String>,
    mut work: usize,
) -> Vec<Finding> {
    let questions = grader.prepared().iter();
    questions
        .filter_map(|prepared| Some((prepared, answers.get(&prepared.question.id)?)))
        .flat_map(|(prepared, text)| {
            let most = MAX_WORK.min(work);
            let mut left = most;
            let findings = lint(prepared, text, &mut left);
            work -= most - left;
            findings
        })
        .collect()
}

fn lint(prepared: &Prepared, text: &str, left: &mut usize) -> Vec<Finding> {
    let id = &prepared.question.id;
    let chains = match parse(text, &prepared.scope) {
        Ok(chains) => chains,
        Err(error) => {
            return vec![Finding {
                question: id.clone(),
                place: Place::Unreadable,
                chain: 1,
                side: 1,
                span: error.span,
                message: error.message,
                should_be: None,
            }];
        }
    };
    let values: Vec<Vec<Checked<'_>>> = chains
        .iter()
        .map(|sides| {
            sides
                .iter()
                .map(|side| Checked::new(prepared, side, left))
                .collect()
        })
        .collect();
    let answers: Vec<bool> = values
        .iter()
        .map(|sides| begins_with_the_question(prepared, sides))
        .collect();
    // If no chain begins with the requested derivative, the last one is the answer.
    let none = !answers.contains(&true);
    let mut findings = Vec::new();
    for (at, sides) in values.iter().enumerate() {
        let answers = answers[at] || (none && at + 1 == values.len());
        findings.extend(lint_chain(prepared, sides, at + 1, answers, left));
    }
    findings
}

fn begins_with_the_question(prepared: &Prepared, sides: &[Checked<'_>]) -> bool {
    sides
        .iter()
        .find(|side| side.values.is_some())
        .is_some_and(|side| side.holds(&prepared.solution.values))
}

/// A side, and its values if it has any.
struct Checked<'s> {
    side: &'s Side,
    values: Option<Values>,
    /// Whether the sides before it used up the work limit of an answer.
    is_passed_over: bool,
}

impl<'s> Checked<'s> {
    fn new(prepared: &Prepared, side: &'s Side, left: &mut usize) -> Self {
        let is_passed_over = *left == 0;
        let expr = side.expr.as_ref().ok().filter(|_| !is_passed_over);
        let values = expr.map(|expr| {
            let readings = readings(expr);
            let candidates = readings.iter().map(|reading| {
                let values = evaluate_on(
                    reading,
                    &prepared.solution.networks,
                    &prepared.solution.letters,
                );
                *left = left.saturating_sub(values.work.max(walked(reading, prepared)));
                values
            });
            best(candidates)
        });
        let values = values.filter(|values| {
            let hopeless = |fault| matches!(fault, Fault::NotEvaluable | Fault::UnknownSymbol);
            values.evaluated() > 0
                || !values
                    .error
                    .as_ref()
                    .is_some_and(|error| hopeless(error.fault))
        });
        Self {
            side,
            values,
            is_passed_over,
        }
    }

    /// Whether it has values and they are right.
    fn holds(&self, truth: &Values) -> bool {
        match (&self.side.expr, &self.values) {
            (Ok(expr), Some(values)) => values.holds(expr, truth),
            _ => false,
        }
    }
}

fn lint_chain(
    prepared: &Prepared,
    sides: &[Checked<'_>],
    chain: usize,
    answers: bool,
    left: &mut usize,
) -> Vec<Finding> {
    let truth = if answers {
        &prepared.solution.values
    } else {
        match sides.first().and_then(|first| first.values.as_ref()) {
            Some(values) if values.evaluated() > 0 => values,
            _ => return Vec::new(),
        }
    };
    let finding = |at: usize, place, message: String, should_be| Finding {
        question: prepared.question.id.clone(),
        place,
        chain,
        side: at + 1,
        span: sides[at].side.span,
        message,
        should_be,
    };
    let mut findings = Vec::new();
    for (at, checked) in sides.iter().enumerate() {
        if let Err(error) = &checked.side.expr {
            findings.push(finding(at, Place::Unreadable, error.message.clone(), None));
        } else if checked.is_passed_over {
            let message = "What stands before it took too much work, and it was not computed. Give the answer in two, or \
                           check it in a key of its own.";
            findings.push(finding(at, Place::Unreadable, message.to_owned(), None));
        }
    }
    let is_wrong = |checked: &Checked<'_>| checked.values.is_some() && !checked.holds(truth);
    let last = sides.iter().rposition(|checked| {
        let accepted = checked
            .side
            .expr
            .as_ref()
            .is_ok_and(|expr| prepared.forbidden_piece(expr).is_none());
        checked.values.is_some() && accepted
    });
    let last = last.filter(|_| answers);
    for (at, checked) in sides
        .iter()
        .enumerate()
        .filter(|(_, checked)| is_wrong(checked))
    {
        let is_final = Some(at) == last;
        let place = if is_final {
            Place::FinalAnswer
        } else {
            Place::Step
        };
        findings.push(wrong(
            prepared,
            truth,
            checked,
            is_final,
            left,
            |message, should_be| finding(at, place, message, should_be),
        ));
    }
    findings
}

fn wrong(
    prepared: &Prepared,
    truth: &Values,
    checked: &Checked<'_>,
    is_final: bool,
    left: &mut usize,
    finding: impl FnOnce(String, Option<String>) -> Finding,
) -> Finding {
    let mended = checked
        .side
        .expr
        .as_ref()
        .ok()
        .and_then(|expr| mend(prepared, truth, expr, left));
    let error = checked
        .values
        .as_ref()
        .filter(|values| values.evaluated() == 0)
        .and_then(|values| values.error.as_ref());
    let mut message = match error {
        Some(error) => error.message.clone(),
        None if is_final => "This is not the derivative that is asked for.".to_owned(),
        None => "This side does not equal the others.".to_owned(),
    };
    let named = mended.as_ref().map(|(mistake, _)| *mistake).or_else(|| {
        let values = checked.values.as_ref()?;
        let is_named = is_final && error.is_none();
        let expr = checked.side.expr.as_ref().ok()?;
        let name = is_named.then(|| complete(mistakes(prepared, expr, values)))??;
        name.mistakes.first().copied()
    });
    if let Some(mistake) = named {
        message = format!("{message} {mistake}: {}", mistake.meaning());
    }
    let right = is_final.then(|| render(&prepared.solution.formula, Notation::Latex));
    finding(
        message,
        mended
            .map(|(_, expr)| render(&expr, Notation::Latex))
            .or(right),
    )
}

/// The cost of visiting each node of a formula once on each network, even if nothing is computed because two factors do
/// not fit.
fn walked(expr: &Expr, prepared: &Prepared) -> usize {
    expr.pieces().count() * prepared.solution.networks.len()
}

/// The side with its slips corrected: by one edit that makes it right, or else by up to three that each make more
/// entries right. A corrected index is the most specific change, so it comes first.
fn mend(
    prepared: &Prepared,
    truth: &Values,
    expr: &Expr,
    left: &mut usize,
) -> Option<(Mistake, Expr)> {
    /// The most slips in one side.
    const MOST_SLIPS: usize = 3;
    let network = prepared.solution.networks.first()?;
    for reading in readings(expr) {
        let mut expr = reading;
        let mut right = 0;
        for _ in 0..MOST_SLIPS {
            let walked = walked(&expr, prepared);
            let mut best: Option<(usize, Mistake, Expr)> = None;
            for indices in [true, false] {
                let mut edits = Edits::new(
                    expr.clone(),
                    naming::Side::Answer,
                    &prepared.question.free,
                    network,
                );
                while *left > edits.work()
                    && let Some(edit) = edits.advance()
                {
                    if (edit.mistake == Mistake::WrongIndex) != indices {
                        continue;
                    }
                    let values = evaluate_on(
                        edit.expr,
                        &prepared.solution.networks,
                        &prepared.solution.letters,
                    );
                    *left = left.saturating_sub(values.work.max(walked));
                    if values.holds(edit.expr, truth) {
                        return Some((edit.mistake, edit.expr.clone()));
                    }
                    let here = values.right_entries(truth);
                    if here > best.as_ref().map_or(right, |best| best.0) {
                        best = Some((here, edit.mistake, edit.expr.clone()));
                    }
                }
                *left = left.saturating_sub(edits.work());
            }
            let Some((here, _, better)) = best else { break };
            (right, expr) = (here, better);
        }
    }
    None
}
