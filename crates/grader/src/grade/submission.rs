//! A student's answers, read from JSON, TOML or LaTeX. Pure.

mod content;
mod document;
mod macros;
mod single_backslash;
mod tex;

pub use content::{MAX_ANSWERS, MAX_ID_BYTES, Submission, SubmissionError};

/// The longest file that is read, in bytes.
pub const MAX_SUBMISSION_BYTES: usize = 256 * 1024;

impl Submission {
    /// Reads a submission in the format of the file's extension, or else in the format that it resembles.
    pub fn parse(text: &str, extension: Option<&str>) -> Result<Self, SubmissionError> {
        let extension = extension.unwrap_or_default().trim_start_matches('.');
        match extension.to_ascii_lowercase().as_str() {
            "json" => Self::from_json(text),
            "toml" => Self::from_toml(text),
            "tex" | "latex" => Self::from_tex(text),
            _ if text.trim_start_matches(BOM).trim_start().starts_with('{') => {
                Self::from_json(text)
            }
            _ if text.contains(r"\begin") => Self::from_tex(text),
            _ => Self::from_toml(text),
        }
    }

    /// Reads `{"assignment": "hw-backprop", "answers": {"1.1": "…"}}`. Backslashes that are single, and so are those of
    /// LaTeX, are read as such, with a note.
    pub fn from_json(text: &str) -> Result<Self, SubmissionError> {
        document::from_json(bounded(text)?)
    }

    /// Reads `assignment = "hw-backprop"` and a table `[answers]`, where an id may be quoted: `"1.1" = '…'`.
    pub fn from_toml(text: &str) -> Result<Self, SubmissionError> {
        document::from_toml(bounded(text)?)
    }

    /// Reads each `\begin{answer}{1.1} … \end{answer}`, and the assignment of `\assignment{hw-backprop}`. An answer begins
    /// with the definitions of the document that it uses, such as `\newcommand`.
    pub fn from_tex(text: &str) -> Result<Self, SubmissionError> {
        tex::from_tex(bounded(text)?)
    }
}

/// The byte order mark that some editors write.
const BOM: char = '\u{feff}';

/// The text without a byte order mark, unless it is too long.
fn bounded(text: &str) -> Result<&str, SubmissionError> {
    if text.len() > MAX_SUBMISSION_BYTES {
        let message = format!(
            "the submission has {} bytes; at most {MAX_SUBMISSION_BYTES} are read",
            text.len()
        );
        return Err(SubmissionError::at(text, MAX_SUBMISSION_BYTES, message));
    }
    Ok(text.strip_prefix(BOM).unwrap_or(text))
}

#[cfg(test)]
mod tests;
