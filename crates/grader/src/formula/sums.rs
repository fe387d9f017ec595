//! Evaluates sums over an index, and matrices with a row for each value of one.

use std::sync::Arc;

use super::eval::Evaluator;
use super::expr::{Expr, Index, Indices, Kind};
use super::{FormulaError, Matrix};

impl Evaluator<'_> {
    pub(super) fn sum(
        &mut self,
        letter: char,
        range: Option<&(Arc<Expr>, Arc<Expr>)>,
        body: &Expr,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let (from, to) = match range {
            Some((from, to)) => (self.integer(from)?, self.integer(to)?),
            None => (1, self.length_of(letter, body, whole)?),
        };
        let mut total: Option<Matrix> = None;
        for value in from..=to {
            let term = self.value_at(letter, value, body)?;
            total = Some(match total {
                None => term,
                Some(total) if total.shape() == term.shape() => total.zip(&term, |a, b| a + b),
                Some(_) => {
                    return Err(self.shape_error(whole, "The terms of the sum differ in shape."));
                }
            });
        }
        total.ok_or_else(|| self.shape_error(whole, "The sum has no terms."))
    }

    /// The value of `body` with an index bound to one value.
    fn value_at(&mut self, letter: char, at: usize, body: &Expr) -> Result<Matrix, FormulaError> {
        self.letters.push((letter, at));
        let value = self.value(body);
        self.letters.pop();
        value
    }

    pub(super) fn stack(
        &mut self,
        letter: char,
        from: &Expr,
        to: &Expr,
        body: &Expr,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let (from, to) = (self.integer(from)?, self.integer(to)?);
        let (mut rows, mut columns, mut entries) = (0, 0, Vec::new());
        for value in from..=to {
            let row = self.value_at(letter, value, body)?;
            if value > from && row.columns() != columns {
                return Err(self.shape_error(whole, "The rows of the matrix differ in width."));
            }
            columns = row.columns();
            rows += row.rows();
            entries.extend_from_slice(row.entries());
        }
        if rows == 0 {
            return Err(self.shape_error(whole, "The dots stand for no rows."));
        }
        Ok(Matrix::new(rows, columns, entries))
    }

    /// The only range that an index without limits can have, given the quantities that it indexes.
    pub(super) fn length_of(
        &mut self,
        letter: char,
        body: &Expr,
        whole: &Expr,
    ) -> Result<usize, FormulaError> {
        let mut lengths = Vec::new();
        self.collect_lengths(letter, body, &mut lengths);
        lengths.sort_unstable();
        lengths.dedup();
        match lengths[..] {
            [length] => Ok(length),
            _ => {
                let message =
                    format!("The range of {letter} is not clear; write the sum's limits.");
                Err(self.shape_error(whole, message))
            }
        }
    }

    pub(super) fn collect_lengths(&mut self, letter: char, body: &Expr, lengths: &mut Vec<usize>) {
        for piece in body.pieces() {
            let Kind::Select(base, indices) = &piece.kind else {
                continue;
            };
            let Ok(base) = self.value(base) else {
                continue;
            };
            let (rows, columns) = base.shape();
            let (row, column) = match *indices {
                Indices::Two(row, column) => (row, column),
                Indices::One(index) if self.one_index_is_column(piece, (rows, columns)) => {
                    (Index::All, index)
                }
                Indices::One(index) => (index, Index::All),
            };
            if row == Index::Letter(letter) {
                lengths.push(rows);
            }
            if column == Index::Letter(letter) {
                lengths.push(columns);
            }
        }
    }
}
