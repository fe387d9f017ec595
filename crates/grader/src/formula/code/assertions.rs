//! Assertions of a program. One about a shape states the shape of an array, which is held against the formula; whole
//! numbers are compared here; any other assertion is refused, because nothing would check it.

use super::super::expr::Expr;
use super::super::{FormulaError, Span};
use super::execute::Program;
use super::syntax::{Form, Infix, Node, Prefix, Relation};
use super::value::{Array, Value};

/// A shape that a program asserts.
pub(super) struct Assertion {
    /// The array.
    pub(super) array: Expr,
    pub(super) rows: Expr,
    pub(super) columns: Expr,
    pub(super) span: Span,
}

impl Program<'_> {
    /// `assert condition`, `assert condition, "message"`.
    pub(super) fn assertion(&mut self, node: &Node) -> Result<(), FormulaError> {
        match &node.kind {
            Form::Tuple(parts) => match &parts[..] {
                [
                    condition,
                    Node {
                        kind: Form::Text(_),
                        ..
                    },
                ] => self.asserted(condition),
                _ => Err(self.unknown_assertion(node.span)),
            },
            _ => self.asserted(node),
        }
    }

    fn asserted(&mut self, condition: &Node) -> Result<(), FormulaError> {
        match &condition.kind {
            Form::Both(a, b) | Form::Binary(Infix::And, a, b) => {
                self.asserted(a)?;
                self.asserted(b)
            }
            Form::Compare(first, rest) => match &rest[..] {
                [(Relation::Equal, second)] => self.equal(first, second, condition.span),
                _ => Err(self.unknown_assertion(condition.span)),
            },
            Form::Call(callee, values, _) => match (&callee.kind, &values[..]) {
                (Form::Name(name), [inner]) if name == "all" => self.asserted(inner),
                (Form::Name(name), [a, b]) if name == "isequal" => self.equal(a, b, condition.span),
                _ => Err(self.unknown_assertion(condition.span)),
            },
            _ => Err(self.unknown_assertion(condition.span)),
        }
    }

    fn equal(&mut self, a: &Node, b: &Node, span: Span) -> Result<(), FormulaError> {
        for (array, sizes) in [(a, b), (b, a)] {
            if let Some(base) = shape_of(array)
                && let Ok(Some(sizes)) = self.sizes_of(sizes)
            {
                return self.assert_shape(base, sizes, span);
            }
            if let Some((base, axis)) = axis_of(array, self.dialect.has_dots()) {
                let array = self.array(base)?;
                let size = self.array(sizes)?.expr;
                return self.assert_axis(array, axis, size, span);
            }
        }
        let (a, b) = (self.array(a)?, self.array(b)?);
        match (a.whole, b.whole) {
            (Some(a), Some(b)) if a == b => Ok(()),
            (Some(_), Some(_)) => Err(self.syntax_error(span, "This assertion is false.")),
            _ => Err(self.unknown_assertion(span)),
        }
    }

    fn assert_shape(
        &mut self,
        base: &Node,
        sizes: Vec<Expr>,
        span: Span,
    ) -> Result<(), FormulaError> {
        let array = self.array(base)?;
        let one = || Array::number(1.0, span).expr;
        let axes = if self.dialect.has_dots() {
            2
        } else {
            usize::from(array.rank)
        };
        let (rows, columns) = match (axes, &sizes[..]) {
            (0, []) => (one(), one()),
            (1, [size]) if array.column => (size.clone(), one()),
            (1, [size]) => (one(), size.clone()),
            (2, [rows, columns]) => (rows.clone(), columns.clone()),
            _ => {
                let message = format!(
                    "This assertion is false: it gives {} axes to an array of {axes}.",
                    sizes.len()
                );
                return Err(self.shape_error(span, message));
            }
        };
        self.state_shape(array, (rows, columns), span);
        Ok(())
    }

    fn state_shape(&mut self, array: Array, (rows, columns): (Expr, Expr), span: Span) {
        self.assertions.push(Assertion {
            array: array.expr,
            rows,
            columns,
            span,
        });
    }

    /// `a.shape[0] == 2`: the other axis has the size that the array has.
    fn assert_axis(
        &mut self,
        array: Array,
        axis: usize,
        size: Expr,
        span: Span,
    ) -> Result<(), FormulaError> {
        let (rows, columns) = array.sizes;
        let other = if axis == 0 { columns } else { rows };
        let other = self.size(other, span)?;
        let other = self.as_array(other, span)?.expr;
        if array.rank != 2 && !self.dialect.has_dots() {
            return Err(self.unknown_assertion(span));
        }
        let sizes = match axis {
            0 => (size, other),
            _ => (other, size),
        };
        self.state_shape(array, sizes, span);
        Ok(())
    }

    /// The sizes that an expression such as `(2, 3)`, `torch.Size([2, 3])`, `[2 3]` or `W2.shape` gives.
    fn sizes_of(&mut self, node: &Node) -> Result<Option<Vec<Expr>>, FormulaError> {
        if let Some(base) = shape_of(node) {
            let array = self.array(base)?;
            let sizes = if self.dialect.has_dots() {
                let (rows, columns) = array.sizes;
                vec![self.size(rows, node.span)?, self.size(columns, node.span)?]
            } else {
                match self.shape(&array, node.span)? {
                    Value::List(sizes) => sizes,
                    _ => return Ok(None),
                }
            };
            let sizes = sizes.into_iter().map(|size| self.as_array(size, node.span));
            return sizes
                .map(|size| size.map(|size| size.expr))
                .collect::<Result<_, _>>()
                .map(Some);
        }
        let nodes = match &node.kind {
            Form::Tuple(nodes) | Form::List(nodes) => nodes,
            Form::Rows(rows) if rows.len() == 1 => &rows[0],
            Form::Call(callee, values, _) => match (&callee.kind, &values[..]) {
                (Form::Attribute(_, name), [inner]) if name == "Size" => {
                    return self.sizes_of(inner);
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let sizes = nodes.iter().map(|node| self.array(node));
        sizes
            .map(|size| size.map(|size| size.expr))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn unknown_assertion(&self, span: Span) -> FormulaError {
        let message = "The assertion was not understood: one about a shape is, such as \"assert dW2.shape == W2.shape\"; leave others out.";
        self.syntax_error(span, message)
    }
}

/// The array of `a.shape`, `np.shape(a)`, `a.size()` or MATLAB's `size(a)`.
fn shape_of(node: &Node) -> Option<&Node> {
    match &node.kind {
        Form::Attribute(base, name) if name == "shape" => Some(base),
        Form::Call(callee, values, _) => match (&callee.kind, &values[..]) {
            (Form::Name(name), [array]) if matches!(name.as_str(), "size" | "shape") => Some(array),
            (Form::Attribute(_, name), [array]) if name == "shape" => Some(array),
            (Form::Attribute(base, name), []) if name == "size" => Some(base),
            _ => None,
        },
        _ => None,
    }
}

/// The array and the axis, counted from 0, of `a.shape[0]` or MATLAB's `size(a, 1)`.
fn axis_of(node: &Node, one_based: bool) -> Option<(&Node, usize)> {
    let whole = |node: &Node| match &node.kind {
        Form::Number(number) => Some(*number),
        Form::Unary(Prefix::Minus, inner) => match inner.kind {
            Form::Number(number) => Some(2.0 - number),
            _ => None,
        },
        _ => None,
    };
    let (base, axis) = match &node.kind {
        Form::Index(inner, items) => match &items[..] {
            [item] => (shape_of(inner)?, whole(item)?),
            _ => return None,
        },
        Form::Call(callee, values, _) => match (&callee.kind, &values[..]) {
            (Form::Name(name), [array, axis]) if name == "size" => (array, whole(axis)?),
            (Form::Attribute(array, name), [axis]) if name == "size" => (&**array, whole(axis)?),
            _ => return None,
        },
        _ => return None,
    };
    let axis = if one_based { axis - 1.0 } else { axis };
    [0.0, 1.0]
        .iter()
        .position(|own| (axis - own).abs() < 0.5)
        .map(|axis| (base, axis))
}
