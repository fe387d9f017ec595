//! Reads the numbers of a matrix as students write them: nested lists, LaTeX matrices, MATLAB's rows, or lines.

use crate::formula::Matrix;

/// The most numbers of an answer.
const MAX_NUMBERS: usize = 4096;

/// What a text of numbers holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    /// A matrix; flat if it is one list that shows no rows, so that it may be a row or a column.
    Matrix { matrix: Matrix, is_flat: bool },
    /// Numbers that cannot be told apart.
    Refused(String),
}

/// The numbers of a text, where the shape of the right answer is `expected`; `None` if it holds anything else, such as a
/// formula.
pub(super) fn read(text: &str, expected: (usize, usize)) -> Option<Numbers> {
    let text = bare(text);
    let (rows, is_flat) = rows(&text)?;
    if rows.iter().flatten().any(|entry| has_decimal_comma(entry)) {
        return Some(decimal_comma());
    }
    let columns = rows.first()?.len();
    let entries: Vec<f64> = (rows.iter().flatten())
        .map(|entry| number(entry))
        .collect::<Option<_>>()?;
    if entries.is_empty() || entries.len() > MAX_NUMBERS {
        return None;
    }
    if rows.iter().any(|row| row.len() != columns) {
        let lengths: Vec<String> = rows.iter().map(|row| row.len().to_string()).collect();
        return Some(Numbers::Refused(format!(
            "The rows have {} entries: each row of a matrix has as many as the others.",
            lengths.join(", ")
        )));
    }
    let shape = (rows.len(), columns);
    let is_expected = shape == expected || is_flat && (shape.1, shape.0) == expected;
    if !is_expected && columns.is_multiple_of(2) && could_be_decimals(&text) {
        let halved = (rows.len(), columns / 2);
        if halved == expected || (halved.1, halved.0) == expected {
            return Some(decimal_comma());
        }
    }
    Some(Numbers::Matrix {
        matrix: Matrix::new(rows.len(), columns, entries),
        is_flat,
    })
}

fn decimal_comma() -> Numbers {
    let message = "A comma separates entries here: write decimals with a point, such as 0.5, and separate entries with commas.";
    Numbers::Refused(message.to_owned())
}

/// Whether every comma stands between two digits.
fn could_be_decimals(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let mut commas = text.match_indices(',').map(|(at, _)| at).peekable();
    commas.peek().is_some() && commas.all(|at| digit(at.checked_sub(1)) && digit(Some(at + 1)))
}

fn has_decimal_comma(entry: &str) -> bool {
    let entry = entry.trim().trim_start_matches(['-', '+']);
    entry.split_once(',').is_some_and(|(whole, part)| {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_digits(whole) && is_digits(part)
    })
}

/// The text behind the last relation, without what only sets it.
fn bare(text: &str) -> String {
    let mut text = text
        .replace(['\u{2212}', '\u{2013}'], "-")
        .replace('\u{feff}', "");
    for (from, to) in [
        ("{,}", ","),
        (r"\left", ""),
        (r"\right", ""),
        (r"\displaystyle", ""),
        (r"\,", " "),
        (r"\;", " "),
        (r"\!", ""),
        (r"\quad", " "),
        (r"\approx", "="),
        (r"\doteq", "="),
        ("≈", "="),
        (r"\begin{aligned}", ""),
        (r"\end{aligned}", ""),
        (r"\begin{equation*}", ""),
        (r"\end{equation*}", ""),
        (r"\[", ""),
        (r"\]", ""),
        (r"\(", ""),
        (r"\)", ""),
        ("$", ""),
        ("```python", ""),
        ("```", ""),
        ("`", ""),
        ("~", " "),
    ] {
        text = text.replace(from, to);
    }
    let text = text.rsplit('=').next().unwrap_or_default().trim();
    let text = text.trim_end_matches(|c: char| c == '.' || c == ';' || c.is_whitespace());
    // A number may end with a point.
    let mut text = text;
    for name in [
        "np.array",
        "numpy.array",
        "torch.tensor",
        "array",
        "tensor",
        "np.matrix",
        "Matrix",
    ] {
        if let Some(inside) = text.strip_prefix(name) {
            text = inside.trim();
        }
    }
    let inside = text
        .strip_prefix('(')
        .and_then(|inside| inside.strip_suffix(')'));
    match inside {
        Some(inside) if inside.trim_start().starts_with('[') => inside.trim().to_owned(),
        _ => text.to_owned(),
    }
}

