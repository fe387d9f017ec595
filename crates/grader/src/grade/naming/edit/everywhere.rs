//! The same slip at every place of a formula: one mistake, however often it is written.

use super::build::selected;
use super::change::Changes;
use super::indices::is_of_samples;
use super::masks::{invert, is_mask, move_layers};
use crate::formula::{Expr, Index, Indices, Kind, Operator, Symbol};
use crate::grade::Mistake;

impl Changes<'_> {
    pub(super) fn everywhere(&mut self, whole: &Expr) {
        let depth = self.bindings.depth();
        if whole.pieces().filter(|piece| is_mask(piece)).count() > 1 {
            self.each(Mistake::InvertedMask, whole, invert);
            self.each(Mistake::MissingMask, whole, drop_mask);
            for layer in 1..=depth {
                self.each(Mistake::WrongMaskLayer, whole, |piece| {
                    is_mask(piece) && {
                        move_layers(piece, layer);
                        true
                    }
                });
            }
        }
        self.letters_everywhere(whole);
        if self.is_of_batch() {
            self.samples_everywhere(whole);
        }
        self.columns_everywhere(whole);
        for from in 0..=depth {
            self.each(Mistake::MissingMask, whole, |piece| {
                let is_z = piece.kind == Kind::Symbol(Symbol::PreActivation(from));
                if is_z {
                    piece.kind = Kind::Symbol(Symbol::Activation(from));
                }
                is_z
            });
            for to in (0..=depth).filter(|&to| to != from) {
                self.each(Mistake::WrongWeight, whole, |piece| match &mut piece.kind {
                    Kind::Symbol(Symbol::Activation(layer) | Symbol::Weights(layer)) => {
                        replace(layer, from, to)
                    }
                    _ => false,
                });
            }
            // W with its indices the wrong way round.
            self.each(Mistake::WrongIndex, whole, |piece| match &mut piece.kind {
                Kind::Select(base, Indices::Two(row, column))
                    if base.kind == Kind::Symbol(Symbol::Weights(from)) =>
                {
                    std::mem::swap(row, column);
                    true
                }
                _ => false,
            });
        }
    }

    /// Another unit in place of one, wherever it is written.
    pub(super) fn columns_everywhere(&mut self, whole: &Expr) {
        for (from, to) in [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)] {
            self.each(Mistake::WrongIndex, whole, |piece| match &mut piece.kind {
                Kind::Select(_, Indices::Two(_, column)) => {
                    replace(column, Index::Number(from), Index::Number(to))
                }
                _ => false,
            });
        }
    }

    /// The first sample in place of all, or all in place of the first.
    fn samples_everywhere(&mut self, whole: &Expr) {
        let first = Index::Number(1);
        let mut changed = whole.clone();
        let mut count = 0;
        changed.for_each_piece_mut(|piece| match &mut piece.kind {
            // What a select stands on is visited next: it is not a whole quantity.
            Kind::Select(base, Indices::One(row) | Indices::Two(row, _))
                if is_of_samples(base) && [Index::All, first].contains(row) =>
            {
                *row = if *row == first { Index::All } else { first };
                count += 1;
            }
            _ => {}
        });
        if count > 0 {
            self.put(Mistake::FirstSampleOnly, changed);
        }
        self.make(Mistake::FirstSampleOnly, || {
            let mut changed = whole.clone();
            select_first(&mut changed);
            changed
        });
    }

    fn letters_everywhere(&mut self, whole: &Expr) {
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
                    change_indices(piece, swap)
                });
            }
            let letters = letters.iter().copied().map(Index::Letter);
            for to in letters.chain([1, 2].map(Index::Number)) {
                let put = |index: Index| if index == own { to } else { index };
                self.each(Mistake::WrongIndex, whole, |piece| {
                    change_indices(piece, put)
                });
            }
        }
    }

    /// The formula with every piece changed that `change` applies to, if there are several.
    fn each(&mut self, mistake: Mistake, whole: &Expr, mut change: impl FnMut(&mut Expr) -> bool) {
        let mut changed = whole.clone();
        let mut count = 0;
        changed.for_each_piece_mut(|piece| count += usize::from(change(piece)));
        if count > 1 {
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

fn replace<V: PartialEq>(place: &mut V, from: V, to: V) -> bool {
    let is_there = *place == from;
    if is_there {
        *place = to;
    }
    is_there
}

fn drop_mask(piece: &mut Expr) -> bool {
    let Kind::Binary(Operator::Times | Operator::Hadamard, left, right) = &mut piece.kind else {
        return false;
    };
    let kept = if is_mask(right) {
        left
    } else if is_mask(left) {
        right
    } else {
        return false;
    };
    let kept = std::mem::replace(&mut **kept, Expr::new(Kind::Number(0.0), piece.span));
    *piece = kept;
    // Its parts are changed next.
    piece.number_again(0);
    true
}

fn change_indices(piece: &mut Expr, put: impl Fn(Index) -> Index) -> bool {
    let Kind::Select(_, indices) = &mut piece.kind else {
        return false;
    };
    let before = indices.clone();
    match indices {
        Indices::One(index) => *index = put(*index),
        Indices::Two(row, column) => (*row, *column) = (put(*row), put(*column)),
    }
    before != *indices
}
