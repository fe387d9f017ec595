//! Near misses: the assignment's own mistakes, and the single-edit changes of a question's solution.

use std::sync::OnceLock;

use super::edit::{Edits, Side};
use super::prints::{Sorted, is_same, print, ratio_print};
use super::weight::weight;
use crate::formula::{Expr, Matrix, Memory, evaluate_again};
use crate::grade::Mistake;
use crate::grade::solution::Solution;
use crate::grade::steps::pause;
use crate::grade::values::{Values, evaluate_in_steps};

/// The most nodes that the near misses of one question may copy, which bounds their memory: hundreds of times the need
/// of the homework's longest solutions.
const MAX_COPIES: usize = 1_000_000;
/// The most near misses that mean the same mistake and agree on all trials: most of them agree everywhere.
const MOST_ALIKE: usize = 4;
/// The trials on which the values of all near misses are known.
const TRIALS: usize = 3;

/// The right answer of a question, on all of its networks or on those of one batch size, and the wrong ones near it.
/// They are computed when the first wrong answer is to be named.
#[derive(Default)]
pub(in crate::grade) struct NearMisses(OnceLock<NearMissList>);

pub(super) struct NearMissList {
    trials: [Trial; TRIALS],
    pub(super) all: Vec<NearMiss>,
    by_print: Sorted,
    by_ratio: Sorted,
}

/// A network with one binding of the question's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) network: usize,
    pub(super) binding: usize,
}

pub(super) struct NearMiss {
    pub(super) mistake: Mistake,
    /// The index among the assignment's own mistakes.
    pub(super) listed: Option<usize>,
    expr: Option<Expr>,
    on_trials: [Matrix; TRIALS],
    /// On every network; `None` if it fails on one, or is right after all.
    values: OnceLock<Option<Values>>,
}

impl NearMisses {
    /// The near misses of `solution`, computed when they are first needed.
    pub(super) async fn list(
        &self,
        solution: &Solution,
        listed: impl FnOnce() -> Vec<(Mistake, Values)>,
        free: &[char],
    ) -> &NearMissList {
        match self.0.get() {
            Some(list) => list,
            None => {
                // Two gradings that need them at once both compute them: neither can wait for the other between its
                // steps.
                let list = NearMissList::new(solution, &listed(), free).await;
                self.0.get_or_init(|| list)
            }
        }
    }
}

impl NearMissList {
    async fn new(solution: &Solution, listed: &[(Mistake, Values)], free: &[char]) -> Self {
        let mut list = Self {
            trials: trials(solution),
            all: Vec::new(),
            by_print: Sorted::default(),
            by_ratio: Sorted::default(),
        };
        list.add_listed(listed);
        list.add_edits(solution, free).await;
        let prints = list.all.iter().enumerate();
        let prints = prints.map(|(at, miss)| (print(&miss.on_trials[0], false).0, at));
        list.by_print = Sorted::new(prints.collect());
        let ratios = list.all.iter().enumerate();
        let ratios = ratios.filter_map(|(at, miss)| {
            let ratio = ratio_print(&miss.on_trials[0], &miss.on_trials[2]);
            Some((ratio?, at))
        });
        list.by_ratio = Sorted::new(ratios.collect());
        list
    }

    fn add_listed(&mut self, listed: &[(Mistake, Values)]) {
        for (at, (mistake, values)) in listed.iter().enumerate() {
            let [first, second, third] = self.trials.map(|trial| values_on(values, trial).cloned());
            if let (Some(first), Some(second), Some(third)) = (first, second, third) {
                self.all.push(NearMiss {
                    mistake: *mistake,
                    listed: Some(at),
                    expr: None,
                    on_trials: [first, second, third],
                    values: OnceLock::from(Some(values.clone())),
                });
            }
        }
    }

    async fn add_edits(&mut self, solution: &Solution, free: &[char]) {
        let Some(widest) = solution
            .networks
            .iter()
            .max_by_key(|network| network.samples())
        else {
            return;
        };
        let right = self.trials.map(|trial| values_on(&solution.values, trial));
        let mut formula = solution.formula.clone();
        formula.number_pieces();
        let mut memories: [Memory; TRIALS] = Default::default();
        let size = formula.pieces().count();
        let mut edits = Edits::new(formula, Side::Solution, free, widest);
        let mut known: std::collections::HashMap<(Mistake, u64), Vec<usize>> =
            std::collections::HashMap::new();
        while edits.work() + size * self.all.len() < MAX_COPIES
            && let Some(edit) = edits.advance()
        {
            let mut on = self
                .trials
                .iter()
                .zip(&mut memories)
                .map(|(trial, memory)| {
                    let (network, letters) = (
                        &solution.networks[trial.network],
                        &solution.letters[trial.binding],
                    );
                    evaluate_again(edit.expr, network, letters, memory, &mut 0)
                });
            let mut next = || on.next().flatten().map(|value| value.matrix);
            let on_trials = next().and_then(|a| Some([a, next()?, next()?]));
            pause().await;
            let Some(on_trials) = on_trials else { continue };
            if on_trials
                .iter()
                .zip(right)
                .all(|(value, right)| right.is_some_and(|right| is_same(value, right, false)))
            {
                continue;
            }
            // One change often comes to the same as another that means the same mistake.
            let key = (
                edit.mistake,
                (print(&on_trials[0], false).0 * 1e6) as i64 as u64,
            );
            let alike = known.entry(key).or_default();
            let same = alike.iter().filter(|&&at| {
                let other = &self.all[at].on_trials;
                let mut pairs = on_trials.iter().zip(other);
                pairs.all(|(a, b)| is_same(a, b, false))
            });
            if same.count() >= MOST_ALIKE {
                continue;
            }
            alike.push(self.all.len());
            self.all.push(NearMiss {
                mistake: edit.mistake,
                listed: None,
                expr: Some(edit.expr.clone()),
                on_trials,
                values: OnceLock::new(),
            });
        }
    }

