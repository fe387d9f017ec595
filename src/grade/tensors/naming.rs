//! What is wrong with a tensor.

use super::constant::{Constant, Named};
use super::{Compared, Quantity, References, TensorReport};
use crate::grade::feedback;
use crate::grade::report::Verdict;
use crate::grade::tensor_mistakes::{Gradients, Kinks, Tensor, candidates, transposed};
use crate::grade::{Mistake, Tolerance};
use crate::nn::Reduction;

/// The multiplications that wrong backward passes may take in all; about a second of one core.
const MOST_WORK: usize = 1_000_000_000;

/// Names what is wrong with tensors that were handed in together.
pub(super) struct Naming<'a> {
    references: &'a References,
    accepted: &'a [(Kinks, Gradients)],
    compared: &'a [Compared<'a>],
    tolerance: Tolerance,
    constants: Vec<Constant>,
    /// The mistake that gives a tensor as it is.
    exact: Vec<Option<Named>>,
    /// The mistake that gives it times a constant, for tensors that have two mistakes.
    scaled: Vec<Option<Named>>,
    /// Whether the gradients of all parameters are twice the right ones, and those of nothing else.
    doubled: bool,
}

impl<'a> Naming<'a> {
    pub(super) fn new(
        references: &'a References,
        accepted: &'a [(Kinks, Gradients)],
        compared: &'a [Compared<'a>],
        tolerance: &Tolerance,
    ) -> Self {
        let none = vec![None; compared.len()];
        let mut naming = Self {
            references,
            accepted,
            compared,
            tolerance: *tolerance,
            constants: Constant::all(references),
            exact: none.clone(),
            scaled: none,
            doubled: false,
        };
        naming.doubled = naming.parameters_doubled();
        naming.try_candidates();
        naming
    }

    fn parameters_doubled(&self) -> bool {
        let doubled =
            |compared: &&Compared<'_>| self.is_multiple(compared, &compared.expected.values, 2.0);
        let is_parameter = |compared: &&Compared<'_>| compared.given.quantity.is_parameter();
        let (parameters, others): (Vec<_>, Vec<_>) = self.compared.iter().partition(is_parameter);
        !parameters.is_empty() && parameters.iter().all(doubled) && !others.iter().any(doubled)
    }

    /// Computes every wrong gradient once and keeps, for each tensor, the mistake that explains most tensors.
    fn try_candidates(&mut self) {
        let open: Vec<usize> = (0..self.compared.len())
            .filter(|&at| {
                let compared = &self.compared[at];
                !compared.is_right() && compared.is_finite() && !self.is_single(compared)
            })
            .collect();
        if open.is_empty() {
            return;
        }
        let References {
            pass,
            right,
            earlier,
            learning_rate,
            ..
        } = self.references;
        let candidates = candidates(pass, earlier.is_some(), *learning_rate);
        let affordable = MOST_WORK / pass.work().max(1) / self.accepted.len();
        let mut matches = vec![Vec::new(); self.compared.len()];
        for (index, candidate) in candidates.iter().enumerate().take(affordable) {
            for (kinks, _) in self.accepted {
                let at_kinks = (*kinks, self.tolerance.kink);
                let wrong = candidate.gradients(pass, right, earlier.as_ref(), at_kinks);
                for &at in &open {
                    let compared = &self.compared[at];
                    let Some(wrong) = wrong.get(compared.given.quantity) else {
                        continue;
                    };
                    if wrong.shape != compared.given.shape {
                        continue;
                    }
                    if self.is_multiple(compared, &wrong.values, 1.0) {
                        matches[at].push(index);
                    } else if self.scaled[at].is_none() {
                        let found = self
                            .constants
                            .iter()
                            .find(|c| self.is_multiple(compared, &wrong.values, c.factor));
                        let both = |c: &Constant| c.besides(candidate.mistake, &candidate.question);
                        self.scaled[at] = found.map(both);
                    }
                }
            }
        }
        let votes = |index: &usize| matches.iter().filter(|of| of.contains(index)).count();
        for at in open {
            // The first of those with most votes: `max_by_key` would take the last.
            let best = matches[at].iter().rev().max_by_key(|index| votes(index));
            self.exact[at] = best.map(|&index| {
                let candidate = &candidates[index];
                let meaning = candidate.mistake.meaning();
                Named::new(candidate.mistake, meaning, &candidate.question)
            });
        }
    }

    /// The report on one tensor.
    pub(super) fn report(&self, at: usize) -> TensorReport {
        let compared = &self.compared[at];
        let mut report = compared.report();
        if report.verdict == Verdict::Correct {
            return report;
        }
        let named = if compared.given.values.is_empty() {
            let found = "It holds no numbers.";
            Named::new(Mistake::ShapeMismatch, found, "Was it computed at all?")
        } else if !compared.is_finite() {
            not_finite(compared)
        } else if compared.has_right_shape() {
            self.name_values(at)
        } else {
            self.name_shape(at)
        };
        let off = if compared.has_right_shape() {
            let (all, right) = (compared.right.len(), compared.count());
            let size = match (report.largest_absolute_error, report.largest_relative_error) {
                (Some(absolute), Some(relative)) => {
                    format!(", by up to {absolute:.1e} (relative {relative:.1e})")
                }
                _ => String::new(),
            };
            format!(
                "{} of {all} entries of {} differ{size}.",
                all - right,
                report.quantity
            )
        } else {
            let (given, expected) = (&compared.given.shape, &compared.expected.shape);
            format!(
                "{} has shape {given:?} where {expected:?} is expected.",
                report.quantity
            )
        };
        report.mistake = Some(named.mistake);
        report.message = format!("{off} {} {}", named.found, named.question);
        report
    }

    fn name_values(&self, at: usize) -> Named {
        let compared = &self.compared[at];
        if self.is_single(compared) {
            return Named::new(
                Mistake::Other,
                "It looks like single precision.",
                "Was it computed in float32? Then ask for the FLOAT32 tolerance.",
            );
        }
        if compared.given.values.iter().all(|&value| value == 0.0) {
            let question = "Was it computed at all, or does a mask let nothing through?";
            return Named::new(Mistake::Other, "Every entry is 0.", question);
        }
        self.exact[at]
            .clone()
            .or_else(|| self.transposed(compared))
            .or_else(|| self.multiple(compared))
            .or_else(|| self.scaled[at].clone())
            .or_else(|| self.of_another(compared))
            .unwrap_or_else(|| self.unnamed(compared))
    }

    fn name_shape(&self, at: usize) -> Named {
        let compared = &self.compared[at];
        if let Some(named) = &self.exact[at] {
            return named.clone();
        }
        if let Some(named) = self.transposed(compared) {
            return named;
        }
        let long = |shape: &[usize]| -> Vec<usize> {
            shape.iter().copied().filter(|&axis| axis != 1).collect()
        };
        let (given, expected) = (&compared.given.shape, &compared.expected.shape);
        let mistake = Mistake::ShapeMismatch;
        if long(given) == long(expected) && self.equals_right(compared) {
            let found = "The numbers are right; an axis of length 1 is not.";
            return Named::new(
                mistake,
                found,
                "How many axes does this quantity have itself?",
            );
        }
        if let Some(named) = self.of_another(compared) {
            return named;
        }
        let m = self.references.pass.rows;
        if m > 1 && *given == [m, m] && *expected == [m, 1] {
            let question = format!(
                "Which shape do the outputs have, which the targets, and what is [{m}, 1] − [{m}]?"
            );
            return Named::new(mistake, "Each sample meets the targets of all.", question);
        }
        Named::usual(mistake)
    }

    /// The tolerance to recognise values with: mistakes in single precision are the same mistakes.
    fn recognition(&self, compared: &Compared<'_>) -> Tolerance {
        if compared.single {
            Tolerance {
                relative: self.tolerance.relative.max(Tolerance::FLOAT32.relative),
                ..self.tolerance
            }
        } else {
            self.tolerance
        }
    }

    /// Whether the given values are these times a factor. Zeros prove nothing.
    fn is_multiple(&self, compared: &Compared<'_>, values: &[f64], factor: f64) -> bool {
        let given = &compared.given.values;
        let multiple: Vec<f64> = values.iter().map(|value| factor * value).collect();
        values.iter().any(|&value| value != 0.0)
            && self.recognition(compared).accepts(given, &multiple)
    }

    fn is_single(&self, compared: &Compared<'_>) -> bool {
        self.tolerance.relative < Tolerance::FLOAT32.relative
            && compared.has_right_shape()
            && compared.single
            && self.equals_right(compared)
    }

    /// Whether the numbers are those of a right answer, whatever their shape.
    fn equals_right(&self, compared: &Compared<'_>) -> bool {
        let mut right = self.right(compared);
        let given = &compared.given.values;
        right.any(|right| self.recognition(compared).accepts(given, &right.values))
    }

    fn right(&self, compared: &Compared<'_>) -> impl Iterator<Item = &'a Tensor> {
        let quantity = compared.given.quantity;
        let accepted = self.accepted.iter();
        accepted.filter_map(move |(_, gradients)| gradients.get(quantity))
    }

    fn transposed(&self, compared: &Compared<'_>) -> Option<Named> {
        let [rows, columns] = compared.expected.shape[..] else {
            return None;
        };
        if compared.given.shape != [columns, rows] {
            return None;
        }
        let is_transposed = |right: &Tensor| {
            self.is_multiple(compared, &transposed(&right.values, rows, columns), 1.0)
        };
        self.right(compared)
            .any(is_transposed)
            .then(|| Named::usual(Mistake::TransposedResult))
    }

    /// Names a tensor that is the right one times a constant.
    fn multiple(&self, compared: &Compared<'_>) -> Option<Named> {
        if self.doubled && compared.given.quantity.is_parameter() {
            // With two samples a lost mean doubles too; what is not summed over them would then show it.
            let only_parameters = self
                .compared
                .iter()
                .all(|c| c.given.quantity.is_parameter());
            if !(only_parameters && self.mean() == Some(2.0)) {
                let found = "The gradient of every parameter is twice the right one.";
                let question = feedback::question(Mistake::GradientNotZeroed);
                return Some(Named::new(Mistake::GradientNotZeroed, found, question));
            }
        }
        self.right(compared).find_map(|right| {
            let known = |c: &&Constant| self.is_multiple(compared, &right.values, c.factor);
            if let Some(constant) = self.constants.iter().find(known) {
                return Some(constant.named.clone());
            }
            // One number is a multiple of any other.
            let factor = least_squares(&compared.given.values, &right.values);
            let several = right.values.iter().filter(|&&value| value != 0.0).count() > 1;
            (several && self.is_multiple(compared, &right.values, factor)).then(|| {
                let found = format!("It is {} times the right gradient.", digits(factor));
                let question = "Which step of the derivation brings this factor in?";
                Named::new(Mistake::ConstantFactor, found, question)
            })
        })
    }

    /// The m of a mean over the batch, where the loss is one over several samples.
    fn mean(&self) -> Option<f64> {
        let pass = &self.references.pass;
        let mean = pass.objective.reduction == Reduction::Mean && pass.rows > 1;
        mean.then_some(pass.rows as f64)
    }

    /// Names a tensor that is right for another quantity.
    fn of_another(&self, compared: &Compared<'_>) -> Option<Named> {
        let (given, quantity) = (compared.given, compared.given.quantity);
        let architecture = &self.references.pass.architecture;
        let others = Quantity::all(architecture)
            .into_iter()
            .filter(|other| *other != quantity);
        let found = others.into_iter().find(|&other| {
            self.accepted.iter().any(|(_, gradients)| {
                gradients.get(other).is_some_and(|right| {
                    right.shape == given.shape && self.is_multiple(compared, &right.values, 1.0)
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

    fn unnamed(&self, compared: &Compared<'_>) -> Named {
        let close = Tolerance::FINITE_DIFFERENCE;
        let given = &compared.given.values;
        if self
            .right(compared)
            .any(|right| close.accepts(given, &right.values))
        {
            let found = "It is close to the right gradient.";
            let question =
                "Does it come from finite differences, or were numbers rounded on the way?";
            return Named::new(Mistake::Other, found, question);
        }
        let found = "It is none of the usual mistakes.";
        Named::new(Mistake::Other, found, feedback::question(Mistake::Other))
    }
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

/// Whether a number is one of `f32`, exactly or as its shortest decimal.
pub(super) fn is_single(value: f64) -> bool {
    let single = value as f32;
    value == f64::from(single) || single.to_string().parse() == Ok(value)
}

/// Six digits of a factor, without zeros at the end.
fn digits(factor: f64) -> String {
    let rounded: f64 = format!("{factor:.5e}").parse().unwrap_or(factor);
    rounded.to_string()
}
