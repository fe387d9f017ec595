//! Grades a submission step by step, for a caller that shares its thread with other work.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::steps::Steps;
use super::{GradeReport, Grader, Reveal};

/// The grading of one submission, which can stop between any two evaluations of a formula. It only advances in
/// [`Self::advance`] and holds no clock: the caller decides when to stop, and dropping it ends it.
pub struct Grading(State);

enum State {
    Working(Steps<GradeReport>),
    Done(GradeReport),
}

impl Grading {
    /// Prepares the grading without starting it.
    pub fn new(
        grader: Arc<Grader>,
        answers: Arc<BTreeMap<String, String>>,
        reveal: Reveal,
    ) -> Self {
        let work = async move { grader.grade_in_steps(&answers, reveal).await };
        Self(State::Working(Steps::new(work)))
    }

    /// Takes one step: evaluates at most one formula on one network, or writes the changes of one node of an answer.
    /// Returns whether work is left.
    pub fn advance(&mut self) -> bool {
        let State::Working(steps) = &mut self.0 else {
            return false;
        };
        match steps.advance() {
            Some(report) => {
                self.0 = State::Done(report);
                false
            }
            None => true,
        }
    }

    /// Takes all remaining steps and returns the report.
    pub fn report(mut self) -> GradeReport {
        loop {
            match self.0 {
                State::Done(report) => return report,
                State::Working(_) => self.advance(),
            };
        }
    }
}
