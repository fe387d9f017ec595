//! A mistake that a student's code may have, and the gradients that such code computes.

use super::forward::FullPass;
use super::walk::Walk;
use crate::grade::Mistake;
use crate::grade::budget::Budget;
use crate::grade::pass::{Gradients, Pass};
use crate::grade::wrong::{Kinks, Wrong};

/// A mistake and how to make it.
#[derive(Clone, Debug)]
pub(in crate::grade) struct Candidate {
    pub(in crate::grade) mistake: Mistake,
    /// Leads to the mistake, without the answer.
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

/// The gradients of a candidate, under way.
pub(in crate::grade) enum Computation {
    /// Back through the same pass.
    Backward(Box<Walk>),
    /// A pass of its own.
    Full(Box<FullPass>),
    /// A sum.
    Known(Box<Gradients>),
}

impl Candidate {
    /// Begins to compute the gradients that code with this mistake gives.
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
    /// Goes on for as long as `budget` lasts; the gradients at the end, which comes once.
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
