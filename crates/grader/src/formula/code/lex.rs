//! Tokenizes a program, line by line.

use super::super::{Fault, FormulaError, Span};
use super::syntax::Dialect;

/// The smallest piece of a program.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    Text(String),
    Mark(&'static str),
    /// A line's end inside the brackets of a MATLAB matrix.
    Row,
    /// White space before a sign inside the brackets of a MATLAB matrix.
    Gap,
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
}

/// A logical line and how far it is indented.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) indent: usize,
    pub(super) tokens: Vec<Lexeme>,
}

/// The marks, the longest first.
#[rustfmt::skip]
const MARKS: &[&str] = &[
    "**=", "//=", "...", "**", "//", "==", "!=", "~=", ">=", "<=", "+=", "-=", "*=", "/=", "@=", "->", ":=", "&&", "||",
    "+", "-", "*", "/", "@", "%", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "=", "<", ">", "&", "|", "^", "~", "!", "?",
];

/// The same, in languages with elementwise operators of their own.
#[rustfmt::skip]
const DOTTED: &[&str] = &[".*", "./", ".^", ".'", ".+", ".-", ".>=", ".<=", ".==", ".!=", ".>", ".<", ".&", ".|", ".~", ".=", "'"];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
    brackets: Vec<char>,
    lines: Vec<Line>,
    line: Line,
    /// Whether the current line has begun.
    begun: bool,
}

