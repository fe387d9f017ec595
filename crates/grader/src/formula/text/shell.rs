//! Takes off what a text has around its formulas: Markdown's fences, quotes, headings, bullets, numbers and emphasis.

use super::super::{Fault, FormulaError, Span};
use super::source::{Edit, Source};
use super::words;

/// Invisible characters that editors and web pages leave behind.
const INVISIBLE: &[char] = &[
    '\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{ad}',
];

/// The text without Markdown's fences and without invisible characters: what is left may be code.
pub(super) fn without_fences(source: Source<'_>) -> Source<'_> {
    let text = source.text();
    if text.is_ascii() && !text.contains("```") && !text.contains("~~~") {
        return source;
    }
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with("```") || bare.starts_with("~~~") {
            // A fence that opens and closes on one line has its content between.
            let marks: &[char] = &['`', '~'];
            let inner = bare.trim_matches(marks);
            let closes = bare.len() > 3 && bare.ends_with(&bare[..3]) && !inner.is_empty();
            if closes {
                let start = at + line.find(inner).unwrap_or(0);
                edits.push((at..start, String::new()));
                edits.push((
                    start + inner.len()..at + line.trim_end().len(),
                    String::new(),
                ));
            } else {
                edits.push((at..at + line.trim_end().len(), String::new()));
            }
        } else {
            for (here, found) in line.match_indices(INVISIBLE) {
                edits.push((at + here..at + here + found.len(), String::new()));
            }
        }
        at += line.len();
    }
    source.edited(&edits)
}

/// The text without comments behind plain code, as in `delta * h2  # the gradient`. A comment with a word that could
/// change the formula stays, and is refused.
pub(super) fn without_comments(source: Source<'_>) -> Source<'_> {
    let text = source.text();
    if !text.contains(" # ") || text.contains(['\\', '$', '^']) {
        return source;
    }
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((code, comment)) = line.split_once(" # ")
            && !code.trim().is_empty()
            && !comment.contains(|c: char| c.is_ascii_digit())
            && comment
                .split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | '/'))
                .filter(|word| !word.is_empty())
                .all(|word| words::is_remark(&word.to_lowercase()))
        {
            let end = at + line.trim_end().len();
            edits.push((at + code.len()..end, String::new()));
        }
        at += line.len();
    }
    source.edited(&edits)
}

