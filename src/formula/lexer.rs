//! Text into tokens, LaTeX and plain text alike. What only decorates is dropped here; every token knows its bytes.

use super::{Fault, FormulaError, Span};

/// The longest formula, in bytes.
pub const MAX_BYTES: usize = 8 << 10;

/// The smallest piece of a formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A number as it is written.
    Number(String),
    /// A letter, a known word, or a LaTeX command without its backslash.
    Name(String),
    /// An operator, a bracket or a separator, in one spelling for all.
    Mark(&'static str),
    /// `\begin{…}` of a matrix or of cases.
    Begin(String),
    /// `\end{…}` of a matrix or of cases.
    End(String),
    /// The end of a displayed formula.
    Break,
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Lexeme {
    /// The token.
    pub token: Token,
    /// Its bytes.
    pub span: Span,
}

/// Words that are one name; any other run of letters is a product of single letters.
const WORDS: &[&str] = &[
    "delta",
    "theta",
    "sigma",
    "sigmoid",
    "relu",
    "tanh",
    "exp",
    "log",
    "ln",
    "softmax",
    "max",
    "min",
    "maximum",
    "minimum",
    "abs",
    "sqrt",
    "diag",
    "step",
    "sum",
    "transpose",
    "where",
    "outer",
    "dot",
    "matmul",
    "multiply",
    "heaviside",
    "sign",
    "sgn",
    "indicator",
    "loss",
    "axis",
    "keepdims",
    "True",
    "true",
    "otherwise",
    "if",
    "else",
    "for",
    "and",
    "ones",
];

/// What a command or a character stands for among the marks.
const MARKS: &[(&str, &str)] = &[
    ("cdot", "·"),
    ("times", "·"),
    ("odot", "⊙"),
    ("circ", "⊙"),
    ("ast", "⊙"),
    ("star", "⊙"),
    ("geq", ">="),
    ("ge", ">="),
    ("geqslant", ">="),
    ("leq", "<="),
    ("le", "<="),
    ("leqslant", "<="),
    ("gt", ">"),
    ("lt", "<"),
    ("neq", "!="),
    ("ne", "!="),
    ("prime", "'"),
    ("lbrace", "\\{"),
    ("rbrace", "\\}"),
    ("lbrack", "["),
    ("rbrack", "]"),
    ("div", "/"),
    ("equiv", "="),
    ("coloneqq", "="),
    ("triangleq", "="),
    ("Rightarrow", "="),
    ("implies", "="),
    ("vert", "|"),
    ("mid", "|"),
];

/// Commands without a meaning for the value.
const DECORATION: &[&str] = &[
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "Biggl",
    "Biggr",
    "middle",
    "displaystyle",
    "textstyle",
    "scriptstyle",
    "limits",
    "nolimits",
    "nonumber",
    "notag",
    "boldsymbol",
    "bm",
    "mathbf",
    "mathit",
    "mathcal",
    "mathrm",
    "mathsf",
    "mathtt",
    "operatorname",
    "vec",
    "hspace",
    "boxed",
    "mathop",
    "text",
    "textrm",
    "textbf",
    "textit",
    "mathbin",
    "mathrel",
    "mbox",
    "ensuremath",
];

/// Spaces that carry no meaning.
const SPACES: &[char] = &[',', ';', '!', ':', ' ', '>', '/', '-'];

/// Commands that could make a reader do something; they are refused by name.
const REFUSED: &[&str] = &[
    "def",
    "gdef",
    "edef",
    "newcommand",
    "renewcommand",
    "providecommand",
    "let",
    "input",
    "include",
    "write",
    "csname",
    "href",
    "url",
    "usepackage",
    "catcode",
    "openin",
    "openout",
    "read",
    "expandafter",
    "loop",
];

/// Characters that stand for more than themselves.
const CHARACTERS: &[(char, &str)] = &[
    ('δ', "delta"),
    ('σ', "sigma"),
    ('θ', "theta"),
    ('∂', "partial"),
    ('∇', "nabla"),
    ('Σ', "sum"),
    ('∑', "sum"),
    ('ᵀ', "top"),
    ('⊤', "top"),
    ('𝟙', "indicator"),
    ('𝟏', "indicator"),
];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    out: Vec<Lexeme>,
}

