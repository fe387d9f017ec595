//! The functions of numpy, torch, sympy, MATLAB and Julia that formulas need.

use std::sync::Arc;

use super::super::expr::{Expr, Function, Kind, Operator};
use super::super::{Fault, FormulaError, Span};
use super::elementwise::Operation;
use super::execute::Program;
use super::names::{function_name, gradient_kind};
use super::reduce::Over;
use super::syntax::Dialect;
use super::value::{Array, Bound, ONE, Size, Value};

/// Named arguments that change nothing about the value.
#[rustfmt::skip]
const IDLE: &[&str] = &["dtype", "copy", "order", "requires_grad", "device", "out", "casting", "axis", "dim", "keepdims", "keepdim", "optimize", "dims"];

/// Functions of one array, entry by entry.
fn entrywise(name: &str) -> Option<Function> {
    Some(match name {
        "relu" | "poslin" => Function::Relu,
        "relu_prime" => Function::ReluPrime,
        "sigma" => Function::Sigma,
        "sigma_prime" => Function::SigmaPrime,
        "sigmoid" | "expit" | "logsig" => Function::Sigmoid,
        "tanh" => Function::Tanh,
        "exp" => Function::Exp,
        "log" => Function::Log,
        "sqrt" => Function::Sqrt,
        "abs" | "absolute" | "fabs" | "Abs" => Function::Abs,
        "sign" | "sgn" => Function::Sign,
        _ => return None,
    })
}

/// Functions of two arrays, entry by entry.
fn pairwise(name: &str) -> Option<Operation> {
    use super::super::expr::Comparison;
    Some(match name {
        "add" | "plus" => Operation::Of(Operator::Add),
        "subtract" | "sub" | "minus" => Operation::Of(Operator::Subtract),
        "multiply"
        | "mul"
        | "times"
        | "hadamard_product"
        | "HadamardProduct"
        | "matrix_multiply_elementwise"
        | "multiply_elementwise" => Operation::Of(Operator::Hadamard),
        "divide" | "true_divide" | "div" | "rdivide" => Operation::Of(Operator::Divide),
        "greater" | "gt" => Operation::Compare(Comparison::Greater),
        "greater_equal" | "ge" => Operation::Compare(Comparison::GreaterOrEqual),
        "less" | "lt" => Operation::Compare(Comparison::Less),
        "less_equal" | "le" => Operation::Compare(Comparison::LessOrEqual),
        "equal" | "eq" => Operation::Compare(Comparison::Equal),
        "not_equal" | "ne" => Operation::Compare(Comparison::NotEqual),
        "maximum" | "fmax" | "Max" => Operation::Call(Function::Max),
        "minimum" | "fmin" | "Min" => Operation::Call(Function::Min),
        _ => return None,
    })
}

/// The functions that [`Program::library`] knows besides those of one or two arrays, entry by entry.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "sum", "nansum", "mean", "average", "dot", "matmul", "mm", "mv", "bmm", "outer", "ger", "inner", "vdot", "tensordot", "kron",
    "einsum", "where", "heaviside", "Heaviside", "step", "indicator", "clip", "clamp", "square", "power", "pow", "negative",
    "neg", "reciprocal", "zeros", "zeros_like", "ones", "ones_like", "full", "full_like", "eye", "identity", "array", "asarray", "tensor",
    "as_tensor", "Matrix", "transpose", "t", "reshape", "ravel", "flatten", "squeeze", "unsqueeze", "expand_dims", "atleast_2d",
    "diag", "diagflat", "diagonal", "vstack", "row_stack", "hstack", "concatenate", "concat", "cat", "stack", "column_stack", "block",
    "trace", "max", "min", "amax", "amin", "logical_and", "logical_not", "logical_or", "float", "int", "bool", "float64", "float32",
    "double", "len", "range", "arange", "enumerate", "zip", "print", "dict", "list", "tuple", "Piecewise", "grad", "broadcast_to",
    "no_grad", "copy", "array_equal", "size", "numel", "length", "repmat", "bsxfun", "disp", "cross", "Transpose", "r_", "c_", "shape", "softmax",
    "linear", "multi_dot", "newaxis", "swapaxes", "permute", "vec", "ndim", "long", "Float64", "Symbol", "symbols", "println", "collect",
    "item", "exp", "log", "randn", "sum_", "rot90", "Sum", "adjoint", "ReLU", "true", "from_numpy", "matrix", "vcat", "hcat",
    "sigmoid_prime", "tanh_prime",
];

/// Whether a name without a module is a function of a library.
pub(super) fn is_known(name: &str) -> bool {
    entrywise(name).is_some() || pairwise(name).is_some() || OTHERS.contains(&name)
}

