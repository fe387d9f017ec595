//! Tokenizes LaTeX and plain text alike. Decoration is dropped here; every token knows its bytes.

use super::characters::Normalised;
use super::text::{Source, is_word};
use super::vocabulary::{ALIASES, CHARACTERS, DOTTED, INFIX, LAYERED, WORDS};
use super::{Fault, FormulaError, Span};

/// The longest formula, in bytes.
pub const MAX_BYTES: usize = 8 << 10;

/// The smallest piece of a formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A number as written.
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
    /// The end of a line, outside brackets and displayed formulas.
    Line,
    /// A `$`, `\(` or `\)`.
    Inline,
    /// A word of ordinary language, in lower case.
    Word(String),
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Lexeme {
    /// The token.
    pub token: Token,
    /// Its bytes.
    pub span: Span,
}

impl Lexeme {
    /// A token at a place.
    pub fn new(token: Token, span: Span) -> Self {
        Self { token, span }
    }
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    /// Whether the original text has commands.
    is_latex: bool,
    pub(super) at: usize,
    out: Vec<Lexeme>,
    /// Names that the text defines.
    names: &'t [&'t str],
    /// Where the braces close whose content is text, or a formula of its own; innermost last.
    pub(super) text_ends: Vec<usize>,
    /// Whether each open brace is a script.
    braces: Vec<bool>,
    /// The open braces that are scripts.
    scripts: usize,
    /// Whether words are kept; otherwise text is passed by, and letters are symbols.
    pub(super) keeps_words: bool,
    /// Bytes that stand for a token of their own, such as the parenthesis that ends Typst's `mat(…)`; the last first.
    special: Vec<(usize, Token)>,
    /// Inside `$…$`, `\[…\]` or an environment of displayed formulas, where a line's end is a blank.
    pub(super) in_math: bool,
}

/// Tokenizes `text`.
///
/// # Errors
/// Text that is too long, characters and commands without a meaning, a LaTeX group that never ends.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, FormulaError> {
    hold_length(text)?;
    lex_text(text, &[], false)
}

/// Tokenizes an edited text; `names` are words that it defines. The spans are those of the edited text.
///
/// # Errors
/// As [`lex`], with the place in the original text.
pub(super) fn lex_source(source: &Source<'_>, names: &[&str]) -> Result<Vec<Lexeme>, FormulaError> {
    lex_text(source.text(), names, true).map_err(|mut error| {
        error.span = source.span(error.span);
        error
    })
}

/// Holds a text to the limit.
///
/// # Errors
/// A text that is too long.
pub(super) fn hold_length(text: &str) -> Result<(), FormulaError> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    let message = format!(
        "The formula has {} bytes; at most {MAX_BYTES} are read. Write it shorter.",
        text.len()
    );
    let span = Span {
        start: 0,
        end: text.len(),
    };
    Err(FormulaError::new(Fault::TooLarge, span, message))
}

fn lex_text(text: &str, names: &[&str], keeps_words: bool) -> Result<Vec<Lexeme>, FormulaError> {
    let is_latex = text.contains('\\');
    let Some(normalised) = Normalised::of(text) else {
        return tokens(text, is_latex, names, keeps_words);
    };
    let mut found =
        tokens(&normalised.text, is_latex, names, keeps_words).map_err(|error| FormulaError {
            span: normalised.original(error.span),
            ..error
        })?;
    for lexeme in &mut found {
        lexeme.span = normalised.original(lexeme.span);
    }
    Ok(found)
}

fn tokens(
    text: &str,
    is_latex: bool,
    names: &[&str],
    keeps_words: bool,
) -> Result<Vec<Lexeme>, FormulaError> {
    let mut lexer = Lexer {
        text,
        is_latex,
        at: 0,
        out: Vec::new(),
        names,
        text_ends: Vec::new(),
        braces: Vec::new(),
        scripts: 0,
        keeps_words,
        special: Vec::new(),
        in_math: false,
    };
    while let Some(next) = lexer.rest().chars().next() {
        if lexer.text_ends.last() == Some(&lexer.at) {
            lexer.text_ends.pop();
            lexer.at += 1;
            continue;
        }
        lexer.token(next)?;
    }
    Ok(layout(lexer.out))
}

