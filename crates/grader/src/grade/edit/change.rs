//! One change of a formula.

use crate::formula::Expr;
use crate::grade::Mistake;

pub(super) type Change = (Mistake, Mistake, Expr);
