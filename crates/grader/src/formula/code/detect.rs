//! What makes a text code.

use super::names::is_module;
use super::syntax::Dialect;

/// What a text shows itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// A program.
    Code(Dialect),
    /// Plain text that Python could read as well.
    Plain,
    /// Mathematics.
    None,
}

/// The text inside a Markdown fence, and where it begins.
pub(super) fn without_fence(text: &str) -> (&str, usize) {
    let Some(open) = text.find("```") else {
        return (text, 0);
    };
    let inside = &text[open + 3..];
    let Some(line) = inside.find('\n') else {
        return (text, 0);
    };
    let start = open + 3 + line + 1;
    let rest = &text[start..];
    let Some(end) = rest.find("```") else {
        return (text, 0);
    };
    // Anything else around the fence is not code.
    let alone = text[..open].trim().is_empty() && rest[end + 3..].trim().is_empty();
    if alone {
        (&rest[..end], start)
    } else {
        (text, 0)
    }
}

/// A word or a character of a text, with what stands directly before it.
struct Scan<'t> {
    text: &'t str,
    words: Vec<(usize, &'t str)>,
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        let mut words = Vec::new();
        let mut start = None;
        for (at, letter) in text.char_indices() {
            let inside = letter.is_alphanumeric() || letter == '_';
            match (start, inside) {
                (None, true) => start = Some(at),
                (Some(from), false) => {
                    words.push((from, &text[from..at]));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            words.push((from, &text[from..]));
        }
        Self { text, words }
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    /// What follows a word, without white space.
    fn after(&self, at: usize, word: &str) -> &'t str {
        self.text[at + word.len()..].trim_start_matches([' ', '\t'])
    }
}

/// Decides what a text is.
pub(super) fn signs(text: &str) -> Signs {
    let text = text.trim();
    let is_power = |(at, _): (usize, &str)| !text[..at].ends_with('.');
    if text.match_indices('^').any(is_power) {
        return Signs::None;
    }
    if text.contains('\\') && !text.contains("\\\n") || text.contains('$') {
        return Signs::None;
    }
    let scan = Scan::new(text);
    if let Some(dialect) = with_dots(text, &scan) {
        return Signs::Code(dialect);
    }
    if is_sympy(&scan) {
        return Signs::Code(Dialect::Sympy);
    }
    if is_python(text, &scan) {
        return Signs::Code(Dialect::Python);
    }
    let plain = text.is_ascii()
        && !text.contains(['^', '{', '}', ';', '\'', '|', '!', '\n'])
        && !has_numbers_in_brackets(text)
        && text.contains(['*', '@', '.', '/', '+', '-']);
    if plain { Signs::Plain } else { Signs::None }
}

/// MATLAB or Julia: an elementwise operator with a dot.
fn with_dots(text: &str, scan: &Scan) -> Option<Dialect> {
    let bytes = text.as_bytes();
    let mut operator = false;
    let mut julia = false;
    for (at, pair) in bytes.windows(2).enumerate() {
        let digit = at > 0 && bytes[at - 1].is_ascii_digit();
        let before =
            at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || b")]' ".contains(&bytes[at - 1]));
        match pair {
            b".*" | b"./" | b".^" | b".'"
                if !digit || !bytes[at + 2..].first().is_some_and(u8::is_ascii_digit) =>
            {
                operator |= before;
            }
            b".>" | b".<" | b".=" | b".-" | b".+" if before && !digit => julia = true,
            b".(" if before => julia = true,
            _ => {}
        }
    }
    let word = |words: &[&str]| scan.words.iter().any(|(_, word)| words.contains(word));
    julia |= operator && (word(&["dims", "ifelse", "julia"]) || text.contains("->"));
    // An index in brackets is Julia's; MATLAB's are in parentheses.
    let brackets = scan
        .words
        .iter()
        .any(|(at, word)| text[at + word.len()..].starts_with('['));
    if julia || (operator && brackets) {
        return Some(Dialect::Julia);
    }
    let matlab = operator
        || word(&["bsxfun", "repmat", "endfunction"])
        || (text.starts_with("function ") && text.contains("end"));
    matlab.then_some(Dialect::Matlab)
}

fn is_sympy(scan: &Scan) -> bool {
    scan.words.iter().any(|(at, word)| {
        let called = scan.after(*at, word).starts_with('(');
        match *word {
            "Piecewise"
            | "Heaviside"
            | "Matrix"
            | "hadamard_product"
            | "HadamardProduct"
            | "multiply_elementwise"
            | "Max"
            | "MatrixSymbol" => called,
            "sp" | "sympy" | "sym" => scan.text[at + word.len()..].starts_with('.'),
            _ => false,
        }
    })
}

fn is_python(text: &str, scan: &Scan) -> bool {
    scan.words
        .iter()
        .any(|(at, word)| word_is_python(text, scan, *at, word))
        || counts_from_zero(text)
        || several_assignments(text)
        || text.contains("~(")
        || text.contains("+=")
}

