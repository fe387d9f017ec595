//! Names the mistake of a wrong formula, or its two mistakes.
//!
//! An answer is compared with the assignment's own mistakes and with every single-edit change of the solution
//! ([`near_miss`]), then every single-edit change of the answer with the solution ([`search`]). Two mistakes at once are
//! a change of the answer that leaves a near miss, or a near miss under a sign, a factor or a transpose ([`scale`]). Of
//! several names that fit, the simplest is chosen ([`weight`]); that an answer fits one is checked on every network.

pub(super) mod at_numbers;
pub(super) mod candidates;
mod edit;
mod near_miss;
mod prints;
mod scale;
mod search;
mod weight;

use candidates::WRITTEN_OUT;
use scale::Mistakes;
use search::{Limits, search};
use weight::weight;

use super::Mistake;
use super::question::Prepared;
use super::solution::Solution;
use super::values::Values;
use crate::formula::{Expr, Fault, Index, Indices, Kind, Symbol};

pub(super) use edit::{Edits, Side};
pub(super) use near_miss::NearMisses;

/// The work limit of the search for the edit that corrects an answer, in entries computed on one network. It bounds the
/// time to a verdict for any input; the homework's longest answers need a tenth of it.
const MAX_EDIT_WORK: usize = 400_000;

/// One mistake, or two that were made at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// The main one first; never empty.
    pub(super) mistakes: Mistakes,
    /// The index of the assignment's own mistake whose values the answer has.
    pub(super) listed: Option<usize>,
}

impl Name {
    fn one(mistake: Mistake) -> Self {
        Self {
            mistakes: Mistakes::from_slice(&[mistake]),
            listed: None,
        }
    }

    fn two(first: Mistake, second: Mistake) -> Self {
        // The right mask left out and another one put in is one mistake.
        let is_moved = [first, second].contains(&Mistake::MissingMask)
            && [first, second].contains(&Mistake::WrongMaskLayer);
        if is_moved {
            return Self::one(Mistake::WrongMaskLayer);
        }
        let mut name = Self::one(first);
        name.mistakes.push(second);
        name
    }

    fn of(mistakes: Mistakes) -> Option<Self> {
        (1..=2).contains(&mistakes.len()).then_some(Self {
            mistakes,
            listed: None,
        })
    }

    /// How far-fetched it is: the sum of the weights of its mistakes.
    pub(super) fn weight(&self) -> u32 {
        self.mistakes.iter().map(|&mistake| weight(mistake)).sum()
    }
}

/// The networks on which an answer is named.
struct Ground<'p> {
    solution: &'p Solution,
    near_misses: &'p NearMisses,
    prepared: &'p Prepared,
    /// The question's own indices.
    free: &'p [char],
    /// The only batch size that counts.
    samples: Option<usize>,
}

impl<'p> Ground<'p> {
    fn new(prepared: &'p Prepared) -> Self {
        Self {
            solution: &prepared.solution,
            near_misses: &prepared.candidates.all,
            prepared,
            free: &prepared.question.free,
            samples: None,
        }
    }

    async fn list(&self) -> &'p near_miss::NearMissList {
        let listed = || self.listed();
        self.near_misses
            .list(self.solution, listed, self.free)
            .await
    }

    /// The assignment's own mistakes.
    fn listed(&self) -> Vec<(Mistake, Values)> {
        let mut listed = self.prepared.listed_values();
        if let Some(samples) = self.samples {
            for (_, values) in &mut listed {
                *values = values.of_size(&self.prepared.solution.values, samples);
            }
        }
        listed
    }
}

