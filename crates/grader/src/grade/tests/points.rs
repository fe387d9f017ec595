//! The points of each rule of the rubric.

use std::collections::BTreeMap;

use super::super::{Assignment, BUILT_IN, Grader, Reveal};

/// For each rule: the question, an answer that it applies to, and the share of the points.
const RULES: [(&str, &str, &str, f64); 20] = [
    ("right", "1.1", r"\delta h^2_{1,1}", 1.0),
    ("transposed", "1.3", r"\delta h^{2\top}", 0.75),
    ("sign", "1.1", r"-\delta h^2_{1,1}", 0.75),
    ("constant_factor", "1.1", r"2 \delta h^2_{1,1}", 0.75),
    (
        "constant_factor",
        "1.11",
        r"\frac{1}{3} \delta (W^3 \odot (z^2 \ge 0))^\top h^1",
        0.75,
    ),
    ("constant_factor", "2.1", r"h^3 - y", 0.75),
    (
        "constant_factor",
        "2.3",
        r"\frac{1}{m} \delta^\top h^2",
        0.75,
    ),
    ("one_mask", "1.11", r"\delta W^{3\top} h^1", 0.5),
    ("one_mask", "1.7", r"(z^2_{1,1} < 0) h^1_{1,j}", 0.5),
    ("one_mask", "1.5", r"\delta W^3 \odot (z^2 \ge 0)", 0.5),
    ("one_mask", "1.3", r"\delta (z^3 \ge 0) h^2", 0.5),
    ("one_index", "1.1", r"\delta h^2_{1,2}", 0.5),
    ("one_batch_size", "2.1", r"\frac{1}{2} (h^3 - y)", 0.5),
    (
        "entries: three of six",
        "1.9",
        r"(z^2_{1,1} \ge 0) \begin{bmatrix} 1 & 1 & 1 \\ 0 & 0 & 0 \end{bmatrix}",
        0.25,
    ),
    (
        "stated_shape",
        "1.11",
        r"\delta (W^3 \odot (z^2 \ge 0))^\top h^1 \in \mathbb{R}^{3 \times 2}",
        0.75,
    ),
    (
        "stated_derivative",
        "1.11",
        r"\frac{\partial l}{\partial W^1} = \delta (W^3 \odot (z^2 \ge 0))^\top h^1",
        0.75,
    ),
    ("none: two mistakes", "1.11", r"-\delta W^{3\top} h^1", 0.0),
    (
        "none: another mistake",
        "1.11",
        r"\delta (z^2 \ge 0)^\top h^1",
        0.0,
    ),
    ("none: no name", "2.1", r"\frac{1}{m} (h^3 - y)^2", 0.0),
    ("none: it cannot be read", "1.1", r"\delta \foo", 0.0),
];

fn graders() -> impl Iterator<Item = Grader> {
    let (name, text) = BUILT_IN[0];
    ["one", "two", "three"].into_iter().map(move |secret| {
        let assignment = Assignment::parse(text, name).expect("the file is valid");
        Grader::new(assignment, secret.as_bytes()).expect("it can be graded")
    })
}

#[test]
fn each_rule_gives_its_share_of_the_points_under_any_secret() {
    for grader in graders() {
        for (rule, question, answer, share) in RULES {
            let answers = BTreeMap::from([(question.to_owned(), answer.to_owned())]);
            let report = grader.grade(&answers, Reveal::Mistake);
            let mut questions = report.questions.iter();
            let own = questions.find(|own| own.id == question);
            let own = own.expect("the question exists");
            let wanted = share * own.max_points;
            assert!(
                (own.points - wanted).abs() < 1e-9,
                "{rule}: {question} {answer}: {} instead of {wanted}: {}",
                own.points,
                own.message
            );
            let says = own.message.contains(" of 2 points ") || own.message.contains("m = 2 only");
            let is_share = share > 0.0 && share < 1.0;
            assert_eq!(says, is_share, "{rule}: {}", own.message);
        }
    }
}

#[test]
fn an_error_that_is_carried_forward_costs_half_once() {
    for grader in graders() {
        let answers = BTreeMap::from([
            (
                "1.15".to_owned(),
                r"2 \delta (W^3 \odot (z^2 \ge 0)) W^2".to_owned(),
            ),
            (
                "1.17".to_owned(),
                r"((2 \delta (W^3 \odot (z^2 \ge 0)) W^2) \odot (z^1 \ge 0))^\top h^0".to_owned(),
            ),
        ]);
        let report = grader.grade(&answers, Reveal::Mistake);
        let points = |id: &str| {
            let mut questions = report.questions.iter();
            questions.find(|own| own.id == id).map(|own| own.points)
        };
        assert_eq!((points("1.15"), points("1.17")), (Some(1.5), Some(1.0)));
    }
}