/// Cuts a program into lines and these into tokens.
pub(super) fn lex(text: &str, dialect: Dialect) -> Result<Vec<Line>, FormulaError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        dialect,
        brackets: Vec::new(),
        lines: Vec::new(),
        line: Line::default(),
        begun: false,
    };
    while let Some(next) = lexer.rest().chars().next() {
        lexer.token(next)?;
    }
    lexer.end_line();
    Ok(lexer.lines)
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
        self.begun = true;
        self.line.tokens.push(Lexeme { token, span });
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.begun = false;
        if !line.tokens.is_empty() {
            self.lines.push(line);
        }
    }

    fn error(&self, bytes: usize, message: String) -> FormulaError {
        let span = Span {
            start: self.at,
            end: self.at + bytes,
        };
        FormulaError::new(Fault::Syntax, span, message)
    }

    fn in_matrix(&self) -> bool {
        self.dialect.has_dots() && self.brackets.last() == Some(&'[')
    }

    /// The bytes of a prompt at the start of a line: `In [3]:`, `...:`, `>>>`. What follows `Out[3]:` is no code.
    fn prompt(&self) -> Option<usize> {
        let rest = self.rest();
        let bytes = |mark: &str| rest.starts_with(mark).then_some(mark.len());
        let numbered = |word: &str| {
            let inside = rest.strip_prefix(word)?.trim_start().strip_prefix('[')?;
            let (number, code) = inside.split_once("]:")?;
            let is_number = number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b' ');
            is_number.then(|| rest.len() - code.len())
        };
        let result = || numbered("Out").map(|_| rest.find('\n').unwrap_or(rest.len()));
        bytes("...:")
            .or_else(|| bytes(">>>"))
            .or_else(|| numbered("In"))
            .or_else(result)
    }

    fn token(&mut self, next: char) -> Result<(), FormulaError> {
        if !self.begun
            && self.dialect == Dialect::Python
            && let Some(bytes) = self.prompt()
        {
            self.at += bytes;
            // The space behind a prompt belongs to it.
            self.at += usize::from(self.rest().starts_with(' '));
            self.line.indent = 0;
            return Ok(());
        }
        let rest = self.rest();
        let comment = match self.dialect {
            Dialect::Matlab => '%',
            _ => '#',
        };
        if next == '\n' {
            if self.in_matrix() {
                self.push(Token::Row, 1);
            } else if self.brackets.is_empty() {
                self.at += 1;
                self.end_line();
            } else {
                self.at += 1;
            }
        } else if next.is_whitespace() || matches!(next, '\u{200b}' | '\u{feff}') {
            self.space(next);
        } else if next == comment {
            self.at += rest.find('\n').unwrap_or(rest.len());
        } else if next == '\\'
            && rest[1..]
                .trim_start_matches([' ', '\t', '\r'])
                .starts_with('\n')
        {
            self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        } else if self.dialect == Dialect::Matlab && rest.starts_with("...") {
            self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        } else if next.is_ascii_digit()
            || (next == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            self.number()?;
        } else if matches!(next, 'f' | 'r' | 'b')
            && !self.dialect.has_dots()
            && rest[1..].starts_with(['"', '\''])
        {
            // A formatted text: what it says is for people.
            self.at += 1;
            self.string(if rest[1..].starts_with('"') {
                '"'
            } else {
                '\''
            })?;
        } else if next.is_alphabetic() || next == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let name = &rest[..end.unwrap_or(rest.len())];
            self.push(Token::Name(name.to_owned()), name.len());
        } else if next == '"' || (next == '\'' && !self.ends_value()) {
            self.string(next)?;
        } else {
            self.mark(next)?;
        }
        Ok(())
    }

    fn space(&mut self, next: char) {
        let before = self.begun && self.in_matrix();
        if !self.begun && self.brackets.is_empty() {
            self.line.indent += if next == '\t' { 8 } else { 1 };
        }
        self.at += next.len_utf8();
        let rest = self.rest();
        // `[a -b]` has two entries, `[a - b]` one.
        if before
            && self.ends_value_before_space()
            && (rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '(' | '['))
                || rest
                    .strip_prefix('.')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                || (rest.starts_with(['-', '+']) && !rest[1..].starts_with([' ', '='])))
        {
            self.push(Token::Gap, 0);
        }
    }

    fn ends_value_before_space(&self) -> bool {
        let last = self.line.tokens.last().map(|last| &last.token);
        match last {
            Some(Token::Number(_) | Token::Text(_)) => true,
            Some(Token::Name(name)) => !matches!(name.as_str(), "for" | "in" | "if" | "else"),
            Some(Token::Mark(mark)) => matches!(*mark, ")" | "]" | "}" | "'" | ".'"),
            _ => false,
        }
    }

    /// Whether a quote here is a transpose.
    fn ends_value(&self) -> bool {
        let touches = (self.line.tokens.last()).is_some_and(|last| last.span.end == self.at);
        self.dialect.has_dots() && touches && self.ends_value_before_space()
    }

    fn number(&mut self) -> Result<(), FormulaError> {
        let rest = self.rest();
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_digit() && c != '_')
                .unwrap_or(text.len())
        };
        let mut end = digits(rest);
        let after = &rest[end..];
        let dotted = self.dialect.has_dots()
            && matches!(
                after.as_bytes().get(1),
                Some(b'*' | b'/' | b'^' | b'\'' | b'>' | b'<' | b'=' | b'+' | b'-')
            );
        if after.starts_with('.') && !dotted {
            end += 1 + digits(&rest[end + 1..]);
        }
        let after = &rest[end..];
        if after.starts_with(['e', 'E']) {
            let sign = usize::from(after[1..].starts_with(['-', '+']));
            let exponent = digits(&after[1 + sign..]);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let text = rest[..end].replace('_', "");
        match text.parse() {
            Ok(number) => {
                self.push(Token::Number(number), end);
                Ok(())
            }
            Err(_) => Err(self.error(end, format!("Found {text:?}, which is no number."))),
        }
    }

    fn string(&mut self, quote: char) -> Result<(), FormulaError> {
        let rest = self.rest();
        let triple: String = [quote; 3].iter().collect();
        let (open, close) = if rest.starts_with(&triple) {
            (3, triple)
        } else {
            (1, quote.to_string())
        };
        match rest[open..].find(&close) {
            Some(end) => {
                let text = rest[open..open + end].to_owned();
                self.push(Token::Text(text), 2 * open + end);
                Ok(())
            }
            None => Err(self.error(1, "Found a quote that is never closed.".to_owned())),
        }
    }

    fn mark(&mut self, next: char) -> Result<(), FormulaError> {
        let rest = self.rest();
        let dotted = if self.dialect.has_dots() { DOTTED } else { &[] };
        let found = dotted.iter().chain(MARKS);
        let found = found
            .filter(|mark| rest.starts_with(**mark))
            .max_by_key(|mark| mark.len());
        let (mark, bytes) = match (found, next) {
            (Some(mark), _) => (*mark, mark.len()),
            (None, '−' | '–') => ("-", next.len_utf8()),
            (None, '∗' | '·') => ("*", next.len_utf8()),
            (None, '≥') => (">=", next.len_utf8()),
            (None, '≤') => ("<=", next.len_utf8()),
            _ => {
                let message =
                    format!("Found the character {next:?}, which has no meaning in a program.");
                return Err(self.error(next.len_utf8(), message));
            }
        };
        match mark {
            "(" | "[" | "{" => self.brackets.push(next),
            ")" | "]" | "}" => {
                self.brackets.pop();
            }
            _ => {}
        }
        self.push(Token::Mark(mark), bytes);
        Ok(())
    }
}
