//! Caches the values of a formula's subexpressions between evaluations, so that evaluating a changed copy costs only
//! the changed part and the path from there to the root.

use super::eval::Evaluator;
use super::expr::{Expr, Kind};
use super::{Bindings, Fault, FormulaError, Matrix, Value};

/// The most subexpressions to remember: far more than a derivation has, and a bound on the memory.
const MOST_PIECES: u32 = 256;
/// A subexpression inside one sum or stack has a value for each value of that index, up to this one.
const MOST_TERMS: usize = 8;

/// The values of the numbered subexpressions of one formula, on one network with one binding of the question's indices.
#[derive(Debug, Default)]
pub struct Memory {
    /// For each subexpression and each value of the index around it: its position in `known`, from 1; 0 if unknown.
    places: Vec<u32>,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    value: Result<Matrix, Fault>,
    approximate: bool,
    work: usize,
}

/// The value of `expr` as [`super::evaluate`] computes it. Takes known values of numbered subexpressions from `memory`,
/// and adds new ones. `work` grows by the computed or remembered entries, whether or not there is a value.
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
    /// Numbers the subexpressions, so that a [`Memory`] recognizes them here and in changed copies.
    pub fn number_pieces(&mut self) {
        let mut next = 0;
        self.for_each_piece_mut(|piece| {
            next += 1;
            // Reading a symbol is as fast as remembering it.
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

    /// The subexpression's number; 0 if it has none.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Restores the number that a subexpression had before its parts were changed, once they are restored.
    pub fn number_again(&mut self, number: u32) {
        self.number = number;
    }
}

/// The state of an evaluation at the beginning of a subexpression.
pub(super) struct EvaluationMark {
    place: Option<usize>,
    work: usize,
    approximate: bool,
}

impl Evaluator<'_> {
    /// The remembered value of a subexpression.
    #[inline]
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

    /// Begins a subexpression without a remembered value.
    #[inline]
    pub(super) fn begin(&mut self, expr: &Expr) -> EvaluationMark {
        let begun = EvaluationMark {
            place: self.place(expr),
            work: self.work,
            approximate: self.approximate,
        };
        if begun.place.is_some() {
            self.approximate = false;
        }
        begun
    }

    /// Ends a subexpression whose value was computed, and remembers it.
    #[inline]
    pub(super) fn end(&mut self, begun: &EvaluationMark, value: &Result<Matrix, FormulaError>) {
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
        // Whether the budget suffices depends on what was computed before, so that failure is not remembered.
        if known.value != Err(Fault::TooLarge)
            && let Some(memory) = &mut self.memory
        {
            memory.put(place, known);
        }
    }

    /// The position of a subexpression's value. It depends on the subexpression and on the one index that an enclosing
    /// sum or stack binds; inside two of them nothing is remembered.
    #[inline]
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
    #[inline]
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
