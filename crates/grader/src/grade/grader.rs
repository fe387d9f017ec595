//! Prepares an assignment and grades submissions with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::assignment::faults::FileFault;
use super::judge::{Judge, Judgement};
use super::meaning::meaning;
use super::network::Layout;
use super::overrides::{self, Override, Overrides, OverridesAdded, by_meaning, by_text, plain};
use super::question::Prepared;
use super::sample::Designs;
use super::steps::{complete, pause};
use super::{Assignment, GradeReport, Question, QuestionReport, Verdict};
use crate::formula::{Expr, Notation, render};

/// The level of detail of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reveal {
    /// The verdict and the points.
    Verdict,
    /// The mistake as well, and the question that leads to it.
    #[default]
    Mistake,
    /// The hints as well.
    Hints,
    /// The right formula as well.
    Reference,
}

impl Reveal {
    /// All levels, from the least to the most detail.
    pub const ALL: [Self; 4] = [Self::Verdict, Self::Mistake, Self::Hints, Self::Reference];

    /// Its name, as on the command line and in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Mistake => "mistake",
            Self::Hints => "hints",
            Self::Reference => "reference",
        }
    }

    /// The level of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reveal| reveal.word() == word)
    }
}

/// An assignment that cannot be graded: the question, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("question {question}: {reason}")]
pub struct GraderError {
    /// The question's id.
    pub question: String,
    /// The error.
    pub reason: String,
}

/// An assignment that is ready to grade submissions.
pub struct Grader {
    assignment: Assignment,
    /// The questions, in each layout in which they may be answered.
    layouts: Vec<Vec<Prepared>>,
    /// Rulings of a person on answers.
    overrides: Overrides,
}

impl Grader {
    /// Samples the networks of every question, seeded by `secret`, and proves that they tell the right answer from
    /// every expected mistake.
    ///
    /// # Errors
    /// A question whose formulas cannot be read, whose solution is wrong, or one of whose mistakes is right.
    pub fn new(assignment: Assignment, secret: &[u8]) -> Result<Self, GraderError> {
        Self::prepared_by(assignment, secret, |count, prepare| {
            (0..count).for_each(prepare);
        })
    }

