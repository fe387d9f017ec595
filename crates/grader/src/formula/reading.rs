//! All readings of a formula without parentheses between ⊙ and matrix products, for either precedence.

use std::mem;

use super::expr::{Expr, Kind, Operator};

#[derive(Clone, Copy)]
enum Binding {
    Products,
    Elementwise,
    LeftToRight,
}

/// All groupings of the ambiguous rows of factors: products first, ⊙ first, from left to right. One reading if nothing
/// is ambiguous; equal ones are listed once.
pub fn readings(expr: &Expr) -> Vec<Expr> {
    if !is_ambiguous(expr) {
        return vec![expr.clone()];
    }
    let mut found = Vec::with_capacity(3);
    for binding in [
        Binding::Products,
        Binding::Elementwise,
        Binding::LeftToRight,
    ] {
        let mut reading = expr.clone();
        read(&mut reading, binding);
        if !found.contains(&reading) {
            found.push(reading);
        }
    }
    found
}

/// The first of [`readings`].
pub(super) fn products_first(expr: &Expr) -> Expr {
    let mut reading = expr.clone();
    read(&mut reading, Binding::Products);
    reading
}

fn is_ambiguous(expr: &Expr) -> bool {
    expr.pieces()
        .any(|piece| matches!(piece.kind, Kind::Mixed(..)))
}

/// Groups every ambiguous row in the tree.
fn read(expr: &mut Expr, binding: Binding) {
    let mut at = expr;
    while matches!(at.kind, Kind::Binary(..)) {
        at.number = 0;
        let Kind::Binary(_, left, right) = &mut at.kind else {
            return;
        };
        read(right, binding);
        at = left;
    }
    for part in at.parts_mut() {
        read(part, binding);
    }
    if let Kind::Mixed(first, rest) = &mut at.kind {
        let nothing = Expr::new(Kind::Number(0.0), super::Span::default());
        let (first, rest) = (mem::replace(&mut **first, nothing), mem::take(rest));
        *at = put_together(first, rest, binding);
    }
}

fn put_together(first: Expr, rest: Vec<(Operator, Expr)>, binding: Binding) -> Expr {
    let is_tight = |operator: Operator| match binding {
        Binding::Products => operator != Operator::Hadamard,
        Binding::Elementwise => operator == Operator::Hadamard,
        Binding::LeftToRight => true,
    };
    let mut groups = vec![first];
    let mut loose = Vec::new();
    for (operator, factor) in rest {
        if is_tight(operator)
            && let Some(left) = groups.pop()
        {
            groups.push(join(operator, left, factor));
        } else {
            loose.push(operator);
            groups.push(factor);
        }
    }
    let mut groups = groups.into_iter();
    let Some(first) = groups.next() else {
        return Expr::new(Kind::Number(0.0), super::Span::default());
    };
    loose
        .into_iter()
        .zip(groups)
        .fold(first, |left, (operator, right)| join(operator, left, right))
}

fn join(operator: Operator, left: Expr, right: Expr) -> Expr {
    let span = super::Span {
        start: left.span.start,
        end: right.span.end,
    };
    Expr::new(
        Kind::Binary(operator, Box::new(left), Box::new(right)),
        span,
    )
}
