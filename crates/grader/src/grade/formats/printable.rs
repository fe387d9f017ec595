//! Text for a terminal.

/// Text for a terminal: what would move the cursor, change colours or turn the direction of writing is written out.
/// Ends of lines and tabs stay.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if commands(c) && !matches!(c, '\n' | '\t') {
            printable.extend(c.escape_unicode());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Whether a terminal takes the character as a command, or turns the direction of the text by it.
#[must_use]
pub fn commands(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || c.is_control()
}

/// [`printable`] for a name: one line.
pub fn printable_name(name: &str) -> String {
    printable(name).replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(printable("δ\u{1b}[2J\ta\n"), "δ\\u{1b}[2J\ta\n");
        assert_eq!(printable_name("a\n\u{202e}b"), "a\\n\\u{202e}b");
    }
}