/// The name of the mistakes in `answer`, which has these values and is wrong, on sampled networks.
pub(super) async fn name(prepared: &Prepared, answer: &Expr, values: &Values) -> Option<Name> {
    if let Some(error) = &values.error {
        match error.fault {
            Fault::UnboundIndex => return Some(Name::one(Mistake::UnboundIndex)),
            Fault::TooLarge => return None,
            _ => {}
        }
    } else if let Some(at) = prepared.listed(values) {
        return Some(Name {
            listed: Some(at),
            ..Name::one(prepared.listed_mistake(at))
        });
    }
    // What holds no quantity, such as 0, cannot be corrected, only replaced.
    let has_symbol = |piece: &Expr| matches!(piece.kind, Kind::Symbol(_) | Kind::Derivative(..));
    if !answer.pieces().any(has_symbol) {
        return near_miss_alone(prepared, values).await;
    }
    let ground = Ground::new(prepared);
    let mut found = name_on(&ground, answer, values).await;
    if found.is_none() && values.error.is_none() && !values.is_all_zero() {
        if values.has_entries_of(&prepared.solution.values) {
            found = Some(Name::one(Mistake::WrongIndex));
        } else if is_cases(answer) {
            found = Some(Name::one(Mistake::WrongActivation));
        }
    }
    if found.is_some() || !is_for_two(answer, values, &prepared.solution.values) {
        return found;
    }
    let pair = prepared.candidates.of_two(&prepared.solution)?;
    let ground = Ground {
        solution: &pair.solution,
        near_misses: &pair.near_misses,
        samples: Some(WRITTEN_OUT),
        ..ground
    };
    let values = values.of_size(&prepared.solution.values, WRITTEN_OUT);
    let mut name = name_on(&ground, answer, &values).await?;
    if name.mistakes.len() == 1 && name.mistakes[0] != Mistake::HardcodedBatchSize {
        name.mistakes.push(Mistake::HardcodedBatchSize);
    }
    Some(name)
}

async fn near_miss_alone(prepared: &Prepared, values: &Values) -> Option<Name> {
    let list = Ground::new(prepared).list().await;
    let is_constant = values.error.is_none() && !values.is_all_zero();
    let exact = if is_constant {
        exact(list, &prepared.solution, values).await
    } else {
        None
    };
    exact.map(|(_, name)| name)
}

async fn name_on(ground: &Ground<'_>, answer: &Expr, values: &Values) -> Option<Name> {
    let list = ground.list().await;
    let evaluates = values.error.is_none();
    let is_zero = evaluates && values.is_all_zero();
    let mut best: Option<(u32, Name)> = None;
    let wrt = ground.prepared.question.wrt.as_deref();
    let of_bias = wrt.is_some_and(|wrt| wrt.starts_with('b'));
    if of_bias && evaluates && values.is_unsummed(&ground.solution.values) {
        return Some(Name::one(Mistake::BiasNotSummed));
    }
    if evaluates && !is_zero {
        best = exact(list, ground.solution, values).await;
        if let Some(mistakes) = scale::factors(values, &ground.solution.values)
            && let Some(name) = Name::of(mistakes)
        {
            best = lighter(best, name);
        }
    }
    if best.as_ref().is_none_or(|(weight, _)| *weight > 2) {
        let limits = Limits {
            work: MAX_EDIT_WORK,
            evaluates,
            masks_only: is_zero,
            pairs: best.is_none() && !is_zero,
        };
        let found = search((ground.solution, ground.free), list, answer, limits).await;
        if let Some((_, mistake)) = found.single {
            best = lighter(best, Name::one(mistake));
        }
        if best.is_none()
            && let Some((_, left, corrected)) = found.pair
        {
            best = lighter(best, Name::two(left, corrected));
        }
    }
    if evaluates
        && !is_zero
        && best
            .as_ref()
            .is_none_or(|(_, name)| name.mistakes.len() > 1)
    {
        if values.is_unsummed(&ground.solution.values) {
            return Some(Name::one(Mistake::BiasNotSummed));
        }
        if let Some(name) = transformed(list, ground.solution, values).await {
            best = lighter(best, name);
        }
    }
    best.map(|(_, name)| name)
}