/// The tokens of `text`.
///
/// # Errors
/// Text that is too long, characters and commands that mean nothing, a LaTeX group that never ends.
pub fn lex(text: &str) -> Result<Vec<Lexeme>, FormulaError> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "The formula has {} bytes; at most {MAX_BYTES} are read. Write it shorter.",
            text.len()
        );
        let span = Span {
            start: 0,
            end: text.len(),
        };
        return Err(FormulaError::new(Fault::TooLarge, span, message));
    }
    let mut lexer = Lexer {
        text,
        at: 0,
        out: Vec::new(),
    };
    while let Some(next) = lexer.rest().chars().next() {
        lexer.token(next)?;
    }
    Ok(layout(lexer.out))
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token, bytes: usize) {
        let span = Span {
            start: self.at,
            end: self.at + bytes,
        };
        self.at += bytes;
        self.out.push(Lexeme { token, span });
    }

    fn take_while(&self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn error(&self, bytes: usize, message: impl Into<String>) -> FormulaError {
        let span = Span {
            start: self.at,
            end: self.at + bytes,
        };
        FormulaError::new(Fault::Syntax, span, message)
    }

    fn token(&mut self, next: char) -> Result<(), FormulaError> {
        let rest = self.rest();
        if next.is_whitespace() {
            self.at += next.len_utf8();
        } else if next == '%' {
            self.at += self.take_while(|c| c != '\n').len();
        } else if next == '\\' {
            return self.command();
        } else if next.is_ascii_digit()
            || (next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            self.number();
        } else if next.is_ascii_alphabetic() {
            self.word();
        } else if next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.method()?;
        } else if let Some((_, name)) = CHARACTERS.iter().find(|(c, _)| *c == next) {
            self.push(Token::Name((*name).to_owned()), next.len_utf8());
        } else if let Some(digit) = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|c| c == next) {
            self.script("^", digit, next.len_utf8());
        } else if let Some(digit) = "₀₁₂₃₄₅₆₇₈₉".chars().position(|c| c == next)
        {
            self.script("_", digit, next.len_utf8());
        } else {
            return self.mark(next);
        }
        Ok(())
    }

    fn script(&mut self, mark: &'static str, digit: usize, bytes: usize) {
        let start = self.at;
        self.push(Token::Mark(mark), 0);
        self.at = start;
        self.push(Token::Number(digit.to_string()), bytes);
    }

    /// TeX gives one digit to a bare `^` or `_`.
    fn number(&mut self) {
        let script = matches!(
            self.out.last().map(|last| &last.token),
            Some(Token::Mark("^" | "_"))
        );
        let digits = if script {
            &self.rest()[..1]
        } else {
            let whole = self.take_while(|c| c.is_ascii_digit()).len();
            let rest = &self.rest()[whole..];
            let fraction = rest.strip_prefix('.').map_or(0, |after| {
                let digits = after
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(after.len());
                if digits == 0 { 0 } else { digits + 1 }
            });
            &self.rest()[..whole + fraction]
        };
        self.push(Token::Number(digits.to_owned()), digits.len());
    }

    fn word(&mut self) {
        let run = self.take_while(|c| c.is_ascii_alphabetic());
        let after = &self.rest()[run.len()..];
        if run == "np" && after.starts_with('.') {
            self.at += 3;
            return;
        }
        let lower = run.to_ascii_lowercase();
        if WORDS.contains(&run) {
            return self.push(Token::Name(run.to_owned()), run.len());
        }
        if lower == "relu" {
            return self.push(Token::Name(lower), run.len());
        }
        let layered = matches!(
            run,
            "W" | "h" | "z" | "n" | "f" | "b" | "dW" | "dh" | "dz" | "db" | "dx"
        );
        let in_script = matches!(
            self.out.last().map(|last| &last.token),
            Some(Token::Mark("_"))
        );
        if layered && !in_script && after.starts_with(|c: char| c.is_ascii_digit()) {
            self.push(Token::Name(run.to_owned()), run.len());
            let start = self.at;
            self.push(Token::Mark("^"), 0);
            self.at = start;
            let digits = self.take_while(|c| c.is_ascii_digit());
            return self.push(Token::Number(digits.to_owned()), digits.len());
        }
        self.push(Token::Name(run[..1].to_owned()), 1);
    }

    /// `.T`, `.dot(`, `.sum(`, `.transpose(`.
    fn method(&mut self) -> Result<(), FormulaError> {
        let name = &self.rest()[1..];
        let end = name
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(name.len());
        let mark = match &name[..end] {
            "T" => ".T",
            "dot" => ".dot",
            "sum" => ".sum",
            "transpose" => ".transpose",
            _ => return self.mark('.'),
        };
        self.push(Token::Mark(mark), 1 + end);
        Ok(())
    }

    fn mark(&mut self, next: char) -> Result<(), FormulaError> {
        const PAIRS: &[(&str, &str)] = &[
            ("$$", "$$"),
            (">=", ">="),
            ("<=", "<="),
            ("!=", "!="),
            ("==", "=="),
            (":=", "="),
            ("**", "^"),
            ("=>", "="),
        ];
        const SINGLE: &[(char, &str)] = &[
            ('^', "^"),
            ('_', "_"),
            ('{', "{"),
            ('}', "}"),
            ('(', "("),
            (')', ")"),
            ('[', "["),
            (']', "]"),
            ('+', "+"),
            ('-', "-"),
            ('−', "-"),
            ('/', "/"),
            ('@', "·"),
            ('·', "·"),
            ('×', "·"),
            ('⋅', "·"),
            ('*', "⊙"),
            ('⊙', "⊙"),
            ('∘', "⊙"),
            ('>', ">"),
            ('<', "<"),
            ('≥', ">="),
            ('≤', "<="),
            ('≠', "!="),
            ('=', "="),
            (',', ","),
            (';', ";"),
            (':', ":"),
            ('\'', "'"),
            ('′', "'"),
            ('’', "'"),
            ('&', "&"),
            ('.', "."),
            ('|', "|"),
        ];
        if self.rest().starts_with("$$") {
            self.push(Token::Break, 2);
            return Ok(());
        }
        if next == '$' || next == '~' {
            self.at += 1;
            return Ok(());
        }
        if let Some((pair, mark)) = PAIRS.iter().find(|(pair, _)| self.rest().starts_with(pair)) {
            self.push(Token::Mark(mark), pair.len());
            return Ok(());
        }
        match SINGLE.iter().find(|(single, _)| *single == next) {
            Some((_, mark)) => {
                self.push(Token::Mark(mark), next.len_utf8());
                Ok(())
            }
            None => Err(self.error(
                next.len_utf8(),
                format!("Found the character {next:?}, which has no meaning in a formula."),
            )),
        }
    }

    fn command(&mut self) -> Result<(), FormulaError> {
        let after = &self.rest()[1..];
        let Some(first) = after.chars().next() else {
            return Err(self.error(
                1,
                "The formula ends in a backslash; a command was expected.",
            ));
        };
        if !first.is_ascii_alphabetic() {
            return self.short_command(first);
        }
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (name, bytes) = (&after[..end], 1 + end);
        if REFUSED.contains(&name) {
            return Err(self.error(
                bytes,
                format!("\\{name} is not allowed; write the formula itself."),
            ));
        }
        if name == "begin" || name == "end" {
            return self.environment(name == "begin", bytes);
        }
        if let Some((_, mark)) = MARKS.iter().find(|(command, _)| *command == name) {
            self.push(Token::Mark(mark), bytes);
            return Ok(());
        }
        match name {
            "quad" | "qquad" => self.push(Token::Mark("quad"), bytes),
            "top" | "intercal" | "transp" => self.push(Token::Name("top".to_owned()), bytes),
            "mathbb" | "mathbbm" | "mathds" => self.blackboard(bytes)?,
            "mathbf" | "boldsymbol" | "bm" if self.is_bold_one(bytes) => self.blackboard(bytes)?,
            "text" | "textrm" | "mbox" | "textit" | "textbf" => self.remark(bytes)?,
            "operatorname" | "mathrm" | "mathsf" | "mathtt" | "mathit" | "mathcal" => {
                self.upright(bytes)
            }
            "label" | "tag" | "color" | "hspace" | "vspace" | "phantom" => {
                let group = self.group(bytes)?;
                self.at += bytes + group;
            }
            "dfrac" | "tfrac" | "cfrac" => self.push(Token::Name("frac".to_owned()), bytes),
            "overbrace" => self.push(Token::Name("underbrace".to_owned()), bytes),
            "dots" | "ldots" | "cdots" | "vdots" | "ddots" => {
                self.push(Token::Name("dots".to_owned()), bytes)
            }
            _ if DECORATION.contains(&name) => {
                self.at += bytes;
                // `\left.` is a bracket that is not there.
                if matches!(name, "left" | "right") && self.rest().trim_start().starts_with('.') {
                    self.at += self.rest().find('.').map_or(0, |dot| dot + 1);
                }
            }
            _ => self.push(Token::Name(name.to_owned()), bytes),
        }
        Ok(())
    }

    fn short_command(&mut self, first: char) -> Result<(), FormulaError> {
        match first {
            '\\' => {
                self.push(Token::Mark("\\\\"), 2);
                // `\\[2pt]`: the space between two lines.
                if self.rest().starts_with('[')
                    && let Some(end) = self.rest().find(']')
                    && self.rest()[1..end].ends_with(|c: char| c.is_ascii_alphabetic())
                {
                    self.at += end + 1;
                }
            }
            '{' => self.push(Token::Mark("\\{"), 2),
            '}' => self.push(Token::Mark("\\}"), 2),
            '|' => self.push(Token::Mark("|"), 2),
            '[' | ']' | '(' | ')' => self.push(Token::Break, 2),
            '&' => self.push(Token::Mark("&"), 2),
            '_' => self.push(Token::Mark("_"), 2),
            _ if SPACES.contains(&first) || first.is_whitespace() => {
                self.at += 1 + first.len_utf8()
            }
            _ => {
                let message = format!("Found \\{first}, which is no command of a formula.");
                return Err(self.error(1 + first.len_utf8(), message));
            }
        }
        Ok(())
    }

    /// The bytes of the `{…}` that follows `skip` bytes, blanks before it included; 0 where there is none.
    fn group(&self, skip: usize) -> Result<usize, FormulaError> {
        let rest = &self.rest()[skip..];
        let blanks = rest.len() - rest.trim_start().len();
        if !rest[blanks..].starts_with('{') {
            return Ok(0);
        }
        let mut depth = 0_usize;
        for (at, c) in rest.char_indices().skip(blanks) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && at >= blanks {
                return Ok(at + 1);
            }
        }
        Err(self.error(skip, "Found a { that is never closed; expected a }."))
    }

    fn group_text(&self, skip: usize) -> Result<(&'t str, usize), FormulaError> {
        let bytes = self.group(skip)?;
        let text = self.rest()[skip..skip + bytes].trim();
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        Ok((inner.unwrap_or("").trim(), bytes))
    }

    fn is_bold_one(&self, skip: usize) -> bool {
        let rest = self.rest()[skip..].trim_start();
        let rest = rest.strip_prefix('{').unwrap_or(rest).trim_start();
        rest.starts_with('1')
    }

    /// `\mathbb{1}`, `\mathbb 1`, `\mathbb{I}`: the indicator; other letters stand for themselves.
    fn blackboard(&mut self, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        if group > 0 {
            if matches!(inner, "1" | "I") {
                self.push(Token::Name("indicator".to_owned()), bytes + group);
            } else {
                self.at += bytes;
            }
            return Ok(());
        }
        let rest = &self.rest()[bytes..];
        let blanks = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(['1', 'I']) {
            self.push(Token::Name("indicator".to_owned()), bytes + blanks + 1);
        } else {
            self.at += bytes;
        }
        Ok(())
    }

    /// `\text{ReLU}` is a name, any other text a remark.
    fn remark(&mut self, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        let lower = inner.to_ascii_lowercase();
        if let Some(word) = WORDS.iter().find(|word| **word == lower) {
            self.push(Token::Name((*word).to_owned()), bytes + group);
        } else if lower.starts_with("otherwise") || lower.starts_with("else") {
            self.push(Token::Name("otherwise".to_owned()), bytes + group);
        } else if inner.len() == 1 && inner.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            self.at += bytes;
        } else {
            self.at += bytes + group;
        }
        Ok(())
    }

    /// `\mathrm{ReLU}`: the word inside is one name where it is known.
    fn upright(&mut self, bytes: usize) {
        if let Ok((inner, group)) = self.group_text(bytes)
            && group > 0
        {
            let lower = inner.to_ascii_lowercase();
            let known = WORDS.iter().find(|word| **word == lower);
            let name = match lower.as_str() {
                "step" | "heaviside" | "relu" => Some(lower.clone()),
                "softmax" | "sigmoid" => Some(lower.clone()),
                _ => known.map(|word| (*word).to_owned()),
            };
            if let Some(name) = name {
                return self.push(Token::Name(name), bytes + group);
            }
        }
        self.at += bytes;
    }

    fn environment(&mut self, begin: bool, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        let name = inner.trim_end_matches('*').to_owned();
        let all = bytes + group;
        match name.as_str() {
            "bmatrix" | "pmatrix" | "matrix" | "vmatrix" | "Bmatrix" | "smallmatrix" | "array"
            | "cases" | "dcases" => {
                let columns = if begin && name == "array" {
                    self.group(all)?
                } else {
                    0
                };
                let name = if name == "dcases" {
                    "cases".to_owned()
                } else {
                    name
                };
                let token = if begin {
                    Token::Begin(name)
                } else {
                    Token::End(name)
                };
                self.push(token, all + columns);
            }
            "align" | "equation" | "gather" | "multline" | "displaymath" | "math" | "eqnarray" => {
                self.push(Token::Break, all)
            }
            "aligned" | "split" | "gathered" => self.at += all,
            _ => {
                let message = format!(
                    "Found the environment {inner:?}; expected a matrix (bmatrix, pmatrix, array), cases, or aligned."
                );
                return Err(self.error(all, message));
            }
        }
        Ok(())
    }
}

/// Keeps separators only where they separate: `&` and `\\` inside matrices and cases, wide spaces inside brackets.
fn layout(tokens: Vec<Lexeme>) -> Vec<Lexeme> {
    let mut open: Vec<bool> = Vec::new();
    let mut brackets: Vec<&'static str> = Vec::new();
    let mut kept = Vec::with_capacity(tokens.len());
    for lexeme in tokens {
        let keep = match &lexeme.token {
            Token::Begin(_) => {
                open.push(true);
                brackets.push("env");
                true
            }
            Token::End(_) => {
                open.pop();
                brackets.pop();
                true
            }
            Token::Mark(mark @ ("(" | "[" | "{")) => {
                brackets.push(mark);
                true
            }
            Token::Mark(")" | "]" | "}") => {
                brackets.pop();
                true
            }
            Token::Mark("&") => brackets.contains(&"env"),
            Token::Mark("\\\\") => brackets.contains(&"env") || brackets.last() == Some(&"["),
            Token::Mark("quad") => brackets.last() == Some(&"["),
            Token::Number(_) | Token::Name(_) | Token::Mark(_) | Token::Break => true,
        };
        if keep {
            kept.push(lexeme);
        }
    }
    kept
}
