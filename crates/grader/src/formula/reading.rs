//! All readings of a formula without parentheses between ⊙ and matrix products, for either precedence.

use std::sync::Arc;

use std::mem;

use super::eval::is_number;
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
        read(Arc::make_mut(right), binding);
        at = Arc::make_mut(left);
    }
    for part in at.parts_mut() {
        read(part, binding);
    }
    if let Kind::Mixed(first, rest) = &mut at.kind {
        let nothing = Expr::new(Kind::Number(0.0), super::Span::default());
        let (first, rest) = (mem::replace(Arc::make_mut(first), nothing), mem::take(rest));
        *at = put_together(first, rest, binding);
    }
}

/// The number of factors before a row of elementwise factors, if all of them are numbers: these scale the product
/// wherever they stand, so that nothing is ambiguous.
fn scales(first: &Expr, rest: &[(Operator, Expr)]) -> Option<usize> {
    let is_times = |(operator, _): &&(Operator, Expr)| *operator == Operator::Times;
    let count = rest.iter().take_while(is_times).count();
    let (products, elementwise) = rest.split_at(count);
    // What follows the last number is the first elementwise factor.
    let (_, numbers) = products.split_last()?;
    let is_scaled = elementwise
        .iter()
        .all(|(operator, _)| *operator == Operator::Hadamard)
        && is_number(first)
        && numbers.iter().all(|(_, factor)| is_number(factor));
    is_scaled.then_some(count)
}

fn put_together(first: Expr, rest: Vec<(Operator, Expr)>, binding: Binding) -> Expr {
    let is_tight = |operator: Operator| match binding {
        Binding::Products => operator != Operator::Hadamard,
        Binding::Elementwise => operator == Operator::Hadamard,
        Binding::LeftToRight => true,
    };
    if let Some(count) = scales(&first, &rest) {
        let mut rest = rest.into_iter();
        let numbers = rest.by_ref().take(count - 1);
        let number = numbers.fold(first, |left, (operator, right)| join(operator, left, right));
        let factors = rest.map(|(_, factor)| factor);
        let product = factors.reduce(|left, right| join(Operator::Hadamard, left, right));
        return match product {
            Some(product) => join(Operator::Times, number, product),
            None => number,
        };
    }
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
        Kind::Binary(operator, Arc::new(left), Arc::new(right)),
        span,
    )
}
