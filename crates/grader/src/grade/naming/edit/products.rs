//! Changes of products, sums of two terms, and quotients.

use std::sync::Arc;

use super::build::{binary, number, selected, sum};
use super::change::{Changes, Side};
use super::masks::{is_mask, masks_output};
use crate::formula::{Expr, Function, Index, Kind, Operator, Symbol};
use crate::grade::Mistake;

impl Changes<'_> {
    pub(super) fn binary_changes(
        &mut self,
        operator: Operator,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
    ) {
        match operator {
            Operator::Times => {
                self.dropped_factors(left, right);
                if !self.is_scalar(whole) {
                    self.matrix_products(left, right);
                    self.orders(left, right);
                }
                self.products_of_sums(left, right);
            }
            Operator::Hadamard => {
                self.dropped_factors(left, right);
                if !self.is_scalar(whole) {
                    self.elementwise_products(left, right);
                }
            }
            Operator::Subtract => {
                let swapped = binary(Operator::Subtract, right, left);
                self.put(Mistake::SignFlipped, swapped);
                self.put(Mistake::SignFlipped, binary(Operator::Add, left, right));
                self.make(Mistake::WeightDropped, || left.clone());
                self.make(Mistake::WeightDropped, || right.clone());
            }
            Operator::Add => {
                let subtracted = binary(Operator::Subtract, left, right);
                self.put(Mistake::SignFlipped, subtracted);
                self.make(Mistake::LostSum, || left.clone());
                self.make(Mistake::LostSum, || right.clone());
                for (kept, dropped) in [(left, right), (right, left)] {
                    let has_symbol = |piece: &Expr| matches!(piece.kind, Kind::Symbol(_));
                    if dropped.pieces().any(has_symbol) {
                        self.correct(Mistake::SumNotCollapsed, || kept.clone());
                    }
                }
            }
            Operator::Divide => {
                let mean = right.kind == Kind::Symbol(Symbol::BatchSize);
                let (made, corrected) = if mean {
                    (Mistake::MissingBatchMean, Mistake::DoubleBatchMean)
                } else {
                    (Mistake::ConstantFactor, Mistake::ConstantFactor)
                };
                self.put_by_side(made, corrected, left.clone());
                let hardcoded = |value| binary(Operator::Divide, left, &number(value, whole));
                if mean {
                    self.make(Mistake::HardcodedBatchSize, || hardcoded(2.0));
                }
            }
        }
    }

    /// The product without one of its factors.
    fn dropped_factors(&mut self, left: &Expr, right: &Expr) {
        for (dropped, kept) in [(left, right), (right, left)] {
            if matches!(dropped.kind, Kind::Number(_)) || is_several(dropped) {
                continue;
            }
            let (made, corrected) = if is_mask(dropped) && masks_output(dropped, self.bindings) {
                (Mistake::MissingMask, Mistake::MaskOnOutput)
            } else if is_mask(dropped) {
                (Mistake::MissingMask, Mistake::WrongMaskLayer)
            } else {
                (Mistake::WeightDropped, Mistake::WrongWeight)
            };
            self.put_by_side(made, corrected, kept.clone());
        }
        // W ⊙ mask as a factor of a batch's δ: without W a row of ones is what remains.
        if let Kind::Symbol(Symbol::Weights(layer)) = right.kind {
            self.make(Mistake::WeightDropped, || {
                let size = Expr::new(
                    Kind::Symbol(Symbol::Units(layer.saturating_sub(1))),
                    right.span,
                );
                let ones = Expr::new(Kind::Ones(Some(Arc::new(size))), right.span);
                binary(Operator::Times, left, &ones.transposed())
            });
        }
    }

    /// Another product in place of a matrix product.
    fn matrix_products(&mut self, left: &Expr, right: &Expr) {
        let (turned_left, turned_right) = (left.clone().transposed(), right.clone().transposed());
        let (made, corrected) = (Mistake::ElementwiseForMatmul, Mistake::MatmulForElementwise);
        self.put_by_side(made, corrected, binary(Operator::Hadamard, left, right));
        for (a, b) in [(&turned_left, right), (left, &turned_right)] {
            self.put_by_side(made, corrected, binary(Operator::Hadamard, a, b));
        }
        if self.side == Side::Answer {
            // A transpose that only makes the wrong product fit.
            for (a, b) in [(untransposed(left), right), (left, untransposed(right))] {
                if (a, b) != (left, right) && !is_ones(a) && !is_ones(b) {
                    let product = binary(Operator::Hadamard, a, b);
                    self.put(Mistake::MatmulForElementwise, product);
                }
            }
            return;
        }
        let inner = self.inner_size(left);
        let mistake = if self.is_of_batch() && inner == Some(self.samples()) {
            Mistake::FirstSampleOnly
        } else {
            Mistake::LostSum
        };
        // Without one of the factors, its sums over the other's index remain.
        let total =
            |function, expr: &Expr| Expr::new(Kind::Call(function, vec![expr.clone()]), expr.span);
        if inner.is_some() {
            self.put(Mistake::WeightDropped, total(Function::RowSums, left));
            self.put(Mistake::WeightDropped, total(Function::ColumnSums, right));
        }
        for at in 1..=inner.unwrap_or(1).min(3) {
            let column = selected(left.clone(), Index::All, Index::Number(at));
            let row = selected(right.clone(), Index::Number(at), Index::All);
            self.put(mistake, binary(Operator::Times, &column, &row));
        }
    }

    /// A matrix product in place of an elementwise one.
    fn elementwise_products(&mut self, left: &Expr, right: &Expr) {
        let (turned_left, turned_right) = (left.clone().transposed(), right.clone().transposed());
        for (a, b) in [
            (left, right),
            (left, &turned_right),
            (&turned_left, right),
            (right, left),
        ] {
            let product = binary(Operator::Times, a, b);
            let (made, corrected) = (Mistake::MatmulForElementwise, Mistake::ElementwiseForMatmul);
            self.put_by_side(made, corrected, product);
        }
    }

    /// The factors of a product of two or three in another order.
    fn orders(&mut self, left: &Expr, right: &Expr) {
        let times = |a: &Expr, b: &Expr| binary(Operator::Times, a, b);
        self.put(Mistake::OperandOrder, times(right, left));
        let (turned_left, turned_right) = (left.clone().transposed(), right.clone().transposed());
        self.put(Mistake::OperandOrder, times(&turned_right, left));
        self.put(Mistake::OperandOrder, times(right, &turned_left));
        self.put(Mistake::OperandOrder, times(&turned_right, &turned_left));
        if let Kind::Binary(Operator::Times, first, second) = &left.kind {
            let swapped = times(&times(first, right), second);
            self.put(Mistake::OperandOrder, swapped);
            let reversed = times(&times(right, second), first);
            self.put(Mistake::OperandOrder, reversed);
        }
    }

    /// The sums of both factors' entries in place of the sum of products.
    fn products_of_sums(&mut self, left: &Expr, right: &Expr) {
        let total =
            |function, expr: &Expr| Expr::new(Kind::Call(function, vec![expr.clone()]), expr.span);
        self.make(Mistake::ProductOfSums, || {
            let left = total(Function::RowSums, left);
            binary(Operator::Times, &left, &total(Function::ColumnSums, right))
        });
        let Some((q, range, a)) = sum_of(left) else {
            // (… Σ a) Σ b, with other factors between.
            if let (Some((q, range, a)), Some((r, _, b))) = (last_sum(left), sum_of(right)) {
                let body = binary(Operator::Times, a.1, &b.with_index(r, Index::Letter(q)));
                let whole = sum(q, range.cloned(), body);
                let merged = binary(Operator::Times, a.0, &whole);
                self.correct(Mistake::ProductOfSums, || merged);
            }
            return;
        };
        if let Some((r, _, b)) = sum_of(right) {
            let body = binary(Operator::Times, a, &b.with_index(r, Index::Letter(q)));
            self.correct(Mistake::ProductOfSums, || sum(q, range.cloned(), body));
        }
    }

    /// The number of columns of a factor.
    fn inner_size(&self, left: &Expr) -> Option<usize> {
        let letters: Vec<(char, usize)> = self.place.letters.iter().map(|&l| (l, 1)).collect();
        let value = crate::formula::evaluate(left, self.bindings, &letters).ok()?;
        let (_, columns) = value.matrix.shape();
        (columns > 1).then_some(columns)
    }
}

type Limits = (Arc<Expr>, Arc<Expr>);

fn sum_of(expr: &Expr) -> Option<(char, Option<&Limits>, &Expr)> {
    match &expr.kind {
        Kind::Sum(letter, range, body) => Some((*letter, range.as_ref(), body)),
        _ => None,
    }
}

/// The sum that is the last factor of a product, with the factors before it.
fn last_sum(expr: &Expr) -> Option<(char, Option<&Limits>, (&Expr, &Expr))> {
    match &expr.kind {
        Kind::Binary(Operator::Times | Operator::Hadamard, before, last) => {
            let (letter, range, body) = sum_of(last)?;
            Some((letter, range, (before, body)))
        }
        _ => None,
    }
}

fn is_ones(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Ones(_))
}

/// Whether leaving this out leaves out a mask with another factor.
fn is_several(factor: &Expr) -> bool {
    match &factor.kind {
        Kind::Transpose(inner) => is_several(inner),
        Kind::Binary(Operator::Times | Operator::Hadamard, ..) => factor.pieces().any(is_mask),
        _ => false,
    }
}

fn untransposed(expr: &Expr) -> &Expr {
    match &expr.kind {
        Kind::Transpose(inner) => inner,
        _ => expr,
    }
}
