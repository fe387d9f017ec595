//! Expands the macros that an answer defines, within limits, before anything else reads it.

use std::collections::BTreeMap;

use super::super::lexer::MAX_BYTES;
use super::super::{Fault, FormulaError, Span};
use super::source::{Draft, Source};

/// The longest text that macros may expand to, in bytes.
const MAX_EXPANSION: usize = 64 << 10;
/// How deep macros may use each other. Deeper means that one uses itself.
const MAX_DEPTH: usize = 24;
/// What one use counts beside its text, so that macros that expand to nothing are bounded too.
const USE: usize = 16;

/// The commands that define a macro.
const DEFINING: &[&str] = &[
    "newcommand",
    "renewcommand",
    "providecommand",
    "DeclareMathOperator",
    "def",
];

/// A macro: how many arguments it takes, what the first is if it is left out, and its text.
struct Macro {
    arguments: usize,
    default: Option<String>,
    body: String,
}

/// The text with macros expanded and their definitions taken out.
///
/// # Errors
/// A definition that cannot be read, a use without its arguments, more expansion than is allowed.
pub(super) fn expand(source: Source<'_>) -> Result<Source<'_>, FormulaError> {
    let defines = |name: &&str| source.text().contains(&format!("\\{name}"));
    if !source.text().contains('\\') || !DEFINING.iter().any(defines) {
        return Ok(source);
    }
    let (macros, edits) = definitions(&source)?;
    if edits.is_empty() {
        return Ok(source);
    }
    let source = source.edited(&edits);
    let mut expansion = Expansion {
        macros: &macros,
        spent: 0,
        draft: Draft::default(),
    };
    expansion.run(&source)?;
    Ok(expansion.draft.finish())
}

fn error(fault: Fault, span: Span, message: impl Into<String>) -> FormulaError {
    FormulaError::new(fault, span, message)
}

/// The letters of a command whose backslash is at `at`.
fn command_at(text: &str, at: usize) -> Option<&str> {
    let after = text[at..].strip_prefix('\\')?;
    let end = after
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(after.len());
    (end > 0).then(|| &after[..end])
}

fn skip_blanks(text: &str, at: usize) -> usize {
    at + (text[at..].len() - text[at..].trim_start().len())
}

/// The end of the `{…}` or `[…]` that opens at `at`.
fn group_end(text: &str, at: usize) -> Option<usize> {
    let (open, close) = match text[at..].chars().next()? {
        '{' => ('{', '}'),
        '[' => ('[', ']'),
        _ => return None,
    };
    let mut depth = 0_usize;
    let mut escaped = false;
    for (here, c) in text[at..].char_indices() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ if escaped => {}
            _ if c == open => depth += 1,
            _ if c == close => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + here + c.len_utf8());
                }
            }
            _ => {}
        }
        escaped = false;
    }
    None
}

type Definitions = (BTreeMap<String, Macro>, Vec<super::source::Edit>);

fn definitions(source: &Source<'_>) -> Result<Definitions, FormulaError> {
    let text = source.text();
    let (mut macros, mut edits) = (BTreeMap::new(), Vec::new());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        let Some(command) = command_at(text, start) else {
            at = (start + 2).min(text.len());
            at = text.ceil_char_boundary(at);
            continue;
        };
        at = start + 1 + command.len();
        if !DEFINING.contains(&command) {
            continue;
        }
        let Some((name, read, end)) = definition(text, command, at) else {
            let span = source.span(Span { start, end: at });
            let message = format!(
                "This \\{command} cannot be read; write it as \\newcommand{{\\name}}[1]{{… #1 …}}."
            );
            return Err(error(Fault::Syntax, span, message));
        };
        macros.insert(name, read);
        edits.push((start..end, " ".to_owned()));
        at = end;
    }
    Ok((macros, edits))
}

