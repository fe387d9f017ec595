//! `np.einsum`: sums of products, by the letters of their indices.

use std::collections::BTreeMap;

use super::super::expr::{Kind, Operator};
use super::super::{FormulaError, Index, Span};
use super::elementwise::Operation;
use super::execute::Program;
use super::indexing::select;
use super::library::Arguments;
use super::value::{Array, Axis, Bound, ONE, Value};

impl Program<'_> {
    pub(super) fn einsum(
        &mut self,
        arguments: &Arguments,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let Some((Value::Text(text), rest)) = arguments.values.split_first() else {
            let message = "np.einsum takes its letters first, such as 'ki,kj->ij'.";
            return Err(self.syntax_error(span, message));
        };
        let text: String = text
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left.to_owned(), right.to_owned()),
            None => (text.clone(), implied(&text)),
        };
        let operands: Vec<Vec<char>> = left
            .split(',')
            .map(|letters| letters.chars().collect())
            .collect();
        let right: Vec<char> = right.chars().collect();
        let letters = || operands.iter().flatten().chain(&right);
        if operands.len() != rest.len() || letters().any(|letter| !letter.is_ascii_alphabetic()) {
            let message = "The letters of np.einsum do not fit its arrays.";
            return Err(self.syntax_error(span, message));
        }
        let mut arrays = Vec::with_capacity(rest.len());
        for value in rest {
            arrays.push(self.as_array(value.clone(), span)?);
        }
        for (array, letters) in arrays.iter().zip(&operands) {
            if usize::from(array.rank) != letters.len() || array.rank > 2 {
                let message = format!(
                    "np.einsum has {} letters for an array with {} axes.",
                    letters.len(),
                    array.rank
                );
                return Err(self.shape_error(span, message));
            }
        }
        if let Some(array) = self.einsum_product(&arrays, &operands, &right, span)? {
            return Ok(array);
        }
        self.einsum_entries(arrays, &operands, &right, span)
    }

    /// The sum as a matrix product, if it is one.
    fn einsum_product(
        &mut self,
        arrays: &[Array],
        operands: &[Vec<char>],
        right: &[char],
        span: Span,
    ) -> Result<Option<Array>, FormulaError> {
        let ([a, b], [one, other]) = (arrays, operands) else {
            return Ok(None);
        };
        let ([i, j], [k, l]) = (&one[..], &other[..]) else {
            return Ok(None);
        };
        if i == j || k == l {
            return Ok(None);
        }
        if one == other && right == one {
            return self
                .elementwise(
                    Operation::Of(Operator::Hadamard),
                    a.clone(),
                    b.clone(),
                    span,
                )
                .map(Some);
        }
        for a_turned in [false, true] {
            for b_turned in [false, true] {
                let (outer, inner) = if a_turned { (j, i) } else { (i, j) };
                let (second, last) = if b_turned { (l, k) } else { (k, l) };
                if inner != second || outer == last {
                    continue;
                }
                let turn = |array: &Array, turns: bool| {
                    if turns {
                        array.clone().transposed()
                    } else {
                        array.clone()
                    }
                };
                let (a, b) = (turn(a, a_turned), turn(b, b_turned));
                if right == [*outer, *last] {
                    return self.matmul(a, b, span).map(Some);
                }
                if right == [*last, *outer] {
                    return self.matmul(b.transposed(), a.transposed(), span).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The sum entry by entry.
    fn einsum_entries(
        &mut self,
        arrays: Vec<Array>,
        operands: &[Vec<char>],
        right: &[char],
        span: Span,
    ) -> Result<Array, FormulaError> {
        let mut axes: BTreeMap<char, Axis> = BTreeMap::new();
        for (array, letters) in arrays.iter().zip(operands) {
            let sizes = match (array.rank, array.column) {
                (2, _) => vec![array.sizes.0, array.sizes.1],
                (1, true) => vec![array.sizes.0],
                (1, false) => vec![array.sizes.1],
                _ => vec![],
            };
            for (letter, size) in letters.iter().zip(sizes) {
                match axes.get(letter) {
                    Some(known) => {
                        let wanted = Bound { size, plus: 0 }.normal();
                        if known.to != wanted {
                            let message =
                                format!("The axes of the letter {letter} differ in size.");
                            return Err(self.shape_error(span, message));
                        }
                    }
                    None => {
                        let axis = self.fresh_axis(&letter.to_string(), size, span)?;
                        self.shifts.insert(axis.letter, i64::from(!self.one_based));
                        axes.insert(*letter, axis);
                    }
                }
            }
        }
        let index = |letter: &char| {
            axes.get(letter)
                .map_or(Index::All, |axis| Index::Letter(axis.letter))
        };
        let mut body: Option<Array> = None;
        for (array, letters) in arrays.into_iter().zip(operands) {
            let (rows, columns) = match (&letters[..], array.column) {
                ([row, column], _) => (index(row), index(column)),
                ([one], true) => (index(one), Index::All),
                ([one], false) => (Index::All, index(one)),
                _ => (Index::All, Index::All),
            };
            let nodes = array.nodes + 1;
            let mut entry = Array::new(Kind::Number(0.0), span, 0, (ONE, ONE));
            entry.expr = select(array.expr, rows, columns, span);
            entry.nodes = nodes;
            body = Some(match body {
                None => entry,
                Some(before) => {
                    self.elementwise(Operation::Of(Operator::Hadamard), before, entry, span)?
                }
            });
        }
        let Some(mut body) = body else {
            return Err(self.syntax_error(span, "np.einsum takes arrays."));
        };
        let summed: Vec<Axis> = axes
            .iter()
            .filter(|(letter, _)| !right.contains(letter))
            .map(|(_, axis)| axis.clone())
            .collect();
        for axis in summed {
            body = self.series_sum(&axis, body, span)?;
        }
        let open: Vec<Axis> = right
            .iter()
            .filter_map(|letter| axes.get(letter).cloned())
            .collect();
        self.einsum_stack(body, &open, right.len(), span)
    }

    fn einsum_stack(
        &mut self,
        body: Array,
        open: &[Axis],
        wanted: usize,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if open.len() != wanted {
            return Err(self.syntax_error(span, "A letter behind -> stands for no axis."));
        }
        match open {
            [] => Ok(body),
            [one] => self.stacked(one, body, span),
            [rows, columns] => {
                let row = self.stacked(columns, body, span)?.into_row();
                self.stacked(rows, row, span)
            }
            _ => {
                let message = "np.einsum with more than two axes behind -> is not known here.";
                Err(self.shape_error(span, message))
            }
        }
    }
}

/// The letters behind `->` where there is none: those that appear once, in the alphabet's order.
fn implied(left: &str) -> String {
    let mut letters: Vec<char> = left.chars().filter(|letter| *letter != ',').collect();
    letters.sort_unstable();
    let once = |letter: &&char| letters.iter().filter(|other| other == letter).count() == 1;
    letters.iter().filter(once).collect()
}