/// The lighter of two names, the first of equal ones.
fn lighter(best: Option<(u32, Name)>, name: Name) -> Option<(u32, Name)> {
    let weight = name.weight();
    match best {
        Some((own, best)) if own <= weight => Some((own, best)),
        _ => Some((weight, name)),
    }
}

/// The near miss that has these values.
async fn exact(
    list: &near_miss::NearMissList,
    solution: &Solution,
    values: &Values,
) -> Option<(u32, Name)> {
    let [first, second, third] = list
        .trials()
        .map(|trial| near_miss::values_on(values, trial));
    let (first, second, third) = (first?, second?, third?);
    let approximate = values.is_approximate();
    for at in list.like(first, approximate) {
        let miss = &list.all[at];
        if miss.has(1, second, approximate)
            && miss.has(2, third, approximate)
            && let Some(wrong) = miss.values(solution).await
            && values.agrees_with(wrong)
        {
            let name = Name {
                listed: miss.listed,
                ..Name::one(miss.mistake)
            };
            return Some((name.weight(), name));
        }
    }
    None
}

/// A near miss, or the solution, under a transpose, a sign or a factor: two mistakes at once.
async fn transformed(
    list: &near_miss::NearMissList,
    solution: &Solution,
    values: &Values,
) -> Option<Name> {
    /// The most near misses to compare on every network.
    const MOST_COMPARED: usize = 32;
    let mut best: Option<(u32, Name)> = None;
    for is_turned in [false, true] {
        let turned = values.transposed();
        let values = if is_turned { &turned } else { values };
        let mut mistakes = Mistakes::new();
        if is_turned {
            mistakes.push(Mistake::TransposedResult);
            if let Some(factors) = scale::factors(values, &solution.values) {
                mistakes.extend(factors);
                if let Some(name) = Name::of(mistakes.clone()) {
                    best = lighter(best, name);
                }
                mistakes.truncate(1);
            }
        }
        let [first, _, third] = list
            .trials()
            .map(|trial| near_miss::values_on(values, trial));
        let (Some(first), Some(third)) = (first, third) else {
            continue;
        };
        for at in list.multiples(first, third).into_iter().take(MOST_COMPARED) {
            let miss = &list.all[at];
            let least = weight(miss.mistake) + 2;
            if best.as_ref().is_some_and(|(best, _)| *best <= least) {
                continue;
            }
            if let Some(wrong) = miss.values(solution).await
                && let Some(factors) = scale::factors(values, wrong)
            {
                let mut all = Mistakes::from_slice(&[miss.mistake]);
                all.extend(mistakes.iter().copied());
                all.extend(factors);
                all.dedup();
                if all.len() > 1
                    && let Some(name) = Name::of(all)
                {
                    best = lighter(best, name);
                }
            }
        }
    }
    best.map(|(_, name)| name)
}

/// Whether an answer gives a slope case by case.
fn is_cases(answer: &Expr) -> bool {
    matches!(answer.kind, Kind::Cases(_))
}

/// Whether an answer to a question about a batch is written out for two samples.
fn is_for_two(answer: &Expr, values: &Values, right: &Values) -> bool {
    let is_of_batch = right
        .networks
        .iter()
        .any(|network| network.samples > WRITTEN_OUT);
    if !is_of_batch || !answer.is_written_out() {
        return false;
    }
    let fits = |(given, right): (&super::values::OnNetwork, &super::values::OnNetwork)| {
        given.matrices.is_some() && right.samples == WRITTEN_OUT
    };
    let largest_row = answer.pieces().filter_map(|piece| match &piece.kind {
        Kind::Select(
            base,
            Indices::One(Index::Number(row)) | Indices::Two(Index::Number(row), _),
        ) if !matches!(base.kind, Kind::Symbol(Symbol::Weights(_))) => Some(*row),
        _ => None,
    });
    largest_row.max() == Some(WRITTEN_OUT) && values.networks.iter().zip(&right.networks).any(fits)
}