/// The name, the macro, and the end of a definition whose command ends at `at`.
fn definition(text: &str, command: &str, mut at: usize) -> Option<(String, Macro, usize)> {
    if text[at..].starts_with('*') {
        at += 1;
    }
    at = skip_blanks(text, at);
    let name = if text[at..].starts_with('{') {
        let end = group_end(text, at)?;
        let inner = text[at + 1..end - 1].trim();
        at = end;
        command_at(inner, 0).filter(|name| name.len() + 1 == inner.len())?
    } else {
        let name = command_at(text, at)?;
        at += 1 + name.len();
        name
    };
    let (mut arguments, mut default) = (0, None);
    if command == "def" {
        at = skip_blanks(text, at);
        while text[at..].starts_with('#') {
            let digit = text[at + 1..].chars().next()?.to_digit(10)? as usize;
            if digit != arguments + 1 {
                return None;
            }
            arguments = digit;
            at = skip_blanks(text, at + 2);
        }
    } else {
        at = skip_blanks(text, at);
        if text[at..].starts_with('[') {
            let end = group_end(text, at)?;
            arguments = text[at + 1..end - 1].trim().parse().ok()?;
            at = skip_blanks(text, end);
            if text[at..].starts_with('[') {
                let end = group_end(text, at)?;
                default = Some(text[at + 1..end - 1].to_owned());
                at = end;
            }
        }
    }
    at = skip_blanks(text, at);
    let (body, end) = if text[at..].starts_with('{') {
        let end = group_end(text, at)?;
        (&text[at + 1..end - 1], end)
    } else if command == "def" {
        return None;
    } else {
        let body = command_at(text, at)?;
        (&text[at..at + 1 + body.len()], at + 1 + body.len())
    };
    if arguments > 9 {
        return None;
    }
    let body = if command == "DeclareMathOperator" {
        format!("\\operatorname{{{body}}}")
    } else {
        body.to_owned()
    };
    let read = Macro {
        arguments,
        default,
        body,
    };
    Some((name.to_owned(), read, end))
}

struct Expansion<'m> {
    macros: &'m BTreeMap<String, Macro>,
    spent: usize,
    draft: Draft,
}

impl Expansion<'_> {
    /// Copies the source, with every use of a macro expanded.
    fn run(&mut self, source: &Source<'_>) -> Result<(), FormulaError> {
        let text = source.text();
        let (mut at, mut kept) = (0, 0);
        while let Some(found) = text[at..].find('\\') {
            let start = at + found;
            let Some(name) = command_at(text, start) else {
                at = text.ceil_char_boundary((start + 2).min(text.len()));
                continue;
            };
            at = start + 1 + name.len();
            let Some(used) = self.macros.get(name) else {
                continue;
            };
            self.draft.keep(source, kept..start);
            let place = source.span(Span { start, end: at });
            let (arguments, end) = arguments(text, name, used, at, place)?;
            let place = source.span(Span { start, end });
            let body = substituted(&used.body, &arguments);
            self.put(&body, place, 1)?;
            at = end;
            kept = at;
            self.part_from(&text[at..], place);
        }
        self.draft.keep(source, kept..text.len());
        self.hold(source.span(Span {
            start: 0,
            end: text.len(),
        }))
    }

    /// Adds the text of a macro, with the macros in it expanded.
    fn put(&mut self, text: &str, place: Span, depth: usize) -> Result<(), FormulaError> {
        if depth > MAX_DEPTH {
            let message = "This macro uses itself; write the formula without it.";
            return Err(error(Fault::TooLarge, place, message));
        }
        self.spent += USE + text.len();
        self.hold(place)?;
        let (mut at, mut kept) = (0, 0);
        while let Some(found) = text[at..].find('\\') {
            let start = at + found;
            let Some(name) = command_at(text, start) else {
                at = text.ceil_char_boundary((start + 2).min(text.len()));
                continue;
            };
            at = start + 1 + name.len();
            let Some(used) = self.macros.get(name) else {
                continue;
            };
            self.draft.put(&text[kept..start], place);
            let (arguments, end) = arguments(text, name, used, at, place)?;
            self.put(&substituted(&used.body, &arguments), place, depth + 1)?;
            at = end;
            kept = at;
            self.part_from(&text[at..], place);
        }
        self.draft.put(&text[kept..], place);
        Ok(())
    }

    /// A blank where a command at the end would run together with the letter that follows.
    fn part_from(&mut self, rest: &str, place: Span) {
        let is_letter = |c: char| c.is_ascii_alphabetic();
        if self.draft.text().ends_with(is_letter) && rest.starts_with(is_letter) {
            self.draft.put(" ", place);
        }
    }

    fn hold(&self, place: Span) -> Result<(), FormulaError> {
        if self.spent <= MAX_EXPANSION && self.draft.len() <= MAX_EXPANSION + MAX_BYTES {
            return Ok(());
        }
        let message = format!(
            "The macros expand to more than {} KiB. Write the formula without them.",
            MAX_EXPANSION >> 10
        );
        Err(error(Fault::TooLarge, place, message))
    }
}

