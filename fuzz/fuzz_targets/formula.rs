//! Any text as the answer to any question of the homework: a report, never a panic.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use backpropd::grade::{Assignment, Grader, Reveal};
use libfuzzer_sys::fuzz_target;

static GRADER: LazyLock<(Grader, Vec<String>)> = LazyLock::new(|| {
    let text = include_str!("../../assignments/hw-backprop.toml");
    let assignment = Assignment::parse(text, "hw-backprop.toml").expect("it is sound");
    let questions = assignment.questions.iter().map(|q| q.id.clone()).collect();
    let grader = Grader::new(assignment, b"fuzz").expect("it is sound");
    (grader, questions)
});

fuzz_target!(|bytes: &[u8]| {
    let [question, text @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (grader, questions) = &*GRADER;
    let question = &questions[usize::from(*question) % questions.len()];
    let answers = BTreeMap::from([(question.clone(), text.to_owned())]);
    grader.grade(&answers, Reveal::Hints);
});
