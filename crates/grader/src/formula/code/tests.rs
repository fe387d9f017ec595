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
    Some(
        match read(text, &scope())?.map(|reading| reading.side.expr) {
            Ok(Ok(expr)) => render(&expr, Notation::Plain),
            Ok(Err(error)) | Err(error) => error.message,
        },
    )
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
fn matlab_and_julia_are_known_without_an_elementwise_operator() {
    for (text, plain) in [
        ("delta * h2(1,2)", "delta * h2[1,2]"),
        ("W2(i,:)", "W2[i,:]"),
        ("dz2 = delta * W3;\ndz2(z2 <= 0) = 0;\ndz2", "z2 <= 0"),
        ("s = 0;\nfor q = 1:2\n  s = s + h2(1,q);\nend\ns", "sum"),
        ("size(x, 1)", "m"),
        ("ifelse(z2[1,1] > 0, 1, 0)", "z2[1,1] > 0"),
    ] {
        let shown = shown(text).unwrap_or_default();
        assert!(shown.contains(plain), "{text}: {shown}");
    }
}

#[test]
fn mathematics_with_parentheses_is_no_program() {
    for text in [
        "f(x, theta) - y",
        "sigma(z2)",
        "sigma'(z2) * W3",
        "sum_q delta(i, q) W3[1,q]",
        "h2 (W3 * 2)",
        "relu'(x) = (x > 0)",
        "1/m (f - y)",
    ] {
        assert!(read(text, &scope()).is_none(), "{text}");
    }
}

#[test]
fn sizes_are_those_of_the_layout() {
    let columns = Scope {
        columns: true,
        ..scope()
    };
    let size = |text: &str, scope: &Scope| {
        let reading = read(text, scope).expect("a program").expect("a value");
        render(&reading.side.expr.expect("a value"), Notation::Plain)
    };
    for (text, by_rows, by_columns) in [
        ("x.shape[0]", "m", "4"),
        ("x.shape[1]", "4", "m"),
        ("len(y)", "m", "1"),
        ("size(x, 2)", "4", "m"),
        ("h1.size(0)", "m", "3"),
    ] {
        assert_eq!(size(text, &scope()), by_rows, "{text}");
        assert_eq!(size(text, &columns), by_columns, "{text}");
    }
}

#[test]
fn a_large_array_is_refused_before_its_entries_are_written_out() {
    let text = "G = np.zeros((1000, 1000))\nG[0, 0] = 1\nG";
    let message = shown(text).unwrap_or_default();
    assert!(message.contains("too much work"), "{message}");
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
        "In [3]: rows = []\n   ...: for k in range(m):\n   ...:     rows.append({'a': f'{h2[k]}'}['a'])\nOut[3]: 1\n>>> not x",
        "f(z) = z > 0 ? 1 : 0\nG[1, :] .= relu'.(z2(1,1)) # é\nx -> sum(G, 2)",
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
