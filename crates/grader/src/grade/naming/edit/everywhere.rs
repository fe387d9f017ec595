//! The same slip at every place of a formula: one mistake, however often it is written.

use std::sync::Arc;

use super::build::selected;
use super::change::Changes;
use super::indices::is_of_samples;
use super::masks::{inverted, is_mask, move_layers};
use crate::formula::{Expr, Index, Indices, Kind, Operator, Symbol};
use crate::grade::Mistake;

/// A formula with its pieces, for many changes to look at.
struct Pieces<'e> {
    root: &'e Expr,
    pieces: Vec<&'e Expr>,
}

impl<'e> Pieces<'e> {
    fn of(root: &'e Expr) -> Self {
        let pieces = root.pieces().collect();
        Self { root, pieces }
    }
}

impl Changes<'_> {
    pub(super) fn everywhere(&mut self, whole: &Expr) {
        let depth = self.bindings.depth();
        let whole = &Pieces::of(whole);
        if whole.pieces.iter().filter(|piece| is_mask(piece)).count() > 1 {
            self.each(Mistake::InvertedMask, whole, inverted);
            self.each(Mistake::MissingMask, whole, without_mask);
            for layer in 1..=depth {
                self.each(Mistake::WrongMaskLayer, whole, |piece| {
                    is_mask(piece).then(|| {
                        let mut moved = piece.clone();
                        move_layers(&mut moved, layer);
                        moved
                    })
                });
            }
        }
        self.letters_everywhere(whole);
        if self.is_of_batch() {
            self.samples_everywhere(whole);
        }
        self.columns_changed(whole);
        for from in 0..=depth {
            let symbol = |symbol, piece: &Expr| Some(Expr::new(Kind::Symbol(symbol), piece.span));
            self.each(Mistake::MissingMask, whole, |piece| match piece.kind {
                Kind::Symbol(Symbol::PreActivation(layer)) if layer == from => {
                    symbol(Symbol::Activation(layer), piece)
                }
                _ => None,
            });
            for to in (0..=depth).filter(|&to| to != from) {
                self.each(Mistake::WrongWeight, whole, |piece| match piece.kind {
                    Kind::Symbol(Symbol::Activation(layer)) if layer == from => {
                        symbol(Symbol::Activation(to), piece)
                    }
                    Kind::Symbol(Symbol::Weights(layer)) if layer == from => {
                        symbol(Symbol::Weights(to), piece)
                    }
                    _ => None,
                });
            }
            // W with its indices the wrong way round.
            self.each(Mistake::WrongIndex, whole, |piece| match &piece.kind {
                Kind::Select(base, Indices::Two(row, column))
                    if base.kind == Kind::Symbol(Symbol::Weights(from)) =>
                {
                    Some(reselected(base, Indices::Two(*column, *row), piece))
                }
                _ => None,
            });
        }
    }

    /// Another unit in place of one, wherever it is written.
    pub(super) fn columns_everywhere(&mut self, whole: &Expr) {
        self.columns_changed(&Pieces::of(whole));
    }

    fn columns_changed(&mut self, whole: &Pieces<'_>) {
        for (from, to) in [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)] {
            self.each(Mistake::WrongIndex, whole, |piece| match &piece.kind {
                Kind::Select(base, Indices::Two(row, column)) if *column == Index::Number(from) => {
                    let indices = Indices::Two(*row, Index::Number(to));
                    Some(reselected(base, indices, piece))
                }
                _ => None,
            });
        }
    }

    /// The first sample in place of all, or all in place of the first.
    fn samples_everywhere(&mut self, whole: &Pieces<'_>) {
        let first = Index::Number(1);
        let other = |row: Index| if row == first { Index::All } else { first };
        // What a select stands on is visited next: it is not a whole quantity.
        let change = |piece: &Expr| match &piece.kind {
            Kind::Select(base, indices) if is_of_samples(base) => match *indices {
                Indices::One(row) if [Index::All, first].contains(&row) => {
                    Some(reselected(base, Indices::One(other(row)), piece))
                }
                Indices::Two(row, column) if [Index::All, first].contains(&row) => {
                    Some(reselected(base, Indices::Two(other(row), column), piece))
                }
                _ => None,
            },
            _ => None,
        };
        self.at_least(1, Mistake::FirstSampleOnly, whole, change);
        self.make(Mistake::FirstSampleOnly, || {
            let mut changed = whole.root.clone();
            select_first(&mut changed);
            changed
        });
    }

    fn letters_everywhere(&mut self, whole: &Pieces<'_>) {
        let letters = self.place.letters.clone();
        for (at, &a) in letters.iter().enumerate() {
            let own = Index::Letter(a);
            for &b in &letters[at + 1..] {
                let swap = |index: Index| match index {
                    Index::Letter(letter) if letter == a => Index::Letter(b),
                    Index::Letter(letter) if letter == b => own,
                    other => other,
                };
                self.each(Mistake::WrongIndex, whole, |piece| {
                    with_indices(piece, swap)
                });
            }
            let letters = letters.iter().copied().map(Index::Letter);
            for to in letters.chain([1, 2].map(Index::Number)) {
                let put = |index: Index| if index == own { to } else { index };
                self.each(Mistake::WrongIndex, whole, |piece| with_indices(piece, put));
            }
        }
    }

    /// The formula with every piece changed that `change` changes, if there are several.
    fn each(
        &mut self,
        mistake: Mistake,
        whole: &Pieces<'_>,
        change: impl Fn(&Expr) -> Option<Expr>,
    ) {
        self.at_least(2, mistake, whole, change);
    }

    /// The same, if at least so many pieces are changed.
    fn at_least(
        &mut self,
        least: usize,
        mistake: Mistake,
        whole: &Pieces<'_>,
        change: impl Fn(&Expr) -> Option<Expr>,
    ) {
        // Most changes apply nowhere, and a copy costs more than to look.
        let changing = whole.pieces.iter().filter(|piece| change(piece).is_some());
        if changing.take(least).count() < least {
            return;
        }
        let mut changed = whole.root.clone();
        let mut count = 0;
        changed.for_each_piece_mut(|piece| {
            if let Some(other) = change(piece) {
                *piece = other;
                // Its parts are changed next.
                piece.number_again(0);
                count += 1;
            }
        });
        if count >= least {
            self.put(mistake, changed);
        }
    }
}

