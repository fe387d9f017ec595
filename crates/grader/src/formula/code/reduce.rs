//! Sums and means along axes.

use std::sync::Arc;

use super::super::expr::{Expr, Function, Kind, Operator};
use super::super::{FormulaError, Span};
use super::elementwise::Operation;
use super::execute::Program;
use super::value::{Array, Axis, ONE, Size};

/// The axes to sum over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    All,
    Axis(i64),
}

impl Program<'_> {
    /// The sum along an axis, or of all entries.
    pub(super) fn summed(
        &mut self,
        a: Array,
        over: Over,
        keep: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let rank = i64::from(a.rank);
        let axis = match over {
            Over::All => None,
            Over::Axis(axis) if axis >= -rank && axis < rank => Some((axis + rank) % rank.max(1)),
            Over::Axis(axis) => {
                let message = format!(
                    "There is no axis {axis}: this array has {rank} {}.",
                    axes(rank)
                );
                return Err(self.shape_error(span, message));
            }
        };
        if rank == 3 {
            return self.summed_of_three(a, axis, keep, span);
        }
        if rank == 0 {
            return Ok(a);
        }
        if rank == 1 {
            let kept = a.clone_shape();
            let mut total = self.reduced(Function::Total, a, span)?;
            if keep {
                (total.rank, total.column) = (1, kept.column);
            }
            return Ok(total);
        }
        let (function, rank, column) = match axis {
            None => (Function::Total, 0, false),
            Some(0) => (Function::ColumnSums, 1, false),
            Some(_) => (Function::RowSums, 1, true),
        };
        let mut sum = self.reduced(function, a, span)?;
        sum.rank = if keep { 2 } else { rank };
        sum.column = column && !keep;
        Ok(sum)
    }

    fn reduced(&mut self, function: Function, a: Array, span: Span) -> Result<Array, FormulaError> {
        let sizes = match function {
            Function::ColumnSums => (ONE, a.sizes.1),
            Function::RowSums => (a.sizes.0, ONE),
            _ => (ONE, ONE),
        };
        // A sum over samples of one sample, or of one number, is the number itself.
        if sizes == a.sizes {
            let mut same = a;
            same.whole = None;
            same.mask = false;
            same.rank = 0;
            same.column = false;
            return Ok(same);
        }
        let nodes = a.nodes + 1;
        let mut array = Array::new(Kind::Number(0.0), span, 0, sizes);
        array.expr = Expr::new(Kind::Call(function, vec![a.expr]), span);
        array.nodes = nodes;
        self.checked(array)
    }

    fn summed_of_three(
        &mut self,
        a: Array,
        axis: Option<i64>,
        keep: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let Some(over) = a.batch.clone() else {
            return Err(self.shape_error(span, "This array has no first axis."));
        };
        if keep {
            let message = "keepdims of an array of rank 3 is not known here.";
            return Err(self.shape_error(span, message));
        }
        let mut matrix = a;
        matrix.batch = None;
        matrix.rank = 2;
        match axis {
            Some(0) => self.series_sum(&over, matrix, span),
            None => {
                let total = self.summed(matrix, Over::All, false, span)?;
                self.series_sum(&over, total, span)
            }
            Some(axis) => {
                let rows = self.summed(matrix, Over::Axis(axis - 1), false, span)?;
                self.stacked(&over, rows, span)
            }
        }
    }

    /// How many entries a sum along the axis has, as a number.
    pub(super) fn count(
        &mut self,
        a: &Array,
        over: Over,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let rank = i64::from(a.rank);
        let (rows, columns) = a.sizes;
        let sizes: Vec<Size> = match over {
            _ if rank == 3 => {
                let all = a.batch.as_ref().filter(|axis| axis.from.value() == Some(0));
                let first = all.map_or(Size::Unknown, |axis| match axis.to.plus {
                    0 => axis.to.size,
                    plus if axis.to.size == Size::Fixed(0) => Size::Fixed(plus.max(0) as usize),
                    _ => Size::Unknown,
                });
                match over {
                    Over::Axis(0 | -3) => vec![first],
                    Over::Axis(1 | -2) => vec![rows],
                    Over::Axis(_) => vec![columns],
                    Over::All => vec![first, rows, columns],
                }
            }
            Over::All => vec![rows, columns],
            Over::Axis(_) if rank < 2 => vec![rows, columns],
            Over::Axis(axis) if axis == 0 || axis == -2 => vec![rows],
            Over::Axis(_) => vec![columns],
        };
        let mut count: Option<Array> = None;
        for size in sizes {
            if size == ONE && count.is_some() {
                continue;
            }
            let Some(kind) = size.kind() else {
                let message = "How many entries the mean divides by is not clear here: write the sum, and divide it.";
                return Err(self.shape_error(span, message));
            };
            let next = match size {
                Size::Fixed(size) => Array::number(size as f64, span),
                _ => Array::new(kind, span, 0, (ONE, ONE)),
            };
            count = Some(match count {
                Some(before) if before.whole != Some(1) => {
                    self.elementwise(Operation::Of(Operator::Hadamard), before, next, span)?
                }
                _ => next,
            });
        }
        Ok(count.unwrap_or_else(|| Array::number(1.0, span)))
    }

    /// The mean along an axis, or of all entries.
    pub(super) fn mean(
        &mut self,
        a: Array,
        over: Over,
        keep: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let count = self.count(&a, over, span)?;
        let sum = self.summed(a, over, keep, span)?;
        if count.whole == Some(1) {
            return Ok(sum);
        }
        self.elementwise(Operation::Of(Operator::Divide), sum, count, span)
    }

    /// Σ of an array over an axis of an index.
    pub(super) fn series_sum(
        &mut self,
        axis: &Axis,
        mut body: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let (letter, from, to) = self.close(axis, &mut body, span)?;
        let shape = body.clone_shape();
        let kind = Kind::Sum(
            letter,
            Some((Arc::new(from), Arc::new(to))),
            Arc::new(body.expr),
        );
        self.checked(shape.with(Expr::new(kind, span), 3))
    }

    /// An array with one more axis, its first, along which an index runs.
    pub(super) fn stacked(
        &mut self,
        axis: &Axis,
        body: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if axis.filtered {
            let message = "A condition in a list leaves entries out, which is known inside sum(…) only: use np.where.";
            return Err(self.syntax_error(span, message));
        }
        if body.rank >= 2 {
            let mut three = body;
            if three.rank > 2 {
                return Err(self.shape_error(span, "Arrays of rank 4 are not known here."));
            }
            three.rank = 3;
            three.batch = Some(axis.clone());
            return Ok(three);
        }
        let rank = body.rank;
        let mut body = body.into_row();
        let count = match (axis.from.value(), axis.to.normal()) {
            (Some(0), to) if to.plus == 0 => to.size,
            (Some(from), to) => to
                .value()
                .map_or(Size::Unknown, |to| Size::Fixed((to - from).max(0) as usize)),
            _ => Size::Unknown,
        };
        let (letter, from, to) = self.close(axis, &mut body, span)?;
        let nodes = body.nodes + 3;
        let sizes = (count, body.sizes.1);
        let kind = Kind::Stack(letter, Arc::new(from), Arc::new(to), Arc::new(body.expr));
        let mut array = Array::new(Kind::Number(0.0), span, rank + 1, sizes);
        array.expr = Expr::new(kind, span);
        array.nodes = nodes;
        array.column = rank == 0;
        self.checked(array)
    }
}

fn axes(rank: i64) -> &'static str {
    if rank == 1 { "axis" } else { "axes" }
}
