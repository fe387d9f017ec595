//! The search for the one edit that makes a wrong answer right: hundreds of candidates, nearly all of them wrong on the
//! first network that one looks at.

use super::Mistake;
use super::edit::Edits;
use super::question::Prepared;
use super::steps::pause;
use super::values::{evaluate_in_steps, is_near};
use crate::formula::{Expr, Kind, Matrix, Memory, evaluate_again};

/// The most pieces that the changes of one answer may copy and pass by.
const MAX_COPIES: usize = 2_000_000;

/// The mistake that the first edit mends by which `answer` becomes right on every network. The search ends where it has
/// cost `most`, counted in computed entries: a candidate costs `each`, what it would come to on every network, or what
/// it took until it was ruled out, if that is more.
pub(super) async fn mending_edit(
    prepared: &Prepared,
    answer: &Expr,
    each: usize,
    most: usize,
) -> Option<Mistake> {
    let mut trials = Trials::new(prepared, answer);
    let mut numbered = answer.clone();
    numbered.number_pieces();
    let mut edits = Edits::new(numbered, prepared.solution.networks.first()?);
    let mut left = most;
    while edits.work() < MAX_COPIES {
        left = left.checked_sub(each.max(1))?;
        let edit = edits.advance()?;
        let mut work = 0;
        if !trials.rule_out(edit.expr, &mut work).await {
            let values = evaluate_in_steps(
                edit.expr,
                &prepared.solution.networks,
                &prepared.solution.letters,
            )
            .await;
            if values.agrees_with(&prepared.solution.values) {
                return Some(edit.mended);
            }
        }
        left = left.saturating_sub(work.saturating_sub(each));
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
        let networks = prepared.solution.values.networks.iter().enumerate();
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
    async fn rule_out(&mut self, candidate: &Expr, work: &mut usize) -> bool {
        for at in 0..self.trials.len() {
            let passes = self.trials[at].passes(self.prepared, candidate, work);
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
    fn passes(&mut self, prepared: &Prepared, candidate: &Expr, work: &mut usize) -> bool {
        let (network, letters) = (
            &prepared.solution.networks[self.network],
            &prepared.solution.letters[self.binding],
        );
        let value = evaluate_again(candidate, network, letters, &mut self.memory, work);
        value.is_some_and(|value| {
            let mut entries = value.matrix.entries().iter().zip(self.right.entries());
            value.matrix.shape() == self.right.shape()
                && entries.all(|(&a, &b)| is_near(a, b, self.tolerance))
        })
    }
}

fn has_derivative(expr: &Expr) -> bool {
    expr.pieces()
        .any(|piece| matches!(piece.kind, Kind::Derivative(..)))
}

#[cfg(test)]
mod tests;