/// The arguments of a use whose name ends at `at`, and the end of the last.
fn arguments(
    text: &str,
    name: &str,
    used: &Macro,
    mut at: usize,
    place: Span,
) -> Result<(Vec<String>, usize), FormulaError> {
    let mut found = Vec::with_capacity(used.arguments);
    while found.len() < used.arguments {
        let next = skip_blanks(text, at);
        if let (true, Some(default)) = (found.is_empty(), &used.default) {
            if text[next..].starts_with('[')
                && let Some(end) = group_end(text, next)
            {
                found.push(text[next + 1..end - 1].to_owned());
                at = end;
            } else {
                found.push(default.clone());
            }
            continue;
        }
        let (argument, end) = match text[next..].chars().next() {
            Some('{') => match group_end(text, next) {
                Some(end) => (&text[next + 1..end - 1], end),
                None => ("", next),
            },
            Some('\\') => {
                let length = command_at(text, next).map_or(1, str::len);
                let end = text.ceil_char_boundary((next + 1 + length).min(text.len()));
                (&text[next..end], end)
            }
            Some(c) if c != '}' => (&text[next..next + c.len_utf8()], next + c.len_utf8()),
            _ => ("", next),
        };
        if end == next {
            let message = format!(
                "The macro \\{name} takes {}; found {}.",
                counted(used.arguments),
                found.len()
            );
            return Err(error(Fault::Syntax, place, message));
        }
        found.push(argument.to_owned());
        at = end;
    }
    Ok((found, at))
}

fn counted(arguments: usize) -> String {
    match arguments {
        1 => "1 argument".to_owned(),
        more => format!("{more} arguments"),
    }
}

/// The body with `#1` … replaced.
fn substituted(body: &str, arguments: &[String]) -> String {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    let part = |text: &mut String, next: &str| {
        let is_letter = |c: char| c.is_ascii_alphabetic();
        if text.ends_with(is_letter) && next.starts_with(is_letter) {
            text.push(' ');
        }
    };
    while let Some(at) = rest.find('#') {
        text.push_str(&rest[..at]);
        let digit = rest[at + 1..].chars().next().and_then(|c| c.to_digit(10));
        match digit.and_then(|digit| arguments.get((digit as usize).wrapping_sub(1))) {
            Some(argument) => {
                part(&mut text, argument);
                text.push_str(argument);
                rest = &rest[at + 2..];
                part(&mut text, rest);
            }
            None => {
                text.push('#');
                rest = &rest[at + 1..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::Span;
    use super::super::source::Source;
    use super::expand;

    fn expanded(text: &str) -> Result<String, String> {
        let source = expand(Source::new(text)).map_err(|error| error.message)?;
        Ok(source.text().trim().to_owned())
    }

    #[test]
    fn macros_expand_with_their_arguments() {
        for (text, wanted) in [
            (r"\newcommand{\d}{\delta}\d h^2", r"\delta h^2"),
            (r"\newcommand\d{\delta}\d W", r"\delta W"),
            (r"\newcommand{\T}[1]{#1^\top} \T{W^3}", r"W^3^\top"),
            (r"\def\g#1#2{\frac{#1}{#2}}\g{a}{b}", r"\frac{a}{b}"),
            (r"\newcommand{\p}[2][l]{#1/#2}\p{W} \p[f]{W}", "l/W f/W"),
            (
                r"\DeclareMathOperator{\dg}{diag}\dg(z)",
                r"\operatorname{diag}(z)",
            ),
            (
                r"\newcommand{\a}[1]{\b{#1}}\newcommand{\b}[1]{(#1)}\a{\a{x}}",
                "((x))",
            ),
            (r"\renewcommand*{\vec}[1]{\mathbf{#1}}\vec x", r"\mathbf{x}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn macros_without_an_end_are_refused() {
        for (text, piece) in [
            (r"\def\a{\a}\a", "uses itself"),
            (r"\newcommand{\a}{\b}\newcommand{\b}{\a}\b", "uses itself"),
            (
                r"\def\a#1{#1#1#1#1}\a{\a{\a{\a{\a{\a{\a{\a{\a{xxxx}}}}}}}}}",
                "64 KiB",
            ),
            (r"\newcommand{\T}[1]{#1^\top} \T", "takes 1 argument"),
            (r"\newcommand\delta", "cannot be read"),
        ] {
            let message = expanded(text).expect_err(text);
            assert!(message.contains(piece), "{text}: {message}");
        }
    }

    #[test]
    fn a_place_in_an_expansion_is_the_use() {
        let text = r"\newcommand{\d}{\delta h}a \d b";
        let source = expand(Source::new(text)).expect("it expands");
        let at = source.text().find("delta").expect("expanded");
        let place = source.span(Span {
            start: at,
            end: at + 5,
        });
        assert_eq!(&text[place.start..place.end], r"\d");
    }
}
