//! Changes of indices.

use super::change::Change;
use crate::formula::{Bindings, Expr, Index, Indices, Kind, Matrix};
use crate::grade::Mistake;

pub(super) fn index_slips(expr: &Expr, bindings: &dyn Bindings) -> Vec<Change> {
    let mut found = Vec::new();
    if let Kind::Select(base, indices) = &expr.kind {
        index_changes(base, indices, expr, bindings, &mut found);
    }
    found
}

pub(super) fn index_changes(
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
