//! The search for the one edit that makes a wrong answer right: hundreds of candidates, nearly all of them wrong on the
//! first network that one looks at.

use super::Mistake;
use super::edit::Edits;
use super::question::Prepared;
use super::steps::pause;
use super::values::{evaluate_in_steps, is_near};
use crate::formula::{Expr, Kind, Matrix, Memory, evaluate_again};

/// The mistake that the first of at most `most` edits mends by which `answer` becomes right on every network.
pub(super) async fn mending_edit(
    prepared: &Prepared,
    answer: &Expr,
    most: usize,
) -> Option<Mistake> {
    let mut trials = Trials::new(prepared, answer);
    let mut numbered = answer.clone();
    numbered.number_pieces();
    let mut edits = Edits::new(numbered, prepared.networks.first()?);
    for _ in 0..most {
        let edit = edits.advance()?;
        if !trials.rule_out(edit.expr).await {
            let values = evaluate_in_steps(edit.expr, &prepared.networks, &prepared.letters).await;
            if values.agrees_with(&prepared.reference) {
                return Some(edit.mended);
            }
        }
    }
    None
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
    async fn rule_out(&mut self, candidate: &Expr) -> bool {
        for at in 0..self.trials.len() {
            let passes = self.trials[at].passes(self.prepared, candidate);
            pause().await;
            if !passes {
                self.trials[..=at].rotate_right(1);
                return true;
            }
        }
        false
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
