//! For a person at a terminal.

use std::fmt::Write as _;

use super::printable::{printable, printable_name};
use super::style::{Style, explanation, points};
use crate::grade::{GradeReport, Verdict};

/// A line for each question, what was found below it, and the sum.
pub(super) fn write(report: &GradeReport, style: &Style<'_>) -> String {
    let paint = |code: &str, text: &str| {
        if style.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let wide = report
        .questions
        .iter()
        .map(|question| question.id.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for question in &report.questions {
        let (mark, code) = match question.verdict {
            Verdict::Correct => ("✓", "32"),
            Verdict::Partial => ("~", "33"),
            Verdict::Incorrect => ("✗", "31"),
            Verdict::Invalid => ("?", "35"),
        };
        let word = paint(code, &format!("{mark} {:<9}", question.verdict));
        let mistake = question
            .mistake
            .map(|mistake| format!("  {mistake}"))
            .unwrap_or_default();
        let earned = format!(
            "{}/{}",
            points(question.points),
            points(question.max_points)
        );
        let is_unanswered = style
            .answers
            .is_some_and(|answers| !answers.contains_key(&question.id));
        if is_unanswered {
            let _ = writeln!(
                text,
                "{:>wide$}  {}  {earned:>5}  no answer",
                question.id,
                paint("2", "· -        ")
            );
            continue;
        }
        // Writing to a String cannot fail.
        let ruled = question.ruling.as_ref().map_or("", |_| "  overruled");
        let _ = writeln!(
            text,
            "{:>wide$}  {word}  {earned:>5}{mistake}{ruled}",
            question.id
        );
        if question.verdict != Verdict::Correct
            || question.ruling.is_some()
            || !question.advice.is_empty()
            || question.reference.is_some()
        {
            for line in explanation(question, style)
                .iter()
                .flat_map(|paragraph| paragraph.lines())
            {
                let _ = writeln!(text, "{:wide$}    {}", "", printable(line));
            }
        }
    }
    for id in &report.unknown_answers {
        let _ = writeln!(
            text,
            "There is no question {}; its answer was not graded.",
            printable_name(id)
        );
    }
    let sum = format!(
        "{} of {} points",
        points(report.score),
        points(report.max_score)
    );
    let _ = writeln!(text, "{}", paint("1", &sum));
    text
}
