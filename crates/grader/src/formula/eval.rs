//! Evaluates a formula on one network. Shapes are checked where an operator meets its operands.

use std::ops::Range;

use smallvec::SmallVec;

use super::derivative::derivative;
use super::expr::{Comparison, Expr, Index, Indices, Kind, Operator, Semantics};
use super::memory::EvaluationMark;
use super::reading::products_first;
use super::{Bindings, Fault, FormulaError, Matrix, Memory, Symbol};

/// A value and its accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The entries.
    pub matrix: Matrix,
    /// Whether it contains a derivative computed by differences, so that only about six digits are accurate.
    pub approximate: bool,
    /// The number of entries computed on the way.
    pub work: usize,
}

/// The value of `expr`, with the question's indices bound to `letters`, counted from 1.
///
/// # Errors
/// Unknown quantities, indices without a value or out of range, shapes that do not fit, too much work.
pub fn evaluate(
    expr: &Expr,
    bindings: &dyn Bindings,
    letters: &[(char, usize)],
) -> Result<Value, FormulaError> {
    evaluate_counting(expr, bindings, letters, &mut 0)
}

/// The same; `work` grows by the computed entries, whether or not there is a value.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_counting(
    expr: &Expr,
    bindings: &dyn Bindings,
    letters: &[(char, usize)],
    work: &mut usize,
) -> Result<Value, FormulaError> {
    Evaluator::new(bindings, letters).finish(expr, work)
}

/// A shape for messages, with m where the size can only be the batch's.
pub fn shape_text((rows, columns): (usize, usize), bindings: &dyn Bindings) -> String {
    let number = |symbol| bindings.value(symbol).and_then(Matrix::as_scalar);
    let batch = number(Symbol::BatchSize).unwrap_or(1.0) as usize;
    let is_layer =
        (0..=bindings.depth()).any(|layer| number(Symbol::Units(layer)) == Some(batch as f64));
    let size = |n: usize| {
        if n == batch && batch > 1 && !is_layer {
            "m".to_owned()
        } else {
            n.to_string()
        }
    };
    format!("{} × {}", size(rows), size(columns))
}

pub(super) struct Evaluator<'b> {
    pub(super) bindings: &'b dyn Bindings,
    /// The indices that have a value: the question's, then those of the enclosing sums and stacks.
    pub(super) letters: SmallVec<[(char, usize); 8]>,
    /// The number of the question's indices.
    pub(super) given: usize,
    pub(super) work: usize,
    pub(super) approximate: bool,
    /// What operators do with operands of different shapes.
    pub(super) semantics: Semantics,
    /// Values known from earlier evaluations of the formula.
    pub(super) memory: Option<&'b mut Memory>,
}

/// Whether the expression is a literal number.
pub(super) fn is_constant(expr: &Expr) -> bool {
    expr.pieces().all(|piece| {
        matches!(
            piece.kind,
            Kind::Number(_)
                | Kind::Negate(_)
                | Kind::Transpose(_)
                | Kind::Binary(Operator::Divide, ..)
        )
    })
}

/// Whether the expression is a bias of the network.
fn is_bias(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Symbol(Symbol::Bias(_)))
}

/// Whether the expression is the ones of any length, or their transpose.
fn is_ones(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Transpose(inner) => inner.kind == Kind::Ones(None),
        kind => *kind == Kind::Ones(None),
    }
}

impl<'b> Evaluator<'b> {
    pub(super) fn new(bindings: &'b dyn Bindings, letters: &[(char, usize)]) -> Self {
        Self {
            bindings,
            letters: SmallVec::from_slice(letters),
            given: letters.len(),
            work: 0,
            approximate: false,
            semantics: Semantics::Mathematics,
            memory: None,
        }
    }

    pub(super) fn finish(mut self, expr: &Expr, work: &mut usize) -> Result<Value, FormulaError> {
        let matrix = self.value(expr);
        *work += self.work;
        Ok(Value {
            matrix: matrix?,
            approximate: self.approximate,
            work: self.work,
        })
    }

    /// The value of an expression, remembered or computed.
    #[inline]
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Matrix, FormulaError> {
        match &expr.kind {
            Kind::Binary(_, left, _) if matches!(left.kind, Kind::Binary(..)) => self.row(expr),
            _ => match self.recall(expr) {
                Some(value) => value,
                None => self.value_anew(expr),
            },
        }
    }

