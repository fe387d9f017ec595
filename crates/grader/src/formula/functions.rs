//! Evaluates functions, block matrices and cases.

use super::eval::{Evaluator, broadcast_shape, is_constant, shape_text};
use super::expr::{Expr, Function, Operator, Semantics};
use super::{FormulaError, Matrix};

impl Evaluator<'_> {
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: &[Expr],
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let values: Vec<Matrix> = arguments
            .iter()
            .map(|argument| self.value(argument))
            .collect::<Result<_, _>>()?;
        let (a, b) = match &values[..] {
            [a] => (a, None),
            [a, b] => (a, Some(b)),
            [a, rows, columns] if function == Function::Reshape => {
                return self.reshaped(a, rows, columns, whole);
            }
            _ => return Err(self.shape_error(whole, "A function takes one or two arguments.")),
        };
        let bindings = self.bindings;
        let value = match function {
            Function::Sigma => a.map(|z| bindings.activation(z)),
            Function::SigmaPrime => a.map(|z| bindings.activation_slope(z)),
            Function::Relu => a.map(|z| z.max(0.0)),
            Function::ReluPrime | Function::Step => a.map(|z| f64::from(z >= 0.0)),
            Function::Sigmoid => a.map(sigmoid),
            Function::Tanh => a.map(libm::tanh),
            Function::TanhPrime => a.map(tanh_slope),
            Function::Exp => a.map(libm::exp),
            Function::Log => a.map(libm::log),
            Function::Sqrt => a.map(libm::sqrt),
            Function::Abs => a.map(f64::abs),
            Function::Sign => a.map(|z| if z == 0.0 { 0.0 } else { z.signum() }),
            Function::Softmax if bindings.samples_are_columns() => {
                softmax(&a.transposed()).transposed()
            }
            Function::Softmax => softmax(a),
            Function::Diag => self.diagonal(a, whole)?,
            Function::Max | Function::Min => {
                let (Some(b), [left, right]) = (b, arguments) else {
                    return Err(self.shape_error(whole, "max and min take two arguments."));
                };
                let (a, b) = self.spread(a.clone(), left, b.clone(), right, whole, "compared")?;
                let max = function == Function::Max;
                a.zip(&b, |a, b| if max { a.max(b) } else { a.min(b) })
            }
            Function::ColumnSums => a.column_sums(),
            Function::RowSums => a.product(&Matrix::filled(a.columns(), 1, 1.0)),
            Function::Total => Matrix::scalar(a.entries().iter().sum()),
            Function::Trace if a.rows() == a.columns() => {
                Matrix::scalar((0..a.rows()).map(|at| a.at(at, at)).sum())
            }
            Function::Trace => {
                let shape = shape_text(a.shape(), bindings);
                let message = format!("tr takes a square matrix; this is {shape}.");
                return Err(self.shape_error(whole, message));
            }
            Function::Outer | Function::Dot => {
                let Some(b) = b else {
                    return Err(self.shape_error(whole, "A product takes two factors."));
                };
                return self.vector_product(function, arguments, a, b, whole);
            }
            Function::Flatten | Function::Reshape => {
                Matrix::new(1, a.entries().len(), a.entries().to_vec())
            }
            Function::DiagonalOf => {
                let length = a.rows().min(a.columns());
                Matrix::new(1, length, (0..length).map(|at| a.at(at, at)).collect())
            }
        };
        Ok(value)
    }

    /// a ⊗ b, and a · b.
    fn vector_product(
        &mut self,
        function: Function,
        arguments: &[Expr],
        a: &Matrix,
        b: &Matrix,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let is_vector = |matrix: &Matrix| matrix.rows() == 1 || matrix.columns() == 1;
        let is_scalar = a.as_scalar().is_some() || b.as_scalar().is_some();
        match function {
            Function::Dot if a.shape() == b.shape() && is_vector(a) => {
                let terms = a.entries().iter().zip(b.entries());
                Ok(Matrix::scalar(terms.map(|(a, b)| a * b).sum()))
            }
            Function::Outer if !is_scalar && is_vector(a) && is_vector(b) => {
                let (rows, columns) = (a.entries().len(), b.entries().len());
                self.afford(rows.saturating_mul(columns), whole)?;
                let entries = a.entries().iter();
                let entries = entries.flat_map(|a| b.entries().iter().map(move |b| a * b));
                Ok(Matrix::new(rows, columns, entries.collect()))
            }
            Function::Outer if !is_scalar => {
                let (a, b) = (
                    shape_text(a.shape(), self.bindings),
                    shape_text(b.shape(), self.bindings),
                );
                let message = format!(
                    "⊗ is the outer product of two vectors; these are {a} and {b}. Write \\odot for the elementwise product, and nothing for the matrix product."
                );
                Err(self.shape_error(whole, message))
            }
            _ => match arguments {
                [left, right] => self.binary(Operator::Times, (left, a.clone()), right, whole),
                _ => Err(self.shape_error(whole, "A product takes two factors.")),
            },
        }
    }

    fn reshaped(
        &self,
        a: &Matrix,
        rows: &Matrix,
        columns: &Matrix,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let all = a.entries().len();
        let size = |size: &Matrix| size.as_scalar().filter(|size| size.fract() == 0.0);
        let known = |size: f64| (1.0..=all as f64).contains(&size).then_some(size as usize);
        let shape = match (size(rows), size(columns)) {
            (Some(-1.0), Some(columns)) => known(columns).map(|columns| (all / columns, columns)),
            (Some(rows), Some(-1.0)) => known(rows).map(|rows| (rows, all / rows)),
            (Some(rows), Some(columns)) => known(rows).zip(known(columns)),
            _ => None,
        };
        match shape {
            Some((rows, columns)) if rows * columns == all => {
                Ok(Matrix::new(rows, columns, a.entries().to_vec()))
            }
            _ => {
                let shape = shape_text(a.shape(), self.bindings);
                Err(self.shape_error(
                    whole,
                    format!("The entries of a {shape} do not fill this shape."),
                ))
            }
        }
    }

    pub(super) fn diagonal(&self, a: &Matrix, whole: &Expr) -> Result<Matrix, FormulaError> {
        let n = a.entries().len();
        if a.rows() == 1 || a.columns() == 1 {
            self.afford(n.saturating_mul(n), whole)?;
            let mut square = Matrix::filled(n, n, 0.0);
            for (at, &entry) in a.entries().iter().enumerate() {
                square.entries_mut()[at * n + at] = entry;
            }
            return Ok(square);
        }
        let shape = shape_text(a.shape(), self.bindings);
        Err(self.shape_error(
            whole,
            format!("diag takes one row or column; this is {shape}."),
        ))
    }

    pub(super) fn blocks(
        &mut self,
        rows: &[Vec<Expr>],
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let wide = rows.iter().map(Vec::len).max().unwrap_or(0);
        if rows.iter().any(|row| row.len() != wide) {
            return Err(self.shape_error(
                whole,
                "The rows of the matrix have different numbers of entries.",
            ));
        }
        let mut values = Vec::with_capacity(rows.len());
        let mut heights = vec![1; rows.len()];
        let mut widths = vec![1; wide];
        for (i, row) in rows.iter().enumerate() {
            let mut line = Vec::with_capacity(wide);
            for (j, part) in row.iter().enumerate() {
                let value = self.value(part)?;
                if !is_constant(part) {
                    heights[i] = value.rows().max(heights[i]);
                    widths[j] = value.columns().max(widths[j]);
                }
                line.push(value);
            }
            values.push(line);
        }
        let (height, width) = (heights.iter().sum::<usize>(), widths.iter().sum::<usize>());
        self.afford(height.saturating_mul(width), whole)?;
        let mut entries = Vec::with_capacity(height * width);
        for (i, (line, parts)) in values.iter().zip(rows).enumerate() {
            for r in 0..heights[i] {
                for (j, (value, part)) in line.iter().zip(parts).enumerate() {
                    if is_constant(part) {
                        entries.extend(std::iter::repeat_n(value.at(0, 0), widths[j]));
                    } else if value.shape() == (heights[i], widths[j]) {
                        entries.extend((0..widths[j]).map(|c| value.at(r, c)));
                    } else {
                        let found = shape_text(value.shape(), self.bindings);
                        let wanted = shape_text((heights[i], widths[j]), self.bindings);
                        let message = format!(
                            "This block is {found} where its row and column need {wanted}."
                        );
                        return Err(self.shape_error(part, message));
                    }
                }
            }
        }
        Ok(Matrix::new(height, width, entries))
    }

    pub(super) fn cases(
        &mut self,
        cases: &[(Expr, Option<Expr>)],
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let mut shape = (1, 1);
        let mut values = Vec::with_capacity(cases.len());
        for (value, condition) in cases {
            let condition = condition
                .as_ref()
                .map(|condition| self.value(condition))
                .transpose()?;
            let value = self.value(value)?;
            for part in condition.iter().chain([&value]) {
                if self.semantics != Semantics::Mathematics
                    && let Some(both) = broadcast_shape(shape, part.shape())
                {
                    self.afford(both.0.saturating_mul(both.1), whole)?;
                    shape = both;
                    continue;
                }
                if part.shape() != (1, 1) && shape != (1, 1) && part.shape() != shape {
                    return Err(self.shape_error(whole, "The cases differ in shape."));
                }
                if part.shape() != (1, 1) {
                    shape = part.shape();
                }
            }
            values.push((value, condition));
        }
        if self.semantics != Semantics::Mathematics {
            for (value, condition) in &mut values {
                for part in condition.iter_mut().chain([value]) {
                    *part = part.repeated(shape.0, shape.1);
                }
            }
        }
        let pick =
            |matrix: &Matrix, at: usize| matrix.as_scalar().unwrap_or_else(|| matrix.entries()[at]);
        let entries: Option<Vec<f64>> = (0..shape.0 * shape.1)
            .map(|at| {
                let holds = values
                    .iter()
                    .find(|(_, condition)| condition.as_ref().is_none_or(|c| pick(c, at) != 0.0));
                holds.map(|(value, _)| pick(value, at))
            })
            .collect();
        let entries = entries.ok_or_else(|| {
            self.shape_error(whole, "No case holds here; add one for what is left.")
        })?;
        Ok(Matrix::new(shape.0, shape.1, entries))
    }
}

fn sigmoid(z: f64) -> f64 {
    let e = libm::exp(-z.abs());
    (if z < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// sech² z: 1 − tanh² z would be 0 from z = 20.
fn tanh_slope(z: f64) -> f64 {
    let e = libm::exp(-2.0 * z.abs());
    4.0 * e / ((1.0 + e) * (1.0 + e))
}

fn softmax(a: &Matrix) -> Matrix {
    let entries = a.entries().chunks_exact(a.columns()).flat_map(|row| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|z| libm::exp(z - largest)).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(move |power| power / total)
    });
    Matrix::new(a.rows(), a.columns(), entries.collect())
}

#[cfg(test)]
mod tests {
    use super::{sigmoid, tanh_slope};

    #[test]
    fn functions_keep_their_digits_where_they_saturate() {
        for (value, truth) in [
            (sigmoid(-40.0), 4.248354255291589e-18),
            (sigmoid(-740.0), 4.189e-322),
            (tanh_slope(25.0), 7.714999391855671e-22),
            (tanh_slope(-0.5), 0.7864477329659274),
        ] {
            assert!(
                (value - truth).abs() <= 8.0 * f64::EPSILON * truth + f64::from_bits(2),
                "{value:e}"
            );
        }
    }
}
