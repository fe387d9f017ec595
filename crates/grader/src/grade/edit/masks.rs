//! Changes of masks: inverted, of another layer, of another activation, or added.

use super::change::Change;
use crate::formula::{
    Bindings, Comparison, Expr, Function, Index, Indices, Kind, Operator, Symbol,
};
use crate::grade::Mistake;

/// Whether a node is a derivative of an activation, as comparisons and σ′ are.
pub(in crate::grade) fn is_mask(expr: &Expr) -> bool {
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

/// The layer whose z or h a mask depends on.
pub(super) fn mask_layer(expr: &Expr) -> Option<usize> {
    expr.pieces().find_map(|piece| match &piece.kind {
        Kind::Symbol(Symbol::PreActivation(layer) | Symbol::Activation(layer)) => Some(*layer),
        _ => None,
    })
}

pub(super) fn mask(layer: usize, like: &Expr) -> Expr {
    let node = |kind| Expr::new(kind, like.span);
    let z = node(Kind::Symbol(Symbol::PreActivation(layer)));
    let zero = node(Kind::Number(0.0));
    node(Kind::Compare(
        Comparison::GreaterOrEqual,
        Box::new(z),
        Box::new(zero),
    ))
}

/// The entry with the mask of one unit beside it: of each layer, for the units that an index can mean.
pub(super) fn masked_entries(
    expr: &Expr,
    indices: &Indices,
    bindings: &dyn Bindings,
    found: &mut Vec<Change>,
) {
    let Indices::Two(row, column) = *indices else {
        return;
    };
    let units = [column, row]
        .into_iter()
        .chain(['i', 'j', 'q'].map(Index::Letter));
    for (layer, unit) in
        (1..=bindings.depth()).flat_map(|layer| units.clone().map(move |unit| (layer, unit)))
    {
        for sample in [Index::Number(1), row] {
            let mut mask = mask(layer, expr);
            if let Kind::Compare(_, z, _) = &mut mask.kind {
                let selected = Kind::Select(z.clone(), Indices::Two(sample, unit));
                **z = Expr::new(selected, expr.span);
            }
            let masked = Kind::Binary(Operator::Times, Box::new(expr.clone()), Box::new(mask));
            found.push((
                Mistake::WrongMaskLayer,
                Mistake::MissingMask,
                Expr::new(masked, expr.span),
            ));
        }
    }
}

pub(super) fn mask_changes(expr: &Expr, bindings: &dyn Bindings, found: &mut Vec<Change>) {
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
pub(super) fn compared_symbol(expr: &Expr) -> Option<Option<Indices>> {
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

pub(super) fn move_layers(expr: &mut Expr, layer: usize) {
    expr.for_each_piece_mut(|piece| {
        if let Kind::Symbol(Symbol::PreActivation(at) | Symbol::Activation(at)) = &mut piece.kind {
            *at = layer;
        }
    });
}