    /// The same, with the questions prepared in any order or in parallel: `run` gets their number and a function that
    /// prepares the question at an index.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn prepared_by(
        assignment: Assignment,
        secret: &[u8],
        run: impl FnOnce(usize, &(dyn Fn(usize) + Sync)),
    ) -> Result<Self, GraderError> {
        let layouts = &assignment.convention.layouts;
        let designs = Designs::default();
        let prepare = |(layout, question): (Layout, &Question)| {
            Prepared::new(&assignment, question, layout, secret, &designs).map_err(|reason| {
                GraderError {
                    question: question.id.clone(),
                    reason,
                }
            })
        };
        let of_layout = |layout: &Layout| {
            let layout = *layout;
            let questions = assignment.questions.iter();
            questions.map(move |question| (layout, question))
        };
        let tasks: Vec<(Layout, &Question)> = layouts.iter().flat_map(of_layout).collect();
        let places: Vec<OnceLock<Result<Prepared, GraderError>>> =
            tasks.iter().map(|_| OnceLock::new()).collect();
        run(places.len(), &|at| {
            places[at].get_or_init(|| prepare(tasks[at]));
        });
        let mut prepared = places
            .into_iter()
            .zip(&tasks)
            .map(|(place, &task)| place.into_inner().unwrap_or_else(|| prepare(task)));
        let questions = assignment.questions.len();
        let layouts = layouts
            .iter()
            .map(|_| prepared.by_ref().take(questions).collect())
            .collect::<Result<_, _>>()?;
        drop(prepared);
        Ok(Self {
            assignment,
            layouts,
            overrides: Overrides::default(),
        })
    }

    /// The assignment.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Adds the rulings of an overrides file, which is called `file_name` in faults and reports.
    ///
    /// # Errors
    /// All faults of the file, by their lines. Then no ruling is added.
    pub fn overrule(
        &mut self,
        text: &str,
        file_name: &str,
    ) -> Result<OverridesAdded, Vec<FileFault>> {
        let entries = overrides::entries(text, &self.assignment)?;
        let mut all = self.overrides.clone();
        let (mut added, mut faults) = (OverridesAdded::default(), Vec::new());
        for entry in entries {
            let Some(decision) = entry.decision else {
                added.undecided += 1;
                continue;
            };
            let new = Override {
                text: plain(&entry.answer),
                meanings: self.meanings(&entry.question, &entry.answer),
                decision,
                entry: format!("{file_name}:{}", entry.line),
            };
            match all.add(&entry.question, new) {
                Ok(()) => added.decided += 1,
                Err(why) => faults.push(FileFault {
                    line: entry.line,
                    reason: format!("question {:?}: {why}", entry.question),
                }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.overrides = all;
        Ok(added)
    }

    /// The entries of overrides files that hold the rulings, each as `FILE:LINE`.
    pub fn override_entries(&self) -> impl Iterator<Item = &str> {
        self.overrides.entries()
    }

    /// A key that answers of one meaning share, however they are written; `None` if the answer is not read.
    pub fn meaning(&self, question: &str, answer: &str) -> Option<String> {
        self.meanings(question, answer).into_iter().next()?
    }

    /// The meaning of an answer in each layout.
    fn meanings(&self, question: &str, answer: &str) -> Vec<Option<String>> {
        let earlier = BTreeMap::new();
        let in_layout = |all: &Vec<Prepared>| {
            let prepared = all.iter().find(|own| own.question.id == question)?;
            let judge = Judge::new(prepared, &self.assignment.rubric, answer, &earlier);
            let judged = complete(judge.judge());
            complete(meaning(prepared, &judged))
        };
        self.layouts.iter().map(in_layout).collect()
    }

    /// The shape of the answer to a question, with m for the batch size.
    pub fn shape(&self, question: &str) -> Option<String> {
        let prepared = self
            .prepared()
            .iter()
            .find(|prepared| prepared.question.id == question)?;
        prepared.solution.values.shape_text()
    }

    /// The prepared questions, in the first layout.
    pub(super) fn prepared(&self) -> &[Prepared] {
        self.layouts.first().map_or(&[], Vec::as_slice)
    }

    /// The prepared questions in each layout.
    pub(super) fn layouts(&self) -> impl Iterator<Item = (Layout, &[Prepared])> {
        let layouts = self.assignment.convention.layouts.iter();
        layouts.copied().zip(self.layouts.iter().map(Vec::as_slice))
    }

    /// The formula as which an answer to a question is graded; `None` if it is not read.
    pub(super) fn reading(&self, question: &str, answer: &str) -> Option<Expr> {
        let mut prepared = self.prepared().iter();
        let prepared = prepared.find(|prepared| prepared.question.id == question)?;
        let earlier = BTreeMap::new();
        let judge = Judge::new(prepared, &self.assignment.rubric, answer, &earlier);
        complete(judge.judge()).answer
    }

    /// Grades the answers, which are keyed by question id, in one go. [`super::Grading`] grades them step by step.
    pub fn grade(&self, answers: &BTreeMap<String, String>, reveal: Reveal) -> GradeReport {
        complete(self.grade_in_steps(answers, reveal))
    }

    /// The same, with a pause after each evaluation.
    pub(super) async fn grade_in_steps(
        &self,
        answers: &BTreeMap<String, String>,
        reveal: Reveal,
    ) -> GradeReport {
        let mut best: Option<GradeReport> = None;
        for at in 0..self.layouts.len() {
            let report = self.grade_in_layout(at, answers, reveal).await;
            if best.as_ref().is_none_or(|best| report.score > best.score) {
                best = Some(report);
            }
        }
        best.expect("an assignment has a layout")
    }

    /// Grades the answers in one layout: a student who writes samples as columns does so throughout.
    async fn grade_in_layout(
        &self,
        layout: usize,
        answers: &BTreeMap<String, String>,
        reveal: Reveal,
    ) -> GradeReport {
        let all = &self.layouts[layout];
        let mut earlier: BTreeMap<&str, Expr> = BTreeMap::new();
        let mut questions = Vec::with_capacity(all.len());
        for prepared in all {
            let text = answers
                .get(&prepared.question.id)
                .map_or("", String::as_str);
            let judge = Judge::new(prepared, &self.assignment.rubric, text, &earlier);
            let mut judged = judge.judge().await;
            let ruling = self.ruling(layout, prepared, text, &judged).await;
            // Later questions build on the answer as given, not on the ruling.
            let verdict = judged.report.verdict;
            if let Some(ruling) = ruling {
                ruling.apply(&mut judged.report);
            }
            if let Some(expr) = judged.answer
                && verdict != Verdict::Correct
            {
                earlier.insert(&prepared.question.id, expr);
            }
            questions.push(revealed(judged.report, prepared, reveal));
            pause().await;
        }
        GradeReport {
            assignment: self.assignment.id.clone(),
            assignment_digest: Some(self.assignment.digest.clone()),
            student: None,
            graded_at: None,
            score: questions.iter().map(|question| question.points).sum(),
            max_score: self.assignment.max_score(),
            questions,
            unknown_answers: answers
                .keys()
                .filter(|id| self.assignment.question(id).is_none())
                .cloned()
                .collect(),
            receipt: None,
        }
    }

    /// The ruling of a person on an answer.
    async fn ruling(
        &self,
        layout: usize,
        prepared: &Prepared,
        text: &str,
        judged: &Judgement,
    ) -> Option<&Override> {
        let all = self.overrides.of(&prepared.question.id);
        if all.is_empty() {
            return None;
        }
        if let Some(ruling) = by_text(all, text) {
            return Some(ruling);
        }
        let meaning = meaning(prepared, judged).await?;
        by_meaning(all, layout, &meaning)
    }
}

fn revealed(mut report: QuestionReport, prepared: &Prepared, reveal: Reveal) -> QuestionReport {
    let wrong = report.verdict != Verdict::Correct;
    report.named = report.mistake;
    if reveal < Reveal::Mistake && wrong && report.verdict != Verdict::Invalid {
        report.mistake = None;
        if report.ruling.is_none() {
            "Not right.".clone_into(&mut report.message);
        }
        report.grid = None;
        report.first_wrong_step = None;
    }
    if reveal >= Reveal::Hints && wrong {
        report.hints.clone_from(&prepared.question.hints);
    }
    if reveal >= Reveal::Reference {
        report.reference = Some(render(&prepared.solution.formula, Notation::Latex));
    }
    report
}
