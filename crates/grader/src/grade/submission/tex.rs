//! Submissions in LaTeX: the template's `answer` environments.

use std::collections::BTreeMap;

use super::content::{Answers, Submission, SubmissionError, id, line_of};
use super::macros::Definitions;

/// An answer whose end has not been read yet.
struct Open<'a> {
    question: &'a str,
    /// The byte of its `\begin`.
    begin: usize,
    /// The byte after its id.
    body: usize,
}

pub(super) fn from_tex(source: &str) -> Result<Submission, SubmissionError> {
    let text = without_internals(&without_comments(source));
    let mut reader = Reader::new(&text);
    // The preamble defines the environments, which is not to use them.
    let body = text.find(r"\begin{document}").unwrap_or(0);
    reader.preamble(body)?;
    let mut at = body;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        let (command, after) = command(&text, start);
        let argument = argument(&text, after);
        at = after;
        match (command, argument) {
            ("begin", Some(("answer", after))) => at = reader.begin(start, after)?,
            ("end", Some(("answer", after))) => {
                reader.end(start)?;
                at = after;
            }
            // TeX reads nothing after this.
            ("end", Some(("document", _))) => break,
            ("assignment", Some((name, after))) => {
                reader.assignment(start, name)?;
                at = after;
            }
            _ => {}
        }
    }
    reader.finish()
}

/// The state of reading.
struct Reader<'a> {
    text: &'a str,
    submission: Submission,
    answers: Answers,
    /// The line where each question is answered.
    lines: BTreeMap<&'a str, usize>,
    open: Option<Open<'a>>,
    definitions: Definitions<'a>,
    /// The byte after the last answer.
    outside: usize,
    /// The body of each answer.
    bodies: Vec<(Open<'a>, &'a str)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            submission: Submission::default(),
            answers: Answers::default(),
            lines: BTreeMap::new(),
            open: None,
            definitions: Definitions::default(),
            outside: text.find(r"\begin{document}").unwrap_or(0),
            bodies: Vec::new(),
        }
    }

    /// The text before the byte `end`: the student's own commands, and the assignment if it is named there.
    fn preamble(&mut self, end: usize) -> Result<(), SubmissionError> {
        let text = &self.text[..end];
        self.definitions.read(text);
        for (start, _) in text.match_indices(r"\assignment") {
            let (name, after) = command(text, start);
            if let ("assignment", Some((named, _))) = (name, argument(text, after))
                && id(named).is_ok()
            {
                self.assignment(start, named)?;
            }
        }
        Ok(())
    }

    /// An answer begins; gives the byte after its id.
    fn begin(&mut self, begin: usize, after: usize) -> Result<usize, SubmissionError> {
        let line = line_of(self.text, begin);
        let Some((question, body)) = argument(self.text, after) else {
            let message = r"the answer has no id; expected is one such as \begin{answer}{1.1}";
            return Err(self.error(begin, message));
        };
        if let Some(open) = &self.open {
            let message = format!(
                r"answer {question} begins inside answer {} of line {}; \end{{answer}} is expected first",
                open.question,
                line_of(self.text, open.begin),
            );
            return Err(self.error(begin, message));
        }
        if let Some(first) = self.lines.insert(question, line) {
            let message = format!(
                "question {question} is answered a second time; its first answer is on line {first}"
            );
            return Err(self.error(begin, message));
        }
        self.definitions.read(&self.text[self.outside..begin]);
        self.open = Some(Open {
            question,
            begin,
            body,
        });
        Ok(body)
    }

    /// An answer ends.
    fn end(&mut self, end: usize) -> Result<(), SubmissionError> {
        let Some(open) = self.open.take() else {
            let message = r"\end{answer} ends nothing; \begin{answer}{…} is expected before it";
            return Err(self.error(end, message));
        };
        let body = &self.text[open.body..end];
        self.outside = end;
        self.bodies.push((open, body));
        Ok(())
    }

    /// The assignment is named.
    fn assignment(&mut self, at: usize, name: &str) -> Result<(), SubmissionError> {
        let name = id(name).map_err(|message| self.error(at, message))?;
        match &self.submission.assignment {
            Some(first) if *first != name => {
                let message = format!("the assignment is {name} here and {first} before");
                Err(self.error(at, message))
            }
            _ => {
                self.submission.assignment = Some(name);
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<Submission, SubmissionError> {
        if let Some(open) = &self.open {
            let message = format!(
                r"answer {} begins here and does not end; \end{{answer}} is expected",
                open.question
            );
            return Err(self.error(open.begin, message));
        }
        self.definitions.read(&self.text[self.outside..]);
        for (open, body) in std::mem::take(&mut self.bodies) {
            let body = body.trim();
            // A definition does not fill a blank answer.
            let used = self.definitions.used_by(body);
            let added = self.answers.insert(open.question, used + body);
            added.map_err(|message| self.error(open.begin, message))?;
        }
        Ok(Submission {
            answers: self.answers.filled(),
            ..self.submission
        })
    }

    fn error(&self, byte: usize, message: impl Into<String>) -> SubmissionError {
        SubmissionError::at(self.text, byte, message)
    }
}

/// The text without comments but with their line breaks, so that line numbers match the file.
fn without_comments(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let (mut escaped, mut comment) = (false, false);
    for c in source.chars() {
        comment = c != '\n' && (comment || (c == '%' && !escaped));
        escaped = c == '\\' && !escaped;
        if !comment {
            text.push(c);
        }
    }
    text
}

/// The text with what stands between `\makeatletter` and `\makeatother` blanked out, with its line breaks: the inside of
/// packages, such as the sheet's own.
fn without_internals(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(r"\makeatletter") {
        let (before, inside) = rest.split_at(start);
        let length = inside.find(r"\makeatother").unwrap_or(inside.len());
        written.push_str(before);
        let blank = |c: char| if c == '\n' { c } else { ' ' };
        written.extend(inside[..length].chars().map(blank));
        rest = &inside[length..];
    }
    written.push_str(rest);
    written
}

/// The command whose backslash is at `start`, and the byte after it; `\\` and `\%` are commands of one character.
fn command(text: &str, start: usize) -> (&str, usize) {
    let rest = &text[start + 1..];
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic());
    let length = match letters.unwrap_or(rest.len()) {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        letters => letters,
    };
    (&rest[..length], start + 1 + length)
}

/// The argument `{…}` without braces inside, and the byte after it.
fn argument(text: &str, at: usize) -> Option<(&str, usize)> {
    let open = at + text[at..].len() - text[at..].trim_start().len();
    let inside = text[open..].strip_prefix('{')?;
    let length = inside.find(['{', '}', '\\'])?;
    inside[length..].starts_with('}').then_some(())?;
    Some((inside[..length].trim(), open + 1 + length + 1))
}
