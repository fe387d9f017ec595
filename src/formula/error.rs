//! Why a formula cannot be read or evaluated: where, what was found, what was expected.

use std::fmt;

use super::Span;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The text is not a formula.
    Syntax,
    /// A name that means nothing here.
    UnknownSymbol,
    /// An index that nothing gives a value.
    UnboundIndex,
    /// Shapes that do not fit, or an index outside its range.
    Shape,
    /// Too long, too deep, too many parts or too much work.
    TooLarge,
    /// It means something that cannot be computed as one matrix.
    NotEvaluable,
}

/// A fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormulaError {
    /// Its kind.
    pub fault: Fault,
    /// The piece of the text that is meant.
    pub span: Span,
    /// What was found and what was expected, as a sentence.
    pub message: String,
}

impl FormulaError {
    /// A fault at `span`.
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

/// The line of `text` that `span` begins in, and `^^^` below the piece.
pub fn underline(text: &str, span: Span) -> String {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (floor(span.start), floor(span.end.max(span.start)));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].replace('\t', " ");
    let before = text[line_start..start].chars().count();
    let marks = text[start..end.min(line_end).max(start)].chars().count();
    format!(
        "    {line}\n    {}{}",
        " ".repeat(before),
        "^".repeat(marks.max(1))
    )
}
