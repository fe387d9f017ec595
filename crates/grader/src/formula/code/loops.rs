//! Loops and sums over an index: their bodies are read once, with a letter for the index.

use std::sync::Arc;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::expr::{Expr, Kind, Operator};
use super::super::{Fault, FormulaError, Index, Span};
use super::elementwise::Operation;
use super::execute::{Flow, Program, shift_letter};
use super::indexing::Pick;
use super::syntax::{Clause, Form, Infix, Node, Statement};
use super::value::{Array, Axis, Bound, ONE, Size, Value};

/// The most passes of a loop that is followed pass by pass.
const MOST_PASSES: i64 = 16;

/// A loop around a statement.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The index; `None` if the loop is followed pass by pass.
    axis: Option<Axis>,
    /// Names that got their value in this pass.
    set: BTreeSet<String>,
    /// Names whose value from before the loop was used.
    read: BTreeSet<String>,
    effects: Vec<Effect>,
    /// Lists from before the loop, and what each pass appends to them.
    appended: Vec<(String, Value)>,
}

impl Frame {
    /// Whether one pass stands for all.
    pub(super) fn is_open(&self) -> bool {
        self.axis.is_some()
    }
}

/// A change of a name from outside of the loop.
#[derive(Clone, Debug)]
struct Effect {
    name: String,
    adds: bool,
    /// The rows and columns that change; `None`: all of them.
    place: Option<(Pick, Pick)>,
    value: Array,
    span: Span,
}

/// What a loop runs over.
enum Run {
    /// Values that are written out.
    Values(Vec<Value>),
    /// An index, and what the loop's names stand for.
    Index(Axis, Vec<Value>),
}

