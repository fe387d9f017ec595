//! A class for a terminal: the scores, then the right answers and the mistakes of each question.

use std::fmt::Write as _;

use super::result::ClassReport;
use crate::grade::formats::{printable, printable_name};

/// The scores, then each question with its mistakes, the most frequent first. A hand-in that cannot be read has a line with 0
/// points and the reason, and counts in the average.
pub(super) fn table(class: &ClassReport) -> String {
    let mut text = String::new();
    let submissions = &class.submissions;
    let names: Vec<String> = submissions
        .iter()
        .map(|one| printable_name(&one.name))
        .collect();
    let wide = names.iter().map(|name| name.chars().count()).max();
    let wide = wide.unwrap_or(0);
    let most = class
        .max_score
        .map_or_else(|| "?".to_owned(), |most| format!("{most:.0}"));
    // Writing to a String cannot fail.
    for (name, one) in names.iter().zip(submissions) {
        let score = one.score();
        let most = one
            .report
            .as_ref()
            .map_or_else(|| most.clone(), |report| format!("{:.0}", report.max_score));
        let _ = write!(text, "{name:wide$}  {score:>6.2} of {most}");
        if let Some(why) = &one.unread {
            let _ = write!(text, "  {}", printable_name(&why.replace('\n', " ")));
        }
        if !one.beside.is_empty() {
            let beside = printable_name(&one.beside.join(", "));
            let _ = write!(text, "  (not read: {beside})");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\nquestion   right  mistakes");
    for question in &class.questions {
        let _ = writeln!(
            text,
            "{:<8} {:>4}/{:<3}  {}",
            question.id,
            question.right,
            submissions.len(),
            question.mistakes_text()
        );
    }
    if !class.rulings.is_empty() {
        text.push_str("\noverruled\n");
    }
    for ruling in &class.rulings {
        let _ = writeln!(
            text,
            "{:<8} {}",
            ruling.question,
            printable_name(&ruling.text())
        );
    }
    let _ = write!(
        text,
        "\n{} submissions, {:.2} points on average",
        submissions.len(),
        class.mean
    );
    let _ = match class.unread() {
        0 => writeln!(text),
        unread => writeln!(text, "; {unread} could not be read and count as 0"),
    };
    text
}

/// The wrong answers that several students gave, then the pairs of students who share rare ones.
pub(super) fn alike(class: &ClassReport) -> String {
    let mut text =
        "\nalike: wrong answers that several gave, however they were written\n".to_owned();
    for group in &class.alike {
        let mistake = group.mistake.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{:<8} {:>4} × {:>5.2}  {mistake}  {}\n               {}",
            group.question,
            group.students.len(),
            group.points,
            printable(&group.understood).replace('\n', " "),
            printable_name(&group.students.join(", "))
        );
    }
    if !class.pairs.is_empty() {
        text.push_str("\npairs: who share several wrong answers that at most three gave\n");
    }
    for pair in &class.pairs {
        let [one, other] = &pair.students;
        let _ = writeln!(
            text,
            "{:>4} ×  {} and {}: {}",
            pair.questions.len(),
            printable_name(one),
            printable_name(other),
            pair.questions.join(", ")
        );
    }
    text
}
