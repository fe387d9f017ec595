//! The report itself, and the small JSON formats.

use serde_json::{Map, Value, json};

use super::style::{Style, explanation};
use crate::grade::{GradeReport, Verdict};

fn line(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The report, field by field.
pub(super) fn report(report: &GradeReport) -> String {
    line(&serde_json::to_value(report).unwrap_or_default())
}

/// GitHub Classroom's autograder.
pub(super) fn github(report: &GradeReport, style: &Style<'_>) -> String {
    let tests: Vec<Value> = report
        .questions
        .iter()
        .map(|question| {
            json!({
                "name": question.id,
                "status": if question.verdict == Verdict::Correct { "pass" } else { "fail" },
                "score": question.points,
                "message": explanation(question, style).join("\n"),
            })
        })
        .collect();
    let all = report
        .questions
        .iter()
        .all(|question| question.verdict == Verdict::Correct);
    line(&json!({
        "version": 1,
        "max_score": report.max_score,
        "status": if all { "pass" } else { "fail" },
        "tests": tests,
    }))
}

/// Autolab's last line.
pub(super) fn autolab(report: &GradeReport) -> String {
    let scores: Map<String, Value> = report
        .questions
        .iter()
        .map(|question| (question.id.clone(), json!(question.points)))
        .collect();
    format!("{}\n", json!({ "scores": scores }))
}

/// An object with the reason alone.
pub(super) fn refuse(reason: &str) -> String {
    line(&json!({ "unread": reason }))
}

/// The status `error`, and the reason as the message of a test.
pub(super) fn refuse_github(reason: &str, questions: &[(String, f64)]) -> String {
    let most: f64 = questions.iter().map(|(_, points)| points).sum();
    line(&json!({
        "version": 1,
        "max_score": most,
        "status": "error",
        "tests": [{ "name": "The hand-in", "status": "error", "score": 0, "message": reason }],
    }))
}

/// 0 points for each question.
pub(super) fn refuse_autolab(questions: &[(String, f64)]) -> String {
    let scores: Map<String, Value> = questions
        .iter()
        .map(|(id, _)| (id.clone(), json!(0)))
        .collect();
    format!("{}\n", json!({ "scores": scores }))
}
