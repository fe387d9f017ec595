//! Renders a report in the formats of terminals and autograders. Returns strings and writes nothing.

mod gradescope;
mod json;
mod junit;
mod prairielearn;
mod printable;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use self::printable::{printable, printable_name};
use super::{GradeReport, QuestionReport, Verdict};

/// Input of a format besides the report.
#[derive(Clone, Debug, Default)]
pub struct Style<'a> {
    /// Whether to colour the output, for a terminal.
    pub colour: bool,
    /// The submitted answers, to underline parts of them.
    pub answers: Option<&'a BTreeMap<String, String>>,
    /// The duration of grading, in seconds, for formats that show it.
    pub seconds: f64,
}

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
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Json,
        Self::Gradescope,
        Self::PrairieLearn,
        Self::Junit,
        Self::GitHub,
        Self::Autolab,
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

/// A number of points, without a trailing `.0`.
fn points(points: f64) -> String {
    let text = format!("{points:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The feedback on one question, in paragraphs of plain text.
fn explanation(question: &QuestionReport, style: &Style<'_>) -> Vec<String> {
    let mut paragraphs = vec![question.message.clone()];
    if question.verdict != Verdict::Correct {
        let answer = style.answers.and_then(|answers| answers.get(&question.id));
        if let (Some(answer), Some(span)) = (answer, question.span) {
            paragraphs.push(crate::formula::underline(answer, span));
        }
        if let Some(understood) = &question.understood {
            paragraphs.push(format!("Understood: {}", understood.plain));
        }
        if let Some(grid) = question.grid.as_ref().filter(|grid| grid.right.len() > 1) {
            paragraphs.push(format!("Entries right:\n{grid}"));
        }
    }
    paragraphs.extend(
        question
            .advice
            .iter()
            .map(|advice| format!("Advice: {advice}")),
    );
    paragraphs.extend(question.hints.iter().map(|hint| format!("Hint: {hint}")));
    paragraphs.extend(
        question
            .reference
            .iter()
            .map(|reference| format!("Right: {reference}")),
    );
    paragraphs
}

#[cfg(test)]
mod tests;
