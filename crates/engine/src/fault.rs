//! Violations: everything that is wrong with a value from a client, each with its field.

use std::fmt::{self, Write as _};

/// The longest part of a client's value that a message repeats, in characters.
const LONGEST_GIVEN: usize = 60;

/// The most violations to store; further ones are only counted.
const MOST_KEPT: usize = 100;

/// A violation: the field, the given value, and the allowed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `layers[2].units`.
    pub field: String,
    /// The given value, the allowed ones, and what to do.
    pub description: String,
}

/// The violations of one value, in the order of detection. The client decides how many there are, so only the first
/// hundred are stored, and each repeats only a short part of the client's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    more: usize,
}

/// A writer that stops with an error at a maximum length.
struct TruncatingWriter {
    text: String,
    left: usize,
}

impl fmt::Write for TruncatingWriter {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for letter in more.chars() {
            if self.left == 0 {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push(letter);
            self.left -= 1;
        }
        Ok(())
    }
}

impl Violations {
    /// No violations yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that `field` holds `given` where `allowed` is expected.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        given: impl fmt::Display,
        allowed: impl fmt::Display,
    ) {
        if self.kept.len() >= MOST_KEPT {
            self.more += 1;
            return;
        }
        let mut shortened = TruncatingWriter {
            text: String::new(),
            left: LONGEST_GIVEN,
        };
        // An error only means that the maximum length is reached.
        let _ = write!(shortened, "{given}");
        let given = shortened.text;
        self.push(Violation {
            field: field.into(),
            description: format!("given {given}; allowed: {allowed}"),
        });
    }

    fn push(&mut self, violation: Violation) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push(violation);
        } else {
            self.more += 1;
        }
    }

    /// The value of a part whose paths need no prefix; records its violations.
    pub fn take_own<V>(&mut self, part: Result<V, Self>) -> Option<V> {
        let absorb = |faults: Self| {
            self.more += faults.more;
            faults.kept.into_iter().for_each(|fault| self.push(fault));
        };
        part.map_err(absorb).ok()
    }

    /// Adds the violations of a part at `prefix`.
    pub fn extend_at(&mut self, prefix: &str, part: Self) {
        self.more += part.more;
        for violation in part.kept {
            self.push(Violation {
                field: if violation.field.is_empty() {
                    prefix.to_owned()
                } else {
                    format!("{prefix}.{}", violation.field)
                },
                description: violation.description,
            });
        }
    }

    /// The value of a part at `prefix`; records its violations.
    pub fn take_at<V>(&mut self, prefix: &str, part: Result<V, Self>) -> Option<V> {
        part.map_err(|faults| self.extend_at(prefix, faults)).ok()
    }

    /// Whether there is no violation.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The first hundred violations.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }

    /// The number of violations.
    pub fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// `value` if there is no violation, else the violations.
    pub fn into_result<V>(self, value: Option<V>) -> Result<V, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.kept.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{}: {}",
                violation.field, violation.description
            )?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_faults_are_counted_and_few_are_kept() {
        let mut part = Violations::new();
        for at in 0..50_000 {
            part.add(format!("part[{at}]"), at, "nothing");
        }
        assert_eq!((part.len(), part.iter().count()), (50_000, MOST_KEPT));
        let mut all = Violations::new();
        all.add("own", 1, 2);
        all.extend_at("prefix", part.clone());
        assert!(all.take_own::<()>(Err(part)).is_none());
        assert_eq!((all.len(), all.iter().count()), (100_001, MOST_KEPT));
        assert!(all.to_string().len() < 10_000);
        assert!(all.to_string().ends_with("; and 99901 more"), "{all}");
    }

    #[test]
    fn a_long_value_is_not_written_out_to_be_cut() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("é, ")?;
                }
            }
        }
        let mut violations = Violations::new();
        violations.add("shape", Endless, "two axes");
        violations.add("short", "a".repeat(LONGEST_GIVEN), "anything");
        let text = violations.to_string();
        assert!(
            text.contains("é…; allowed: two axes") || text.contains(", …; allowed"),
            "{text}"
        );
        assert!(!text.contains("aa…"), "{text}");
    }
}
