//! What makes a text code.

use super::names::is_module;
use super::syntax::Dialect;

/// What a text shows itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// A program.
    Code(Dialect),
    /// Plain text that a program of this language could be as well.
    Plain(Dialect),
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
    if let Some(dialect) = without_dots(text, &scan) {
        return Signs::Code(dialect);
    }
    if is_python(text, &scan) {
        return Signs::Code(Dialect::Python);
    }
    if has_quote_as_transpose(text) {
        let julia = text.contains('[');
        return Signs::Plain(if julia {
            Dialect::Julia
        } else {
            Dialect::Matlab
        });
    }
    let plain = text.is_ascii()
        && !text.contains(['^', '{', '}', ';', '\'', '|', '!', '\n'])
        && !has_numbers_in_brackets(text)
        && text.contains(['*', '@', '.', '/', '+', '-']);
    if plain {
        Signs::Plain(Dialect::Python)
    } else {
        Signs::None
    }
}

/// Whether a quote behind a value turns it around: not that of σ'(z), nor one that opens a text.
fn has_quote_as_transpose(text: &str) -> bool {
    text.match_indices('\'').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + 1..].chars().next();
        before.is_some_and(|before| before.is_alphanumeric() || matches!(before, ')' | ']'))
            && after.is_none_or(|after| matches!(after, ' ' | '*' | ')' | ';' | '\n'))
    }) && text.contains('*')
}

/// MATLAB or Julia without an elementwise operator.
fn without_dots(text: &str, scan: &Scan) -> Option<Dialect> {
    let is_python = scan.words.iter().any(|(at, word)| match *word {
        "np" | "numpy" | "torch" => text[at + word.len()..].starts_with('.'),
        "def" | "import" | "lambda" | "elif" => true,
        _ => false,
    });
    if is_python {
        return None;
    }
    let called = |words: &[&str]| {
        scan.words.iter().any(|(at, word)| {
            words.contains(word)
                && scan.before(*at) != Some('.')
                && text[at + word.len()..].starts_with('(')
        })
    };
    let ternary = text
        .split_once(" ? ")
        .is_some_and(|(_, rest)| rest.contains(':'));
    let arrow = text.split_once("->").is_some_and(|(name, _)| {
        let name = name.trim().trim_matches(['(', ')']);
        !name.is_empty() && name.chars().all(char::is_alphanumeric)
    });
    let counts_in = scan.words.iter().any(|(at, word)| {
        let range = scan.after(*at, word);
        *word == "in"
            && range.starts_with(|digit: char| digit.is_ascii_digit())
            && range.contains(':')
    });
    let imports = text.lines().any(|line| {
        let package = line.trim().strip_prefix("using ");
        package
            .is_some_and(|name| name.starts_with("LinearAlgebra") || name.starts_with("Statistics"))
    });
    if imports
        || ternary
        || arrow
        || counts_in
        || called(&["Float64", "Float32", "ifelse", "vcat", "hcat"])
    {
        return Some(Dialect::Julia);
    }
    let lines = || text.lines().map(str::trim);
    let is_loop = |line: &str| {
        let head = line
            .strip_prefix("for ")
            .and_then(|rest| rest.split_once('='));
        head.is_some_and(|(name, range)| {
            name.trim().chars().all(char::is_alphanumeric) && range.contains(':')
        })
    };
    let matlab = lines().any(|line| is_loop(line) || is_entry_assignment(line))
        || lines().any(|line| matches!(line.trim_end_matches(';'), "end" | "endif" | "endfor"))
        || text.contains("@(")
        || called(&["zeros", "ones", "eye", "double", "size", "numel", "logical"])
        || sums_along_an_axis(scan)
        || has_index_in_parentheses(scan);
    if !matlab {
        return None;
    }
    let brackets = (scan.words.iter()).any(|(at, word)| text[at + word.len()..].starts_with('['));
    let called_then = text.contains(")[");
    Some(if brackets || called_then {
        Dialect::Julia
    } else {
        Dialect::Matlab
    })
}

/// `sum(dz2, 2)`.
fn sums_along_an_axis(scan: &Scan) -> bool {
    scan.words.iter().any(|(at, word)| {
        let rest = &scan.text[at + word.len()..];
        let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let axis = inside.and_then(|(inside, _)| inside.rsplit_once(','));
        matches!(*word, "sum" | "mean")
            && scan.before(*at) != Some('.')
            && axis.is_some_and(|(_, axis)| matches!(axis.trim(), "1" | "2"))
    })
}

/// `dz2(z2 <= 0) = 0`, `G(1, :) = …`: not `f(x) = …`, which defines a function.
fn is_entry_assignment(line: &str) -> bool {
    let Some(left) = left_of_assignment(line) else {
        return false;
    };
    let Some((name, items)) = left.trim_end().split_once('(') else {
        return false;
    };
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name
        && items.ends_with(')')
        && items
            .contains(|letter: char| letter.is_ascii_digit() || matches!(letter, ':' | '<' | '>'))
}

/// `h2(1,1)`, `W2(i, :)`, `h2(2)`.
fn has_index_in_parentheses(scan: &Scan) -> bool {
    scan.words.iter().any(|(at, word)| {
        let rest = &scan.text[at + word.len()..];
        let Some(inside) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return false;
        };
        if !is_array_name(word) {
            return false;
        }
        let items: Vec<&str> = inside.0.split(',').map(str::trim).collect();
        let is_number = |item: &str| !item.is_empty() && item.bytes().all(|b| b.is_ascii_digit());
        let is_index = |item: &str| {
            is_number(item)
                || item == "end"
                || item.contains(':')
                || item.len() == 1 && item.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        match items[..] {
            // δ(i, q) is Kronecker's.
            [one, other] if word.starts_with("delta") => {
                is_index(one) && is_index(other) && (is_number(other) || other.contains(':'))
            }
            [one, other] => is_index(one) && is_index(other),
            [one] => is_number(one) || one == ":",
            _ => false,
        }
    })
}

/// The name of an array of the course with its layer, or of x, y, δ; with a d in front, of its gradient.
fn is_array_name(word: &str) -> bool {
    if matches!(word, "x" | "X" | "y" | "Y" | "delta") {
        return true;
    }
    let word = word.strip_prefix('d').unwrap_or(word);
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|letter| "WwhHaAzZb".contains(letter))
        && !letters.as_str().is_empty()
        && letters.all(|letter| letter.is_ascii_digit())
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
    julia |= text.starts_with("function ") && text.contains(" ? ");
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
    // What Jupyter and Python's prompt put in front, a docstring, and a condition turned around.
    let begins = ["In [", ">>>", "\"\"\"", "'''", "not ", "assert "];
    begins.iter().any(|begin| text.starts_with(begin))
        || scan
            .words
            .iter()
            .any(|(at, word)| word_is_python(text, scan, *at, word))
        || counts_from_zero(text)
        || several_assignments(text)
        || text.contains("~(")
        || ["+=", "-=", "*=", "/="]
            .iter()
            .any(|change| text.contains(change))
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
        | "sigmoid_prime" | "sigmoid_derivative" | "dsigmoid" | "tanh_prime" | "dtanh"
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
