//! The work limit of one evaluation, counted in entries and charged before or after they are computed.

use super::eval::Evaluator;
use super::expr::Expr;
use super::{Fault, FormulaError, Matrix};

/// The most entries that one evaluation may compute.
const MAX_WORK: usize = 50_000;

/// A formula that takes more work than is allowed, at this piece.
pub fn too_much_work(expr: &Expr) -> FormulaError {
    let message = "The formula is too much work to evaluate. Write it with fewer and smaller sums and matrices.";
    FormulaError::new(Fault::TooLarge, expr.span, message)
}

impl Evaluator<'_> {
    /// The value, paid for.
    #[inline]
    pub(super) fn charged(
        &mut self,
        expr: &Expr,
        value: Result<Matrix, FormulaError>,
    ) -> Result<Matrix, FormulaError> {
        let value = value?;
        self.work += value.entries().len();
        self.hold_to_budget(expr)?;
        Ok(value)
    }

    /// Holds work that is about to be done to the budget, and pays for it.
    #[inline]
    pub(super) fn pay(&mut self, work: usize, expr: &Expr) -> Result<(), FormulaError> {
        self.work = self.work.saturating_add(work);
        self.hold_to_budget(expr)
    }

    /// Holds a value that is about to be made to the budget.
    pub(super) fn afford(&self, entries: usize, expr: &Expr) -> Result<(), FormulaError> {
        if self.work.saturating_add(entries) <= MAX_WORK {
            return Ok(());
        }
        Err(too_much_work(expr))
    }

    #[inline]
    pub(super) fn hold_to_budget(&self, expr: &Expr) -> Result<(), FormulaError> {
        if self.work <= MAX_WORK {
            return Ok(());
        }
        Err(too_much_work(expr))
    }
}
