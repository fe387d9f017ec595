//! Chooses among the readings of an answer whose notation authors use in different ways.

use super::question::{Prepared, best};
use super::values::{Values, evaluate_in_steps};
use crate::formula::{Expr, Side, readings};

/// The reading of the side with the formula `usual`, and the advice on it. The usual reading holds unless it has no value and
/// another one has, or another one is right that is as good.
pub(super) async fn chosen<'s>(
    prepared: &Prepared,
    usual: &'s Expr,
    sides: &'s [Side],
) -> (&'s Expr, &'s [String]) {
    let is_own = |side: &&Side| matches!(&side.expr, Ok(expr) if std::ptr::eq(expr, usual));
    let Some(side) = sides.iter().find(is_own) else {
        return (usual, &[]);
    };
    if side.others.is_empty() {
        return (usual, &side.advice);
    }
    let networks = prepared.solution.networks.len();
    let (values, is_right) = values_of(prepared, usual).await;
    if is_right {
        return (usual, &side.advice);
    }
    let (evaluates, has_shape) = (
        values.evaluated() == networks,
        values.has_shape_of(&prepared.solution.values),
    );
    let mut fallback = None;
    for other in &side.others {
        if other.is_fallback && has_shape || prepared.forbidden_piece(&other.expr).is_some() {
            continue;
        }
        let (values, is_right) = values_of(prepared, &other.expr).await;
        if is_right {
            return (&other.expr, &other.advice);
        }
        if !evaluates && fallback.is_none() && values.evaluated() == networks {
            fallback = Some((&other.expr, &other.advice[..]));
        }
    }
    fallback.unwrap_or((usual, &side.advice))
}

/// The values of the reading that evaluates furthest, and whether any grouping of its factors is right.
async fn values_of(prepared: &Prepared, expr: &Expr) -> (Values, bool) {
    let solution = &prepared.solution;
    let mut all = Vec::with_capacity(3);
    for reading in readings(expr) {
        all.push(evaluate_in_steps(&reading, &solution.networks, &solution.letters).await);
    }
    let is_right = all.iter().any(|values| prepared.accepts(values));
    (best(all.into_iter()), is_right)
}
