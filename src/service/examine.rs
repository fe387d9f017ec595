//! The reads: what Gradients and Predict compute of the last committed weights.

use std::sync::Arc;

use faer::Par;

use super::convert::spec::{reduction, to_i32};
use super::convert::tensor::{Encoding, write};
use super::entry::ModelScalar;
use super::pb::{self, Quantity};
use super::reply::{GradientsReply, Tensors};
use crate::nn::loss::largest;
use crate::nn::threads::share;
use crate::nn::{
    Architecture, Backward, Batch, ForwardBuffers, InputGradient, Loss, TargetsRef, Trace,
    Violations,
};
use crate::training::{Model, Spec};

/// Every quantity, in the order of a reply.
pub const QUANTITIES: [Quantity; 13] = [
    Quantity::X,
    Quantity::Z,
    Quantity::H,
    Quantity::Y,
    Quantity::LossPerSample,
    Quantity::DW,
    Quantity::DB,
    Quantity::DZ,
    Quantity::DH,
    Quantity::DX,
    Quantity::Delta,
    Quantity::W,
    Quantity::B,
];

/// How many numbers a quantity holds over all layers, for `rows` samples.
pub fn entries(quantity: Quantity, architecture: &Architecture, rows: usize) -> usize {
    let layers = architecture.layers().iter();
    match quantity {
        Quantity::Unspecified => 0,
        Quantity::X | Quantity::DX => rows * architecture.input_size(),
        Quantity::Z | Quantity::H | Quantity::DZ | Quantity::DH => {
            rows * architecture.units_per_sample()
        }
        Quantity::Y | Quantity::Delta => rows * architecture.output_size(),
        Quantity::LossPerSample => rows,
        Quantity::DW | Quantity::W => layers.map(|layer| layer.weights.len()).sum(),
        Quantity::DB | Quantity::B => layers.map(|layer| layer.bias.len()).sum(),
    }
}

/// The bytes of memory that [`gradients`] takes besides its reply.
pub fn gradients_bytes<T: ModelScalar>(model: &Model<T>, rows: usize) -> usize {
    let architecture = &model.spec().architecture;
    predict_bytes(model, rows).saturating_add(Backward::<T>::bytes(architecture, rows))
}

/// The bytes of memory that [`predict`] takes besides its reply.
pub fn predict_bytes<T: ModelScalar>(model: &Model<T>, rows: usize) -> usize {
    ForwardBuffers::<T>::bytes(&model.spec().architecture, rows)
}

/// The gradients of a batch, and whatever else is asked for.
pub fn gradients<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    include: &[Quantity],
    encoding: Encoding,
    par: Par,
) -> GradientsReply {
    let spec = model.spec();
    let committed = model.committed();
    let view = batch.view();
    let input_gradient = if include.contains(&Quantity::DX) {
        InputGradient::Compute
    } else {
        InputGradient::Skip
    };
    let mut forward = ForwardBuffers::new(&spec.architecture, view.rows);
    let mut backward = Backward::new(&spec.architecture, view.rows, input_gradient);
    let (trace, loss) = share(&spec.architecture, view.rows, par, |par| {
        let mlp = committed.mlp(spec);
        let trace = mlp.forward(view.inputs, view.rows, &mut forward, par);
        let loss = trace.backward(spec.objective, view.targets, &mut backward, par);
        (trace, loss)
    });
    let shown = Shown {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let count: usize = include
        .iter()
        .map(|&quantity| entries(quantity, &spec.architecture, view.rows))
        .sum();
    let bytes = encoding.bytes(count, spec.dtype);
    let most = include.len() * spec.architecture.depth();
    let mut tensors = Tensors::new(encoding, most, bytes);
    for &quantity in include {
        shown.put(quantity, &mut tensors);
    }
    let head = pb::GradientsResponse {
        loss,
        tensors: Vec::new(),
        step: committed.step.cast_signed(),
        weights_digest: committed.digest(spec).to_string(),
        reduction: reduction(spec.objective.reduction).into(),
        batch_size: to_i32(view.rows),
        timings: None,
        accuracy: spec
            .objective
            .accuracy(trace.outputs(), view.targets, view.rows),
    };
    GradientsReply { head, tensors }
}

/// A forward and a backward pass to show.
struct Shown<'a, T> {
    trace: Trace<'a, T>,
    backward: &'a Backward<T>,
    targets: TargetsRef<'a, T>,
}

