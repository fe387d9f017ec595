//! Indices and slices of arrays.

use std::sync::Arc;

use super::super::expr::{Expr, Index, Indices, Kind};
use super::super::{FormulaError, Span, Symbol};
use super::execute::Program;
use super::value::{Array, ONE, Size, Value};

/// What one index does to its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    All,
    /// One entry; the axis goes away.
    One(Index),
    /// One entry; the axis stays, of size 1.
    Kept(Index),
    /// From a number to before another, counted from 1.
    Run(usize, usize),
    /// A new axis.
    New,
}

impl Program<'_> {
    /// What an index that stands for an axis of this size picks.
    pub(super) fn pick(
        &mut self,
        item: &Value,
        size: Size,
        span: Span,
    ) -> Result<Pick, FormulaError> {
        match item {
            Value::Nothing => Ok(Pick::New),
            Value::Slice(from, to, step) => self.slice(from, to, step, size, span),
            Value::Array(array) if array.rank == 0 => {
                Ok(Pick::One(self.position(array, size, span)?))
            }
            Value::List(items) => match &items[..] {
                [Value::Array(array)] if array.rank == 0 => {
                    Ok(Pick::Kept(self.position(array, size, span)?))
                }
                _ => {
                    let message =
                        "Lists of several indices are not known here: write a slice, or one index.";
                    Err(self.syntax_error(span, message))
                }
            },
            _ => {
                let message =
                    "This index is not known here: use a number, a letter, \":\", a slice or None.";
                Err(self.syntax_error(span, message))
            }
        }
    }

    /// The index, counted from 1, that a number stands for.
    fn position(&mut self, array: &Array, size: Size, span: Span) -> Result<Index, FormulaError> {
        if let Some(whole) = array.whole {
            self.uses_numbers = true;
            if self.one_based {
                return match usize::try_from(whole) {
                    Ok(at) if at > 0 => Ok(Index::Number(at)),
                    _ => Err(self.shape_error(span, "Indices count from 1 here.")),
                };
            }
            if let Ok(at) = usize::try_from(whole) {
                return Ok(Index::Number(at.saturating_add(1)));
            }
            return match (size, size.kind()) {
                (Size::Fixed(size), _) if whole + size as i64 >= 0 => {
                    Ok(Index::Number((whole + size as i64) as usize + 1))
                }
                (_, Some(Kind::Symbol(symbol))) if whole == -1 => Ok(Index::Size(symbol)),
                _ => Err(self.shape_error(
                    span,
                    format!("The index {whole} cannot be followed here: count from the front."),
                )),
            };
        }
        if let Some((letter, plus)) = array.index {
            return self.letter_position(letter, plus, span);
        }
        // MATLAB's `end`, and a size as the last index.
        if let Kind::Symbol(symbol @ (Symbol::BatchSize | Symbol::Units(_))) = array.expr.kind
            && self.one_based
        {
            return Ok(Index::Size(symbol));
        }
        let message = "This index is not known here: use a whole number or a letter such as j.";
        Err(self.syntax_error(span, message))
    }

    /// An index by a letter: all uses of the letter must have the same number added to it.
    fn letter_position(
        &mut self,
        letter: char,
        plus: i64,
        span: Span,
    ) -> Result<Index, FormulaError> {
        let shift = plus + i64::from(!self.one_based);
        let known = *self.shifts.entry(letter).or_insert(shift);
        if known != shift {
            let message = format!(
                "The index {letter} is used with different numbers added to it: use it in one way."
            );
            return Err(self.syntax_error(span, message));
        }
        if self.free.contains(&letter) {
            let counts_from_one = shift == 0;
            if !(shift == 1 || counts_from_one) || (self.one_based && shift == 1) {
                let message = format!(
                    "The index {letter} with {plus} added to it is another entry than the question's."
                );
                return Err(self.syntax_error(span, message));
            }
            if counts_from_one && !self.one_based {
                self.advise(format!(
                    "{letter} was read as the question's, from 1, because {letter} - 1 is the index."
                ));
            }
        }
        Ok(Index::Letter(letter))
    }

    fn slice(
        &mut self,
        from: &Value,
        to: &Value,
        step: &Value,
        size: Size,
        span: Span,
    ) -> Result<Pick, FormulaError> {
        let is_one = |value: &Value| match value {
            Value::Nothing => true,
            Value::Array(array) => array.whole == Some(1),
            _ => false,
        };
        if !is_one(step) {
            let message = "Slices with a step are not known here.";
            return Err(self.syntax_error(span, message));
        }
        let number = |value: &Value| match value {
            Value::Array(array) if array.rank == 0 => Some((**array).clone()),
            _ => None,
        };
        let (from, to) = (number(from), number(to));
        let total = match size {
            Size::Fixed(size) => Some(size as i64),
            _ => None,
        };
        let base = i64::from(self.one_based);
        let known = |array: &Array| {
            let whole = array.whole?;
            if whole < 0 {
                total.map(|total| total + whole)
            } else {
                Some(whole - base)
            }
        };
        // `i:i+1` is one entry.
        if let (Some(from), Some(to)) = (&from, &to)
            && let (Some((letter, plus)), Some((other, more))) = (from.index, to.index)
            && letter == other
            && more == plus + 1 - base
        {
            return Ok(Pick::Kept(self.letter_position(letter, plus, span)?));
        }
        let start = match &from {
            None => Some(0),
            Some(from) => known(from),
        };
        let stop = match &to {
            None => total,
            // Limits beyond the end are the end, as numpy has it.
            Some(to) => known(to)
                .map(|stop| stop + base)
                .map(|stop| total.map_or(stop, |total| stop.min(total))),
        };
        let whole = match (&to, stop) {
            (None, _) => true,
            (Some(_), Some(stop)) if Some(stop) == total => true,
            (Some(to), _) => size.kind().is_some_and(|kind| kind == to.expr.kind),
        };
        if from.is_some() || to.is_some() {
            self.uses_numbers = true;
        }
        match (start, stop) {
            (Some(0), _) if whole => Ok(Pick::All),
            (Some(start), Some(stop)) if start >= 0 && stop - start == 1 => {
                Ok(Pick::Kept(Index::Number(start as usize + 1)))
            }
            (Some(start), Some(stop)) if start >= 0 && stop > start && stop - start < 64 => {
                Ok(Pick::Run(start as usize + 1, stop as usize + 1))
            }
            _ => {
                let message = "This slice cannot be followed here: use limits that are numbers.";
                Err(self.syntax_error(span, message))
            }
        }
    }

    /// `a[…]`.
    pub(super) fn indexed(
        &mut self,
        base: Array,
        items: &[Value],
        span: Span,
    ) -> Result<Array, FormulaError> {
        if base.rank == 3 {
            let message = "Indices of an array of rank 3 are not known here.";
            return Err(self.syntax_error(span, message));
        }
        let picks = self.picks(&base, items, span)?;
        let axes: Vec<Pick> = picks
            .iter()
            .copied()
            .filter(|pick| *pick != Pick::New)
            .collect();
        let (rows, columns) = match (base.rank, base.column, &axes[..]) {
            (2, _, [rows, columns]) => (*rows, *columns),
            (1, false, [one]) => (Pick::All, *one),
            (1, true, [one]) => (*one, Pick::All),
            (0, _, []) => (Pick::All, Pick::All),
            _ => {
                let message = format!(
                    "There are {} indices, and this array has rank {}.",
                    axes.len(),
                    base.rank
                );
                return Err(self.shape_error(span, message));
            }
        };
        let rank = base.rank
            - axes
                .iter()
                .filter(|pick| matches!(pick, Pick::One(_)))
                .count() as u8;
        let column = match base.rank {
            2 => matches!(columns, Pick::One(_)),
            _ => base.column,
        };
        let mut array = self.selected(base, rows, columns, span)?;
        array.rank = rank;
        array.column = column && rank == 1;
        if self.dialect.has_dots() {
            // Julia's `h[1, :]` is a column; a matrix of MATLAB keeps both of its axes.
            let turns = self.dialect == super::syntax::Dialect::Julia && rank == 1;
            array = if turns { array.into_column() } else { array };
            array.rank = 2;
        }
        if picks.contains(&Pick::New) {
            return self.with_new_axes(array, &picks, span);
        }
        self.checked(array)
    }

    /// What each index picks, with `:` for axes that have none.
    fn picks(
        &mut self,
        base: &Array,
        items: &[Value],
        span: Span,
    ) -> Result<Vec<Pick>, FormulaError> {
        let own = items
            .iter()
            .filter(|item| !matches!(item, Value::Nothing | Value::Ellipsis))
            .count();
        let rank = usize::from(base.rank);
        if own > rank {
            let message = format!(
                "There are {own} indices, and this array has rank {rank}{}.",
                if rank == 1 {
                    ": a row of a matrix is not a matrix"
                } else {
                    ""
                }
            );
            return Err(self.shape_error(span, message));
        }
        let mut picks = Vec::with_capacity(items.len() + rank);
        let mut axis = 0;
        let mut filled = false;
        for item in items {
            if matches!(item, Value::Ellipsis) {
                picks.extend(std::iter::repeat_n(Pick::All, rank - own));
                axis += rank - own;
                filled = true;
                continue;
            }
            let size = match (base.rank, axis, base.column) {
                (2, 0, _) | (1, _, true) => base.sizes.0,
                _ => base.sizes.1,
            };
            let pick = self.pick(item, size, span)?;
            axis += usize::from(pick != Pick::New);
            picks.push(pick);
        }
        if !filled {
            picks.extend(std::iter::repeat_n(Pick::All, rank - own));
        }
        Ok(picks)
    }

    /// The rows and columns that two picks leave, as a matrix.
    fn selected(
        &mut self,
        base: Array,
        rows: Pick,
        columns: Pick,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let size = |pick: Pick, size: Size| match pick {
            Pick::All | Pick::New => size,
            Pick::One(_) | Pick::Kept(_) => ONE,
            Pick::Run(from, to) => Size::Fixed(to - from),
        };
        let sizes = (size(rows, base.sizes.0), size(columns, base.sizes.1));
        let indices = |pick: Pick| match pick {
            Pick::All | Pick::New => vec![Index::All],
            Pick::One(index) | Pick::Kept(index) => vec![index],
            Pick::Run(from, to) => (from..to).map(Index::Number).collect(),
        };
        let (rows, columns) = (indices(rows), indices(columns));
        let shape = base.clone_shape();
        let blocks: Vec<Vec<Expr>> = rows
            .iter()
            .map(|row| {
                let entries = columns.iter();
                entries
                    .map(|column| select(base.expr.clone(), *row, *column, span))
                    .collect()
            })
            .collect();
        let count = rows.len() * columns.len();
        let mut blocks = blocks;
        let expr = match (&mut blocks[..], count) {
            ([row], 1) => row.pop(),
            _ => Some(Expr::new(Kind::Rows(blocks), span)),
        };
        let Some(expr) = expr else {
            return Err(self.syntax_error(span, "This index picks no entry."));
        };
        let mut array = shape.with(expr, 0);
        array.nodes = count * (shape.nodes + 1) + 1;
        array.sizes = sizes;
        array.mask = shape.mask;
        array.zero = shape.zero;
        self.checked(array)
    }

    /// New axes where `None` stands.
    fn with_new_axes(
        &mut self,
        mut array: Array,
        picks: &[Pick],
        span: Span,
    ) -> Result<Array, FormulaError> {
        let left: Vec<bool> = picks
            .iter()
            .filter(|pick| !matches!(pick, Pick::One(_)))
            .map(|pick| *pick == Pick::New)
            .collect();
        match &left[..] {
            [true] => {
                array.rank = 1;
                array.column = false;
            }
            [true, true] => array.rank = 2,
            [true, false] => {
                array = array.into_row();
                array.rank = 2;
            }
            [false, true] => {
                array = array.into_column();
                array.rank = 2;
            }
            [false, false, true] => return self.three(array, true, span),
            [false, true, false] => return self.three(array, false, span),
            _ => {
                let message = "New axes in these places are not known here: use [:, None], [None, :], [:, :, None] or [:, None, :].";
                return Err(self.syntax_error(span, message));
            }
        }
        array.whole = None;
        array.column = array.column && array.rank == 1;
        self.checked(array)
    }

    /// An array of rank 3 whose matrix at each first index is a column or a row: that row of the array.
    pub(super) fn three(
        &mut self,
        array: Array,
        columns: bool,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let axis = self.fresh_axis("k", array.sizes.0, span)?;
        self.shifts.insert(axis.letter, i64::from(!self.one_based));
        let shape = array.clone_shape();
        let mut row = shape.with(
            select(array.expr, Index::Letter(axis.letter), Index::All, span),
            1,
        );
        row.sizes = (ONE, shape.sizes.1);
        row.mask = shape.mask;
        if columns {
            row.rank = 2;
            row = row.transposed();
        }
        row.rank = 3;
        row.batch = Some(axis);
        self.checked(row)
    }
}

/// One entry, a row or a column, of what may be one already.
pub(super) fn select(base: Expr, row: Index, column: Index, span: Span) -> Expr {
    if row == Index::All && column == Index::All {
        return base;
    }
    if let Kind::Select(_, Indices::Two(rows, columns)) = base.kind {
        let join = |old: Index, new: Index| match (old, new) {
            (old, Index::All) => Some(old),
            (Index::All, new) => Some(new),
            // What is left of an axis is its only entry.
            (old, Index::Number(1)) => Some(old),
            _ => None,
        };
        if let (Some(row), Some(column)) = (join(rows, row), join(columns, column))
            && let Kind::Select(inner, _) = base.clone().into_kind()
        {
            return Expr::new(Kind::Select(inner, Indices::Two(row, column)), span);
        }
    }
    Expr::new(
        Kind::Select(Arc::new(base), Indices::Two(row, column)),
        span,
    )
}
