//! Roles, and identities that have one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a person or a program may do. The table of the rights is the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Works in sessions of its own, and has answers graded.
    Student,
    /// Grades, and does nothing else: the program that grades a course's hand-ins.
    Grader,
    /// Reads all sessions, and sets tasks.
    Instructor,
    /// An instructor who also deletes what others left, and reads the settings.
    Admin,
}

impl Role {
    /// All roles, the one with the fewest rights first.
    pub const ALL: [Self; 4] = [Self::Student, Self::Grader, Self::Instructor, Self::Admin];

    /// The name, as tokens spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Grader => "grader",
            Self::Instructor => "instructor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roles are student, grader, instructor and admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or(UnknownRole)
    }
}

/// Whose sessions a call may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those that the caller created.
    Own,
    /// All.
    Any,
}

/// A caller that has proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person or program.
    pub subject: Arc<str>,
    /// Its role.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_written_and_no_other_way() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for text in ["", "Student", "student ", "root", "students"] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole), "{text}");
        }
    }
}
