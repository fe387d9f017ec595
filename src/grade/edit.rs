//! One-edit changes of a formula, each with the mistake that it stands for.

use super::Mistake;
use crate::formula::{
    Bindings, Comparison, Expr, Function, Index, Indices, Kind, Matrix, Operator, Symbol,
};

/// A formula that differs from another in one place.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// The mistake of somebody who wrote this where the other is right.
    pub made: Mistake,
    /// The mistake of somebody who wrote the other where this is right.
    pub mended: Mistake,
    /// The changed formula.
    pub expr: Expr,
}

/// Every one-edit change of `expr`, the ones at its root first.
pub(super) fn edits(expr: &Expr, bindings: &dyn Bindings) -> Vec<Edit> {
    let mut found = root_edits(expr);
    visit(expr, bindings, &mut |edit| found.push(edit), &|changed| {
        changed
    });
    found
}

fn root_edits(expr: &Expr) -> Vec<Edit> {
    let node = |kind| Expr::new(kind, expr.span);
    let whole = || Box::new(expr.clone());
    let number = |value| Box::new(node(Kind::Number(value)));
    let m = || Box::new(node(Kind::Symbol(Symbol::BatchSize)));
    let times = |factor| node(Kind::Binary(Operator::Times, factor, whole()));
    let edit = |made, mended, expr| Edit { made, mended, expr };
    vec![
        edit(
            Mistake::TransposedResult,
            Mistake::TransposedResult,
            node(Kind::Transpose(whole())),
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

/// Calls `found` with each change of `expr` or of a piece of it; `rebuild` puts the changed piece in its place.
fn visit(
    expr: &Expr,
    bindings: &dyn Bindings,
    found: &mut dyn FnMut(Edit),
    rebuild: &dyn Fn(Expr) -> Expr,
) {
    for (made, mended, changed) in changes(expr, bindings) {
        found(Edit {
            made,
            mended,
            expr: rebuild(changed),
        });
    }
    if is_mask(expr) {
        return;
    }
    for at in 0..expr.parts().len() {
        let part = expr.parts()[at].clone();
        let put = |changed: Expr| {
            let mut whole = expr.clone();
            if let Some(place) = whole.parts_mut().into_iter().nth(at) {
                *place = changed;
            }
            rebuild(whole)
        };
        visit(&part, bindings, found, &put);
    }
}

/// Whether a piece is a derivative of an activation, as comparisons and σ′ are.
pub(super) fn is_mask(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Compare(comparison, ..) => {
            !matches!(comparison, Comparison::Equal | Comparison::NotEqual)
        }
        Kind::Call(
            Function::SigmaPrime | Function::ReluPrime | Function::TanhPrime | Function::Step,
            _,
        ) => true,
        Kind::Transpose(inner) | Kind::Select(inner, _) => is_mask(inner),
        _ => false,
    }
}

/// The layer whose z or h a mask looks at.
fn mask_layer(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        Kind::Symbol(Symbol::PreActivation(layer) | Symbol::Activation(layer)) => Some(*layer),
        _ => expr.parts().into_iter().find_map(mask_layer),
    }
}

fn contains_weight(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Symbol(Symbol::Weights(_)))
        || expr.parts().into_iter().any(contains_weight)
}

