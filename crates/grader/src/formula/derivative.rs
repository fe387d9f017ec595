//! Evaluates ∂A/∂B inside a formula: exactly between quantities of the network, by central differences otherwise.

use std::ops::Range;

use super::eval::Evaluator;
use super::expr::{Expr, Function, Kind};
use super::{Fault, FormulaError, Matrix, Symbol};

/// How far an entry is moved to each side. Between kinks, a ReLU network's loss is quadratic in any one entry, so the
/// difference is exact there. The step is small enough for the smooth activations and large enough for rounding.
const STEP: f64 = 1e-4;

/// The approximate cost of a pass through a small network, in computed entries.
const WORK: usize = 20;

/// Selected entries of a symbol, as a matrix.
struct Entries {
    symbol: Symbol,
    rows: Range<usize>,
    columns: Range<usize>,
    /// Columns of the whole symbol.
    stride: usize,
}

impl Entries {
    fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.columns.len())
    }

    /// Their indices in the symbol, row-major.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let columns = move |row: usize| {
            let columns = self.columns.clone();
            columns.map(move |column| row * self.stride + column)
        };
        self.rows.clone().flat_map(columns)
    }
}

fn entries(evaluator: &Evaluator<'_>, expr: &Expr) -> Result<Option<Entries>, FormulaError> {
    let (symbol, indices) = match &expr.kind {
        Kind::Symbol(symbol) => (*symbol, None),
        Kind::Select(base, indices) => match base.kind {
            Kind::Symbol(symbol) => (symbol, Some(indices)),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let (all_rows, stride) = evaluator.symbol(symbol, expr)?.shape();
    let (rows, columns) = match indices {
        None => (0..all_rows, 0..stride),
        Some(indices) => evaluator.ranges((all_rows, stride), indices, expr)?,
    };
    Ok(Some(Entries {
        symbol,
        rows,
        columns,
        stride,
    }))
}

pub(super) fn derivative(
    evaluator: &mut Evaluator<'_>,
    of: &Expr,
    by: &Expr,
    whole: &Expr,
) -> Result<Matrix, FormulaError> {
    if let (Kind::Call(Function::Sigma | Function::Relu, arguments), Kind::Symbol(Symbol::Argument)) =
        (&of.kind, &by.kind)
        && let [argument] = &arguments[..]
        && argument.kind == by.kind
    {
        let z = evaluator.value(argument)?;
        return Ok(z.map(|z| evaluator.bindings.activation_slope(z)));
    }
    let Some(below) = entries(evaluator, by)? else {
        let message =
            "A derivative is taken with respect to a quantity of the network, or entries of one.";
        return Err(FormulaError::new(Fault::NotEvaluable, whole.span, message));
    };
    evaluator.pay(WORK, whole)?;
    if let Some(above) = entries(evaluator, of)?
        && let Some(jacobian) = evaluator.bindings.jacobian(above.symbol, below.symbol)
    {
        evaluator.pay(jacobian.entries().len() / 8, whole)?;
        let values = above
            .places()
            .flat_map(|row| below.places().map(move |column| (row, column)));
        let values = values
            .map(|(row, column)| jacobian.at(row, column))
            .collect();
        return shaped(values, above.shape(), below.shape(), whole);
    }
    by_differences(evaluator, of, &below, whole)
}

fn by_differences(
    evaluator: &mut Evaluator<'_>,
    of: &Expr,
    below: &Entries,
    whole: &Expr,
) -> Result<Matrix, FormulaError> {
    evaluator.approximate = true;
    let (mut columns, mut shape) = (Vec::new(), (1, 1));
    for place in below.places() {
        let mut sides = Vec::with_capacity(2);
        for by in [STEP, -STEP] {
            evaluator.pay(WORK, whole)?;
            let Some(moved) = evaluator.bindings.moved(below.symbol, place, by) else {
                let message = "Nothing can be differentiated with respect to this.";
                return Err(FormulaError::new(Fault::NotEvaluable, whole.span, message));
            };
            let mut inner = Evaluator::new(&*moved, &evaluator.letters);
            inner.work = evaluator.work;
            let value = inner.value(of);
            evaluator.work = inner.work;
            let value = value?;
            shape = value.shape();
            sides.push(value);
        }
        if let [above, below] = &sides[..] {
            columns.push(above.zip(below, |above, below| (above - below) / (2.0 * STEP)));
        }
    }
    let entries = (0..shape.0 * shape.1)
        .flat_map(|row| columns.iter().map(move |column| column.entries()[row]));
    shaped(entries.collect(), shape, below.shape(), whole)
}

/// The number of entries of a row or a column.
fn length((rows, columns): (usize, usize)) -> Option<usize> {
    (rows == 1 || columns == 1).then_some(rows * columns)
}

/// The derivative of one entry has the shape of the denominator; with respect to one entry, the shape of the numerator.
/// The derivative of a vector with respect to a vector has a row for each entry of the numerator.
/// Any other derivative has four indices and is not a matrix.
fn shaped(
    values: Vec<f64>,
    above: (usize, usize),
    below: (usize, usize),
    whole: &Expr,
) -> Result<Matrix, FormulaError> {
    if above == (1, 1) {
        Ok(Matrix::new(below.0, below.1, values))
    } else if below == (1, 1) {
        Ok(Matrix::new(above.0, above.1, values))
    } else if let (Some(rows), Some(columns)) = (length(above), length(below)) {
        Ok(Matrix::new(rows, columns, values))
    } else {
        let message = "The derivative of a matrix with respect to a matrix is not one matrix.";
        Err(FormulaError::new(Fault::NotEvaluable, whole.span, message))
    }
}
