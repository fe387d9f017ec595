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
