//! What is wrong with a value that somebody sent: every fault of it, each with its place.

use std::fmt;

/// The longest piece of a caller's value that a message repeats, in characters.
const LONGEST_GIVEN: usize = 60;

/// One fault: where it is, what was given there and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `layers[2].units`.
    pub field: String,
    /// What was given, what is allowed and what to do.
    pub description: String,
}

/// All faults of one value, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// No faults so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `field` holds `given` where only `allowed` is.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        given: impl fmt::Display,
        allowed: impl fmt::Display,
    ) {
        let mut given = given.to_string();
        if let Some((cut, _)) = given.char_indices().nth(LONGEST_GIVEN) {
            given.truncate(cut);
            given.push('…');
        }
        self.0.push(Violation {
            field: field.into(),
            description: format!("given {given}; allowed: {allowed}"),
        });
    }

    /// Takes the value of a part whose paths need no prefix, or its faults.
    pub fn take_own<V>(&mut self, part: Result<V, Self>) -> Option<V> {
        part.map_err(|faults| self.0.extend(faults.0)).ok()
    }

    /// Takes over the faults of a part that sits at `prefix`.
    pub fn extend_at(&mut self, prefix: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|violation| Violation {
            field: if violation.field.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}.{}", violation.field)
            },
            description: violation.description,
        }));
    }

    /// Takes the value of a part that sits at `prefix`, or its faults.
    pub fn take_at<V>(&mut self, prefix: &str, part: Result<V, Self>) -> Option<V> {
        part.map_err(|faults| self.extend_at(prefix, faults)).ok()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// How many faults were found.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `value` where nothing is wrong, else the faults.
    pub fn into_result<V>(self, value: Option<V>) -> Result<V, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{}: {}",
                violation.field, violation.description
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
