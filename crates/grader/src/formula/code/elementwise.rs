//! Operations entry by entry, with numpy's broadcasting.

use std::sync::Arc;

use super::super::expr::{Comparison, Expr, Function, Kind, Operator};
use super::super::{FormulaError, Span};
use super::execute::Program;
use super::syntax::Relation;
use super::value::{Array, Axis, ONE, Size};

/// An operation with two operands, entry by entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Of(Operator),
    Compare(Comparison),
    Call(Function),
}

/// The shape of what an operation gives.
struct Shape {
    rank: u8,
    column: bool,
    sizes: (Size, Size),
    batch: Option<Axis>,
}

pub(super) fn comparison(relation: Relation) -> Comparison {
    match relation {
        Relation::GreaterOrEqual => Comparison::GreaterOrEqual,
        Relation::Greater => Comparison::Greater,
        Relation::LessOrEqual => Comparison::LessOrEqual,
        Relation::Less => Comparison::Less,
        Relation::Equal => Comparison::Equal,
        Relation::NotEqual => Comparison::NotEqual,
    }
}

impl Program<'_> {
    /// Two arrays as matrices whose broadcast is numpy's.
    fn aligned(
        &mut self,
        mut a: Array,
        mut b: Array,
        span: Span,
    ) -> Result<(Array, Array, Shape), FormulaError> {
        let ones = a.rank == 1 && b.rank == 1;
        if !(ones && a.column == b.column) {
            // Beside a number, the side on which an array of rank 1 lies does not matter.
            if a.rank > 0 && b.rank > 0 {
                (a, b) = (a.into_row(), b.into_row());
            }
        }
        let batch = match (a.batch.clone(), b.batch.clone()) {
            (Some(one), Some(other)) => {
                if (one.from, one.to) != (other.from, other.to) {
                    let message = "The first axes of these arrays of rank 3 differ.";
                    return Err(self.shape_error(span, message));
                }
                rename(&mut b.expr, other.letter, one.letter);
                Some(one)
            }
            (one, other) => one.or(other),
        };
        let rank = a.rank.max(b.rank);
        let column = (a.rank == 1 && a.column) || (b.rank == 1 && b.column);
        let shape = Shape {
            rank,
            column: column && rank == 1,
            sizes: (a.sizes.0.with(b.sizes.0), a.sizes.1.with(b.sizes.1)),
            batch,
        };
        Ok((a, b, shape))
    }

    /// `a ∘ b`, entry by entry.
    pub(super) fn elementwise(
        &mut self,
        operation: Operation,
        a: Array,
        b: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let folded = fold(operation, &a, &b);
        let index = index(operation, &a, &b);
        let masks = a.mask && b.mask;
        let zero = operation == Operation::Of(Operator::Hadamard) && (a.zero || b.zero);
        let (a, b, shape) = self.aligned(a, b, span)?;
        let nodes = a.nodes + b.nodes + 1;
        let (left, right) = (Arc::new(a.expr), Arc::new(b.expr));
        let kind = match operation {
            Operation::Of(operator) => Kind::Binary(operator, left, right),
            Operation::Compare(comparison) => Kind::Compare(comparison, left, right),
            Operation::Call(function) => Kind::Call(
                function,
                vec![Arc::unwrap_or_clone(left), Arc::unwrap_or_clone(right)],
            ),
        };
        let mut array = Array {
            expr: Expr::new(kind, span),
            rank: shape.rank,
            column: shape.column,
            sizes: shape.sizes,
            mask: matches!(operation, Operation::Compare(_))
                || (masks && operation == Operation::Of(Operator::Hadamard)),
            whole: None,
            index,
            batch: shape.batch,
            zero,
            nodes,
        };
        if let Some(whole) = folded {
            array = Array::number(whole as f64, span);
        }
        self.checked(array)
    }

    /// A function of each entry.
    pub(super) fn mapped(
        &mut self,
        function: Function,
        a: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        let shape = a.clone_shape();
        let mut array = shape.with(Expr::new(Kind::Call(function, vec![a.expr]), span), 1);
        array.mask = matches!(
            function,
            Function::Step | Function::ReluPrime | Function::SigmaPrime
        );
        self.checked(array)
    }

    pub(super) fn negated(&mut self, a: Array, span: Span) -> Result<Array, FormulaError> {
        if let Some(whole) = a.whole {
            return Ok(Array::number(-whole as f64, span));
        }
        let shape = a.clone_shape();
        let mut array = shape.with(Expr::new(Kind::Negate(Arc::new(a.expr)), span), 1);
        array.zero = shape.zero;
        self.checked(array)
    }

    /// 1 where the condition does not hold.
    pub(super) fn inverted(&mut self, a: Array, span: Span) -> Result<Array, FormulaError> {
        if let Kind::Compare(comparison, ..) = &a.expr.kind {
            let opposite = match comparison {
                Comparison::GreaterOrEqual => Comparison::Less,
                Comparison::Greater => Comparison::LessOrEqual,
                Comparison::LessOrEqual => Comparison::Greater,
                Comparison::Less => Comparison::GreaterOrEqual,
                Comparison::Equal => Comparison::NotEqual,
                Comparison::NotEqual => Comparison::Equal,
            };
            let shape = a.clone_shape();
            if let Kind::Compare(_, left, right) = a.expr.into_kind() {
                let mut array =
                    shape.with(Expr::new(Kind::Compare(opposite, left, right), span), 0);
                array.mask = true;
                return Ok(array);
            }
            return Ok(shape);
        }
        if !a.mask {
            let message = "\"~\" and \"not\" turn a condition around, such as ~(z2 > 0); this is no condition.";
            return Err(self.syntax_error(span, message));
        }
        let one = Array::number(1.0, span);
        let mut array = self.elementwise(Operation::Of(Operator::Subtract), one, a, span)?;
        array.mask = true;
        Ok(array)
    }

    /// `one` where the condition holds, else `other`.
    pub(super) fn choice(
        &mut self,
        condition: Array,
        one: Array,
        other: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        // Aligning all three takes two rounds: what the first two become is aligned with the third.
        let (condition, one, _) = self.aligned(condition, one, span)?;
        let (condition, other, _) = self.aligned(condition, other, span)?;
        let (one, other, shape) = self.aligned(one, other, span)?;
        let (condition, one, _) = self.aligned(condition, one, span)?;
        let sizes = (
            shape.sizes.0.with(condition.sizes.0),
            shape.sizes.1.with(condition.sizes.1),
        );
        let mask = matches!((one.whole, other.whole), (Some(0 | 1), Some(0 | 1)));
        let (rank, column) = (
            shape.rank.max(condition.rank),
            shape.column || (condition.rank == 1 && condition.column),
        );
        let batch = shape.batch.or(condition.batch);
        let nodes = condition.nodes + one.nodes + other.nodes + 1;
        let cases = vec![(one.expr, Some(condition.expr)), (other.expr, None)];
        self.checked(Array {
            expr: Expr::new(Kind::Cases(cases), span),
            rank,
            column: column && rank == 1,
            sizes,
            mask,
            whole: None,
            index: None,
            batch,
            zero: false,
            nodes,
        })
    }

    /// The power of each entry.
    pub(super) fn power(
        &mut self,
        base: Array,
        exponent: Array,
        span: Span,
    ) -> Result<Array, FormulaError> {
        if exponent.rank > 0 {
            return Err(self.shape_error(span, "The exponent of ** must be a number."));
        }
        let shape = base.clone_shape();
        let added = exponent.nodes + 1;
        let kind = Kind::Power(Arc::new(base.expr), Arc::new(exponent.expr));
        self.checked(shape.with(Expr::new(kind, span), added))
    }
}

