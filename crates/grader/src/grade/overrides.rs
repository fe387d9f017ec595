//! Rulings of a person on answers, read from an overrides file. Each replaces the program's verdict on every equal answer:
//! one of equal text, blanks aside, or of equal meaning.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::assignment::faults::{FileFault, line_of};
use super::{Assignment, Mistake, QuestionReport, Ruling, Verdict};

/// The longest overrides file, in bytes.
const MAX_OVERRIDES_BYTES: usize = 4 << 20;
/// The most entries of an overrides file. Each answer is graded once when the file is read.
pub const MAX_OVERRIDES: usize = 2000;

/// The verdicts that a person may give.
const VERDICTS: [Verdict; 3] = [Verdict::Correct, Verdict::Partial, Verdict::Incorrect];
/// The fields of the file and of an entry.
const FILE: [&str; 2] = ["assignment", "overrides"];
const ENTRY: [&str; 5] = ["question", "answer", "verdict", "reason", "points"];

/// What an overrides file added to a grader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverridesAdded {
    /// The number of rulings.
    pub decided: usize,
    /// The number of entries without a verdict, which change nothing.
    pub undecided: usize,
}

/// An entry of an overrides file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) question: String,
    pub(super) answer: String,
    /// `None` if the entry has no verdict yet.
    pub(super) decision: Option<Decision>,
}

/// The content of a ruling.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    verdict: Verdict,
    points: f64,
    reason: String,
}

/// A ruling that is ready to be applied.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// The answer, with single blanks.
    pub(super) text: String,
    /// The meaning of the answer in each layout of the assignment; `None` if the answer is not read.
    pub(super) meanings: Vec<Option<String>>,
    pub(super) decision: Decision,
    /// The entry as `FILE:LINE`.
    pub(super) entry: String,
}

/// The rulings on the answers to an assignment.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides(BTreeMap<String, Vec<Override>>);

impl Overrides {
    /// The rulings on answers to a question.
    pub(super) fn of(&self, question: &str) -> &[Override] {
        self.0.get(question).map_or(&[], Vec::as_slice)
    }

    /// Every entry that holds a ruling, as `FILE:LINE`.
    pub(super) fn entries(&self) -> impl Iterator<Item = &str> {
        let all = self.0.values().flatten();
        all.map(|known| known.entry.as_str())
    }

    /// Adds a ruling, unless an earlier one covers it.
    ///
    /// # Errors
    /// The earlier ruling on the same answer, if that one is another.
    pub(super) fn add(&mut self, question: &str, new: Override) -> Result<(), String> {
        let all = self.0.entry(question.to_owned()).or_default();
        let mut is_covered = false;
        for known in all.iter() {
            let mut pairs = known.meanings.iter().zip(&new.meanings);
            let same_meaning = |(a, b): (&Option<String>, &Option<String>)| a.is_some() && a == b;
            let same_text = known.text == new.text;
            if !same_text && !pairs.clone().any(same_meaning) {
                continue;
            }
            let (one, other) = (&known.decision, &new.decision);
            if one.verdict != other.verdict || one.points.to_bits() != other.points.to_bits() {
                return Err(format!(
                    "the answer is the same as that of {}, which is ruled {} with {} points; here it is {} with {}. Leave one of them",
                    known.entry, one.verdict, one.points, other.verdict, other.points
                ));
            }
            is_covered |= same_text || pairs.all(same_meaning);
        }
        if !is_covered {
            all.push(new);
        }
        Ok(())
    }
}

/// The ruling on an answer of this text.
pub(super) fn by_text<'o>(all: &'o [Override], text: &str) -> Option<&'o Override> {
    let text = plain(text);
    all.iter().find(|known| known.text == text)
}

/// The ruling on an answer of this meaning in a layout.
pub(super) fn by_meaning<'o>(
    all: &'o [Override],
    layout: usize,
    meaning: &str,
) -> Option<&'o Override> {
    let is_same = |known: &&Override| {
        let own = known.meanings.get(layout);
        own.and_then(Option::as_deref) == Some(meaning)
    };
    all.iter().find(is_same)
}