/// The arguments of a call.
pub(super) struct Arguments {
    pub(super) values: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl Arguments {
    /// The argument at a place, or by one of these names.
    pub(super) fn take(&self, at: usize, names: &[&str]) -> Option<&Value> {
        self.values.get(at).or_else(|| self.named(names))
    }

    pub(super) fn named(&self, names: &[&str]) -> Option<&Value> {
        let named = self
            .named
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        named.map(|(_, value)| value)
    }
}

impl Program<'_> {
    /// Calls a function of a library.
    pub(super) fn library(
        &mut self,
        name: &str,
        torch: bool,
        values: Vec<Value>,
        named: Vec<(String, Value)>,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let usual = function_name(name, self.scope).unwrap_or(name);
        let arguments = Arguments { values, named };
        self.hold_named(usual, &arguments, span)?;
        if let Some(function) = entrywise(usual) {
            let [argument] = &arguments.values[..] else {
                return Err(self.syntax_error(span, format!("{name} takes one argument.")));
            };
            let array = self.as_array(argument.clone(), span)?;
            return Ok(self.mapped(function, array, span)?.into_value());
        }
        if let "sigmoid_prime" | "tanh_prime" = usual {
            return self.slope(usual, &arguments, span);
        }
        if let Some(operation) = pairwise(usual) {
            return self.pair(name, operation, &arguments, span);
        }
        if let Some(value) = self.reduction(usual, &arguments, span)? {
            return Ok(value);
        }
        if let Some(value) = self.linear_algebra(usual, torch, &arguments, span)? {
            return Ok(value);
        }
        if let Some(value) = self.creation(usual, &arguments, span)? {
            return Ok(value);
        }
        if let Some(value) = self.rearrangement(usual, torch, &arguments, span)? {
            return Ok(value);
        }
        if let Some(value) = self.decision(usual, &arguments, span)? {
            return Ok(value);
        }
        match self.plain_python(usual, &arguments, span)? {
            Some(value) => Ok(value),
            None => {
                let message = format!(
                    "{name} is not known here: known are the functions that formulas need, such as np.dot, np.outer, np.sum, np.where, np.maximum, np.einsum. Write it with these."
                );
                Err(FormulaError::new(Fault::UnknownSymbol, span, message))
            }
        }
    }