impl Program<'_> {
    /// An axis with a letter of its own.
    pub(super) fn fresh_axis(
        &mut self,
        name: &str,
        size: Size,
        span: Span,
    ) -> Result<Axis, FormulaError> {
        let from = Bound::fixed(0);
        let to = Bound { size, plus: 0 }.normal();
        let letter = self.fresh_letter(name, span)?;
        Ok(Axis {
            letter,
            from,
            to,
            filtered: false,
        })
    }

    fn fresh_letter(&mut self, name: &str, span: Span) -> Result<char, FormulaError> {
        let own = name
            .chars()
            .next()
            .filter(|letter| name.len() == 1 && letter.is_ascii_lowercase());
        let letter = own
            .into_iter()
            .chain("qrstpuvwkcegabdomnxyzfhlij".chars())
            .find(|letter| !self.used.contains(letter));
        match letter {
            Some(letter) => {
                self.used.insert(letter);
                Ok(letter)
            }
            None => {
                let message = "The code has too many indices.";
                Err(FormulaError::new(Fault::TooLarge, span, message))
            }
        }
    }

    /// The number that an index is.
    fn index_value(&self, axis: &Axis, span: Span) -> Array {
        let mut array = Array::new(Kind::Letter(axis.letter), span, 0, (ONE, ONE));
        array.index = Some((axis.letter, 0));
        array
    }

    /// The limits of an axis for the tree, and the body with the letter's values as the tree counts them.
    pub(super) fn close(
        &mut self,
        axis: &Axis,
        body: &mut Array,
        span: Span,
    ) -> Result<(char, Expr, Expr), FormulaError> {
        let shift = self.shifts.get(&axis.letter).copied().unwrap_or(0);
        shift_letter(&mut body.expr, axis.letter, shift);
        let from = self.limit(axis.from, shift, span)?;
        let to = self.limit(axis.to, shift - 1, span)?;
        Ok((axis.letter, from, to))
    }

    fn limit(&self, bound: Bound, plus: i64, span: Span) -> Result<Expr, FormulaError> {
        let plus = bound.plus + plus;
        if let Size::Fixed(size) = bound.size {
            let number = size as i64 + plus;
            if number < 0 {
                return Err(self.shape_error(span, "The loop has a limit below zero."));
            }
            return Ok(Expr::new(Kind::Number(number as f64), span));
        }
        let Some(kind) = bound.size.kind() else {
            return Err(self.shape_error(span, "The limit of this loop is not clear here."));
        };
        let size = Expr::new(kind, span);
        if plus == 0 {
            return Ok(size);
        }
        let operator = if plus > 0 {
            Operator::Add
        } else {
            Operator::Subtract
        };
        let number = Expr::new(Kind::Number(plus.abs() as f64), span);
        let kind = Kind::Binary(operator, Arc::new(size), Arc::new(number));
        Ok(Expr::new(kind, span))
    }

    /// A number as a limit.
    pub(super) fn bound(&self, value: &Value, span: Span) -> Result<Bound, FormulaError> {
        let unclear = || {
            let message = "The limit of this range is not clear here: use a number, m, n2, len(y) or x.shape[0].";
            self.syntax_error(span, message)
        };
        let Value::Array(array) = value else {
            return Err(unclear());
        };
        if let Some(whole) = array.whole {
            return Ok(Bound::fixed(whole));
        }
        bound_of(&array.expr).ok_or_else(unclear)
    }

    /// `np.arange`, as an array.
    pub(super) fn counted(
        &mut self,
        from: Bound,
        to: Bound,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let letter = self.fresh_letter("k", span)?;
        let axis = Axis {
            letter,
            from,
            to,
            filtered: false,
        };
        let mut array = self.index_value(&axis, span);
        array.index = None;
        self.stacked(&axis, array, span)
    }

    /// What a loop over a value runs over.
    fn run_over(
        &mut self,
        targets: &[String],
        iterable: Value,
        span: Span,
    ) -> Result<Run, FormulaError> {
        let name = targets.first().map_or("k", String::as_str);
        match iterable {
            Value::List(values) => Ok(Run::Values(values)),
            Value::Range(from, to) => {
                let letter = self.fresh_letter(name, span)?;
                let axis = Axis {
                    letter,
                    from,
                    to,
                    filtered: false,
                };
                let value = self.index_value(&axis, span).into_value();
                Ok(Run::Index(axis, vec![value]))
            }
            Value::Slice(from, to, _) => {
                let from = self.bound(&from, span)?;
                let mut to = self.bound(&to, span)?;
                to.plus += 1;
                self.run_over(targets, Value::Range(from, to.normal()), span)
            }
            Value::Series(axis, element) => {
                let values = match *element {
                    Value::List(values) => values,
                    other => vec![other],
                };
                Ok(Run::Index(axis, values))
            }
            other => {
                let array = self.as_array(other, span)?;
                if array.rank == 0 || array.rank > 2 {
                    return Err(self.shape_error(span, "A loop cannot run over this."));
                }
                let size = if array.rank == 1 && !array.column {
                    array.sizes.1
                } else {
                    array.sizes.0
                };
                let axis = self.fresh_axis("k", size, span)?;
                let index = self.index_value(&axis, span).into_value();
                let row = self.indexed(array, &[index], span)?;
                Ok(Run::Index(axis, vec![row.into_value()]))
            }
        }
    }

    /// `for targets in iterable`.
    pub(super) fn run_loop(
        &mut self,
        targets: &[String],
        iterable: &Node,
        body: &[Statement],
        span: Span,
    ) -> Result<Flow, FormulaError> {
        let iterable = self.value(iterable)?;
        let before = (self.names.clone(), self.frames.clone(), self.shifts.clone());
        let passes = passes(&iterable);
        match self.run_over(targets, iterable, span)? {
            Run::Values(values) => self.run_passes(targets, &values, body, span)?,
            Run::Index(axis, values) => {
                let result = self.run_index(targets, axis, values, body, span);
                if let (Err(_), Some((from, to))) = (&result, passes) {
                    // Such as a loop over layers: each pass on its own.
                    (self.names, self.frames, self.shifts) = before;
                    let numbers = (from..to).map(|at| Array::number(at as f64, span).into_value());
                    let numbers: Vec<Value> = numbers.collect();
                    if self.run_passes(targets, &numbers, body, span).is_err() {
                        result?;
                    }
                } else {
                    result?;
                }
            }
        }
        Ok(Flow::Next)
    }

    fn run_passes(
        &mut self,
        targets: &[String],
        values: &[Value],
        body: &[Statement],
        span: Span,
    ) -> Result<(), FormulaError> {
        if values.len() as i64 > MOST_PASSES {
            return Err(self.syntax_error(span, "The loop has too many passes."));
        }
        for value in values {
            self.bind(targets, value.clone(), span)?;
            if let Flow::Return(_) = self.block(body)? {
                return Err(self.syntax_error(span, "A return inside a loop is not known here."));
            }
        }
        Ok(())
    }

    /// Gives the names of a loop their values, without noting it.
    fn bind(&mut self, targets: &[String], value: Value, span: Span) -> Result<(), FormulaError> {
        let values = match (targets, value) {
            ([_], value) => vec![value],
            (_, Value::List(values)) if values.len() == targets.len() => values,
            _ => {
                let message = "The names of the loop are not as many as its values.";
                return Err(self.syntax_error(span, message));
            }
        };
        for (name, value) in targets.iter().zip(values) {
            if let Some(frame) = self.frames.last_mut() {
                frame.set.insert(name.clone());
            }
            if let Some(names) = self.names.last_mut() {
                names.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn bind_all(
        &mut self,
        targets: &[String],
        mut values: Vec<Value>,
        span: Span,
    ) -> Result<(), FormulaError> {
        let value = if values.len() == 1 {
            values.swap_remove(0)
        } else {
            Value::List(values)
        };
        // `for k, (d, h) in enumerate(zip(…))` has as many names as values once flat.
        let value = match value {
            Value::List(values) if values.len() < targets.len() => Value::List(
                values
                    .into_iter()
                    .flat_map(|value| match value {
                        Value::List(inner) => inner,
                        other => vec![other],
                    })
                    .collect(),
            ),
            other => other,
        };
        self.bind(targets, value, span)
    }

    fn run_index(
        &mut self,
        targets: &[String],
        axis: Axis,
        values: Vec<Value>,
        body: &[Statement],
        span: Span,
    ) -> Result<(), FormulaError> {
        self.frames.push(Frame {
            axis: Some(axis.clone()),
            set: BTreeSet::new(),
            read: BTreeSet::new(),
            effects: Vec::new(),
            appended: Vec::new(),
        });
        self.bind_all(targets, values, span)?;
        if let Flow::Return(_) = self.block(body)? {
            return Err(self.syntax_error(span, "A return inside a loop is not known here."));
        }
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        for name in &frame.set {
            let lost = Value::Lost(format!(
                "{name} got its value inside a loop: after the loop it is that of the last pass."
            ));
            if let Some(names) = self.names.last_mut() {
                let depends = match names.get(name) {
                    Some(Value::Array(array)) => mentions(&array.expr, axis.letter),
                    _ => true,
                };
                if depends {
                    names.insert(name.clone(), lost);
                }
            }
        }
        for effect in frame.effects {
            let effect = self.closed(effect, &axis)?;
            self.apply(effect)?;
        }
        for (name, element) in frame.appended {
            let local = match self.frames.last() {
                Some(outer) if outer.is_open() => outer.set.contains(&name),
                _ => true,
            };
            if !local {
                return Err(self.carried(&name, span));
            }
            if let Some(names) = self.names.last_mut() {
                let series = Value::Series(axis.clone(), Box::new(element));
                names.insert(name, series);
            }
        }
        Ok(())
    }

    /// `name.append(value)`; whether this is what the expression is.
    pub(super) fn appended(&mut self, node: &Node) -> Result<bool, FormulaError> {
        let Form::Call(callee, values, named) = &node.kind else {
            return Ok(false);
        };
        let (Form::Attribute(base, method), [value], []) = (&callee.kind, &values[..], &named[..])
        else {
            return Ok(false);
        };
        let Form::Name(name) = &base.kind else {
            return Ok(false);
        };
        let found = self.names.last().and_then(|names| names.get(name));
        let Some(Value::List(list)) = found else {
            return Ok(false);
        };
        if method != "append" {
            return Ok(false);
        }
        let mut list = list.clone();
        let value = self.value(value)?;
        match self.frames.last_mut() {
            Some(frame) if frame.is_open() && !frame.set.contains(name) => {
                let again = frame.appended.iter().any(|(known, _)| known == name);
                if again || !list.is_empty() {
                    let message = format!(
                        "A loop can append to {name} once in each pass, and the list must be empty before."
                    );
                    return Err(self.syntax_error(node.span, message));
                }
                frame.appended.push((name.clone(), value));
            }
            _ => {
                self.pay(list.len(), node.span)?;
                list.push(value);
                self.set(name, Value::List(list), node.span)?;
            }
        }
        Ok(true)
    }

    /// What all passes of a loop together change.
    fn closed(&mut self, mut effect: Effect, axis: &Axis) -> Result<Effect, FormulaError> {
        let span = effect.span;
        let is_letter = |pick: Pick| matches!(pick, Pick::One(Index::Letter(letter)) | Pick::Kept(Index::Letter(letter)) if letter == axis.letter);
        match effect.place {
            Some((rows, columns)) if is_letter(rows) && is_letter(columns) => {
                let message = "A loop that fills a diagonal is not known here.";
                Err(self.syntax_error(span, message))
            }
            Some((rows, columns)) if is_letter(rows) || is_letter(columns) => {
                self.fills(&effect.name, axis, is_letter(rows), span)?;
                let mut value = effect.value;
                value.rank = 1;
                value.column = false;
                if is_letter(columns) {
                    value = turned_block(value);
                }
                let mut block = self.stacked(axis, value, span)?;
                block.rank = 2;
                block.column = false;
                if is_letter(columns) {
                    block = turned_block(block);
                }
                effect.value = block;
                effect.place = Some(if is_letter(rows) {
                    (Pick::All, columns)
                } else {
                    (rows, Pick::All)
                });
                Ok(effect)
            }
            _ if effect.adds => {
                effect.value = self.series_sum(axis, effect.value, span)?;
                Ok(effect)
            }
            _ if mentions(&effect.value.expr, axis.letter) => {
                let message = format!(
                    "Each pass of the loop replaces {}: use += for a sum, or an index for its own entry.",
                    effect.name
                );
                Err(self.syntax_error(span, message))
            }
            _ => Ok(effect),
        }
    }

    /// Holds that a loop runs over all rows or columns of what it fills.
    fn fills(
        &mut self,
        name: &str,
        axis: &Axis,
        rows: bool,
        span: Span,
    ) -> Result<(), FormulaError> {
        let found = self.names.iter().rev().find_map(|names| names.get(name));
        let Some(Value::Array(array)) = found else {
            let message =
                format!("{name} is filled before it is made: begin with np.zeros_like(…).");
            return Err(self.syntax_error(span, message));
        };
        let vector_row = array.rank == 1 && !array.column;
        let size = if rows && !vector_row {
            array.sizes.0
        } else {
            array.sizes.1
        };
        let shift = self.shifts.get(&axis.letter).copied().unwrap_or(0);
        let from = axis.from.value().map(|from| from + shift);
        let to = Bound {
            size: axis.to.size,
            plus: axis.to.plus + shift - 1,
        };
        let full = from == Some(1) && to.normal() == Bound { size, plus: 0 }.normal();
        if full {
            return Ok(());
        }
        let message =
            format!("The loop does not run over all of {name}, or its size is not clear.");
        Err(self.shape_error(span, message))
    }

    /// Changes a name from before the innermost loop.
    fn apply(&mut self, effect: Effect) -> Result<(), FormulaError> {
        let local = match self.frames.last_mut() {
            Some(frame) if frame.axis.is_some() => frame.set.contains(&effect.name),
            _ => true,
        };
        if !local {
            if let Some(frame) = self.frames.last_mut() {
                frame.effects.push(effect);
            }
            return Ok(());
        }
        let Effect {
            name,
            adds,
            place,
            value,
            span,
        } = effect;
        let before = self.names.iter().rev().find_map(|names| names.get(&name));
        let before = match before {
            Some(before) => Some(before.clone()),
            // `W -= eta * dW`.
            None => self.course_value(&name, span),
        };
        let Some(before) = before else {
            return Err(self.syntax_error(span, format!("{name} has no value yet.")));
        };
        let before = self.as_array(before, span)?;
        let after = match place {
            None | Some((Pick::All, Pick::All)) if adds => self.added(before, value, span)?,
            None => value,
            Some((Pick::All, Pick::All)) => Array {
                rank: before.rank,
                column: before.column,
                ..value
            },
            Some((rows, columns)) => self.replaced(before, rows, columns, value, adds, span)?,
        };
        if let Some(names) = self.names.last_mut() {
            names.insert(name, after.into_value());
        }
        Ok(())
    }

    /// `before + value`, or the value alone where the former is an array of zeros of its shape.
    fn added(&mut self, before: Array, value: Array, span: Span) -> Result<Array, FormulaError> {
        let same = before.rank == value.rank && before.sizes == value.sizes;
        if before.zero && (same || before.rank == 0) {
            return Ok(value);
        }
        // A block that a loop fills has the shape of what it is added to.
        if before.zero && before.rank == 1 && value.rank == 2 && before.sizes == value.sizes {
            return Ok(Array {
                rank: 1,
                column: before.column,
                ..value
            });
        }
        self.elementwise(Operation::Of(Operator::Add), before, value, span)
    }

    /// An array with some of its rows or columns replaced or added to.
    fn replaced(
        &mut self,
        before: Array,
        rows: Pick,
        columns: Pick,
        value: Array,
        adds: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let (Size::Fixed(height), Size::Fixed(width)) = before.sizes else {
            let message = "Entries of an array of m rows cannot be replaced one by one here: write the whole as one formula.";
            return Err(self.shape_error(span, message));
        };
        self.pay(height.saturating_mul(width), span)?;
        let one = |pick: Pick| match pick {
            Pick::One(Index::Number(at)) | Pick::Kept(Index::Number(at)) => Some(at),
            _ => None,
        };
        let (row, column) = (one(rows), one(columns));
        if (row.is_none() && rows != Pick::All) || (column.is_none() && columns != Pick::All) {
            let message = "Only a row, a column or one entry can be replaced here.";
            return Err(self.syntax_error(span, message));
        }
        let shape = before.clone_shape();
        let mut lines = Vec::with_capacity(height);
        for i in 1..=height {
            let mut line = Vec::with_capacity(width);
            for j in 1..=width {
                let chosen =
                    row.is_none_or(|row| row == i) && column.is_none_or(|column| column == j);
                let pick = |array: &Array, (i, j): (usize, usize)| {
                    let at = |at: usize, size: Size| if size == ONE { 1 } else { at };
                    let (i, j) = (at(i, array.sizes.0), at(j, array.sizes.1));
                    if array.zero {
                        Expr::new(Kind::Number(0.0), span)
                    } else if array.is_one() {
                        array.expr.clone()
                    } else {
                        super::indexing::select(
                            array.expr.clone(),
                            Index::Number(i),
                            Index::Number(j),
                            span,
                        )
                    }
                };
                let old = pick(&before, (i, j));
                line.push(if !chosen {
                    old
                } else if adds && !before.zero {
                    let new = pick(&value, (i, j));
                    Expr::new(
                        Kind::Binary(Operator::Add, Arc::new(old), Arc::new(new)),
                        span,
                    )
                } else {
                    pick(&value, (i, j))
                });
            }
            lines.push(line);
        }
        let mut array = shape.with(Expr::new(Kind::Rows(lines), span), 0);
        array.nodes = array.expr.pieces().count();
        array.mask = false;
        self.checked(array)
    }

    /// `name += value`.
    pub(super) fn add_to_name(
        &mut self,
        name: &str,
        value: Array,
        span: Span,
    ) -> Result<(), FormulaError> {
        let used = self
            .frames
            .last()
            .is_some_and(|frame| frame.read.contains(name));
        if used {
            return Err(self.carried(name, span));
        }
        self.apply(Effect {
            name: name.to_owned(),
            adds: true,
            place: None,
            value,
            span,
        })
    }

    /// `base[items] = value`, `base[items] += value`.
    pub(super) fn assign_entries(
        &mut self,
        base: &Node,
        items: &[Node],
        operator: Option<Infix>,
        value: Value,
        span: Span,
    ) -> Result<(), FormulaError> {
        let Form::Name(name) = &base.kind else {
            let message = "Only entries of a name can be given a value.";
            return Err(self.syntax_error(span, message));
        };
        let before = self.names.iter().rev().find_map(|names| names.get(name));
        let before = match before.cloned() {
            Some(Value::Dictionary(entries)) => {
                return self.set_key(name, entries, items, value, span);
            }
            Some(before) => self.as_array(before, span)?,
            None => match self.course_value(name, span) {
                Some(Value::Array(array)) => {
                    // A gradient whose entries are given is no longer the course's: it begins as zeros.
                    let fills = !matches!(items, [item] if matches!(item.kind, Form::Compare(..)));
                    let array = if fills && matches!(array.expr.kind, Kind::Derivative(..)) {
                        self.zeros_like(&array, span)?
                    } else {
                        *array
                    };
                    if let Some(names) = self.names.first_mut() {
                        names.insert(name.clone(), array.clone().into_value());
                    }
                    array
                }
                _ => {
                    let entries = Vec::new();
                    return self.set_key(name, entries, items, value, span);
                }
            },
        };
        let mut value = self.as_array(value, span)?;
        let mut picked = Vec::with_capacity(items.len());
        for item in items {
            picked.push(self.value(item)?);
        }
        if let [Value::Array(mask)] = &picked[..]
            && mask.mask
        {
            return self.set_masked(name, before, (**mask).clone(), operator, value, span);
        }
        let adds = match operator {
            None => false,
            Some(Infix::Add) => true,
            Some(Infix::Subtract) => {
                value = self.negated(value, span)?;
                true
            }
            Some(_) => {
                let message = "Entries can be set, added to and subtracted from; other changes are not known here.";
                return Err(self.syntax_error(span, message));
            }
        };
        let (place, value) = self.placed(&before, &picked, value, span)?;
        self.apply(Effect {
            name: name.clone(),
            adds,
            place: Some(place),
            value,
            span,
        })
    }

    /// The rows and columns that indices name, and the value as a block for them.
    fn placed(
        &mut self,
        before: &Array,
        items: &[Value],
        value: Array,
        span: Span,
    ) -> Result<((Pick, Pick), Array), FormulaError> {
        let mut picks = Vec::with_capacity(2);
        for axis in 0..usize::from(before.rank) {
            let size = match (before.rank, axis, before.column) {
                (2, 0, _) | (1, _, true) => before.sizes.0,
                _ => before.sizes.1,
            };
            picks.push(match items.get(axis) {
                Some(item) => self.pick(item, size, span)?,
                None => Pick::All,
            });
        }
        if items.len() > picks.len() {
            return Err(self.shape_error(span, "There are more indices than axes."));
        }
        let place = match (&picks[..], before.column) {
            ([rows, columns], _) => (*rows, *columns),
            ([one], true) => (*one, Pick::All),
            ([one], false) => (Pick::All, *one),
            _ => return Err(self.shape_error(span, "A number has no entries.")),
        };
        let is_one = |pick: Pick| matches!(pick, Pick::One(_) | Pick::Kept(_));
        let mut value = value;
        // The block has one row where one row is chosen, and one column where one column is.
        if value.rank == 1 {
            value = if is_one(place.1) && !is_one(place.0) && before.rank == 2 {
                value.into_column()
            } else {
                value.into_row()
            };
        }
        // MATLAB and Julia put a column into a row.
        if self.dialect.has_dots()
            && is_one(place.0)
            && !is_one(place.1)
            && value.sizes.0 != ONE
            && value.sizes.1 == ONE
        {
            let rank = value.rank;
            value = Array { rank: 2, ..value }.transposed();
            (value.rank, value.column) = (rank, false);
        }
        let wrong =
            (is_one(place.0) && value.sizes.0 != ONE) || (is_one(place.1) && value.sizes.1 != ONE);
        let spread = |chosen: Pick, own: Size, whole: Size| {
            chosen == Pick::All && own == ONE && whole != ONE
        };
        if wrong {
            let message = "The value does not have the shape of the entries that it is put in.";
            return Err(self.shape_error(span, message));
        }
        if spread(place.0, value.sizes.0, before.sizes.0)
            || spread(place.1, value.sizes.1, before.sizes.1)
        {
            let zeros = self.zeros_like(before, span)?;
            let zeros = self.selected_zeros(zeros, place, span)?;
            value = self.elementwise(Operation::Of(Operator::Add), zeros, value, span)?;
        }
        // The only entry of an axis is all of it.
        let whole = |chosen: Pick, size: Size| match chosen {
            Pick::One(Index::Number(1)) | Pick::Kept(Index::Number(1)) if size == ONE => Pick::All,
            other => other,
        };
        let place = (
            whole(place.0, before.sizes.0),
            whole(place.1, before.sizes.1),
        );
        Ok((place, value))
    }

    /// Zeros with the shape of the chosen rows and columns.
    fn selected_zeros(
        &mut self,
        zeros: Array,
        (rows, columns): (Pick, Pick),
        span: Span,
    ) -> Result<Array, FormulaError> {
        let first = |pick: Pick| match pick {
            Pick::All => Index::All,
            _ => Index::Number(1),
        };
        let size = |pick: Pick, size: Size| if pick == Pick::All { size } else { ONE };
        let shape = zeros.clone_shape();
        let mut array = shape.with(
            super::indexing::select(zeros.expr, first(rows), first(columns), span),
            1,
        );
        array.sizes = (size(rows, shape.sizes.0), size(columns, shape.sizes.1));
        array.rank = 2;
        array.column = false;
        self.checked(array)
    }

    /// `a[mask] = value`.
    fn set_masked(
        &mut self,
        name: &str,
        before: Array,
        mask: Array,
        operator: Option<Infix>,
        value: Array,
        span: Span,
    ) -> Result<(), FormulaError> {
        if value.rank > 0 {
            let message =
                "Entries chosen by a condition can be set to a number only: use np.where.";
            return Err(self.shape_error(span, message));
        }
        let value = match operator {
            None => value,
            Some(operator) => self.infix(operator, before.clone(), value, span)?,
        };
        let array = self.choice(mask, value, before, span)?;
        self.set(name, array.into_value(), span)
    }

    fn set_key(
        &mut self,
        name: &str,
        mut entries: Vec<(String, Value)>,
        items: &[Node],
        value: Value,
        span: Span,
    ) -> Result<(), FormulaError> {
        let key = match items {
            [
                Node {
                    kind: Form::Text(text),
                    ..
                },
            ] => text.clone(),
            [
                Node {
                    kind: Form::Number(number),
                    ..
                },
            ] => number.to_string(),
            _ => {
                let message = format!("{name} has no value yet: begin with np.zeros_like(…).");
                return Err(self.syntax_error(span, message));
            }
        };
        entries.retain(|(known, _)| *known != key);
        entries.push((key, value));
        self.set(name, Value::Dictionary(entries), span)
    }

    /// `name = name + added`, in a loop: the added part.
    pub(super) fn accumulation<'n>(
        &self,
        target: &'n Node,
        value: &'n Node,
    ) -> Option<(&'n str, Cow<'n, Node>)> {
        let Form::Name(name) = &target.kind else {
            return None;
        };
        let frame = self.frames.last().filter(|frame| frame.is_open())?;
        if frame.set.contains(name) {
            return None;
        }
        let is_own = |node: &Node| matches!(&node.kind, Form::Name(own) if own == name);
        if let Form::Row(first, rest) = &value.kind
            && let [before @ .., (Infix::Add, last)] = &rest[..]
            && is_own(last)
        {
            let end = before
                .last()
                .map_or(first.span.end, |(_, node)| node.span.end);
            let span = Span {
                start: value.span.start,
                end,
            };
            let added = Node::new(Form::Row(first.clone(), before.to_vec()), span);
            return Some((name, Cow::Owned(added)));
        }
        let Form::Binary(Infix::Add, a, b) = &value.kind else {
            return None;
        };
        if is_own(a) {
            Some((name, Cow::Borrowed(b)))
        } else if is_own(b) {
            Some((name, Cow::Borrowed(a)))
        } else {
            None
        }
    }

    fn carried(&self, name: &str, span: Span) -> FormulaError {
        let message = format!(
            "The value of {name} goes from one pass of the loop to the next, which cannot be followed here: use {name} += … for a sum."
        );
        self.syntax_error(span, message)
    }

    /// Notes that a name is used inside of loops.
    pub(super) fn note_read(&mut self, name: &str, span: Span) -> Result<(), FormulaError> {
        let changed = self
            .frames
            .iter()
            .any(|frame| frame.effects.iter().any(|effect| effect.name == name));
        if changed {
            return Err(self.carried(name, span));
        }
        for frame in self.frames.iter_mut().rev() {
            if frame.set.contains(name) {
                break;
            }
            frame.read.insert(name.to_owned());
        }
        Ok(())
    }

    /// Notes that a name gets a value inside of loops.
    pub(super) fn note_set(&mut self, name: &str, span: Span) -> Result<(), FormulaError> {
        let before = self.is_defined(name);
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        if before && frame.is_open() && frame.read.contains(name) && !frame.set.contains(name) {
            return Err(self.carried(name, span));
        }
        frame.set.insert(name.to_owned());
        Ok(())
    }

    /// An `if` inside a loop: what is added there is added where the condition holds.
    pub(super) fn branch_in_loop(
        &mut self,
        condition: &Array,
        one: &[Statement],
        other: &[Statement],
        rest: &[Statement],
        span: Span,
    ) -> Result<Flow, FormulaError> {
        if !condition.is_one() {
            let message = "\"if\" decides once, not entry by entry: use np.where(condition, a, b).";
            return Err(self.shape_error(span, message));
        }
        let opposite = self.inverted(condition.clone(), span)?;
        for (way, condition) in [(one, condition.clone()), (other, opposite)] {
            let appended = |frames: &[Frame]| frames.last().map_or(0, |frame| frame.appended.len());
            let from = self.frames.last().map_or(0, |frame| frame.effects.len());
            let lists = appended(&self.frames);
            let names = self.names.clone();
            if let Flow::Return(_) = self.block(way)? {
                return Err(self.syntax_error(span, "A return inside a loop is not known here."));
            }
            self.names = names;
            if appended(&self.frames) > lists {
                let message = "Appending under a condition is not known here: use np.where.";
                return Err(self.syntax_error(span, message));
            }
            let effects = match self.frames.last_mut() {
                Some(frame) => frame.effects.split_off(from),
                None => Vec::new(),
            };
            for mut effect in effects {
                let zero = Array::number(0.0, span);
                // Entries that the condition leaves alone keep what they had, which is zero where the array is.
                let kept = self
                    .names
                    .iter()
                    .rev()
                    .find_map(|names| names.get(&effect.name));
                let was_zero = matches!(kept, Some(Value::Array(array)) if array.zero);
                if !effect.adds && !was_zero {
                    let message =
                        "An entry that is set under a condition must have been zero before.";
                    return Err(self.syntax_error(span, message));
                }
                effect.adds = true;
                let rank = effect.value.rank;
                let column = effect.value.column;
                effect.value = self.choice(condition.clone(), effect.value, zero, span)?;
                effect.value.rank = rank;
                effect.value.column = column;
                if let Some(frame) = self.frames.last_mut() {
                    frame.effects.push(effect);
                }
            }
        }
        self.block(rest)
    }

    /// `element for target in iterable`.
    pub(super) fn each(
        &mut self,
        element: &Node,
        clauses: &[Clause],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let Some((clause, rest)) = clauses.split_first() else {
            return self.value(element);
        };
        let iterable = self.value(&clause.iterable)?;
        let written = passes(&iterable);
        let before = (self.names.clone(), self.shifts.clone());
        let result = match self.run_over(&clause.targets, iterable, span)? {
            Run::Values(values) => self.each_value(element, clause, rest, values, span),
            Run::Index(axis, values) => {
                self.names.push(std::collections::BTreeMap::new());
                let bound = self.bind_all(&clause.targets, values, span);
                let inner = bound.and_then(|()| self.each_inner(element, clause, rest, span));
                self.names.pop();
                let filtered = !clause.conditions.is_empty();
                let axis = Axis { filtered, ..axis };
                inner.map(|inner| Value::Series(axis, Box::new(inner)))
            }
        };
        if let (Err(_), Some((from, to))) = (&result, written) {
            (self.names, self.shifts) = before;
            let numbers = (from..to).map(|at| Array::number(at as f64, span).into_value());
            let again = self.each_value(element, clause, rest, numbers.collect(), span);
            if again.is_ok() {
                return again;
            }
        }
        result
    }

    /// The value of an expression at each value of one name.
    pub(super) fn each_over(
        &mut self,
        element: &Node,
        name: &str,
        range: Value,
        span: Span,
    ) -> Result<Value, FormulaError> {
        let targets = [name.to_owned()];
        match self.run_over(&targets, range, span)? {
            Run::Index(axis, values) => {
                self.names.push(std::collections::BTreeMap::new());
                let bound = self.bind_all(&targets, values, span);
                let inner = bound.and_then(|()| self.value(element));
                self.names.pop();
                Ok(Value::Series(axis, Box::new(inner?)))
            }
            Run::Values(_) => Err(self.syntax_error(span, "This sum is not known here.")),
        }
    }

    fn each_value(
        &mut self,
        element: &Node,
        clause: &Clause,
        rest: &[Clause],
        values: Vec<Value>,
        span: Span,
    ) -> Result<Value, FormulaError> {
        if values.len() as i64 > MOST_PASSES || !clause.conditions.is_empty() {
            return Err(
                self.syntax_error(span, "There are too many passes, or a condition on them.")
            );
        }
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            self.names.push(std::collections::BTreeMap::new());
            let bound = self.bind(&clause.targets, value, span);
            let inner = bound.and_then(|()| self.each_inner(element, clause, rest, span));
            self.names.pop();
            match inner? {
                // `for i in … for j in …` is one row of values.
                Value::List(inner) if !rest.is_empty() => all.extend(inner),
                inner => all.push(inner),
            }
        }
        Ok(Value::List(all))
    }

    /// The element, or zero where a condition of the clause does not hold.
    fn each_inner(
        &mut self,
        element: &Node,
        clause: &Clause,
        rest: &[Clause],
        span: Span,
    ) -> Result<Value, FormulaError> {
        let mut inner = self.each(element, rest, span)?;
        for condition in &clause.conditions {
            let condition = self.array(condition)?;
            let Value::Array(array) = inner else {
                let message = "A condition behind several \"for\" is not known here.";
                return Err(self.syntax_error(span, message));
            };
            let zero = Array::number(0.0, span);
            inner = self.choice(condition, *array, zero, span)?.into_value();
        }
        Ok(inner)
    }
}