/// The whole number that an operation gives on two of them.
fn fold(operation: Operation, a: &Array, b: &Array) -> Option<i64> {
    let (a, b) = (a.whole?, b.whole?);
    match operation {
        Operation::Of(Operator::Add) => a.checked_add(b),
        Operation::Of(Operator::Subtract) => a.checked_sub(b),
        Operation::Of(Operator::Hadamard) => a.checked_mul(b),
        _ => None,
    }
}

/// The index that a sum of an index and a number is.
fn index(operation: Operation, a: &Array, b: &Array) -> Option<(char, i64)> {
    match (operation, a.index, a.whole, b.index, b.whole) {
        (Operation::Of(Operator::Add), Some((letter, plus)), _, _, Some(number))
        | (Operation::Of(Operator::Add), _, Some(number), Some((letter, plus)), _) => {
            Some((letter, plus.checked_add(number)?))
        }
        (Operation::Of(Operator::Subtract), Some((letter, plus)), _, _, Some(number)) => {
            Some((letter, plus.checked_sub(number)?))
        }
        _ => None,
    }
}

/// Renames an index in a tree.
pub(super) fn rename(expr: &mut Expr, from: char, to: char) {
    if from == to {
        return;
    }
    let renamed = expr.with_index(from, super::super::Index::Letter(to));
    *expr = renamed;
    expr.for_each_piece_mut(|piece| {
        if piece.kind == Kind::Letter(from) {
            piece.kind = Kind::Letter(to);
        }
    });
}

impl Array {
    /// A copy without its tree, for the shape of a result.
    pub(super) fn clone_shape(&self) -> Self {
        Self {
            expr: Expr::new(Kind::Number(0.0), self.expr.span),
            rank: self.rank,
            column: self.column,
            sizes: self.sizes,
            mask: self.mask,
            whole: None,
            index: None,
            batch: self.batch.clone(),
            zero: self.zero,
            nodes: self.nodes,
        }
    }

    /// Whether it is known to be one number, of any rank.
    pub(super) fn is_one(&self) -> bool {
        self.sizes == (ONE, ONE)
    }
}
