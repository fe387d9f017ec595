//! Single-edit changes of a formula, each with the mistake that it represents.

mod change;
mod indices;
mod masks;

use std::{mem, vec};

use change::Change;
use indices::{index_changes, index_slips};
use masks::{is_mask, mask, mask_changes, masked_entries};

use super::Mistake;
use crate::formula::{Bindings, Expr, Index, Kind, Operator, Symbol};

/// A formula that differs from another in one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit<'e> {
    /// The mistake of writing this formula where the original is right.
    pub made: Mistake,
    /// The mistake of writing the original where this formula is right.
    pub mended: Mistake,
    /// The changed formula.
    pub expr: &'e Expr,
}

/// Iterates over the single-edit changes of a formula, those at its root first. The formula is edited in place, so that
/// unchanged parts keep the numbers under which their values are cached. The walk has an explicit stack, because a
/// formula may have a thousand factors.
pub(super) struct Edits<'b> {
    whole: Expr,
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
    inside: Inside,
    number: u32,
    parts: usize,
    /// The next of its parts to visit.
    next: usize,
    changes: vec::IntoIter<Change>,
    /// The original node, while a change replaces it.
    original: Option<Expr>,
}

impl<'b> Edits<'b> {
    pub(super) fn new(expr: Expr, bindings: &'b dyn Bindings) -> Self {
        let changes = root_changes(&expr);
        let root = Piece {
            at: 0,
            inside: Inside::Formula,
            number: expr.number(),
            parts: 0,
            next: 0,
            changes: changes.into_iter(),
            original: None,
        };
        Self {
            whole: expr,
            bindings,
            path: vec![root],
            in_formula: false,
            work: 0,
        }
    }

