//! Constant factors by which gradients are wrong.

use backpropd_engine::nn::{Loss, Reduction};

use super::diagnosis::Diagnosis;
use super::references::References;
use crate::grade::Mistake;

/// A constant factor by which gradients are wrong.
pub(super) struct Constant {
    pub(super) factor: f64,
    pub(super) diagnosis: Diagnosis,
}

impl Constant {
    /// The constant factors, the most meaningful first.
    pub(super) fn all(references: &References) -> Vec<Self> {
        let pass = &references.pass;
        let (m, n) = (pass.rows as f64, pass.architecture.output_size() as f64);
        let mut list: Vec<Self> = Vec::new();
        let mut add = |factor: f64, diagnosis: Diagnosis| {
            if (factor - 1.0).abs() > 1e-9 {
                list.push(Self { factor, diagnosis });
            }
        };
        add(-1.0, Diagnosis::usual(Mistake::SignFlipped));
        let constant =
            |found: &str, question: &str| Diagnosis::new(Mistake::ConstantFactor, found, question);
        let averages_outputs = matches!(
            pass.objective.loss,
            Loss::MeanSquaredError | Loss::BinaryCrossEntropy
        ) && n > 1.0;
        match pass.objective.reduction {
            Reduction::Mean => {
                add(m, Diagnosis::usual(Mistake::MissingBatchMean));
                add(1.0 / m, Diagnosis::usual(Mistake::DoubleBatchMean));
                if averages_outputs {
                    let found = "It lacks the mean over the outputs.";
                    let question = "Over how many numbers is the loss a mean: samples, or entries?";
                    add(m * n, Diagnosis::usual(Mistake::MissingBatchMean));
                    add(n, constant(found, question));
                    add(
                        1.0 / n,
                        constant("The mean over the outputs is taken twice.", question),
                    );
                }
            }
            Reduction::Sum => {
                let found = "It is divided by the number of samples.";
                add(
                    1.0 / m,
                    constant(found, "Is this loss a sum over the batch, or a mean?"),
                );
            }
        }
        if let Some(size) = references.dataset_size {
            let size = size as f64;
            let found =
                "It counts the samples of the whole data set where those of the batch belong.";
            let question = "Over which samples does the loss take its mean?";
            for factor in [m / size, size / m, 1.0 / size, size] {
                add(
                    factor,
                    Diagnosis::new(Mistake::HardcodedBatchSize, found, question),
                );
            }
        }
        let question = "Which constant does the derivative of the loss bring down, and which one is in the loss?";
        add(2.0, constant("It is twice the right gradient.", question));
        add(0.5, constant("It is half the right gradient.", question));
        list
    }

    /// The feedback on this constant in combination with another mistake.
    pub(super) fn besides(&self, mistake: Mistake, question: &str) -> Diagnosis {
        let first = (self.diagnosis.mistake, &*self.diagnosis.observation);
        let question = format!("{} {question}", self.diagnosis.question);
        Diagnosis::two(first, mistake, question)
    }
}
