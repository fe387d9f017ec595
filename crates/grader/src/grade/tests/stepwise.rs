//! Grading that stops between its steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::homework;
use crate::grade::{Grader, Grading, Reveal};

fn expected_mistakes(grader: &Grader) -> BTreeMap<String, String> {
    let questions = grader.assignment().questions.iter();
    let wrong = questions.map(|question| {
        let answer = question.mistakes.first().map(|mistake| &mistake.answer);
        (
            question.id.clone(),
            answer
                .or(question.wrt.as_ref())
                .cloned()
                .unwrap_or_default(),
        )
    });
    wrong.collect()
}

#[test]
fn a_submission_graded_in_steps_has_the_same_report() {
    let grader = Arc::new(homework());
    let answers = Arc::new(expected_mistakes(&grader));
    let mut grading = Grading::new(Arc::clone(&grader), Arc::clone(&answers), Reveal::Hints);
    let mut steps = 1;
    while grading.advance() {
        steps += 1;
    }
    assert!(
        steps > 10 * answers.len(),
        "{steps} steps for {} answers",
        answers.len()
    );
    assert_eq!(grading.report(), grader.grade(&answers, Reveal::Hints));
}

#[test]
fn two_gradings_that_take_turns_do_not_wait_for_each_other() {
    let grader = Arc::new(homework());
    let answers = Arc::new(expected_mistakes(&grader));
    let start = || Grading::new(Arc::clone(&grader), Arc::clone(&answers), Reveal::Hints);
    let (mut one, mut other) = (start(), start());
    while one.advance() | other.advance() {}
    assert_eq!(one.report(), other.report());
}

#[test]
fn a_grading_that_is_asked_for_its_report_takes_the_steps_that_are_left() {
    let grader = Arc::new(homework());
    let answers = Arc::new(expected_mistakes(&grader));
    let mut grading = Grading::new(Arc::clone(&grader), Arc::clone(&answers), Reveal::Hints);
    assert!(grading.advance());
    assert_eq!(grading.report(), grader.grade(&answers, Reveal::Hints));
}