    /// The next change, or `None` at the end.
    pub(super) fn advance(&mut self) -> Option<Edit<'_>> {
        loop {
            let piece = self.path.last_mut()?;
            if let Some((made, mended, changed)) = piece.changes.next() {
                self.replace(changed);
                return Some(Edit {
                    made,
                    mended,
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
    pub(super) fn work(&self) -> usize {
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
        let mut inside = self
            .path
            .last()
            .map_or(Inside::Formula, |piece| piece.inside);
        let Some(here) = piece_of(&self.whole, &self.path) else {
            return;
        };
        if is_mask(here) {
            inside = Inside::Mask;
        }
        if let Some(part) = here.part(at) {
            let (piece, work) = piece(part, at, inside, self.bindings);
            self.work += work + self.path.len();
            self.path.push(piece);
        }
    }

    /// Returns to the parent of the current node, all of whose parts are restored.
    fn leave(&mut self) {
        if !self.in_formula {
            self.in_formula = true;
            self.path.clear();
            let (root, work) = piece(&self.whole, 0, Inside::Formula, self.bindings);
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
fn piece(expr: &Expr, at: usize, inside: Inside, bindings: &dyn Bindings) -> (Piece, usize) {
    let changes = match inside {
        Inside::Formula => changes(expr, bindings),
        Inside::Mask => index_slips(expr, bindings),
    };
    let work = expr.pieces().count() * (1 + changes.len());
    let piece = Piece {
        at,
        inside,
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

fn root_changes(expr: &Expr) -> Vec<Change> {
    let node = |kind| Expr::new(kind, expr.span);
    let whole = || Box::new(expr.clone());
    let number = |value| Box::new(node(Kind::Number(value)));
    let m = || Box::new(node(Kind::Symbol(Symbol::BatchSize)));
    let times = |factor| node(Kind::Binary(Operator::Times, factor, whole()));
    let edit = |made, mended, expr| (made, mended, expr);
    vec![
        edit(
            Mistake::TransposedResult,
            Mistake::TransposedResult,
            expr.clone().transposed(),
        ),
        edit(
            Mistake::SignFlipped,
            Mistake::SignFlipped,
            node(Kind::Negate(whole())),
        ),
        edit(
            Mistake::MissingBatchMean,
            Mistake::DoubleBatchMean,
            times(m()),
        ),
        edit(
            Mistake::DoubleBatchMean,
            Mistake::MissingBatchMean,
            node(Kind::Binary(Operator::Divide, whole(), m())),
        ),
        edit(
            Mistake::ConstantFactor,
            Mistake::ConstantFactor,
            times(number(2.0)),
        ),
        edit(
            Mistake::ConstantFactor,
            Mistake::ConstantFactor,
            times(number(0.5)),
        ),
    ]
}

/// The position of a node: inside a mask only its indices are changed, since the mask changes as a whole.
#[derive(Clone, Copy)]
enum Inside {
    Formula,
    Mask,
}

fn contains_weight(expr: &Expr) -> bool {
    expr.pieces()
        .any(|piece| matches!(piece.kind, Kind::Symbol(Symbol::Weights(_))))
}

fn changes(expr: &Expr, bindings: &dyn Bindings) -> Vec<Change> {
    let mut found = Vec::new();
    match &expr.kind {
        Kind::Transpose(inner) => found.push((
            Mistake::MissingTranspose,
            Mistake::MissingTranspose,
            (**inner).clone(),
        )),
        Kind::Negate(inner) => found.push((
            Mistake::SignFlipped,
            Mistake::SignFlipped,
            (**inner).clone(),
        )),
        Kind::Binary(operator, left, right) => {
            binary_changes(*operator, left, right, expr, &mut found)
        }
        Kind::Select(base, indices) => {
            index_changes(base, indices, expr, bindings, &mut found);
            masked_entries(expr, indices, bindings, &mut found);
        }
        Kind::Symbol(symbol) => symbol_changes(*symbol, expr, bindings, &mut found),
        Kind::Sum(letter, range, body) => {
            let over_batch =
                matches!(range, Some((_, to)) if to.kind == Kind::Symbol(Symbol::BatchSize));
            let lost = if over_batch {
                Mistake::FirstSampleOnly
            } else {
                Mistake::LostSum
            };
            found.push((lost, lost, body.with_index(*letter, Index::Number(1))));
        }
        _ => {}
    }
    if is_mask(expr) {
        mask_changes(expr, bindings, &mut found);
    } else if matches!(
        expr.kind,
        Kind::Symbol(_) | Kind::Binary(Operator::Times | Operator::Hadamard, ..) | Kind::Select(..)
    ) {
        found.push((
            Mistake::MissingTranspose,
            Mistake::MissingTranspose,
            expr.clone().transposed(),
        ));
        for layer in 1..=bindings.depth() {
            let made = if layer == bindings.depth() {
                Mistake::MaskOnOutput
            } else {
                Mistake::WrongMaskLayer
            };
            let masked = Kind::Binary(
                Operator::Hadamard,
                Box::new(expr.clone()),
                Box::new(mask(layer, expr)),
            );
            found.push((made, Mistake::MissingMask, Expr::new(masked, expr.span)));
        }
    }
    found
}

fn binary_changes(
    operator: Operator,
    left: &Expr,
    right: &Expr,
    whole: &Expr,
    found: &mut Vec<Change>,
) {
    let node = |operator, a: &Expr, b: &Expr| {
        Expr::new(
            Kind::Binary(operator, Box::new(a.clone()), Box::new(b.clone())),
            whole.span,
        )
    };
    match operator {
        Operator::Times | Operator::Hadamard => {
            for (dropped, kept) in [(left, right), (right, left)] {
                let made = if is_mask(dropped) {
                    Mistake::MissingMask
                } else if contains_weight(dropped) {
                    Mistake::WeightDropped
                } else {
                    continue;
                };
                let mended = if is_mask(dropped) {
                    Mistake::WrongMaskLayer
                } else {
                    Mistake::WrongWeight
                };
                found.push((made, mended, kept.clone()));
            }
            if operator == Operator::Times {
                let (made, mended) = (Mistake::ElementwiseForMatmul, Mistake::MatmulForElementwise);
                found.push((made, mended, node(Operator::Hadamard, left, right)));
                found.push((
                    Mistake::OperandOrder,
                    Mistake::OperandOrder,
                    node(Operator::Times, right, left),
                ));
                for swapped in [
                    node(Operator::Times, &right.clone().transposed(), left),
                    node(Operator::Times, right, &left.clone().transposed()),
                ] {
                    found.push((Mistake::OperandOrder, Mistake::OperandOrder, swapped));
                }
            } else {
                let (made, mended) = (Mistake::MatmulForElementwise, Mistake::ElementwiseForMatmul);
                found.push((made, mended, node(Operator::Times, left, right)));
            }
        }
        Operator::Subtract => {
            found.push((
                Mistake::SignFlipped,
                Mistake::SignFlipped,
                node(Operator::Subtract, right, left),
            ));
            found.push((
                Mistake::SignFlipped,
                Mistake::SignFlipped,
                node(Operator::Add, left, right),
            ));
        }
        Operator::Add => found.push((
            Mistake::SignFlipped,
            Mistake::SignFlipped,
            node(Operator::Subtract, left, right),
        )),
        Operator::Divide => {
            let mean = right.kind == Kind::Symbol(Symbol::BatchSize);
            let (made, mended) = if mean {
                (Mistake::MissingBatchMean, Mistake::DoubleBatchMean)
            } else {
                (Mistake::ConstantFactor, Mistake::ConstantFactor)
            };
            found.push((made, mended, left.clone()));
        }
    }
}

fn symbol_changes(symbol: Symbol, whole: &Expr, bindings: &dyn Bindings, found: &mut Vec<Change>) {
    let depth = bindings.depth();
    let mut put = |mistake, symbol| {
        found.push((
            mistake,
            mistake,
            Expr::new(Kind::Symbol(symbol), whole.span),
        ))
    };
    match symbol {
        Symbol::Weights(own) => {
            (1..=depth)
                .filter(|&layer| layer != own)
                .for_each(|layer| put(Mistake::WrongWeight, Symbol::Weights(layer)));
        }
        Symbol::Activation(own) => {
            (0..=depth)
                .filter(|&layer| layer != own)
                .for_each(|layer| put(Mistake::WrongWeight, Symbol::Activation(layer)));
            if own > 0 {
                put(Mistake::WrongWeight, Symbol::PreActivation(own));
            }
        }
        Symbol::BatchSize => {
            let two = Expr::new(Kind::Number(2.0), whole.span);
            found.push((
                Mistake::HardcodedBatchSize,
                Mistake::HardcodedBatchSize,
                two,
            ));
        }
        _ => {}
    }
}
