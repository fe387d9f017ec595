//! A formula written another way keeps its verdict: commuted, transposed apart, sums written out, masks respelled.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index as Choice;

use super::super::question::Prepared;
use super::super::{Grader, Network, Verdict};
use super::{grade, homework};
use crate::formula::{
    Bindings, Comparison, Expr, Index, Kind, Matrix, Notation, Operator, Span, Symbol, evaluate,
    parse, readings, render,
};

fn node(kind: Kind) -> Expr {
    Expr::new(kind, Span::default())
}

fn binary(operator: Operator, a: &Expr, b: &Expr) -> Expr {
    node(Kind::Binary(
        operator,
        Arc::new(a.clone()),
        Arc::new(b.clone()),
    ))
}

fn number(value: f64) -> Expr {
    node(Kind::Number(value))
}

/// Where formulas are rewritten: what a sum binds does not matter for shapes, so every letter has a value.
struct Place<'p> {
    network: &'p Network,
    is_batch: bool,
}

impl Place<'_> {
    fn value(&self, expr: &Expr) -> Option<Matrix> {
        let letters: Vec<(char, usize)> = ('a'..='z').map(|letter| (letter, 1)).collect();
        Some(evaluate(expr, self.network, &letters).ok()?.matrix)
    }

    fn is_scalar(&self, expr: &Expr) -> bool {
        self.value(expr)
            .is_some_and(|value| value.shape() == (1, 1))
    }

    /// Every other way to write this piece itself.
    fn respellings(&self, expr: &Expr) -> Vec<Expr> {
        let mut found = Vec::new();
        match &expr.kind {
            Kind::Binary(Operator::Times, a, b) => {
                if self.is_scalar(a) || self.is_scalar(b) {
                    found.push(binary(Operator::Times, b, a));
                } else if let Kind::Binary(Operator::Times, c, d) = &b.kind
                    && !self.is_scalar(c)
                    && !self.is_scalar(d)
                {
                    let left = binary(Operator::Times, a, c);
                    found.push(binary(Operator::Times, &left, d));
                }
            }
            Kind::Binary(operator @ (Operator::Hadamard | Operator::Add), a, b) => {
                found.push(binary(*operator, b, a));
            }
            Kind::Transpose(inner) => match &inner.kind {
                Kind::Binary(Operator::Times, a, b) => {
                    found.push(binary(
                        Operator::Times,
                        &Expr::clone(b).transposed(),
                        &Expr::clone(a).transposed(),
                    ));
                }
                Kind::Binary(operator @ (Operator::Hadamard | Operator::Add), a, b) => {
                    found.push(binary(
                        *operator,
                        &Expr::clone(a).transposed(),
                        &Expr::clone(b).transposed(),
                    ));
                }
                _ => {}
            },
            Kind::Compare(Comparison::GreaterOrEqual, z, zero)
                if zero.kind == Kind::Number(0.0) =>
            {
                let compare = |sign, a: &Expr, b: &Expr| {
                    node(Kind::Compare(
                        sign,
                        Arc::new(a.clone()),
                        Arc::new(b.clone()),
                    ))
                };
                found.push(compare(Comparison::Greater, z, zero));
                found.push(compare(Comparison::LessOrEqual, zero, z));
                found.push(binary(
                    Operator::Subtract,
                    &number(1.0),
                    &compare(Comparison::Less, z, zero),
                ));
            }
            Kind::Sum(letter, Some((from, to)), body) => {
                if let Kind::Symbol(Symbol::Units(_)) = to.kind
                    && let (Some(from), Some(to)) = (self.value(from), self.value(to))
                {
                    let (from, to) = (from.at(0, 0) as usize, to.at(0, 0) as usize);
                    let terms =
                        (from..=to).map(|value| body.with_index(*letter, Index::Number(value)));
                    found.extend(terms.reduce(|sum, term| binary(Operator::Add, &sum, &term)));
                }
            }
            Kind::Symbol(Symbol::Delta) => {
                let difference = binary(
                    Operator::Subtract,
                    &node(Kind::Symbol(Symbol::Activation(self.network.depth()))),
                    &node(Kind::Symbol(Symbol::Targets)),
                );
                found.push(if self.is_batch {
                    binary(
                        Operator::Divide,
                        &difference,
                        &node(Kind::Symbol(Symbol::BatchSize)),
                    )
                } else {
                    difference
                });
            }
            _ => {}
        }
        if !matches!(expr.kind, Kind::Number(_)) && self.value(expr).is_some() {
            found.push(expr.clone().transposed().transposed());
            found.push(binary(Operator::Times, &number(1.0), expr));
        }
        found
    }

    /// Every formula that writes one piece another way.
    fn rewrites(&self, expr: &Expr) -> Vec<Expr> {
        let mut found = self.respellings(expr);
        for at in 0..expr.parts().len() {
            for part in self.rewrites(expr.parts()[at]) {
                let mut whole = expr.clone();
                if let Some(place) = whole.part_mut(at) {
                    *place = part;
                }
                found.push(whole);
            }
        }
        found
    }
}

