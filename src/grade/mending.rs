//! The search for the one edit that makes a wrong answer right: hundreds of candidates, nearly all of them wrong on the
//! first network that one looks at.

use std::ops::ControlFlow;

use super::Mistake;
use super::edit::try_edits;
use super::question::Prepared;
use super::values::{evaluate_on, is_near};
use crate::formula::{Expr, Kind, Matrix, Memory, evaluate_again};

/// The mistake that the first of at most `most` edits mends by which `answer` becomes right on every network.
pub(super) fn mending_edit(prepared: &Prepared, answer: &Expr, most: usize) -> Option<Mistake> {
    let network = prepared.networks.first()?;
    let mut trials = Trials::new(prepared, answer);
    let mut numbered = answer.clone();
    numbered.number_pieces();
    let (mut left, mut mistake) = (most, None);
    try_edits(numbered, network, &mut |_, mended, candidate| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        if trials.rule_out(candidate) {
            return ControlFlow::Continue(());
        }
        let values = evaluate_on(candidate, &prepared.networks, &prepared.letters);
        if !values.agrees_with(&prepared.reference) {
            return ControlFlow::Continue(());
        }
        mistake = Some(mended);
        ControlFlow::Break(())
    });
    mistake
}

/// The networks with the bindings of the free indices, on each of which a candidate is tried alone.
struct Trials<'p> {
    prepared: &'p Prepared,
    /// For each trial its network and binding, the right value, how far off an entry may be, and what is known of the
    /// answer there.
    trials: Vec<Trial<'p>>,
}

struct Trial<'p> {
    network: usize,
    binding: usize,
    right: &'p Matrix,
    tolerance: f64,
    memory: Memory,
}

impl<'p> Trials<'p> {
    fn new(prepared: &'p Prepared, answer: &Expr) -> Self {
        // Where one is taken by differences, values hold to fewer digits.
        let approximate = has_derivative(answer);
        let networks = prepared.reference.networks.iter().enumerate();
        let trials = networks.flat_map(|(network, reference)| {
            let tolerance = reference.tolerance(approximate);
            let matrices = reference.matrices.iter().flatten().enumerate();
            matrices.map(move |(binding, right)| Trial {
                network,
                binding,
                right,
                tolerance,
                memory: Memory::default(),
            })
        });
        Self {
            prepared,
            trials: trials.collect(),
        }
    }

    /// Whether the candidate is wrong in some trial. The trial that told so comes first for the next candidate: where
    /// the units of a network are live, more shows than where they are dead.
    fn rule_out(&mut self, candidate: &Expr) -> bool {
        let prepared = self.prepared;
        let wrong = self
            .trials
            .iter_mut()
            .position(|trial| !trial.passes(prepared, candidate));
        if let Some(at) = wrong {
            self.trials[..=at].rotate_right(1);
        }
        wrong.is_some()
    }
}

impl Trial<'_> {
    fn passes(&mut self, prepared: &Prepared, candidate: &Expr) -> bool {
        let (network, letters) = (
            &prepared.networks[self.network],
            &prepared.letters[self.binding],
        );
        let value = evaluate_again(candidate, network, letters, &mut self.memory);
        value.is_some_and(|value| {
            let mut entries = value.matrix.entries().iter().zip(self.right.entries());
            value.matrix.shape() == self.right.shape()
                && entries.all(|(&a, &b)| is_near(a, b, self.tolerance))
        })
    }
}

fn has_derivative(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Derivative(..)) || expr.parts().into_iter().any(has_derivative)
}

#[cfg(test)]
mod tests;