impl<'t> Lexer<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn push(&mut self, token: Token, bytes: usize) {
        let span = Span {
            start: self.at,
            end: self.at + bytes,
        };
        self.at += bytes;
        match token {
            Token::Mark("{") => {
                let is_script = self.is_behind_script();
                self.braces.push(is_script);
                self.scripts += usize::from(is_script);
            }
            Token::Mark("}") => {
                let was_script = self.braces.pop().unwrap_or(false);
                self.scripts -= usize::from(was_script);
            }
            _ => {}
        }
        self.out.push(Lexeme { token, span });
    }

    fn is_behind_script(&self) -> bool {
        let last = self.out.last().map(|last| &last.token);
        matches!(last, Some(Token::Mark("_" | "^")))
    }

    /// Whether letters here are indices, and no words.
    fn is_in_script(&self) -> bool {
        self.text_ends.is_empty() && (self.scripts > 0 || self.is_behind_script())
    }

    pub(super) fn take_while(&self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    pub(super) fn error(&self, bytes: usize, message: impl Into<String>) -> FormulaError {
        let span = Span {
            start: self.at,
            end: self.at + bytes,
        };
        FormulaError::new(Fault::Syntax, span, message)
    }

    pub(super) fn token(&mut self, next: char) -> Result<(), FormulaError> {
        let rest = self.rest();
        if self.special.last().is_some_and(|(at, _)| *at == self.at)
            && let Some((_, token)) = self.special.pop()
        {
            self.push(token, next.len_utf8());
        } else if matches!(next, '"' | '“' | '”' | '├' | '┤') {
            // Quotation marks around words, and brackets of Word that are not there.
            self.at += next.len_utf8();
        } else if self.keeps_words && self.ordinal().is_some() {
            let bytes = self.ordinal().unwrap_or_default();
            self.put_ordinal(bytes);
        } else if matches!(next, '■' | '█') && rest[next.len_utf8()..].starts_with('(') {
            // Word's `■(a&b@c&d)`.
            self.environment_in_parentheses("matrix", '@', next.len_utf8() + 1);
        } else if rest.starts_with("{█(") || rest.starts_with("{■(") {
            self.environment_in_parentheses("cases", '@', 1 + '█'.len_utf8() + 1);
        } else if next == '\n' && !self.in_math {
            self.push(Token::Line, 1);
        } else if next.is_whitespace() {
            self.at += next.len_utf8();
        } else if next == '%' {
            self.at += self.take_while(|c| c != '\n').len();
        } else if next == '\\' {
            return self.command();
        } else if let Some((word, mark)) = DOTTED.iter().find(|(word, _)| rest.starts_with(word)) {
            self.push(Token::Mark(mark), word.len());
        } else if rest.starts_with("..") && !rest.starts_with("...") {
            self.push(Token::Name("dots".to_owned()), 2);
        } else if rest.starts_with(".*") {
            self.push(Token::Mark("⊙"), 2);
        } else if next.is_ascii_digit()
            || (next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            self.number();
        } else if next.is_ascii_alphabetic() {
            self.word();
        } else if rest.starts_with("...") {
            self.push(Token::Name("dots".to_owned()), 3);
        } else if next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.method()?;
        } else if let Some((_, name)) = CHARACTERS.iter().find(|(c, _)| *c == next) {
            self.push(Token::Name((*name).to_owned()), next.len_utf8());
        } else {
            return self.mark(next);
        }
        Ok(())
    }

    /// The bytes of `-th`, `th`, `^{th}` or `^{\\text{th}}` behind the letter of an index, closing `$` included.
    fn ordinal(&self) -> Option<usize> {
        const FORMS: &[&str] = &[
            "-th",
            "th",
            "^{th}",
            "^{\\text{th}}",
            "^\\text{th}",
            "^{\\mathrm{th}}",
            "^{\\textrm{th}}",
            "^{-th}",
        ];
        if !self.rest().starts_with(['-', '^', 't']) {
            return None;
        }
        let mut before = self.out.iter().rev().map(|last| &last.token);
        let is_letter =
            |token: Option<&Token>| matches!(token, Some(Token::Name(name)) if name.len() == 1);
        let is_behind = match before.next() {
            Some(Token::Inline) => {
                is_letter(before.next()) && before.next() == Some(&Token::Inline)
            }
            last => {
                is_letter(last)
                    && matches!(before.next(), None | Some(Token::Inline | Token::Word(_)))
            }
        };
        let form = FORMS.iter().find(|form| self.rest().starts_with(**form))?;
        let ends = !self.rest()[form.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_adjacent = self.out.last().is_some_and(|last| last.span.end == self.at);
        (is_behind && ends && is_adjacent).then_some(form.len())
    }

    /// Puts one word in place of "i-th", with the `$` around its letter.
    fn put_ordinal(&mut self, bytes: usize) {
        let mut start = self.at;
        let mut end = self.at + bytes;
        let mut take = |lexer: &mut Self| {
            if let Some(last) = lexer.out.pop() {
                start = last.span.start;
            }
        };
        let is_inline = |lexer: &Self| {
            matches!(
                lexer.out.last().map(|last| &last.token),
                Some(Token::Inline)
            )
        };
        let closed = is_inline(self);
        if closed {
            take(self);
        }
        take(self);
        if is_inline(self) && (closed || self.text[end..].starts_with('$')) {
            take(self);
            end += usize::from(!closed);
            self.in_math = false;
        }
        let word = Token::Word("nth".to_owned());
        let span = Span { start, end };
        self.at = end;
        self.out.push(Lexeme::new(word, span));
    }

    /// An environment whose content stands in parentheses: `mat(a, b; c, d)` and `cases(…, …)` of Typst, `■(a&b@c&d)` of
    /// Word. `opening` bytes up to and with the parenthesis are read; `line` ends a line.
    fn environment_in_parentheses(&mut self, name: &str, line: char, opening: usize) {
        let start = self.at + opening;
        let mut depth = 0_usize;
        let mut special = Vec::new();
        for (at, c) in self.text[start..].char_indices() {
            match c {
                ')' if depth == 0 => {
                    special.push((start + at, Token::End(name.to_owned())));
                    break;
                }
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ if c == line && depth == 0 => {
                    special.push((start + at, Token::Mark("\\\\")));
                }
                _ => {}
            }
        }
        self.push(Token::Begin(name.to_owned()), opening);
        special.reverse();
        self.special.extend(special);
    }

    /// TeX gives one digit to a bare `^` or `_`, and to each part of a bare `\frac`.
    pub(super) fn number(&mut self) {
        let mut before = self.out.iter().rev().map(|last| &last.token);
        let is_frac =
            |token: Option<&Token>| matches!(token, Some(Token::Name(name)) if name == "frac");
        let script = match before.next() {
            Some(Token::Mark("^" | "_")) => true,
            Some(Token::Number(_)) => is_frac(before.next()),
            last => is_frac(last),
        };
        let is_index = matches!(
            self.out.last().map(|last| &last.token),
            Some(Token::Mark("_"))
        );
        if is_index && self.plain_indices() {
            return;
        }
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

    pub(super) fn word(&mut self) {
        let run = self.take_while(|c| c.is_ascii_alphabetic());
        let after = &self.rest()[run.len()..];
        if run == "np" && after.starts_with('.') {
            self.at += 3;
            return;
        }
        if let Some(name) = self.own_name() {
            return self.push(Token::Name(name.to_owned()), name.len());
        }
        if let ("mat" | "cases", true) = (run, after.starts_with('(')) {
            let (name, line) = if run == "mat" {
                ("matrix", ';')
            } else {
                ("cases", ',')
            };
            return self.environment_in_parentheses(name, line, run.len() + 1);
        }
        let is_in_brackets = matches!(
            self.out.last().map(|last| &last.token),
            Some(Token::Mark("[" | ","))
        );
        let next = after.trim_start_matches(' ');
        let next_run = &next[..next
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(next.len())];
        let is_differential = after.starts_with('_')
            || (after.len() > next.len() && matches!(next_run.len(), 1) && next_run != "a");
        if matches!(run, "partial" | "nabla") && is_differential {
            return self.push(Token::Name(run.to_owned()), run.len());
        }
        if run == "All" && is_in_brackets {
            return self.push(Token::Mark(":"), run.len());
        }
        if let ("Sum" | "Piecewise", true) = (run, after.starts_with('[')) {
            return self.push(Token::Name(run.to_owned()), run.len());
        }
        let lower = run.to_ascii_lowercase();
        if let Some(bytes) = self.ordinary_word(&lower) {
            let word = self.rest()[..bytes].to_ascii_lowercase().replace('’', "'");
            return self.push(Token::Word(word), bytes);
        }
        let in_script = matches!(
            self.out.last().map(|last| &last.token),
            Some(Token::Mark("_"))
        );
        if let Some((_, mark)) = INFIX.iter().find(|(word, _)| *word == run)
            && after.starts_with(char::is_whitespace)
            && self.is_behind_value()
        {
            return self.push(Token::Mark(mark), run.len());
        }
        if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == run) {
            return self.push(Token::Name((*name).to_owned()), run.len());
        }
        if let Some(hat) = after.strip_prefix("_hat")
            && run == "y"
            && !hat.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return self.push(Token::Name("yhat".to_owned()), "y_hat".len());
        }
        if in_script && self.plain_indices() {
            return;
        }
        let is_layered = !in_script && after.starts_with(|c: char| c.is_ascii_digit());
        if WORDS.contains(&run) && !(run == "delta" && is_layered) {
            return self.push(Token::Name(run.to_owned()), run.len());
        }
        if lower == "relu" {
            return self.push(Token::Name(lower), run.len());
        }
        // `dh^2` is the gradient by h² where no division makes it a part of a derivative.
        let is_gradient = run.starts_with('d') && after.starts_with(['^', '_']);
        if LAYERED.contains(&run) && !in_script && is_gradient {
            return self.push(Token::Name(run.to_owned()), run.len());
        }
        if is_layered && LAYERED.contains(&run) {
            self.push(Token::Name(run.to_owned()), run.len());
            let start = self.at;
            self.push(Token::Mark("^"), 0);
            self.at = start;
            let digits = self.take_while(|c| c.is_ascii_digit());
            return self.push(Token::Number(digits.to_owned()), digits.len());
        }
        if self.keeps_words && run.len() > 1 && !self.is_in_script() && !self.is_product(run) {
            return self.push(Token::Word(lower), run.len());
        }
        self.push(Token::Name(run[..1].to_owned()), 1);
    }

    fn is_behind_value(&self) -> bool {
        match self.out.last().map(|last| &last.token) {
            Some(Token::Number(_) | Token::Name(_) | Token::End(_)) => true,
            Some(Token::Mark(mark)) => matches!(*mark, ")" | "]" | "}" | "'" | ".T"),
            Some(Token::Begin(_) | Token::Break | Token::Line | Token::Inline | Token::Word(_))
            | None => false,
        }
    }

    /// Two indices without braces, as in `W3_1j`, where the text is not LaTeX: TeX would lower only the first.
    fn plain_indices(&mut self) -> bool {
        let run = self.take_while(|c| c.is_ascii_alphanumeric());
        let after = &self.rest()[run.len()..];
        let is_index = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        // The second letter may be the next factor, as in `delta_kh^2`.
        let is_base = run.ends_with(['h', 'z', 'x', 'y', 'w', 'f', 'b', 'n', 'm']);
        let fits = run.len() == 2 && run.bytes().all(is_index);
        if !fits || self.is_latex || is_base && after.starts_with(['^', '_', '[', '(', '\'']) {
            return false;
        }
        let start = self.at;
        self.push(Token::Mark("{"), 0);
        for (at, index) in run.char_indices() {
            self.at = start + at;
            let index = index.to_string();
            let token = match index.parse::<u8>() {
                Ok(_) => Token::Number(index),
                Err(_) => Token::Name(index),
            };
            self.push(token, 1);
        }
        self.push(Token::Mark("}"), 0);
        true
    }

    /// The word here that the text defines: the longest.
    fn own_name(&self) -> Option<&'t str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self
            .rest()
            .find(|c| !is_part(c))
            .unwrap_or(self.rest().len());
        let here = &self.rest()[..end];
        let names = self.names.iter().copied();
        let fits = |name: &&str| {
            name.len() > 1
                && here.starts_with(name)
                && (here.len() == name.len()
                    || !here[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
        };
        names.filter(fits).max_by_key(|name| name.len())
    }

    /// The bytes of the ordinary word that begins with the letters `run`, in lower case; `None` for a symbol.
    fn ordinary_word(&self, run: &str) -> Option<usize> {
        if !self.keeps_words || self.is_in_script() {
            return None;
        }
        for short in ["w.r.t.", "w.r.t", "i.e.", "e.g."] {
            if self.rest().starts_with(short) {
                return Some(short.len());
            }
        }
        if WORDS.contains(&run) || run == "relu" {
            return None;
        }
        let after = &self.rest()[run.len()..];
        // `non-negative`, `it's`.
        if let Some(mark) = after
            .chars()
            .next()
            .filter(|c| matches!(c, '-' | '\'' | '’'))
        {
            let end = after[mark.len_utf8()..]
                .find(|c: char| !c.is_ascii_alphabetic() && c != '-')
                .map_or(after.len(), |end| mark.len_utf8() + end);
            let joined = self.rest()[..run.len() + end].to_ascii_lowercase();
            if end > mark.len_utf8() && is_word(&joined.replace('’', "'")) {
                return Some(joined.len());
            }
        }
        if run.len() > 1 {
            return is_word(run).then_some(run.len());
        }
        // The article, and I: between words only.
        let follows = after.trim_start_matches([' ', '\n']);
        let end = follows
            .find(|c: char| !c.is_ascii_alphabetic() && c != '-')
            .unwrap_or(follows.len());
        let next = follows[..end].to_ascii_lowercase();
        // `\text{, a } 2 \times 3`: the number stands behind the brace.
        let ends_text = !self.text_ends.is_empty() && follows.starts_with('}');
        let counts = run == "a"
            && (ends_text || follows.starts_with(|c: char| c.is_ascii_digit() || c == '$'));
        let behind = matches!(
            self.out.last().map(|last| &last.token),
            None | Some(Token::Word(_) | Token::Line | Token::Mark("," | "." | ":" | "("))
        );
        // "(a 2 × 3 matrix)", "(a row vector)".
        let bracket = &follows[..follows.find(')').unwrap_or(0)];
        let opens_remark = run == "a"
            && matches!(
                self.out.last().map(|last| &last.token),
                Some(Token::Mark("("))
            )
            && ["matrix", "vector", "scalar"]
                .iter()
                .any(|noun| bracket.ends_with(noun));
        let stands_alone = follows.len() < after.len() && (counts || end > 1 && is_word(&next));
        (matches!(run, "a" | "i") && (behind || opens_remark) && stands_alone).then_some(1)
    }

    /// Whether a run of letters can be a product of symbols, such as `xW` or `dl`.
    fn is_product(&self, run: &str) -> bool {
        let is_symbol = |c: char| {
            "WhznfbxymlLJdT".contains(c)
                || self
                    .names
                    .iter()
                    .any(|name| name.len() == 1 && name.starts_with(c))
        };
        let differential = run.strip_prefix('d');
        // `dZ`: no English word is written so.
        let is_capital =
            |of: &str| of.len() == 1 && of.starts_with(|c: char| c.is_ascii_uppercase());
        differential.is_some_and(|of| WORDS.contains(&of) || of == "relu" || is_capital(of))
            || (run.len() <= 4 && run.chars().all(is_symbol))
    }

    /// `.T`, `.dot(`, `.sum(`, `.transpose(`.
    pub(super) fn method(&mut self) -> Result<(), FormulaError> {
        let name = &self.rest()[1..];
        let end = name
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(name.len());
        let mark = match &name[..end] {
            "T" => ".T",
            "dot" => ".dot",
            "sum" => ".sum",
            "transpose" => ".transpose",
            _ => {
                // Mathematica's `delta.W3`.
                let run = &name[..end];
                let is_symbol = (LAYERED.contains(&run)
                    && name[end..].starts_with(|c: char| c.is_ascii_digit()))
                    || run == "delta";
                let is_adjacent = self.out.last().is_some_and(|last| last.span.end == self.at);
                if is_symbol && is_adjacent && self.is_behind_value() {
                    self.push(Token::Mark("@"), 1);
                    return Ok(());
                }
                return self.mark('.');
            }
        };
        self.push(Token::Mark(mark), 1 + end);
        Ok(())
    }

    pub(super) fn mark(&mut self, next: char) -> Result<(), FormulaError> {
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
            ('@', "@"),
            ('·', "·"),
            ('×', "×"),
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
            ('ᵀ', ".T"),
            ('⊤', "'"),
            ('’', "'"),
            ('&', "&"),
            ('.', "."),
            ('|', "|"),
            ('⟨', "⟨"),
            ('⟩', "⟩"),
        ];
        if self.rest().starts_with("$$") {
            self.push(Token::Break, 2);
            self.in_math = !self.in_math;
            return Ok(());
        }
        if next == '$' {
            self.push(Token::Inline, 1);
            self.in_math = self.text_ends.is_empty() && !self.in_math;
            return Ok(());
        }
        if next == '~' {
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
}

/// Drops `{}` and `_{}`, which TeX sets as nothing; a `^` behind them is a prefix, as in `{}^t A`.
fn without_empty_groups(tokens: Vec<Lexeme>) -> Vec<Lexeme> {
    let is_mark = |lexeme: Option<&Lexeme>, mark: &str| matches!(lexeme.map(|lexeme| &lexeme.token), Some(Token::Mark(own)) if *own == mark);
    let mut kept: Vec<Lexeme> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(lexeme) = rest.next() {
        let closes = is_mark(Some(&lexeme), "}") && is_mark(kept.last(), "{");
        if closes && !is_mark(rest.peek(), "^") {
            kept.pop();
            if is_mark(kept.last(), "_") || is_mark(kept.last(), "^") {
                kept.pop();
            }
        } else {
            kept.push(lexeme);
        }
    }
    kept
}

/// Keeps separators only where they separate: `&` inside matrices and cases, lines outside brackets; a `\\` outside is
/// the end of a line.
fn layout(tokens: Vec<Lexeme>) -> Vec<Lexeme> {
    const ENVIRONMENT: &str = "env";
    // Counted, because a search among the open brackets for each separator would be slow.
    let mut environments = 0_usize;
    let mut brackets: Vec<&'static str> = Vec::new();
    let mut kept: Vec<Lexeme> = Vec::with_capacity(tokens.len());
    for lexeme in without_empty_groups(tokens) {
        let keep = match &lexeme.token {
            Token::Begin(_) => {
                brackets.push(ENVIRONMENT);
                environments += 1;
                true
            }
            Token::End(_) => {
                environments -= usize::from(brackets.pop() == Some(ENVIRONMENT));
                true
            }
            Token::Mark(mark @ ("(" | "[" | "{")) => {
                let is_stack = matches!(kept.last(), Some(Lexeme { token: Token::Name(name), .. }) if name == "substack");
                brackets.push(if is_stack { "[" } else { mark });
                true
            }
            Token::Mark(")" | "]" | "}") => {
                environments -= usize::from(brackets.pop() == Some(ENVIRONMENT));
                true
            }
            Token::Mark("&") => environments > 0,
            Token::Mark("\\\\") if brackets.is_empty() => {
                kept.push(Lexeme::new(Token::Line, lexeme.span));
                false
            }
            Token::Mark("\\\\") => environments > 0 || brackets.last() == Some(&"["),
            Token::Mark("quad") => brackets.is_empty() || brackets.last() == Some(&"["),
            Token::Line => brackets.is_empty(),
            Token::Inline => brackets.is_empty(),
            Token::Number(_) | Token::Name(_) | Token::Mark(_) | Token::Break | Token::Word(_) => {
                true
            }
        };
        if keep {
            kept.push(lexeme);
        }
    }
    kept
}
