//! Arrays put together from others, and arrays in other shapes.

use super::super::expr::{Expr, Function, Kind};
use super::super::{FormulaError, Span};
use super::elementwise::Operation;
use super::execute::Program;
use super::library::Arguments;
use super::syntax::{Dialect, Node};
use super::value::{Array, ONE, Size, Value};

impl Program<'_> {
    /// `np.array([...])`.
    pub(super) fn array_of(
        &mut self,
        values: Vec<Value>,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let mut parts = Vec::with_capacity(values.len());
        for value in values {
            parts.push(self.as_array(value, span)?);
        }
        let Some(first) = parts.first() else {
            return Err(self.shape_error(span, "An empty list is no array."));
        };
        let rank = first.rank;
        if parts.iter().any(|part| part.rank != rank) {
            let message = "The entries of this list have different numbers of axes: index single entries down to numbers, as in h1[0, 1].";
            return Err(self.shape_error(span, message));
        }
        match rank {
            0 => self.joined(parts, false, 1, span),
            1 => {
                let rows = parts.into_iter().map(Array::into_row).collect();
                self.joined(rows, true, 2, span)
            }
            _ => {
                let message = "A list of matrices has three axes: use np.vstack([...]) or np.hstack([...]), or index rows with [0].";
                Err(self.shape_error(span, message))
            }
        }
    }

    /// Matrices below each other, or side by side.
    pub(super) fn joined(
        &mut self,
        parts: Vec<Array>,
        below: bool,
        rank: u8,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let add = |a: Size, b: Size| match (a, b) {
            (Size::Fixed(a), Size::Fixed(b)) => Size::Fixed(a + b),
            _ => Size::Unknown,
        };
        let mut sizes: Option<(Size, Size)> = None;
        let mut nodes = 1;
        let zero = parts.iter().all(|part| part.zero);
        let mut exprs = Vec::with_capacity(parts.len());
        let single = parts.len() == 1;
        for mut part in parts {
            if single {
                part.rank = rank;
                part.whole = None;
                part.index = None;
                return Ok(part);
            }
            sizes = Some(match sizes {
                None => part.sizes,
                Some(before) if below => (add(before.0, part.sizes.0), before.1.with(part.sizes.1)),
                Some(before) => (before.0.with(part.sizes.0), add(before.1, part.sizes.1)),
            });
            nodes += part.nodes;
            exprs.push(part.expr);
        }
        let rows = if below {
            let mut rows = Vec::with_capacity(exprs.len());
            for expr in exprs {
                // A list of lists is one matrix of entries.
                match expr.kind {
                    Kind::Rows(ref inner) if inner.len() == 1 => {
                        if let Kind::Rows(inner) = expr.into_kind() {
                            rows.extend(inner);
                        }
                    }
                    _ => rows.push(vec![expr]),
                }
            }
            rows
        } else {
            vec![exprs]
        };
        let wide = rows.iter().map(Vec::len).max().unwrap_or(0);
        let rows: Vec<Vec<Expr>> = if rows.iter().any(|row| row.len() != wide) {
            let whole = |row: Vec<Expr>| {
                if row.len() == 1 {
                    row
                } else {
                    vec![Expr::new(Kind::Rows(vec![row]), span)]
                }
            };
            rows.into_iter().map(whole).collect()
        } else {
            rows
        };
        let mut array = Array::new(Kind::Number(0.0), span, rank, sizes.unwrap_or((ONE, ONE)));
        array.expr = Expr::new(Kind::Rows(rows), span);
        array.nodes = nodes + 1;
        array.zero = zero;
        self.checked(array)
    }

    /// `[a b; c d]`.
    pub(super) fn matrix_rows(
        &mut self,
        rows: &[Vec<Node>],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let mut parts = Vec::with_capacity(row.len());
            for node in row {
                let mut part = self.array(node)?;
                part.rank = 2;
                parts.push(part);
            }
            lines.push(self.joined(parts, false, 2, span)?);
        }
        if lines.is_empty() {
            return Err(self.shape_error(span, "Empty brackets are no array."));
        }
        // Julia's `[a, b]` is a column.
        let column = self.dialect == Dialect::Julia && rows.len() == 1 && rows[0].len() > 1;
        let array = self.joined(lines, true, 2, span)?;
        let _ = column;
        Ok(array.into_value())
    }

    /// The arrays of a list argument.
    fn parts(&mut self, arguments: &Arguments, span: Span) -> Result<Vec<Array>, FormulaError> {
        let values = match &arguments.values[..] {
            [Value::List(values), ..] => values.clone(),
            _ if self.dialect.has_dots() => arguments.values.clone(),
            _ => {
                let message = "This function takes a list of arrays.";
                return Err(self.syntax_error(span, message));
            }
        };
        let mut parts = Vec::with_capacity(values.len());
        for value in values {
            parts.push(self.as_array(value, span)?);
        }
        Ok(parts)
    }

    /// `stack`, `vstack`, `hstack`, `concatenate`, `column_stack`.
    pub(super) fn stacking(
        &mut self,
        name: &str,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Array>, FormulaError> {
        let name = match name {
            "vcat" => "vstack",
            "hcat" => "hstack",
            other => other,
        };
        if !matches!(
            name,
            "vstack"
                | "row_stack"
                | "hstack"
                | "concatenate"
                | "concat"
                | "cat"
                | "stack"
                | "column_stack"
                | "block"
        ) {
            return Ok(None);
        }
        if name == "block"
            && let [Value::List(rows)] = &arguments.values[..]
            && rows.iter().all(|row| matches!(row, Value::List(_)))
        {
            return self.block_matrix(rows, span).map(Some);
        }
        if let ("stack" | "vstack", [Value::Series(axis, element), ..]) =
            (name, &arguments.values[..])
        {
            let element = self.as_array((**element).clone(), span)?;
            let row = name == "vstack" && element.rank == 2 && element.sizes.0 == ONE;
            let element = Array {
                rank: if row { 1 } else { element.rank },
                ..element
            };
            return self.stacked(&axis.clone(), element, span).map(Some);
        }
        let parts = self.parts(arguments, span)?;
        let axis = match arguments.take(1, &["axis", "dim", "dims"]) {
            None => 0,
            Some(Value::Array(array)) => {
                array.whole.unwrap_or(9) - i64::from(self.dialect.has_dots())
            }
            Some(_) => 9,
        };
        let rank = parts.iter().map(|part| part.rank).max().unwrap_or(0);
        let mixed = parts.iter().any(|part| part.rank != rank);
        let numbers = parts.iter().any(|part| part.rank == 0);
        let rows = |parts: Vec<Array>| parts.into_iter().map(Array::into_row).collect();
        let columns = |parts: Vec<Array>| parts.into_iter().map(Array::into_column).collect();
        let array = match (name, rank, axis) {
            ("vstack" | "row_stack", ..) => self.joined(rows(parts), true, 2, span)?,
            ("column_stack", ..) => self.joined(columns(parts), false, 2, span)?,
            ("stack", 0, 0 | -1) => self.joined(parts, false, 1, span)?,
            _ if mixed || (numbers && name != "hstack") => {
                let message = "These arrays have different numbers of axes, or none.";
                return Err(self.shape_error(span, message));
            }
            ("stack", 1, 0 | -2) => self.joined(rows(parts), true, 2, span)?,
            ("stack", 1, 1 | -1) => self.joined(columns(parts), false, 2, span)?,
            ("hstack" | "concatenate" | "concat" | "cat", 1, _) => {
                self.joined(rows(parts), false, 1, span)?
            }
            ("hstack", 0 | 2, _) | ("concatenate" | "concat" | "cat", 2, 1 | -1) => {
                let rank = rank.max(1);
                self.joined(parts, false, rank, span)?
            }
            ("concatenate" | "concat" | "cat", 2, 0 | -2) => self.joined(parts, true, 2, span)?,
            _ => {
                let message = format!("{name} of these arrays along this axis is not known here.");
                return Err(self.shape_error(span, message));
            }
        };
        Ok(Some(array))
    }

    fn block_matrix(&mut self, rows: &[Value], span: Span) -> Result<Array, FormulaError> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            if let Value::List(values) = row {
                let mut parts = Vec::with_capacity(values.len());
                for value in values {
                    let part = self.as_array(value.clone(), span)?.into_row();
                    parts.push(part);
                }
                lines.push(self.joined(parts, false, 2, span)?);
            }
        }
        self.joined(lines, true, 2, span)
    }

    /// The diagonal of a matrix, with one axis.
    pub(super) fn diagonal_of(&mut self, a: Array, span: Span) -> Result<Array, FormulaError> {
        if a.rank != 2 {
            return Err(self.shape_error(span, "Only a matrix has a diagonal."));
        }
        let size = match a.sizes {
            (Size::Fixed(rows), Size::Fixed(columns)) => Size::Fixed(rows.min(columns)),
            (rows, columns) if rows == columns => rows,
            _ => Size::Unknown,
        };
        let mask = a.mask;
        let mut array = self.mapped(Function::DiagonalOf, a, span)?;
        (array.rank, array.column, array.mask) = (1, false, mask);
        array.sizes = (ONE, size);
        Ok(array)
    }

    /// A square matrix with an array on its diagonal.
    fn diagonal_from(&mut self, a: Array, span: Span) -> Result<Array, FormulaError> {
        let size = if a.column { a.sizes.0 } else { a.sizes.1 };
        let mut array = self.mapped(Function::Diag, a, span)?;
        (array.rank, array.column) = (2, false);
        array.sizes = (size, size);
        Ok(array)
    }

    /// Arrays in another shape.
    pub(super) fn rearrangement(
        &mut self,
        name: &str,
        torch: bool,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Option<Value>, FormulaError> {
        if let Some(array) = self.stacking(name, arguments, span)? {
            return Ok(Some(array.into_value()));
        }
        #[rustfmt::skip]
        let known = [
            "transpose", "Transpose", "t", "adjoint", "reshape", "ravel", "flatten", "squeeze", "unsqueeze", "expand_dims", "atleast_2d", "diag",
            "diagflat", "diagonal", "broadcast_to", "swapaxes", "permute", "vec", "repmat", "bsxfun",
        ];
        if !known.contains(&name) {
            return Ok(None);
        }
        if name == "bsxfun" {
            return self.bsxfun(arguments, span).map(Some);
        }
        let Some(first) = arguments.take(0, &["a", "input", "x", "m", "v", "arr"]) else {
            return Err(self.syntax_error(span, format!("{name} takes an array.")));
        };
        let a = self.as_array(first.clone(), span)?;
        let rest = arguments.values.get(1..).unwrap_or_default();
        let array = match name {
            "transpose" | "Transpose" | "t" | "adjoint" | "swapaxes" | "permute" => {
                self.turned_by(a, rest, name, span)?
            }
            "ravel" | "flatten" => self.flattened(a, span)?,
            "vec" => {
                let column = self.flattened(a.transposed(), span)?.into_column();
                Array {
                    rank: if self.dialect.has_dots() { 2 } else { 1 },
                    ..column
                }
            }
            "reshape" => {
                let named = arguments.named(&["shape", "newshape"]);
                let shape = match named {
                    Some(shape) => vec![shape.clone()],
                    None => rest.to_vec(),
                };
                self.reshaped(a, &shape, span)?
            }
            "squeeze" => {
                self.squeezed(a, rest.first().or(arguments.named(&["axis", "dim"])), span)?
            }
            "unsqueeze" | "expand_dims" => {
                let axis = arguments.take(1, &["axis", "dim"]).cloned();
                self.unsqueezed(a, axis.as_ref(), span)?
            }
            "atleast_2d" => {
                let a = a.into_row();
                let rank = a.rank.max(2);
                Array {
                    rank,
                    whole: None,
                    ..a
                }
            }
            "diagflat" => {
                let flat = self.flattened(a, span)?;
                self.diagonal_from(flat, span)?
            }
            "diagonal" => self.diagonal_of(a, span)?,
            "diag" => {
                if let Some(Value::Array(offset)) = rest.first()
                    && offset.whole != Some(0)
                {
                    return Err(self.syntax_error(span, "Only the main diagonal is known here."));
                }
                let vector = a.rank == 1
                    || (self.dialect.has_dots() && (a.sizes.0 == ONE || a.sizes.1 == ONE));
                if vector {
                    let flat = self.flattened(a, span)?;
                    self.diagonal_from(flat, span)?
                } else {
                    if a.sizes.0 == ONE || a.sizes.1 == ONE {
                        self.advise("np.diag of a matrix takes its diagonal; of an array with one axis, such as z2[0], it makes a matrix.".to_owned());
                    }
                    self.diagonal_of(a, span)?
                }
            }
            "repmat" | "broadcast_to" => self.repeated(a, rest, name == "repmat", span)?,
            _ => return Ok(None),
        };
        let _ = torch;
        Ok(Some(array.into_value()))
    }

    fn bsxfun(&mut self, arguments: &Arguments, span: Span) -> Result<Value, FormulaError> {
        let [Value::Library(name, _), a, b] = &arguments.values[..] else {
            return Err(self.syntax_error(
                span,
                "bsxfun takes a function such as @times, and two arrays.",
            ));
        };
        self.library(
            &name.clone(),
            false,
            vec![a.clone(), b.clone()],
            Vec::new(),
            span,
        )
    }

    /// Rows and columns repeated, where they are alone.
    fn repeated(
        &mut self,
        a: Array,
        shape: &[Value],
        times: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let sizes = self.shape_argument(shape, span)?;
        let [(rows, _), (columns, _)] = &sizes[..] else {
            return Err(self.shape_error(span, "This shape is not known here."));
        };
        if times && ((*rows != ONE && a.sizes.0 != ONE) || (*columns != ONE && a.sizes.1 != ONE)) {
            return Err(self.shape_error(span, "Only a row or a column can be repeated here."));
        }
        let ones = self.library("ones", false, shape.to_vec(), Vec::new(), span)?;
        let ones = self.as_array(ones, span)?;
        let operation = Operation::Of(super::super::Operator::Hadamard);
        self.elementwise(operation, a, ones, span)
    }

    /// A transpose, perhaps with its axes named.
    pub(super) fn turned_by(
        &mut self,
        a: Array,
        axes: &[Value],
        name: &str,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let axes: Vec<Option<i64>> = match axes {
            [Value::List(inner)] => inner.iter().map(whole).collect(),
            other => other.iter().map(whole).collect(),
        };
        let turns = match &axes[..] {
            [] => true,
            [Some(one), Some(other)] => match (name, one.rem_euclid(2), other.rem_euclid(2)) {
                ("swapaxes", one, other) => one != other,
                ("transpose" | "permute", 0, 1) => name == "transpose" && self.is_swap(&a),
                (_, 1, 0) => true,
                _ => false,
            },
            _ => {
                let message = "These axes are not known here: use .T.";
                return Err(self.syntax_error(span, message));
            }
        };
        let array = if turns { a.transposed() } else { a };
        self.checked(array)
    }

    /// Whether `transpose(a, 0, 1)` swaps, as torch's does; numpy's names the new order.
    fn is_swap(&self, _: &Array) -> bool {
        true
    }

    /// `reshape(shape)`.
    pub(super) fn reshaped(
        &mut self,
        a: Array,
        shape: &[Value],
        span: Span,
    ) -> Result<Array, FormulaError> {
        let shape: Vec<Value> = shape
            .iter()
            .filter(|value| !matches!(value, Value::Text(_)))
            .cloned()
            .collect();
        let sizes = self.shape_argument(&shape, span)?;
        if a.rank == 3 {
            return Err(self.shape_error(span, "Reshaping an array of rank 3 is not known here."));
        }
        match &sizes[..] {
            [] => Err(self.shape_error(span, "reshape takes a shape.")),
            [_] => self.flattened(a, span),
            [(rows, first), (columns, second)] => {
                let own = match (a.rank, a.column) {
                    (1, _) => (ONE, ONE),
                    _ => a.sizes,
                };
                if a.rank == 2 && self.fits(own.0, *rows) && self.fits(own.1, *columns) {
                    return Ok(a);
                }
                if *rows == ONE {
                    let flat = self.flattened(a, span)?.into_row();
                    return Ok(Array {
                        rank: 2,
                        column: false,
                        ..flat
                    });
                }
                if *columns == ONE {
                    let flat = self.flattened(a, span)?.into_column();
                    return Ok(Array {
                        rank: 2,
                        column: false,
                        ..flat
                    });
                }
                let nodes = a.nodes + 4;
                let (first, second) = (first.clone(), second.clone());
                let call = Kind::Call(Function::Reshape, vec![a.into_row().expr, first, second]);
                let mut array = Array::new(Kind::Number(0.0), span, 2, (*rows, *columns));
                array.expr = Expr::new(call, span);
                array.nodes = nodes;
                self.checked(array)
            }
            [(rows, _), (ONE, _), (columns, _)] if a.rank == 2 => {
                self.hold_shape(&a, *rows, *columns, span)?;
                self.three(a, false, span)
            }
            [(rows, _), (columns, _), (ONE, _)] if a.rank == 2 => {
                self.hold_shape(&a, *rows, *columns, span)?;
                self.three(a, true, span)
            }
            _ => Err(self.shape_error(span, "This shape is not known here.")),
        }
    }

    /// Whether an axis of one size is meant by another, where −1 stands for what is left.
    fn fits(&self, own: Size, wanted: Size) -> bool {
        wanted == Size::Unknown || own == wanted
    }

    fn hold_shape(
        &mut self,
        a: &Array,
        rows: Size,
        columns: Size,
        span: Span,
    ) -> Result<(), FormulaError> {
        if self.fits(a.sizes.0, rows) && self.fits(a.sizes.1, columns) {
            return Ok(());
        }
        Err(self.shape_error(span, "This shape is not known here."))
    }

    /// An array without its axes of size 1.
    pub(super) fn squeezed(
        &mut self,
        mut a: Array,
        axis: Option<&Value>,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if a.rank == 3 {
            return Err(self.shape_error(span, "Squeezing an array of rank 3 is not known here."));
        }
        if a.rank == 1 {
            if a.is_one() {
                (a.rank, a.column) = (0, false);
            }
            return Ok(a);
        }
        if a.rank == 0 {
            return Ok(a);
        }
        let chosen = axis.and_then(whole);
        let may = |axis: i64| chosen.is_none_or(|chosen| chosen.rem_euclid(2) == axis);
        let (rows, columns) = (a.sizes.0 == ONE && may(0), a.sizes.1 == ONE && may(1));
        if axis.is_some() && !rows && !columns {
            return Err(self.shape_error(span, "This axis is not of size 1."));
        }
        match (rows, columns) {
            (true, true) => a.rank = 0,
            (true, false) => (a.rank, a.column) = (1, false),
            (false, true) => (a.rank, a.column) = (1, true),
            (false, false) => {}
        }
        Ok(a)
    }

    /// An array with a new axis.
    pub(super) fn unsqueezed(
        &mut self,
        a: Array,
        axis: Option<&Value>,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let axis = axis.and_then(whole);
        match (a.rank, axis) {
            (0, Some(0 | -1)) => Ok(Array {
                rank: 1,
                whole: None,
                ..a
            }),
            (1, Some(0 | -2)) => Ok(Array {
                rank: 2,
                ..a.into_row()
            }),
            (1, Some(1 | -1)) => {
                let column = a.into_column();
                Ok(Array {
                    rank: 2,
                    column: false,
                    ..column
                })
            }
            (2, Some(1 | -2)) => self.three(a, false, span),
            (2, Some(2 | -1)) => self.three(a, true, span),
            _ => Err(self.shape_error(span, "A new axis in this place is not known here.")),
        }
        .map(|array| Array {
            column: array.column && array.rank == 1,
            ..array
        })
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Array(array) => array.whole,
        _ => None,
    }
}