/// The text without the rest of Markdown's marks.
///
/// # Errors
/// A dash that may be a bullet or a minus sign.
pub(super) fn without_marks(source: Source<'_>) -> Result<Source<'_>, FormulaError> {
    let text = source.text();
    let begins_plainly = !text.trim_start().starts_with(|c: char| {
        matches!(c, '>' | '#' | '-' | '*' | '+' | '•' | '(' | '_') || c.is_ascii_alphanumeric()
    });
    if begins_plainly && !text.contains('\n') && !text.contains("**") && !text.contains('`') {
        return Ok(source);
    }
    let mut edits: Vec<Edit> = Vec::new();
    let dashes = text
        .lines()
        .filter(|line| line.trim_start().starts_with("- "))
        .count();
    let (mut at, mut fresh) = (0, true);
    for line in text.split_inclusive('\n') {
        let blanks = line.len() - line.trim_start().len();
        let taken = prefix(line, blanks, fresh, dashes);
        match taken {
            Prefix::Bytes(0) => {}
            Prefix::Bytes(bytes) => edits.push((at + blanks..at + bytes, String::new())),
            Prefix::Unclear => {
                let span = source.span(Span {
                    start: at + blanks,
                    end: at + blanks + 1,
                });
                let message = "Is this “-” a bullet or a minus sign? Write the minus inside the formula, or leave the bullet out.";
                return Err(FormulaError::new(Fault::Syntax, span, message));
            }
        }
        let bare = line.trim();
        fresh = bare.is_empty() || bare.ends_with(':') || !matches!(taken, Prefix::Bytes(0));
        at += line.len();
    }
    emphasis(text, &mut edits);
    backticks(text, &mut edits);
    edits.sort_by_key(|(range, _)| range.start);
    // A mark inside a prefix that is gone is gone with it.
    let mut end = 0;
    edits.retain(|(range, _)| {
        let apart = range.start >= end;
        end = end.max(range.end);
        apart
    });
    Ok(source.edited(&edits))
}

enum Prefix {
    /// The bytes of the line up to its content, 0 if it has no prefix.
    Bytes(usize),
    Unclear,
}

/// What stands before the content of a line. A mark that may be an operator is one only in the middle of a formula:
/// not where a `fresh` text begins.
fn prefix(line: &str, blanks: usize, fresh: bool, dashes: usize) -> Prefix {
    let mut at = blanks;
    loop {
        let rest = &line[at..];
        let after = |mark: usize| {
            let behind = &rest[mark..];
            let space = behind.len() - behind.trim_start_matches([' ', '\t']).len();
            (space > 0 && !behind.trim().is_empty()).then_some(mark + space)
        };
        let taken = match rest.chars().next() {
            Some('>') if fresh && !rest.starts_with(">=") => after(1),
            Some('#') => after(rest.len() - rest.trim_start_matches('#').len()),
            Some('•' | '◦' | '▪') => after('•'.len_utf8()),
            Some('*' | '+') if fresh => after(1),
            Some('-' | '–') if fresh => {
                let mark = rest.chars().next().map_or(1, char::len_utf8);
                match after(mark) {
                    None => None,
                    Some(bytes) => {
                        let content = &rest[bytes..];
                        if begins_with_word(content) || content.starts_with("**") {
                            Some(bytes)
                        } else if dashes > 1 || content.starts_with(['$', '`']) {
                            return Prefix::Unclear;
                        } else {
                            None
                        }
                    }
                }
            }
            Some('(') if fresh => numbered(&rest[1..])
                .filter(|number| rest[1 + number..].starts_with(')'))
                .filter(|_| !rest.starts_with("(m)"))
                .and_then(|number| after(number + 2)),
            Some(c) if c.is_ascii_alphanumeric() && fresh => numbered(rest)
                .filter(|number| rest[*number..].starts_with([')', '.', ':']))
                .and_then(|number| after(number + 1))
                .filter(|bytes| !rest[*bytes..].starts_with(['*', '/', '@', '+'])),
            _ => None,
        };
        match taken {
            Some(bytes) => at += bytes,
            None => return Prefix::Bytes(if at == blanks { 0 } else { at }),
        }
    }
}

/// The bytes of a number such as 1, 12, 1.11, or of a single letter such as a; of a question's number with a Q too.
fn numbered(text: &str) -> Option<usize> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let first = digits(text);
    if first == 0 {
        let mut letters = text.chars();
        let is_letter = letters.next().is_some_and(|c| matches!(c, 'a'..='e'));
        return is_letter.then_some(1);
    }
    if first > 2 {
        return None;
    }
    if text[first..].starts_with('.') {
        let second = digits(&text[first + 1..]);
        if (1..=2).contains(&second) {
            return Some(first + 1 + second);
        }
    }
    Some(first)
}

/// Whether a line begins with a word that begins sentences, and no formula.
fn begins_with_word(text: &str) -> bool {
    const OPENING: &[&str] = &[
        "the",
        "answer",
        "final",
        "my",
        "therefore",
        "so",
        "hence",
        "thus",
        "we",
        "using",
        "since",
        "because",
        "let",
        "where",
        "result",
        "solution",
        "note",
        "then",
        "this",
        "apply",
        "applying",
        "gradient",
        "derivative",
        "here",
        "finally",
        "first",
        "by",
    ];
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let behind = text[end..].trim_start();
    let is_operand = behind.starts_with(['*', '@', '/', '+', '(', '[', '^', '_', '.']);
    OPENING.contains(&text[..end].to_ascii_lowercase().as_str()) && !is_operand
}

