//! Wrong gradients, computed in the way of code with a known mistake, each with a question for the student.

mod backward;
mod candidate;
mod forward;
mod list;
mod masks;
mod walk;

pub(super) use candidate::{Candidate, Computation};
pub(super) use forward::FullPass;
pub(super) use walk::Walk;

use backpropd_engine::nn::Reduction;

use super::Mistake;
use super::pass::Pass;
use super::wrong::{BiasSum, Factor, Start, Weights, Wrong};
use candidate::Source;
use list::{List, MOST_CANDIDATES};

/// The learning rates to try if the client names none.
const USUAL_RATES: [f64; 4] = [1.0, 0.1, 0.01, 0.001];

/// Every mistake that is possible on this network. Common ones come first: among several with the same numbers the
/// first is named, and if time is short the last are not tried.
pub(super) fn candidates(
    pass: &Pass,
    has_earlier: bool,
    learning_rate: Option<f64>,
) -> Vec<Candidate> {
    let mut list = List {
        pass,
        candidates: Vec::new(),
    };
    list.omitted_masks();
    list.inverted_masks();
    list.bias_sums();
    if has_earlier {
        let question = "What was in the gradient before this batch?";
        list.push(Mistake::GradientNotZeroed, question, Source::WithEarlier);
    }
    list.samples();
    list.broadcast();
    list.weights();
    list.other_masks();
    list.wrong_activations();
    list.factors();
    list.rates(learning_rate);
    list.candidates
}

/// Every two of the candidates that code can have at once, the common ones first.
pub(super) fn pairs(candidates: &[Candidate]) -> Vec<Candidate> {
    let mut pairs = Vec::new();
    for (at, first) in candidates.iter().enumerate() {
        for second in &candidates[at + 1..] {
            if pairs.len() >= MOST_CANDIDATES {
                return pairs;
            }
            pairs.extend(first.and(second));
        }
    }
    pairs
}

