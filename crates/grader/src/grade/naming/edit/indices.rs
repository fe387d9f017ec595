//! Changes of indices, and of the quantity that they pick an entry of.

use std::sync::Arc;

use super::build::{selected, symbol};
use super::change::{Changes, Side};
use crate::formula::{Expr, Index, Indices, Kind, Matrix, Symbol};
use crate::grade::Mistake;

/// The most numbers to try as an index.
const MOST_NUMBERS: usize = 6;

impl Changes<'_> {
    pub(super) fn index_changes(&mut self, base: &Expr, indices: &Indices, whole: &Expr) {
        let shape = match base.kind {
            Kind::Symbol(symbol) => self.bindings.value(symbol).map(Matrix::shape),
            _ => None,
        };
        let (rows, columns) = shape.unwrap_or((3, 3));
        let letters = self.place.letters.clone();
        let others = |index: Index, length: usize| {
            let numbers = (1..=length.min(MOST_NUMBERS)).map(Index::Number);
            let letters = letters.iter().copied().map(Index::Letter);
            let all = numbers.chain(letters).chain([Index::All]);
            all.filter(move |other| *other != index).collect::<Vec<_>>()
        };
        let of_samples = self.is_of_batch() && is_of_samples(base);
        let mut put = |changed: Indices| {
            // All samples for one of them, or one for all.
            let mistake = match (row_of(&changed), row_of(indices)) {
                (Index::All, Index::Number(_)) | (Index::Number(_), Index::All) if of_samples => {
                    Mistake::FirstSampleOnly
                }
                _ => Mistake::WrongIndex,
            };
            let changed = Expr::new(Kind::Select(Arc::new(base.clone()), changed), whole.span);
            self.put(mistake, changed);
        };
        match *indices {
            Indices::One(index) => {
                for other in others(index, rows.max(columns)) {
                    put(Indices::One(other));
                }
            }
            Indices::Two(row, column) => {
                if row != column {
                    put(Indices::Two(column, row));
                }
                for other in others(row, rows) {
                    put(Indices::Two(other, column));
                }
                for other in others(column, columns) {
                    put(Indices::Two(row, other));
                }
            }
        }
    }

    /// An entry of W where one of h belongs, and the other way round.
    pub(super) fn entry_changes(&mut self, base: &Expr, indices: &Indices) {
        let Kind::Symbol(own) = base.kind else { return };
        let Indices::Two(row, column) = *indices else {
            return;
        };
        let of = |quantity: Symbol| symbol(quantity, base);
        let first = Index::Number(1);
        match own {
            Symbol::Weights(layer) if layer > 0 => {
                let below = Symbol::Activation(layer - 1);
                self.put(Mistake::WrongWeight, selected(of(below), first, column));
                let own = Symbol::Activation(layer);
                self.put(Mistake::WrongWeight, selected(of(own), first, row));
                self.entries_of_others(Symbol::Weights, (1, layer), base);
            }
            Symbol::Activation(layer) if self.side == Side::Solution => {
                if layer < self.bindings.depth() {
                    let above = Symbol::Weights(layer + 1);
                    for row in self.units() {
                        self.put(Mistake::WrongWeight, selected(of(above), row, column));
                    }
                }
                if layer > 0 {
                    let own = Symbol::Weights(layer);
                    self.put(Mistake::WrongWeight, selected(of(own), column, first));
                }
                for other in (0..=self.bindings.depth()).filter(|&other| other != layer) {
                    for unit in self.units() {
                        let h = of(Symbol::Activation(other));
                        self.put(Mistake::WrongWeight, selected(h, row, unit));
                    }
                }
            }
            Symbol::Activation(layer) if layer < self.bindings.depth() => {
                let above = Symbol::Weights(layer + 1);
                self.put(Mistake::WrongWeight, selected(of(above), first, column));
            }
            _ => {}
        }
    }

    /// The entries of the other layers' quantities at every pair of indices in reach.
    fn entries_of_others(
        &mut self,
        quantity: impl Fn(usize) -> Symbol,
        (lowest, layer): (usize, usize),
        base: &Expr,
    ) {
        if self.side != Side::Solution {
            return;
        }
        for other in (lowest..=self.bindings.depth()).filter(|&other| other != layer) {
            for row in self.units() {
                for column in self.units() {
                    let entry = selected(symbol(quantity(other), base), row, column);
                    self.put(Mistake::WrongWeight, entry);
                }
            }
        }
    }

    /// 1 and the letters in reach, as indices.
    pub(super) fn units(&self) -> Vec<Index> {
        let letters = self.place.letters.iter().copied().map(Index::Letter);
        letters.chain([Index::Number(1)]).collect()
    }
}

/// Whether the rows of a quantity are samples.
pub(super) fn is_of_samples(base: &Expr) -> bool {
    matches!(
        base.kind,
        Kind::Symbol(
            Symbol::PreActivation(_)
                | Symbol::Activation(_)
                | Symbol::Targets
                | Symbol::Delta
                | Symbol::SampleLoss
        )
    )
}

fn row_of(indices: &Indices) -> Index {
    match indices {
        Indices::One(row) | Indices::Two(row, _) => *row,
    }
}
