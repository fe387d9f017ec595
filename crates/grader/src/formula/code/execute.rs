//! Executes the statements of a program on trees instead of numbers.

use std::sync::Arc;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::expr::{Expr, Kind, Operator};
use super::super::parser::MAX_NODES;
use super::super::{Fault, FormulaError, MAX_HEIGHT, Scope, Span, Symbol};
use super::assertions::Assertion;
use super::elementwise::Operation;
use super::loops::Frame;
use super::names::{Meaning, gradient_kind, meaning};
use super::syntax::{Action, Dialect, Form, Infix, Node, Statement};
use super::value::{Array, Body, Defined, Value};

/// The most nodes that a program may create while it is read.
const MAX_WORK: usize = 200_000;
/// The deepest calls of the program's own functions.
const MAX_CALLS: usize = 8;

/// A program while it is read.
pub(super) struct Program<'s> {
    pub(super) scope: &'s Scope,
    pub(super) dialect: Dialect,
    /// Whether indices count from 1.
    pub(super) one_based: bool,
    /// The names of the program, then those of the functions that are being called.
    pub(super) names: Vec<BTreeMap<String, Value>>,
    /// The loops around the statement.
    pub(super) frames: Vec<Frame>,
    /// The letters of the question, as far as the program names them.
    pub(super) free: BTreeSet<char>,
    /// All letters in use.
    pub(super) used: BTreeSet<char>,
    /// What an index of each letter, counted from 1, is more than the letter's own value in the program.
    pub(super) shifts: BTreeMap<char, i64>,
    pub(super) uses_numbers: bool,
    /// The shapes that the program asserts.
    pub(super) assertions: Vec<Assertion>,
    /// The name of the value of the program, and its place.
    pub(super) named: Option<(String, Span)>,
    advice: Vec<String>,
    work: usize,
    calls: usize,
    /// The expressions and blocks that are being evaluated, inside each other.
    depth: u32,
    /// Whether names of functions mean numpy's, after `from numpy import *`.
    pub(super) from_numpy: bool,
}

/// What a row of statements came to.
pub(super) enum Flow {
    Next,
    Return(Value),
}

/// The value of the program so far.
#[derive(Default)]
struct Last {
    value: Option<(Value, Span)>,
    bare: usize,
}

impl<'s> Program<'s> {
    pub(super) fn new(scope: &'s Scope, dialect: Dialect, plain: bool) -> Self {
        Self {
            scope,
            dialect,
            one_based: plain || dialect.has_dots(),
            names: vec![BTreeMap::new()],
            frames: Vec::new(),
            free: BTreeSet::new(),
            used: BTreeSet::new(),
            shifts: BTreeMap::new(),
            uses_numbers: false,
            assertions: Vec::new(),
            named: None,
            advice: Vec::new(),
            work: 0,
            calls: 0,
            depth: 0,
            from_numpy: false,
        }
    }

    pub(super) fn syntax_error(&self, span: Span, message: impl Into<String>) -> FormulaError {
        FormulaError::new(Fault::Syntax, span, message)
    }

    pub(super) fn shape_error(&self, span: Span, message: impl Into<String>) -> FormulaError {
        FormulaError::new(Fault::Shape, span, message)
    }

    pub(super) fn advise(&mut self, advice: String) {
        if !self.advice.contains(&advice) {
            self.advice.push(advice);
        }
    }

    /// What a student should know about how the program was read.
    pub(super) fn advice(self) -> Vec<String> {
        let mut advice = self.advice;
        let letters = !self.free.is_empty();
        if self.uses_numbers || letters {
            advice.push(if self.one_based {
                "Indices were read from 1.".to_owned()
            } else if self.uses_numbers {
                "Indices were read as Python's, from 0.".to_owned()
            } else {
                "The question's indices were read as the rows and columns of the arrays.".to_owned()
            });
        }
        advice
    }

