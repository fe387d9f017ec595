use std::sync::Arc;

use crate::formula::{Bindings, Expr, Kind, Memory, Operator, evaluate, evaluate_again};
use crate::grade::Mistake;
use crate::grade::naming::{Edits, Side, name};
use crate::grade::question::Prepared;
use crate::grade::steps::complete;
use crate::grade::tests::homework;
use crate::grade::values::evaluate_on;

/// 2 A ⊙ A of a solution A: wrong in a way that no edit mends, and with every piece of A twice.
fn doubled(solution: &Expr) -> Expr {
    let node = |kind| Expr::new(kind, solution.span);
    let own = || Arc::new(solution.clone());
    let square = node(Kind::Binary(Operator::Hadamard, own(), own()));
    let two = Arc::new(node(Kind::Number(2.0)));
    node(Kind::Binary(Operator::Times, two, Arc::new(square)))
}

/// Every one-edit change in a copy of its own, with its mistake.
fn copies(
    prepared: &Prepared,
    expr: &Expr,
    side: Side,
    bindings: &dyn Bindings,
) -> Vec<(Mistake, Expr)> {
    let mut edits = Edits::new(expr.clone(), side, &prepared.question.free, bindings);
    let mut found = Vec::new();
    while let Some(edit) = edits.advance() {
        found.push((edit.mistake, edit.expr.clone()));
    }
    found
}

/// Checks for each candidate that evaluation with a memory gives the same result as without one.
fn assert_memory_tells_the_value(prepared: &Prepared, answer: &Expr, side: Side) {
    let first = &prepared.solution.networks[0];
    for (network, letters) in prepared
        .solution
        .networks
        .iter()
        .flat_map(|network| {
            prepared
                .solution
                .letters
                .iter()
                .map(move |bound| (network, bound))
        })
        .step_by(7)
    {
        let mut memory = Memory::default();
        let mut numbered = answer.clone();
        numbered.number_pieces();
        let mut edits = Edits::new(numbered, side, &prepared.question.free, first);
        while let Some(edit) = edits.advance() {
            let candidate = edit.expr;
            let remembered = evaluate_again(candidate, network, letters, &mut memory, &mut 0);
            let anew = evaluate(candidate, network, letters).ok();
            let is_nan = anew
                .iter()
                .flat_map(|value| value.matrix.entries())
                .any(|entry| entry.is_nan());
            assert!(is_nan || remembered == anew, "{candidate:?}");
        }
    }
}

#[test]
fn a_candidate_has_the_same_value_with_a_memory_and_without() {
    for prepared in homework().prepared() {
        assert_memory_tells_the_value(prepared, &prepared.solution.formula, Side::Solution);
        let answer = doubled(&prepared.solution.formula);
        assert_memory_tells_the_value(prepared, &answer, Side::Answer);
    }
}

#[test]
fn the_formula_is_what_it_was_after_all_changes() {
    for prepared in homework().prepared() {
        for side in [Side::Solution, Side::Answer] {
            let mut numbered = prepared.solution.formula.clone();
            numbered.number_pieces();
            let (free, first) = (&prepared.question.free, &prepared.solution.networks[0]);
            let mut edits = Edits::new(numbered, side, free, first);
            let mut differ = 0;
            while let Some(edit) = edits.advance() {
                differ += usize::from(*edit.expr != prepared.solution.formula);
            }
            assert!(differ > 5, "{:?}", prepared.solution.formula);
            assert_eq!(edits.into_formula(), prepared.solution.formula);
        }
    }
}

#[test]
fn a_solution_with_one_change_has_a_name() {
    for prepared in homework().prepared() {
        let first = &prepared.solution.networks[0];
        let slips = copies(prepared, &prepared.solution.formula, Side::Solution, first);
        for (_, slip) in slips.iter().step_by(23) {
            let solution = &prepared.solution;
            let values = evaluate_on(slip, &solution.networks, &solution.letters);
            if values.error.is_some() || values.agrees_with(&solution.values) {
                continue;
            }
            let found = complete(name(prepared, slip, &values));
            assert!(found.is_some(), "{slip:?}");
        }
    }
}

#[test]
fn an_answer_of_0_is_no_mended_formula() {
    for prepared in homework().prepared() {
        let zero = Expr::new(Kind::Number(0.0), crate::formula::Span::default());
        let solution = &prepared.solution;
        let values = evaluate_on(&zero, &solution.networks, &solution.letters);
        if !values.agrees_with(&solution.values) {
            assert_eq!(complete(name(prepared, &zero, &values)), None);
        }
    }
}
