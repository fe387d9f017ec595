use std::ops::ControlFlow;

use super::mending_edit;
use crate::formula::{Expr, Kind, Memory, Operator, evaluate, evaluate_again};
use crate::grade::edit::{edits, try_edits};
use crate::grade::question::Prepared;
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

/// Holds for each candidate what a memory tells of it against what it comes to without one.
fn assert_memory_tells_the_value(prepared: &Prepared, answer: &Expr) {
    let first = &prepared.networks[0];
    for (network, letters) in prepared
        .networks
        .iter()
        .flat_map(|network| prepared.letters.iter().map(move |bound| (network, bound)))
        .step_by(5)
    {
        let mut memory = Memory::default();
        let mut numbered = answer.clone();
        numbered.number_pieces();
        try_edits(numbered, first, &mut |_, _, candidate| {
            let remembered = evaluate_again(candidate, network, letters, &mut memory);
            let anew = evaluate(candidate, network, letters).ok();
            let is_nan = anew
                .iter()
                .flat_map(|value| value.matrix.entries())
                .any(|entry| entry.is_nan());
            assert!(is_nan || remembered == anew, "{candidate:?}");
            ControlFlow::Continue(())
        });
    }
}

#[test]
fn a_candidate_has_the_same_value_with_a_memory_and_without() {
    for prepared in homework().prepared() {
        assert_memory_tells_the_value(prepared, &prepared.solution);
        assert_memory_tells_the_value(prepared, &doubled(&prepared.solution));
    }
}

#[test]
fn the_formula_is_changed_in_place_as_it_is_in_copies() {
    for prepared in homework().prepared() {
        let first = &prepared.networks[0];
        let mut copies = edits(&prepared.solution, first).into_iter();
        let mut numbered = prepared.solution.clone();
        numbered.number_pieces();
        try_edits(numbered, first, &mut |_, mended, candidate| {
            let copy = copies.next().expect("as many");
            assert_eq!((mended, candidate), (copy.mended, &copy.expr));
            ControlFlow::Continue(())
        });
        assert!(copies.next().is_none());
    }
}

#[test]
fn the_edit_that_mends_is_the_first_that_is_right_on_every_network() {
    for prepared in homework().prepared() {
        let first = &prepared.networks[0];
        for slip in edits(&prepared.solution, first).iter().step_by(16) {
            let exhaustive = edits(&slip.expr, first).into_iter().find(|edit| {
                evaluate_on(&edit.expr, &prepared.networks, &prepared.letters)
                    .agrees_with(&prepared.reference)
            });
            let exhaustive = exhaustive.map(|edit| edit.mended);
            let found = mending_edit(prepared, &slip.expr, usize::MAX);
            assert_eq!(found, exhaustive, "{:?}", slip.expr);
        }
    }
}
