//! Which of ⊙ and the matrix product binds tighter where an author wrote no parentheses: every way it can be meant.

use super::expr::{Expr, Kind, Operator};

#[derive(Clone, Copy)]
enum Binding {
    Products,
    Elementwise,
    LeftToRight,
}

/// The formula with every ambiguous row of factors put together: products first, ⊙ first, from left to right.
/// One reading where nothing is ambiguous; equal ones are listed once.
pub fn readings(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::with_capacity(3);
    for binding in [
        Binding::Products,
        Binding::Elementwise,
        Binding::LeftToRight,
    ] {
        let reading = read(expr, binding);
        if !found.contains(&reading) {
            found.push(reading);
        }
        if !is_ambiguous(expr) {
            break;
        }
    }
    found
}

fn is_ambiguous(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Mixed(..)) || expr.parts().into_iter().any(is_ambiguous)
}

fn read(expr: &Expr, binding: Binding) -> Expr {
    let mut expr = expr.clone();
    for part in expr.parts_mut() {
        *part = read(part, binding);
    }
    if let Kind::Mixed(first, rest) = expr.kind {
        return put_together(*first, rest, binding);
    }
    expr
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
