//! Judges answers that are not compared on networks: a choice, a shape, a number.

use super::solution::Solution;
use super::{AnswerKind, Network, Question, Understood, Verdict};
use crate::formula::{Bindings, Expr, Kind, Notation, Scope, Symbol, evaluate, parse, render};

/// The allowed relative error of a number if the assignment names none.
const DEFAULT_TOLERANCE: f64 = 1e-9;

/// A verdict on a closed answer.
pub(super) struct ClosedAnswer {
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) understood: Option<Understood>,
}

impl ClosedAnswer {
    /// The share of the points: all or nothing.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.verdict == Verdict::Correct)
    }

    fn new(is_right: bool, understood: String) -> Self {
        let (verdict, message) = if is_right {
            (Verdict::Correct, "Right.")
        } else {
            (Verdict::Incorrect, "Not right.")
        };
        Self {
            verdict,
            message: message.to_owned(),
            understood: Some(Understood {
                latex: understood.clone(),
                plain: understood,
            }),
        }
    }

    fn unread(message: String) -> Self {
        Self {
            verdict: Verdict::Invalid,
            message,
            understood: None,
        }
    }
}

/// The verdict on `text`; `None` if the question asks for a formula, or nothing was answered.
pub(super) fn judge(
    question: &Question,
    scope: &Scope,
    solution: &Solution,
    text: &str,
) -> Option<ClosedAnswer> {
    if text.trim().is_empty() {
        return None;
    }
    match question.kind {
        AnswerKind::Formula => None,
        AnswerKind::Choice => Some(judge_choice(question, text)),
        AnswerKind::Shape => Some(judge_shape(question, solution, text)),
        AnswerKind::Number => Some(judge_number(question, scope, solution, text)),
    }
}

/// The errors in the fields of a closed question, for the author of the assignment.
///
/// # Errors
/// A solution that is not one of the choices, or no shape.
pub(super) fn check(question: &Question) -> Result<(), String> {
    let solution = &question.solution;
    match question.kind {
        AnswerKind::Formula | AnswerKind::Number => Ok(()),
        AnswerKind::Choice => match chosen(question, solution) {
            Some(_) => Ok(()),
            None => Err(format!("the solution {solution:?} is none of the choices")),
        },
        AnswerKind::Shape => match shape(solution) {
            Some(_) => Ok(()),
            None => Err(format!(
                "the solution {solution:?} is no shape such as 2 × 3"
            )),
        },
    }
}

/// A letter, in brackets or with a full stop, or the text of a choice itself: the place of the choice.
fn chosen(question: &Question, text: &str) -> Option<usize> {
    let choices = &question.choices;
    let text = text.trim();
    if let Some(at) = choices.iter().position(|choice| choice.trim() == text) {
        return Some(at);
    }
    let decoration = |c: char| c.is_whitespace() || "().:[]*$`".contains(c);
    let letter = text.trim_matches(decoration);
    let mut letters = letter.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => {
            let at = usize::from(letter.to_ascii_uppercase() as u8 - b'A');
            (at < choices.len()).then_some(at)
        }
        _ => None,
    }
}

fn letter(at: usize) -> String {
    ('A'..='Z').nth(at).map_or(String::new(), String::from)
}

fn judge_choice(question: &Question, text: &str) -> ClosedAnswer {
    let right = chosen(question, &question.solution);
    match chosen(question, text) {
        Some(at) => ClosedAnswer::new(Some(at) == right, letter(at)),
        None => {
            let last = letter(question.choices.len().saturating_sub(1));
            let given: String = text.trim().chars().take(40).collect();
            ClosedAnswer::unread(format!(
                "{given:?} is none of the choices: answer with one letter from A to {last}."
            ))
        }
    }
}

