//! The grading of a class as one value: the reports, and what they say together. It is what `--format json` writes, and
//! what two gradings are compared by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grade::{GradeReport, QuestionReport, Verdict};

/// The grading of a class.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClassReport {
    /// The assignment's id; that of the first report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) assignment: Option<String>,
    /// The points of right answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) max_score: Option<f64>,
    /// The mean of all scores, in which a hand-in that was not read counts 0.
    pub(super) mean: f64,
    /// Every hand-in, in the order of the folder.
    pub(super) submissions: Vec<HandIn>,
    /// The questions: the right answers, and the others by mistake.
    pub(super) questions: Vec<QuestionCount>,
    /// Wrong answers that several students gave.
    pub(super) alike: Vec<Alike>,
    /// Students who share wrong answers that few give.
    pub(super) pairs: Vec<Pair>,
    /// The rulings of persons, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) rulings: Vec<RulingCount>,
}

/// A hand-in and its result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HandIn {
    /// Name in the table and of the report.
    pub(super) name: String,
    /// The file or folder within the class's folder.
    pub(super) file: String,
    /// Files beside the answers that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) beside: Vec<String>,
    /// The reason for 0 points, if the hand-in was not read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) unread: Option<String>,
    /// The report, if it was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) report: Option<GradeReport>,
    /// How a roster may name the students.
    #[serde(skip)]
    pub(super) students: Vec<Vec<String>>,
    /// A digest of the values of each wrong answer, by question.
    #[serde(skip)]
    pub(super) values: BTreeMap<String, String>,
    /// The answers for the queue; empty without one.
    #[serde(skip)]
    pub(super) unjudged: Vec<Unjudged>,
}

/// An answer that no one has judged.
#[derive(Debug)]
pub(super) struct Unjudged {
    pub(super) question: String,
    pub(super) points: f64,
    pub(super) answer: String,
    /// Equal for equal answers: by their meaning, or else by their text.
    pub(super) key: String,
    /// How it was read, or why it was not.
    pub(super) remark: String,
}

/// The answers to a question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QuestionCount {
    pub(super) id: String,
    pub(super) right: usize,
    /// The most frequent first.
    pub(super) mistakes: Vec<(String, usize)>,
}

impl QuestionCount {
    /// Each mistake with its number, as in `SIGN_FLIPPED × 3, OTHER × 1`.
    pub(super) fn mistakes_text(&self) -> String {
        let mistakes = self.mistakes.iter();
        let mistakes: Vec<String> = mistakes
            .map(|(name, count)| format!("{name} × {count}"))
            .collect();
        mistakes.join(", ")
    }
}

/// A ruling of a person, and the number of answers to which it was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RulingCount {
    pub(super) question: String,
    /// The program's verdict.
    pub(super) instead_of: Verdict,
    pub(super) verdict: Verdict,
    pub(super) points: f64,
    pub(super) reason: String,
    pub(super) count: usize,
}

impl RulingCount {
    /// As in `INVALID → CORRECT 2 × 3: The reason.`
    pub(super) fn text(&self) -> String {
        format!(
            "{} → {} {} × {}: {}",
            self.instead_of, self.verdict, self.points, self.count, self.reason
        )
    }
}

/// Wrong answers of one meaning: the same values, or the same formula as it was understood, however it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alike {
    pub(super) question: String,
    pub(super) understood: String,
    pub(super) latex: String,
    pub(super) verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) mistake: Option<String>,
    pub(super) points: f64,
    /// Names of the hand-ins.
    pub(super) students: Vec<String>,
}

/// Two students who share wrong answers that few others gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) students: [String; 2],
    /// The questions of the shared answers.
    pub(super) questions: Vec<String>,
}

/// A wrong answer given by more students than this is a usual one.
const MOST_OF_A_RARE_ANSWER: usize = 3;
/// Two students who share fewer rare answers than this did so by chance.
const FEWEST_SHARED: usize = 3;

impl HandIn {
    /// The points, 0 for a hand-in that was not read.
    pub(super) fn score(&self) -> f64 {
        self.report.as_ref().map_or(0.0, |report| report.score)
    }
}

impl ClassReport {
    pub(super) fn new(submissions: Vec<HandIn>) -> Self {
        let graded = || submissions.iter().filter_map(|one| one.report.as_ref());
        let sum: f64 = submissions.iter().map(HandIn::score).sum();
        let alike = alike(&submissions);
        Self {
            assignment: graded().map(|report| report.assignment.clone()).next(),
            max_score: graded().map(|report| report.max_score).next(),
            mean: sum / submissions.len().max(1) as f64,
            questions: counts(&submissions),
            pairs: pairs(&alike),
            rulings: rulings(&submissions),
            alike: alike
                .into_iter()
                .filter(|alike| alike.students.len() > 1)
                .collect(),
            submissions,
        }
    }

    /// The number of hand-ins that were not read.
    pub(super) fn unread(&self) -> usize {
        self.submissions
            .iter()
            .filter(|one| one.unread.is_some())
            .count()
    }
}