/// The entries of each row, and whether the text shows no rows.
fn rows(text: &str) -> Option<(Vec<Vec<String>>, bool)> {
    let text = enclosed(text).unwrap_or(text).trim();
    if let Some(inside) = text.strip_prefix(r"\begin{") {
        return of_latex(inside);
    }
    if text.contains(['[', '(']) {
        // Rows in brackets of their own.
        let mut rows = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let close = if rest.starts_with('[') {
                ']'
            } else if rest.starts_with('(') {
                ')'
            } else {
                return None;
            };
            let end = rest.find(close)?;
            rows.push(entries(&rest[1..end])?);
            rest = rest[end + 1..]
                .trim_start_matches(|c: char| c == ',' || c == ';' || c.is_whitespace());
        }
        return Some((rows, false));
    }
    let lines = text.split([';', '\n']).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let is_flat = lines.len() == 1;
    let rows = lines.into_iter().map(entries).collect::<Option<Vec<_>>>()?;
    (!rows.is_empty()).then_some((rows, is_flat))
}

/// What is between the brackets around a whole text.
fn enclosed(text: &str) -> Option<&str> {
    let inside = match text.chars().next()? {
        '[' => text.strip_prefix('[')?.strip_suffix(']')?,
        '(' => text.strip_prefix('(')?.strip_suffix(')')?,
        _ => return None,
    };
    // `[1, 2], [3, 4]` is two rows.
    let mut depth = 0_i32;
    let is_whole = inside.chars().all(|c| {
        depth += i32::from("[(".contains(c)) - i32::from("])".contains(c));
        depth >= 0
    });
    is_whole.then_some(inside)
}

/// `pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}`, perhaps transposed.
fn of_latex(text: &str) -> Option<(Vec<Vec<String>>, bool)> {
    let (name, body) = text.split_once('}')?;
    let is_matrix = matches!(
        name,
        "pmatrix"
            | "bmatrix"
            | "Bmatrix"
            | "matrix"
            | "smallmatrix"
            | "psmallmatrix"
            | "bsmallmatrix"
            | "array"
    );
    let (body, after) = body.split_once(&format!(r"\end{{{name}}}"))?;
    if !is_matrix {
        return None;
    }
    let body = if name == "array" {
        body.trim_start().strip_prefix('{')?.split_once('}')?.1
    } else {
        body
    };
    let rows = body
        .split(r"\\")
        .map(str::trim)
        .filter(|row| !row.is_empty());
    let rows: Vec<Vec<String>> = rows
        .map(|row| {
            row.split('&')
                .map(|entry| entry.trim().to_owned())
                .collect()
        })
        .collect();
    let after: String = after
        .chars()
        .filter(|c| !c.is_whitespace() && !"{}".contains(*c))
        .collect();
    match after.as_str() {
        "" => Some((rows, false)),
        "^T" | "^\\top" | "'" => {
            let columns = rows.first()?.len();
            let turned =
                (0..columns).map(|at| rows.iter().map(|row| row.get(at).cloned()).collect());
            Some((turned.collect::<Option<Vec<Vec<String>>>>()?, false))
        }
        _ => None,
    }
}

/// The entries of one row, between commas or blanks.
fn entries(row: &str) -> Option<Vec<String>> {
    let row = row.trim().trim_end_matches(',');
    // Where blanks separate the entries, a comma inside one is a decimal comma, which is refused later.
    let has_blanks = row.split_whitespace().count() > 1;
    let is_decimal = has_blanks && row.split_whitespace().any(has_decimal_comma);
    let split: Vec<&str> = if row.contains(',') && !is_decimal {
        row.split(',').collect()
    } else if row.contains('\\') || row.contains(" / ") {
        vec![row]
    } else {
        row.split_whitespace().collect()
    };
    let entries: Vec<String> = split
        .into_iter()
        .map(|entry| entry.trim().to_owned())
        .collect();
    (!entries.is_empty() && entries.iter().all(|entry| !entry.is_empty())).then_some(entries)
}

