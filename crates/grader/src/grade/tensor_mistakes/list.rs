//! The list of candidates, and the ways to add one to it.

use backpropd_engine::nn::Activation;

use super::candidate::{Candidate, Source};
use crate::grade::Mistake;
use crate::grade::pass::Pass;
use crate::grade::wrong::{Slope, Wrong};

/// The most candidates: among many layers of one size, each pair can be confused.
pub(super) const MOST_CANDIDATES: usize = 4096;

/// The candidates of one pass, being collected.
pub(super) struct List<'a> {
    pub(super) pass: &'a Pass,
    pub(super) candidates: Vec<Candidate>,
}

/// "z1", "z1 and z2", "z1, z2 and z3".
pub(super) fn names(kind: &str, layers: &[usize]) -> String {
    let mut text = String::new();
    for (at, layer) in layers.iter().enumerate() {
        let before = match at {
            0 => "",
            _ if at + 1 == layers.len() => " and ",
            _ => ", ",
        };
        text += &format!("{before}{kind}{layer}");
    }
    text
}

impl List<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.candidates.len() >= MOST_CANDIDATES
    }

    pub(super) fn push(&mut self, mistake: Mistake, question: impl Into<String>, source: Source) {
        self.candidates.push(Candidate {
            mistake,
            second: None,
            question: question.into(),
            source,
        });
    }

    pub(super) fn wrong(&mut self, mistake: Mistake, question: impl Into<String>, wrong: Wrong) {
        self.push(mistake, question, Source::Backward(wrong));
    }

    pub(super) fn slope(
        &mut self,
        mistake: Mistake,
        question: String,
        layers: &[usize],
        slope: Slope,
    ) {
        let slopes = layers.iter().map(|&i| (i, slope)).collect();
        let wrong = Wrong {
            slopes,
            ..Wrong::default()
        };
        self.wrong(mistake, question, wrong);
    }

    pub(super) fn depth(&self) -> usize {
        self.pass.architecture.depth()
    }

    pub(super) fn activation(&self, i: usize) -> Activation {
        self.pass.architecture.layers()[i - 1].activation
    }

    /// Layers whose activation has a slope that code can forget.
    pub(super) fn curved(&self) -> Vec<usize> {
        let curved = |&i: &usize| self.activation(i) != Activation::Linear;
        (1..=self.depth()).filter(curved).collect()
    }
}
