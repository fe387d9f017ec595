//! The difference between two gradings of a class.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::result::{ClassReport, HandIn, mistake_word};
use crate::cli::Failure;
use crate::cli::files::{self, DATA_BYTES, Links};
use crate::grade::formats::printable_name;
use crate::grade::{GradeReport, QuestionReport};

/// Reads a grading: of a class, or of one submission.
pub(super) fn read(path: &Path) -> Result<ClassReport, Failure> {
    let bytes = files::read(path, DATA_BYTES, Links::Followed).map_err(Failure::usage)?;
    if let Ok(class) = serde_json::from_slice::<ClassReport>(&bytes) {
        return Ok(class);
    }
    let report: GradeReport = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::usage(format!(
            "{} is not a grading, as `backpropd grade FOLDER --format json` writes it: {error}",
            path.display()
        ))
    })?;
    let name = report
        .student
        .clone()
        .unwrap_or_else(|| "the submission".to_owned());
    Ok(ClassReport::new(vec![HandIn {
        file: name.clone(),
        name,
        beside: Vec::new(),
        unread: None,
        report: Some(report),
        students: Vec::new(),
        values: BTreeMap::new(),
        unjudged: Vec::new(),
    }]))
}

/// The changes from `old` to `new`, and whether there are any.
pub(super) fn compare(old: &ClassReport, new: &ClassReport) -> (String, bool) {
    let mut text = String::new();
    let before: BTreeMap<&str, &HandIn> = old
        .submissions
        .iter()
        .map(|one| (one.name.as_str(), one))
        .collect();
    let mut changes: BTreeMap<String, usize> = BTreeMap::new();
    let (mut changed, mut up, mut down) = (0, 0, 0);
    for one in &new.submissions {
        let name = printable_name(&one.name);
        let Some(earlier) = before.get(one.name.as_str()) else {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name}: only in the new grading, {:.2} points",
                one.score()
            );
            changed += 1;
            continue;
        };
        let differing = differing(earlier, one);
        if differing.is_empty() && earlier.unread == one.unread {
            continue;
        }
        changed += 1;
        up += usize::from(one.score() > earlier.score());
        down += usize::from(one.score() < earlier.score());
        let _ = writeln!(
            text,
            "{name}: {:.2} → {:.2} points",
            earlier.score(),
            one.score()
        );
        for why in [
            ("not read before", &earlier.unread),
            ("not read now", &one.unread),
        ] {
            if let (label, Some(why)) = why {
                let _ = writeln!(text, "    {label}: {}", printable_name(why));
            }
        }
        for (id, change) in differing {
            let _ = writeln!(text, "    {id}: {change}");
            *changes.entry(format!("{id}: {change}")).or_default() += 1;
        }
    }
    for one in &old.submissions {
        if !new.submissions.iter().any(|other| other.name == one.name) {
            let name = printable_name(&one.name);
            let _ = writeln!(
                text,
                "{name}: only in the old grading, {:.2} points",
                one.score()
            );
            changed += 1;
        }
    }
    let several: Vec<_> = changes.iter().filter(|(_, count)| **count > 1).collect();
    if !several.is_empty() {
        text.push_str("\nchanges of several submissions\n");
    }
    for (change, count) in several {
        let _ = writeln!(text, "{count:>4} × {change}");
    }
    let digest = |class: &ClassReport| {
        let mut reports = class
            .submissions
            .iter()
            .filter_map(|one| one.report.as_ref());
        reports
            .next()
            .and_then(|report| report.assignment_digest.clone())
    };
    if digest(old) != digest(new) {
        text.push_str("\nthe two gradings are by different files of the assignment\n");
    }
    let _ = writeln!(
        text,
        "\n{changed} of {} submissions differ, {up} with more points, {down} with fewer; {:.2} → {:.2} points on average",
        new.submissions.len(),
        old.mean,
        new.mean
    );
    (text, changed > 0)
}

/// The questions whose verdicts, mistakes or points differ.
fn differing(old: &HandIn, new: &HandIn) -> Vec<(String, String)> {
    let questions = |one: &HandIn| -> Vec<QuestionReport> {
        one.report
            .as_ref()
            .map_or_else(Vec::new, |report| report.questions.clone())
    };
    let (old, new) = (questions(old), questions(new));
    let word = |question: Option<&QuestionReport>| {
        question.map_or_else(
            || "-".to_owned(),
            |question| {
                let mut words = vec![question.verdict.word()];
                words.extend(question.mistake.map(|_| mistake_word(question)));
                let points = question.points.to_string();
                words.push(&points);
                words.extend(question.ruling.as_ref().map(|_| "overruled"));
                words.join(" ")
            },
        )
    };
    let mut ids: Vec<&str> = new.iter().map(|question| question.id.as_str()).collect();
    ids.extend(old.iter().map(|question| question.id.as_str()));
    let mut found = Vec::new();
    for id in ids {
        let of = |questions: &[QuestionReport]| {
            word(questions.iter().find(|question| question.id == id))
        };
        let (before, after) = (of(&old), of(&new));
        let is_known = found.iter().any(|(known, _)| known == id);
        if before != after && !is_known {
            found.push((id.to_owned(), format!("{before} → {after}")));
        }
    }
    found
}
