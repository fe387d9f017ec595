//! The parts of a submission that every format has, and the errors.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// The most answers that one submission holds.
pub const MAX_ANSWERS: usize = 256;

/// The longest id of a question or an assignment, in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// A student's submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The assignment's id, if the file names it.
    pub assignment: Option<String>,
    /// The answers by question id; none is blank.
    pub answers: BTreeMap<String, String>,
    /// How the file was read where its author may have meant something else.
    pub notes: Vec<String>,
}

/// Why a submission cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What was found and what is expected.
    pub message: String,
}

impl SubmissionError {
    /// An error at a byte of the text.
    pub(super) fn at(text: &str, byte: usize, message: impl Into<String>) -> Self {
        let before = &text[..text.floor_char_boundary(byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: line_of(text, byte),
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

impl fmt::Display for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
        } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

impl std::error::Error for SubmissionError {}

/// The line of a byte, counted from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    let before = &text[..text.floor_char_boundary(byte)];
    before.matches('\n').count() + 1
}

/// The id without surrounding whitespace, if it is valid.
pub(super) fn id(text: &str) -> Result<String, String> {
    let id = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(fits) {
        let shown: String = id.chars().take(MAX_ID_BYTES).collect();
        return Err(format!(
            "{shown:?} is not an id; expected is one such as 1.1, of at most {MAX_ID_BYTES} letters, digits, '.', '-' and '_'"
        ));
    }
    Ok(id.to_owned())
}

/// Collects answers: one per question, and not too many.
#[derive(Default)]
pub(super) struct Answers(BTreeMap<String, String>);

impl Answers {
    /// Adds the answer of a question.
    pub(super) fn insert(&mut self, question: &str, answer: String) -> Result<(), String> {
        if self.0.len() == MAX_ANSWERS {
            return Err(format!("at most {MAX_ANSWERS} answers are read"));
        }
        match self.0.entry(id(question)?) {
            Entry::Occupied(entry) => Err(format!(
                "question {} is answered a second time; one answer is expected",
                entry.key()
            )),
            Entry::Vacant(entry) => {
                entry.insert(answer);
                Ok(())
            }
        }
    }

    /// The answers that are not blank, without surrounding whitespace.
    pub(super) fn filled(self) -> BTreeMap<String, String> {
        let trimmed = self.0.into_iter();
        let trimmed = trimmed.map(|(id, answer)| (id, answer.trim().to_owned()));
        trimmed.filter(|(_, answer)| !answer.is_empty()).collect()
    }
}
