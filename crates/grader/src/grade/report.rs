//! What grading says: one report, from which every format is written.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Mistake;
use crate::formula::Span;

/// How an answer was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// It has the right value and shape on every network.
    Correct,
    /// It is wrong and earns a share of the points.
    Partial,
    /// It evaluates, and the value or the shape is wrong.
    Incorrect,
    /// It cannot be read, or shapes inside it do not fit; it costs no attempt.
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
    /// A line for each row, ✓ and ✗.
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

/// What an answer was read as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// As LaTeX, for a math environment.
    pub latex: String,
    /// As plain text.
    pub plain: String,
}

/// The judgement of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReport {
    /// The question's id, such as `1.11`.
    pub id: String,
    /// How the answer was judged.
    pub verdict: Verdict,
    /// What it earns.
    pub points: f64,
    /// What a right answer earns.
    pub max_points: f64,
    /// What is wrong, where that was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mistake: Option<Mistake>,
    /// The judgement in sentences, for the student.
    pub message: String,
    /// What was read; absent where nothing could be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub understood: Option<Understood>,
    /// The piece of the answer that is meant, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<Span>,
    /// The first side of a chain `a = b = c` that is wrong, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_wrong_step: Option<usize>,
    /// Which entries are right, where the shape is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grid: Option<Grid>,
    /// Advice on how the answer is written, not on what it says.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub advice: Vec<String>,
    /// As many of the question's hints as were asked for and allowed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hints: Vec<String>,
    /// The right formula in LaTeX, only where it was asked for and allowed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
    /// What the question is about, as the assignment says.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// One stable line for class statistics.
    pub note: String,
}

/// The judgement of a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradeReport {
    /// The assignment's id.
    pub assignment: String,
    /// BLAKE3 of the assignment's file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignment_digest: Option<String>,
    /// Who handed the answers in, as the caller of the grader says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub student: Option<String>,
    /// When they were graded, in seconds since 1970, as the caller of the grader says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub graded_at: Option<u64>,
    /// What the answers earn.
    pub score: f64,
    /// What right answers earn.
    pub max_score: f64,
    /// Every question of the assignment, in its order.
    pub questions: Vec<QuestionReport>,
    /// Answers that no question of the assignment has, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown_answers: Vec<String>,
    /// Proves that a holder of the grading secret made the report, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<String>,
}
