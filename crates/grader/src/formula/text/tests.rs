//! Words, definitions, macros and lines of whole answers.

use super::super::{Expr, Notation, Scope, render};
use super::read;

fn scope() -> Scope {
    Scope {
        depth: 3,
        ..Scope::default()
    }
}

/// The last side of the answer, in plain text, or the message.
fn last(text: &str) -> Result<String, String> {
    let answer = read(text, &scope()).map_err(|error| error.message)?;
    let shown = |expr: &Expr| render(expr, Notation::Plain);
    match answer.sides.last() {
        Some(side) => match &side.expr {
            Ok(expr) => Ok(shown(expr)),
            Err(error) => Err(error.message.clone()),
        },
        None => Ok(String::new()),
    }
}

#[test]
fn words_around_a_formula_change_nothing() {
    let plain = last(r"\delta h^2").expect("it is read");
    for text in [
        r"The gradient is $\delta h^2$.",
        r"By the chain rule, we get $\delta h^2$",
        r"\therefore \delta h^2",
        r"The derivative of $l$ with respect to $W^3$ is $\delta h^2$.",
        r"$\delta h^2$ (by the chain rule)",
        r"> **Answer:** $\delta h^2$",
        r"Answer: \boxed{\frac{\partial l}{\partial W^3} = \delta h^2}",
        r"\delta h^2 \in \mathbb{R}^{1 \times 2}",
        r"\delta h^2, a 1 × 2 row vector",
        r"Since $\partial z^3/\partial W^3 = h^2$, the answer is $\delta h^2$",
    ] {
        assert_eq!(last(text).as_ref(), Ok(&plain), "{text}");
    }
}

#[test]
fn words_with_a_meaning_are_operators() {
    for (text, formula) in [
        (r"minus $\delta h^2$", r"-\delta h^2"),
        (r"the transpose of $\delta W^3$", r"(\delta W^3)^\top"),
        (r"$\delta$ times $h^2$", r"\delta \cdot h^2"),
        (r"twice \delta h^2", r"2 \cdot \delta h^2"),
        (r"\delta divided by m", r"\delta / m"),
        (r"$f - y$ times $h^2$", r"(f - y) \cdot h^2"),
        (
            r"the elementwise product of $W^3$ and $h^2$",
            r"W^3 \odot h^2",
        ),
        (r"the mask of $z^2$", r"(z^2 \ge 0)"),
    ] {
        assert_eq!(last(text), last(formula), "{text}");
    }
}

#[test]
fn words_that_are_not_understood_are_named() {
    for (text, word) in [
        (r"it is not $\delta h^2$", "not"),
        (r"$\delta h^2$ or $\delta W^3$", "or"),
        (r"$\delta h^2$ but only where $z^2 > 0$", "but"),
        (r"$\delta h^2$ inverted", "inverted"),
        (r"\delta h^2 \text{ averaged}", "averaged"),
        (r"everything except $\delta h^2$", "except"),
    ] {
        let message = last(text).expect_err(text);
        assert!(message.contains(&format!("“{word}”")), "{text}: {message}");
    }
}

#[test]
fn defined_names_are_put_in_in_any_order() {
    let formula = r"(W^3 \odot (z^2 \ge 0))^\top h^1";
    for text in [
        r"Let $M = W^3 \odot (z^2 \ge 0)$. Then the gradient is $M^\top h^1$.",
        r"$M^\top h^1$, where $M = W^3 \odot D$ and $D = (z^2 \ge 0)$",
        r"D = (z^2 \ge 0) \\ M := W^3 \odot D \\ \frac{\partial l}{\partial W^2} = M^\top h^1",
        "mask = (z2 >= 0)\ng = W3 * mask\ng.T @ h1",
    ] {
        assert_eq!(last(text), last(formula), "{text}");
    }
    for (text, piece) in [
        (r"$A^\top h^1$ where $A = B$, $B = A$", "uses itself"),
        (r"$A^\top h^1$ where $A = \frac{1}$", "Found"),
        (r"$A h^1$ where $A = W^2$, $A = W^3$", "twice"),
    ] {
        let message = last(text).expect_err(text);
        assert!(message.contains(piece), "{text}: {message}");
    }
}

#[test]
fn the_number_of_quantities_that_are_given_a_value_is_limited() {
    let text = |count| r"where $\delta = f - y$; ".repeat(count) + r"$\delta h^2$";
    assert!(last(&text(2)).is_ok());
    let message = last(&text(40)).expect_err("each would be evaluated, and put into the others");
    assert!(message.contains("At most 32"), "{message}");
}

#[test]
fn two_formulas_without_a_relation_are_two_answers() {
    for text in [
        r"$$\delta h^2$$ $$\delta W^3$$",
        r"$\delta h^2$, $\delta W^3$",
    ] {
        let message = last(text).expect_err(text);
        assert!(message.contains("which one counts"), "{text}: {message}");
    }
    for text in ["\\delta h^2\n\\delta W^3", r"\delta h^2 \\ \delta W^3"] {
        let answer = read(text, &scope()).expect("it is read as one line");
        assert!(answer.doubt.is_some(), "{text}");
    }
    for text in [
        "\\delta\n\\cdot h^2",
        r"\frac{\partial l}{\partial W} = \delta \\ = h^2",
    ] {
        let answer = read(text, &scope()).expect("it is read");
        assert!(answer.doubt.is_none(), "{text}");
    }
}

