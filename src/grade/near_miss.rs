//! What somebody who slipped once would have answered: the one-edit changes of a question's solution.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use super::Mistake;
use super::edit::try_edits;
use super::question::Prepared;
use super::values::{OnNetwork, Values, evaluate_on};
use crate::formula::{Expr, Memory};

/// The near misses of one question, made when the first wrong answer asks for them.
#[derive(Default)]
pub(super) struct NearMisses(OnceLock<Made>);

struct Made {
    /// On which network their values are known, so that few have to be compared on all.
    probe: usize,
    all: Vec<NearMiss>,
}

struct NearMiss {
    code: Mistake,
    expr: Expr,
    on_probe: OnNetwork,
    /// On every network; `None` where it fails on one, or is right after all.
    values: OnceLock<Option<Values>>,
}

impl NearMisses {
    /// The mistake of the first one that has these values.
    pub(super) fn find(&self, prepared: &Prepared, values: &Values) -> Option<Mistake> {
        let made = self.0.get_or_init(|| Made::new(prepared));
        let here = values.networks.get(made.probe)?;
        let found = made
            .all
            .iter()
            .filter(|miss| here.agrees_with(&miss.on_probe))
            .find(|miss| {
                let own = miss.values.get_or_init(|| miss.wrong_values(prepared));
                own.as_ref().is_some_and(|own| values.agrees_with(own))
            });
        Some(found?.code)
    }
}

impl Made {
    fn new(prepared: &Prepared) -> Self {
        let mut made = Self {
            probe: probe(prepared),
            all: Vec::new(),
        };
        let networks = &prepared.networks;
        let (Some(network), Some(first)) = (networks.get(made.probe), networks.first()) else {
            return made;
        };
        let mut solution = prepared.solution.clone();
        solution.number_pieces();
        let mut memories: Vec<Memory> = Vec::new();
        memories.resize_with(prepared.letters.len(), Memory::default);
        try_edits(solution, first, &mut |code, _, expr| {
            let on_probe = OnNetwork::again(expr, network, &prepared.letters, &mut memories);
            made.all.extend(on_probe.map(|on_probe| NearMiss {
                code,
                expr: expr.clone(),
                on_probe,
                values: OnceLock::new(),
            }));
            ControlFlow::Continue(())
        });
        made
    }
}

/// The network with the fewest zeros in the right answer, where wrong ones show the most.
fn probe(prepared: &Prepared) -> usize {
    let networks = prepared.reference.networks.iter().enumerate();
    let fewest = networks.min_by_key(|(_, network)| network.zeros());
    fewest.map_or(0, |(at, _)| at)
}

impl NearMiss {
    fn wrong_values(&self, prepared: &Prepared) -> Option<Values> {
        let values = evaluate_on(&self.expr, &prepared.networks, &prepared.letters);
        let is_wrong = values.error.is_none() && !values.agrees_with(&prepared.reference);
        is_wrong.then_some(values)
    }
}