/// `**…**` around words or a whole formula, and `*…*` and `_…_` around words.
fn emphasis(text: &str, edits: &mut Vec<Edit>) {
    let mut at = 0;
    while let Some(found) = text[at..].find("**") {
        let start = at + found;
        at = start + 2;
        let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        let before = text[..start].chars().next_back();
        let opens = before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ':' | '>'))
            && text[at..].starts_with(|c: char| !c.is_whitespace());
        let Some(close) = text[at..line_end].find("**").map(|close| at + close) else {
            continue;
        };
        let behind = text[close + 2..].chars().next();
        let closes = text[at..close].ends_with(|c: char| !c.is_whitespace())
            && behind.is_none_or(|c| c.is_whitespace() || matches!(c, '.' | ',' | ':' | '$' | ')'));
        if opens && closes {
            edits.push((start..at, String::new()));
            edits.push((close..close + 2, String::new()));
            at = close + 2;
        }
    }
    let mut at = 0;
    while let Some(found) = text[at..].find(['*', '_']) {
        let start = at + found;
        at = start + 1;
        let mark = &text[start..at];
        let opens = text[..start]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace);
        let Some(close) = text[at..].find(mark).map(|close| at + close) else {
            continue;
        };
        let inner = &text[at..close];
        let is_prose = !inner.is_empty()
            && inner
                .chars()
                .all(|c| c.is_ascii_alphabetic() || matches!(c, ' ' | ':' | ','))
            && begins_with_word(inner);
        if opens && is_prose {
            edits.push((start..at, String::new()));
            edits.push((close..close + 1, String::new()));
            at = close + 1;
        }
    }
}

/// Backticks around a formula; beside a `$` they belong to it, alone they are one.
fn backticks(text: &str, edits: &mut Vec<Edit>) {
    for (at, _) in text.match_indices('`') {
        let before = text[..at].ends_with(['$', '`']);
        let behind = text[at + 1..].starts_with(['$', '`']);
        let mark = if before || behind { "" } else { "$" };
        edits.push((at..at + 1, mark.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::{without_fences, without_marks};

    fn bare(text: &str) -> Result<String, String> {
        let source = without_marks(without_fences(Source::new(text)));
        let source = source.map_err(|error| error.message)?;
        Ok(source.text().trim().to_owned())
    }

    #[test]
    fn marks_of_markdown_are_taken_off() {
        for (text, wanted) in [
            ("```latex\n\\delta\n```", "\\delta"),
            ("```math\n\\delta h\n```\n", "\\delta h"),
            ("> \\delta h^2", "\\delta h^2"),
            ("## Answer\n\\delta", "Answer\n\\delta"),
            ("**Answer:** $\\delta$", "Answer: $\\delta$"),
            ("**$\\delta$**", "$\\delta$"),
            ("1. $\\delta$", "$\\delta$"),
            ("1.11: \\delta", "\\delta"),
            ("(a) \\delta", "\\delta"),
            ("- the gradient is $x$", "the gradient is $x$"),
            ("* $x$", "$x$"),
            ("`delta * h2`", "$delta * h2$"),
            ("$`\\delta`$", "$\\delta$"),
            ("*Answer:* x", "Answer: x"),
            ("\u{feff}x\u{200b}y", "xy"),
        ] {
            assert_eq!(bare(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn operators_are_no_marks() {
        for text in [
            "- \\delta h^2",
            "-\\delta",
            "delta\n* h2",
            "z^2\n> 0",
            "x**2",
            "a ** b",
            "2 * x",
            "1.5 \\delta",
            "(z^2) x",
            "delta * h2 * m",
        ] {
            assert_eq!(bare(text).as_deref(), Ok(text), "{text}");
        }
        assert!(bare("- $\\delta$").is_err());
        assert!(bare("- \\delta\n- h^2").is_err());
    }
}
