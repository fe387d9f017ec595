//! The answers of a class that no one has judged, as the draft of an overrides file: those that were not understood, and those
//! that are wrong without a known mistake.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::result::{ClassReport, Unjudged};
use crate::cli::Failure;
use crate::cli::grade::source::Source;
use crate::cli::grade::{GradedSubmission, publish};
use crate::grade::formats::{printable, printable_name};
use crate::grade::{Mistake, QuestionReport, Verdict};

/// Names of students and spellings of an answer that an entry shows, and characters of a remark.
const MOST_NAMES: usize = 5;
const MOST_SPELLINGS: usize = 3;
const MOST_CHARACTERS: usize = 300;

/// An answer with the students who gave it.
struct Group<'c> {
    first: &'c Unjudged,
    spellings: Vec<&'c str>,
    students: Vec<&'c str>,
}

/// The answers of a submission that no one has judged.
pub(super) fn unjudged(one: &GradedSubmission, source: &Source) -> Vec<Unjudged> {
    let questions = one.report.questions.iter();
    let of = |question: &QuestionReport| {
        let answer = one.submission.answers.get(&question.id)?;
        let plain = answer.split_whitespace().collect::<Vec<_>>().join(" ");
        let id = &one.report.assignment;
        // A wrong choice leaves nothing to judge.
        let is_settled =
            question.verdict == Verdict::Incorrect && source.is_choice(id, &question.id);
        if plain.is_empty() || !is_open(question) || is_settled {
            return None;
        }
        let meaning = source.meaning(id, &question.id, answer);
        let understood = question.understood.as_ref();
        let remark = match (question.verdict, understood) {
            (Verdict::Invalid, _) | (_, None) => {
                format!("{}: {}", question.verdict, question.message)
            }
            (verdict, Some(understood)) => format!("{verdict}, read as {}", understood.plain),
        };
        Some(Unjudged {
            question: question.id.clone(),
            points: question.max_points,
            answer: answer.trim().to_owned(),
            key: meaning.unwrap_or(plain),
            remark,
        })
    };
    questions.filter_map(of).collect()
}

/// Whether the program has no name for what is wrong, and a person has not ruled.
fn is_open(question: &QuestionReport) -> bool {
    let is_unnamed = question.mistake.is_none_or(|it| it == Mistake::Other);
    question.ruling.is_none()
        && match question.verdict {
            Verdict::Correct => false,
            Verdict::Invalid => true,
            Verdict::Partial | Verdict::Incorrect => is_unnamed,
        }
}

/// Writes the draft into a new file, or to the terminal.
pub(super) fn write(class: &ClassReport, path: &Path) -> Result<(), Failure> {
    let draft = draft(class);
    if path.as_os_str() == "-" {
        return publish(&draft, None);
    }
    // An older draft may hold a person's rulings.
    let new = OpenOptions::new().write(true).create_new(true).open(path);
    new.and_then(|mut file| file.write_all(draft.as_bytes()))
        .map_err(|error| {
            Failure::usage(format!(
                "cannot write the queue into {}: {error}. Name a new file; no file is replaced, since it may hold rulings",
                path.display()
            ))
        })
}

/// The draft of an overrides file.
fn draft(class: &ClassReport) -> String {
    let groups = groups(class);
    let assignment = class.assignment.as_deref().unwrap_or_default();
    let answers: usize = groups.iter().map(|group| group.students.len()).sum();
    let mut text = format!(
        "# {} different answers, given {answers} times, that were not understood or are wrong without a known mistake.\n\
         # Give each a verdict (CORRECT, PARTIAL with points, or INCORRECT) and a reason, which the student reads. An entry\n\
         # without a verdict changes nothing. Each ruling applies to every answer of the same text or the same meaning:\n\
         #   backpropd grade FOLDER --overrides FILE.toml\n\
         assignment = {}\n",
        groups.len(),
        quoted(assignment)
    );
    for group in &groups {
        let first = group.first;
        let count = group.students.len();
        let students = if count == 1 { "student" } else { "students" };
        let names: Vec<&str> = group.students.iter().take(MOST_NAMES).copied().collect();
        let more = match count.saturating_sub(MOST_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n# {count} {students}: {}{more}",
            remark(&names.join(", "))
        );
        let _ = writeln!(text, "# {}", remark(&first.remark));
        for other in group.spellings.iter().skip(1).take(MOST_SPELLINGS) {
            let _ = writeln!(text, "# also written {}", remark(other));
        }
        let _ = writeln!(
            text,
            "[[overrides]]\nquestion = {}\nanswer = {}\nverdict = \"\"\nreason = \"\"\n# points = 0 # of {}, with PARTIAL",
            quoted(&first.question),
            quoted(&first.answer),
            first.points
        );
    }
    text
}

/// Equal answers together, the most frequent first, then in the order of the questions.
fn groups(class: &ClassReport) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for one in &class.submissions {
        for answer in &one.unjudged {
            let at = *places
                .entry((&answer.question, &answer.key))
                .or_insert(groups.len());
            if at == groups.len() {
                groups.push(Group {
                    first: answer,
                    spellings: Vec::new(),
                    students: Vec::new(),
                });
            }
            let group = &mut groups[at];
            group.students.push(&one.name);
            let mut known = group.spellings.iter();
            let is_same = |known: &&str| {
                let words = answer.answer.split_whitespace();
                known.split_whitespace().eq(words)
            };
            if !known.any(is_same) {
                group.spellings.push(&answer.answer);
            }
        }
    }
    let place = |id: &str| class.questions.iter().position(|known| known.id == id);
    groups.sort_by_key(|group| {
        let count = std::cmp::Reverse(group.students.len());
        (count, place(&group.first.question))
    });
    groups
}

/// A text of a student within a comment: one line.
fn remark(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = words.chars().take(MOST_CHARACTERS).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    printable_name(&short)
}

/// A text as TOML: as it is if that is possible, so that backslashes stay single.
fn quoted(text: &str) -> String {
    let is_plain = printable(text) == text;
    if is_plain && !text.contains(['\'', '\n']) {
        return format!("'{text}'");
    }
    if is_plain && !text.contains("'''") && !text.ends_with('\'') {
        return format!("'''\n{text}'''");
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if printable(c.encode_utf8(&mut [0; 4])) != c.to_string() || c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_its_quotes() {
        for text in [
            r"\delta h^2",
            "it's",
            "a\nb\n",
            "''' both \"",
            "ends'",
            "\u{202e}x\u{1b}[2J\0\t\r\n",
            "",
        ] {
            let file = format!("answer = {}", quoted(text));
            let read: toml::Table =
                toml::from_str(&file).unwrap_or_else(|why| panic!("{file}: {why}"));
            assert_eq!(read["answer"].as_str(), Some(text), "{file}");
            assert!(!file.contains(['\u{1b}', '\u{202e}']), "{file}");
        }
    }

    #[test]
    fn a_remark_is_one_line_of_a_comment() {
        assert_eq!(
            remark("a\n[[overrides]]\r\u{1b}b"),
            "a [[overrides]] \\u{1b}b"
        );
        assert_eq!(remark(&"x".repeat(1000)).chars().count(), 301);
    }
}
