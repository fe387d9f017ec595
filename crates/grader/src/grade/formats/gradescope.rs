//! Gradescope's `results.json`.

use serde_json::{Value, json};

use super::style::{Style, explanation};
use crate::grade::{GradeReport, Verdict};

pub(super) fn write(report: &GradeReport, style: &Style<'_>) -> String {
    let tests: Vec<Value> = report
        .questions
        .iter()
        .map(|question| {
            json!({
                "number": question.id,
                "name": format!("Question {}", question.id),
                "score": question.points,
                "max_score": question.max_points,
                "status": if question.verdict == Verdict::Correct { "passed" } else { "failed" },
                "output": markdown(&explanation(question, style)),
                "output_format": "md",
                "tags": question.tags,
                "visibility": "visible",
                "extra_data": {
                    "verdict": question.verdict,
                    "mistake": question.mistake,
                    "note": question.note,
                },
            })
        })
        .collect();
    let results = json!({
        "score": report.score,
        "execution_time": style.seconds,
        "output": format!("{} of {} points", super::style::points(report.score), super::style::points(report.max_score)),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        // The report as well, which the receipt signs: `backpropd verify` takes this file.
        "extra_data": { "assignment": report.assignment, "receipt": report.receipt, "report": report },
        "tests": tests,
    });
    format!("{results:#}\n")
}

/// 0 points, with the reason.
pub(super) fn refuse(reason: &str) -> String {
    let results = json!({
        "score": 0,
        "output": reason,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
    });
    format!("{results:#}\n")
}

/// Paragraphs of several lines are laid out as they are; others are escaped, so that `_` and `*` stay what they are.
fn markdown(paragraphs: &[String]) -> String {
    let paragraph = |text: &String| {
        if text.contains('\n') {
            let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
            lines.join("\n")
        } else {
            let mut escaped = String::with_capacity(text.len());
            for c in text.chars() {
                if matches!(
                    c,
                    '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '$'
                ) {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            escaped
        }
    };
    let paragraphs: Vec<String> = paragraphs.iter().map(paragraph).collect();
    paragraphs.join("\n\n")
}
