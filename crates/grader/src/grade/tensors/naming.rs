//! What is wrong with a tensor.

use super::comparison::{Compared, MOST_NAMED_ENTRIES};
use super::constant::{Constant, Named};
use super::grading::Case;
use super::trying::Found;
use super::{Closeness, Quantity, TensorReport};
use crate::grade::Mistake;
use crate::grade::feedback;
use crate::grade::report::Verdict;
use crate::grade::tensor_mistakes::{Budget, Tensor, transposed};
use backpropd_engine::nn::Reduction;

/// Names what is wrong with tensors that were handed in together.
pub(super) struct Naming {
    constants: Vec<Constant>,
    /// Whether the gradients of all parameters are twice the right ones, and those of nothing else.
    doubled: bool,
    /// The next rule to try on the tensor under way.
    rule: usize,
}

/// One way to explain a tensor.
type Rule = fn(&Naming, &Case<'_>, &Found, usize) -> Option<Named>;

/// For a tensor of the right shape, the one that says most first.
const VALUES: &[Rule] = &[
    Naming::single,
    Naming::zeros,
    Naming::exact,
    Naming::transposed,
    Naming::multiple,
    Naming::scaled,
    Naming::of_another,
    Naming::close,
];
/// For a tensor of another shape.
const SHAPES: &[Rule] = &[
    Naming::exact,
    Naming::transposed,
    Naming::reshaped,
    Naming::of_another,
    Naming::broadcast,
];
/// Where no more than a coarse answer is told: rules that need every entry to be that of a known wrong gradient. A factor
/// that is fitted, or one that the caller chose, would be a search of its own.
const COARSE_VALUES: &[Rule] = &[
    Naming::zeros,
    Naming::exact,
    Naming::transposed,
    Naming::constant,
    Naming::of_another,
];
/// For a tensor that is too large or, where answers are coarse, too small.
const OF_ITSELF: &[Rule] = &[Naming::zeros];

impl Naming {
    pub(super) fn new(case: &Case<'_>) -> Self {
        Self {
            constants: Constant::all(case.references),
            doubled: case.tells_all() && parameters_doubled(case),
            rule: 0,
        }
    }

    /// Goes on for as long as `budget` lasts; the report on tensor `at` once it is there.
    pub(super) fn advance(
        &mut self,
        case: &Case<'_>,
        found: &Found,
        at: usize,
        budget: &mut Budget,
    ) -> Option<TensorReport> {
        if at >= case.submitted.len() {
            return None;
        }
        let compared = case.compared(at)?;
        if compared.is_right() {
            budget.spend(compared.given.values.len());
            return Some(self.finish(case, &compared, at, None));
        }
        let rules = rules(case, &compared, at);
        while let Some(rule) = rules.get(self.rule) {
            if budget.is_spent() {
                return None;
            }
            let entries = compared.given.values.len();
            budget.spend(entries.saturating_mul(2 * case.accepted.len()));
            if let Some(named) = rule(self, case, found, at) {
                return Some(self.finish(case, &compared, at, Some(named)));
            }
            self.rule += 1;
        }
        Some(self.finish(case, &compared, at, None))
    }

    fn finish(
        &mut self,
        case: &Case<'_>,
        compared: &Compared<'_>,
        at: usize,
        named: Option<Named>,
    ) -> TensorReport {
        self.rule = 0;
        let closeness = case.closeness[at];
        let mut report = if case.tells_all() {
            compared.report(closeness)
        } else {
            compared.verdict(closeness)
        };
        if report.verdict == Verdict::Correct {
            return report;
        }
        let named = named.unwrap_or_else(|| unnamed(case, compared, at));
        let off = difference(case, compared, &report);
        report.mistake = Some(named.mistake);
        report.message = format!("{off} {} {}", named.found, named.question);
        report
    }

    fn single(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        case.is_single(at).then(|| {
            Named::new(
                Mistake::Other,
                "It looks like single precision.",
                "Was it computed in float32? Then ask for the FLOAT32 tolerance.",
            )
        })
    }

    fn zeros(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        case.is_all_zeros(at).then(|| {
            let question = "Was it computed at all, or does a mask let nothing through?";
            Named::new(Mistake::Other, "Every entry is 0.", question)
        })
    }

    fn exact(&self, _: &Case<'_>, found: &Found, at: usize) -> Option<Named> {
        found.exact[at].clone()
    }

    fn scaled(&self, _: &Case<'_>, found: &Found, at: usize) -> Option<Named> {
        found.scaled[at].clone()
    }

    fn transposed(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        let compared = case.compared(at)?;
        let [rows, columns] = compared.expected.shape[..] else {
            return None;
        };
        if compared.given.shape != [columns, rows] {
            return None;
        }
        let is_transposed =
            |right: &Tensor| case.is_multiple(at, &transposed(&right.values, rows, columns), 1.0);
        case.right(at)
            .any(is_transposed)
            .then(|| Named::usual(Mistake::TransposedResult))
    }

    /// The right numbers in another shape.
    fn reshaped(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        let compared = case.compared(at)?;
        let long = |shape: &[usize]| -> Vec<usize> {
            shape.iter().copied().filter(|&axis| axis != 1).collect()
        };
        let is_same = long(&compared.given.shape) == long(&compared.expected.shape);
        (is_same && case.equals_right(at)).then(|| {
            let found = "The numbers are right; an axis of length 1 is not.";
            let question = "How many axes does this quantity have itself?";
            Named::new(Mistake::ShapeMismatch, found, question)
        })
    }

    /// Names a tensor that is the right one times a known constant.
    fn constant(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        case.right(at)
            .find_map(|right| self.constant_of(case, at, right))
    }

    fn constant_of(&self, case: &Case<'_>, at: usize, right: &Tensor) -> Option<Named> {
        let mut constants = self.constants.iter();
        let known = constants.find(|c| case.is_multiple(at, &right.values, c.factor));
        known.map(|constant| constant.named.clone())
    }

    /// Names a tensor that is the right one times a constant.
    fn multiple(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        let given = &case.submitted[at];
        if self.doubled && given.quantity.is_parameter() {
            // With two samples a lost mean doubles too; what is not summed over them would then show it.
            let mut all = case.submitted.iter();
            let only_parameters = all.all(|given| given.quantity.is_parameter());
            if !(only_parameters && mean(case) == Some(2.0)) {
                let found = "The gradient of every parameter is twice the right one.";
                let question = feedback::question(Mistake::GradientNotZeroed);
                return Some(Named::new(Mistake::GradientNotZeroed, found, question));
            }
        }
        case.right(at).find_map(|right| {
            if let Some(named) = self.constant_of(case, at, right) {
                return Some(named);
            }
            // One number is a multiple of any other.
            let factor = least_squares(&given.values, &right.values);
            let several = right.values.iter().filter(|&&value| value != 0.0).count() > 1;
            (several && case.is_multiple(at, &right.values, factor)).then(|| {
                let found = format!("It is {} times the right gradient.", digits(factor));
                let question = "Which step of the derivation brings this factor in?";
                Named::new(Mistake::ConstantFactor, found, question)
            })
        })
    }

    /// Names a tensor that is right for another quantity.
    fn of_another(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        let given = &case.submitted[at];
        let quantity = given.quantity;
        let others = Quantity::all(&case.references.pass.architecture)
            .into_iter()
            .filter(|other| *other != quantity);
        let found = others.into_iter().find(|&other| {
            case.accepted.iter().any(|(_, gradients)| {
                gradients.get(other).is_some_and(|right| {
                    right.shape == given.shape && case.is_multiple(at, &right.values, 1.0)
                })
            })
        })?;
        let text = format!("It is {found}, the gradient of another quantity.");
        Some(match (quantity, found) {
            (Quantity::Activation(i), Quantity::PreActivation(j)) if i == j => {
                let question =
                    format!("Does the slope of the activation belong to dh{i}, or to dz{i} only?");
                Named::new(Mistake::WrongMaskLayer, text, question)
            }
            _ => Named::new(
                Mistake::WrongWeight,
                text,
                feedback::question(Mistake::WrongWeight),
            ),
        })
    }

    /// Each sample against the targets of all.
    fn broadcast(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        let compared = case.compared(at)?;
        let m = case.references.pass.rows;
        let is_square = compared.given.shape == [m, m] && compared.expected.shape == [m, 1];
        (m > 1 && is_square).then(|| {
            let question = format!(
                "Which shape do the outputs have, which the targets, and what is [{m}, 1] − [{m}]?"
            );
            let found = "Each sample meets the targets of all.";
            Named::new(Mistake::ShapeMismatch, found, question)
        })
    }

    fn close(&self, case: &Case<'_>, _: &Found, at: usize) -> Option<Named> {
        (case.closeness[at] == Closeness::WithinOnePercent).then(|| {
            let question =
                "Does it come from finite differences, or were numbers rounded on the way?";
            Named::new(
                Mistake::Other,
                "It is close to the right gradient.",
                question,
            )
        })
    }
}

fn rules(case: &Case<'_>, compared: &Compared<'_>, at: usize) -> &'static [Rule] {
    let is_near = case.closeness[at] != Closeness::Wrong;
    if compared.given.values.is_empty() || !compared.is_finite() {
        &[]
    } else if !case.is_nameable(at) {
        OF_ITSELF
    } else if !compared.has_right_shape() {
        SHAPES
    } else if case.tells_all() {
        VALUES
    } else if is_near {
        &[]
    } else {
        COARSE_VALUES
    }
}

