//! The assignments beside the homework: each is answered right in several notations, and every mistake it lists is
//! named.
//!
//! `right/<assignment>.toml` holds the answers: for each question at least three.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backpropd_grader::grade::{AnswerKind, Assignment, Grader, QuestionReport, Reveal, Verdict};

const NAMES: [&str; 4] = [
    "four-equations",
    "logistic-regression",
    "softmax-regression",
    "two-layer-sigmoid",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn grader(name: &str, secret: &str) -> Grader {
    let file = format!("{name}.toml");
    let text = fs::read_to_string(root().join("assignments").join(&file)).expect("a file");
    let assignment = Assignment::parse(&text, &file).expect("a valid assignment");
    Grader::new(assignment, secret.as_bytes()).expect("it can be graded")
}

fn report(grader: &Grader, id: &str, answer: &str) -> QuestionReport {
    let answers = BTreeMap::from([(id.to_owned(), answer.to_owned())]);
    let report = grader.grade(&answers, Reveal::Mistake);
    let mut questions = report.questions.into_iter();
    questions
        .find(|question| question.id == id)
        .expect("it is a question")
}

fn right_answers(name: &str) -> BTreeMap<String, Vec<String>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/courses/right/{name}.toml"));
    toml::from_str(&fs::read_to_string(path).expect("a file")).expect("answers by question")
}

#[test]
fn every_question_takes_three_notations() {
    for name in NAMES {
        let answers = right_answers(name);
        let graders = [grader(name, "one"), grader(name, "another")];
        for question in &graders[0].assignment().questions {
            let given = answers.get(&question.id).map_or(&[][..], Vec::as_slice);
            assert!(
                given.len() >= 3,
                "{name} {}: {} answers",
                question.id,
                given.len()
            );
            for answer in given {
                for grader in &graders {
                    let report = report(grader, &question.id, answer);
                    let (verdict, message) = (report.verdict, report.message);
                    let id = &question.id;
                    assert_eq!(
                        verdict,
                        Verdict::Correct,
                        "{name} {id}: {answer}: {message}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_listed_mistake_is_named() {
    for name in NAMES {
        let grader = grader(name, "secret");
        for question in &grader.assignment().questions {
            for mistake in &question.mistakes {
                let report = report(&grader, &question.id, &mistake.answer);
                let (id, answer) = (&question.id, &mistake.answer);
                assert_ne!(report.verdict, Verdict::Correct, "{name} {id}: {answer}");
                assert_eq!(report.mistake, Some(mistake.code), "{name} {id}: {answer}");
            }
        }
    }
}

/// The answers of one question are wrong for every other that is not about the same values.
#[test]
fn a_right_answer_to_one_question_is_rarely_right_for_another() {
    for name in NAMES {
        let grader = grader(name, "secret");
        let answers = right_answers(name);
        let formulas = grader.assignment().questions.iter();
        let formulas: Vec<_> = formulas
            // The value at given numbers has the same formula as the derivative itself.
            .filter(|question| question.kind == AnswerKind::Formula && question.given.is_none())
            .collect();
        for question in &formulas {
            for other in formulas.iter().filter(|other| other.id != question.id) {
                let answer = &answers[&other.id][0];
                let verdict = report(&grader, &question.id, answer).verdict;
                assert_ne!(
                    verdict,
                    Verdict::Correct,
                    "{name} {}: {answer}",
                    question.id
                );
            }
        }
    }
}

#[test]
fn an_answer_is_shown_in_the_letters_of_its_course() {
    for (name, id, answer, latex, plain) in [
        (
            "two-layer-sigmoid",
            "4",
            r"dZ^{[2]} A^{[1]\top}",
            r"\frac{\partial J}{\partial Z^{[2]}} A^{[1]\top}",
            "∂J/∂Z2 @ A1.T",
        ),
        (
            "two-layer-sigmoid",
            "3",
            r"\frac{1}{m}(a^{[2]} - Y)",
            r"\frac{1}{m} \left(a^{[2]} - Y\right)",
            "(1 / m) * (a2 - Y)",
        ),
        (
            "two-layer-sigmoid",
            "8",
            r"dZ^{[1]} X^\top",
            r"\frac{\partial J}{\partial Z^{[1]}} X^\top",
            "∂J/∂Z1 @ X.T",
        ),
        (
            "four-equations",
            "6",
            r"\delta a^{2\top}",
            r"\delta a^{2\top}",
            "delta @ a2.T",
        ),
        (
            "four-equations",
            "2",
            r"(w^{3\top} \delta) \odot \sigma'(z^2)",
            r"\left(w^{3\top} \delta\right) \odot \sigma'(z^{2})",
            "(w3.T @ delta) * sigma'(z2)",
        ),
    ] {
        let report = report(&grader(name, "secret"), id, answer);
        let understood = report.understood.expect("it is read");
        assert_eq!(understood.plain, plain, "{name} {id}");
        assert_eq!(understood.latex, latex, "{name} {id}");
    }
}

/// Sizes and axes of the other layout, and logits for probabilities.
#[test]
fn programs_with_the_sizes_of_another_layout_are_wrong() {
    let programs = [
        ("logistic-regression", "3", "X.T @ (y_hat - y) / X.shape[1]"),
        (
            "logistic-regression",
            "3",
            "X.T @ (X @ theta - y) / X.shape[0]",
        ),
        (
            "logistic-regression",
            "4",
            "X.T @ np.diag(y_hat.ravel()) @ X / len(X)",
        ),
        ("softmax-regression", "4", "(p - y) @ X.T / X.shape[0]"),
        ("softmax-regression", "4", "(p - y) @ X.T / len(X)"),
        ("softmax-regression", "4", "(s - y) @ X.T / X.shape[1]"),
        (
            "softmax-regression",
            "6",
            "np.sum(delta, axis=0, keepdims=True)",
        ),
        ("two-layer-sigmoid", "3", "(A2 - Y) / Y.shape[0]"),
        ("two-layer-sigmoid", "3", "(Z2 - Y) / Y.shape[1]"),
        ("two-layer-sigmoid", "3", "(A2 - Y) / len(X)"),
        (
            "two-layer-sigmoid",
            "5",
            "np.sum(dZ2, axis=0, keepdims=True)",
        ),
        ("two-layer-sigmoid", "8", "np.dot(dZ1, X.T) / X.shape[1]"),
        ("four-equations", "6", "np.dot(a2, delta.T)"),
        ("four-equations", "1", "(a3 - y) * sigmoid_prime(a3)"),
    ];
    for (name, id, program) in programs {
        let report = report(&grader(name, "secret"), id, program);
        assert_ne!(report.verdict, Verdict::Correct, "{name} {id}: {program}");
    }
}
