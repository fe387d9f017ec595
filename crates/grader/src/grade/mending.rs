//! Searches for the single edit that corrects a wrong answer, among hundreds of candidates of which nearly all fail on
//! the first network.

use super::Mistake;
use super::edit::Edits;
use super::question::Prepared;
use super::steps::pause;
use super::values::{evaluate_in_steps, is_near};
use crate::formula::{Expr, Kind, Matrix, Memory, evaluate_again};

/// The most nodes that the changes of one answer may copy and visit.
const MAX_COPIES: usize = 2_000_000;

/// The mistake corrected by the first edit that makes `answer` right on every network. The search ends when it has cost
/// `most`, in computed entries. A candidate costs `each`, the cost of evaluating it on every network, or what it took
/// to refute it, if that is more.
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

/// The networks with the bindings of the free indices; a candidate is tried on one pair at a time.
struct Trials<'p> {
    prepared: &'p Prepared,
    /// For each trial: its network and binding, the right value, the tolerance of an entry, and the cached values of
    /// the answer there.
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
        // Values with a derivative by differences have fewer accurate digits.
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

    /// Whether the candidate is wrong in some trial. The trial that refuted it is first for the next candidate, because
    /// networks with live units show more differences than networks with dead ones.
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
