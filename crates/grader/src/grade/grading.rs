//! A submission graded step by step, for a caller that shares its thread with others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::steps::Steps;
use super::{GradeReport, Grader, Reveal};

/// The grading of one submission, which stops between any two evaluations of a formula. It takes its steps when
/// [`Self::advance`] is called and holds no clock: the caller decides when to stop, and dropping it ends it.
pub struct Grading(State);

enum State {
    Working(Steps<GradeReport>),
    Done(GradeReport),
}

impl Grading {
    /// Nothing is done yet.
    pub fn new(
        grader: Arc<Grader>,
        answers: Arc<BTreeMap<String, String>>,
        reveal: Reveal,
    ) -> Self {
        let work = async move { grader.grade_in_steps(&answers, reveal).await };
        Self(State::Working(Steps::new(work)))
    }

    /// Takes one step: at most one formula is evaluated on one network, or the changes of one piece of an answer are
    /// written. Returns whether there is more to do.
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

    /// The report, after all steps that are left.
    pub fn report(mut self) -> GradeReport {
        loop {
            match self.0 {
                State::Done(report) => return report,
                State::Working(_) => self.advance(),
            };
        }
    }
}
