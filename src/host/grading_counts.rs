//! What a class gets wrong: verdicts and mistakes by question, since the server started. No person is in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::grade::{Mistake, Verdict};

/// The graded answers to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub correct: u64,
    pub partial: u64,
    pub incorrect: u64,
    pub invalid: u64,
    mistakes: BTreeMap<Mistake, u64>,
}

impl Counts {
    fn note(&mut self, verdict: Verdict, mistake: Option<Mistake>) {
        match verdict {
            Verdict::Correct => self.correct += 1,
            Verdict::Partial => self.partial += 1,
            Verdict::Incorrect => self.incorrect += 1,
            Verdict::Invalid => self.invalid += 1,
        }
        if let Some(mistake) = mistake {
            *self.mistakes.entry(mistake).or_default() += 1;
        }
    }

    /// Adds the answers to another question.
    pub fn add(&mut self, other: &Self) {
        self.correct += other.correct;
        self.partial += other.partial;
        self.incorrect += other.incorrect;
        self.invalid += other.invalid;
        for (mistake, answers) in &other.mistakes {
            *self.mistakes.entry(*mistake).or_default() += answers;
        }
    }

    /// The mistakes, the most frequent first, and in a fixed order where they are equally frequent.
    pub fn mistakes(&self) -> Vec<(Mistake, u64)> {
        let mut mistakes: Vec<_> = self.mistakes.iter().map(|(it, n)| (*it, *n)).collect();
        mistakes.sort_by_key(|(mistake, answers)| (u64::MAX - answers, *mistake));
        mistakes
    }
}

/// The questions of an assignment by their ids.
type Questions = HashMap<String, Counts>;

/// The graded answers to all questions. It has an entry for a question that exists and was answered, so the assignments
/// limit its size.
#[derive(Debug)]
pub struct GradingCounts {
    assignments: Mutex<HashMap<String, Questions>>,
    since: SystemTime,
}

impl Default for GradingCounts {
    fn default() -> Self {
        Self {
            assignments: Mutex::default(),
            since: SystemTime::now(),
        }
    }
}

impl GradingCounts {
    /// Counts an answer to a question of an assignment; both exist.
    pub fn note(
        &self,
        assignment: &str,
        question: &str,
        verdict: Verdict,
        mistake: Option<Mistake>,
    ) {
        let mut assignments = self
            .assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let questions = assignments.entry(assignment.to_owned()).or_default();
        let counts = questions.entry(question.to_owned()).or_default();
        counts.note(verdict, mistake);
    }

    /// The counts of an assignment's answered questions.
    pub fn of(&self, assignment: &str) -> Questions {
        let assignments = self
            .assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        assignments.get(assignment).cloned().unwrap_or_default()
    }

    /// Since when answers are counted.
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_by_their_frequency_and_sums_have_all_questions() {
        let counts = GradingCounts::default();
        for (question, mistake) in [
            ("1", Mistake::SignFlipped),
            ("1", Mistake::MissingMask),
            ("2", Mistake::SignFlipped),
            ("2", Mistake::LostSum),
        ] {
            counts.note("hw", question, Verdict::Incorrect, Some(mistake));
        }
        counts.note("hw", "2", Verdict::Correct, None);
        counts.note("other", "1", Verdict::Invalid, Some(Mistake::SyntaxError));
        let of = counts.of("hw");
        let mut sum = Counts::default();
        for question in of.values() {
            sum.add(question);
        }
        assert_eq!((sum.correct, sum.incorrect, sum.invalid), (1, 4, 0));
        let expected = [
            (Mistake::SignFlipped, 2),
            (Mistake::MissingMask, 1),
            (Mistake::LostSum, 1),
        ];
        assert_eq!(sum.mistakes(), expected);
        assert_eq!(of["1"].mistakes().len(), 2);
        assert_eq!(counts.of("none").len(), 0);
    }
}
