//! Changes of quantities: of another layer, or another quantity.

use std::sync::Arc;

use super::build::{binary, number, symbol};
use super::change::Changes;
use crate::formula::{Expr, Kind, Operator, Symbol};
use crate::grade::Mistake;

impl Changes<'_> {
    pub(super) fn symbol_changes(&mut self, own: Symbol, whole: &Expr) {
        let depth = self.bindings.depth();
        let of = |quantity: Symbol| symbol(quantity, whole);
        match own {
            Symbol::Weights(layer) => {
                for other in (1..=depth).filter(|&other| other != layer) {
                    self.put(Mistake::WrongWeight, of(Symbol::Weights(other)));
                }
                if let Some(below) = layer.checked_sub(1) {
                    self.put(Mistake::WrongWeight, of(Symbol::Activation(below)));
                }
                self.correct(Mistake::WeightDropped, || {
                    binary(Operator::Times, &of(Symbol::Delta), whole)
                });
            }
            Symbol::Activation(layer) => {
                for other in (0..=depth).filter(|&other| other != layer) {
                    self.put(Mistake::WrongWeight, of(Symbol::Activation(other)));
                }
                if layer > 0 {
                    let z = of(Symbol::PreActivation(layer));
                    self.put_by_side(Mistake::MissingMask, Mistake::WrongWeight, z);
                }
                if layer < depth {
                    self.put(Mistake::WrongWeight, of(Symbol::Weights(layer + 1)));
                }
            }
            Symbol::PreActivation(layer) => {
                self.correct(Mistake::MissingMask, || of(Symbol::Activation(layer)));
            }
            Symbol::Delta => {
                self.masked_delta(whole);
                self.correct(Mistake::WeightDropped, || {
                    binary(Operator::Times, whole, &of(Symbol::Weights(depth)))
                });
                self.make(Mistake::WrongWeight, || of(Symbol::Activation(depth)));
                self.make(Mistake::WrongWeight, || of(Symbol::Targets));
                // δ twice, as the loss itself in place of its derivative has it.
                self.make(Mistake::WrongWeight, || {
                    binary(Operator::Hadamard, whole, whole)
                });
            }
            Symbol::BatchSize if self.is_of_batch() => {
                self.put(Mistake::HardcodedBatchSize, number(2.0, whole));
            }
            _ => {}
        }
    }

    /// ∂l/∂h of another layer.
    pub(super) fn derivative_changes(&mut self, of: &Expr, by: &Expr, whole: &Expr) {
        if let Kind::Symbol(Symbol::Activation(layer)) = by.kind {
            for other in (0..=self.bindings.depth()).filter(|&other| other != layer) {
                let by = symbol(Symbol::Activation(other), by);
                let kind = Kind::Derivative(Arc::new(of.clone()), Arc::new(by));
                self.put(Mistake::WrongWeight, Expr::new(kind, whole.span));
            }
        }
    }
}
