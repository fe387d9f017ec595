//! Names, and the constants that gradients are off by.

use super::References;
use crate::grade::{Mistake, feedback};
use backpropd_engine::nn::{Loss, Reduction};

/// A mistake, what was seen of it, and the question to ask.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) mistake: Mistake,
    pub(super) found: String,
    pub(super) question: String,
}

impl Named {
    pub(super) fn new(
        mistake: Mistake,
        found: impl Into<String>,
        question: impl Into<String>,
    ) -> Self {
        Self {
            mistake,
            found: found.into(),
            question: question.into(),
        }
    }

    /// What the mistake means, and the usual question.
    pub(super) fn usual(mistake: Mistake) -> Self {
        Self::new(mistake, mistake.meaning(), feedback::question(mistake))
    }
}

/// Constants that gradients are off by.
pub(super) struct Constant {
    pub(super) factor: f64,
    pub(super) named: Named,
}

impl Constant {
    /// The constants that gradients are off by, those with most meaning first.
    pub(super) fn all(references: &References) -> Vec<Self> {
        let pass = &references.pass;
        let (m, n) = (pass.rows as f64, pass.architecture.output_size() as f64);
        let mut list: Vec<Self> = Vec::new();
        let mut add = |factor: f64, named: Named| {
            if (factor - 1.0).abs() > 1e-9 {
                list.push(Self { factor, named });
            }
        };
        add(-1.0, Named::usual(Mistake::SignFlipped));
        let constant =
            |found: &str, question: &str| Named::new(Mistake::ConstantFactor, found, question);
        let averages_outputs = matches!(
            pass.objective.loss,
            Loss::MeanSquaredError | Loss::BinaryCrossEntropy
        ) && n > 1.0;
        match pass.objective.reduction {
            Reduction::Mean => {
                add(m, Named::usual(Mistake::MissingBatchMean));
                add(1.0 / m, Named::usual(Mistake::DoubleBatchMean));
                if averages_outputs {
                    let found = "It lacks the mean over the outputs.";
                    let question = "Over how many numbers is the loss a mean: samples, or entries?";
                    add(m * n, Named::usual(Mistake::MissingBatchMean));
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
                    Named::new(Mistake::HardcodedBatchSize, found, question),
                );
            }
        }
        let question = "Which constant does the derivative of the loss bring down, and which one is in the loss?";
        add(2.0, constant("It is twice the right gradient.", question));
        add(0.5, constant("It is half the right gradient.", question));
        list
    }

    /// What to say of this constant together with another mistake.
    pub(super) fn besides(&self, mistake: Mistake, question: &str) -> Named {
        let found = format!(
            "There seem to be two mistakes. {} ({}) {} ({mistake})",
            self.named.found,
            self.named.mistake,
            mistake.meaning()
        );
        let question = format!("{} {question}", self.named.question);
        Named::new(Mistake::Other, found, question)
    }
}