    #[inline]
    fn value_anew(&mut self, expr: &Expr) -> Result<Matrix, FormulaError> {
        let begun = self.begin(expr);
        let value = self.compute(expr);
        let value = self.charged(expr, value);
        self.end(&begun, &value);
        value
    }

    /// The value of a row of operands, from left to right. A row of a thousand uses no more stack than a row of two.
    fn row(&mut self, expr: &Expr) -> Result<Matrix, FormulaError> {
        let mut open: SmallVec<[(&Expr, EvaluationMark); 4]> = SmallVec::new();
        let mut at = expr;
        let mut value = loop {
            if let Some(value) = self.recall(at) {
                break value;
            }
            match &at.kind {
                Kind::Binary(_, left, _) => {
                    open.push((at, self.begin(at)));
                    at = left;
                }
                _ => break self.value_anew(at),
            }
        };
        while let Some((piece, begun)) = open.pop() {
            let joined = value.and_then(|left| self.joined(piece, left));
            value = self.charged(piece, joined);
            self.end(&begun, &value);
        }
        value
    }

    /// The value of a binary expression whose left side has this value.
    fn joined(&mut self, piece: &Expr, left: Matrix) -> Result<Matrix, FormulaError> {
        match &piece.kind {
            Kind::Binary(operator, left_side, right) => {
                self.binary(*operator, (left_side, left), right, piece)
            }
            _ => Ok(left),
        }
    }

    pub(super) fn compute(&mut self, expr: &Expr) -> Result<Matrix, FormulaError> {
        match &expr.kind {
            Kind::Number(number) => Ok(Matrix::scalar(*number)),
            Kind::Symbol(symbol) => self.symbol(*symbol, expr).cloned(),
            Kind::Letter(letter) => Ok(Matrix::scalar(self.letter(*letter, expr)? as f64)),
            Kind::Ones(size) => {
                let size = match size {
                    Some(size) => self.integer(size)?,
                    None => self.size(Symbol::BatchSize, expr)?,
                };
                Ok(Matrix::filled(size.clamp(1, 1000), 1, 1.0))
            }
            Kind::Select(base, indices) => {
                let value;
                let base = match base.kind {
                    Kind::Symbol(symbol) => {
                        let own = self.symbol(symbol, base)?;
                        self.pay(own.entries().len(), base)?;
                        own
                    }
                    _ => {
                        value = self.value(base)?;
                        &value
                    }
                };
                let (rows, columns) = self.ranges(base.shape(), indices, expr)?;
                Ok(base.block(rows, columns))
            }
            Kind::Transpose(inner) => Ok(self.value(inner)?.transposed()),
            Kind::Negate(inner) => Ok(self.value(inner)?.map(|entry| -entry)),
            Kind::Power(base, exponent) => {
                let (base, power) = (self.value(base)?, self.value(exponent)?);
                let Some(power) = power.as_scalar() else {
                    return Err(self.shape_error(expr, "The exponent is not a number."));
                };
                Ok(base.map(|entry| libm::pow(entry, power)))
            }
            Kind::Binary(operator, left, right) => {
                let value = self.value(left)?;
                self.binary(*operator, (left, value), right, expr)
            }
            Kind::Mixed(..) => self.value(&products_first(expr)),
            Kind::Compare(comparison, left, right) => {
                let (a, b) = (self.value(left)?, self.value(right)?);
                let (a, b) = self.spread(a, left, b, right, expr, "compared")?;
                Ok(a.zip(&b, |a, b| f64::from(holds(*comparison, a, b))))
            }
            Kind::Call(function, arguments) => self.call(*function, arguments, expr),
            Kind::Sum(letter, range, body) => self.sum(*letter, range.as_ref(), body, expr),
            Kind::Stack(letter, from, to, body) => self.stack(*letter, from, to, body, expr),
            Kind::Unit(index, size) => {
                let Some(size) = size else {
                    let message = "The size of this unit vector is not clear here; write it as a column such as [1; 0].";
                    return Err(self.shape_error(expr, message));
                };
                let size = self.integer(size)?.min(1000);
                if size < 2 {
                    return Err(self.shape_error(expr, "A unit vector has two entries or more."));
                }
                let range = self.range(*index, size, "row", expr)?;
                let mut column = Matrix::filled(size, 1, 0.0);
                for entry in &mut column.entries_mut()[range] {
                    *entry = 1.0;
                }
                Ok(column)
            }
            Kind::Range(letter, to, body) => self.range_of_entries(*letter, to, body, expr),
            Kind::Entries(row, column, body, like) => {
                let letters = (*row, *column);
                self.entries(letters, body, like.as_deref(), expr)
            }
            Kind::Rows(rows) => self.blocks(rows, expr),
            Kind::Cases(cases) => self.cases(cases, expr),
            Kind::Derivative(of, by) => derivative(self, of, by, expr),
            Kind::Code(semantics, inner) => {
                let outer = std::mem::replace(&mut self.semantics, *semantics);
                let value = self.value(inner);
                self.semantics = outer;
                value
            }
        }
    }

