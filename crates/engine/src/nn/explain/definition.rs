//! What each entry is defined by.

use std::cell::RefCell;

use super::super::loss::Objective;
use super::super::{Activation, Architecture, Loss, Pass, Quantity, Reduction, Scalar};
use super::{Entry, FactorKind};

/// A factor, as what it is. Rows and columns count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Entry(Entry),
    /// 1[z ≥ 0] or 1[z > 0] of this z.
    Mask(Entry),
    /// σ′ of this z.
    Slope(Entry),
    /// σ of this z.
    Activation(Entry),
    /// What ∂l/∂f of this output is before it is multiplied by [`Part::Scale`].
    Residual(Entry),
    /// The probability that the loss computes from this output, and for cross-entropy from those beside it.
    Probability(Entry),
    /// The factor that all entries of ∂l/∂f share.
    Scale,
    /// −1.
    MinusOne,
}

/// At most two factors: no definition has a term of more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    parts: [Part; 2],
    count: usize,
}

impl Product {
    fn one(part: Part) -> Self {
        Self {
            parts: [part; 2],
            count: 1,
        }
    }

    fn two(first: Part, second: Part) -> Self {
        Self {
            parts: [first, second],
            count: 2,
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts[..self.count]
    }
}

/// A pass, from which parts get their values.
pub(super) struct Source<'a, T> {
    pub(super) pass: &'a Pass<'a, T>,
    pub(super) objective: Objective,
    pub(super) architecture: &'a Architecture,
    /// What the loss computed last for all outputs of a sample: an equation asks for several of its numbers in turn.
    pub(super) residuals: RefCell<Row<T>>,
    pub(super) probabilities: RefCell<Row<T>>,
}

/// Numbers of a sample.
pub(super) struct Row<T> {
    pub(super) sample: Option<usize>,
    pub(super) entries: Vec<T>,
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self {
            sample: None,
            entries: Vec::new(),
        }
    }
}

/// Entry (row, column) of a quantity of a layer.
fn entry(quantity: Quantity, layer: usize, row: usize, column: usize) -> Entry {
    Entry {
        quantity,
        layer,
        row,
        column,
    }
}

impl<'a, T: Scalar> Source<'a, T> {
    pub(super) fn new(pass: &'a Pass<'a, T>, objective: Objective) -> Self {
        Self {
            pass,
            objective,
            architecture: pass.trace.mlp().architecture(),
            residuals: RefCell::default(),
            probabilities: RefCell::default(),
        }
    }

    /// L.
    pub(super) fn depth(&self) -> usize {
        self.architecture.depth()
    }

    pub(super) fn activation(&self, layer: usize) -> Activation {
        self.architecture.layers()[layer - 1].activation
    }

    /// hⁱ, which is x for i = 0.
    fn h(&self, layer: usize, row: usize, column: usize) -> Part {
        Part::Entry(match layer {
            0 => entry(Quantity::Inputs, 0, row, column),
            _ => entry(Quantity::Activation, layer, row, column),
        })
    }

    /// dzⁱ, which is δ for i = L.
    fn dz(&self, layer: usize, row: usize, column: usize) -> Part {
        Part::Entry(if layer == self.depth() {
            entry(Quantity::Delta, 0, row, column)
        } else {
            entry(Quantity::PreActivationGradient, layer, row, column)
        })
    }

    /// The output that the loss compares: z for a loss on logits, as far as it is h.
    fn output(&self, row: usize, column: usize) -> Entry {
        let depth = self.depth();
        let on_logits = self.objective.loss.is_classification();
        let quantity = if on_logits && self.activation(depth) == Activation::Linear {
            Quantity::PreActivation
        } else {
            Quantity::Activation
        };
        entry(quantity, depth, row, column)
    }

    /// The number of terms of a part's definition; 0 for one that has none.
    pub(super) fn terms(&self, part: Part) -> usize {
        match part {
            Part::Residual(_) => 2,
            Part::Entry(own) => self.terms_of_entry(own),
            Part::Mask(_)
            | Part::Slope(_)
            | Part::Activation(_)
            | Part::Probability(_)
            | Part::Scale
            | Part::MinusOne => 0,
        }
    }

    fn terms_of_entry(&self, own: Entry) -> usize {
        let rows = self.pass.trace.rows();
        let layers = self.architecture.layers();
        match own.quantity {
            Quantity::Inputs
            | Quantity::Targets
            | Quantity::SampleLoss
            | Quantity::Weights
            | Quantity::Bias => 0,
            Quantity::PreActivation => {
                let layer = &layers[own.layer - 1];
                layer.fan_in + usize::from(layer.has_bias())
            }
            Quantity::Activation => 1,
            Quantity::WeightsGradient | Quantity::BiasGradient => rows,
            Quantity::InputsGradient => layers[0].units,
            Quantity::Delta => self.terms_of_dz(self.depth()),
            Quantity::PreActivationGradient => self.terms_of_dz(own.layer),
            Quantity::ActivationGradient => self.terms_of_dh(own.layer),
        }
    }

    fn terms_of_dz(&self, layer: usize) -> usize {
        match self.activation(layer) {
            Activation::Linear => self.terms_of_dh(layer),
            Activation::Relu
            | Activation::LeakyRelu { .. }
            | Activation::Sigmoid
            | Activation::Tanh
            | Activation::Gelu
            | Activation::Silu => 1,
        }
    }

    fn terms_of_dh(&self, layer: usize) -> usize {
        self.architecture
            .layers()
            .get(layer)
            .map_or(1, |above| above.units)
    }