fn rewritten(prepared: &Prepared, expr: &Expr, choices: &[Choice]) -> Expr {
    let place = Place {
        network: &prepared.solution.networks[0],
        is_batch: prepared.solution.networks.iter().any(|network| {
            network
                .value(Symbol::BatchSize)
                .is_some_and(|m| m.at(0, 0) > 1.0)
        }),
    };
    let mut expr = expr.clone();
    for choice in choices {
        let ways: Vec<Expr> = place
            .rewrites(&expr)
            .into_iter()
            .filter(|way| prepared.forbidden_piece(way).is_none())
            .collect();
        if ways.is_empty() {
            break;
        }
        expr = choice.get(&ways).clone();
    }
    expr
}

fn grader() -> &'static Grader {
    static GRADER: std::sync::OnceLock<Grader> = std::sync::OnceLock::new();
    GRADER.get_or_init(homework)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_verdict_is_the_same_however_the_formula_is_rewritten(
        question in any::<Choice>(),
        mistake in any::<Choice>(),
        choices in prop::collection::vec(any::<Choice>(), 0..6),
        plain in any::<bool>(),
    ) {
        let notation = if plain { Notation::Plain } else { Notation::Latex };
        let prepared = question.get(grader().prepared());
        let id = &prepared.question.id;
        let right = render(&rewritten(prepared, &prepared.solution.formula, &choices), notation);
        let report = grade(grader(), id, &right);
        prop_assert_eq!(report.verdict, Verdict::Correct, "{} {}: {}", id, right, report.message);

        if prepared.question.mistakes.is_empty() {
            return Ok(());
        }
        let entry = mistake.get(&prepared.question.mistakes);
        let chains = parse(&entry.answer, &prepared.scope).expect("a mistake of the file can be read");
        let side = chains.last().and_then(|sides| sides.last()).expect("it has a side");
        if let Ok(expr) = &side.expr {
            for reading in readings(expr) {
                let wrong = render(&rewritten(prepared, &reading, &choices), notation);
                let report = grade(grader(), id, &wrong);
                prop_assert_ne!(report.verdict, Verdict::Correct, "{} {}", id, wrong);
            }
        }
    }

    #[test]
    fn any_answer_gets_a_verdict(
        question in any::<Choice>(),
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40),
        noise in any::<String>(),
    ) {
        let id = &question.get(grader().prepared()).question.id;
        for answer in [pieces.concat(), noise] {
            let report = grade(grader(), id, &answer);
            prop_assert!(report.points <= report.max_points);
        }
    }
}

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "\\delta ", "W^3 ", "W^2", "h^1 ", "h^{2\\top}", "z^2", "_{1,j}", "_{i,1}", "_{\\cdot,1}", "{", "}", "(", ")", "[", "]",
    "\\begin{bmatrix}", "\\end{bmatrix}", "&", "\\\\", "\\vdots ", "+", "-", "/", "\\odot ", "@", ">0", "\\ge 0", "=",
    "^\\top ", "^2", "\\frac{1}{m}", "\\partial_{h^2} l", "\\sum_{q=1}^{n_2}", "\\sum_{k=1}^m", "\\sum_{k=1}^{999999}",
    "\\mathbb{1}", "\\sigma'", "\\operatorname{diag}", "\\exp ", "m", "n_2", "f(x,\\theta)", "y", "7", "0.5", ",",
];
