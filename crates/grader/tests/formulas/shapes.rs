//! Formulas that are long, flat, wide or nested, from a few numbers. The fuzz target `formula_shapes` includes this file
//! too, so it stands alone.

/// The unit of a row.
pub const UNITS: [&str; 16] = [
    "m",
    "x",
    "1",
    "W^1",
    "h^1",
    r"\delta",
    "-m",
    "(m)",
    "n_2",
    r"z^2_{1,1}",
    r"W^{3\top}",
    "[m, m]",
    r"\frac{1}{m}",
    r"\sigma(z^1)",
    r"(z^2 \ge 0)",
    "q",
];

/// The separator between the units of a row.
pub const OPERATORS: [&str; 16] = [
    " ", r" \odot ", " / ", " @ ", " + ", " - ", " * ", r" \cdot ", " = ", ", ", " & ", r" \\ ",
    "; ", " > ", "^", "_",
];

/// The suffix of a unit.
pub const SUFFIXES: [&str; 12] = [
    "'",
    r"^\top",
    "^2",
    "_1",
    "[1]",
    ".T",
    ".dot(m)",
    ".sum()",
    "_{1,1}",
    "^{m}",
    "^{-1}",
    ".transpose()",
];

/// The prefix of a unit.
pub const PREFIXES: [&str; 18] = [
    "-",
    "+",
    r"\sum_{q=1}^{m} ",
    r"\sum_q ",
    r"\sigma ",
    r"\exp ",
    r"\partial_{W^1} ",
    r"\sqrt",
    r"\frac12",
    r"\tanh^2 ",
    "∂",
    r"\hat",
    r"\mathbf{1}_",
    "e^",
    r"\frac{\partial}{\partial h^1} ",
    "m^",
    "2",
    r"\text{if} ",
];

/// The brackets around a unit.
pub const BRACKETS: [(&str, &str); 26] = [
    ("(", ")"),
    ("{", "}"),
    ("[", "]"),
    (r"\left(", r"\right)"),
    (r"\{", r"\}"),
    (r"\frac{", "}{m}"),
    (r"\frac{m}{", "}"),
    ("m^{", "}"),
    ("W^{", "}"),
    ("h_{", "}"),
    (r"\sqrt{", "}"),
    (r"\exp(", ")"),
    (r"\begin{bmatrix}", r"\end{bmatrix}"),
    (r"\begin{bmatrix} m & ", r"\end{bmatrix}"),
    (r"\begin{cases} 1 & ", r"\end{cases}"),
    (r"\underbrace{", "}"),
    (r"\text{", "}"),
    ("⟨m, ", "⟩"),
    (r"\mathbb{1}[", "> 0]"),
    ("where(m > 0, m, ", ")"),
    ("(m + ", ")"),
    ("(m ", ")'"),
    (r"(m \odot m ", ")"),
    (r"\sum_{q=1}^{", "} q"),
    (r"\operatorname{diag}(", ")"),
    (r"[m; \dots; ", "]"),
];

/// The position of the form in an answer.
pub const PLACES: [&str; 12] = [
    "{}",
    "{} = m",
    "m = {} = m",
    r"\begin{bmatrix} {} & m \\ m & {} \end{bmatrix}",
    r"\sum_{q=1}^{m} ({})",
    r"\mathbb{1}[{} > 0]",
    r"\delta ({} \ge 0)",
    r"\frac{{}}{m}",
    r"\frac{m}{{}}",
    r"\sigma({})",
    r"({})^\top",
    r"\[ {} \] \[ {} \]",
];

/// The number of forms.
pub const FORMS: usize = 13;

/// Repeated as often as it fits, with `between` between.
fn row(unit: &str, between: &str, bytes: usize) -> String {
    let mut text = unit.to_owned();
    while text.len() + between.len() + unit.len() <= bytes {
        text.push_str(between);
        text.push_str(unit);
    }
    text
}

fn times(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

/// A form of about `bytes` bytes, selected by `first` and `second`.
pub fn form(form: usize, first: usize, second: usize, bytes: usize) -> String {
    let unit = UNITS[first % UNITS.len()];
    let operator = OPERATORS[second % OPERATORS.len()];
    let (open, close) = BRACKETS[second % BRACKETS.len()];
    let levels = bytes.saturating_sub(unit.len()) / (open.len() + close.len());
    match form % FORMS {
        0 => row(unit, operator, bytes),
        1 => {
            let mut text = unit.to_owned();
            for at in 0.. {
                let between = OPERATORS[(second + at * (1 + first)) % 8];
                if text.len() + between.len() + unit.len() > bytes {
                    break;
                }
                text.push_str(between);
                text.push_str(unit);
            }
            text
        }
        2 => format!("{unit}{}", times(SUFFIXES[second % SUFFIXES.len()], bytes)),
        3 => format!("{}{unit}", times(PREFIXES[second % PREFIXES.len()], bytes)),
        4 => format!("{}{unit}{}", open.repeat(levels), close.repeat(levels)),
        5 => times(open, bytes),
        6 => format!(
            r"\begin{{bmatrix}} {} \end{{bmatrix}}",
            row(unit, " & ", bytes)
        ),
        7 => format!(
            r"\begin{{bmatrix}} {} \end{{bmatrix}}",
            row(unit, r" \\ ", bytes)
        ),
        8 => {
            let case = format!(r"{unit} & m > 0");
            format!(
                r"\begin{{cases}} {} \end{{cases}}",
                row(&case, r" \\ ", bytes)
            )
        }
        9 => {
            let mut text = String::new();
            for at in 1.. {
                let term = format!("{unit} h^1_{{1,{at}}} + ");
                if text.len() + term.len() > bytes {
                    break;
                }
                text.push_str(&term);
            }
            format!(r"{text}\dots + {unit} h^1_{{1,m}}")
        }
        // A tree that leans to the right and nests as deeply as allowed.
        10 => {
            let step = format!("({unit}{operator}");
            let levels = (bytes / (step.len() + 1)).min(1 + second);
            format!("{}{unit}{}", step.repeat(levels), ")".repeat(levels))
        }
        // A row of rows.
        11 => row(
            &format!("({})", row(unit, operator, 60)),
            OPERATORS[first % 8],
            bytes,
        ),
        // As deep as allowed, with a script at each level and a row inside.
        _ => {
            let suffix = SUFFIXES[second % SUFFIXES.len()];
            let levels = 1 + second;
            let inside = row(
                unit,
                OPERATORS[first % 8],
                bytes.saturating_sub(levels * (2 + suffix.len())),
            );
            format!(
                "{}{inside}{}",
                "(".repeat(levels),
                format!("){suffix}").repeat(levels)
            )
        }
    }
}

/// A form at a position, of at most about `bytes` bytes.
pub fn answer(kind: usize, first: usize, second: usize, place: usize, bytes: usize) -> String {
    let place = PLACES[place % PLACES.len()];
    let holes = place.matches("{}").count();
    let own = place.len() - 2 * holes;
    place.replace(
        "{}",
        &form(kind, first, second, bytes.saturating_sub(own) / holes),
    )
}
