//! Changes of sums: a sum too many, a sum lost, and sums that became products.

use std::sync::Arc;

use super::build::{binary, sum};
use super::change::{Changes, Side};
use crate::formula::{Expr, Function, Index, Indices, Kind, Operator, Symbol};
use crate::grade::Mistake;

impl Changes<'_> {
    pub(super) fn sum_changes(
        &mut self,
        letter: char,
        range: Option<&(Arc<Expr>, Arc<Expr>)>,
        body: &Expr,
    ) {
        let over_batch =
            matches!(range, Some((_, to)) if to.kind == Kind::Symbol(Symbol::BatchSize));
        let lost = if over_batch {
            Mistake::FirstSampleOnly
        } else {
            Mistake::LostSum
        };
        let letters = self.place.letters.clone();
        let letters = letters.iter().copied().map(Index::Letter);
        for index in letters.chain((1..=3).map(Index::Number)) {
            let term = body.with_index(letter, index);
            self.put_by_side(lost, Mistake::SumNotCollapsed, term);
        }
        if let Kind::Sum(inner, limits, inner_body) = &body.kind {
            // Σ_q Σ_r with the same index belongs together.
            let merged = inner_body.with_index(*inner, Index::Letter(letter));
            self.correct(Mistake::SumNotCollapsed, || {
                sum(letter, range.cloned(), merged)
            });
            let _ = limits;
        }
        self.split_sums(letter, range, body);
        self.merged_sums(letter, range, body);
    }

    /// Σ ab as (Σ a)(Σ b), for each factor and each place to split the product at.
    fn split_sums(&mut self, letter: char, range: Option<&(Arc<Expr>, Arc<Expr>)>, body: &Expr) {
        if self.side != Side::Solution {
            return;
        }
        let own = |expr: Expr| sum(letter, range.cloned(), expr);
        let factors = factors(body);
        if !(2..=6).contains(&factors.len()) {
            return;
        }
        // Every way to share the factors out between two sums, the first one in the first.
        for chosen in 0..1_usize << (factors.len() - 1) {
            let in_second = |at: usize| at > 0 && chosen >> (at - 1) & 1 == 1;
            let part = |second: bool| {
                let own = factors.iter().enumerate();
                let own = own.filter(|(at, _)| in_second(*at) == second);
                own.map(|(_, factor)| (*factor).clone())
                    .reduce(|a, b| binary(Operator::Times, &a, &b))
            };
            if let (Some(a), Some(b)) = (part(false), part(true)) {
                let product = binary(Operator::Times, &own(a), &own(b));
                self.put(Mistake::ProductOfSums, product);
            }
        }
    }

    /// Σ_q a Σ_r b as Σ_q ab.
    fn merged_sums(&mut self, letter: char, range: Option<&(Arc<Expr>, Arc<Expr>)>, body: &Expr) {
        if self.side != Side::Answer {
            return;
        }
        if let Kind::Binary(operator, a, b) = &body.kind
            && let Kind::Sum(inner, _, b) = &b.kind
        {
            let b = b.with_index(*inner, Index::Letter(letter));
            let merged = sum(letter, range.cloned(), binary(*operator, a, &b));
            self.put(Mistake::ProductOfSums, merged);
        }
    }

    /// The whole formula summed: over an index that the question gives, or over its rows or columns.
    pub(super) fn summed(&mut self, whole: &Expr) {
        let total = |function| Expr::new(Kind::Call(function, vec![whole.clone()]), whole.span);
        for function in [Function::ColumnSums, Function::RowSums, Function::Total] {
            let summed = total(function);
            self.put_by_side(Mistake::SumNotCollapsed, Mistake::LostSum, summed);
        }
        for letter in self.place.letters.clone() {
            let body = whole.with_index(letter, Index::Letter('s'));
            self.put_by_side(
                Mistake::SumNotCollapsed,
                Mistake::LostSum,
                sum('s', None, body),
            );
        }
        if self.side == Side::Solution {
            for letter in self.place.letters.clone() {
                for at in 0..whole.pieces().count().min(64) {
                    self.summed_in_part(whole, letter, at);
                }
            }
            return;
        }
        // The first sample, or one unit, in place of all.
        let samples = (1..=3).map(|row| (None, row));
        let units = (1..self.bindings.depth())
            .flat_map(|layer| (1..=2).map(move |unit| (Some(layer), unit)));
        let is_written = [1, 2, 3].map(|number| whole.has_index(Index::Number(number)));
        for (layer, number) in samples.chain(units) {
            if !is_written[number - 1] {
                continue;
            }
            let mut body = whole.clone();
            if generalize(&mut body, layer, Index::Number(number)) {
                let mistake = match layer {
                    None => Mistake::FirstSampleOnly,
                    Some(_) => Mistake::LostSum,
                };
                let limit = match layer {
                    None => Symbol::BatchSize,
                    Some(layer) => Symbol::Units(layer),
                };
                let node = |kind| Arc::new(Expr::new(kind, whole.span));
                let range = (node(Kind::Number(1.0)), node(Kind::Symbol(limit)));
                self.put(mistake, sum('s', Some(range), body));
            }
        }
    }

    /// A sum over the letter of one product inside the formula, the others left as they are.
    fn summed_in_part(&mut self, whole: &Expr, letter: char, at: usize) {
        let mut changed = whole.clone();
        let (mut now, mut is_changed) = (0, false);
        changed.for_each_piece_mut(|piece| {
            let is_term = matches!(piece.kind, Kind::Select(..) | Kind::Binary(..));
            if now == at && is_term {
                let body = piece.with_index(letter, Index::Letter('s'));
                if body != *piece {
                    *piece = sum('s', None, body);
                    is_changed = true;
                }
            }
            now += 1;
        });
        if is_changed {
            self.put(Mistake::SumNotCollapsed, changed);
        }
    }
}

/// The factors of a product.
fn factors(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut at = expr;
    while let Kind::Binary(Operator::Times | Operator::Hadamard, left, right) = &at.kind {
        found.push(&**right);
        at = left;
    }
    found.push(at);
    found.reverse();
    found
}

/// Puts the letter s for `index` wherever it means a sample, or a unit of the layer. Returns whether it does anywhere.
fn generalize(expr: &mut Expr, layer: Option<usize>, index: Index) -> bool {
    let mut is_changed = false;
    let mut put = |place: &mut Index| {
        if *place == index {
            *place = Index::Letter('s');
            is_changed = true;
        }
    };
    expr.for_each_piece_mut(|piece| {
        let Kind::Select(base, indices) = &mut piece.kind else {
            return;
        };
        let base = match &base.kind {
            Kind::Derivative(_, by) => &by.kind,
            other => other,
        };
        let Kind::Symbol(symbol) = base else { return };
        match (indices, layer) {
            (Indices::One(row) | Indices::Two(row, _), None) => {
                if matches!(
                    symbol,
                    Symbol::PreActivation(_)
                        | Symbol::Activation(_)
                        | Symbol::Targets
                        | Symbol::Delta
                        | Symbol::SampleLoss
                ) {
                    put(row);
                }
            }
            (Indices::Two(row, column), Some(layer)) => match *symbol {
                Symbol::PreActivation(own) | Symbol::Activation(own) if own == layer => put(column),
                Symbol::Weights(own) if own == layer => put(row),
                Symbol::Weights(own) if own == layer + 1 => put(column),
                _ => {}
            },
            (Indices::One(_), Some(_)) => {}
        }
    });
    is_changed
}