    /// An error. Its message is only written if there is no memory, because searches with one discard it.
    fn fault(&self, fault: Fault, expr: &Expr, message: impl FnOnce() -> String) -> FormulaError {
        let message = match self.memory {
            Some(_) => String::new(),
            None => message(),
        };
        FormulaError::new(fault, expr.span, message)
    }

    #[inline]
    pub(super) fn symbol(&self, symbol: Symbol, expr: &Expr) -> Result<&'b Matrix, FormulaError> {
        let depth = self.bindings.depth();
        let message = || match symbol {
            Symbol::Bias(_) => "This layer has no bias b.".to_owned(),
            Symbol::Argument => "There is no such symbol in this question.".to_owned(),
            _ => format!(
                "There is no such layer: the network has the layers 1 to {depth}, and h^0 = x."
            ),
        };
        let value = self.bindings.value(symbol);
        value.ok_or_else(|| self.fault(Fault::UnknownSymbol, expr, message))
    }

    pub(super) fn shape_error(&self, expr: &Expr, message: impl Into<String>) -> FormulaError {
        FormulaError::new(Fault::Shape, expr.span, message)
    }

    #[inline]
    pub(super) fn letter(&self, letter: char, expr: &Expr) -> Result<usize, FormulaError> {
        let bound = self.letters.iter().rev().find(|(name, _)| *name == letter);
        bound.map(|(_, value)| *value).ok_or_else(|| {
            let message = || {
                format!(
                    "The index {letter} has no value: the question does not give it and no sum runs over it."
                )
            };
            self.fault(Fault::UnboundIndex, expr, message)
        })
    }

    pub(super) fn size(&self, symbol: Symbol, expr: &Expr) -> Result<usize, FormulaError> {
        Ok(self.symbol(symbol, expr)?.at(0, 0) as usize)
    }

    pub(super) fn integer(&mut self, expr: &Expr) -> Result<usize, FormulaError> {
        let value = self.value(expr)?.as_scalar();
        let value = value.filter(|value| value.fract() == 0.0 && (0.0..=1e6).contains(value));
        value
            .map(|value| value as usize)
            .ok_or_else(|| self.shape_error(expr, "A limit of a sum must be a whole number."))
    }

    /// Whether the one index of this selection, from a matrix of this shape, is a column: it is of a row, but for the
    /// row of the only sample of a batch.
    pub(super) fn one_index_is_column(
        &self,
        select: &Expr,
        (rows, columns): (usize, usize),
    ) -> bool {
        let is_of_samples = matches!(&select.kind, Kind::Select(base, _) if matches!(
            base.kind,
            Kind::Symbol(Symbol::PreActivation(_) | Symbol::Activation(_) | Symbol::Targets | Symbol::Delta)
        ));
        let is_only_sample =
            is_of_samples && self.bindings.is_batch() && !self.bindings.samples_are_columns();
        rows == 1 && columns > 1 && !is_only_sample
    }

    /// The rows and columns, from 0, that indices pick from a matrix of this shape.
    pub(super) fn ranges(
        &self,
        (rows, columns): (usize, usize),
        indices: &Indices,
        expr: &Expr,
    ) -> Result<(Range<usize>, Range<usize>), FormulaError> {
        let (row, column) = match *indices {
            Indices::Two(row, column) => (row, column),
            Indices::One(index) if self.one_index_is_column(expr, (rows, columns)) => {
                (Index::All, index)
            }
            Indices::One(index) => (index, Index::All),
        };
        Ok((
            self.range(row, rows, "row", expr)?,
            self.range(column, columns, "column", expr)?,
        ))
    }

    #[inline]
    pub(super) fn range(
        &self,
        index: Index,
        length: usize,
        what: &str,
        expr: &Expr,
    ) -> Result<Range<usize>, FormulaError> {
        let at = match index {
            Index::All => return Ok(0..length),
            Index::Number(at) => at,
            Index::Letter(letter) => self.letter(letter, expr)?,
            Index::Size(symbol) => self.size(symbol, expr)?,
        };
        if (1..=length).contains(&at) {
            return Ok(at - 1..at);
        }
        let message = || match self.semantics {
            Semantics::Numpy => format!(
                "The {what} {} is asked for; there are {length}, counted from 0.",
                at as i64 - 1
            ),
            Semantics::Mathematics | Semantics::Matlab => {
                format!("The {what} {at} is asked for; there are {length}, counted from 1.")
            }
        };
        Err(self.fault(Fault::OutOfRange, expr, message))
    }

    /// Broadcasts both sides to one shape; only a literal number stands for a matrix of itself.
    pub(super) fn spread(
        &self,
        a: Matrix,
        left: &Expr,
        b: Matrix,
        right: &Expr,
        whole: &Expr,
        verb: &str,
    ) -> Result<(Matrix, Matrix), FormulaError> {
        if a.shape() == b.shape() {
            return Ok((a, b));
        }
        if self.semantics != Semantics::Mathematics {
            return self.broadcast(&a, &b, whole);
        }
        // `\mathbf{1} - h ⊙ h`: ones of the shape of the other side.
        if is_ones(left) || is_ones(right) {
            let like = if is_ones(left) { &b } else { &a };
            let ones = Matrix::filled(like.rows(), like.columns(), 1.0);
            return Ok(if is_ones(left) { (ones, b) } else { (a, ones) });
        }
        match (a.as_scalar(), b.as_scalar()) {
            (_, Some(number)) if is_constant(right) => {
                let b = Matrix::filled(a.rows(), a.columns(), number);
                Ok((a, b))
            }
            (Some(number), _) if is_constant(left) => {
                let a = Matrix::filled(b.rows(), b.columns(), number);
                Ok((a, b))
            }
            _ if is_bias(right) && self.fits_each_sample(&b, &a) => {
                let b = self.for_each_sample(&b, &a);
                Ok((a, b))
            }
            _ if is_bias(left) && self.fits_each_sample(&a, &b) => {
                let a = self.for_each_sample(&a, &b);
                Ok((a, b))
            }
            _ => {
                let message = || {
                    format!(
                        "A {} and a {} cannot be {verb}: their shapes must be equal.",
                        shape_text(a.shape(), self.bindings),
                        shape_text(b.shape(), self.bindings)
                    )
                };
                Err(self.fault(Fault::Shape, whole, message))
            }
        }
    }

    /// Whether a bias has the size of one sample of a batch.
    fn fits_each_sample(&self, bias: &Matrix, batch: &Matrix) -> bool {
        if self.bindings.samples_are_columns() {
            bias.shape() == (batch.rows(), 1)
        } else {
            bias.shape() == (1, batch.columns())
        }
    }

    /// A bias once for each sample, as every course writes z = x Wᵀ + b of a batch.
    fn for_each_sample(&self, bias: &Matrix, batch: &Matrix) -> Matrix {
        if self.bindings.samples_are_columns() {
            bias.product(&Matrix::filled(1, batch.columns(), 1.0))
        } else {
            Matrix::filled(batch.rows(), 1, 1.0).product(bias)
        }
    }

    /// Repeats rows, columns and numbers until both sides have one shape.
    fn broadcast(
        &self,
        a: &Matrix,
        b: &Matrix,
        whole: &Expr,
    ) -> Result<(Matrix, Matrix), FormulaError> {
        match broadcast_shape(a.shape(), b.shape()) {
            Some((rows, columns)) => {
                self.afford(rows.saturating_mul(columns), whole)?;
                Ok((a.repeated(rows, columns), b.repeated(rows, columns)))
            }
            None => {
                let message = || {
                    format!(
                        "A {} and a {} cannot be broadcast to one shape.",
                        shape_text(a.shape(), self.bindings),
                        shape_text(b.shape(), self.bindings)
                    )
                };
                Err(self.fault(Fault::Shape, whole, message))
            }
        }
    }

    /// Whether a side of a product scales the other: a 1 × 1 matrix does, but not in numpy's matrix product.
    fn scales(&self, operator: Operator, side: &Expr) -> bool {
        operator != Operator::Times || self.semantics != Semantics::Numpy || is_number(side)
    }

    pub(super) fn binary(
        &mut self,
        operator: Operator,
        (left, a): (&Expr, Matrix),
        right: &Expr,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let b = self.value(right)?;
        self.pay(a.entries().len().saturating_mul(b.columns()), whole)?;
        match operator {
            Operator::Add => {
                let (a, b) = self.spread(a, left, b, right, whole, "added")?;
                Ok(a.zip(&b, |a, b| a + b))
            }
            Operator::Subtract => {
                let (a, b) = self.spread(a, left, b, right, whole, "subtracted")?;
                Ok(a.zip(&b, |a, b| a - b))
            }
            Operator::Divide => match b.as_scalar() {
                None if self.semantics != Semantics::Mathematics => {
                    let (a, b) = self.broadcast(&a, &b, whole)?;
                    Ok(a.zip(&b, |a, b| a / b))
                }
                Some(number) => Ok(a.map(|entry| entry / number)),
                None => {
                    let shape = shape_text(b.shape(), self.bindings);
                    Err(self.shape_error(
                        whole,
                        format!("Only a number can divide; the divisor is {shape}."),
                    ))
                }
            },
            Operator::Times | Operator::Hadamard => {
                if let Some(number) = a.as_scalar()
                    && self.scales(operator, left)
                {
                    Ok(b.map(|entry| number * entry))
                } else if let Some(number) = b.as_scalar()
                    && self.scales(operator, right)
                {
                    Ok(a.map(|entry| entry * number))
                } else if operator == Operator::Times && a.columns() == b.rows() {
                    Ok(a.product(&b))
                } else if operator == Operator::Hadamard && a.shape() == b.shape() {
                    Ok(a.zip(&b, |a, b| a * b))
                } else if operator == Operator::Hadamard && self.semantics != Semantics::Mathematics
                {
                    let (a, b) = self.broadcast(&a, &b, whole)?;
                    Ok(a.zip(&b, |a, b| a * b))
                } else {
                    let message = || {
                        let (left, right) = (
                            shape_text(a.shape(), self.bindings),
                            shape_text(b.shape(), self.bindings),
                        );
                        if operator == Operator::Times {
                            format!(
                                "A {left} and a {right} cannot be multiplied: the first must have as many columns as the second has rows."
                            )
                        } else {
                            format!(
                                "A {left} and a {right} have no elementwise product: their shapes must be equal."
                            )
                        }
                    };
                    Err(self.fault(Fault::Shape, whole, message))
                }
            }
        }
    }
}

/// Whether the expression is a number rather than a matrix with one entry.
pub(super) fn is_number(expr: &Expr) -> bool {
    expr.pieces().all(|piece| {
        matches!(
            piece.kind,
            Kind::Number(_)
                | Kind::Negate(_)
                | Kind::Binary(..)
                | Kind::Symbol(Symbol::BatchSize | Symbol::Units(_) | Symbol::Argument)
        )
    })
}

/// The shape that two operands are broadcast to: sizes are equal or one of them is 1.
pub(super) fn broadcast_shape(a: (usize, usize), b: (usize, usize)) -> Option<(usize, usize)> {
    let size = |a, b| match (a, b) {
        (1, size) | (size, 1) => Some(size),
        (a, b) => (a == b).then_some(a),
    };
    Some((size(a.0, b.0)?, size(a.1, b.1)?))
}

#[expect(clippy::float_cmp, reason = "indices are whole numbers")]
fn holds(comparison: Comparison, a: f64, b: f64) -> bool {
    match comparison {
        Comparison::GreaterOrEqual => a >= b,
        Comparison::Greater => a > b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Less => a < b,
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
    }
}
