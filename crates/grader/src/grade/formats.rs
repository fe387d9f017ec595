//! Renders a report in the formats of terminals and autograders. Returns strings and writes nothing.

mod gradescope;
pub mod html;
mod json;
mod junit;
mod mathml;
mod prairielearn;
mod printable;
mod style;
mod text;

use std::fmt;
use std::str::FromStr;

pub use self::printable::{commands, printable, printable_name};
pub use self::style::Style;
use super::GradeReport;

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal.
    Text,
    /// The report itself, for programs.
    Json,
    /// Gradescope's `results.json`.
    Gradescope,
    /// PrairieLearn's external grader.
    PrairieLearn,
    /// JUnit XML.
    Junit,
    /// GitHub Classroom's autograder.
    GitHub,
    /// Autolab, whose last line is the scores.
    Autolab,
    /// A page for the student.
    Html,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Json,
        Self::Gradescope,
        Self::PrairieLearn,
        Self::Junit,
        Self::GitHub,
        Self::Autolab,
        Self::Html,
    ];

    /// Its name, as on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Gradescope => "gradescope",
            Self::PrairieLearn => "prairielearn",
            Self::Junit => "junit",
            Self::GitHub => "github",
            Self::Autolab => "autolab",
            Self::Html => "html",
        }
    }

    /// The report in this format, ending in a newline.
    pub fn write(self, report: &GradeReport, style: &Style<'_>) -> String {
        match self {
            Self::Text => text::write(report, style),
            Self::Json => json::report(report),
            Self::Gradescope => gradescope::write(report, style),
            Self::PrairieLearn => prairielearn::write(report, style),
            Self::Junit => junit::write(report, style),
            Self::GitHub => json::github(report, style),
            Self::Autolab => format!("{}{}", text::write(report, style), json::autolab(report)),
            Self::Html => html::write(report, style),
        }
    }

    /// The result of a hand-in that cannot be read, with the reason, in the format of an autograder: 0 points, or no
    /// attempt where the platform has a word for that. `questions` are those that were to be answered.
    pub fn refuse(self, reason: &str, questions: &[(String, f64)]) -> String {
        match self {
            Self::Gradescope => gradescope::refuse(reason),
            Self::PrairieLearn => prairielearn::refuse(reason),
            Self::GitHub => json::refuse_github(reason, questions),
            Self::Autolab => format!("{reason}\n{}", json::refuse_autolab(questions)),
            Self::Json => json::refuse(reason),
            Self::Junit => junit::refuse(reason),
            Self::Html => html::page("Not read", &format!("<p>{}</p>\n", html::escape(reason))),
            Self::Text => format!("{reason}\n"),
        }
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text | Self::Autolab => "txt",
            Self::Json | Self::Gradescope | Self::PrairieLearn | Self::GitHub => "json",
            Self::Junit => "xml",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.word() == word);
        found.ok_or_else(|| {
            format!(
                "{word:?} is not a format; known are {}",
                Self::ALL.map(Self::word).join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests;