    /// Pays for the nodes of a new array, and holds it to the limits of a formula.
    pub(super) fn checked(&mut self, array: Array) -> Result<Array, FormulaError> {
        self.pay(array.nodes, array.expr.span)?;
        if array.nodes > MAX_NODES {
            let message =
                format!("The formula has more than {MAX_NODES} pieces. Write it shorter.");
            return Err(FormulaError::new(Fault::TooLarge, array.expr.span, message));
        }
        if array.expr.height() > MAX_HEIGHT {
            let message = format!(
                "More than {MAX_HEIGHT} pieces of the formula lie inside each other. Write it flatter."
            );
            return Err(FormulaError::new(Fault::TooLarge, array.expr.span, message));
        }
        Ok(array)
    }

    pub(super) fn pay(&mut self, nodes: usize, span: Span) -> Result<(), FormulaError> {
        self.work = self.work.saturating_add(nodes);
        if self.work > MAX_WORK {
            let message = "The code is too much work to read. Write it shorter.";
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        Ok(())
    }

    /// Evaluates what lies inside of something else: the stack has room for a number of them.
    pub(super) fn deeper<V>(
        &mut self,
        span: Span,
        evaluate: impl FnOnce(&mut Self) -> Result<V, FormulaError>,
    ) -> Result<V, FormulaError> {
        if self.depth >= MAX_HEIGHT {
            let message = format!(
                "More than {MAX_HEIGHT} pieces of the code lie inside each other. Write it flatter."
            );
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        self.depth += 1;
        let value = evaluate(self);
        self.depth -= 1;
        value
    }

    /// The value of the whole program: that of its last statement.
    pub(super) fn answer(
        &mut self,
        statements: &[Statement],
        length: usize,
    ) -> Result<Array, FormulaError> {
        let end = Span {
            start: 0,
            end: length,
        };
        let mut last = Last::default();
        let returned = self.outermost(statements, &mut last)?;
        if last.bare > 1 {
            let message = "There are several expressions without a name: which one is the answer? Leave the answer alone, or give the others names.";
            return Err(self.syntax_error(end, message));
        }
        let (value, span) = match returned.or(last.value) {
            Some((value, span)) => (value, span),
            None => {
                let message =
                    "This code computes nothing: end it with the expression that is the answer.";
                return Err(self.syntax_error(end, message));
            }
        };
        let mut array = self.result(value, span)?;
        for letter in std::mem::take(&mut self.free) {
            let shift = self.shifts.get(&letter).copied();
            let shift = shift.unwrap_or(i64::from(!self.one_based));
            shift_letter(&mut array.expr, letter, shift);
            self.free.insert(letter);
        }
        array.nodes = array.expr.pieces().count();
        self.checked(array)
    }

    /// The statements outside of functions.
    fn outermost(
        &mut self,
        statements: &[Statement],
        last: &mut Last,
    ) -> Result<Option<(Value, Span)>, FormulaError> {
        for statement in statements {
            let before = match &statement.kind {
                Action::Value(node) => {
                    if self.appended(node)? {
                        continue;
                    }
                    let value = self.value(node)?;
                    if is_silent(node, &value) {
                        continue;
                    }
                    last.bare += usize::from(!is_print(node));
                    Some(value)
                }
                _ => match self.statement(statement)? {
                    Flow::Return(value) => {
                        self.note_name(statement);
                        return Ok(Some((value, statement.span)));
                    }
                    Flow::Next => self.named_by(statement)?,
                },
            };
            if let Some(value) = before {
                last.value = Some((value, statement.span));
                self.note_name(statement);
            }
        }
        Ok(None)
    }

    /// Notes the name that a statement shows or gives a value to.
    fn note_name(&mut self, statement: &Statement) {
        self.named = name_of(statement).map(|name| (name, statement.span));
    }

    /// The value of the name that a statement gives a value to.
    fn named_by(&mut self, statement: &Statement) -> Result<Option<Value>, FormulaError> {
        let name = match &statement.kind {
            Action::Assign(targets, _) => targets.last().and_then(root_name),
            Action::Change(target, ..) => root_name(target),
            Action::Define(name, ..) => Some(name.as_str()),
            Action::For(_, _, body) => {
                return match body.last() {
                    Some(last) => self.named_by(last),
                    None => Ok(None),
                };
            }
            Action::If(_, body, _) => {
                return match body.last() {
                    Some(last) => self.named_by(last),
                    None => Ok(None),
                };
            }
            Action::Value(_)
            | Action::Return(_)
            | Action::Import(_)
            | Action::Assert(_)
            | Action::Pass => None,
        };
        let Some(name) = name else { return Ok(None) };
        let found = self.names.iter().rev().find_map(|names| names.get(name));
        Ok(found.cloned())
    }

    /// The array that a value is as an answer.
    fn result(&mut self, value: Value, span: Span) -> Result<Array, FormulaError> {
        match value {
            Value::Function(function) => {
                let value = self.called_by_the_question(&function, span)?;
                self.result(value, span)
            }
            Value::List(values) if values.len() > 1 && values.iter().all(is_matrix) => {
                let message = "The code gives several values: which one is the answer? End with that one alone.";
                Err(self.syntax_error(span, message))
            }
            Value::Dictionary(entries) => match &entries[..] {
                [(_, value)] => self.result(value.clone(), span),
                _ => {
                    let message = "The code gives a dictionary of several values: end with the one that is the answer.";
                    Err(self.syntax_error(span, message))
                }
            },
            value => {
                let array = self.as_array(value, span)?;
                if array.rank == 3 {
                    let message = "The answer has three axes, with one for the samples: sum over that axis, or use a matrix product such as a.T @ b.";
                    return Err(self.shape_error(span, message));
                }
                Ok(array)
            }
        }
    }

    /// A function that is the answer, with the course's quantities as its arguments.
    fn called_by_the_question(
        &mut self,
        function: &Rc<Defined>,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut values = Vec::with_capacity(function.parameters.len());
        for (name, default) in &function.parameters {
            let argument = !self.scope.argument.is_empty() && function.parameters.len() == 1;
            let value = if argument {
                let symbol = Symbol::Argument;
                Array::symbol(symbol, self.scope, span).into_value()
            } else if let Some(default) = default {
                self.value(default)?
            } else {
                match self.course_value(name, span) {
                    Some(value) => value,
                    None if name.len() == 1 => self.lookup(name, span)?,
                    None => Value::Layers("*".to_owned()),
                }
            };
            values.push(value);
        }
        self.call_defined(function, values, Vec::new(), span)
    }

    /// What a name means in the course.
    pub(super) fn course_value(&mut self, name: &str, span: Span) -> Option<Value> {
        match meaning(name, self.scope)? {
            Meaning::Quantity(symbol) => Some(Array::symbol(symbol, self.scope, span).into_value()),
            Meaning::Gradient(symbol) => {
                let mut array = Array::symbol(symbol, self.scope, span);
                array.expr = Expr::new(gradient_kind(symbol, span), span);
                array.nodes = 3;
                Some(array.into_value())
            }
            Meaning::Layers(letter) => Some(Value::Layers(letter.to_string())),
            Meaning::Prediction(function) => {
                let output = Array::symbol(Symbol::Activation(self.scope.depth), self.scope, span);
                Some(self.mapped(function, output, span).ok()?.into_value())
            }
        }
    }

    /// Calls one of the program's own functions.
    pub(super) fn call_defined(
        &mut self,
        function: &Rc<Defined>,
        values: Vec<Value>,
        named: Vec<(String, Value)>,
        span: Span,
    ) -> Result<Value, FormulaError> {
        if self.calls >= MAX_CALLS {
            let message = format!(
                "The functions call each other more than {MAX_CALLS} deep. Write the formula instead."
            );
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        let mut names = BTreeMap::new();
        if values.len() > function.parameters.len() {
            let message = format!(
                "{} takes {} arguments; {} are given.",
                function.name,
                function.parameters.len(),
                values.len()
            );
            return Err(self.syntax_error(span, message));
        }
        for (value, (name, _)) in values.into_iter().zip(&function.parameters) {
            names.insert(name.clone(), value);
        }
        for (name, value) in named {
            names.insert(name, value);
        }
        for (name, default) in &function.parameters {
            if names.contains_key(name) {
                continue;
            }
            let value = match default {
                Some(default) => self.value(default)?,
                None => {
                    let message = format!("The argument {name} of {} is missing.", function.name);
                    return Err(self.syntax_error(span, message));
                }
            };
            names.insert(name.clone(), value);
        }
        self.calls += 1;
        self.names.push(names);
        let frames = std::mem::take(&mut self.frames);
        let result = match &function.body {
            Body::Expression(node) => self.value(node),
            Body::Block(statements) => self.returned(statements, &function.name, span),
        };
        self.frames = frames;
        self.names.pop();
        self.calls -= 1;
        result
    }

    /// What the body of a function returns; in MATLAB, what its last statement names.
    fn returned(
        &mut self,
        statements: &[Statement],
        name: &str,
        span: Span,
    ) -> Result<Value, FormulaError> {
        if let Flow::Return(value) = self.block(statements)? {
            return Ok(value);
        }
        if self.dialect.has_dots()
            && let Some(last) = statements.last()
        {
            if let Action::Value(node) = &last.kind {
                return self.value(node);
            }
            if let Some(value) = self.named_by(last)? {
                return Ok(value);
            }
        }
        Err(self.syntax_error(span, format!("The function {name} returns nothing.")))
    }

    pub(super) fn block(&mut self, statements: &[Statement]) -> Result<Flow, FormulaError> {
        for (at, statement) in statements.iter().enumerate() {
            if let Action::If(condition, one, other) = &statement.kind {
                let rest = &statements[at + 1..];
                return self.deeper(statement.span, |program| {
                    program.branch(condition, one, other, rest, statement.span)
                });
            }
            if let Flow::Return(value) = self.statement(statement)? {
                return Ok(Flow::Return(value));
            }
        }
        Ok(Flow::Next)
    }

    /// `if`: both ways are followed, and what differs depends on the condition.
    fn branch(
        &mut self,
        condition: &Node,
        one: &[Statement],
        other: &[Statement],
        rest: &[Statement],
        span: Span,
    ) -> Result<Flow, FormulaError> {
        let condition = self.array(condition)?;
        if let Some(whole) = condition.whole {
            let way = if whole != 0 { one } else { other };
            return match self.block(way)? {
                Flow::Next => self.block(rest),
                returned @ Flow::Return(_) => Ok(returned),
            };
        }
        if self.frames.iter().any(Frame::is_open) {
            return self.branch_in_loop(&condition, one, other, rest, span);
        }
        let before = self.names.clone();
        let first = self.block(one)?;
        let after = std::mem::replace(&mut self.names, before.clone());
        let second = self.block(other)?;
        match (first, second) {
            (Flow::Return(a), Flow::Return(b)) => {
                Ok(Flow::Return(self.chosen(&condition, a, b, span)?))
            }
            (Flow::Return(a), Flow::Next) => match self.block(rest)? {
                Flow::Return(b) => Ok(Flow::Return(self.chosen(&condition, a, b, span)?)),
                Flow::Next => {
                    Err(self.syntax_error(span, "One way through this \"if\" returns nothing."))
                }
            },
            (Flow::Next, Flow::Return(b)) => {
                self.names = after;
                match self.block(rest)? {
                    Flow::Return(a) => Ok(Flow::Return(self.chosen(&condition, a, b, span)?)),
                    Flow::Next => {
                        Err(self.syntax_error(span, "One way through this \"if\" returns nothing."))
                    }
                }
            }
            (Flow::Next, Flow::Next) => {
                self.merge(&condition, after, span)?;
                self.block(rest)
            }
        }
    }

    /// Names that the first way through an `if` set, beside what the second way left.
    fn merge(
        &mut self,
        condition: &Array,
        after: Vec<BTreeMap<String, Value>>,
        span: Span,
    ) -> Result<(), FormulaError> {
        let Some(first) = after.into_iter().next_back() else {
            return Ok(());
        };
        let Some(second) = self.names.last().cloned() else {
            return Ok(());
        };
        let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
        let mut merged = BTreeMap::new();
        for name in names {
            let value = match (first.get(name), second.get(name)) {
                (Some(Value::Array(a)), Some(Value::Array(b))) if a.expr != b.expr => self.chosen(
                    condition,
                    Value::Array(a.clone()),
                    Value::Array(b.clone()),
                    span,
                )?,
                (Some(same), Some(_)) => same.clone(),
                _ => Value::Lost(format!(
                    "{name} has a value on one way through \"if\" only."
                )),
            };
            merged.insert(name.clone(), value);
        }
        if let Some(names) = self.names.last_mut() {
            *names = merged;
        }
        Ok(())
    }

    fn chosen(
        &mut self,
        condition: &Array,
        a: Value,
        b: Value,
        span: Span,
    ) -> Result<Value, FormulaError> {
        if !condition.is_one() {
            let message = "\"if\" decides once, not entry by entry: use np.where(condition, a, b).";
            return Err(self.shape_error(span, message));
        }
        let (a, b) = (self.as_array(a, span)?, self.as_array(b, span)?);
        Ok(self.choice(condition.clone(), a, b, span)?.into_value())
    }

    pub(super) fn statement(&mut self, statement: &Statement) -> Result<Flow, FormulaError> {
        let span = statement.span;
        self.pay(1, span)?;
        match &statement.kind {
            Action::Pass => {}
            Action::Assert(node) => self.assertion(node)?,
            Action::Value(node) => {
                if !self.appended(node)? {
                    self.value(node)?;
                }
            }
            Action::Return(None) => return Ok(Flow::Return(Value::Nothing)),
            Action::Return(Some(node)) => return Ok(Flow::Return(self.value(node)?)),
            Action::Import(aliases) => self.import(aliases),
            Action::Define(name, parameters, body) => {
                let defined = Defined {
                    name: name.clone(),
                    parameters: parameters.clone(),
                    body: Body::Block(body.clone()),
                };
                self.set(name, Value::Function(Rc::new(defined)), span)?;
            }
            Action::Assign(targets, node) => {
                let value = if let [target] = &targets[..]
                    && let Some((name, added)) = self.accumulation(target, node)
                {
                    let added = self.value(&added)?;
                    let added = self.as_array(added, span)?;
                    self.add_to_name(name, added, span)?;
                    return Ok(Flow::Next);
                } else {
                    self.value(node)?
                };
                for target in targets {
                    self.assign(target, value.clone(), span)?;
                }
            }
            Action::Change(target, operator, node) => {
                let value = self.array(node)?;
                self.change(target, *operator, value, span)?;
            }
            Action::For(targets, iterable, body) => {
                return self.run_loop(targets, iterable, body, span);
            }
            Action::If(..) => return self.block(std::slice::from_ref(statement)),
        }
        Ok(Flow::Next)
    }

    fn import(&mut self, aliases: &[(String, String)]) {
        for (alias, module) in aliases {
            let value = match module.strip_prefix('.') {
                Some("*") => {
                    self.from_numpy = true;
                    continue;
                }
                Some(name) if super::names::is_module(name) || name == "functional" => {
                    Value::Module(name.replace("functional", "F"))
                }
                Some(name) => Value::Library(name.to_owned(), false),
                None => {
                    let first = module.split('.').next().unwrap_or(module);
                    Value::Module(first.to_owned())
                }
            };
            if let Some(names) = self.names.last_mut() {
                names.insert(alias.clone(), value);
            }
        }
    }

    /// Gives a name, or entries of it, a value.
    fn assign(&mut self, target: &Node, value: Value, span: Span) -> Result<(), FormulaError> {
        match &target.kind {
            Form::Name(name) => self.set(name, value, span),
            Form::Tuple(targets) | Form::List(targets) => match value {
                Value::List(values) if values.len() == targets.len() => {
                    for (target, value) in targets.iter().zip(values) {
                        self.assign(target, value, span)?;
                    }
                    Ok(())
                }
                _ => {
                    let message =
                        "The names on the left are not as many as the values on the right.";
                    Err(self.syntax_error(target.span, message))
                }
            },
            Form::Attribute(_, name) => self.set(name, value, span),
            Form::Index(base, items) => self.assign_entries(base, items, None, value, span),
            Form::Call(base, items, _) if self.dialect == Dialect::Matlab => {
                self.assign_entries(base, items, None, value, span)
            }
            _ => Err(self.syntax_error(target.span, "Only a name can be given a value.")),
        }
    }

    /// `target += value` and the like.
    fn change(
        &mut self,
        target: &Node,
        operator: Infix,
        value: Array,
        span: Span,
    ) -> Result<(), FormulaError> {
        match (&target.kind, operator) {
            (Form::Name(name), Infix::Add) => self.add_to_name(name, value, span),
            (Form::Name(name), Infix::Subtract) => {
                let value = self.negated(value, span)?;
                self.add_to_name(name, value, span)
            }
            (Form::Name(name), _) => {
                let before = self.lookup(name, target.span)?;
                let before = self.as_array(before, span)?;
                let after = self.infix(operator, before, value, span)?;
                self.set(name, after.into_value(), span)
            }
            (Form::Index(base, items), _) => {
                self.assign_entries(base, items, Some(operator), value.into_value(), span)
            }
            _ => Err(self.syntax_error(target.span, "Only a name can be changed.")),
        }
    }

    /// Whether a name has this frame's own value.
    pub(super) fn set(&mut self, name: &str, value: Value, span: Span) -> Result<(), FormulaError> {
        self.note_set(name, span)?;
        if let Some(names) = self.names.last_mut() {
            names.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// The value of `a ∘ b`.
    pub(super) fn infix(
        &mut self,
        operator: Infix,
        a: Array,
        b: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let of = |operator| Operation::Of(operator);
        match operator {
            Infix::Add => self.elementwise(of(Operator::Add), a, b, span),
            Infix::Subtract => self.elementwise(of(Operator::Subtract), a, b, span),
            Infix::Multiply if self.dialect == Dialect::Sympy && a.rank > 0 && b.rank > 0 => {
                self.matmul(a, b, span)
            }
            Infix::Multiply => self.elementwise(of(Operator::Hadamard), a, b, span),
            Infix::Divide => self.elementwise(of(Operator::Divide), a, b, span),
            Infix::Product => self.matmul(a, b, span),
            Infix::Power => self.power(a, b, span),
            Infix::And => self.logical(a, b, true, span),
            Infix::Or => self.logical(a, b, false, span),
            Infix::Floor => self.floor(a, b, span),
            Infix::Remainder => Err(self.syntax_error(span, "\"%\" is not known here.")),
        }
    }

    /// `//`: Julia's fraction of two whole numbers, Python's floor of one.
    fn floor(&mut self, a: Array, b: Array, span: Span) -> Result<Array, FormulaError> {
        let is_count = |array: &Array| {
            let is_size = matches!(
                array.expr.kind,
                Kind::Symbol(Symbol::BatchSize | Symbol::Units(_))
            );
            array.whole.is_some() || (array.rank == 0 && is_size)
        };
        match (self.dialect, a.whole, b.whole) {
            (Dialect::Julia, ..) if is_count(&a) && is_count(&b) => {
                self.elementwise(Operation::Of(Operator::Divide), a, b, span)
            }
            (Dialect::Julia, ..) => {
                let message = "\"//\" is a fraction of two whole numbers in Julia: write / here.";
                Err(self.syntax_error(span, message))
            }
            (_, Some(a), Some(b)) if b != 0 => {
                let floor = a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0);
                Ok(Array::number(floor as f64, span))
            }
            _ => {
                let message = "\"//\" rounds down: write / for a fraction.";
                Err(self.syntax_error(span, message))
            }
        }
    }

    /// `a & b`, `a | b` of conditions.
    pub(super) fn logical(
        &mut self,
        a: Array,
        b: Array,
        both: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if !(a.mask && b.mask) {
            let message = "\"and\", \"or\", \"&\" and \"|\" join conditions such as (z2 > 0); put each in parentheses, and use \"*\" for products.";
            return Err(self.syntax_error(span, message));
        }
        let operation = if both {
            Operation::Of(Operator::Hadamard)
        } else {
            Operation::Call(super::super::expr::Function::Max)
        };
        let mut array = self.elementwise(operation, a, b, span)?;
        array.mask = true;
        Ok(array)
    }
}

/// The name whose entries a target is.
fn root_name(target: &Node) -> Option<&str> {
    match &target.kind {
        Form::Name(name) | Form::Attribute(_, name) => Some(name),
        Form::Index(base, _) | Form::Call(base, ..) => root_name(base),
        _ => None,
    }
}

/// The name that a statement shows, returns, or gives a value to.
fn name_of(statement: &Statement) -> Option<String> {
    fn shown(node: &Node) -> Option<String> {
        match &node.kind {
            Form::Name(name) => Some(name.clone()),
            // `W1.grad`, `grads["dW1"]`, `grads["W1"]`
            Form::Attribute(base, name) if name == "grad" => {
                shown(base).map(|base| format!("{base}_grad"))
            }
            Form::Index(base, items) => match (&base.kind, &items[..]) {
                (
                    Form::Name(_),
                    [
                        Node {
                            kind: Form::Text(name),
                            ..
                        },
                    ],
                ) => Some(if name.starts_with('d') || name.contains("grad") {
                    name.clone()
                } else {
                    format!("d{name}")
                }),
                _ => None,
            },
            Form::Call(_, values, _) if is_print(node) => values.last().and_then(shown),
            _ => None,
        }
    }
    match &statement.kind {
        Action::Assign(targets, _) => targets.last().and_then(shown),
        Action::Change(target, ..) => shown(target),
        Action::Define(name, ..) => Some(name.clone()),
        Action::Value(node) | Action::Return(Some(node)) => shown(node),
        Action::For(_, _, body) | Action::If(_, body, _) => body.last().and_then(name_of),
        Action::Return(None) | Action::Import(_) | Action::Assert(_) | Action::Pass => None,
    }
}

fn is_matrix(value: &Value) -> bool {
    matches!(value, Value::Array(array) if array.rank > 0)
}

/// Whether an expression statement is a remark or a call for its effect.
fn is_silent(node: &Node, value: &Value) -> bool {
    matches!(node.kind, Form::Text(_)) || matches!(value, Value::Nothing)
}

fn is_print(node: &Node) -> bool {
    matches!(&node.kind, Form::Call(callee, ..) if matches!(&callee.kind, Form::Name(name) if name == "print" || name == "disp" || name == "println"))
}

/// Turns the values of an index in the program into those in the tree, where it is more by `shift`.
pub(super) fn shift_letter(expr: &mut Expr, letter: char, shift: i64) {
    if shift == 0 {
        return;
    }
    let span = expr.span;
    expr.for_each_piece_mut(|piece| {
        if piece.kind == Kind::Letter(letter) {
            let number = Expr::new(Kind::Number(shift.abs() as f64), span);
            let operator = if shift > 0 {
                Operator::Subtract
            } else {
                Operator::Add
            };
            // The walk goes on below, where the letter itself stands under another name for now.
            let own = Expr::new(Kind::Letter('\0'), span);
            *piece = Expr::new(
                Kind::Binary(operator, Arc::new(own), Arc::new(number)),
                piece.span,
            );
        }
    });
    expr.for_each_piece_mut(|piece| {
        if piece.kind == Kind::Letter('\0') {
            piece.kind = Kind::Letter(letter);
        }
    });
}
