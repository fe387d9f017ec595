//! The values of a network's symbols in an array, because formulas look them up by the thousand.

use crate::formula::{Matrix, Symbol};

/// The most constants of an assignment.
pub(in crate::grade) const MAX_CONSTANTS: usize = 8;
/// Symbols of the network as a whole.
const OF_NETWORK: usize = 6 + MAX_CONSTANTS;
/// Symbols of each layer.
const OF_LAYER: usize = 5;

/// A value for each symbol that the network has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quantities(Vec<Option<Matrix>>);

impl Quantities {
    pub(super) fn get(&self, symbol: Symbol) -> Option<&Matrix> {
        self.0.get(place(symbol)).and_then(Option::as_ref)
    }

    pub(super) fn get_mut(&mut self, symbol: Symbol) -> Option<&mut Matrix> {
        self.0.get_mut(place(symbol)).and_then(Option::as_mut)
    }

    /// Only for symbols that the network has, because it allocates a slot for each one before it.
    pub(super) fn insert(&mut self, symbol: Symbol, value: Matrix) {
        let place = place(symbol);
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some(value);
    }
}

/// Saturates, because formulas may name layers of any number.
fn place(symbol: Symbol) -> usize {
    let of_layer = |layer: usize, kind: usize| {
        let before = layer.saturating_mul(OF_LAYER);
        before.saturating_add(OF_NETWORK + kind)
    };
    match symbol {
        Symbol::Targets => 0,
        Symbol::Delta => 1,
        Symbol::Loss => 2,
        Symbol::SampleLoss => 3,
        Symbol::BatchSize => 4,
        Symbol::Argument => 5,
        Symbol::Weights(layer) => of_layer(layer, 0),
        Symbol::Bias(layer) => of_layer(layer, 1),
        Symbol::PreActivation(layer) => of_layer(layer, 2),
        Symbol::Activation(layer) => of_layer(layer, 3),
        Symbol::Units(layer) => of_layer(layer, 4),
        Symbol::Constant(at) if at < MAX_CONSTANTS => 6 + at,
        Symbol::Constant(_) => usize::MAX,
    }
}