/// The text with single blanks.
pub(super) fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Override {
    /// Replaces the program's verdict. What the program found in the answer stays where it still applies.
    pub(super) fn apply(&self, report: &mut QuestionReport) {
        let decision = &self.decision;
        let was = report.verdict;
        report.verdict = decision.verdict;
        report.points = decision.points;
        report.message.clone_from(&decision.reason);
        report.mistake = match (decision.verdict, was) {
            (Verdict::Correct, _) => None,
            (_, Verdict::Partial | Verdict::Incorrect) => report.mistake.or(Some(Mistake::Other)),
            (_, Verdict::Correct | Verdict::Invalid) => Some(Mistake::Other),
        };
        report.span = None;
        report.advice.clear();
        if decision.verdict == Verdict::Correct {
            report.grid = None;
            report.first_wrong_step = None;
        }
        report.note = format!("{}: {}; overruled={was}", report.id, decision.verdict);
        report.ruling = Some(Ruling {
            instead_of: was,
            reason: decision.reason.clone(),
            entry: self.entry.clone(),
        });
    }
}

/// The assignment that an overrides file names, if it names one.
pub fn assignment_of_overrides(text: &str) -> Option<String> {
    let (file, _) = DeTable::parse_recoverable(text);
    let named = file.get_ref().get("assignment")?;
    named.get_ref().as_str().map(str::to_owned)
}

/// The entries of an overrides file.
///
/// # Errors
/// All faults that show without grading an answer, each with its line.
pub(super) fn entries(text: &str, assignment: &Assignment) -> Result<Vec<Entry>, Vec<FileFault>> {
    let mut reader = Reader {
        text,
        assignment,
        faults: Vec::new(),
    };
    let entries = reader.file();
    reader.faults.sort();
    if reader.faults.is_empty() {
        Ok(entries)
    } else {
        Err(reader.faults)
    }
}