/// The passes of a loop over written numbers, if they are few.
fn passes(iterable: &Value) -> Option<(i64, i64)> {
    match iterable {
        Value::Range(from, to) => {
            let (from, to) = (from.value()?, to.value()?);
            (from <= to && to - from <= MOST_PASSES).then_some((from, to))
        }
        _ => None,
    }
}

fn bound_of(expr: &Expr) -> Option<Bound> {
    use super::super::Symbol;
    match &expr.kind {
        Kind::Number(number) if number.fract() == 0.0 && *number < 1e6 => {
            Some(Bound::fixed(*number as i64))
        }
        Kind::Symbol(Symbol::BatchSize) => Some(Bound {
            size: Size::Batch,
            plus: 0,
        }),
        Kind::Symbol(Symbol::Units(layer)) => Some(Bound {
            size: Size::Units(*layer),
            plus: 0,
        }),
        Kind::Binary(operator @ (Operator::Add | Operator::Subtract), a, b) => {
            let (a, b) = (bound_of(a)?, bound_of(b)?);
            let sign = if *operator == Operator::Add { 1 } else { -1 };
            match (a.value(), b.value()) {
                (_, Some(number)) => Some(Bound {
                    plus: a.plus + sign * number,
                    ..a
                }),
                (Some(number), _) if sign == 1 => Some(Bound {
                    plus: b.plus + number,
                    ..b
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

fn turned_block(array: Array) -> Array {
    let rank = array.rank;
    let mut turned = Array { rank: 2, ..array }.transposed();
    turned.rank = rank;
    turned
}

/// Whether a tree depends on an index.
fn mentions(expr: &Expr, letter: char) -> bool {
    use super::super::Indices;
    expr.pieces().any(|piece| match &piece.kind {
        Kind::Letter(name) => *name == letter,
        Kind::Select(_, Indices::One(one)) => *one == Index::Letter(letter),
        Kind::Select(_, Indices::Two(row, column)) => {
            [row, column].contains(&&Index::Letter(letter))
        }
        _ => false,
    })
}
