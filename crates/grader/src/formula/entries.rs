//! Matrices given by their entry: `[a_{ij}]_{ij}`, and `(\partial l/\partial W)_{ij} = …` for the whole.

use std::sync::Arc;

use super::chain::Side;
use super::eval::Evaluator;
use super::expr::{Expr, Index, Indices, Kind};
use super::parser::Parser;
use super::vocabulary::index_text;
use super::{FormulaError, Matrix, Scope, Symbol};

impl Parser<'_> {
    /// The entry of `base` at `indices`, or the matrix of `base` for all values of letters that only `base` gives a
    /// meaning.
    pub(super) fn selection(&mut self, base: Expr, indices: Indices) -> Kind {
        let open = |letter: char| {
            let is_bound = self.scope.free.contains(&letter) || self.bound.contains(&letter);
            !is_bound && mentions_freely(&base, letter)
        };
        let entries = match indices {
            Indices::Two(Index::Letter(row), Index::Letter(column))
                if row != column && open(row) && open(column) =>
            {
                Some((Some(row), Some(column)))
            }
            Indices::Two(Index::Number(1), Index::Letter(column)) if open(column) => {
                Some((None, Some(column)))
            }
            Indices::Two(Index::Letter(row), Index::Number(1)) if open(row) => {
                Some((Some(row), None))
            }
            Indices::One(Index::Letter(letter)) if open(letter) => {
                Some((Some(letter), Some(letter)))
            }
            _ => None,
        };
        match entries {
            Some((row, column)) => {
                self.note(
                    "The formula of one entry was read as the matrix of all of them.".to_owned(),
                );
                Kind::Entries(row, column, Arc::new(base), None)
            }
            None => Kind::Select(Arc::new(base), indices),
        }
    }

    /// `_{j=1}^{3}` or `_{j=1,\dots,3}` behind brackets, the `_` already read: as `_j`. `None` for anything else.
    pub(super) fn entries_with_range(&mut self, base: &Expr) -> Result<Option<Kind>, FormulaError> {
        let begin = self.at;
        let letter = match (self.eat("{"), self.index_letter()) {
            (true, Some(letter)) if self.eat("=") => letter,
            _ => {
                self.at = begin;
                return Ok(None);
            }
        };
        let from = self.sum()?;
        let to = match self.end_of_range()? {
            Some(to) => to,
            None => {
                self.expect("}")?;
                if !self.eat("^") {
                    return Err(self.unexpected("the last value of the index, as in _{j=1}^{3}"));
                }
                let to = self.script()?;
                return self.all_entries(base, letter, from, to).map(Some);
            }
        };
        self.expect("}")?;
        self.all_entries(base, letter, from, to).map(Some)
    }

    /// The row or column of `base` for all values of `letter`, as a difference of its limits would show.
    fn all_entries(
        &mut self,
        base: &Expr,
        letter: char,
        from: Expr,
        to: Expr,
    ) -> Result<Kind, FormulaError> {
        if from.kind != Kind::Number(1.0) {
            let message = "A row or column of entries begins at 1.";
            return Err(FormulaError::new(super::Fault::Syntax, from.span, message));
        }
        self.note("The formula of one entry was read as the matrix of all of them.".to_owned());
        let part = base.clone();
        Ok(Kind::Range(letter, Arc::new(to), Arc::new(part)))
    }
}

/// Whether an index of `expr` is `letter` where no sum runs over it.
fn mentions_freely(expr: &Expr, letter: char) -> bool {
    let mut open = vec![expr];
    while let Some(piece) = open.pop() {
        match &piece.kind {
            Kind::Letter(own) if *own == letter => return true,
            Kind::Select(_, Indices::One(index)) | Kind::Unit(index, _)
                if *index == Index::Letter(letter) =>
            {
                return true;
            }
            Kind::Select(_, Indices::Two(row, column))
                if [row, column].contains(&&Index::Letter(letter)) =>
            {
                return true;
            }
            Kind::Sum(own, ..) | Kind::Stack(own, ..) if *own == letter => {}
            Kind::Range(own, ..) if *own == letter => {}
            Kind::Entries(row, column, ..) if [row, column].contains(&&Some(letter)) => {}
            _ => open.extend(piece.parts()),
        }
    }
    false
}

/// The letters that the left side of a definition by entries leaves open, of rows and of columns, and the quantity whose
/// shape the whole has.
fn entry_letters<'e>(
    left: &'e Expr,
    scope: &Scope,
) -> Option<(Option<char>, Option<char>, &'e Expr)> {
    let whole = match &left.kind {
        Kind::Derivative(_, below) => below,
        Kind::Select(base, _) => match &base.kind {
            Kind::Derivative(_, below) => below,
            _ => base,
        },
        _ => return None,
    };
    let whole = match &whole.kind {
        Kind::Select(base, _) => base,
        _ => whole,
    };
    let indices = match &left.kind {
        Kind::Derivative(_, below) => match &below.kind {
            Kind::Select(base, indices) if matches!(base.kind, Kind::Symbol(_)) => indices,
            _ => return None,
        },
        Kind::Select(base, indices)
            if matches!(
                base.kind,
                Kind::Derivative(..) | Kind::Symbol(Symbol::Delta)
            ) =>
        {
            indices
        }
        _ => return None,
    };
    let open = |index: &Index| match index {
        Index::Letter(letter) if !scope.free.contains(letter) => Some(*letter),
        _ => None,
    };
    let letters = match indices {
        Indices::One(index) => (open(index), open(index)),
        Indices::Two(row, column) => (open(row), open(column)),
    };
    (letters != (None, None)).then_some((letters.0, letters.1, whole))
}

