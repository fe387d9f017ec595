//! PrairieLearn's external grader.

use serde_json::{Value, json};

use super::style::{Style, explanation};
use crate::grade::{GradeReport, Verdict};

/// Ungradable where nothing at all could be read, so that no attempt is lost.
pub(super) fn write(report: &GradeReport, style: &Style<'_>) -> String {
    let unreadable = report
        .questions
        .iter()
        .all(|question| question.verdict == Verdict::Invalid);
    if unreadable {
        let errors: Vec<String> = report
            .questions
            .iter()
            .map(|question| {
                format!(
                    "{}: {}",
                    question.id,
                    explanation(question, style).join("\n")
                )
            })
            .collect();
        return format!(
            "{:#}\n",
            json!({ "gradable": false, "format_errors": errors })
        );
    }
    let tests: Vec<Value> = report
        .questions
        .iter()
        .map(|question| {
            json!({
                "name": format!("Question {}", question.id),
                "description": question.tags.join(", "),
                "points": question.points,
                "max_points": question.max_points,
                "message": question.message,
                "output": explanation(question, style)[1..].join("\n"),
            })
        })
        .collect();
    let score = if report.max_score > 0.0 {
        report.score / report.max_score
    } else {
        0.0
    };
    let results = json!({
        "gradable": true,
        "score": score,
        "message": format!("{} of {} points", super::style::points(report.score), super::style::points(report.max_score)),
        "output": report.receipt.clone().unwrap_or_default(),
        "tests": tests,
        // PrairieLearn keeps what it does not know: `backpropd verify` takes this file.
        "report": report,
    });
    format!("{results:#}\n")
}

/// No attempt, with the reason.
pub(super) fn refuse(reason: &str) -> String {
    let results = json!({ "gradable": false, "message": reason, "format_errors": [reason] });
    format!("{results:#}\n")
}
