//! Near misses: the single-edit changes of a question's solution.

use std::sync::OnceLock;

use super::Mistake;
use super::edit::Edits;
use super::solution::Solution;
use super::steps::pause;
use super::values::{OnNetwork, Values, evaluate_in_steps};
use crate::formula::{Expr, Memory};

/// The most nodes that the near misses of one question may copy, which bounds their memory: hundreds of times the need
/// of the homework's longest solutions.
const MAX_COPIES: usize = 1_000_000;

/// The near misses of one question, computed on the first wrong answer.
#[derive(Default)]
pub(super) struct NearMisses(OnceLock<NearMissList>);

struct NearMissList {
    /// The network on which their values are cached, so that few have to be compared on all.
    probe: usize,
    all: Vec<NearMiss>,
}

struct NearMiss {
    code: Mistake,
    expr: Expr,
    on_probe: OnNetwork,
    /// On every network; `None` if it fails on one, or is right after all.
    values: OnceLock<Option<Values>>,
}

impl NearMisses {
    /// The mistake of the first near miss with these values.
    pub(super) async fn find(&self, solution: &Solution, values: &Values) -> Option<Mistake> {
        let made = match self.0.get() {
            Some(made) => made,
            None => {
                // Two gradings that need them at once both compute them: neither can wait for the other between its
                // steps.
                let made = NearMissList::new(solution).await;
                self.0.get_or_init(|| made)
            }
        };
        let here = values.networks.get(made.probe)?;
        for miss in &made.all {
            if !here.agrees_with(&miss.on_probe) {
                continue;
            }
            let own = match miss.values.get() {
                Some(own) => own,
                None => {
                    let own = miss.wrong_values(solution).await;
                    miss.values.get_or_init(|| own)
                }
            };
            if own.as_ref().is_some_and(|own| values.agrees_with(own)) {
                return Some(miss.code);
            }
        }
        None
    }
}

impl NearMissList {
    async fn new(solution: &Solution) -> Self {
        let mut made = Self {
            probe: probe(solution),
            all: Vec::new(),
        };
        let networks = &solution.networks;
        let (Some(network), Some(first)) = (networks.get(made.probe), networks.first()) else {
            return made;
        };
        let mut formula = solution.formula.clone();
        formula.number_pieces();
        let mut memories: Vec<Memory> = Vec::new();
        memories.resize_with(solution.letters.len(), Memory::default);
        let size = formula.pieces().count();
        let mut edits = Edits::new(formula, first);
        while edits.work() + size * made.all.len() < MAX_COPIES
            && let Some(edit) = edits.advance()
        {
            let on_probe = OnNetwork::again(edit.expr, network, &solution.letters, &mut memories);
            made.all.extend(on_probe.map(|on_probe| NearMiss {
                code: edit.made,
                expr: edit.expr.clone(),
                on_probe,
                values: OnceLock::new(),
            }));
            pause().await;
        }
        made
    }
}

/// The network with the fewest zeros in the right answer, which distinguishes the most mistakes.
fn probe(solution: &Solution) -> usize {
    let networks = solution.values.networks.iter().enumerate();
    let fewest = networks.min_by_key(|(_, network)| network.zeros());
    fewest.map_or(0, |(at, _)| at)
}

impl NearMiss {
    async fn wrong_values(&self, solution: &Solution) -> Option<Values> {
        let values = evaluate_in_steps(&self.expr, &solution.networks, &solution.letters).await;
        let is_wrong = values.error.is_none() && !values.agrees_with(&solution.values);
        is_wrong.then_some(values)
    }
}