    /// Whether the last term of a definition is a bias.
    pub(super) fn ends_with_bias(&self, part: Part) -> bool {
        match part {
            Part::Entry(own) => {
                own.quantity == Quantity::PreActivation
                    && self.architecture.layers()[own.layer - 1].has_bias()
            }
            Part::Mask(_)
            | Part::Slope(_)
            | Part::Activation(_)
            | Part::Residual(_)
            | Part::Probability(_)
            | Part::Scale
            | Part::MinusOne => false,
        }
    }

    /// Term `index`, from 0, of a definition that has so many.
    pub(super) fn term(&self, part: Part, index: usize) -> Product {
        match part {
            Part::Entry(own) => self.term_of_entry(own, index),
            Part::Residual(output) => self.term_of_residual(output, index),
            Part::Mask(_)
            | Part::Slope(_)
            | Part::Activation(_)
            | Part::Probability(_)
            | Part::Scale
            | Part::MinusOne => Product::one(part),
        }
    }

    fn term_of_entry(&self, own: Entry, index: usize) -> Product {
        let Entry {
            quantity,
            layer,
            row,
            column,
        } = own;
        let weight = |layer, row, column| Part::Entry(entry(Quantity::Weights, layer, row, column));
        match quantity {
            Quantity::Inputs
            | Quantity::Targets
            | Quantity::SampleLoss
            | Quantity::Weights
            | Quantity::Bias => Product::one(Part::Entry(own)),
            Quantity::PreActivation => {
                if index == self.architecture.layers()[layer - 1].fan_in {
                    Product::one(Part::Entry(entry(Quantity::Bias, layer, column, 0)))
                } else {
                    Product::two(self.h(layer - 1, row, index), weight(layer, column, index))
                }
            }
            Quantity::Activation => {
                let z = entry(Quantity::PreActivation, layer, row, column);
                Product::one(if self.activation(layer) == Activation::Linear {
                    Part::Entry(z)
                } else {
                    Part::Activation(z)
                })
            }
            Quantity::WeightsGradient => {
                Product::two(self.dz(layer, index, row), self.h(layer - 1, index, column))
            }
            Quantity::BiasGradient => Product::one(self.dz(layer, index, row)),
            Quantity::InputsGradient => {
                Product::two(self.dz(1, row, index), weight(1, index, column))
            }
            Quantity::Delta => self.term_of_dz(self.depth(), row, column, index),
            Quantity::PreActivationGradient => self.term_of_dz(layer, row, column, index),
            Quantity::ActivationGradient => self.term_of_dh(layer, row, column, index),
        }
    }

    fn term_of_dz(&self, layer: usize, row: usize, column: usize, index: usize) -> Product {
        let dh = Part::Entry(entry(Quantity::ActivationGradient, layer, row, column));
        let z = entry(Quantity::PreActivation, layer, row, column);
        match self.activation(layer) {
            Activation::Linear => self.term_of_dh(layer, row, column, index),
            Activation::Relu => Product::two(dh, Part::Mask(z)),
            Activation::LeakyRelu { .. }
            | Activation::Sigmoid
            | Activation::Tanh
            | Activation::Gelu
            | Activation::Silu => Product::two(dh, Part::Slope(z)),
        }
    }

    fn term_of_dh(&self, layer: usize, row: usize, column: usize, index: usize) -> Product {
        if layer == self.depth() {
            let residual = Part::Residual(self.output(row, column));
            return match (self.objective.reduction, self.objective.loss) {
                (Reduction::Sum, Loss::MeanSquaredError) | (Reduction::Mean, _) => {
                    Product::two(Part::Scale, residual)
                }
                (
                    Reduction::Sum,
                    Loss::HalfSquaredError | Loss::CrossEntropy | Loss::BinaryCrossEntropy,
                ) => Product::one(residual),
            };
        }
        let weight = entry(Quantity::Weights, layer + 1, index, column);
        Product::two(self.dz(layer + 1, row, index), Part::Entry(weight))
    }

    /// f − y, or a probability − y.
    fn term_of_residual(&self, output: Entry, index: usize) -> Product {
        let Entry { row, column, .. } = output;
        if index == 1 {
            let y = Part::Entry(entry(Quantity::Targets, 0, row, column));
            return Product::two(Part::MinusOne, y);
        }
        Product::one(if self.objective.loss.is_classification() {
            Part::Probability(output)
        } else {
            Part::Entry(output)
        })
    }

    /// The parts whose definitions explain `part`: itself, or what it is a function of.
    pub(super) fn explained_by(&self, part: Part) -> Vec<Part> {
        match part {
            Part::Entry(_) | Part::Residual(_) => vec![part],
            Part::Mask(z) | Part::Slope(z) | Part::Activation(z) => vec![Part::Entry(z)],
            Part::Probability(own) => match self.objective.loss {
                Loss::CrossEntropy => {
                    let others = (0..self.architecture.output_size()).filter(|&j| j != own.column);
                    let others = others.map(|column| Part::Entry(Entry { column, ..own }));
                    std::iter::once(Part::Entry(own)).chain(others).collect()
                }
                Loss::BinaryCrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => {
                    vec![Part::Entry(own)]
                }
            },
            Part::Scale | Part::MinusOne => Vec::new(),
        }
    }

    /// The kind of a factor, and the entry that it is or depends on.
    pub(super) fn describe(&self, part: Part) -> (FactorKind, Option<Entry>) {
        match part {
            Part::Entry(own) => (FactorKind::Entry, Some(own)),
            Part::Mask(z) => (FactorKind::Mask, Some(z)),
            Part::Slope(z) => (FactorKind::Slope, Some(z)),
            Part::Activation(z) => (FactorKind::Activation, Some(z)),
            Part::Residual(output) => (FactorKind::Residual, Some(output)),
            Part::Probability(output) => (FactorKind::Probability, Some(output)),
            Part::Scale | Part::MinusOne => (FactorKind::Constant, None),
        }
    }
}
