//! The values of expressions.

use std::rc::Rc;

use super::super::expr::{Expr, Kind};
use super::super::{Fault, FormulaError, Span, Symbol};
use super::elementwise::{Operation, comparison};
use super::execute::Program;
use super::library;
use super::names::{function_name, gradient_kind, is_module, is_torch};
use super::syntax::{Dialect, Form, Infix, Node, Prefix, Relation};
use super::value::{Array, Body, Defined, ONE, Size, Value};

/// The most lists or series inside each other that a name stands for.
const MAX_LISTS: usize = 8;

impl Program<'_> {
    /// The value of an expression.
    pub(super) fn value(&mut self, node: &Node) -> Result<Value, FormulaError> {
        self.pay(1, node.span)?;
        self.deeper(node.span, |program| program.value_here(node))
    }

    fn value_here(&mut self, node: &Node) -> Result<Value, FormulaError> {
        let span = node.span;
        match &node.kind {
            Form::Number(number) => Ok(Array::number(*number, span).into_value()),
            Form::Text(text) => Ok(Value::Text(text.clone())),
            Form::Nothing => Ok(Value::Nothing),
            Form::Ellipsis => Ok(Value::Ellipsis),
            Form::Name(name) => self.lookup(name, span),
            Form::Unary(prefix, inner) => self.prefix(*prefix, inner, span),
            Form::Binary(operator, a, b) => self.binary(*operator, a, b, span),
            Form::Compare(first, rest) => self.comparisons(first, rest, span),
            Form::Row(first, rest) => self.row(first, rest),
            Form::Both(a, b) => self.connected(a, b, true, span),
            Form::Any(a, b) => self.connected(a, b, false, span),
            Form::Choice(condition, one, other) => self.conditional(condition, one, other, span),
            Form::Lambda(parameters, body) => Ok(lambda(parameters, body)),
            Form::Call(callee, values, named) => self.call(callee, values, named, span),
            Form::Attribute(base, name) => self.attribute(base, name, span),
            Form::Index(base, items) => {
                let base = self.value(base)?;
                self.index(base, items, span)
            }
            Form::Slice(from, to, step) => {
                let mut part = |part: &Option<Box<Node>>| match part {
                    Some(node) => self.value(node).map(Box::new),
                    None => Ok(Box::new(Value::Nothing)),
                };
                Ok(Value::Slice(part(from)?, part(to)?, part(step)?))
            }
            Form::List(nodes) | Form::Tuple(nodes) => self.list(nodes),
            Form::Each(element, clauses) => self.each(element, clauses, span),
            Form::Rows(rows) => self.matrix_rows(rows, span),
            Form::Transpose(inner) => self.transpose(inner),
        }
    }

    fn transpose(&mut self, inner: &Node) -> Result<Value, FormulaError> {
        let array = self.array(inner)?.transposed();
        Ok(self.checked(array)?.into_value())
    }

    /// `a and b`, `a or b`.
    fn connected(
        &mut self,
        a: &Node,
        b: &Node,
        both: bool,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let (a, b) = (self.array(a)?, self.array(b)?);
        if self.dialect == Dialect::Python && !(a.is_one() && b.is_one()) {
            let message = "\"and\" and \"or\" do not work entry by entry: use \"&\" or \"*\" between conditions.";
            return Err(self.shape_error(span, message));
        }
        Ok(self.logical(a, b, both, span)?.into_value())
    }

    fn list(&mut self, nodes: &[Node]) -> Result<Value, FormulaError> {
        if let [
            Node {
                kind: Form::Each(element, clauses),
                span,
                ..
            },
        ] = nodes
        {
            return self.each(element, clauses, *span);
        }
        let values: Result<Vec<Value>, _> = nodes.iter().map(|node| self.value(node)).collect();
        values.map(Value::List)
    }

    /// The array that an expression is.
    pub(super) fn array(&mut self, node: &Node) -> Result<Array, FormulaError> {
        let value = self.value(node)?;
        self.as_array(value, node.span)
    }

    /// The array that a value is.
    pub(super) fn as_array(&mut self, value: Value, span: Span) -> Result<Array, FormulaError> {
        let what = match value {
            Value::Array(array) => return Ok(*array),
            Value::List(values) => return self.array_of(values, span),
            Value::Series(axis, element) => {
                let element = self.as_array(*element, span)?;
                return self.stacked(&axis, element, span);
            }
            Value::Lost(why) => return Err(self.syntax_error(span, why)),
            Value::Range(from, to) => return self.counted(from, to, span),
            Value::Layers(name) if name == "*" => {
                let message = "This argument has no meaning in the course: name it as the course does, such as delta, W3, z2, h1.";
                return Err(FormulaError::new(Fault::UnknownSymbol, span, message));
            }
            Value::Layers(name) => {
                let message =
                    format!("{name} needs a layer: write {name}2, {name}[2] or {name}_2.");
                return Err(FormulaError::new(Fault::UnknownSymbol, span, message));
            }
            Value::Library(name, _) => format!("{name} is a function; call it with its arguments"),
            Value::Function(function) => {
                format!(
                    "{} is a function; call it with its arguments",
                    function.name
                )
            }
            Value::Text(_) => "A text in quotes is no array".to_owned(),
            Value::Module(name) => format!("{name} is a module, no array"),
            Value::Nothing => "None is no array".to_owned(),
            Value::Dictionary(_) => "A dictionary is no array".to_owned(),
            Value::Slice(..) | Value::Ellipsis => "A slice is no array".to_owned(),
        };
        Err(self.syntax_error(span, format!("{what}.")))
    }

    /// What a name stands for.
    pub(super) fn lookup(&mut self, name: &str, span: Span) -> Result<Value, FormulaError> {
        self.note_read(name, span)?;
        let found = self.names.iter().rev().find_map(|names| names.get(name));
        if let Some(value) = found {
            // Before it is copied: lists inside each other double with every line.
            let (nodes, height) = value.measure();
            if height > MAX_LISTS {
                let message =
                    format!("More than {MAX_LISTS} lists lie inside each other. Write it flatter.");
                return Err(FormulaError::new(Fault::TooLarge, span, message));
            }
            let mut value = value.clone();
            self.pay(nodes, span)?;
            if let Value::Array(array) = &mut value {
                array.expr.span = span;
            }
            if let Value::Lost(why) = &value {
                return Err(self.syntax_error(span, why.clone()));
            }
            return Ok(value);
        }
        if let Some(value) = self.course_value(name, span) {
            return Ok(value);
        }
        if let Some(value) = self.constant(name, span) {
            return Ok(value);
        }
        let mut letters = name.chars();
        if let (Some(letter), None) = (letters.next(), letters.next())
            && letter.is_ascii_lowercase()
        {
            self.free.insert(letter);
            self.used.insert(letter);
            let mut array = Array::new(Kind::Letter(letter), span, 0, (ONE, ONE));
            array.index = Some((letter, 0));
            return Ok(array.into_value());
        }
        if function_name(name, self.scope).is_some() || library::is_known(name) {
            return Ok(Value::Library(name.to_owned(), false));
        }
        if is_module(name) || matches!(name, "self" | "model" | "net" | "network") {
            return Ok(Value::Module(name.to_owned()));
        }
        if matches!(
            name,
            "params" | "parameters" | "cache" | "caches" | "layers" | "grads" | "p" | "ctx"
        ) {
            return Ok(Value::Layers("*".to_owned()));
        }
        let message = format!(
            "The name {name:?} has no meaning here. Known are W1 … W{0}, h0 … h{0}, z1 … z{0}, x, y, f, delta, m, and what the code defines itself: define it above.",
            self.scope.depth
        );
        Err(FormulaError::new(Fault::UnknownSymbol, span, message))
    }

    fn constant(&mut self, name: &str, span: Span) -> Option<Value> {
        let number = match name {
            "pi" => std::f64::consts::PI,
            "newaxis" => return Some(Value::Nothing),
            "float" | "float32" | "float64" | "double" | "int" | "int32" | "int64" | "bool"
            | "long" | "Float64" | "Float32" | "Int" | "dtype"
                if !self.dialect.has_dots() || name.starts_with(['F', 'I']) =>
            {
                return Some(Value::Library(name.to_owned(), false));
            }
            _ => return None,
        };
        Some(Array::number(number, span).into_value())
    }

    fn prefix(&mut self, prefix: Prefix, inner: &Node, span: Span) -> Result<Value, FormulaError> {
        let array = self.array(inner)?;
        let array = match prefix {
            Prefix::Plus => array,
            Prefix::Minus => self.negated(array, span)?,
            Prefix::Not => self.inverted(array, span)?,
        };
        Ok(array.into_value())
    }

    fn binary(
        &mut self,
        operator: Infix,
        a: &Node,
        b: &Node,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let (left, right) = (self.value(a)?, self.value(b)?);
        self.joined_by(operator, (left, a.span), (right, b.span), span)
    }

    /// A row of operators, computed from the left.
    fn row(&mut self, first: &Node, rest: &[(Infix, Node)]) -> Result<Value, FormulaError> {
        let mut span = first.span;
        let mut left = self.value(first)?;
        for (operator, node) in rest {
            let right = self.value(node)?;
            let end = node.span.end;
            let whole = Span {
                start: span.start,
                end,
            };
            self.pay(1, whole)?;
            left = self.joined_by(*operator, (left, span), (right, node.span), whole)?;
            span = whole;
        }
        Ok(left)
    }

    /// The value of an operator between two values, each with its place.
    fn joined_by(
        &mut self,
        operator: Infix,
        (left, left_span): (Value, Span),
        (right, right_span): (Value, Span),
        span: Span,
    ) -> Result<Value, FormulaError> {
        if let (Value::List(one), Value::List(other), Infix::Add) = (&left, &right, operator) {
            return Ok(Value::List(one.iter().chain(other).cloned().collect()));
        }
        if matches!((&left, &right), (Value::List(_), _) | (_, Value::List(_))) {
            let both = matches!((&left, &right), (Value::List(_), Value::List(_)));
            let with_array = |value: &Value| matches!(value, Value::Array(array) if array.rank > 0);
            if both || !(with_array(&left) || with_array(&right)) {
                let message = "Lists have no arithmetic: write np.array([...]).";
                return Err(self.syntax_error(span, message));
            }
        }
        let (left, right) = (
            self.as_array(left, left_span)?,
            self.as_array(right, right_span)?,
        );
        Ok(self.infix(operator, left, right, span)?.into_value())
    }

    fn comparisons(
        &mut self,
        first: &Node,
        rest: &[(Relation, Node)],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut left = self.array(first)?;
        let mut all: Option<Array> = None;
        for (relation, node) in rest {
            let right = self.array(node)?;
            let operation = Operation::Compare(comparison(*relation));
            let next = self.elementwise(operation, left, right.clone(), span)?;
            left = right;
            all = Some(match all {
                None => next,
                Some(before) => self.logical(before, next, true, span)?,
            });
        }
        match all {
            Some(array) => Ok(array.into_value()),
            None => Ok(left.into_value()),
        }
    }

    /// `a if c else b`.
    fn conditional(
        &mut self,
        condition: &Node,
        one: &Node,
        other: &Node,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let condition = self.array(condition)?;
        if let Some(whole) = condition.whole {
            return self.value(if whole != 0 { one } else { other });
        }
        if !condition.is_one() && !self.dialect.has_dots() {
            let message =
                "\"if … else\" decides once, not entry by entry: use np.where(condition, a, b).";
            return Err(self.shape_error(span, message));
        }
        let (one, other) = (self.array(one)?, self.array(other)?);
        Ok(self.choice(condition, one, other, span)?.into_value())
    }

    /// `base.name`.
    fn attribute(&mut self, base: &Node, name: &str, span: Span) -> Result<Value, FormulaError> {
        let base_value = self.value(base)?;
        match base_value {
            Value::Module(module) => {
                if matches!(module.as_str(), "self" | "model" | "net" | "network") {
                    return self.lookup(name, span);
                }
                if name == "newaxis" {
                    return Ok(Value::Nothing);
                }
                if is_module(name)
                    || matches!(name, "functional" | "linalg" | "special" | "autograd")
                {
                    let inner = if is_torch(&module) { "F" } else { "np" };
                    return Ok(Value::Module(inner.to_owned()));
                }
                if let Some(value) = self.constant(name, span) {
                    return Ok(value);
                }
                Ok(Value::Library(name.to_owned(), is_torch(&module)))
            }
            Value::Array(array) => self.array_attribute(*array, name, span),
            Value::List(values) => {
                let array = self.array_of(values, span)?;
                self.array_attribute(array, name, span)
            }
            Value::Layers(_) => self.lookup(name, span),
            other => {
                let array = self.as_array(other, base.span)?;
                self.array_attribute(array, name, span)
            }
        }
    }

    fn array_attribute(
        &mut self,
        array: Array,
        name: &str,
        span: Span,
    ) -> Result<Value, FormulaError> {
        match name {
            "T" => {
                if array.rank == 1 {
                    self.advise(".T of an array with one axis changes nothing.".to_owned());
                }
                let array = array.transposed();
                Ok(self.checked(array)?.into_value())
            }
            "mT" if array.rank >= 2 => {
                let array = array.transposed();
                Ok(self.checked(array)?.into_value())
            }
            "data" | "real" | "values" | "detach" => Ok(array.into_value()),
            "shape" => self.shape(&array, span),
            "dtype" | "device" => Ok(Value::Library("float".to_owned(), false)),
            "ndim" => Ok(Array::number(f64::from(array.rank), span).into_value()),
            "size" => {
                let over = super::reduce::Over::All;
                Ok(self.count(&array, over, span)?.into_value())
            }
            "grad" => match array.expr.kind {
                Kind::Symbol(symbol) => {
                    let mut gradient = Array::symbol(symbol, self.scope, span);
                    gradient.expr = Expr::new(gradient_kind(symbol, span), span);
                    gradient.nodes = 3;
                    Ok(gradient.into_value())
                }
                _ => {
                    Err(self.syntax_error(span, ".grad is known of the course's quantities only."))
                }
            },
            _ => {
                let message = format!("The attribute .{name} is not known here.");
                Err(FormulaError::new(Fault::UnknownSymbol, span, message))
            }
        }
    }

    /// `a.shape`.
    pub(super) fn shape(&mut self, array: &Array, span: Span) -> Result<Value, FormulaError> {
        let (rows, columns) = array.sizes;
        let sizes = match (array.rank, array.column) {
            (0, _) => vec![],
            (1, false) => vec![columns],
            (1, true) => vec![rows],
            (2, _) => vec![rows, columns],
            _ => {
                let message = "The shape of an array of rank 3 is not known here.";
                return Err(self.shape_error(span, message));
            }
        };
        let sizes = sizes.into_iter().map(|size| self.size(size, span));
        let sizes: Result<Vec<Value>, _> = sizes.collect();
        sizes.map(Value::List)
    }

    /// A size as a number.
    pub(super) fn size(&self, size: Size, span: Span) -> Result<Value, FormulaError> {
        match (size, size.kind()) {
            (Size::Fixed(size), _) => Ok(Array::number(size as f64, span).into_value()),
            (_, Some(kind)) => Ok(Array::new(kind, span, 0, (ONE, ONE)).into_value()),
            _ => Err(self.shape_error(span, "The size of this axis is not clear here.")),
        }
    }

    /// `base[items]`.
    pub(super) fn index(
        &mut self,
        base: Value,
        items: &[Node],
        span: Span,
    ) -> Result<Value, FormulaError> {
        match base {
            Value::Layers(name) => self.layer(&name, items, span),
            Value::List(values) => {
                if let [item] = items
                    && let Value::Array(index) = self.value(item)?
                    && let Some(whole) = index.whole
                {
                    let first = i64::from(self.one_based);
                    let at = if whole < 0 {
                        whole + values.len() as i64
                    } else {
                        whole - first
                    };
                    return match usize::try_from(at).ok().and_then(|at| values.get(at)) {
                        Some(value) => Ok(value.clone()),
                        None => Err(self.shape_error(span, "The list has no such entry.")),
                    };
                }
                let array = self.array_of(values, span)?;
                self.index_array(array, items, span)
            }
            Value::Dictionary(entries) => match items {
                [item] => {
                    let key = self.key(item)?;
                    match entries.into_iter().find(|(name, _)| *name == key) {
                        Some((_, value)) => Ok(value),
                        None => self.lookup(&key, span),
                    }
                }
                _ => Err(self.syntax_error(span, "A dictionary has one key.")),
            },
            Value::Library(name, _) if matches!(name.as_str(), "c_" | "r_") => {
                let values: Result<Vec<Value>, _> =
                    items.iter().map(|item| self.value(item)).collect();
                let name = if name == "c_" {
                    "column_stack"
                } else {
                    "hstack"
                };
                let list = vec![Value::List(values?)];
                self.library(name, false, list, Vec::new(), span)
            }
            other => {
                let array = self.as_array(other, span)?;
                self.index_array(array, items, span)
            }
        }
    }

    fn index_array(
        &mut self,
        array: Array,
        items: &[Node],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.value(item)?);
        }
        // `a[(0, 1)]`.
        if let [Value::List(inner)] = &values[..]
            && inner.len() == 2
            && array.rank == 2
            && matches!(
                items,
                [Node {
                    kind: Form::Tuple(_),
                    ..
                }]
            )
        {
            values = inner.clone();
        }
        Ok(self.indexed(array, &values, span)?.into_value())
    }

    /// The text or number that is a key, as a name.
    fn key(&mut self, item: &Node) -> Result<String, FormulaError> {
        match self.value(item)? {
            Value::Text(text) => Ok(text),
            Value::Array(array) => match array.whole {
                Some(whole) => Ok(whole.to_string()),
                None => Err(self.syntax_error(item.span, "A key must be a text or a number.")),
            },
            _ => Err(self.syntax_error(item.span, "A key must be a text or a number.")),
        }
    }

    /// `W[3]`, `params["W3"]`.
    fn layer(&mut self, name: &str, items: &[Node], span: Span) -> Result<Value, FormulaError> {
        let Some((first, rest)) = items.split_first() else {
            return Err(self.syntax_error(span, "A layer is missing in the brackets."));
        };
        let value = self.value(first)?;
        let found = match &value {
            Value::Text(text) => match self.course_value(text, span) {
                Some(found) => Some(found),
                None => self.course_value(&format!("{name}{text}"), span),
            },
            Value::Array(array) if name != "*" => match array.whole {
                Some(-1) => self.course_value(&format!("{name}{}", self.scope.depth), span),
                Some(whole) => self.course_value(&format!("{name}{whole}"), span),
                None => {
                    let message = format!(
                        "{name} stands for all layers: put the layer's number in the brackets, such as {name}[2]."
                    );
                    return Err(self.syntax_error(span, message));
                }
            },
            _ => None,
        };
        let Some(found) = found else {
            let message = format!(
                "There is no such layer: layers count from 1 to {}, and h[0] is x.",
                self.scope.depth
            );
            return Err(FormulaError::new(Fault::UnknownSymbol, span, message));
        };
        if rest.is_empty() {
            return Ok(found);
        }
        let message = format!(
            "{name}[…] takes one layer; the entry follows in brackets of its own, as in {name}[2][0, 1]."
        );
        Err(self.syntax_error(span, message))
    }

    /// `callee(values, name=value)`.
    fn call(
        &mut self,
        callee: &Node,
        values: &[Node],
        named: &[(String, Node)],
        span: Span,
    ) -> Result<Value, FormulaError> {
        if let Form::Attribute(base, name) = &callee.kind {
            let base_value = self.value(base)?;
            let is_method = match &base_value {
                Value::Array(_) | Value::List(_) | Value::Series(..) | Value::Range(..) => true,
                Value::Dictionary(_) if name == "get" => {
                    return self.index(base_value, values.get(..1).unwrap_or_default(), span);
                }
                Value::Dictionary(_) => false,
                _ => false,
            };
            if is_method {
                return self.method(base_value, base, name, values, named, span);
            }
        }
        let called = match &callee.kind {
            Form::Name(name) | Form::Attribute(_, name) => name.as_str(),
            _ => "",
        };
        if let ("Sum", [body, limits]) = (called, values) {
            return self.symbolic_sum(body, limits, span);
        }
        // Julia's `relu'.(z2)`.
        if let Form::Transpose(inner) = &callee.kind
            && let Form::Name(name) = &inner.kind
            && !self.is_defined(name)
            && let Some(function @ ("relu" | "sigma" | "sigmoid" | "tanh")) =
                function_name(name, self.scope)
        {
            let mut arguments = Vec::with_capacity(values.len());
            for value in values {
                arguments.push(self.value(value)?);
            }
            return self.library(
                &format!("{function}_prime"),
                false,
                arguments,
                Vec::new(),
                span,
            );
        }
        let callee_value = match &callee.kind {
            // `f(x, theta)` is the network's output.
            Form::Name(name) if name == "f" && !self.is_defined(name) => {
                let symbol = Symbol::Activation(self.scope.depth);
                return Ok(Array::symbol(symbol, self.scope, span).into_value());
            }
            Form::Name(name)
                if !self.is_defined(name)
                    && (function_name(name, self.scope).is_some() || library::is_known(name)) =>
            {
                Value::Library(name.clone(), false)
            }
            _ => self.value(callee)?,
        };
        if let (Value::Array(array), true) = (&callee_value, self.dialect.has_dots()) {
            // An index in parentheses; `end` is the size of its axis.
            let array = (**array).clone();
            return self.index_in_parentheses(array, values, span);
        }
        let mut arguments = Vec::with_capacity(values.len());
        for value in values {
            arguments.push(self.value(value)?);
        }
        let mut options = Vec::with_capacity(named.len());
        for (name, value) in named {
            options.push((name.clone(), self.value(value)?));
        }
        match callee_value {
            Value::Function(function) => self.call_defined(&function, arguments, options, span),
            Value::Library(name, torch) => self.library(&name, torch, arguments, options, span),
            Value::Module(name) => {
                let message = format!("{name} is a module; call one of its functions.");
                Err(self.syntax_error(span, message))
            }
            _ => {
                let message = "Parentheses behind this are a call in code, and this is no function: write \"*\" or \"@\" for a product.";
                Err(self.syntax_error(span, message))
            }
        }
    }

    /// sympy's `Sum(body, (q, 0, 1))`, whose limits are both included.
    fn symbolic_sum(
        &mut self,
        body: &Node,
        limits: &Node,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let Form::Tuple(parts) = &limits.kind else {
            return Err(self.syntax_error(span, "Sum takes its limits as (q, first, last)."));
        };
        let [
            Node {
                kind: Form::Name(name),
                ..
            },
            first,
            last,
        ] = &parts[..]
        else {
            return Err(self.syntax_error(span, "Sum takes its limits as (q, first, last)."));
        };
        let (first, last) = (self.value(first)?, self.value(last)?);
        let from = self.bound(&first, span)?;
        let mut to = self.bound(&last, span)?;
        to.plus += 1;
        let range = Value::Range(from.normal(), to.normal());
        let series = self.each_over(body, name, range, span)?;
        self.library("sum", false, vec![series], Vec::new(), span)
    }

    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.names.iter().any(|names| names.contains_key(name))
    }

    /// MATLAB's `a(1, :)`.
    fn index_in_parentheses(
        &mut self,
        array: Array,
        items: &[Node],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut values = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            if matches!(&item.kind, Form::Name(name) if name == "end") {
                let size = if at == 0 && items.len() > 1 {
                    array.sizes.0
                } else {
                    array.sizes.1
                };
                values.push(self.size(size, item.span)?);
            } else {
                values.push(self.value(item)?);
            }
        }
        let array = match (&values[..], array.sizes) {
            ([_], (ONE, _)) => {
                values.insert(0, Array::number(1.0, span).into_value());
                array
            }
            ([_], (_, ONE)) => {
                values.push(Array::number(1.0, span).into_value());
                array
            }
            ([Value::Slice(..)], _) => {
                let column = self.flattened(array.transposed(), span)?.into_column();
                return Ok(Array { rank: 2, ..column }.into_value());
            }
            _ => array,
        };
        Ok(self.indexed(array, &values, span)?.into_value())
    }
}

fn lambda(parameters: &[String], body: &Node) -> Value {
    let defined = Defined {
        name: "lambda".to_owned(),
        parameters: parameters.iter().map(|name| (name.clone(), None)).collect(),
        body: Body::Expression(body.clone()),
    };
    Value::Function(Rc::new(defined))
}
