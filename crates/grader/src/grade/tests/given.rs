//! Questions at an instructor's own numbers.

use super::grade;
use crate::grade::check::{Checked, check};
use crate::grade::{Assignment, Grader, Mistake, Verdict};

const NETWORK: &str = r#"id = "numbers"
title = "Numbers"
[network]
input_size = 2
loss = "half_squared_error"
layers = [{ units = 2, activation = "relu" }, { units = 1, activation = "linear" }]
"#;

/// z¹ = (−1, 4), so that a unit is dead; f = −8 and δ = −9.
const SMALL: &str = r#"[given.small]
W1 = [[1, -1], [2, 1]]
W2 = [[3, -2]]
x = [1, 2]
y = 1
"#;

/// z¹ = (3, 4): no unit is dead.
const LIVE: &str = r#"[given.live]
W1 = [[1, 1], [2, 1]]
W2 = [[3, -2]]
x = [[1, 2]]
y = [[3]]
"#;

fn question(id: &str, wrt: &str, given: &str, solution: &str) -> String {
    format!(
        "[[questions]]\nid = \"{id}\"\npart = \"p\"\nprompt = \"q\"\npoints = 4\nof = 'l'\nwrt = '{wrt}'\ngiven = \"{given}\"\n\
         tolerance = 0.01\nsolution = '{solution}'\n"
    )
}

const MATRIX: &str = r"(\delta W^2 \odot (z^1 \ge 0))^\top x";

fn text() -> String {
    let listed = "mistakes = [{ code = \"WRONG_WEIGHT\", answer = '[[7, 14], [18, 36]]', hint = \"Read W2 again.\" }]\n";
    [
        NETWORK.to_owned(),
        SMALL.to_owned(),
        LIVE.to_owned(),
        question("a", "W^1", "small", MATRIX),
        listed.to_owned(),
        question("b", "W^2", "small", "[[0, -36]]"),
        question("c", "W^1", "live", MATRIX),
    ]
    .concat()
}

fn grader() -> Grader {
    let assignment = Assignment::parse(&text(), "numbers.toml").expect("the file is right");
    Grader::new(assignment, b"secret").expect("it can be graded")
}