/// The first sample of each quantity that is not one sample's already.
fn select_first(expr: &mut Expr) {
    let mut open = vec![expr];
    while let Some(piece) = open.pop() {
        if is_of_samples(piece) {
            let whole = piece.clone();
            *piece = selected(whole, Index::Number(1), Index::All);
        } else if !matches!(piece.kind, Kind::Select(..)) {
            open.extend(piece.parts_mut());
        }
    }
}

/// A piece without the mask that is one of its two factors.
fn without_mask(piece: &Expr) -> Option<Expr> {
    match &piece.kind {
        Kind::Binary(Operator::Times | Operator::Hadamard, left, right) if is_mask(right) => {
            Some(Expr::clone(left))
        }
        Kind::Binary(Operator::Times | Operator::Hadamard, left, right) if is_mask(left) => {
            Some(Expr::clone(right))
        }
        _ => None,
    }
}

/// A selection of other entries.
fn reselected(base: &Arc<Expr>, indices: Indices, piece: &Expr) -> Expr {
    Expr::new(Kind::Select(Arc::clone(base), indices), piece.span)
}

fn with_indices(piece: &Expr, put: impl Fn(Index) -> Index) -> Option<Expr> {
    let Kind::Select(base, indices) = &piece.kind else {
        return None;
    };
    let changed = match *indices {
        Indices::One(index) => Indices::One(put(index)),
        Indices::Two(row, column) => Indices::Two(put(row), put(column)),
    };
    (changed != *indices).then(|| reselected(base, changed, piece))
}
