//! Builds nodes with the span of the ones that they replace.

use std::sync::Arc;

use crate::formula::{Expr, Index, Indices, Kind, Operator, Symbol};

pub(super) fn binary(operator: Operator, a: &Expr, b: &Expr) -> Expr {
    let kind = Kind::Binary(operator, Arc::new(a.clone()), Arc::new(b.clone()));
    Expr::new(kind, a.span)
}

pub(super) fn number(value: f64, like: &Expr) -> Expr {
    Expr::new(Kind::Number(value), like.span)
}

pub(super) fn symbol(symbol: Symbol, like: &Expr) -> Expr {
    Expr::new(Kind::Symbol(symbol), like.span)
}

pub(super) fn selected(base: Expr, row: Index, column: Index) -> Expr {
    let span = base.span;
    Expr::new(
        Kind::Select(Arc::new(base), Indices::Two(row, column)),
        span,
    )
}

pub(super) fn sum(letter: char, range: Option<(Arc<Expr>, Arc<Expr>)>, body: Expr) -> Expr {
    let span = body.span;
    Expr::new(Kind::Sum(letter, range, Arc::new(body)), span)
}
