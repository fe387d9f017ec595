//! The failure of a command: its message and exit code.

use std::fmt;

use backpropd_client::explain;
use tonic::Status;

use crate::config::ConfigError;

/// The shell convention for a process that SIGINT ended: 128 + 2.
pub const INTERRUPTED: u8 = 130;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code: 1 failed, 2 invalid arguments or data, 130 interrupted.
    pub code: i32,
    message: String,
}

impl Failure {
    /// The exit code for invalid arguments or data.
    pub const USAGE: i32 = 2;

    /// The command failed for another reason than its arguments or data.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            message: message.into(),
        }
    }

    /// The arguments or the data are invalid.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: Self::USAGE,
            message: message.into(),
        }
    }
}

impl Failure {
    /// The user pressed Ctrl-C.
    #[must_use]
    pub fn interrupted() -> Self {
        Self {
            code: i32::from(INTERRUPTED),
            message: "interrupted".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::failed(explain(&status))
    }
}