fn mask(layer: usize, like: &Expr) -> Expr {
    let node = |kind| Expr::new(kind, like.span);
    let z = node(Kind::Symbol(Symbol::PreActivation(layer)));
    let zero = node(Kind::Number(0.0));
    node(Kind::Compare(
        Comparison::GreaterOrEqual,
        Box::new(z),
        Box::new(zero),
    ))
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
        Kind::Select(base, indices) => index_changes(base, indices, expr, bindings, &mut found),
        Kind::Symbol(symbol) => symbol_changes(*symbol, expr, bindings, &mut found),
        Kind::Sum(letter, range, body) => {
            let over_batch =
                matches!(range, Some((_, to)) if to.kind == Kind::Symbol(Symbol::BatchSize));
            let lost = if over_batch {
                Mistake::FirstSampleOnly
            } else {
                Mistake::LostSum
            };
            found.push((lost, lost, fixed(body, *letter)));
        }
        _ => {}
    }
    if is_mask(expr) {
        mask_changes(expr, bindings, &mut found);
    } else if matches!(
        expr.kind,
        Kind::Symbol(_) | Kind::Binary(Operator::Times | Operator::Hadamard, ..) | Kind::Select(..)
    ) {
        let transposed = Expr::new(Kind::Transpose(Box::new(expr.clone())), expr.span);
        found.push((
            Mistake::MissingTranspose,
            Mistake::MissingTranspose,
            transposed,
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

fn mask_changes(expr: &Expr, bindings: &dyn Bindings, found: &mut Vec<Change>) {
    if let Kind::Compare(_, a, b) = &expr.kind {
        let flipped = Kind::Compare(Comparison::Less, a.clone(), b.clone());
        let inverted = Expr::new(flipped, expr.span);
        found.push((
            Mistake::InvertedMask,
            Mistake::InvertedMask,
            inverted.clone(),
        ));
        let mut upright = inverted;
        upright.kind = Kind::Compare(Comparison::GreaterOrEqual, a.clone(), b.clone());
        if upright != *expr {
            found.push((Mistake::InvertedMask, Mistake::InvertedMask, upright));
        }
    }
    let Some(own) = mask_layer(expr) else { return };
    for layer in (1..=bindings.depth()).filter(|&layer| layer != own) {
        let mut moved = expr.clone();
        move_layers(&mut moved, layer);
        found.push((Mistake::WrongMaskLayer, Mistake::WrongMaskLayer, moved));
    }
    // σ(z), and the derivatives of sigmoid and tanh in terms of h, where σ′(z) belongs.
    if let Some(base) = compared_symbol(expr) {
        let h = Expr::new(Kind::Symbol(Symbol::Activation(own)), expr.span);
        let h = match base {
            Some(indices) => Expr::new(Kind::Select(Box::new(h), indices), expr.span),
            None => h,
        };
        let square = Expr::new(
            Kind::Binary(Operator::Hadamard, Box::new(h.clone()), Box::new(h.clone())),
            expr.span,
        );
        let one = Expr::new(Kind::Number(1.0), expr.span);
        let minus = |a: &Expr, b: &Expr| {
            Expr::new(
                Kind::Binary(Operator::Subtract, Box::new(a.clone()), Box::new(b.clone())),
                expr.span,
            )
        };
        for wrong in [h.clone(), minus(&h, &square), minus(&one, &square)] {
            found.push((Mistake::WrongActivation, Mistake::WrongActivation, wrong));
        }
    }
}

/// The indices of the z that a mask compares; the outer `None` where it compares something else.
fn compared_symbol(expr: &Expr) -> Option<Option<Indices>> {
    match &expr.kind {
        Kind::Compare(_, a, _) => compared_symbol(a),
        Kind::Call(_, arguments) => compared_symbol(arguments.first()?),
        Kind::Symbol(Symbol::PreActivation(_)) => Some(None),
        Kind::Select(base, indices)
            if matches!(base.kind, Kind::Symbol(Symbol::PreActivation(_))) =>
        {
            Some(Some(indices.clone()))
        }
        _ => None,
    }
}

fn move_layers(expr: &mut Expr, layer: usize) {
    if let Kind::Symbol(Symbol::PreActivation(at) | Symbol::Activation(at)) = &mut expr.kind {
        *at = layer;
    }
    for part in expr.parts_mut() {
        move_layers(part, layer);
    }
}

fn index_changes(
    base: &Expr,
    indices: &Indices,
    whole: &Expr,
    bindings: &dyn Bindings,
    found: &mut Vec<Change>,
) {
    let shape = match base.kind {
        Kind::Symbol(symbol) => bindings.value(symbol).map(Matrix::shape),
        _ => None,
    };
    let (rows, columns) = shape.unwrap_or((3, 3));
    let mut put = |indices| {
        let changed = Expr::new(Kind::Select(Box::new(base.clone()), indices), whole.span);
        found.push((Mistake::WrongIndex, Mistake::WrongIndex, changed));
    };
    let others = |index: Index, length: usize| {
        let numbers = (1..=length).map(Index::Number);
        let letters = ['i', 'j', 'k', 'q', 'r'].map(Index::Letter);
        numbers
            .chain(letters)
            .chain([Index::All])
            .filter(move |other| *other != index)
    };
    match *indices {
        Indices::One(index) => {
            others(index, rows.max(columns)).for_each(|other| put(Indices::One(other)))
        }
        Indices::Two(row, column) => {
            if row != column {
                put(Indices::Two(column, row));
            }
            others(row, rows).for_each(|other| put(Indices::Two(other, column)));
            others(column, columns).for_each(|other| put(Indices::Two(row, other)));
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

/// `expr` with an index fixed to 1.
fn fixed(expr: &Expr, letter: char) -> Expr {
    let mut expr = expr.clone();
    for part in expr.parts_mut() {
        *part = fixed(part, letter);
    }
    let fix = |index: &mut Index| {
        if *index == Index::Letter(letter) {
            *index = Index::Number(1);
        }
    };
    if let Kind::Select(_, indices) = &mut expr.kind {
        match indices {
            Indices::One(index) => fix(index),
            Indices::Two(row, column) => {
                fix(row);
                fix(column);
            }
        }
    }
    expr
}
