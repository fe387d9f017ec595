//! Shapes that an answer states beside its formula.

use super::{grade, homework};
use crate::grade::{Mistake, Verdict};

const MATRIX: &str = r"\delta (W^3 \odot (z^2 \ge 0))^\top h^1";

#[test]
fn a_shape_that_is_stated_rightly_changes_nothing() {
    let grader = homework();
    let mut faults = Vec::new();
    for (question, answer) in [
        ("1.11", format!(r"{MATRIX} \in \mathbb{{R}}^{{2 \times 3}}")),
        (
            "1.11",
            format!(r"{MATRIX} \in \mathbb{{R}}^{{n_2 \times n_1}}"),
        ),
        ("1.11", format!(r"${MATRIX}$ (a $2 \times 3$ matrix)")),
        ("1.11", format!(r"${MATRIX}$, a $2 \times 3$ matrix.")),
        ("1.11", format!(r"${MATRIX}$ of shape (2, 3)")),
        ("1.11", format!(r"${MATRIX}$, of shape $n_2 \times n_1$")),
        ("1.11", format!(r"${MATRIX}$. This is a 2 × 3 matrix.")),
        (
            "1.11",
            format!(
                r"\frac{{\partial l}}{{\partial W^2}} \in \mathbb{{R}}^{{2 \times 3}} = {MATRIX}"
            ),
        ),
        ("1.5", r"$\delta W^3$ is a row vector".to_owned()),
        (
            "1.5",
            r"$\delta W^3$, which is a row vector of shape $1 \times 2$.".to_owned(),
        ),
        (
            "1.5",
            r"$\delta W^3$, where $\delta$ is a scalar and $W^3$ is a $1 \times 2$ row vector"
                .to_owned(),
        ),
        (
            "1.5",
            r"Since $\delta$ is a scalar, the gradient is $\delta W^3$, a row vector".to_owned(),
        ),
        (
            "1.5",
            r"the scalar $\delta$ times the row vector $W^3$".to_owned(),
        ),
        ("1.1", r"$\delta h^2_{1,1}$, a scalar".to_owned()),
        (
            "1.10",
            r"$\delta W^3_{1,i} (z^2_{1,i} \ge 0) h^1_{1,j}$ is a scalar".to_owned(),
        ),
        (
            "1.10",
            r"\delta W^3_{1,i} (z^2_{1,i} \ge 0) h^1_{1,j} \in \mathbb{R}".to_owned(),
        ),
        (
            "2.1",
            r"$\frac{1}{m} (h^3 - y)$, a column vector".to_owned(),
        ),
        (
            "2.1",
            r"\frac{1}{m} (h^3 - y) \in \mathbb{R}^{m \times 1}".to_owned(),
        ),
        (
            "2.5",
            r"\delta W^3 \in \mathbb{R}^{m \times n_2}".to_owned(),
        ),
        ("2.5", r"$\delta W^3$, an $m \times 2$ matrix".to_owned()),
    ] {
        let report = grade(&grader, question, &answer);
        let says_shape = report
            .advice
            .iter()
            .any(|advice| advice.contains("calls") || advice.contains("alone"));
        if report.verdict != Verdict::Correct || says_shape {
            faults.push(format!(
                "{question} {answer}: {} {} {:?}",
                report.verdict, report.message, report.advice
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_right_formula_with_a_wrong_shape_is_not_simply_right() {
    let grader = homework();
    let mut faults = Vec::new();
    for (question, answer, stated, own) in [
        (
            "1.11",
            format!(r"{MATRIX} \in \mathbb{{R}}^{{3 \times 2}}"),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"{MATRIX} \in \mathbb{{R}}^{{n_1 \times n_2}}"),
            "n1 × n2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$ (a $3 \times 2$ matrix)"),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$, a $3 \times 2$ matrix"),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$, which is of shape (3, 2)."),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$. This is a 3 × 2 matrix."),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$ has shape $3 \times 2$"),
            "3 × 2",
            "2 × 3",
        ),
        (
            "1.11",
            format!(r"${MATRIX}$ is a row vector"),
            "a row vector",
            "2 × 3",
        ),
        (
            "1.5",
            r"$\delta W^3$ is a column vector".to_owned(),
            "a column vector",
            "1 × 2",
        ),
        (
            "1.5",
            r"$\delta W^3$, a scalar".to_owned(),
            "a scalar",
            "1 × 2",
        ),
        (
            "2.5",
            r"\delta W^3 \in \mathbb{R}^{2 \times m}".to_owned(),
            "2 × m",
            "m × 2",
        ),
        (
            "2.5",
            r"\delta W^3 \in \mathbb{R}^{m \times m}".to_owned(),
            "m × m",
            "m × 2",
        ),
        (
            "2.1",
            r"$\frac{1}{m} (h^3 - y)$, a row vector".to_owned(),
            "a row vector",
            "m × 1",
        ),
    ] {
        let report = grade(&grader, question, &answer);
        let wanted = 0.75 * report.max_points;
        if report.verdict != Verdict::Partial
            || report.mistake != Some(Mistake::ShapeMismatch)
            || (report.points - wanted).abs() > 1e-9
            || !report.message.contains(stated)
            || !report.message.contains(own)
        {
            faults.push(format!(
                "{question} {answer}: {} {} {:?}",
                report.verdict, report.message, report.advice
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_batch_size_typed_in_as_a_number_is_said_and_a_shape_of_another_quantity_too() {
    let grader = homework();
    for (question, answer, advice) in [
        (
            "2.5",
            r"\delta W^3 \in \mathbb{R}^{3 \times 2}",
            "m = 3 alone",
        ),
        (
            "1.5",
            r"$\delta W^3$, where $W^3$ is a $2 \times 1$ matrix",
            "calls W3 2 × 1; it is 1 × 2",
        ),
        (
            "1.11",
            r"Let $G = \delta W^3 \odot (z^2 \ge 0) \in \mathbb{R}^{2 \times 1}$, then $G^\top h^1$",
            "2 × 1; it is 1 × 2",
        ),
    ] {
        let report = grade(&grader, question, answer);
        assert_eq!(
            report.verdict,
            Verdict::Correct,
            "{answer}: {}",
            report.message
        );
        let says = report.advice.iter().any(|said| said.contains(advice));
        assert!(says, "{answer}: {:?}", report.advice);
    }
}