    /// Refuses named arguments that would be ignored.
    fn hold_named(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<(), FormulaError> {
        #[rustfmt::skip]
        const USED: &[&str] = &[
            "a_min", "a_max", "min", "max", "x", "y", "a", "b", "input", "other", "condition", "axes", "shape", "newshape", "size",
            "indices_or_sections", "x1", "x2", "values", "fill_value", "weight", "start", "initial", "sep", "end", "A", "B", "arr", "m", "object", "n",
            "exponent", "tensors",
        ];
        let unknown = arguments.named.iter().find(|(option, _)| {
            !IDLE.contains(&option.as_str()) && !USED.contains(&option.as_str()) && name != "dict"
        });
        match unknown {
            Some((option, _)) => {
                let message = format!("The argument {option}= of {name} is not known here.");
                Err(self.syntax_error(span, message))
            }
            None => Ok(()),
        }
    }

    /// The derivative of the sigmoid, s (1 − s), or of tanh, 1 − t².
    fn slope(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let [argument] = &arguments.values[..] else {
            return Err(self.syntax_error(span, format!("{name} takes one argument.")));
        };
        let array = self.as_array(argument.clone(), span)?;
        let of = Operation::Of;
        let one = Array::number(1.0, span);
        let slope = if name == "tanh_prime" {
            let tanh = self.mapped(Function::Tanh, array, span)?;
            let square = self.elementwise(of(Operator::Hadamard), tanh.clone(), tanh, span)?;
            self.elementwise(of(Operator::Subtract), one, square, span)?
        } else {
            let sigmoid = self.mapped(Function::Sigmoid, array, span)?;
            let rest = self.elementwise(of(Operator::Subtract), one, sigmoid.clone(), span)?;
            self.elementwise(of(Operator::Hadamard), sigmoid, rest, span)?
        };
        Ok(slope.into_value())
    }

    fn pair(
        &mut self,
        name: &str,
        operation: Operation,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut arrays = Vec::with_capacity(2);
        for value in &arguments.values {
            arrays.push(self.as_array(value.clone(), span)?);
        }
        let mut arrays = arrays.into_iter();
        let (Some(mut left), Some(second)) = (arrays.next(), arrays.next()) else {
            return Err(self.syntax_error(span, format!("{name} takes two arguments.")));
        };
        left = self.elementwise(operation, left, second, span)?;
        for next in arrays {
            if !matches!(operation, Operation::Call(_)) {
                return Err(self.syntax_error(span, format!("{name} takes two arguments.")));
            }
            left = self.elementwise(operation, left, next, span)?;
        }
        Ok(left.into_value())
    }

    /// The axis that a sum is over.
    pub(super) fn over(
        &mut self,
        arguments: &Arguments,
        at: usize,
        span: Span,
    ) -> Result<Over, FormulaError> {
        let value = arguments.take(at, &["axis", "dim", "dims"]);
        match value {
            None | Some(Value::Nothing) => Ok(Over::All),
            Some(Value::Array(array)) if array.whole.is_some() => {
                let axis = array.whole.unwrap_or_default();
                Ok(Over::Axis(axis - i64::from(self.dialect.has_dots())))
            }
            Some(Value::List(axes)) => match &axes[..] {
                [Value::Array(one)] if one.whole.is_some() => {
                    Ok(Over::Axis(one.whole.unwrap_or_default()))
                }
                [Value::Array(a), Value::Array(b)]
                    if matches!(
                        (a.whole, b.whole),
                        (Some(0 | -2), Some(1 | -1)) | (Some(1 | -1), Some(0 | -2))
                    ) =>
                {
                    Ok(Over::All)
                }
                _ => Err(self.syntax_error(span, "These axes are not known here.")),
            },
            Some(Value::Slice(..)) => Ok(Over::All),
            Some(_) => Err(self.syntax_error(span, "The axis must be a number.")),
        }
    }

    /// Whether summed axes stay.
    pub(super) fn keeps(&self, arguments: &Arguments) -> bool {
        let value = arguments.named(&["keepdims", "keepdim"]);
        let keeps = matches!(value, Some(Value::Array(array)) if array.whole == Some(1));
        keeps || self.dialect.has_dots()
    }

    fn reduction(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        let mean = matches!(name, "mean" | "average");
        if !mean && !matches!(name, "sum" | "nansum") {
            return Ok(None);
        }
        let Some(first) = arguments.take(0, &["a", "input", "x"]) else {
            return Err(self.syntax_error(span, format!("{name} takes an array.")));
        };
        if arguments.values.len() > 2 {
            return Err(self.syntax_error(span, format!("{name} takes an array and an axis.")));
        }
        if !mean && let Value::Series(axis, element) = first {
            let element = self.as_array((**element).clone(), span)?;
            let has_axis = arguments.take(1, &["axis", "dim"]).is_some();
            if element.rank == 0 || !has_axis {
                let sum = self.series_sum(&axis.clone(), element, span)?;
                return Ok(Some(sum.into_value()));
            }
        }
        let array = self.as_array(first.clone(), span)?;
        let mut over = self.over(arguments, 1, span)?;
        // MATLAB sums over the first axis that is longer than 1.
        if self.dialect == Dialect::Matlab && over == Over::All {
            over = if array.sizes.0 == ONE {
                Over::Axis(1)
            } else {
                Over::Axis(0)
            };
        }
        let keep = self.keeps(arguments);
        let array = if mean {
            self.mean(array, over, keep, span)?
        } else {
            self.summed(array, over, keep, span)?
        };
        Ok(Some(array.into_value()))
    }

    /// The first argument as an array.
    fn first(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Array, FormulaError> {
        match arguments.take(
            0,
            &["a", "x", "input", "A", "arr", "m", "object", "condition"],
        ) {
            Some(value) => self.as_array(value.clone(), span),
            None => Err(self.syntax_error(span, format!("{name} takes an argument."))),
        }
    }

    /// The first two arguments as arrays.
    fn two(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<(Array, Array), FormulaError> {
        let values = (
            arguments.take(0, &["a", "input", "x1", "x"]),
            arguments.take(1, &["b", "other", "x2", "y"]),
        );
        let (Some(a), Some(b)) = values else {
            return Err(self.syntax_error(span, format!("{name} takes two arguments.")));
        };
        Ok((
            self.as_array(a.clone(), span)?,
            self.as_array(b.clone(), span)?,
        ))
    }

    fn linear_algebra(
        &mut self,
        name: &str,
        torch: bool,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        let array = match name {
            "dot" | "matmul" | "mm" | "mv" | "bmm" | "multi_dot" | "outer" | "ger" | "inner"
            | "vdot" | "kron" | "tensordot" | "linear" => {
                if name == "multi_dot"
                    && let Some(Value::List(values)) = arguments.values.first()
                {
                    return self.many_products(&values.clone(), span).map(Some);
                }
                let (a, b) = self.two(name, arguments, span)?;
                let flat = a.rank == 1 && b.rank == 1;
                match name {
                    "dot" | "outer" | "ger" | "vdot" if torch && !flat => {
                        let message = format!(
                            "torch.{name} takes arrays with one axis; these have {} and {}: use torch.matmul, or flatten them.",
                            a.rank, b.rank
                        );
                        return Err(self.shape_error(span, message));
                    }
                    // The inner product of two columns or two rows.
                    "dot"
                        if self.dialect.has_dots()
                            && a.sizes == b.sizes
                            && (a.sizes.0 == ONE || a.sizes.1 == ONE) =>
                    {
                        self.flat_dot(a, b, span)?
                    }
                    "dot" => self.dot(a, b, span)?,
                    "mm" | "bmm" if a.rank < 2 || b.rank < 2 => {
                        let message = "mm takes matrices.";
                        return Err(self.shape_error(span, message));
                    }
                    "outer" | "ger" => self.outer(a, b, span)?,
                    "inner" => self.inner(a, b, span)?,
                    "vdot" => self.flat_dot(a, b, span)?,
                    "kron" => self.kron(a, b, span)?,
                    "tensordot" => self.tensordot(a, b, arguments, span)?,
                    "linear" => self.matmul(a, b.transposed(), span)?,
                    _ => self.matmul(a, b, span)?,
                }
            }
            "einsum" => self.einsum(arguments, span)?,
            "trace" => {
                let a = self.first(name, arguments, span)?;
                let diagonal = self.diagonal_of(a, span)?;
                self.summed(diagonal, Over::All, false, span)?
            }
            _ => return Ok(None),
        };
        Ok(Some(array.into_value()))
    }

    fn many_products(&mut self, values: &[Value], span: Span) -> Result<Value, FormulaError> {
        let mut product: Option<Array> = None;
        for value in values {
            let next = self.as_array(value.clone(), span)?;
            product = Some(match product {
                None => next,
                Some(left) => self.matmul(left, next, span)?,
            });
        }
        match product {
            Some(product) => Ok(product.into_value()),
            None => Err(self.syntax_error(span, "multi_dot takes a list of matrices.")),
        }
    }

    /// The Kronecker product, where it is a product of a column and a row.
    fn kron(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        let column = |array: &Array| array.rank == 2 && array.sizes.1 == ONE;
        let row = |array: &Array| array.rank == 2 && array.sizes.0 == ONE;
        if a.is_one() || b.is_one() {
            let rank = a.rank.max(b.rank);
            let mut array = self.elementwise(Operation::Of(Operator::Hadamard), a, b, span)?;
            array.rank = rank;
            return Ok(array);
        }
        if column(&a) && row(&b) {
            return self.matmul(a, b, span);
        }
        if row(&a) && column(&b) {
            return self.matmul(b, a, span);
        }
        let message = "np.kron is known of a column and a row only: use np.outer.";
        Err(self.shape_error(span, message))
    }

    fn tensordot(
        &mut self,
        a: Array,
        b: Array,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let axis = |value: &Value| match value {
            Value::Array(array) => array.whole,
            Value::List(inner) => match &inner[..] {
                [Value::Array(array)] => array.whole,
                _ => None,
            },
            _ => None,
        };
        if a.rank != 2 || b.rank != 2 {
            return Err(self.shape_error(span, "np.tensordot takes matrices here."));
        }
        let axes = match arguments.take(2, &["axes", "dims"]) {
            Some(Value::Array(one)) if one.whole == Some(1) => Some((1, 0)),
            Some(Value::List(both)) => match &both[..] {
                [one, other] => axis(one).zip(axis(other)),
                _ => None,
            },
            _ => None,
        };
        let turn = |array: Array, turns: bool| if turns { array.transposed() } else { array };
        match axes {
            Some((one @ -2..=1, other @ -2..=1)) => {
                let a = turn(a, one == 0 || one == -2);
                let b = turn(b, other == 1 || other == -1);
                self.matmul(a, b, span)
            }
            _ => Err(self.syntax_error(
                span,
                "np.tensordot is known with one axis of each, such as axes=([0], [0]).",
            )),
        }
    }

    /// Zeros of an array's shape.
    pub(super) fn zeros_like(&mut self, a: &Array, span: Span) -> Result<Array, FormulaError> {
        let zero = Array::number(0.0, span);
        let mut zeros =
            self.elementwise(Operation::Of(Operator::Hadamard), zero, a.clone(), span)?;
        zeros.zero = true;
        zeros.mask = false;
        zeros.whole = if a.rank == 0 { Some(0) } else { None };
        Ok(zeros)
    }

    /// The sizes of a shape argument.
    pub(super) fn shape_argument(
        &mut self,
        values: &[Value],
        span: Span,
    ) -> Result<Vec<(Size, Expr)>, FormulaError> {
        let values: Vec<Value> = match values {
            [Value::List(inner)] => inner.clone(),
            other => other.to_vec(),
        };
        let mut sizes = Vec::with_capacity(values.len());
        for value in values {
            let array = self.as_array(value.clone(), span)?;
            let bound = self
                .bound(&Value::Array(Box::new(array.clone())), span)?
                .normal();
            let size = match (bound.value(), bound.plus) {
                (Some(number @ 0..=1000), _) => Size::Fixed(number as usize),
                (Some(-1), _) => Size::Unknown,
                (None, 0) => bound.size,
                _ => return Err(self.shape_error(span, "This is no size of an axis.")),
            };
            sizes.push((size, array.expr));
        }
        Ok(sizes)
    }

    /// An array filled with ones.
    fn ones(&mut self, values: &[Value], span: Span) -> Result<Array, FormulaError> {
        let mut sizes = self.shape_argument(values, span)?;
        if self.dialect.has_dots() && sizes.len() == 1 && !matches!(values, [Value::List(_)]) {
            let again = sizes.clone();
            if self.dialect == Dialect::Matlab {
                sizes.extend(again);
            } else {
                sizes.push((ONE, Expr::new(Kind::Number(1.0), span)));
            }
        }
        if sizes.iter().any(|(size, _)| *size == Size::Unknown) {
            let message = "-1 is no size here: write the size of the axis.";
            return Err(self.shape_error(span, message));
        }
        let column = |(size, expr): (Size, Expr)| {
            let mut array = Array::new(Kind::Ones(Some(Arc::new(expr))), span, 2, (size, ONE));
            array.column = false;
            array
        };
        let mut sizes = sizes.into_iter();
        match (sizes.next(), sizes.next(), sizes.next()) {
            (None, ..) => Ok(Array::number(1.0, span)),
            (Some(one), None, _) => {
                let mut array = column(one).transposed();
                array.rank = 1;
                Ok(array)
            }
            (Some(rows), Some((ONE, _)), None) => Ok(column(rows)),
            (Some((ONE, _)), Some(columns), None) => Ok(column(columns).transposed()),
            (Some(rows), Some(columns), None) => {
                self.matmul(column(rows), column(columns).transposed(), span)
            }
            _ => Err(self.shape_error(span, "Arrays have at most two axes here.")),
        }
    }

    fn creation(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        let values = &arguments.values;
        let named = arguments
            .named(&["shape", "size"])
            .map(std::slice::from_ref);
        let shape = if values.is_empty() {
            named.unwrap_or_default()
        } else {
            values
        };
        let array = match name {
            "zeros" => {
                let ones = self.ones(shape, span)?;
                self.zeros_like(&ones, span)?
            }
            "ones" => self.ones(shape, span)?,
            "full" => {
                let ones = self.ones(shape.get(..1).unwrap_or_default(), span)?;
                let Some(value) = arguments.take(1, &["fill_value"]) else {
                    return Err(self.syntax_error(span, "np.full takes a shape and a number."));
                };
                let value = self.as_array(value.clone(), span)?;
                self.elementwise(Operation::Of(Operator::Hadamard), ones, value, span)?
            }
            "zeros_like" => {
                let a = self.first(name, arguments, span)?;
                self.zeros_like(&a, span)?
            }
            "ones_like" | "full_like" => {
                let a = self.first(name, arguments, span)?;
                let zeros = self.zeros_like(&a, span)?;
                let value = match arguments.take(1, &["fill_value"]) {
                    Some(value) if name == "full_like" => self.as_array(value.clone(), span)?,
                    _ => Array::number(1.0, span),
                };
                let mut array =
                    self.elementwise(Operation::Of(Operator::Add), zeros, value, span)?;
                array.zero = false;
                array
            }
            "eye" | "identity" => {
                let ones = self
                    .ones(shape.get(..1).unwrap_or_default(), span)?
                    .into_row();
                let ones = Array { rank: 1, ..ones };
                let size = ones.sizes.1;
                let ones = if ones.sizes.1 == ONE && ones.sizes.0 != ONE {
                    Array { rank: 2, ..ones }.transposed()
                } else {
                    ones
                };
                let mut array = self.mapped(Function::Diag, ones, span)?;
                array.rank = 2;
                array.sizes = (size, size);
                array
            }
            "array" | "asarray" | "tensor" | "as_tensor" | "Matrix" | "from_numpy" | "matrix"
            | "list" | "tuple" | "collect" => {
                let Some(value) = values.first() else {
                    return Err(self.syntax_error(span, format!("{name} takes a list.")));
                };
                let array = self.as_array(value.clone(), span)?;
                // sympy's `Matrix([a, b])` is a column.
                if name == "Matrix" && array.rank == 1 {
                    let column = array.into_column();
                    Array {
                        rank: 2,
                        column: false,
                        ..column
                    }
                } else {
                    array
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(array.into_value()))
    }

    /// Conditions and limits.
    fn decision(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        let array = match name {
            "where" => {
                let mut three = Vec::with_capacity(3);
                for (at, names) in [&["condition"], &["x"], &["y"]].into_iter().enumerate() {
                    let Some(value) = arguments.take(at, names) else {
                        let message = "where takes a condition and two values.";
                        return Err(self.syntax_error(span, message));
                    };
                    three.push(self.as_array(value.clone(), span)?);
                }
                let [condition, one, other] = <[Array; 3]>::try_from(three)
                    .map_err(|_| self.syntax_error(span, "where takes three arguments."))?;
                self.choice(condition, one, other, span)?
            }
            "heaviside" | "Heaviside" | "step" | "indicator" => {
                let a = self.first(name, arguments, span)?;
                match arguments.take(1, &["x2", "values"]) {
                    _ if a.mask => a,
                    None => self.mapped(Function::Step, a, span)?,
                    Some(value) => {
                        let value = self.as_array(value.clone(), span)?;
                        self.heaviside(a, value, span)?
                    }
                }
            }
            "clip" | "clamp" => {
                let mut array = self.first(name, arguments, span)?;
                let limits = [
                    (arguments.take(1, &["a_min", "min"]), Function::Max),
                    (arguments.take(2, &["a_max", "max"]), Function::Min),
                ];
                for (limit, function) in limits {
                    match limit {
                        None | Some(Value::Nothing) => {}
                        Some(limit) => {
                            let limit = self.as_array(limit.clone(), span)?;
                            array =
                                self.elementwise(Operation::Call(function), array, limit, span)?;
                        }
                    }
                }
                array
            }
            "logical_and" | "logical_or" => {
                let (a, b) = self.two(name, arguments, span)?;
                self.logical(a, b, name == "logical_and", span)?
            }
            "logical_not" => {
                let a = self.first(name, arguments, span)?;
                self.inverted(a, span)?
            }
            "Piecewise" => self.piecewise(arguments, span)?,
            "max" | "min" | "amax" | "amin" => {
                return self.extreme(name, arguments, span).map(Some);
            }
            _ => return Ok(None),
        };
        Ok(Some(array.into_value()))
    }

    /// A step whose value at 0 is given.
    fn heaviside(&mut self, a: Array, value: Array, span: Span) -> Result<Array, FormulaError> {
        use super::super::expr::Comparison;
        let zero = Array::number(0.0, span);
        match value.whole {
            Some(1) => self.mapped(Function::Step, a, span),
            Some(0) => self.elementwise(Operation::Compare(Comparison::Greater), a, zero, span),
            _ => {
                let above = Operation::Compare(Comparison::Greater);
                let at = Operation::Compare(Comparison::Equal);
                let positive = self.elementwise(above, a.clone(), zero.clone(), span)?;
                let kink = self.elementwise(at, a, zero, span)?;
                let kink =
                    self.elementwise(Operation::Of(Operator::Hadamard), value, kink, span)?;
                self.elementwise(Operation::Of(Operator::Add), positive, kink, span)
            }
        }
    }

    /// `Piecewise((value, condition), …)`.
    fn piecewise(&mut self, arguments: &Arguments, span: Span) -> Result<Array, FormulaError> {
        let mut result: Option<Array> = None;
        for (at, case) in arguments.values.iter().enumerate().rev() {
            let Value::List(parts) = case else {
                return Err(self.syntax_error(span, "Piecewise takes pairs (value, condition)."));
            };
            let [value, condition] = &parts[..] else {
                return Err(self.syntax_error(span, "Piecewise takes pairs (value, condition)."));
            };
            let value = self.as_array(value.clone(), span)?;
            let condition = self.as_array(condition.clone(), span)?;
            let is_last = at + 1 == arguments.values.len();
            result = Some(match result {
                None if condition.whole == Some(1) => value,
                None if is_last => {
                    // Without a last case for all else, sympy has nan there: the condition must be what is left.
                    let cases = vec![(value.expr.clone(), Some(condition.expr.clone()))];
                    let shape = value.clone_shape();
                    let expr = Expr::new(Kind::Cases(cases), span);
                    self.checked(shape.with(expr, condition.nodes + 1))?
                }
                None => value,
                Some(other) => self.piece(value, condition, other, span)?,
            });
        }
        match result {
            Some(array) => Ok(array),
            None => Err(self.syntax_error(span, "Piecewise takes pairs (value, condition).")),
        }
    }

    /// A case in front of others.
    fn piece(
        &mut self,
        value: Array,
        condition: Array,
        other: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if let Kind::Cases(_) = &other.expr.kind {
            let shape = other.clone_shape();
            let nodes = value.nodes + condition.nodes;
            if let Kind::Cases(mut cases) = other.expr.into_kind() {
                cases.insert(0, (value.expr, Some(condition.expr)));
                let expr = Expr::new(Kind::Cases(cases), span);
                return self.checked(shape.with(expr, nodes));
            }
            return Ok(shape);
        }
        self.choice(condition, value, other, span)
    }

    /// `max(a, b)`; of one array, along an axis, it is not known.
    fn extreme(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let operation = Operation::Call(if name.ends_with("max") {
            Function::Max
        } else {
            Function::Min
        });
        if arguments.values.len() != 2 {
            let message = format!("{name} is known of two arguments only.");
            return Err(self.syntax_error(span, message));
        }
        let (a, b) = self.two(name, arguments, span)?;
        let arrays = a.rank > 0 && !a.is_one() || b.rank > 0 && !b.is_one();
        let axis = b.whole.is_some() && a.rank > 0 && name.starts_with('a');
        if (arrays && !self.dialect.has_dots() && (a.rank == 0 || b.rank == 0)) || axis {
            let message = format!("{name} does not work entry by entry: use np.{name}imum(a, b).");
            return Err(self.shape_error(span, message));
        }
        Ok(self.elementwise(operation, a, b, span)?.into_value())
    }

    fn plain_python(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        let first = arguments.values.first().cloned();
        Ok(Some(match (name, first) {
            (
                "float" | "int" | "bool" | "float64" | "float32" | "double" | "long" | "Float64",
                Some(value),
            ) => self.number(name, value, span)?,
            ("len" | "length", Some(Value::List(values))) => {
                Array::number(values.len() as f64, span).into_value()
            }
            ("len", Some(value)) => {
                let array = self.as_array(value, span)?;
                match self.shape(&array, span)? {
                    Value::List(sizes) if !sizes.is_empty() => sizes[0].clone(),
                    _ => return Err(self.shape_error(span, "A number has no length.")),
                }
            }
            ("range" | "arange", Some(first)) => {
                let (from, to) = match &arguments.values[..] {
                    [to] => (Bound::fixed(0), self.bound(to, span)?),
                    [from, to] => (self.bound(from, span)?, self.bound(to, span)?),
                    [from, to, step] => return self.stepped(from, to, step, span).map(Some),
                    _ => return Err(self.syntax_error(span, "range takes its limits.")),
                };
                let _ = first;
                Value::Range(from.normal(), to.normal())
            }
            ("zip" | "enumerate", Some(_)) => {
                let values = arguments.values.clone();
                return self.together(name, values, span).map(Some);
            }
            ("print" | "disp" | "println", Some(_)) => {
                let is_text = |value: &&Value| matches!(value, Value::Text(_));
                let mut shown = arguments.values.iter().rev();
                shown
                    .find(|value| !is_text(value))
                    .cloned()
                    .unwrap_or(Value::Nothing)
            }
            ("print" | "no_grad", None) => Value::Nothing,
            ("dict", _) => Value::Dictionary(arguments.named.clone()),
            ("copy", Some(value)) => value,
            ("shape", Some(value)) => {
                let array = self.as_array(value, span)?;
                self.shape(&array, span)?
            }
            ("size", Some(value)) if self.dialect.has_dots() && arguments.values.len() == 1 => {
                let array = self.as_array(value, span)?;
                self.shape(&array, span)?
            }
            ("size" | "numel", Some(value)) => {
                let array = self.as_array(value, span)?;
                match arguments.values.get(1) {
                    Some(Value::Array(axis)) => {
                        let axis = axis.whole.unwrap_or(0) - i64::from(self.one_based);
                        self.count(&array, Over::Axis(axis), span)?.into_value()
                    }
                    _ => self.count(&array, Over::All, span)?.into_value(),
                }
            }
            ("grad", Some(Value::Array(loss))) => return Ok(self.gradient(&loss, arguments, span)),
            (_, first) => return self.arithmetic(name, first, arguments, span),
        }))
    }

    /// `float(a)`, `int(a)`.
    fn number(&mut self, name: &str, value: Value, span: Span) -> Result<Value, FormulaError> {
        let mut array = self.as_array(value, span)?;
        if matches!(name, "float" | "int") && array.rank > 0 {
            if !array.is_one() {
                let message =
                    format!("{name}(…) takes one number, not an array: use .astype(float).");
                return Err(self.shape_error(span, message));
            }
            array.rank = 0;
            array.column = false;
        }
        if name == "int" && !array.mask && array.whole.is_none() {
            return Err(self.syntax_error(span, "int(…) cuts off digits, which is not known here."));
        }
        if name == "bool" && !array.mask {
            return Err(self.syntax_error(
                span,
                "bool(…) of a number is not known here: write a comparison.",
            ));
        }
        Ok(array.into_value())
    }

    /// `grad(loss, W2)`: the gradient that is asked for, by its name.
    fn gradient(&self, loss: &Array, arguments: &Arguments, span: Span) -> Option<Value> {
        let by = match arguments.values.get(1) {
            Some(Value::List(values)) => values.first().cloned(),
            other => other.cloned(),
        };
        let (Kind::Symbol(super::super::Symbol::Loss), Some(Value::Array(by))) =
            (&loss.expr.kind, by)
        else {
            return None;
        };
        let Kind::Symbol(symbol) = by.expr.kind else {
            return None;
        };
        let mut gradient = Array::symbol(symbol, self.scope, span);
        gradient.expr = Expr::new(gradient_kind(symbol, span), span);
        gradient.nodes = 3;
        Some(Value::List(vec![gradient.into_value()]))
    }

    /// Functions of numbers with another number.
    fn arithmetic(
        &mut self,
        name: &str,
        first: Option<Value>,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        Ok(Some(match (name, first) {
            ("square", Some(value)) => {
                let (array, two) = (self.as_array(value, span)?, Array::number(2.0, span));
                self.power(array, two, span)?.into_value()
            }
            ("power" | "pow", Some(value)) => {
                let exponent = arguments.take(1, &["x2", "exponent"]).cloned();
                let Some(exponent) = exponent else {
                    return Err(self.syntax_error(span, "power takes two arguments."));
                };
                let (base, exponent) =
                    (self.as_array(value, span)?, self.as_array(exponent, span)?);
                self.power(base, exponent, span)?.into_value()
            }
            ("negative" | "neg", Some(value)) => {
                let array = self.as_array(value, span)?;
                self.negated(array, span)?.into_value()
            }
            ("reciprocal", Some(value)) => {
                let (one, array) = (Array::number(1.0, span), self.as_array(value, span)?);
                self.elementwise(Operation::Of(Operator::Divide), one, array, span)?
                    .into_value()
            }
            ("softmax", Some(value)) => {
                let array = self.as_array(value, span)?;
                let columns = self.scope.columns;
                let over = self.over(arguments, 1, span)?;
                let fits = match over {
                    Over::All => true,
                    Over::Axis(axis) => axis.rem_euclid(2) == i64::from(!columns),
                };
                if array.rank == 2 && !fits {
                    let message = "softmax is known along the classes of each sample only.";
                    return Err(self.shape_error(span, message));
                }
                let array = if columns {
                    array.into_column()
                } else {
                    array.into_row()
                };
                self.mapped(Function::Softmax, array, span)?.into_value()
            }
            _ => return Ok(None),
        }))
    }

    /// `range(3, 0, -1)`, written out.
    fn stepped(
        &mut self,
        from: &Value,
        to: &Value,
        step: &Value,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let number = |value: &Value| match value {
            Value::Array(array) => array.whole,
            _ => None,
        };
        let (Some(mut at), Some(to), Some(step)) = (number(from), number(to), number(step)) else {
            return Err(self.syntax_error(span, "A range with a step needs numbers."));
        };
        let mut values = Vec::new();
        while step != 0 && (to - at).signum() == step.signum() && values.len() < 64 {
            values.push(Array::number(at as f64, span).into_value());
            at += step;
        }
        Ok(Value::List(values))
    }

    /// `zip(a, b)`, `enumerate(a)`: the values at one index of all.
    fn together(
        &mut self,
        name: &str,
        values: Vec<Value>,
        span: Span,
    ) -> Result<Value, FormulaError> {
        if values.iter().all(|value| matches!(value, Value::List(_))) {
            let lists: Vec<Vec<Value>> = values
                .into_iter()
                .filter_map(|value| match value {
                    Value::List(values) => Some(values),
                    _ => None,
                })
                .collect();
            let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
            let rows = (0..shortest).map(|at| {
                let mut row: Vec<Value> = lists.iter().map(|list| list[at].clone()).collect();
                if name == "enumerate" {
                    row.insert(0, Array::number(at as f64, span).into_value());
                }
                Value::List(row)
            });
            return Ok(Value::List(rows.collect()));
        }
        let mut axis = None;
        let mut elements = Vec::with_capacity(values.len() + 1);
        for value in values {
            let (own, element) = match value {
                Value::Series(own, element) => (own, *element),
                other => {
                    let array = self.as_array(other, span)?;
                    if array.rank == 0 {
                        return Err(self.shape_error(span, "A number has no rows to run over."));
                    }
                    let size = if array.rank == 1 && !array.column {
                        array.sizes.1
                    } else {
                        array.sizes.0
                    };
                    let axis = self.fresh_axis("k", size, span)?;
                    let mut index = Array::new(Kind::Letter(axis.letter), span, 0, (ONE, ONE));
                    index.index = Some((axis.letter, 0));
                    let row = self.indexed(array, &[index.into_value()], span)?;
                    (axis, row.into_value())
                }
            };
            let first = axis.get_or_insert_with(|| own.clone()).clone();
            if (first.from, first.to) != (own.from, own.to) {
                let message =
                    "These arrays do not have equally many rows, or it is not clear that they do.";
                return Err(self.shape_error(span, message));
            }
            elements.push(renamed(element, own.letter, first.letter));
        }
        let Some(axis) = axis else {
            return Err(self.syntax_error(span, format!("{name} takes arrays.")));
        };
        if name == "enumerate" {
            let mut index = Array::new(Kind::Letter(axis.letter), span, 0, (ONE, ONE));
            index.index = Some((axis.letter, 0));
            elements.insert(0, index.into_value());
        }
        Ok(Value::Series(axis, Box::new(Value::List(elements))))
    }
}

/// A value with another letter for its index.
fn renamed(value: Value, from: char, to: char) -> Value {
    match value {
        Value::Array(mut array) => {
            super::elementwise::rename(&mut array.expr, from, to);
            Value::Array(array)
        }
        Value::List(values) => Value::List(
            values
                .into_iter()
                .map(|value| renamed(value, from, to))
                .collect(),
        ),
        other => other,
    }
}
