use super::super::{Notation, Scope, render};
use super::{read, read_plain};

fn scope() -> Scope {
    Scope {
        depth: 3,
        units: vec![4, 3, 2, 1],
        ..Scope::default()
    }
}

/// How a text is read as code, or why it cannot be; nothing if it is not code.
fn shown(text: &str) -> Option<String> {
    Some(match read(text, &scope())?.map(|side| side.expr) {
        Ok(Ok(expr)) => render(&expr, Notation::Plain),
        Ok(Err(error)) | Err(error) => error.message,
    })
}

#[test]
fn indices_of_code_count_from_0_and_those_of_mathematics_from_1() {
    assert_eq!(
        shown("delta[0, 0] * h2[0, 1]").as_deref(),
        Some("delta[1,1] * h2[1,2]")
    );
    assert_eq!(shown("delta * h2[1, 1]"), None);
    assert_eq!(
        shown("delta[1, 1] .* h2[1, 2]").as_deref(),
        Some("delta[1,1] * h2[1,2]")
    );
}

#[test]
fn what_numpy_would_not_compute_is_an_error() {
    for (text, piece) in [
        ("h2[0, 0, 0]", "rank 2"),
        ("h2[0].T @ np.foo(z2)", "foo is not known"),
        ("delta[0, 0] @ h2", "number"),
        ("np.sum(h2, axis=2)", "no axis 2"),
        (
            "dW2 = 0\nfor k in range(m):\n    dW2 = h2[k, 0] * dW2",
            "pass",
        ),
    ] {
        let message = shown(text).unwrap_or_default();
        assert!(message.contains(piece), "{text}: {message}");
    }
}

#[test]
fn plain_text_has_a_second_reading_only() {
    assert!(read("delta * W3", &scope()).is_none());
    assert!(read_plain("delta * W3", &scope()).is_some());
    assert!(read_plain(r"\delta W^3", &scope()).is_none());
}

/// No input panics: every prefix of programs, and every piece left out.
#[test]
fn pieces_of_programs_are_read_or_refused() {
    let programs = [
        "def f(a, b=1):\n    for k in range(m):\n        d[k, 0] += np.outer(a[k], h2[k])[0, 1]\n    return d.T @ x if m > 1 else ~(z2 > 0)",
        "dz2 = (delta * W3) .* (z2 > 0);\nfor k = 1:m\n  s(k, :) = [1, 2; 3 4]' ./ 2;\nend",
        "np.einsum('ki,kj->ij', {1: 'é'}[:, None], lambda z: z[..., -1:2]) ** 2e-3 # ∂",
        "sum(d * h for d, h in zip(delta[:, 0], h2)) if z2[0, 0] >= 0 else Piecewise((1, x > 0), (0, True))",
    ];
    for program in programs {
        for (at, _) in program.char_indices() {
            let _ = (
                read(&program[..at], &scope()),
                read_plain(&program[at..], &scope()),
            );
            let mut rest = program[..at].to_owned();
            rest.extend(program[at..].chars().skip(1));
            let _ = read(&rest, &scope());
        }
    }
}
