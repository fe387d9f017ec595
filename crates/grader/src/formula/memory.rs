//! The values of a formula's pieces, kept from one evaluation to the next, so that a changed copy of the formula costs
//! what changed and the path from there to its root, no more.

use super::eval::Evaluator;
use super::expr::{Expr, Kind};
use super::{Bindings, Fault, FormulaError, Matrix, Value};

/// The most pieces of a formula that are remembered: far more than a derivation has, and a bound on the memory.
const MOST_PIECES: u32 = 256;
/// A piece inside one sum or stack has a value for each value of the index there, up to this one.
const MOST_TERMS: usize = 8;

/// What the numbered pieces of one formula came to, on one network with one binding of the question's indices.
#[derive(Debug, Default)]
pub struct Memory {
    /// For each piece and each value of the index around it: where in `known` it is, from 1; 0 where nothing is known.
    places: Vec<u32>,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    value: Result<Matrix, Fault>,
    approximate: bool,
    work: usize,
}

/// The value of `expr` as [`super::evaluate`] finds it. What `memory` knows of the numbered pieces is not computed
/// again, and what it does not know yet is remembered. `work` grows by what was computed or remembered, whether or not
/// there is a value.
pub fn evaluate_again(
    expr: &Expr,
    bindings: &dyn Bindings,
    letters: &[(char, usize)],
    memory: &mut Memory,
    work: &mut usize,
) -> Option<Value> {
    let mut evaluator = Evaluator::new(bindings, letters);
    evaluator.memory = Some(memory);
    evaluator.finish(expr, work).ok()
}

impl Expr {
    /// Numbers the pieces, so that a [`Memory`] knows them again here and in changed copies.
    pub fn number_pieces(&mut self) {
        let mut next = 0;
        self.for_each_piece_mut(|piece| {
            next += 1;
            // A symbol is as soon read as remembered.
            let is_leaf = matches!(
                piece.kind,
                Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_)
            );
            piece.number = if next < MOST_PIECES && !is_leaf {
                next
            } else {
                0
            };
        });
    }

    /// Its number; 0 where it has none.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Gives a piece the number that it had before its parts were changed, once they are again what they were.
    pub fn number_again(&mut self, number: u32) {
        self.number = number;
    }
}

/// What an evaluation had come to when it began with a piece.
pub(super) struct Begun {
    place: Option<usize>,
    work: usize,
    approximate: bool,
}

impl Evaluator<'_> {
    /// What is remembered of a piece, if anything is.
    pub(super) fn recall(&mut self, expr: &Expr) -> Option<Result<Matrix, FormulaError>> {
        let place = self.place(expr)?;
        let known = self.memory.as_ref()?.at(place)?;
        self.work += known.work;
        self.approximate |= known.approximate;
        let value = known.value.clone();
        Some(
            self.hold_to_budget(expr)
                .and_then(|()| value.map_err(|fault| FormulaError::new(fault, expr.span, ""))),
        )
    }

    /// Begins with a piece of which nothing is remembered.
    pub(super) fn begin(&mut self, expr: &Expr) -> Begun {
        let begun = Begun {
            place: self.place(expr),
            work: self.work,
            approximate: self.approximate,
        };
        if begun.place.is_some() {
            self.approximate = false;
        }
        begun
    }

    /// Ends with a piece whose value was computed, and remembers it.
    pub(super) fn end(&mut self, begun: &Begun, value: &Result<Matrix, FormulaError>) {
        let Some(place) = begun.place else { return };
        let known = Known {
            value: match value {
                Ok(value) => Ok(value.clone()),
                Err(error) => Err(error.fault),
            },
            approximate: self.approximate,
            work: self.work - begun.work,
        };
        self.approximate |= begun.approximate;
        // Whether the budget lasts depends on what was computed before.
        if known.value != Err(Fault::TooLarge)
            && let Some(memory) = &mut self.memory
        {
            memory.put(place, known);
        }
    }

    /// Where a piece's value is remembered. It depends on the piece and on the one index that a sum or stack around
    /// it gives a value; inside two of them nothing is remembered.
    fn place(&self, expr: &Expr) -> Option<usize> {
        if expr.number == 0 || self.memory.is_none() {
            return None;
        }
        let term = match self.letters.get(self.given..) {
            None | Some([]) => 0,
            Some([(_, at)]) if *at < MOST_TERMS => *at + 1,
            Some(_) => return None,
        };
        Some(expr.number as usize * (MOST_TERMS + 1) + term)
    }
}

impl Memory {
    fn at(&self, place: usize) -> Option<&Known> {
        let at = *self.places.get(place)? as usize;
        self.known.get(at.checked_sub(1)?)
    }

    fn put(&mut self, place: usize, known: Known) {
        if self.places.len() <= place {
            self.places.resize(place + 1, 0);
        }
        self.known.push(known);
        self.places[place] = self.known.len() as u32;
    }
}