    pub(super) fn trials(&self) -> [Trial; TRIALS] {
        self.trials
    }

    /// The near misses with this value on the first trial, the simplest first.
    pub(super) fn like(&self, first: &Matrix, approximate: bool) -> Vec<usize> {
        let (print, error) = print(first, approximate);
        let near = self.by_print.near(print, error);
        let like = near.filter(|&at| is_same(first, &self.all[at].on_trials[0], approximate));
        self.sorted(like.collect())
    }

    /// The near misses of which these values, on the first and the third trial, are multiples.
    pub(super) fn multiples(&self, first: &Matrix, third: &Matrix) -> Vec<usize> {
        let Some(ratio) = ratio_print(first, third) else {
            return Vec::new();
        };
        let near = self.by_ratio.near(ratio, 1e-6 * ratio.abs().max(1.0));
        let like = near.filter(|&at| self.all[at].on_trials[0].shape() == first.shape());
        self.sorted(like.collect())
    }

    fn sorted(&self, mut found: Vec<usize>) -> Vec<usize> {
        found.sort_by_key(|&at| {
            let miss = &self.all[at];
            (miss.listed.is_none(), weight(miss.mistake), at)
        });
        found
    }
}

impl NearMiss {
    /// Whether it has this value on a trial after the first.
    pub(super) fn has(&self, trial: usize, value: &Matrix, approximate: bool) -> bool {
        is_same(value, &self.on_trials[trial], approximate)
    }

    /// Its values on every network, if it is wrong.
    pub(super) async fn values(&self, solution: &Solution) -> Option<&Values> {
        let values = match self.values.get() {
            Some(values) => values,
            None => {
                let values = self.wrong_values(solution).await;
                self.values.get_or_init(|| values)
            }
        };
        values.as_ref()
    }

    async fn wrong_values(&self, solution: &Solution) -> Option<Values> {
        let expr = self.expr.as_ref()?;
        let values = evaluate_in_steps(expr, &solution.networks, &solution.letters).await;
        let is_wrong = values.error.is_none() && !values.agrees_with(&solution.values);
        is_wrong.then_some(values)
    }
}

/// The value of one trial.
pub(super) fn values_on(values: &Values, trial: Trial) -> Option<&Matrix> {
    let network = values.networks.get(trial.network)?;
    network.matrices.as_ref()?.get(trial.binding)
}

/// Three trials on batches of one size: the first and the third where the right answer has fewest zeros, so that most
/// slips show, the second where it has most, so that a mask shows.
fn trials(solution: &Solution) -> [Trial; TRIALS] {
    let samples = |trial: &Trial| solution.values.networks[trial.network].samples;
    let zeros = |trial: &Trial| {
        let value = values_on(&solution.values, *trial);
        let entries = value.into_iter().flat_map(Matrix::entries);
        entries.filter(|&&entry| entry == 0.0).count()
    };
    let networks = 0..solution.networks.len();
    let all: Vec<Trial> = networks
        .flat_map(|network| {
            let bindings = 0..solution.letters.len();
            bindings.map(move |binding| Trial { network, binding })
        })
        .collect();
    let most = all.iter().map(samples).max();
    let widest: Vec<Trial> = all
        .into_iter()
        .filter(|trial| Some(samples(trial)) == most)
        .collect();
    // From the back: the last binding has indices that differ from each other.
    let live = |other: Option<Trial>| {
        let free = widest
            .iter()
            .rev()
            .filter(|trial| other.is_none_or(|other| other.network != trial.network));
        free.min_by_key(|trial| zeros(trial)).copied()
    };
    let none = Trial {
        network: 0,
        binding: 0,
    };
    let first = live(None).unwrap_or(none);
    let third = live(Some(first)).unwrap_or(first);
    let second = widest
        .iter()
        .rev()
        .filter(|trial| **trial != first && **trial != third)
        .max_by_key(|trial| zeros(trial));
    [first, second.copied().unwrap_or(first), third]
}
