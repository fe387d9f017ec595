//! A mistake that a student's code may have, and the gradients that such code computes.

use super::forward::FullPass;
use super::walk::Walk;
use crate::grade::Mistake;
use crate::grade::budget::Budget;
use crate::grade::pass::{Gradients, Pass};
use crate::grade::wrong::{Kinks, Wrong};

/// A mistake and the way to reproduce it.
#[derive(Clone, Debug)]
pub(in crate::grade) struct Candidate {
    pub(in crate::grade) mistake: Mistake,
    /// A second mistake that the same code has.
    pub(in crate::grade) second: Option<Mistake>,
    /// The question that leads to the mistake without giving the answer.
    pub(in crate::grade) question: String,
    pub(super) source: Source,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A backward pass with these switches.
    Backward(Wrong),
    /// All gradients at the weights after a step of this rate.
    AfterStep(f64),
    /// The gradients of the parameters, added to those of the batch before.
    WithEarlier,
}

/// The gradients of a candidate, in progress.
pub(in crate::grade) enum Computation {
    /// Back through the same pass.
    Backward(Box<Walk>),
    /// A pass of its own.
    Full(Box<FullPass>),
    /// A sum.
    Known(Box<Gradients>),
}

impl Candidate {
    /// Code that has both mistakes.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let (Source::Backward(own), Source::Backward(others)) = (&self.source, &other.source)
        else {
            return None;
        };
        Some(Self {
            mistake: self.mistake,
            second: (other.mistake != self.mistake).then_some(other.mistake),
            question: format!("{} {}", self.question, other.question),
            source: Source::Backward(own.and(others)?),
        })
    }

    /// Starts to compute the gradients of code with this mistake.
    pub(in crate::grade) fn begin(
        &self,
        pass: &Pass,
        right: &Gradients,
        earlier: Option<&Gradients>,
        (kinks, tau): (Kinks, f64),
    ) -> Computation {
        match (&self.source, earlier) {
            (Source::Backward(wrong), _) => {
                Computation::Backward(Box::new(Walk::new(wrong.clone(), kinks, tau)))
            }
            (Source::AfterStep(rate), _) => {
                Computation::Full(Box::new(FullPass::after_step(pass, *rate, right)))
            }
            (Source::WithEarlier, Some(earlier)) => {
                Computation::Known(Box::new(right.added_to(earlier)))
            }
            (Source::WithEarlier, None) => Computation::Known(Box::new(right.clone())),
        }
    }
}

impl Computation {
    /// Continues while `budget` lasts; returns the gradients once, at the end.
    pub(in crate::grade) fn advance(
        &mut self,
        pass: &Pass,
        budget: &mut Budget,
    ) -> Option<Gradients> {
        match self {
            Self::Backward(walk) => walk.advance(pass, budget),
            Self::Full(full) => full.advance(budget).map(|(_, gradients)| gradients),
            Self::Known(gradients) => {
                budget.spend(pass.work());
                Some((**gradients).clone())
            }
        }
    }
}
