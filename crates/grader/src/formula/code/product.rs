//! Products of matrices.

use std::sync::Arc;

use super::super::expr::{Expr, Function, Kind, Operator};
use super::super::{FormulaError, Span};
use super::elementwise::{Operation, rename};
use super::execute::Program;
use super::value::{Array, ONE, Size};

impl Program<'_> {
    fn times(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        let nodes = a.nodes + b.nodes + 1;
        let sizes = (a.sizes.0, b.sizes.1);
        let batch = a.batch.or(b.batch);
        let kind = Kind::Binary(Operator::Times, Arc::new(a.expr), Arc::new(b.expr));
        let mut array = Array::new(Kind::Number(0.0), span, 2, sizes);
        array.expr = Expr::new(kind, span);
        array.nodes = nodes;
        array.rank = if batch.is_some() { 3 } else { 2 };
        array.batch = batch;
        self.checked(array)
    }

    /// `a @ b`.
    pub(super) fn matmul(
        &mut self,
        a: Array,
        mut b: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if self.dialect.has_dots() && (a.is_one() || b.is_one()) {
            return self.elementwise(Operation::Of(Operator::Hadamard), a, b, span);
        }
        if a.rank == 0 || b.rank == 0 {
            let message = "A side of this matrix product is a number; a number scales with \"*\".";
            return Err(self.shape_error(span, message));
        }
        if let (Some(one), Some(other)) = (&a.batch, &b.batch) {
            rename(&mut b.expr, other.letter, one.letter);
        }
        let ranks = (a.rank, b.rank);
        let mut product = self.times(a.into_row(), b.into_column(), span)?;
        match ranks {
            (1, 1) => product.rank = 0,
            (1, 2) => product.rank = 1,
            (2, 1) => (product.rank, product.column) = (1, true),
            (1, _) | (_, 1) => {
                let message =
                    "A product of an array of rank 3 and one of rank 1 is not known here.";
                return Err(self.shape_error(span, message));
            }
            _ => {}
        }
        Ok(product)
    }

    /// `np.dot(a, b)`.
    pub(super) fn dot(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        if a.rank == 0 || b.rank == 0 {
            return self.elementwise(Operation::Of(Operator::Hadamard), a, b, span);
        }
        if a.rank > 2 || b.rank > 2 {
            let message = "np.dot of arrays of rank 3 is not known here: use np.einsum or \"@\".";
            return Err(self.shape_error(span, message));
        }
        self.matmul(a, b, span)
    }

    /// All entries, row after row, as an array of rank 1.
    pub(super) fn flattened(&mut self, mut a: Array, span: Span) -> Result<Array, FormulaError> {
        if a.rank > 2 {
            let message = "Flattening an array of rank 3 is not known here.";
            return Err(self.shape_error(span, message));
        }
        if a.rank < 2 {
            a.rank = 1;
            return Ok(a);
        }
        if a.sizes.0 == ONE || a.sizes.1 == ONE {
            a.column = a.sizes.0 != ONE;
            a.rank = 1;
            a.whole = None;
            return Ok(a);
        }
        let count = match a.sizes {
            (Size::Fixed(rows), Size::Fixed(columns)) => Size::Fixed(rows * columns),
            _ => Size::Unknown,
        };
        let mut flat = self.mapped(Function::Flatten, a, span)?;
        flat.mask = false;
        flat.rank = 1;
        flat.column = false;
        flat.sizes = (ONE, count);
        Ok(flat)
    }

    /// `np.outer(a, b)`.
    pub(super) fn outer(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        let (a, b) = (self.flattened(a, span)?, self.flattened(b, span)?);
        self.times(a.into_column(), b.into_row(), span)
    }

    /// `np.inner(a, b)`.
    pub(super) fn inner(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        if a.rank == 0 || b.rank == 0 {
            return self.elementwise(Operation::Of(Operator::Hadamard), a, b, span);
        }
        self.matmul(a, b.transposed(), span)
    }

    /// `np.vdot(a, b)`.
    pub(super) fn flat_dot(
        &mut self,
        a: Array,
        b: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let (a, b) = (self.flattened(a, span)?, self.flattened(b, span)?);
        self.matmul(a, b, span)
    }
}
