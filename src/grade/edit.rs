//! One-edit changes of a formula, each with the mistake that it stands for.

mod indices;
mod masks;

use std::mem;
use std::ops::ControlFlow;

use indices::{index_changes, index_slips};
use masks::{is_mask, mask, mask_changes, masked_entries};

use super::Mistake;
use crate::formula::{Bindings, Expr, Index, Kind, Operator, Symbol};

/// A formula that differs from another in one place.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// The mistake of somebody who wrote the other where this is right.
    pub mended: Mistake,
    /// The changed formula.
    pub expr: Expr,
}

/// Every one-edit change of `expr`, the ones at its root first.
pub(super) fn edits(expr: &Expr, bindings: &dyn Bindings) -> Vec<Edit> {
    let mut found = Vec::new();
    let all = &mut |_, mended, expr: &Expr| {
        found.push(Edit {
            mended,
            expr: expr.clone(),
        });
        ControlFlow::Continue(())
    };
    try_edits(expr.clone(), bindings, all);
    found
}

/// Calls `found` with each of [`edits`], until it breaks off: who would have made it, who mends by it, the formula. The
/// formula is changed in place, so that what did not change keeps the numbers by which its values are remembered.
pub(super) fn try_edits(
    expr: Expr,
    bindings: &dyn Bindings,
    found: &mut dyn FnMut(Mistake, Mistake, &Expr) -> ControlFlow<()>,
) {
    let mut walk = Walk {
        whole: expr,
        path: Vec::new(),
        bindings,
        found,
    };
    let at_root = root_changes(&walk.whole);
    // Either way the walk has ended.
    let _ = walk
        .try_changes(at_root)
        .is_continue()
        .then(|| walk.visit(Inside::Formula));
}

/// A walk through the pieces of a formula, at one of them.
struct Walk<'w> {
    whole: Expr,
    /// The way from the root to the piece.
    path: Vec<usize>,
    bindings: &'w dyn Bindings,
    found: &'w mut dyn FnMut(Mistake, Mistake, &Expr) -> ControlFlow<()>,
}

impl Walk<'_> {
    /// Tries the changes of the piece here and of each piece in it.
    fn visit(&mut self, inside: Inside) -> ControlFlow<()> {
        let piece = self
            .path
            .iter()
            .try_fold(&self.whole, |piece, &at| piece.part(at));
        let Some(piece) = piece else {
            return ControlFlow::Continue(());
        };
        let changes = match inside {
            Inside::Formula => changes(piece, self.bindings),
            Inside::Mask => index_slips(piece, self.bindings),
        };
        let (parts, number) = (piece.part_count(), piece.number());
        let inside = if is_mask(piece) { Inside::Mask } else { inside };
        self.try_changes(changes)?;
        for at in 0..parts {
            self.path.push(at);
            self.visit(inside)?;
            self.path.pop();
        }
        // Every part is again what it was.
        if let Some(piece) = self.piece_mut() {
            piece.number_again(number);
        }
        ControlFlow::Continue(())
    }

    fn try_changes(&mut self, changes: Vec<Change>) -> ControlFlow<()> {
        let Some(piece) = self.piece_mut() else {
            return ControlFlow::Continue(());
        };
        let mut original = None;
        let mut piece = piece;
        for (made, mended, changed) in changes {
            let before = mem::replace(piece, changed);
            original.get_or_insert(before);
            (self.found)(made, mended, &self.whole)?;
            match self.piece_mut() {
                Some(same) => piece = same,
                None => return ControlFlow::Continue(()),
            }
        }
        if let Some(original) = original {
            *piece = original;
        }
        ControlFlow::Continue(())
    }

    /// The piece here, to be changed; what stands around it loses its numbers.
    fn piece_mut(&mut self) -> Option<&mut Expr> {
        let mut path = self.path.iter();
        path.try_fold(&mut self.whole, |piece, &at| piece.part_mut(at))
    }
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

/// Where a piece stands: inside a mask only its indices are worth changing, since the mask changes as a whole.
#[derive(Clone, Copy)]
enum Inside {
    Formula,
    Mask,
}

fn contains_weight(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Symbol(Symbol::Weights(_)))
        || expr.parts().into_iter().any(contains_weight)
}

type Change = (Mistake, Mistake, Expr);

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