/// The sides of a shape such as `2 × 3`, `(2, 3)`, `\mathbb{R}^{m \times n_1}`, `2 by 3`.
fn shape(text: &str) -> Option<Vec<String>> {
    let mut text = text.to_owned();
    for (from, to) in [
        (r"\mathbb{R}^", ""),
        (r"\mathbb R^", ""),
        ("R^", ""),
        (r"\times", "×"),
        (" by ", "×"),
        ("×", ","),
        ("x", ","),
        ("X", ","),
        ("*", ","),
        (r"\in", ""),
    ] {
        text = text.replace(from, to);
    }
    let text: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !"(){}[]$\\^".contains(*c))
        .collect();
    let text = text.trim_end_matches(['.', ',']);
    let sides: Vec<String> = text.split(',').map(|side| side.replace('_', "")).collect();
    let is_side = |side: &String| {
        let digits = side.trim_start_matches(['n', 'N', 'm', 'd', 'D', 'C', 'k', 'K']);
        !side.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    ((1..=2).contains(&sides.len()) && sides.iter().all(is_side)).then_some(sides)
}

/// A side as a number on a network, where it is one of its sizes.
fn side(network: &Network, side: &str) -> Option<f64> {
    if let Ok(number) = side.parse::<f64>() {
        return Some(number);
    }
    let number = |symbol| network.value(symbol)?.as_scalar();
    match side.strip_prefix('n') {
        Some(layer) => number(Symbol::Units(layer.parse().ok()?)),
        None if matches!(side, "m" | "N") => number(Symbol::BatchSize),
        None => None,
    }
}

fn judge_shape(question: &Question, solution: &Solution, text: &str) -> ClosedAnswer {
    let Some(given) = shape(text) else {
        let given: String = text.trim().chars().take(40).collect();
        return ClosedAnswer::unread(format!(
            "{given:?} is not read as a shape: write two sizes, such as 2 × 3 or m × 2."
        ));
    };
    let right = shape(&question.solution).unwrap_or_default();
    // On every batch size, lest 2 pass for m.
    let is_same = |a: &str, b: &str| {
        let on =
            |network| matches!((side(network, a), side(network, b)), (Some(a), Some(b)) if a == b);
        solution.networks.iter().all(on)
    };
    let is_right = given.len() == right.len()
        && given
            .iter()
            .zip(&right)
            .all(|(a, b)| a == b || is_same(a, b));
    ClosedAnswer::new(is_right, given.join(" × "))
}

fn judge_number(
    question: &Question,
    scope: &Scope,
    solution: &Solution,
    text: &str,
) -> ClosedAnswer {
    let sides = match parse(text, scope) {
        Ok(mut chains) => chains.pop().unwrap_or_default(),
        Err(error) => return ClosedAnswer::unread(error.message),
    };
    let Some(last) = sides.last() else {
        return ClosedAnswer::unread("No answer was given.".to_owned());
    };
    let expr = match &last.expr {
        Ok(expr) => expr,
        Err(error) => return ClosedAnswer::unread(error.message.clone()),
    };
    if !is_of_numbers(expr) {
        let message =
            "A number is asked for: the answer may hold no quantity but the sizes m and n.";
        return ClosedAnswer::unread(message.to_owned());
    }
    let tolerance = question.tolerance.unwrap_or(DEFAULT_TOLERANCE);
    let mut is_right = true;
    for (network, right) in solution.networks.iter().zip(&solution.values.networks) {
        let given = match evaluate(expr, network, &[]) {
            Ok(value) => value.matrix.as_scalar(),
            Err(error) => return ClosedAnswer::unread(error.message),
        };
        let right = right.matrices.iter().flatten().next();
        is_right &= match (given, right.and_then(|matrix| matrix.as_scalar())) {
            (Some(given), Some(right)) => (given - right).abs() <= tolerance * right.abs(),
            _ => false,
        };
    }
    ClosedAnswer::new(is_right, render(expr, Notation::Plain))
}

/// Whether a formula has no quantity but sizes.
pub(super) fn is_of_numbers(expr: &Expr) -> bool {
    expr.pieces().all(|piece| match &piece.kind {
        Kind::Symbol(symbol) => matches!(symbol, Symbol::BatchSize | Symbol::Units(_)),
        kind => !matches!(kind, Kind::Derivative(..)),
    })
}
