//! A student's own commands. An answer is graded by itself, so each takes along the definitions that it uses.

use std::collections::BTreeMap;

/// The commands that define one, and whether the new name stands before a parameter text as TeX's own `\def` has it.
const DEFINING: [(&str, bool); 7] = [
    ("newcommand", false),
    ("renewcommand", false),
    ("providecommand", false),
    ("DeclareMathOperator", false),
    ("def", true),
    ("gdef", true),
    ("edef", true),
];

/// The definitions of a document: its text by the name that each defines; the last one of a name holds.
#[derive(Default)]
pub(super) struct Definitions<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Definitions<'a> {
    /// Reads those of a piece of text without comments; what is no definition is passed by.
    pub(super) fn read(&mut self, text: &'a str) {
        let mut at = 0;
        while let Some(found) = text[at..].find('\\') {
            let start = at + found;
            let (name, after) = command(&text[start..]);
            at = start + after;
            let kind = DEFINING.iter().find(|(known, _)| *known == name);
            let Some((_, is_plain)) = kind else { continue };
            if let Some((defined, length)) = definition(&text[at..], *is_plain) {
                self.0.insert(defined, &text[start..at + length]);
                at += length;
            }
        }
    }

    /// The definitions that an answer uses, directly or through others, each on its line, in the order of their names.
    pub(super) fn used_by(&self, answer: &str) -> String {
        let mut used: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![answer];
        while let Some(text) = open.pop() {
            for name in commands(text) {
                if let Some((&name, &definition)) = self.0.get_key_value(name)
                    && used.insert(name, definition).is_none()
                {
                    open.push(definition);
                }
            }
        }
        let lines = used.values().map(|definition| format!("{definition}\n"));
        lines.collect()
    }
}

/// The name of the command with which `text` begins, and its length with the backslash.
fn command(text: &str) -> (&str, usize) {
    let rest = &text[1..];
    let length = match rest.find(|c: char| !c.is_ascii_alphabetic()) {
        Some(0) => rest.chars().next().map_or(0, char::len_utf8),
        Some(letters) => letters,
        None => rest.len(),
    };
    (&rest[..length], 1 + length)
}

fn commands(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[rest.find('\\')?..];
        let (name, length) = command(rest);
        rest = &rest[length..];
        Some(name)
    })
}

/// The name defined by the text after a defining command, and the length of the definition.
fn definition(text: &str, is_plain: bool) -> Option<(&str, usize)> {
    let mut rest = text.strip_prefix('*').unwrap_or(text).trim_start();
    let braced = rest.strip_prefix('{').map(str::trim_start);
    let named = braced.unwrap_or(rest);
    named.strip_prefix('\\')?;
    let (name, length) = command(named);
    rest = &named[length..];
    if braced.is_some() {
        rest = rest.trim_start().strip_prefix('}')?;
    }
    if is_plain {
        rest = &rest[rest.find('{')?..];
    } else {
        for _ in 0..2 {
            let optional = rest.trim_start();
            if optional.starts_with('[') {
                rest = &optional[optional.find(']')? + 1..];
            }
        }
    }
    let body = rest.trim_start();
    let end = text.len() - body.len() + group(body)?;
    Some((name, end))
}

/// The length of the group `{…}` with which `text` begins.
fn group(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0usize, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if !escaped => depth += 1,
            b'}' if !escaped => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at + 1);
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}
