//! Searches for the single edit that corrects a wrong answer, or leaves one known mistake, among hundreds of candidates
//! of which nearly all fail on the first trial.

use super::edit::{Edits, Side};
use super::near_miss::{NearMissList, Trial, values_on};
use super::prints::{is_same, largest};
use super::weight::{is_pair, weight};
use crate::formula::{Expr, Kind, Matrix, Memory, evaluate_again};
use crate::grade::Mistake;
use crate::grade::solution::Solution;
use crate::grade::steps::pause;
use crate::grade::values::evaluate_in_steps;

/// The most nodes that the changes of one answer may copy and visit.
const MAX_COPIES: usize = 500_000;
/// The most candidates to evaluate on every network: those that agree on all trials and may yet fail.
const MAX_CHECKED: usize = 48;
/// The most near misses to compare one candidate with on every network.
const MAX_ALIKE: usize = 4;
/// No mistake is simpler.
const LEAST_WEIGHT: u32 = 2;

/// What the search found, each with its weight.
#[derive(Default)]
pub(super) struct Found {
    /// The mistake that one edit corrects.
    pub(super) single: Option<(u32, Mistake)>,
    /// The mistake that one edit corrects, where the near miss is left.
    pub(super) pair: Option<(u32, Mistake, Mistake)>,
}

/// Limits of a search.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The most entries to compute on the first trial.
    pub(super) work: usize,
    /// Whether the answer has a value.
    pub(super) evaluates: bool,
    /// Whether only mistakes about masks are looked for.
    pub(super) masks_only: bool,
    /// Whether pairs of mistakes are looked for as well.
    pub(super) pairs: bool,
}

/// The simplest single mistake and the simplest pair of mistakes of `answer`.
pub(super) async fn search(
    (solution, free): (&Solution, &[char]),
    list: &NearMissList,
    answer: &Expr,
    limits: Limits,
) -> Found {
    let mut found = Found::default();
    let [first, second, third] = list.trials();
    let (Some(widest), Some(right)) = (
        solution.networks.get(first.network),
        values_on(&solution.values, first),
    ) else {
        return found;
    };
    let approximate = has_derivative(answer);
    let mut trials = [first, second, third].map(|trial| OnTrial {
        solution,
        trial,
        memory: Memory::default(),
    });
    let mut numbered = answer.clone();
    numbered.number_pieces();
    let mut edits = Edits::new(numbered, Side::Answer, free, widest);
    let (mut left, mut checked) = (limits.work, 0);
    while edits.work() < MAX_COPIES
        && let Some(edit) = edits.advance()
    {
        let own = weight(edit.mistake);
        let is_of_mask = matches!(
            edit.mistake,
            Mistake::InvertedMask | Mistake::WrongActivation
        );
        if limits.masks_only && !is_of_mask {
            continue;
        }
        let mut work = 1;
        let value = trials[0].value(edit.expr, &mut work);
        pause().await;
        match left.checked_sub(work) {
            Some(rest) => left = rest,
            None => break,
        }
        let Some(value) = value else { continue };
        let is_right = is_same(&value, right, approximate);
        if is_right && found.single.is_some_and(|(best, _)| best <= own) {
            continue;
        }
        let most = found.pair.map_or(u32::MAX, |(best, ..)| best);
        let is_searched = limits.pairs && found.single.is_none() && checked < MAX_CHECKED;
        // Zeros fit too much.
        let like = if is_searched && own + LEAST_WEIGHT < most && largest(&value) > 0.0 {
            list.like(&value, approximate)
        } else {
            Vec::new()
        };
        if !is_right && like.is_empty() {
            continue;
        }
        let (Some(on_second), Some(on_third)) = (
            trials[1].value(edit.expr, &mut 0),
            trials[2].value(edit.expr, &mut 0),
        ) else {
            continue;
        };
        pause().await;
        let is = |value: &Matrix, trial: Trial| {
            values_on(&solution.values, trial)
                .is_some_and(|right| is_same(value, right, approximate))
        };
        let is_right = is_right && is(&on_second, second) && is(&on_third, third);
        let mut like = like.into_iter().map(|at| &list.all[at]).filter(|miss| {
            !is_right
                && own + weight(miss.mistake) < most
                && is_pair(miss.mistake, edit.mistake)
                && miss.has(1, &on_second, approximate)
                && miss.has(2, &on_third, approximate)
        });
        let first = like.next();
        if !is_right && first.is_none() {
            continue;
        }
        checked += usize::from(!is_right);
        let values = evaluate_in_steps(edit.expr, &solution.networks, &solution.letters).await;
        if is_right {
            // Factors that do not fit are not one too many.
            let is_shorter = || edit.expr.pieces().count() < answer.pieces().count();
            let is_dropped =
                !limits.evaluates && edit.mistake == Mistake::WrongWeight && is_shorter();
            if !is_dropped && values.agrees_with(&solution.values) {
                found.single = Some((own, edit.mistake));
                if own <= LEAST_WEIGHT {
                    break;
                }
            }
            continue;
        }
        for miss in first.into_iter().chain(like).take(MAX_ALIKE) {
            if let Some(wrong) = miss.values(solution).await
                && values.agrees_with(wrong)
            {
                found.pair = Some((own + weight(miss.mistake), miss.mistake, edit.mistake));
                break;
            }
        }
    }
    found
}

/// A network with one binding, and the cached values of an answer's pieces there.
struct OnTrial<'s> {
    solution: &'s Solution,
    trial: Trial,
    memory: Memory,
}

impl OnTrial<'_> {
    fn value(&mut self, candidate: &Expr, work: &mut usize) -> Option<Matrix> {
        let network = &self.solution.networks[self.trial.network];
        let letters = &self.solution.letters[self.trial.binding];
        let value = evaluate_again(candidate, network, letters, &mut self.memory, work)?;
        Some(value.matrix)
    }
}

fn has_derivative(expr: &Expr) -> bool {
    expr.pieces()
        .any(|piece| matches!(piece.kind, Kind::Derivative(..)))
}

#[cfg(test)]
mod tests;