impl List<'_> {
    fn bias_sums(&mut self) {
        let tries = [
            (BiasSum::Missing, "How many samples does one bias act on?"),
            (
                BiasSum::OverUnits,
                "Along which axis of dz is the gradient of the bias summed: samples, or units?",
            ),
        ];
        for (bias, question) in tries {
            let wrong = Wrong {
                bias,
                ..Wrong::default()
            };
            self.wrong(Mistake::BiasNotSummed, question, wrong);
        }
    }

    /// The factors that a sum over one batch of m may differ by.
    fn scales(&self) -> Vec<Option<f64>> {
        let mut scales = vec![None];
        if self.pass.objective.reduction == Reduction::Mean {
            scales.push(Some(self.pass.rows as f64));
        }
        scales
    }

    fn samples(&mut self) {
        let last = self.pass.rows - 1;
        if last == 0 {
            return;
        }
        let first = "How does the loss depend on the other samples of the batch?";
        let overwritten =
            "Is the gradient added up over the samples, or does the last one overwrite the others?";
        for (row, question) in [(0, first), (last, overwritten)] {
            for scale in self.scales() {
                for alone in [false, true] {
                    let wrong = Wrong {
                        start: Start::Sample { row, alone },
                        scale,
                        ..Wrong::default()
                    };
                    self.wrong(Mistake::FirstSampleOnly, question, wrong);
                }
            }
        }
    }

    fn broadcast(&mut self) {
        let m = self.pass.rows;
        if self.pass.architecture.output_size() != 1 || m == 1 {
            return;
        }
        let question = format!(
            "Which shape do the outputs have, which the targets, and what is [{m}, 1] − [{m}]?"
        );
        for scale in self.scales() {
            let wrong = Wrong {
                start: Start::MeanTargets,
                scale,
                ..Wrong::default()
            };
            self.wrong(Mistake::ShapeMismatch, question.clone(), wrong);
        }
    }

    fn weights(&mut self) {
        let layers = self.pass.architecture.layers();
        let square: Vec<usize> = (1..=layers.len())
            .filter(|&i| layers[i - 1].units == layers[i - 1].fan_in && layers[i - 1].units > 1)
            .collect();
        let all = (square.len() > 1).then_some(None);
        for at in square.iter().map(|&i| Some(i)).chain(all) {
            let place = at.map_or_else(|| "each W".to_owned(), |i| format!("W{i}"));
            let question = format!(
                "Row j of {place} holds the weights of unit j: which way round does it stand in the backward pass?"
            );
            self.weights_of(Mistake::MissingTranspose, question, Weights::Transposed(at));
        }
        let fits = |&i: &usize| {
            let (units, fan_in) = (layers[i - 1].units, layers[i - 1].fan_in);
            fan_in > 1 && (units == fan_in || units == 1)
        };
        for i in (1..=layers.len()).filter(fits) {
            let question = format!(
                "What is a change of {} multiplied by on its way to z{i}?",
                below(i)
            );
            self.weights_of(Mistake::WeightDropped, question, Weights::Dropped(i));
        }
        for i in 1..=layers.len() {
            let shape = |i: usize| (layers[i - 1].units, layers[i - 1].fan_in);
            for other in (1..=layers.len()).filter(|&j| j != i && shape(j) == shape(i)) {
                if self.is_full() {
                    return;
                }
                let question = format!("Which W stands between {} and z{i}?", below(i));
                let weights = Weights::Of { layer: i, other };
                self.weights_of(Mistake::WrongWeight, question, weights);
            }
        }
    }

    fn weights_of(&mut self, mistake: Mistake, question: String, weights: Weights) {
        let wrong = Wrong {
            weights,
            ..Wrong::default()
        };
        self.wrong(mistake, question, wrong);
    }

    fn factors(&mut self) {
        let architecture = &self.pass.architecture;
        let mut tries = vec![
            (
                Mistake::WrongWeight,
                "Which does the next layer multiply by its W: z, or h?".to_owned(),
                Factor::PreActivation,
            ),
            (
                Mistake::MissingTranspose,
                "The gradient of W sums over the samples: which index of dz counts them?"
                    .to_owned(),
                Factor::Untransposed,
            ),
        ];
        if self.pass.rows > 1 {
            let question = "Is the sum of the products of dz and h the product of their sums?";
            for factor in [Factor::Sums, Factor::SumAndMean] {
                tries.push((Mistake::ProductOfSums, question.to_owned(), factor));
            }
        }
        for layer in 1..=self.depth() {
            let size = architecture.size(layer - 1);
            let same = |&j: &usize| j + 1 != layer && architecture.size(j) == size;
            for other in (0..=self.depth()).filter(same) {
                if tries.len() >= MOST_CANDIDATES {
                    break;
                }
                let question = format!("Which h does W{layer} multiply in the forward pass?");
                let factor = Factor::Of { layer, other };
                tries.push((Mistake::WrongWeight, question, factor));
            }
        }
        for (mistake, question, factor) in tries {
            let wrong = Wrong {
                factor,
                ..Wrong::default()
            };
            self.wrong(mistake, question, wrong);
        }
    }

    fn rates(&mut self, learning_rate: Option<f64>) {
        let rates = learning_rate.map_or(USUAL_RATES.to_vec(), |rate| vec![rate]);
        let question = "Which weights did the forward pass use, those before the step or after?";
        let mistake = Mistake::UpdatedWeightsUsed;
        // Layer 1 has the weights that only dx needs; one other layer alone is all of them.
        let mut places = vec![None];
        places.extend((2..=self.depth()).map(Some).filter(|_| self.depth() > 2));
        for at in places {
            for &rate in &rates {
                if self.is_full() {
                    break;
                }
                let weights = Weights::Updated { rate, at };
                self.weights_of(mistake, question.to_owned(), weights);
            }
        }
        for rate in rates {
            self.push(mistake, question, Source::AfterStep(rate));
        }
    }
}

/// The input of layer `i`'s weights.
fn below(i: usize) -> String {
    match i {
        1 => "x".to_owned(),
        _ => format!("h{}", i - 1),
    }
}