/// A decimal number, a fraction, or a power of ten.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('-') {
        return number(rest).map(|number| -number);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    for command in [r"\frac", r"\tfrac", r"\dfrac"] {
        if let Some(rest) = text.strip_prefix(command) {
            let (above, rest) = argument(rest)?;
            let (below, rest) = argument(rest)?;
            return (rest.trim().is_empty()).then(|| quotient(above, below))?;
        }
    }
    if let Some((above, below)) = text.split_once('/') {
        return quotient(above, below);
    }
    for times in [
        r"\cdot 10^",
        r"\cdot10^",
        r"\times 10^",
        r"\times10^",
        "·10^",
        "× 10^",
        "×10^",
        "*10^",
        "*10**",
    ] {
        if let Some((factor, power)) = text.split_once(times) {
            let power = power.trim().trim_start_matches('{').trim_end_matches('}');
            return decimal(&format!("{}e{}", factor.trim(), power.trim()));
        }
    }
    decimal(
        text.strip_prefix('{')
            .and_then(|inside| inside.strip_suffix('}'))
            .unwrap_or(text),
    )
}

fn quotient(above: &str, below: &str) -> Option<f64> {
    let (above, below) = (number(above)?, number(below)?);
    (below != 0.0).then_some(above / below)
}

fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_decimal = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let has_digit = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_decimal && has_digit)?;
    number.is_finite().then_some(number)
}

/// The first argument of a LaTeX command, in braces or one digit, and what follows.
fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        return inside.split_once('}');
    }
    let first = text.chars().next().filter(char::is_ascii_digit)?;
    Some(text.split_at(first.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRIX: [f64; 4] = [0.0, 1.5, -2.0, 0.25];

    #[test]
    fn a_matrix_is_read_as_students_write_it() {
        for text in [
            "[[0, 1.5], [-2, 0.25]]",
            "np.array([[0, 1.5], [-2, 1/4]])",
            "[[ 0.    1.5 ]\n [-2.    0.25]]",
            "[0, 1.5; -2, 0.25]",
            "[0 1.5; -2 0.25]",
            "0 1.5\n-2 0.25",
            "0, 1.5\n-2, 2.5e-1\n",
            r"\begin{pmatrix} 0 & 1.5 \\ -2 & \frac{1}{4} \end{pmatrix}",
            r"$\frac{\partial l}{\partial W^1} = \begin{bmatrix} 0 & \tfrac32 \\ −2 & 0.25 \end{bmatrix}$.",
            r"\begin{pmatrix} 0 & -2 \\ 1.5 & 0.25 \end{pmatrix}^\top",
            r"dW = \left[\begin{array}{cc} 0 & 1.5 \\ -2 & 25 \cdot 10^{-2} \end{array}\right]",
            "((0, 1.5), (-2, .25))",
            "torch.tensor([[0., 1.5], [-2., 0.25]])",
        ] {
            let matrix = Matrix::new(2, 2, MATRIX.to_vec());
            let wanted = Numbers::Matrix {
                matrix,
                is_flat: false,
            };
            assert_eq!(read(text, (2, 2)), Some(wanted), "{text}");
        }
        for (text, entries) in [
            ("0.5", vec![0.5]),
            ("x = -1/2", vec![-0.5]),
            ("[1, 2, 3]", vec![1.0, 2.0, 3.0]),
        ] {
            let matrix = Matrix::new(1, entries.len(), entries);
            let wanted = Numbers::Matrix {
                matrix,
                is_flat: true,
            };
            assert_eq!(read(text, (3, 1)), Some(wanted), "{text}");
        }
    }

    #[test]
    fn a_comma_in_a_decimal_is_refused_and_a_formula_is_not_read() {
        for (text, shape) in [
            ("-0,25", (1, 1)),
            ("0,5 1,5", (1, 2)),
            ("[0,5; 1,5]", (2, 1)),
            ("0{,}5", (1, 1)),
            (r"\begin{pmatrix} 0,5 & 1,5 \end{pmatrix}", (1, 2)),
            ("0,5\n1,5", (2, 1)),
        ] {
            let read = read(text, shape);
            assert!(
                matches!(&read, Some(Numbers::Refused(message)) if message.contains("0.5")),
                "{text}: {read:?}"
            );
        }
        let read_rows = read("[[1, 2], [3]]", (2, 2));
        assert!(
            matches!(&read_rows, Some(Numbers::Refused(message)) if message.contains("2, 1")),
            "{read_rows:?}"
        );
        for text in [
            "",
            r"\delta h^1",
            "W^1",
            "inf",
            "nan",
            "[[a, b]]",
            "1/0",
            r"2 \delta",
            "the answer",
        ] {
            assert_eq!(read(text, (1, 1)), None, "{text}");
        }
        // Two entries, as they are asked for.
        assert!(matches!(
            read("[0,5]", (1, 2)),
            Some(Numbers::Matrix { .. })
        ));
    }
}
