//! Computes the reply of Predict from the last committed weights.

use std::sync::Arc;

use faer::Par;

use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::nn::loss::largest;
use crate::nn::pauses::{Pauses, WALK};
use crate::nn::threads::share;
use crate::nn::{Architecture, ForwardBuffers, Loss, Objective, Trace};
use crate::rpc::convert::spec::to_i32;
use crate::rpc::convert::tensor::{Encoding, write, write_in_blocks};
use crate::rpc::pb::{self, Quantity};
use crate::training::{Model, Spec};

/// The memory that [`predict`] takes besides its reply, in bytes.
pub fn predict_bytes<T: ModelScalar>(model: &Model<T>, rows: usize) -> usize {
    ForwardBuffers::<T>::bytes(&model.spec().architecture, rows)
}

/// The optional parts of the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Softmax or sigmoid of the outputs.
    pub probabilities: bool,
    /// The predicted class of each sample.
    pub classes: bool,
    /// Every z and h.
    pub trace: bool,
}

impl Extras {
    /// Refuses probabilities and classes for a loss that has none.
    ///
    /// # Errors
    /// One of them is requested for such a loss.
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

/// The number of entries of the reply for each sample.
pub fn entries_per_row(architecture: &Architecture, extras: Extras) -> usize {
    architecture.output_size() * (1 + usize::from(extras.probabilities))
        + usize::from(extras.classes)
        + if extras.trace {
            2 * architecture.units_per_sample()
        } else {
            0
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
    let mut classes = Vec::new();
    if extras.classes {
        let rows = outputs.chunks_exact(n);
        classes.extend(rows.map(|row| class(spec.objective, row)));
    }
    let mut traced = Vec::new();
    if extras.trace {
        for (quantity, layer, shape, entries) in matrices(&trace) {
            traced.push(named(quantity, layer, write(&shape, entries, encoding)));
        }
    }
    pb::PredictResponse {
        outputs: Some(write(&shape, outputs, encoding)),
        probabilities,
        classes,
        trace: traced,
        step: committed.step.cast_signed(),
        weights_digest: committed.digest(spec).to_string(),
        timings: None,
    }
}

/// [`predict`] with pauses.
pub async fn predict_in_blocks<T: ModelScalar>(
    model: &Arc<Model<T>>,
    inputs: &[T],
    rows: usize,
    extras: Extras,
    encoding: Encoding,
    pauses: &impl Pauses,
) -> pb::PredictResponse {
    let spec = model.spec();
    let committed = model.committed();
    let mut buffers = ForwardBuffers::new(&spec.architecture, rows);
    let trace = committed
        .mlp(spec)
        .forward_in_blocks(inputs, rows, &mut buffers, pauses)
        .await;
    let n = spec.architecture.output_size();
    let shape = [rows, n];
    let outputs = trace.outputs();
    let block = (WALK / n).max(1) * n;
    let mut probabilities = None;
    if extras.probabilities {
        let mut all = Vec::with_capacity(outputs.len());
        for outputs in outputs.chunks(block) {
            let from = all.len();
            all.extend_from_slice(outputs);
            for row in all[from..].chunks_exact_mut(n) {
                spec.objective.probabilities(row);
            }
            pauses.pause().await;
        }
        probabilities = Some(write_in_blocks(&shape, &all, encoding, pauses).await);
    }
    let mut classes = Vec::new();
    if extras.classes {
        for outputs in outputs.chunks(block) {
            let rows = outputs.chunks_exact(n);
            classes.extend(rows.map(|row| class(spec.objective, row)));
            pauses.pause().await;
        }
    }
    let mut traced = Vec::new();
    if extras.trace {
        for (quantity, layer, shape, entries) in matrices(&trace) {
            let tensor = write_in_blocks(&shape, entries, encoding, pauses).await;
            traced.push(named(quantity, layer, tensor));
        }
    }
    pb::PredictResponse {
        outputs: Some(write_in_blocks(&shape, outputs, encoding, pauses).await),
        probabilities,
        classes,
        trace: traced,
        step: committed.step.cast_signed(),
        weights_digest: committed.digest_in_blocks(spec, pauses).await.to_string(),
        timings: None,
    }
}

/// The predicted class of a sample with these outputs.
fn class<T: ModelScalar>(objective: Objective, row: &[T]) -> i32 {
    match objective.loss {
        Loss::BinaryCrossEntropy => i32::from(row[0] > T::ZERO),
        Loss::CrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => {
            to_i32(largest(row))
        }
    }
}

/// Every z, then every h, each with its layer, shape and entries.
fn matrices<'t, T: ModelScalar>(
    trace: &'t Trace<'_, T>,
) -> Vec<(Quantity, usize, [usize; 2], &'t [T])> {
    let (rows, depth) = (trace.rows(), trace.mlp().architecture().depth());
    let mut matrices = Vec::with_capacity(2 * depth);
    for quantity in [Quantity::Z, Quantity::H] {
        for i in 1..=depth {
            let entries = if quantity == Quantity::Z {
                trace.z(i)
            } else {
                trace.h(i)
            };
            let columns = trace.mlp().architecture().size(i);
            matrices.push((quantity, i, [rows, columns], entries));
        }
    }
    matrices
}

fn named(quantity: Quantity, layer: usize, tensor: pb::Tensor) -> pb::NamedTensor {
    pb::NamedTensor {
        quantity: quantity.into(),
        layer: to_i32(layer),
        tensor: Some(tensor),
    }
}
