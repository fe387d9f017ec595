//! The result of grading: one report, which every format renders.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Mistake;
use crate::formula::Span;

/// The verdict on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The right value and shape on every network.
    Correct,
    /// Wrong, but with partial credit.
    Partial,
    /// It evaluates, but its value or shape is wrong.
    Incorrect,
    /// It cannot be parsed, or its shapes do not fit; it does not count as an attempt.
    Invalid,
}

impl Verdict {
    /// The word as reports write it, such as `CORRECT`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Correct => "CORRECT",
            Self::Partial => "PARTIAL",
            Self::Incorrect => "INCORRECT",
            Self::Invalid => "INVALID",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Which entries of an answer are right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Rows of the answer.
    pub rows: usize,
    /// Columns of the answer.
    pub columns: usize,
    /// Whether each entry is right, row after row.
    pub right: Vec<bool>,
}

impl Grid {
    /// The share of entries that are right, 0 to 1.
    pub fn share(&self) -> f64 {
        let right = self.right.iter().filter(|&&right| right).count();
        right as f64 / self.right.len().max(1) as f64
    }
}

impl fmt::Display for Grid {
    /// One line per row, of ✓ and ✗.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, row) in self.right.chunks(self.columns.max(1)).enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            for (at, &right) in row.iter().enumerate() {
                let space = if at == 0 { "" } else { " " };
                write!(f, "{space}{}", if right { '✓' } else { '✗' })?;
            }
        }
        Ok(())
    }
}

/// How an answer was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// As LaTeX, for a math environment.
    pub latex: String,
    /// As plain text.
    pub plain: String,
}

/// The grading of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReport {
    /// The question's id, such as `1.11`.
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The points that the answer earns.
    pub points: f64,
    /// The points of a right answer.
    pub max_points: f64,
    /// The mistake, if one was recognized.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mistake: Option<Mistake>,
    /// The feedback for the student, in sentences.
    pub message: String,
    /// How the answer was understood; absent if it could not be parsed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub understood: Option<Understood>,
    /// The part of the answer in question, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<Span>,
    /// The first side of a chain `a = b = c` that is wrong, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_wrong_step: Option<usize>,
    /// The right entries, if the shape is right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grid: Option<Grid>,
    /// Advice on the notation, not on the content.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub advice: Vec<String>,
    /// The question's hints, as far as requested and allowed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hints: Vec<String>,
    /// The right formula in LaTeX, only if requested and allowed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
    /// The question's tags from the assignment.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// A stable line for class statistics.
    pub note: String,
    /// The ruling of a person that replaced the program's verdict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ruling: Option<Ruling>,
    /// The mistake, whether it is revealed or not. Reports leave it out: it is for the statistics of a server.
    #[serde(skip)]
    pub named: Option<Mistake>,
}

/// A person's ruling on an answer, in place of the program's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// The program's verdict.
    pub instead_of: Verdict,
    /// The person's reason.
    pub reason: String,
    /// The entry that holds the ruling, as `FILE:LINE`. Reports leave it out: it is for the grader of a class.
    #[serde(skip)]
    pub entry: String,
}

/// The grading of a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradeReport {
    /// The assignment's id.
    pub assignment: String,
    /// BLAKE3 of the assignment's file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignment_digest: Option<String>,
    /// The student, as given by the caller of the grader.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub student: Option<String>,
    /// The time of grading in seconds since 1970, as given by the caller of the grader.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub graded_at: Option<u64>,
    /// The points that the answers earn.
    pub score: f64,
    /// The points of right answers.
    pub max_score: f64,
    /// Every question of the assignment, in its order.
    pub questions: Vec<QuestionReport>,
    /// The ids of answers that match no question of the assignment.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown_answers: Vec<String>,
    /// The receipt, which proves that a holder of the grading secret made the report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<String>,
}