/// Reads the sides behind `(\partial l/\partial W)_{ij} =` as the entries of the whole.
pub(super) fn define_by_entries(sides: &mut [Side], scope: &Scope) {
    let Some((first, rest)) = sides.split_first_mut() else {
        return;
    };
    let Ok(left) = &first.expr else { return };
    let Some((row, column, quantity)) = entry_letters(left, scope) else {
        return;
    };
    let like = Some(Arc::new(quantity.clone()));
    let mut letters: Vec<char> = row.into_iter().chain(column).collect();
    letters.dedup();
    for side in rest {
        let wrapped = |expr: &Expr| {
            let is_open = letters.iter().any(|letter| mentions_freely(expr, *letter));
            // A side that stays a derivative by entries is a step on the way.
            let is_step = entry_letters(expr, scope).is_some();
            let kind = Kind::Entries(row, column, Arc::new(expr.clone()), like.clone());
            (is_open && !is_step && expr.height() < super::MAX_HEIGHT)
                .then(|| Expr::new(kind, expr.span))
        };
        for other in &mut side.others {
            if let Some(expr) = wrapped(&other.expr) {
                other.expr = expr;
            }
        }
        if let Ok(expr) = &mut side.expr
            && let Some(all) = wrapped(expr)
        {
            *expr = all;
            let names: Vec<String> = letters.iter().map(|&own| index_text(own, false)).collect();
            side.advice.push(format!(
                "The formula was read as the entry for every {}, and the answer as all of them.",
                names.join(" and ")
            ));
        }
    }
}

impl Evaluator<'_> {
    /// The matrix of `body` for all values of its indices.
    pub(super) fn entries(
        &mut self,
        (row, column): (Option<char>, Option<char>),
        body: &Expr,
        like: Option<&Expr>,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let shape = match like {
            Some(like) => Some(self.value(like)?.shape()),
            None => None,
        };
        let (row, column) = match (row, column) {
            (Some(row), Some(column)) if row == column => {
                let is_row = match shape {
                    Some((rows, columns)) if rows == 1 || columns == 1 => columns > 1,
                    _ => self.is_in_columns(body, row),
                };
                if is_row {
                    (None, Some(row))
                } else {
                    (Some(row), None)
                }
            }
            other => other,
        };
        let mut rows = self.count_of(row, body, whole);
        let mut columns = self.count_of(column, body, whole);
        if let Some((own_rows, own_columns)) = shape {
            rows = rows.or(Ok(own_rows));
            columns = columns.or(Ok(own_columns));
        }
        let (rows, columns) = (rows?, columns?);
        self.afford(rows.saturating_mul(columns), whole)?;
        let known = self.letters.len();
        let mut entries = Vec::with_capacity(rows * columns);
        for i in 1..=rows {
            for j in 1..=columns {
                self.letters.extend(row.map(|letter| (letter, i)));
                self.letters.extend(column.map(|letter| (letter, j)));
                let value = self.value(body);
                self.letters.truncate(known);
                let Some(entry) = value?.as_scalar() else {
                    let message = "An entry of the matrix is not a number.";
                    return Err(self.shape_error(body, message));
                };
                entries.push(entry);
            }
        }
        Ok(Matrix::new(rows, columns, entries))
    }

    /// The row or column of `body` for an index from 1 to `to`, which must be all there are.
    pub(super) fn range_of_entries(
        &mut self,
        letter: char,
        to: &Expr,
        body: &Expr,
        whole: &Expr,
    ) -> Result<Matrix, FormulaError> {
        let value = self.entries((Some(letter), Some(letter)), body, None, whole)?;
        let (to, count) = (self.integer(to)?, value.entries().len());
        if to == count {
            return Ok(value);
        }
        let message = format!("The entries end at {to}; there are {count}.");
        Err(self.shape_error(whole, message))
    }

    fn count_of(
        &mut self,
        letter: Option<char>,
        body: &Expr,
        whole: &Expr,
    ) -> Result<usize, FormulaError> {
        letter.map_or(Ok(1), |letter| self.length_of(letter, body, whole))
    }

    /// Whether `letter` indexes a column of anything, so that a row runs along it.
    fn is_in_columns(&mut self, body: &Expr, letter: char) -> bool {
        body.pieces().any(|piece| match &piece.kind {
            Kind::Select(_, Indices::Two(_, column)) => *column == Index::Letter(letter),
            Kind::Select(base, Indices::One(index)) if *index == Index::Letter(letter) => {
                let shape = self.value(base).map(|value| value.shape());
                shape.is_ok_and(|shape| self.one_index_is_column(piece, shape))
            }
            _ => false,
        })
    }
}
