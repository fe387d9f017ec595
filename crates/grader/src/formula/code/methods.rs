//! The methods of arrays.

use super::super::{Fault, FormulaError, Span};
use super::execute::Program;
use super::syntax::{Dialect, Node};
use super::value::{Array, Value};

/// Methods that leave the value as it is.
#[rustfmt::skip]
const IDLE: &[&str] = &[
    "copy", "clone", "detach", "numpy", "cpu", "cuda", "float", "double", "contiguous", "requires_grad_", "type_as", "tolist", "half",
];
/// Methods that are functions of a library with the array as the first argument.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "sum", "mean", "dot", "matmul", "mm", "mv", "bmm", "outer", "ger", "inner", "transpose", "t", "swapaxes", "permute", "ravel",
    "flatten", "squeeze", "unsqueeze", "expand_dims", "diag", "diagonal", "trace", "clip", "clamp", "square", "pow", "exp", "log", "sqrt", "tanh",
    "abs", "sign", "relu", "sigmoid", "neg", "reciprocal", "add", "sub", "subtract", "mul", "multiply", "div", "divide", "gt", "ge", "lt", "le", "eq", "ne",
    "maximum", "minimum", "heaviside", "multiply_elementwise", "logical_and", "logical_or", "logical_not", "softmax", "numel", "vdot",
];

impl Program<'_> {
    /// `base.name(values, named)`.
    pub(super) fn method(
        &mut self,
        base: Value,
        base_node: &Node,
        name: &str,
        values: &[Node],
        named: &[(String, Node)],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let array = self.as_array(base, base_node.span)?;
        let mut arguments = Vec::with_capacity(values.len() + 1);
        // The types in `.astype(float)` and `.to(torch.float32)` are no values.
        if matches!(name, "astype" | "to" | "type") {
            return self.converted(array, values, span);
        }
        for value in values {
            arguments.push(self.value(value)?);
        }
        let mut options = Vec::with_capacity(named.len());
        for (name, value) in named {
            options.push((name.clone(), self.value(value)?));
        }
        match name {
            _ if IDLE.contains(&name) => Ok(array.into_value()),
            "int" | "long" | "bool" => {
                if array.mask || array.whole.is_some() {
                    return Ok(array.into_value());
                }
                let message = format!(".{name}() cuts off digits, which is not known here.");
                Err(self.syntax_error(span, message))
            }
            "item" => {
                if !array.is_one() {
                    let message = ".item() takes an array with one entry.";
                    return Err(self.shape_error(span, message));
                }
                Ok(Array {
                    rank: 0,
                    column: false,
                    ..array
                }
                .into_value())
            }
            "reshape" | "view" => {
                let shape = match options.first() {
                    Some((_, shape)) => vec![shape.clone()],
                    None => arguments,
                };
                Ok(self.reshaped(array, &shape, span)?.into_value())
            }
            "size" | "dim" | "ndimension" => self.shape_method(&array, name, &arguments, span),
            "where" => {
                // torch's `a.where(condition, other)`.
                let [condition, other] = &arguments[..] else {
                    return Err(self.syntax_error(span, ".where takes a condition and a value."));
                };
                let condition = self.as_array(condition.clone(), span)?;
                let other = self.as_array(other.clone(), span)?;
                Ok(self.choice(condition, array, other, span)?.into_value())
            }
            "masked_fill" => {
                let [condition, value] = &arguments[..] else {
                    let message = ".masked_fill takes a condition and a number.";
                    return Err(self.syntax_error(span, message));
                };
                let condition = self.as_array(condition.clone(), span)?;
                let value = self.as_array(value.clone(), span)?;
                if value.rank > 0 {
                    let message = ".masked_fill takes a condition and a number.";
                    return Err(self.shape_error(span, message));
                }
                Ok(self.choice(condition, value, array, span)?.into_value())
            }
            "applyfunc" => self.applied(array, &arguments, span),
            "expand" => {
                let shape = arguments;
                let all = vec![array.into_value()].into_iter().chain(shape).collect();
                self.library("broadcast_to", true, all, options, span)
            }
            _ if FUNCTIONS.contains(&name) => {
                arguments.insert(0, array.into_value());
                let torch = matches!(name, "outer" | "ger" | "vdot");
                self.library(name, torch, arguments, options, span)
            }
            _ => {
                let message = format!(
                    "The method .{name}(…) is not known here: known are .sum, .mean, .dot, .T, .reshape, .astype and the like."
                );
                Err(FormulaError::new(Fault::UnknownSymbol, span, message))
            }
        }
    }

    /// sympy's `a.applyfunc(f)`: f of each entry.
    fn applied(
        &mut self,
        array: Array,
        arguments: &[Value],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let argument = vec![array.into_value()];
        // `*` is the product of two entries inside of the function.
        let outside = std::mem::replace(&mut self.dialect, Dialect::Python);
        let value = match arguments {
            [Value::Library(name, _)] => {
                self.library(&name.clone(), false, argument, Vec::new(), span)
            }
            [Value::Function(function)] => {
                self.call_defined(&function.clone(), argument, Vec::new(), span)
            }
            _ => Err(self.syntax_error(span, ".applyfunc takes a function.")),
        };
        self.dialect = outside;
        value
    }

    /// `.astype(type)`.
    fn converted(
        &mut self,
        array: Array,
        values: &[Node],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut kind = String::new();
        if let Some(value) = values.first() {
            kind = match self.value(value)? {
                Value::Library(name, _) | Value::Text(name) => name,
                Value::Array(_) => "float".to_owned(),
                _ => String::new(),
            };
        }
        let whole = kind.starts_with("int") || kind.starts_with("bool") || kind.starts_with("uint");
        if whole && !array.mask && array.whole.is_none() {
            let message =
                format!("The conversion to {kind} cuts off digits, which is not known here.");
            return Err(self.syntax_error(span, message));
        }
        Ok(array.into_value())
    }

    fn shape_method(
        &mut self,
        array: &Array,
        name: &str,
        arguments: &[Value],
        span: Span,
    ) -> Result<Value, FormulaError> {
        if name != "size" {
            return Ok(Array::number(f64::from(array.rank), span).into_value());
        }
        let shape = self.shape(array, span)?;
        match (arguments, shape) {
            ([], shape) => Ok(shape),
            ([Value::Array(axis)], Value::List(sizes)) => {
                let axis = axis.whole.unwrap_or(9);
                let at = if axis < 0 {
                    axis + sizes.len() as i64
                } else {
                    axis
                };
                match usize::try_from(at).ok().and_then(|at| sizes.get(at)) {
                    Some(size) => Ok(size.clone()),
                    None => Err(self.shape_error(span, "There is no such axis.")),
                }
            }
            _ => Err(self.syntax_error(span, ".size takes an axis.")),
        }
    }
}
