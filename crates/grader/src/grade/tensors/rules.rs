//! The rules that recognize a mistake: each explains a wrong tensor, or does not apply.

use backpropd_engine::nn::Reduction;

use super::case::Case;
use super::constant::Constant;
use super::diagnosis::Diagnosis;
use super::report::Closeness;
use crate::grade::pass::{Tensor, transposed};
use crate::grade::{Mistake, Quantity, feedback};

/// A wrong tensor, and the data to recognize its mistake.
pub(super) struct Clues<'a> {
    pub(super) case: Case<'a>,
    /// The mistake whose wrong gradient equals it.
    pub(super) exact: Option<&'a Diagnosis>,
    /// The mistake whose wrong gradient equals it up to a constant.
    pub(super) scaled: Option<&'a Diagnosis>,
    /// The two mistakes whose wrong gradient equals it.
    pub(super) two: Option<&'a Diagnosis>,
    /// The mistake whose wrong gradient it is the transpose of.
    pub(super) turned: Option<&'a Diagnosis>,
    pub(super) constants: &'a [Constant],
    /// Whether the gradients of all parameters, and no others, are twice the right ones.
    pub(super) doubled: bool,
}

/// One way to explain a tensor.
pub(super) type Rule = fn(&Clues<'_>) -> Option<Diagnosis>;

/// For a tensor of the right shape, the most specific rule first.
const VALUES: &[Rule] = &[
    single, zeros, exact, transpose, multiple, scaled, turned, of_another, two, near,
];
/// For a tensor of another shape.
const SHAPES: &[Rule] = &[
    exact, transpose, turned, reshaped, of_another, two, broadcast,
];
/// For coarse reports: only rules that match every entry of a known wrong gradient. A fitted factor, or one that the
/// client chose, would allow a search for the right entries.
const COARSE_VALUES: &[Rule] = &[zeros, exact, transpose, constant, of_another];
/// For a tensor that is too large or, in coarse reports, too small.
const OF_ITSELF: &[Rule] = &[zeros];

/// The rules to try on a wrong tensor, in this order.
pub(super) fn rules(case: &Case<'_>) -> &'static [Rule] {
    let is_near = case.closeness != Closeness::Wrong;
    if case.given.values.is_empty() || !case.compared.is_finite() {
        &[]
    } else if !case.is_nameable() {
        OF_ITSELF
    } else if !case.compared.has_right_shape() {
        SHAPES
    } else if case.tells_all() {
        VALUES
    } else if is_near {
        &[]
    } else {
        COARSE_VALUES
    }
}

fn single(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.case.is_single().then(|| {
        Diagnosis::new(
            Mistake::Other,
            "It looks like single precision.",
            "Was it computed in float32? Then ask for the FLOAT32 tolerance.",
        )
    })
}

fn zeros(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.case.is_all_zeros().then(|| {
        let question = "Was it computed at all, or does a mask let nothing through?";
        Diagnosis::new(Mistake::Other, "Every entry is 0.", question)
    })
}

fn exact(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.exact.cloned()
}

fn scaled(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.scaled.cloned()
}

fn two(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.two.cloned()
}

fn turned(clues: &Clues<'_>) -> Option<Diagnosis> {
    clues.turned.cloned()
}

fn transpose(clues: &Clues<'_>) -> Option<Diagnosis> {
    let case = &clues.case;
    let [rows, columns] = case.compared.expected.shape[..] else {
        return None;
    };
    if case.given.shape != [columns, rows] {
        return None;
    }
    case.right().find_map(|right| {
        let turned = transposed(&right.values, rows, columns);
        if case.is_multiple(&turned, 1.0) {
            return Some(Diagnosis::usual(Mistake::TransposedResult));
        }
        if !case.tells_all() {
            return None;
        }
        let mut constants = clues.constants.iter();
        let constant = constants.find(|c| case.is_multiple(&turned, c.factor))?;
        let question = feedback::question(Mistake::TransposedResult);
        Some(constant.besides(Mistake::TransposedResult, question))
    })
}

/// The right numbers in another shape.
fn reshaped(clues: &Clues<'_>) -> Option<Diagnosis> {
    let case = &clues.case;
    let long = |shape: &[usize]| -> Vec<usize> {
        shape.iter().copied().filter(|&axis| axis != 1).collect()
    };
    let is_same = long(&case.given.shape) == long(&case.compared.expected.shape);
    (is_same && case.equals_right()).then(|| {
        let found = "The numbers are right; an axis of length 1 is not.";
        let question = "How many axes does this quantity have itself?";
        Diagnosis::new(Mistake::ShapeMismatch, found, question)
    })
}

/// The right gradient times a known constant.
fn constant(clues: &Clues<'_>) -> Option<Diagnosis> {
    let mut right = clues.case.right();
    right.find_map(|right| constant_of(clues, right))
}

fn constant_of(clues: &Clues<'_>, right: &Tensor) -> Option<Diagnosis> {
    let mut constants = clues.constants.iter();
    let known = constants.find(|c| clues.case.is_multiple(&right.values, c.factor));
    known.map(|constant| constant.diagnosis.clone())
}

/// The right gradient times a constant.
fn multiple(clues: &Clues<'_>) -> Option<Diagnosis> {
    let case = &clues.case;
    if clues.doubled && case.given.quantity.is_parameter() {
        // With two samples a lost mean also doubles; gradients that are not summed over the samples would then show it.
        let mut all = case.submission.submitted.iter();
        let only_parameters = all.all(|given| given.quantity.is_parameter());
        if !(only_parameters && mean(case) == Some(2.0)) {
            let found = "The gradient of every parameter is twice the right one.";
            let question = feedback::question(Mistake::GradientNotZeroed);
            return Some(Diagnosis::new(Mistake::GradientNotZeroed, found, question));
        }
    }
    case.right().find_map(|right| {
        if let Some(diagnosis) = constant_of(clues, right) {
            return Some(diagnosis);
        }
        // One number is a multiple of any other.
        let factor = least_squares(&case.given.values, &right.values);
        let several = right.values.iter().filter(|&&value| value != 0.0).count() > 1;
        (several && case.is_multiple(&right.values, factor)).then(|| {
            let found = format!("It is {} times the right gradient.", digits(factor));
            let question = "Which step of the derivation brings this factor in?";
            Diagnosis::new(Mistake::ConstantFactor, found, question)
        })
    })
}

/// The right gradient of another quantity.
fn of_another(clues: &Clues<'_>) -> Option<Diagnosis> {
    let case = &clues.case;
    let quantity = case.given.quantity;
    let others = Quantity::all(&case.submission.references.pass.architecture)
        .into_iter()
        .filter(|other| *other != quantity);
    let found = others.into_iter().find(|&other| {
        case.submission.accepted.iter().any(|(_, gradients)| {
            gradients.get(other).is_some_and(|right| {
                right.shape == case.given.shape && case.is_multiple(&right.values, 1.0)
            })
        })
    })?;
    let text = format!("It is {found}, the gradient of another quantity.");
    Some(match (quantity, found) {
        (Quantity::Activation(i), Quantity::PreActivation(j)) if i == j => {
            let question =
                format!("Does the slope of the activation belong to dh{i}, or to dz{i} only?");
            Diagnosis::new(Mistake::WrongMaskLayer, text, question)
        }
        _ => Diagnosis::new(
            Mistake::WrongWeight,
            text,
            feedback::question(Mistake::WrongWeight),
        ),
    })
}

/// Each sample against the targets of all.
fn broadcast(clues: &Clues<'_>) -> Option<Diagnosis> {
    let case = &clues.case;
    let m = case.submission.references.pass.rows;
    let is_square = case.given.shape == [m, m] && case.compared.expected.shape == [m, 1];
    (m > 1 && is_square).then(|| {
        let question = format!(
            "Which shape do the outputs have, which the targets, and what is [{m}, 1] − [{m}]?"
        );
        let found = "Each sample meets the targets of all.";
        Diagnosis::new(Mistake::ShapeMismatch, found, question)
    })
}

fn near(clues: &Clues<'_>) -> Option<Diagnosis> {
    (clues.case.closeness == Closeness::WithinOnePercent).then(close)
}

/// The feedback on a tensor whose every entry is right within 1 %.
pub(super) fn close() -> Diagnosis {
    let question = "Does it come from finite differences, or were numbers rounded on the way?";
    Diagnosis::new(
        Mistake::Other,
        "It is close to the right gradient.",
        question,
    )
}

/// The m of a mean over the batch, if the loss has one over several samples.
fn mean(case: &Case<'_>) -> Option<f64> {
    let pass = &case.submission.references.pass;
    let mean = pass.objective.reduction == Reduction::Mean && pass.rows > 1;
    mean.then_some(pass.rows as f64)
}

/// a = ⟨G, R⟩ / ⟨R, R⟩.
fn least_squares(given: &[f64], right: &[f64]) -> f64 {
    let product = |a: &[f64]| -> f64 { a.iter().zip(right).map(|(a, b)| a * b).sum() };
    product(given) / product(right)
}

/// Six digits of a factor, without zeros at the end.
fn digits(factor: f64) -> String {
    let rounded: f64 = format!("{factor:.5e}").parse().unwrap_or(factor);
    rounded.to_string()
}