/// What is said of a tensor that no rule explains.
fn unnamed(case: &Case<'_>, compared: &Compared<'_>, at: usize) -> Named {
    let question = feedback::question(Mistake::Other);
    if compared.given.values.is_empty() {
        let found = "It holds no numbers.";
        Named::new(Mistake::ShapeMismatch, found, "Was it computed at all?")
    } else if !compared.is_finite() {
        not_finite(compared)
    } else if !compared.has_right_shape() {
        Named::usual(Mistake::ShapeMismatch)
    } else if case.closeness[at] == Closeness::WithinOnePercent {
        let question = "Does it come from finite differences, or were numbers rounded on the way?";
        Named::new(
            Mistake::Other,
            "It is close to the right gradient.",
            question,
        )
    } else if compared.given.values.len() > MOST_NAMED_ENTRIES {
        let found =
            format!("With more than {MOST_NAMED_ENTRIES} entries its mistake is not looked for.");
        Named::new(Mistake::Other, found, question)
    } else {
        Named::new(
            Mistake::Other,
            "It is none of the usual mistakes.",
            question,
        )
    }
}

/// In what the tensor differs: its shape, or how many entries and by how much, where that is told.
fn difference(case: &Case<'_>, compared: &Compared<'_>, report: &TensorReport) -> String {
    let quantity = report.quantity;
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

fn parameters_doubled(case: &Case<'_>) -> bool {
    let doubled = |&at: &usize| {
        let compared = case.compared(at);
        compared.is_some_and(|compared| case.is_multiple(at, &compared.expected.values, 2.0))
    };
    let is_parameter = |&at: &usize| case.submitted[at].quantity.is_parameter();
    let (parameters, others): (Vec<usize>, Vec<usize>) =
        (0..case.submitted.len()).partition(is_parameter);
    !parameters.is_empty() && parameters.iter().all(doubled) && !others.iter().any(doubled)
}

/// The m of a mean over the batch, where the loss is one over several samples.
fn mean(case: &Case<'_>) -> Option<f64> {
    let pass = &case.references.pass;
    let mean = pass.objective.reduction == Reduction::Mean && pass.rows > 1;
    mean.then_some(pass.rows as f64)
}

fn not_finite(compared: &Compared<'_>) -> Named {
    let values = &compared.given.values;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    let first = values.iter().position(|value| !value.is_finite());
    let place = if compared.has_right_shape() {
        let (row, column) = compared.place(first.unwrap_or(0));
        format!(", the first at row {row}, column {column}")
    } else {
        String::new()
    };
    Named::new(
        Mistake::Other,
        format!("{count} of its entries are infinite or not a number{place}."),
        "Does an exponential overflow, or is something divided by 0?",
    )
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
