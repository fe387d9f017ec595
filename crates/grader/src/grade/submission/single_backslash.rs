//! JSON whose LaTeX was typed with single backslashes. `"\delta"` is no JSON, and `"\beta"` is JSON for another text: a
//! backspace before `eta`. Such a string is recognized, and its backslashes are doubled.

use super::content::SubmissionError;

/// LaTeX commands that begin like the escapes `\n`, `\r` and `\t`, and are long enough not to be a word after a line
/// break.
const LIKE_ESCAPES: [&str; 21] = [
    "nabla", "neq", "not", "notag", "nonumber", "theta", "text", "textbf", "textit", "textrm",
    "times", "top", "tfrac", "tilde", "tanh", "tau", "right", "rangle", "rho", "rvert", "rVert",
];

/// A JSON text with doubled backslashes.
pub(super) struct Doubled {
    pub(super) text: String,
    /// The line and the column of each backslash that was added, from 1.
    added: Vec<(usize, usize)>,
}

impl Doubled {
    /// The column of the original text that became this one.
    pub(super) fn original_column(&self, line: usize, column: usize) -> usize {
        let before = |at: &&(usize, usize)| at.0 == line && at.1 <= column;
        column - self.added.iter().filter(before).count().min(column - 1)
    }
}

/// The text with the backslashes doubled in each string that holds LaTeX with single ones; `None` if there is none.
///
/// # Errors
/// A string in which some backslashes are single and others are doubled: either reading changes a part of it.
pub(super) fn doubled(text: &str) -> Result<Option<Doubled>, SubmissionError> {
    let mut written = Doubled {
        text: String::with_capacity(text.len() + text.len() / 8),
        added: Vec::new(),
    };
    let (mut line, mut column) = (1, 1);
    let mut at = 0;
    while let Some(quote) = text[at..].find('"') {
        let start = at + quote + 1;
        let end = end_of_string(text, start);
        let inside = &text[start..end];
        let is_latex = is_latex(inside);
        if is_latex && has_doubled_commands(inside) && !inside.contains(r"\begin") {
            let message = "a command is written with one backslash and another one with two; in JSON, each takes two, such \
                 as \"\\\\delta\". A .toml file takes LaTeX as it is, between single quotes";
            return Err(SubmissionError::at(text, start, message));
        }
        for c in text[at..start].chars() {
            written.push(c, &mut line, &mut column);
        }
        let mut characters = inside.chars().peekable();
        while let Some(c) = characters.next() {
            written.push(c, &mut line, &mut column);
            if c != '\\' {
                continue;
            }
            let Some(next) = characters.next() else { break };
            if is_latex && !stays_escape(next, characters.peek().copied()) {
                written.added.push((line, column));
                written.push('\\', &mut line, &mut column);
            }
            written.push(next, &mut line, &mut column);
            if is_latex && next == '\\' {
                written.added.push((line, column));
                written.push('\\', &mut line, &mut column);
            }
        }
        at = end;
        if let Some(c) = text[end..].chars().next() {
            written.push(c, &mut line, &mut column);
            at += 1;
        }
    }
    written.text.push_str(&text[at..]);
    Ok((!written.added.is_empty()).then_some(written))
}

impl Doubled {
    fn push(&mut self, c: char, line: &mut usize, column: &mut usize) {
        self.text.push(c);
        // serde_json counts bytes.
        *column += c.len_utf8();
        if c == '\n' {
            *line += 1;
            *column = 1;
        }
    }
}

/// The byte of the quote that ends the string which begins at `start`, or the end of the text.
fn end_of_string(text: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in text[start..].bytes().enumerate() {
        if byte == b'"' && !escaped {
            return start + at;
        }
        escaped = byte == b'\\' && !escaped;
    }
    text.len()
}

/// The text after each backslash that is not itself escaped.
fn escapes(inside: &str) -> impl Iterator<Item = &str> {
    let mut rest = inside;
    std::iter::from_fn(move || {
        let after = &rest[rest.find('\\')? + 1..];
        let next = after.chars().next().map_or(0, char::len_utf8);
        rest = &after[next..];
        Some(after)
    })
}

/// Whether JSON would read a command of LaTeX as an escape, or cannot read it.
fn is_latex(inside: &str) -> bool {
    escapes(inside).any(|after| {
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let word = &after[..letters.unwrap_or(after.len())];
        match after.chars().next() {
            None | Some('"' | '\\' | '/') => false,
            Some('b' | 'f') => word.len() > 1,
            Some('n' | 'r' | 't') => LIKE_ESCAPES.contains(&word),
            Some('u') => !is_code_point(after),
            Some(_) => true,
        }
    })
}

fn has_doubled_commands(inside: &str) -> bool {
    escapes(inside).any(|after| {
        let mut characters = after.chars();
        characters.next() == Some('\\')
            && characters
                .next()
                .is_some_and(|next| next.is_ascii_alphabetic())
    })
}

/// Whether `\` with `first`, then `second`, is an escape even among LaTeX: a quote, or a line break before no letter.
fn stays_escape(first: char, second: Option<char>) -> bool {
    match first {
        '"' | '/' => true,
        'n' | 'r' | 't' => !second.is_some_and(|second| second.is_ascii_alphabetic()),
        'u' => second.is_some_and(|second| second.is_ascii_digit()),
        _ => false,
    }
}

fn is_code_point(after: &str) -> bool {
    let digits = after.bytes().skip(1).take(4);
    digits.clone().count() == 4 && digits.into_iter().all(|byte| byte.is_ascii_hexdigit())
}
