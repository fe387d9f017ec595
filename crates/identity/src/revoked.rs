//! People and tokens that are refused although their token verifies.

use std::collections::HashSet;

use crate::check_name;

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokedError {
    /// It is not text.
    #[error("it is not text in UTF-8")]
    NotText,
    /// Lines that are none that a token could have: all of them.
    #[error(
        "not the sub or jti of a token: line {}; 1 to 256 bytes without control characters are allowed",
        listed(.0)
    )]
    Lines(Vec<usize>),
}

fn listed(lines: &[usize]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join(", ")
}

/// A list of `sub` and `jti`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked(HashSet<String>);

impl Revoked {
    /// Reads the content of a file: a `sub` or a `jti` a line. Empty lines, and lines that begin with `# `, do not
    /// count.
    ///
    /// # Errors
    /// Lines that match no token: to skip them would leave a revoked caller admitted.
    pub fn read(content: &[u8]) -> Result<Self, RevokedError> {
        let text = std::str::from_utf8(content).map_err(|_| RevokedError::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut all, mut faulty) = (HashSet::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line == "#" || line.starts_with("# ") {
                continue;
            }
            match check_name(line) {
                Ok(()) => {
                    all.insert(line.to_owned());
                }
                Err(_) => faulty.push(number),
            }
        }
        if faulty.is_empty() {
            Ok(Self(all))
        } else {
            Err(RevokedError::Lines(faulty))
        }
    }

    /// Whether the person, or the token of this name, is on the list.
    #[must_use]
    pub fn covers(&self, subject: &str, token: Option<&str>) -> bool {
        self.0.contains(subject) || token.is_some_and(|token| self.0.contains(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_people_and_tokens_and_a_line_that_is_neither_is_named() {
        let list = "\u{feff}alice\r\n\n# left the course\n  bob@uni.edu  \n#4711\ntoken-7\n";
        let list = Revoked::read(list.as_bytes()).expect("a list");
        assert!(list.covers("alice", None));
        assert!(list.covers("bob@uni.edu", Some("token-1")));
        assert!(list.covers("#4711", None));
        assert!(list.covers("carol", Some("token-7")));
        assert!(!list.covers("carol", Some("token-8")));
        assert!(!list.covers("left the course", None));
        assert_eq!(
            Revoked::read(b"a\nb\x07b\nc\n\0\n"),
            Err(RevokedError::Lines(vec![2, 4]))
        );
        assert_eq!(Revoked::read(b"\xff"), Err(RevokedError::NotText));
        assert_eq!(Revoked::read(b""), Ok(Revoked::default()));
    }
}