fn word_is_python(text: &str, scan: &Scan, at: usize, word: &str) -> bool {
    let after = scan.after(at, word);
    let dot_after = text[at + word.len()..].starts_with('.');
    let is_start = text[..at]
        .rsplit('\n')
        .next()
        .is_none_or(|line| line.trim().is_empty());
    if scan.before(at) == Some('.') {
        // A function of numpy: what it is applied to decides, as for `np` itself.
        let owner = text[..at - 1]
            .rsplit(|letter: char| !letter.is_alphanumeric())
            .next();
        if matches!(owner, Some("np" | "numpy")) {
            return false;
        }
        // A method that plain text does not have.
        return after.starts_with('(')
            && !matches!(word, "dot" | "sum" | "transpose" | "T")
            && word.starts_with(|letter: char| letter.is_ascii_lowercase())
            || matches!(word, "shape" | "mT" | "grad" | "newaxis" | "size");
    }
    match word {
        "def" | "import" | "return" => is_start && !after.is_empty() && !after.starts_with('='),
        "from" => is_start && after.contains(" import "),
        "while" | "class" | "try" | "with" | "if" | "for" if is_start => {
            let line = text[at..].lines().next().unwrap_or_default();
            line.trim_end().ends_with(':')
        }
        "lambda" => after.contains(':'),
        "in" => {
            after.starts_with("range(")
                || after.starts_with("enumerate(")
                || after.starts_with("zip(")
        }
        "print" => after.starts_with('('),
        "axis" | "keepdims" | "dim" | "keepdim" => {
            after.starts_with('=') && !after.starts_with("==")
        }
        "np" | "numpy" if dot_after => {
            let function = after[1..]
                .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
                .next()
                .unwrap_or_default();
            !PLAIN_FUNCTIONS.contains(&function) || uses_more_than_plain(text)
        }
        _ if dot_after && is_module(word) && word.len() > 1 => true,
        "F" | "T" if dot_after => false,
        "relu_prime" | "drelu" | "d_relu" | "relu_grad" | "relu_derivative" | "relu_deriv"
        | "dReLU" | "reluPrime" | "drelu_dz" | "sigma_prime" | "dsigma" | "relu_backward" => {
            after.starts_with('(')
        }
        "float" | "int" | "len" | "einsum" | "zeros_like" | "np_where" | "unsqueeze" => {
            after.starts_with('(')
        }
        _ => false,
    }
}

/// The functions of numpy that plain text has too, with indices from 1.
#[rustfmt::skip]
const PLAIN_FUNCTIONS: &[&str] = &[
    "dot", "matmul", "multiply", "outer", "where", "transpose", "sum", "heaviside", "maximum", "minimum", "exp", "log", "tanh",
    "sqrt", "abs", "sign", "diag",
];

/// Whether a text with `np.` uses what only the reader of programs knows: indices from 1, as in mathematics, are read
/// as mathematics.
fn uses_more_than_plain(text: &str) -> bool {
    !has_numbers_in_brackets(text) || counts_from_zero(text)
}

/// The insides of brackets that touch a name or another bracket.
fn index_groups(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().filter_map(move |(at, letter)| {
        if letter != '[' {
            return None;
        }
        let before = text[..at].chars().next_back()?;
        if !(before.is_alphanumeric() || matches!(before, '_' | ')' | ']')) {
            return None;
        }
        // `Max[x, 0]` is a call in Mathematica.
        let word = text[..at]
            .rsplit(|letter: char| !letter.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let mut letters = word.chars();
        if letters.next().is_some_and(char::is_uppercase)
            && letters.next().is_some_and(char::is_lowercase)
        {
            return None;
        }
        let mut depth = 0;
        for (end, letter) in text[at..].char_indices() {
            match letter {
                '[' | '(' => depth += 1,
                ']' | ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(&text[at + 1..at + end]);
            }
        }
        None
    })
}

/// Whether an index is a number.
fn has_numbers_in_brackets(text: &str) -> bool {
    index_groups(text).any(|group| {
        group.split(',').any(|part| {
            part.trim().chars().all(|letter| letter.is_ascii_digit()) && !part.trim().is_empty()
        })
    })
}

/// Whether an index only exists where indices count from 0, or in code: 0, a negative one, a slice with limits, None.
pub(in super::super) fn counts_from_zero(text: &str) -> bool {
    index_groups(text).any(|group| {
        group.split(',').any(|part| {
            let part = part.trim().trim_matches(['[', ']']);
            part == "0"
                || part == "None"
                || part.ends_with("newaxis")
                || part == "..."
                || part.starts_with('-')
                    && part[1..].starts_with(|digit: char| digit.is_ascii_digit())
                || (part.len() > 1 && part.contains(':') && !part.contains('('))
                || part.starts_with(['"', '\''])
        })
    })
}

/// Whether the text is lines of which at least two give a name a value.
fn several_assignments(text: &str) -> bool {
    let is_assignment = |line: &str| {
        let Some(left) = left_of_assignment(line) else {
            return false;
        };
        let name = left.split('[').next().unwrap_or(left).trim();
        name.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let lines = || {
        text.split(['\n', ';'])
            .map(|line| line.split('#').next().unwrap_or(line))
            .filter(|line| !line.trim().is_empty())
    };
    let count = lines().filter(|line| is_assignment(line)).count();
    count >= 1 && lines().count() >= 2 && lines().take(lines().count() - 1).all(is_assignment)
}

/// What stands left of the `=` or `*=` of a statement.
fn left_of_assignment(line: &str) -> Option<&str> {
    let bytes = line.as_bytes();
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'=' if depth == 0 => {
                let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
                let after = bytes.get(at + 1);
                if b"<>!=".contains(&before) || after == Some(&b'=') {
                    return None;
                }
                let right = line[at + 1..].trim();
                let left = line[..at].trim_end_matches(['+', '-', '*', '/']);
                return (!right.is_empty()).then_some(left);
            }
            _ => {}
        }
    }
    None
}
