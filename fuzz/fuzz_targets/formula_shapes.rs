//! Long, flat, wide and nested answers, one for each six bytes, on the smallest stack that a formula meets: a report and
//! the findings of `lint-key`, never a crash.
#![no_main]

#[path = "../../crates/grader/tests/formulas/shapes.rs"]
mod shapes;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::thread;

use backpropd::formula::STACK_BYTES;
use backpropd::grade::{Assignment, Grader, Reveal, lint_key};
use libfuzzer_sys::fuzz_target;

static GRADER: LazyLock<(Grader, Vec<String>)> = LazyLock::new(|| {
    let text = include_str!("../../assignments/hw-backprop.toml");
    let assignment = Assignment::parse(text, "hw-backprop.toml").expect("it is sound");
    let questions = assignment.questions.iter().map(|q| q.id.clone()).collect();
    let grader = Grader::new(assignment, b"fuzz").expect("it is sound");
    (grader, questions)
});

fuzz_target!(|bytes: &[u8]| {
    let (grader, questions) = &*GRADER;
    let mut text = String::new();
    let mut forms = bytes.chunks_exact(6);
    for form in &mut forms {
        let [kind, first, second, place, length, between] = *form else { return };
        if !text.is_empty() {
            text.push_str(shapes::OPERATORS[usize::from(between) % shapes::OPERATORS.len()]);
        }
        let bytes = 32 * usize::from(length);
        let place = usize::from(place);
        text += &shapes::answer(kind.into(), first.into(), second.into(), place, bytes);
    }
    let question = usize::from(forms.remainder().first().copied().unwrap_or(0));
    let answers = BTreeMap::from([(questions[question % questions.len()].clone(), text)]);
    thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(STACK_BYTES);
        let judge = small.spawn_scoped(scope, || {
            grader.grade(&answers, Reveal::Hints);
            lint_key(grader, &answers);
        });
        judge.expect("a thread starts").join().expect("no panic");
    });
});
