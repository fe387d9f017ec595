//! Error carried forward: an answer that is right given the student's own earlier one.

use std::collections::BTreeMap;

use super::Network;
use super::question::{Prepared, PreparedCarry};
use super::steps::pause;
use super::values::{Values, evaluate_with};
use crate::formula::{Bindings, Expr, Matrix, Symbol, evaluate};

/// A network with one gradient replaced by the student's answer for it.
struct CarriedNetwork<'n> {
    network: &'n Network,
    stands_for: Symbol,
    gradient: Matrix,
}

impl Bindings for CarriedNetwork<'_> {
    fn value(&self, symbol: Symbol) -> Option<&Matrix> {
        self.network.value(symbol)
    }

    fn depth(&self) -> usize {
        self.network.depth()
    }

    fn activation(&self, z: f64) -> f64 {
        self.network.activation(z)
    }

    fn activation_slope(&self, z: f64) -> f64 {
        self.network.activation_slope(z)
    }

    fn jacobian(&self, of: Symbol, with_respect_to: Symbol) -> Option<Matrix> {
        if (of, with_respect_to) == (Symbol::Loss, self.stands_for) {
            return Some(self.gradient.clone());
        }
        self.network.jacobian(of, with_respect_to)
    }

    fn moved(&self, symbol: Symbol, entry: usize, by: f64) -> Option<Box<dyn Bindings>> {
        self.network.moved(symbol, entry, by)
    }
}

/// Whether `values` follow from a wrong answer to an earlier question.
pub(super) async fn carried(
    prepared: &Prepared,
    values: &Values,
    earlier: &BTreeMap<&str, Expr>,
) -> bool {
    for carry in &prepared.carries {
        if let Some(answer) = earlier.get(carry.from.as_str())
            && let Some(expected) = expected(prepared, carry, answer).await
            && values.agrees_with(&expected)
        {
            return true;
        }
    }
    false
}

async fn expected(prepared: &Prepared, carry: &PreparedCarry, answer: &Expr) -> Option<Values> {
    let mut networks = Vec::with_capacity(prepared.solution.networks.len());
    for network in &prepared.solution.networks {
        let given = evaluate(answer, network, &[]).ok()?.matrix;
        if given.shape() != network.value(carry.stands_for)?.shape() {
            return None;
        }
        networks.push(CarriedNetwork {
            network,
            stands_for: carry.stands_for,
            gradient: Matrix::new(1, given.entries().len(), given.entries().to_vec()),
        });
        pause().await;
    }
    let bindings = networks.iter().map(|network| network as &dyn Bindings);
    Some(evaluate_with(&carry.formula, bindings, &prepared.solution.letters).await)
}
