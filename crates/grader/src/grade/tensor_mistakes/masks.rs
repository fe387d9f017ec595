//! Slopes of activations that are missing, inverted, taken elsewhere, or those of another activation.

use backpropd_engine::nn::{Activation, Loss};

use super::list::{List, names};
use crate::grade::Mistake;
use crate::grade::wrong::{Slope, Start, Wrong};

/// With more activations than this, masks are omitted one by one and all together, but not in every combination.
const MOST_COMBINED: usize = 4;

/// Slopes of leaky ReLU that libraries have by default.
const USUAL_LEAKS: [f64; 3] = [0.01, 0.1, 0.2];

impl List<'_> {
    /// Each of the layers alone, and all of them where there are several.
    fn each_and_all(layers: &[usize]) -> Vec<Vec<usize>> {
        let mut sets: Vec<Vec<usize>> = layers.iter().map(|&i| vec![i]).collect();
        if layers.len() > 1 {
            sets.push(layers.to_vec());
        }
        sets
    }

    pub(super) fn omitted_masks(&mut self) {
        let curved = self.curved();
        let mut sets = Self::each_and_all(&curved);
        if (3..=MOST_COMBINED).contains(&curved.len()) {
            let combined = (1..1_usize << curved.len()).map(|chosen| {
                let bits = curved.iter().enumerate();
                let chosen = bits.filter(|(bit, _)| chosen >> bit & 1 == 1);
                chosen.map(|(_, &i)| i).collect::<Vec<_>>()
            });
            let between = |set: &Vec<usize>| (2..curved.len()).contains(&set.len());
            sets.extend(combined.filter(between));
        }
        for set in sets {
            let z = names("z", &set);
            let question = if set.iter().any(|&i| self.activation(i).has_kink()) {
                format!("Where does the gradient go when {z} is negative?")
            } else {
                format!(
                    "By what does the activation multiply a small change of {z} on its way to {}?",
                    names("h", &set)
                )
            };
            self.slope(Mistake::MissingMask, question, &set, Slope::Omitted);
        }
    }

    pub(super) fn inverted_masks(&mut self) {
        let kinked = |&i: &usize| self.activation(i).has_kink();
        let kinked: Vec<usize> = self.curved().into_iter().filter(kinked).collect();
        for set in Self::each_and_all(&kinked) {
            let question = format!(
                "For which sign of {} does the activation let its input through?",
                names("z", &set)
            );
            self.slope(Mistake::InvertedMask, question, &set, Slope::Inverted);
        }
    }

    pub(super) fn other_masks(&mut self) {
        let architecture = &self.pass.architecture;
        let size = |i| architecture.size(i);
        for i in self.curved() {
            for j in (1..=self.depth()).filter(|&j| j != i && size(j) == size(i)) {
                if self.is_full() {
                    return;
                }
                let question =
                    format!("Which layer's z decides what a unit of layer {i} lets through?");
                self.slope(Mistake::WrongMaskLayer, question, &[i], Slope::At(j));
            }
        }
        let last = self.depth();
        if self.activation(last) == Activation::Linear {
            let question = "Which activation does the last layer have, and what is its slope?";
            for slope in [Slope::Step, Slope::Logistic, Slope::Tangent] {
                self.slope(Mistake::MaskOnOutput, question.to_owned(), &[last], slope);
            }
            let wrong = Wrong {
                start: Start::ProbabilitySlope,
                ..Wrong::default()
            };
            self.wrong(Mistake::MaskOnOutput, question, wrong);
        }
    }

    pub(super) fn wrong_activations(&mut self) {
        let curved = self.curved();
        for set in Self::each_and_all(&curved) {
            let (z, h) = (names("z", &set), names("h", &set));
            let is = |activation| set.iter().all(|&i| self.activation(i) == activation);
            let kinked = set.iter().all(|&i| self.activation(i).has_kink());
            let (sigmoid, tanh) = (is(Activation::Sigmoid), is(Activation::Tanh));
            let value = format!("Is the factor at {z} the activation σ, or its derivative σ′?");
            let habit = format!(
                "Which activation has the slope that is multiplied at {z}, and which has this layer?"
            );
            let of_z = format!("Is this σ′ written in terms of {z}, or of {h}?");
            let twice = format!("At which numbers is σ′ taken: at {z}, or at {h}?");
            let power = format!("Which power of {h} has this σ′?");
            let relu = is(Activation::Relu);
            let mut tries = vec![
                (Slope::Value, value, true),
                (Slope::Logistic, habit.clone(), !sigmoid),
                (Slope::Tangent, habit.clone(), !tanh),
                (Slope::Step, habit.clone(), !relu),
                (Slope::Complement, power, sigmoid || tanh),
                (Slope::LogisticOfZ, of_z.clone(), sigmoid),
                (Slope::TangentOfZ, of_z, tanh),
                (Slope::AtActivation, twice, !kinked),
            ];
            for slope in USUAL_LEAKS {
                tries.push((Slope::Leaky(slope), habit.clone(), relu));
            }
            for (slope, question, _) in tries.into_iter().filter(|(_, _, possible)| *possible) {
                self.slope(Mistake::WrongActivation, question, &set, slope);
            }
        }
        if matches!(
            self.pass.objective.loss,
            Loss::CrossEntropy | Loss::BinaryCrossEntropy
        ) {
            let question =
                "What does the loss do to the outputs before it compares them with the targets?";
            let wrong = Wrong {
                start: Start::RawOutputs,
                ..Wrong::default()
            };
            self.wrong(Mistake::WrongActivation, question, wrong);
        }
        if self.pass.objective.loss == Loss::CrossEntropy {
            let wrong = Wrong {
                start: Start::Sigmoids,
                ..Wrong::default()
            };
            let question = "What is the sum of the probabilities of a sample, over its classes?";
            self.wrong(Mistake::WrongActivation, question, wrong);
        }
    }
}
