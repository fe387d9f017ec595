//! What the formats have in common.

use std::collections::BTreeMap;

use crate::grade::{QuestionReport, Verdict};

/// Input of a format besides the report.
#[derive(Clone, Debug, Default)]
pub struct Style<'a> {
    /// Whether to colour the output, for a terminal.
    pub colour: bool,
    /// The submitted answers, to underline parts of them.
    pub answers: Option<&'a BTreeMap<String, String>>,
    /// The duration of grading, in seconds, for formats that show it.
    pub seconds: f64,
    /// The questions' texts, by id, for formats that show them.
    pub prompts: Option<&'a BTreeMap<String, String>>,
    /// The student's name, if not that of the report.
    pub student: Option<&'a str>,
}

/// A number of points, without a trailing `.0`.
pub(super) fn points(points: f64) -> String {
    let text = format!("{points:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// That a person ruled on the answer, and what the program's verdict was.
pub(super) fn ruled(question: &QuestionReport) -> Option<String> {
    let ruling = question.ruling.as_ref()?;
    Some(format!(
        "A person ruled on this answer; the program's verdict was {}.",
        ruling.instead_of
    ))
}

/// The feedback on one question, in paragraphs of plain text.
pub(super) fn explanation(question: &QuestionReport, style: &Style<'_>) -> Vec<String> {
    let mut paragraphs = vec![question.message.clone()];
    paragraphs.extend(ruled(question));
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
