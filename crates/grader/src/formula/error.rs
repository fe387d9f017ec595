//! Errors of parsing and evaluation: their place, what was found, what was expected.

use std::fmt;

use super::Span;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The text is not a formula.
    Syntax,
    /// A name without a meaning here.
    UnknownSymbol,
    /// An index that nothing gives a value.
    UnboundIndex,
    /// Shapes that do not fit.
    Shape,
    /// An index outside its range.
    OutOfRange,
    /// Too long, too deep, too many parts or too much work.
    TooLarge,
    /// The meaning cannot be computed as one matrix.
    NotEvaluable,
}

/// An error and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormulaError {
    /// Its kind.
    pub fault: Fault,
    /// The part of the text in question.
    pub span: Span,
    /// What was found and what was expected, as a sentence.
    pub message: String,
}

impl FormulaError {
    /// An error at `span`.
    pub fn new(fault: Fault, span: Span, message: impl Into<String>) -> Self {
        Self {
            fault,
            span,
            message: message.into(),
        }
    }

    /// The message and, below it, the line of `text` with the offending piece underlined.
    pub fn show(&self, text: &str) -> String {
        format!("{}\n{}", self.message, underline(text, self.span))
    }
}

impl fmt::Display for FormulaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FormulaError {}

/// The widest part of a line to show, in characters.
const WIDEST: usize = 100;

/// The line of `text` in which `span` begins, shortened around it if need be, with `^^^` below the span.
pub fn underline(text: &str, span: Span) -> String {
    let floor = |at: usize| text.floor_char_boundary(at.min(text.len()));
    let (start, end) = (floor(span.start), floor(span.end.max(span.start)));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let before: Vec<char> = text[line_start..start].chars().collect();
    let piece: Vec<char> = text[start..end.clamp(start, line_end)].chars().collect();
    let after: Vec<char> = text[end.clamp(start, line_end)..line_end].chars().collect();

    let piece_cut = piece.len().min(WIDEST);
    let room = WIDEST - piece_cut;
    let kept_before = before.len().min(room / 2);
    let kept_after = after.len().min(room - kept_before);
    let is_cut = (
        kept_before < before.len(),
        piece_cut < piece.len() || kept_after < after.len(),
    );
    let left = if is_cut.0 { "…" } else { "" };
    let right = if is_cut.1 { "…" } else { "" };
    let shown = before[before.len() - kept_before..]
        .iter()
        .chain(&piece[..piece_cut])
        .chain(&after[..kept_after]);
    let shown: String = shown.map(|&c| if c == '\t' { ' ' } else { c }).collect();
    let indent = " ".repeat(left.chars().count() + kept_before);
    format!(
        "    {left}{shown}{right}\n    {indent}{}",
        "^".repeat(piece_cut.max(1))
    )
}