fn rulings(submissions: &[HandIn]) -> Vec<RulingCount> {
    let mut all: Vec<RulingCount> = Vec::new();
    let reports = submissions.iter().filter_map(|one| one.report.as_ref());
    for question in reports.flat_map(|report| &report.questions) {
        let Some(ruling) = &question.ruling else {
            continue;
        };
        let new = RulingCount {
            question: question.id.clone(),
            instead_of: ruling.instead_of,
            verdict: question.verdict,
            points: question.points,
            reason: ruling.reason.clone(),
            count: 0,
        };
        let known = |one: &RulingCount| {
            RulingCount {
                count: 0,
                ..one.clone()
            } == new
        };
        let at = all.iter().position(known).unwrap_or_else(|| {
            all.push(new.clone());
            all.len() - 1
        });
        all[at].count += 1;
    }
    all.sort_by_key(|ruling| std::cmp::Reverse(ruling.count));
    all
}

/// The word by which an answer that is not right is counted.
pub(super) fn mistake_word(question: &QuestionReport) -> &'static str {
    match (question.mistake, question.verdict) {
        (Some(mistake), _) => mistake.word(),
        (None, Verdict::Invalid) if question.note.ends_with(": unanswered") => "unanswered",
        (None, Verdict::Invalid) => "not understood",
        (None, Verdict::Correct | Verdict::Partial | Verdict::Incorrect) => "wrong",
    }
}

fn counts(submissions: &[HandIn]) -> Vec<QuestionCount> {
    let mut questions: Vec<(&str, usize, BTreeMap<&str, usize>)> = Vec::new();
    let reports = submissions.iter().filter_map(|one| one.report.as_ref());
    for question in reports.flat_map(|report| &report.questions) {
        let at = questions
            .iter()
            .position(|(id, ..)| *id == question.id)
            .unwrap_or_else(|| {
                questions.push((&question.id, 0, BTreeMap::new()));
                questions.len() - 1
            });
        let (_, right, mistakes) = &mut questions[at];
        if question.verdict == Verdict::Correct {
            *right += 1;
        } else {
            *mistakes.entry(mistake_word(question)).or_default() += 1;
        }
    }
    let unread = submissions
        .iter()
        .filter(|one| one.unread.is_some())
        .count();
    let sorted = |mut mistakes: BTreeMap<&str, usize>| {
        if unread > 0 {
            mistakes.insert("not read", unread);
        }
        let mut mistakes: Vec<(String, usize)> = mistakes
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        mistakes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        mistakes
    };
    questions
        .into_iter()
        .map(|(id, right, mistakes)| QuestionCount {
            id: id.to_owned(),
            right,
            mistakes: sorted(mistakes),
        })
        .collect()
}

/// Each wrong answer with the students who gave it: by question, the most frequent first.
fn alike(submissions: &[HandIn]) -> Vec<Alike> {
    let mut groups: Vec<Alike> = Vec::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for one in submissions {
        for question in one.report.iter().flat_map(|report| &report.questions) {
            if !order.contains(&question.id.as_str()) {
                order.push(&question.id);
            }
            let Some(understood) = &question.understood else {
                continue;
            };
            if question.verdict == Verdict::Correct {
                continue;
            }
            let meaning = one.values.get(&question.id).unwrap_or(&understood.plain);
            let at = *places
                .entry((&question.id, meaning))
                .or_insert(groups.len());
            if at == groups.len() {
                groups.push(Alike {
                    question: question.id.clone(),
                    understood: understood.plain.clone(),
                    latex: understood.latex.clone(),
                    verdict: question.verdict,
                    mistake: question.mistake.map(|mistake| mistake.word().to_owned()),
                    points: question.points,
                    students: Vec::new(),
                });
            }
            groups[at].students.push(one.name.clone());
        }
    }
    let place = |id: &str| order.iter().position(|known| *known == id);
    groups.sort_by_key(|group| {
        let count = std::cmp::Reverse(group.students.len());
        (place(&group.question), count)
    });
    groups
}

/// Pairs of students who share rare wrong answers, those with the most first.
fn pairs(alike: &[Alike]) -> Vec<Pair> {
    let mut shared: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let is_rare = |group: &&Alike| (2..=MOST_OF_A_RARE_ANSWER).contains(&group.students.len());
    for group in alike.iter().filter(is_rare) {
        for (at, one) in group.students.iter().enumerate() {
            for other in &group.students[at + 1..] {
                shared
                    .entry((one, other))
                    .or_default()
                    .push(&group.question);
            }
        }
    }
    let mut pairs: Vec<Pair> = shared
        .into_iter()
        .filter(|(_, questions)| questions.len() >= FEWEST_SHARED)
        .map(|((one, other), questions)| Pair {
            students: [one.to_owned(), other.to_owned()],
            questions: questions.into_iter().map(str::to_owned).collect(),
        })
        .collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.questions.len()));
    pairs
}
