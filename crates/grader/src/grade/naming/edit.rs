//! Single-edit changes of a formula, each with the mistake that it represents.

mod build;
mod change;
mod everywhere;
mod indices;
mod masks;
mod products;
mod rows;
mod sums;
mod symbols;

use std::sync::Arc;
use std::{mem, vec};

pub(in crate::grade) use change::Side;

use build::{binary, number, symbol};
use change::{Change, Changes, Inside, Letters, Place};
use masks::{is_mask, is_mask_itself};

use crate::formula::{Bindings, Expr, Kind, Operator, Symbol};
use crate::grade::Mistake;

/// Larger formulas are not changed at several places at once.
const MOST_CHANGED_EVERYWHERE: usize = 150;

/// A formula that differs from another in one place.
#[derive(Clone, Copy, Debug)]
pub(in crate::grade) struct Edit<'e> {
    /// The mistake of the changed formula, if a solution was changed; of the original, if the change corrects it.
    pub(in crate::grade) mistake: Mistake,
    /// The changed formula.
    pub(in crate::grade) expr: &'e Expr,
}

/// Iterates over the single-edit changes of a formula, those at its root first. The formula is edited in place, so that
/// unchanged parts keep the numbers under which their values are cached. The walk has an explicit stack, because a
/// formula may have a thousand factors.
pub(in crate::grade) struct Edits<'b> {
    whole: Expr,
    side: Side,
    bindings: &'b dyn Bindings,
    /// The nodes from the root to the one being changed.
    path: Vec<Piece>,
    /// Whether the changes that create a new root are done.
    in_formula: bool,
    work: usize,
}

/// A node on the path from the root to the one being changed.
struct Piece {
    /// Its index among its parent's parts.
    at: usize,
    place: Place,
    number: u32,
    parts: usize,
    /// The next of its parts to visit.
    next: usize,
    changes: vec::IntoIter<Change>,
    /// The original node, while a change replaces it.
    original: Option<Expr>,
}

impl<'b> Edits<'b> {
    /// The changes of `expr`, in which the letters of `free` have values.
    pub(in crate::grade) fn new(
        expr: Expr,
        side: Side,
        free: &[char],
        bindings: &'b dyn Bindings,
    ) -> Self {
        let place = Place {
            inside: Inside::Formula,
            is_factor: false,
            is_base: false,
            is_entry: false,
            letters: Letters::from_slice(free),
            free: free.len(),
        };
        let mut changes = Changes {
            side,
            place: &place,
            bindings,
            found: Vec::new(),
        };
        changes.root_changes(&expr);
        let changes = changes.found;
        let work = expr.pieces().count() * changes.len();
        let root = Piece {
            at: 0,
            place,
            number: expr.number(),
            parts: 0,
            next: 0,
            changes: changes.into_iter(),
            original: None,
        };
        Self {
            whole: expr,
            side,
            bindings,
            path: vec![root],
            in_formula: false,
            work,
        }
    }

    /// The next change, or `None` at the end.
    pub(in crate::grade) fn advance(&mut self) -> Option<Edit<'_>> {
        loop {
            let piece = self.path.last_mut()?;
            if let Some((mistake, changed)) = piece.changes.next() {
                self.replace(changed);
                return Some(Edit {
                    mistake,
                    expr: &self.whole,
                });
            }
            self.restore();
            let piece = self.path.last_mut()?;
            if piece.next < piece.parts {
                let at = piece.next;
                piece.next += 1;
                self.enter(at);
            } else {
                self.leave();
            }
        }
    }

    /// The number of nodes copied and visited so far.
    pub(in crate::grade) fn work(&self) -> usize {
        self.work
    }

    /// The original formula, once all changes are done.
    #[cfg(test)]
    pub(super) fn into_formula(self) -> Expr {
        self.whole
    }

    /// Replaces the current node by a change.
    fn replace(&mut self, changed: Expr) {
        self.work += self.path.len();
        if let Some(place) = piece_mut(&mut self.whole, &self.path) {
            let before = mem::replace(place, changed);
            if let Some(piece) = self.path.last_mut() {
                piece.original.get_or_insert(before);
            }
        }
    }

    /// Restores the current node.
    fn restore(&mut self) {
        let original = self.path.last_mut().and_then(|piece| piece.original.take());
        if let Some(original) = original
            && let Some(place) = piece_mut(&mut self.whole, &self.path)
        {
            *place = original;
        }
    }

    /// Descends to a part of the current node.
    fn enter(&mut self, at: usize) {
        let Some(above) = self.path.last() else {
            return;
        };
        let mut place = above.place.clone();
        let Some(here) = piece_of(&self.whole, &self.path) else {
            return;
        };
        if is_mask_itself(here) {
            place.inside = Inside::Mask;
        }
        place.is_entry = matches!(here.kind, Kind::Rows(_));
        place.is_base = matches!(here.kind, Kind::Select(..));
        place.is_factor = match &here.kind {
            Kind::Binary(Operator::Times | Operator::Hadamard, ..) | Kind::Negate(_) => true,
            Kind::Binary(Operator::Divide, ..) => at == 0,
            _ => false,
        };
        match here.kind {
            Kind::Sum(letter, ..) | Kind::Stack(letter, ..) if !place.letters.contains(&letter) => {
                place.letters.push(letter);
            }
            _ => {}
        }
        if let Some(part) = here.part(at) {
            let (piece, work) = piece(part, at, place, (self.side, self.bindings));
            self.work += work + self.path.len();
            self.path.push(piece);
        }
    }

    /// Returns to the parent of the current node, all of whose parts are restored.
    fn leave(&mut self) {
        if !self.in_formula {
            self.in_formula = true;
            let Some(root) = self.path.pop() else { return };
            let (root, work) = piece(&self.whole, 0, root.place, (self.side, self.bindings));
            self.work += work;
            self.path.push(root);
            return;
        }
        if let Some(piece) = self.path.last()
            && let number = piece.number
            && let Some(place) = piece_mut(&mut self.whole, &self.path)
        {
            place.number_again(number);
        }
        self.path.pop();
    }
}