#[test]
fn numbers_in_any_form_and_formulas_are_right_at_given_numbers() {
    let grader = grader();
    let mut faults = Vec::new();
    for (id, answer) in [
        ("a", "[[0, 0], [18, 36]]"),
        ("a", r"\begin{pmatrix} 0 & 0 \\ 18 & 36 \end{pmatrix}"),
        (
            "a",
            r"$$\frac{\partial l}{\partial W^1} = \begin{bmatrix} 0 & 0 \\ 18 & \frac{72}{2} \end{bmatrix}$$",
        ),
        ("a", "0 0\n18 36"),
        ("a", "0, 0\n18.1, 36.2"),
        ("a", "[0 0; 18 36]"),
        ("a", r"18 \begin{pmatrix} 0 & 0 \\ 1 & 2 \end{pmatrix}"),
        ("a", MATRIX),
        ("a", r"(\delta W^2 \odot (h^0 W^{1\top} > 0))^\top h^0"),
        (
            "a",
            r"The gradient is $\begin{pmatrix} 0 & 0 \\ 18 & 36 \end{pmatrix}$.",
        ),
        ("b", "[0, -36]"),
        ("b", "0 -36"),
        ("b", r"\delta h^1"),
        ("b", r"-9 \begin{pmatrix} 0 & 4 \end{pmatrix}"),
    ] {
        let report = grade(&grader, id, answer);
        if report.verdict != Verdict::Correct || report.points < 4.0 {
            faults.push(format!(
                "{id} {answer}: {} {}",
                report.verdict, report.message
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_mistake_is_named_where_it_alone_fits_the_numbers() {
    let grader = grader();
    let mut faults = Vec::new();
    for (id, answer, mistake, points) in [
        ("a", "[[-27, -54], [18, 36]]", Mistake::MissingMask, 2.0),
        ("a", r"(\delta W^2)^\top x", Mistake::MissingMask, 2.0),
        ("a", "[[0, 0], [-18, -36]]", Mistake::SignFlipped, 3.0),
        ("a", "[[0, 18], [0, 36]]", Mistake::TransposedResult, 3.0),
        ("a", "[[7, 14], [18, 36]]", Mistake::WrongWeight, 1.0),
        ("a", "[[0, 0], [5, 10]]", Mistake::ConstantFactor, 3.0),
        ("a", "[[1, 2], [31, 4]]", Mistake::Other, 0.0),
        ("a", "[[0, 0], [18, 30]]", Mistake::Other, 1.5),
        ("a", "[[0, 18, 36]]", Mistake::ShapeMismatch, 0.0),
    ] {
        let report = grade(&grader, id, answer);
        let is_right = report.verdict != Verdict::Correct
            && report.mistake == Some(mistake)
            && (report.points - points).abs() < 1e-9;
        if !is_right {
            faults.push(format!(
                "{id} {answer}: {} {:?} {}: {}",
                report.verdict, report.mistake, report.points, report.message
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let report = grade(&grader, "a", "[[7, 14], [18, 36]]");
    assert!(
        report.message.contains("Read W2 again."),
        "{}",
        report.message
    );
}

#[test]
fn the_example_of_the_documentation_is_graded_as_it_says() {
    let page = include_str!("../../../../../docs/assignments.md");
    let part = page.split("<!-- given -->").nth(1).expect("the example");
    let part = part.split("<!-- /given -->").next().expect("its end");
    let file = part.split("```toml").nth(1).expect("the file");
    let (file, table) = file.split_once("```").expect("its end");
    let assignment = Assignment::parse(file, "numbers.toml").expect("the file is right");
    let grader = Grader::new(assignment, b"secret").expect("it can be graded");
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut count = 0;
    for (answer, verdict) in rows {
        count += 1;
        let report = grade(&grader, "1", answer);
        let mistake = report
            .mistake
            .map_or(String::new(), |mistake| format!(" {mistake}"));
        let said = format!("{}{mistake} |", report.verdict);
        assert_eq!(said, verdict, "{answer}: {}", report.message);
    }
    assert_eq!(count, 8);
}

#[test]
fn a_decimal_comma_and_rows_of_unequal_length_are_refused() {
    let grader = grader();
    for (answer, piece) in [
        (
            r"\begin{pmatrix} 0 & 0 \\ 18,0 & 36,0 \end{pmatrix}",
            "18,0",
        ),
        ("0,0 0,0\n18,0 36,0", "0.5"),
        ("[[0, 0], [18]]", "2, 1 entries"),
        ("[[0, 0], [eighteen, 36]]", ""),
    ] {
        let report = grade(&grader, "a", answer);
        assert_eq!(
            report.verdict,
            Verdict::Invalid,
            "{answer}: {}",
            report.message
        );
        let says = report.message.contains(piece) || report.message.contains("0.5");
        assert!(says, "{answer}: {}", report.message);
    }
}

#[test]
fn what_given_numbers_cannot_show_is_said_to_instructor_and_student() {
    let Checked::Sound(grader, proven) = check(&text(), b"secret") else {
        panic!("the file is sound");
    };
    let blind = |id: &str| {
        let mut all = proven.iter();
        let own = all.find(|one| one.question == id).expect("it exists");
        own.blind
            .iter()
            .map(|(mistake, _)| *mistake)
            .collect::<Vec<_>>()
    };
    assert!(
        blind("c").contains(&Mistake::MissingMask),
        "{:?}",
        blind("c")
    );
    assert!(
        !blind("a").contains(&Mistake::MissingMask),
        "{:?}",
        blind("a")
    );
    let report = grade(&grader, "c", r"(\delta W^2)^\top x");
    assert_eq!(report.verdict, Verdict::Correct);
    assert!(
        report
            .advice
            .iter()
            .any(|advice| advice.contains("does not show here")),
        "{:?}",
        report.advice
    );
    let report = grade(&grader, "c", MATRIX);
    let says = (report.advice.iter()).any(|advice| advice.contains("does not show here"));
    assert!(!says, "{:?}", report.advice);
}

#[test]
fn every_fault_of_given_numbers_is_told_at_once() {
    let fault = |from: &str, to: &str| {
        let text = text();
        assert!(text.contains(from), "{from}");
        let parsed = Assignment::parse(&text.replacen(from, to, 1), "numbers.toml");
        match parsed {
            Err(error) => error.to_string(),
            Ok(assignment) => Grader::new(assignment, b"secret")
                .err()
                .map_or_else(String::new, |error| error.to_string()),
        }
    };
    let many = fault(
        "W1 = [[1, -1], [2, 1]]\nW2 = [[3, -2]]\nx = [1, 2]\ny = 1",
        "W1 = [[1, -1, 0], [2, 1, 0]]\nx = [inf, 2]\ny = [1, 2]\nW3 = [1]",
    );
    for piece in [
        "[given.small]: W1: found 2 × 3, and 2 × 2 is expected",
        "W2 is missing: a 1 × 2 matrix",
        "x: inf is not a finite number",
        "W3 is no array of this network",
    ] {
        assert!(many.contains(piece), "{piece}: {many}");
    }
    for (from, to, piece) in [
        (
            "given = \"small\"",
            "given = \"tiny\"",
            "there is live, small",
        ),
        (
            "x = [1, 2]\ny = 1",
            "x = [[1, 2], [3, 4]]\ny = 1",
            "x has 2 samples, and y has 1",
        ),
        (
            "W1 = [[1, -1], [2, 1]]",
            "W1 = [[1, -1], [2]]",
            "rows have 2 and 1 entries",
        ),
        (
            "given = \"small\"\n",
            "given = \"small\"\nfree = [\"j\"]\n",
            "free indices",
        ),
        ("'[[0, -36]]'", "'[[0, -30]]'", "not the derivative"),
        ("'[[0, -36]]'", "'-9 h^1'", "at the given numbers alone"),
    ] {
        let said = fault(from, to);
        assert!(said.contains(piece), "{to}: {said}");
    }
}

#[test]
fn given_numbers_are_read_in_the_layout_of_the_course() {
    let columns = NETWORK.replace(
        "[network]",
        "layout = \"columns\"\nweights = \"inputs_by_outputs\"\n[network]",
    );
    let given =
        "[given]\nW1 = [[1, 2], [-1, 1]]\nW2 = [[3], [-2]]\nx = [[1, 0], [2, 1]]\ny = [[1, 0]]\n";
    let ask = question("a", "W^2", "given", r"h^1 \delta^\top");
    let text = format!("{columns}{given}{ask}");
    let assignment = Assignment::parse(&text, "numbers.toml").expect("the file is right");
    let arrays = assignment.given[0].arrays(&assignment.network);
    let of = |name: &str| {
        arrays
            .iter()
            .find(|(own, _)| own == name)
            .expect("it exists")
            .1
            .clone()
    };
    assert_eq!(of("W1").values, [1.0, -1.0, 2.0, 1.0]);
    assert_eq!(
        (of("x").shape, of("x").values),
        (vec![2, 2], vec![1.0, 2.0, 0.0, 1.0])
    );
    // z¹ = (−1, 4) and (−1, 1); f = −8 and −2; δ = (−9, −2)/2.
    let grader = Grader::new(assignment, b"secret").expect("it can be graded");
    let report = grade(&grader, "a", "[[0], [-19]]");
    assert_eq!(report.verdict, Verdict::Correct, "{}", report.message);
    let report = grade(&grader, "a", "[[0], [-38]]");
    assert_eq!(
        report.mistake,
        Some(Mistake::MissingBatchMean),
        "{}",
        report.message
    );
}