impl<T: ModelScalar> Shown<'_, T> {
    /// Writes a quantity of every layer that has it.
    fn put(&self, quantity: Quantity, tensors: &mut Tensors) {
        let (trace, backward) = (&self.trace, self.backward);
        let mlp = trace.mlp();
        let (architecture, m) = (mlp.architecture(), trace.rows());
        let depth = architecture.depth();
        let sample = |i: usize| [m, architecture.size(i)];
        let mut put = |layer: usize, shape: &[usize], entries: &[T]| {
            tensors.push(quantity, layer, shape, entries);
        };
        match quantity {
            Quantity::Unspecified => {}
            Quantity::X => put(0, &sample(0), trace.h(0)),
            Quantity::DX => put(0, &sample(0), backward.dh(0, trace.entries(0))),
            Quantity::Y => put(0, &sample(depth), &self.target_values()),
            Quantity::Delta => {
                put(0, &sample(depth), backward.dz(depth, trace.entries(depth)));
            }
            Quantity::LossPerSample => {
                let losses = backward.loss_per_sample(m).iter();
                let losses: Vec<T> = losses.map(|&l| T::from_f64(l)).collect();
                put(0, &[m], &losses);
            }
            Quantity::Z => (1..=depth).for_each(|i| put(i, &sample(i), trace.z(i))),
            Quantity::H => (1..=depth).for_each(|i| put(i, &sample(i), trace.h(i))),
            Quantity::DZ => (1..=depth).for_each(|i| {
                put(i, &sample(i), backward.dz(i, trace.entries(i)));
            }),
            Quantity::DH => (1..=depth).for_each(|i| {
                put(i, &sample(i), backward.dh(i, trace.entries(i)));
            }),
            Quantity::DW | Quantity::W => {
                for (i, layer) in (1..).zip(architecture.layers()) {
                    let entries = if quantity == Quantity::W {
                        mlp.weights(i)
                    } else {
                        &backward.parameters()[layer.weights.clone()]
                    };
                    put(i, &[layer.units, layer.fan_in], entries);
                }
            }
            Quantity::DB | Quantity::B => {
                for (i, layer) in (1..).zip(architecture.layers()) {
                    let entries = if quantity == Quantity::B {
                        mlp.bias(i)
                    } else {
                        &backward.parameters()[layer.bias.clone()]
                    };
                    if layer.has_bias() {
                        put(i, &[layer.units], entries);
                    }
                }
            }
        }
    }

    /// y as numbers: labels become one-hot rows, or 0 and 1 for a single output.
    fn target_values(&self) -> Vec<T> {
        let n = self.trace.mlp().architecture().output_size();
        match self.targets {
            TargetsRef::Values(values) => values.to_vec(),
            TargetsRef::Labels(labels) => {
                let mut values = vec![T::ZERO; labels.len() * n];
                for (row, &label) in values.chunks_exact_mut(n).zip(labels) {
                    match row {
                        [single] => *single = T::from_f64(label.into()),
                        row => row[label as usize] = T::ONE,
                    }
                }
                values
            }
        }
    }
}

/// What else Predict returns besides the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Softmax or sigmoid of the outputs.
    pub probabilities: bool,
    /// The class of each sample.
    pub classes: bool,
    /// Every z and h.
    pub trace: bool,
}

impl Extras {
    /// Refuses probabilities and classes where the loss has none.
    ///
    /// # Errors
    /// One of them is asked for there.
    pub fn check(self, spec: &Spec) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let loss = spec.objective.loss;
        if !loss.is_classification() {
            for (asked, field) in [
                (self.probabilities, "probabilities"),
                (self.classes, "classes"),
            ] {
                if asked {
                    let given = format!("true for a model with {loss:?}");
                    violations.add(
                        field,
                        given,
                        "false: only CROSS_ENTROPY and BINARY_CROSS_ENTROPY have classes",
                    );
                }
            }
        } else if self.classes
            && loss == Loss::BinaryCrossEntropy
            && spec.architecture.output_size() != 1
        {
            let given = format!("true for {} outputs", spec.architecture.output_size());
            violations.add(
                "classes",
                given,
                "false: BINARY_CROSS_ENTROPY has classes for a single output only",
            );
        }
        violations.into_result(Some(()))
    }
}

/// The outputs for inputs (rows × n₀, row-major).
pub fn predict<T: ModelScalar>(
    model: &Arc<Model<T>>,
    inputs: &[T],
    rows: usize,
    extras: Extras,
    encoding: Encoding,
    par: Par,
) -> pb::PredictResponse {
    let spec = model.spec();
    let committed = model.committed();
    let mut buffers = ForwardBuffers::new(&spec.architecture, rows);
    let trace = share(&spec.architecture, rows, par, |par| {
        committed.mlp(spec).forward(inputs, rows, &mut buffers, par)
    });
    let n = spec.architecture.output_size();
    let shape = [rows, n];
    let outputs = trace.outputs();
    let probabilities = extras.probabilities.then(|| {
        let mut probabilities = outputs.to_vec();
        for row in probabilities.chunks_exact_mut(n) {
            spec.objective.probabilities(row);
        }
        write(&shape, &probabilities, encoding)
    });
    let class = |row: &[T]| match spec.objective.loss {
        Loss::BinaryCrossEntropy => i32::from(row[0] > T::ZERO),
        Loss::CrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => {
            to_i32(largest(row))
        }
    };
    let classes = if extras.classes {
        outputs.chunks_exact(n).map(class).collect()
    } else {
        Vec::new()
    };
    pb::PredictResponse {
        outputs: Some(write(&shape, outputs, encoding)),
        probabilities,
        classes,
        trace: if extras.trace {
            traced(&trace, encoding)
        } else {
            Vec::new()
        },
        step: committed.step.cast_signed(),
        weights_digest: committed.digest(spec).to_string(),
        timings: None,
    }
}

fn traced<T: ModelScalar>(trace: &Trace<'_, T>, encoding: Encoding) -> Vec<pb::NamedTensor> {
    let architecture = trace.mlp().architecture();
    let quantities = [Quantity::Z, Quantity::H].into_iter();
    quantities
        .flat_map(|quantity| (1..=architecture.depth()).map(move |i| (quantity, i)))
        .map(|(quantity, i)| {
            let entries = if quantity == Quantity::Z {
                trace.z(i)
            } else {
                trace.h(i)
            };
            pb::NamedTensor {
                quantity: quantity.into(),
                layer: to_i32(i),
                tensor: Some(write(
                    &[trace.rows(), architecture.size(i)],
                    entries,
                    encoding,
                )),
            }
        })
        .collect()
}