struct Reader<'t> {
    text: &'t str,
    assignment: &'t Assignment,
    faults: Vec<FileFault>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        line_of(self.text, at)
    }

    fn fault(&mut self, at: usize, reason: String) {
        let line = self.line(at);
        self.faults.push(FileFault { line, reason });
    }

    fn file(&mut self) -> Vec<Entry> {
        let length = self.text.len();
        if length > MAX_OVERRIDES_BYTES {
            let why =
                format!("the file has {length} bytes; at most {MAX_OVERRIDES_BYTES} are read");
            self.fault(0, why);
            return Vec::new();
        }
        let (file, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.fault(at, error.message().replace('\n', "; "));
        }
        if !errors.is_empty() {
            return Vec::new();
        }
        let file = file.get_ref();
        self.unknown_fields(&FILE, file, "the file");
        if let Some(named) = file.get("assignment") {
            let id = &self.assignment.id;
            if named.get_ref().as_str() != Some(id) {
                let why =
                    format!("assignment is another one than {id:?}, whose answers are graded");
                self.fault(named.span().start, why);
            }
        }
        let Some(all) = file.get("overrides") else {
            return Vec::new();
        };
        let Some(all_entries) = all.get_ref().as_array() else {
            let why = "overrides are tables, each below a line [[overrides]]";
            self.fault(all.span().start, why.to_owned());
            return Vec::new();
        };
        if all_entries.len() > MAX_OVERRIDES {
            let why = format!(
                "{} overrides; at most {MAX_OVERRIDES} are read",
                all_entries.len()
            );
            self.fault(all.span().start, why);
            return Vec::new();
        }
        let entries = all_entries.iter();
        entries.filter_map(|entry| self.entry(entry)).collect()
    }

    fn unknown_fields(&mut self, known: &[&str], table: &DeTable<'_>, what: &str) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let allowed = known.join(", ");
                let why = format!("{what} has no field {name:?}; allowed are {allowed}");
                self.fault(key.span().start, why);
            }
        }
    }

    /// A text of an entry, without blanks at its ends; `None`, with a fault, if it is no text.
    fn text(&mut self, table: &DeTable<'_>, name: &str, place: usize) -> Option<String> {
        let Some(value) = table.get(name) else {
            return Some(String::new());
        };
        if let Some(text) = value.get_ref().as_str() {
            return Some(text.trim().to_owned());
        }
        let at = value.span().start.max(place);
        self.fault(at, format!("{name} is a text, such as {name} = '…'"));
        None
    }

    /// One entry; `None` if it has a fault.
    fn entry(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Entry> {
        let at = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            self.fault(at, "an override is a table of fields".to_owned());
            return None;
        };
        let before = self.faults.len();
        self.unknown_fields(&ENTRY, table, "an override");
        let place = |name: &str| table.get(name).map_or(at, |value| value.span().start);
        let question = self.text(table, "question", at)?;
        let answer = self.text(table, "answer", at)?;
        let verdict = self.text(table, "verdict", at)?;
        let reason = self.text(table, "reason", at)?;
        let missing: Vec<&str> = [("question", &question), ("answer", &answer)]
            .into_iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(name, _)| name)
            .collect();
        if !missing.is_empty() {
            self.fault(at, format!("an override needs {}", missing.join(" and ")));
        }
        let known = self.assignment.question(&question);
        if known.is_none() && !question.is_empty() {
            let questions = self.assignment.questions.iter();
            let ids: Vec<&str> = questions.map(|question| question.id.as_str()).collect();
            let why = format!(
                "there is no question {question:?}; the questions are {}",
                ids.join(", ")
            );
            self.fault(place("question"), why);
        }
        let decision = if verdict.is_empty() {
            None
        } else {
            let word = verdict.to_ascii_uppercase();
            let known_verdict = VERDICTS.into_iter().find(|known| known.word() == word);
            if known_verdict.is_none() {
                let words = VERDICTS.map(Verdict::word).join(", ");
                let why = format!(
                    "{verdict:?} is no verdict; allowed are {words}, or nothing while it is undecided"
                );
                self.fault(place("verdict"), why);
            }
            if reason.is_empty() {
                let why = "a verdict needs a reason, which the student reads".to_owned();
                self.fault(place("verdict"), why);
            }
            let most = known.map(|question| question.points);
            let points = self.points(table.get("points"), known_verdict, most, place("verdict"));
            known_verdict.zip(points).map(|(verdict, points)| Decision {
                verdict,
                points,
                reason,
            })
        };
        (self.faults.len() == before).then(|| Entry {
            line: self.line(at),
            question,
            answer,
            decision,
        })
    }

    /// The points of a ruling, if they fit its verdict.
    fn points(
        &mut self,
        given: Option<&Spanned<DeValue<'_>>>,
        verdict: Option<Verdict>,
        most: Option<f64>,
        place: usize,
    ) -> Option<f64> {
        let (verdict, most) = (verdict?, most?);
        let at = given.map_or(place, |value| value.span().start);
        let number = match given {
            None => None,
            Some(value) => {
                let read = f64::deserialize(ValueDeserializer::from(value.clone()));
                let Some(number) = read.ok().filter(|number| (0.0..=most).contains(number)) else {
                    self.fault(at, format!("points is a number from 0 to {most}"));
                    return None;
                };
                Some(number)
            }
        };
        let fixed = match verdict {
            Verdict::Correct => most,
            Verdict::Incorrect | Verdict::Invalid => 0.0,
            Verdict::Partial => {
                if number.is_none() {
                    self.fault(at, format!("PARTIAL needs points, from 0 to {most}"));
                }
                return number;
            }
        };
        if let Some(number) = number.filter(|number| (number - fixed).abs() > 0.0) {
            let why = format!(
                "{verdict} earns {fixed} of {most} points; for {number}, the verdict is PARTIAL"
            );
            self.fault(at, why);
            return None;
        }
        Some(fixed)
    }
}

#[cfg(test)]
mod tests;