/// A node, which is the part `at` of its parent, and the number of nodes that its changes copy.
fn piece(
    expr: &Expr,
    at: usize,
    place: Place,
    (side, bindings): (Side, &dyn Bindings),
) -> (Piece, usize) {
    let mut changes = Changes {
        side,
        place: &place,
        bindings,
        found: Vec::new(),
    };
    match place.inside {
        Inside::Formula => changes.changes(expr),
        Inside::Mask => {
            if let Kind::Select(base, indices) = &expr.kind {
                changes.index_changes(base, indices, expr);
            }
        }
    }
    let changes = changes.found;
    let work = expr.pieces().count() * (1 + changes.len());
    let piece = Piece {
        at,
        place,
        number: expr.number(),
        parts: expr.part_count(),
        next: 0,
        changes: changes.into_iter(),
        original: None,
    };
    (piece, work)
}

fn piece_of<'e>(whole: &'e Expr, path: &[Piece]) -> Option<&'e Expr> {
    let mut below_root = path.iter().skip(1);
    below_root.try_fold(whole, |piece, step| piece.part(step.at))
}

/// The node at the end of the path, to be changed; the nodes above it lose their numbers.
fn piece_mut<'e>(whole: &'e mut Expr, path: &[Piece]) -> Option<&'e mut Expr> {
    let mut below_root = path.iter().skip(1);
    below_root.try_fold(whole, |piece, step| piece.part_mut(step.at))
}

impl Changes<'_> {
    /// The changes of a whole formula.
    fn root_changes(&mut self, whole: &Expr) {
        let m = symbol(Symbol::BatchSize, whole);
        self.put(Mistake::TransposedResult, whole.clone().transposed());
        let negated = Expr::new(Kind::Negate(Arc::new(whole.clone())), whole.span);
        self.put(Mistake::SignFlipped, negated);
        let (missing, double) = (Mistake::MissingBatchMean, Mistake::DoubleBatchMean);
        if self.is_of_batch() {
            let times = binary(Operator::Times, &m, whole);
            self.put_by_side(missing, double, times);
            let divided = binary(Operator::Divide, whole, &m);
            self.put_by_side(double, missing, divided);
        }
        for factor in [2.0, 0.5] {
            let scaled = binary(Operator::Times, &number(factor, whole), whole);
            self.put(Mistake::ConstantFactor, scaled);
        }
        let delta = symbol(Symbol::Delta, whole);
        self.correct(Mistake::WeightDropped, || {
            binary(Operator::Times, &delta, whole)
        });
        if whole.pieces().count() <= MOST_CHANGED_EVERYWHERE {
            self.everywhere(whole);
            self.summed(whole);
        }
    }

    /// The changes of a node.
    fn changes(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Transpose(inner) => {
                self.put(Mistake::MissingTranspose, Expr::clone(inner));
                if let Kind::Binary(Operator::Times, a, b) = &inner.kind {
                    let (a, b) = (Expr::clone(a).transposed(), Expr::clone(b).transposed());
                    let product = binary(Operator::Times, &a, &b);
                    self.put(Mistake::OperandOrder, product);
                }
            }
            Kind::Negate(inner) => self.put(Mistake::SignFlipped, Expr::clone(inner)),
            Kind::Binary(operator, left, right) => {
                self.binary_changes(*operator, left, right, expr);
            }
            Kind::Select(base, indices) => {
                self.index_changes(base, indices, expr);
                self.entry_changes(base, indices);
            }
            Kind::Symbol(symbol) => self.symbol_changes(*symbol, expr),
            Kind::Derivative(of, by) => self.derivative_changes(of, by, expr),
            Kind::Sum(letter, range, body) => self.sum_changes(*letter, range.as_ref(), body),
            Kind::Rows(rows) => self.row_changes(rows, expr),
            // A limit or a divisor that is the batch size of the homework's example.
            Kind::Number(2.0) if self.is_of_batch() => self
                .correct(Mistake::HardcodedBatchSize, || {
                    symbol(Symbol::BatchSize, expr)
                }),
            _ => {}
        }
        if is_mask_itself(expr) {
            self.mask_changes(expr);
        }
        if self.place.is_base {
            return;
        }
        if is_mask(expr) {
            if !self.is_scalar(expr) {
                self.put(Mistake::MissingTranspose, expr.clone().transposed());
            }
            return;
        }
        if self.place.is_entry {
            self.columns_everywhere(expr);
        }
        self.habits(expr);
        let is_whole = match &expr.kind {
            Kind::Select(_, indices) => !indices.is_entry(),
            Kind::Symbol(symbol) => !matches!(symbol, Symbol::BatchSize | Symbol::Units(_)),
            Kind::Binary(Operator::Times | Operator::Hadamard | Operator::Subtract, ..)
            | Kind::Derivative(..)
            | Kind::Call(..)
            | Kind::Rows(_) => true,
            _ => false,
        };
        if is_whole && !self.is_scalar(expr) {
            self.put(Mistake::MissingTranspose, expr.clone().transposed());
            self.masked(expr);
        }
        if !self.place.is_factor && !matches!(expr.kind, Kind::Number(_)) {
            self.masked_by_unit(expr);
        }
    }
}