#[test]
fn ranges_of_indices_and_reasons_are_no_answers() {
    for (text, formula) in [
        (r"$0,\; j = 1,2,3$", "0"),
        (
            r"h^1_{1,j}, \quad i = 1, 2, \; j = 1, \dots, n_1",
            "h^1_{1,j}",
        ),
        (r"h^1_{1,j}, 1 \le j \le n_1", "h^1_{1,j}"),
        (r"h^1_{1,j} \quad j \in \{1, 2, 3\}", "h^1_{1,j}"),
        (
            r"For all $i$ and $j$: $\delta h^1_{1,j}$",
            r"\delta h^1_{1,j}",
        ),
        (r"$0$, because it does not depend on $W^2_{2,j}$.", "0"),
        (r"$0$, since $z^2_{1,1}$ does not involve $W^2_{2,j}$", "0"),
        (r"$\delta h^2$ (a $1 \times 2$ matrix)", r"\delta h^2"),
    ] {
        assert_eq!(last(text), last(formula), "{text}");
    }
    let answer = read(r"$\delta h^2$ (a $1 \times 2$ matrix)", &scope()).expect("it is read");
    assert_eq!(answer.shapes.len(), 1);
    for (text, piece) in [
        (r"$h^1_{1,j}$ for $j = 1$", "“for”"),
        (r"$0$, because it does not depend on half of", "“half of”"),
    ] {
        let message = last(text).expect_err(text);
        assert!(message.contains(piece), "{text}: {message}");
    }
}

#[test]
fn a_formula_said_again_has_to_be_the_same() {
    for text in [
        r"$\delta^\top h^2$, the transpose of $\delta$ times $h^2$",
        r"$\delta$ transposed times $h^2$, i.e. $\delta^\top h^2$",
    ] {
        let answer = read(text, &scope()).expect("it is read");
        assert_eq!(answer.restated.len(), 1, "{text}");
    }
}

#[test]
fn a_superscript_in_parentheses_is_a_sample() {
    for (text, formula) in [
        ("x^{(i)}", r"x_{i,\cdot}"),
        ("x^{(i)}_j", "x_{i,j}"),
        ("x_j^{(i)}", "x_{i,j}"),
        (r"\hat y^{(i)} - y^{(i)}", r"f_{i,\cdot} - y_{i,\cdot}"),
        ("h^{2(k)}", r"h^2_{k,\cdot}"),
        ("h^{2(k)}_j", "h^2_{k,j}"),
        ("h^{[2](k)}_j", "h^2_{k,j}"),
        (r"\delta^{(k)} h^{2(k)}", r"\delta_{k,\cdot} h^2_{k,\cdot}"),
        (r"x^{(i)\top}", r"(x_{i,\cdot})^\top"),
    ] {
        assert_eq!(last(text), last(formula), "{text}");
    }
    assert_eq!(last("h^{(2)}"), last("h^2"));
    assert!(last("W^{3(k)}").is_err());
}

#[test]
fn sums_over_repeated_indices_are_sums_where_the_answer_says_so() {
    let sum = last(r"\sum_q (\delta W^3_{1,q} W^2_{q,j})");
    let mut scope = scope();
    scope.free = vec!['j'];
    for text in [
        r"$\delta W^3_{1,q} W^2_{q,j}$ (Einstein summation)",
        r"$\delta W^3_{1q} W^2_{qj}$, summed over $q$",
        r"\delta W^3_{1,q} W^2_{q,j} \text{ (summed over } q)",
        r"$\delta W^3_{1,q} W^2_{q,j}$, where repeated indices are summed",
        r"$\sum_q (\delta W^3_{1,q} W^2_{q,j})$ (sum over $q$)",
    ] {
        let answer = read(text, &scope).map_err(|error| error.message);
        let answer = answer.unwrap_or_else(|error| panic!("{text}: {error}"));
        let side = answer.sides.last().expect("a side");
        let shown = side.expr.as_ref().map(|expr| render(expr, Notation::Plain));
        assert_eq!(shown.ok(), sum.clone().ok(), "{text}");
    }
}

#[test]
fn forms_of_other_programs_are_read() {
    for (text, formula) in [
        (
            "■(h_(1,1)^1&h_(1,2)^1@0&0)",
            r"\begin{matrix} h^1_{1,1} & h^1_{1,2} \\ 0 & 0 \end{matrix}",
        ),
        ("(δ W^3)^T h_(1,1)^1", r"(\delta W^3)^\top h^1_{1,1}"),
        (
            r#"cases(1 "if" z^2_(1,1) >= 0, 0 "otherwise")"#,
            r"\begin{cases} 1 & z^2_{1,1} \ge 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (
            "mat(m, 0; 0, m)",
            r"\begin{matrix} m & 0 \\ 0 & m \end{matrix}",
        ),
        ("W2[[1,All]]", r"W^2_{1,\cdot}"),
        (
            "{{m, 0}, {0, m}}",
            r"\begin{matrix} m & 0 \\ 0 & m \end{matrix}",
        ),
        ("Sum[W2[[q,1]], {q, 1, 2}]", r"\sum_{q=1}^{2} W^2_{q,1}"),
        (
            "Piecewise[{{1, z2[[1,1]] >= 0}}, 0]",
            r"\begin{cases} 1 & z^2_{1,1} \ge 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (r"\operatorname{vec}(W^3)^\top", r"\mathrm{vec}(W^3)^\top"),
    ] {
        assert_eq!(last(text), last(formula), "{text}");
    }
}
