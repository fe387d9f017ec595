use super::mending_edit;
use crate::formula::{Bindings, Expr, Kind, Memory, Operator, evaluate, evaluate_again};
use crate::grade::Mistake;
use crate::grade::edit::Edits;
use crate::grade::question::Prepared;
use crate::grade::steps::complete;
use crate::grade::tests::homework;
use crate::grade::values::evaluate_on;

/// 2 A ⊙ A of a solution A: wrong in a way that no edit mends, and with every piece of A twice.
fn doubled(solution: &Expr) -> Expr {
    let node = |kind| Expr::new(kind, solution.span);
    let own = || Box::new(solution.clone());
    let square = node(Kind::Binary(Operator::Hadamard, own(), own()));
    let two = Box::new(node(Kind::Number(2.0)));
    node(Kind::Binary(Operator::Times, two, Box::new(square)))
}

/// Every one-edit change in a copy of its own, with the mistake that it mends.
fn copies(expr: &Expr, bindings: &dyn Bindings) -> Vec<(Mistake, Expr)> {
    let mut edits = Edits::new(expr.clone(), bindings);
    let mut found = Vec::new();
    while let Some(edit) = edits.advance() {
        found.push((edit.mended, edit.expr.clone()));
    }
    found
}

/// Checks for each candidate that evaluation with a memory gives the same result as without one.
fn assert_memory_tells_the_value(prepared: &Prepared, answer: &Expr) {
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
        .step_by(5)
    {
        let mut memory = Memory::default();
        let mut numbered = answer.clone();
        numbered.number_pieces();
        let mut edits = Edits::new(numbered, first);
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
        assert_memory_tells_the_value(prepared, &prepared.solution.formula);
        assert_memory_tells_the_value(prepared, &doubled(&prepared.solution.formula));
    }
}

#[test]
fn the_formula_is_what_it_was_after_all_changes() {
    for prepared in homework().prepared() {
        let mut numbered = prepared.solution.formula.clone();
        numbered.number_pieces();
        let mut edits = Edits::new(numbered, &prepared.solution.networks[0]);
        let mut differ = 0;
        while let Some(edit) = edits.advance() {
            differ += usize::from(*edit.expr != prepared.solution.formula);
        }
        assert!(differ > 5, "{:?}", prepared.solution.formula);
        assert_eq!(edits.into_formula(), prepared.solution.formula);
    }
}

#[test]
fn the_edit_that_mends_is_the_first_that_is_right_on_every_network() {
    for prepared in homework().prepared() {
        let first = &prepared.solution.networks[0];
        for (_, slip) in copies(&prepared.solution.formula, first).iter().step_by(16) {
            let exhaustive = copies(slip, first).into_iter().find(|(_, candidate)| {
                evaluate_on(
                    candidate,
                    &prepared.solution.networks,
                    &prepared.solution.letters,
                )
                .agrees_with(&prepared.solution.values)
            });
            let exhaustive = exhaustive.map(|(mended, _)| mended);
            let found = complete(mending_edit(prepared, slip, 1, usize::MAX));
            assert_eq!(found, exhaustive, "{slip:?}");
        }
    }
}
