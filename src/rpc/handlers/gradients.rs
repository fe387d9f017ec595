//! Computes the reply of Gradients from the last committed weights.

use std::sync::Arc;

use faer::Par;

use crate::host::models::any_model::ModelScalar;
use crate::nn::threads::share;
use crate::nn::{
    Architecture, Backward, Batch, ForwardBuffers, InputGradient, Pauses, TargetsRef, Trace,
    WeightsDigest,
};
use crate::rpc::convert::spec::{reduction, to_i32};
use crate::rpc::convert::tensor::Encoding;
use crate::rpc::gradients_reply::{GradientsReply, Tensors};
use crate::rpc::pb::{self, Quantity};
use crate::training::{Model, Spec};

/// Every quantity, in the order of the reply.
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

/// The number of entries of a quantity over all layers, for `rows` samples.
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

/// The memory that [`gradients`] takes besides its reply, in bytes.
pub fn gradients_bytes<T: ModelScalar>(model: &Model<T>, rows: usize) -> usize {
    let architecture = &model.spec().architecture;
    ForwardBuffers::<T>::bytes(architecture, rows)
        .saturating_add(Backward::<T>::bytes(architecture, rows))
}

/// The gradients of a batch, and the other requested quantities.
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
    let mut forward = ForwardBuffers::new(&spec.architecture, view.rows);
    let mut backward = Backward::new(&spec.architecture, view.rows, input_gradient(include));
    let (trace, loss) = share(&spec.architecture, view.rows, par, |par| {
        let mlp = committed.mlp(spec);
        let trace = mlp.forward(view.inputs, view.rows, &mut forward, par);
        let loss = trace.backward(spec.objective, view.targets, &mut backward, par);
        (trace, loss)
    });
    let shown = PassReply {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let mut tensors = room_for(include, spec, view.rows, encoding);
    for &quantity in include {
        shown.put(quantity, &mut tensors);
    }
    let head = shown.head(spec, loss, committed.step, committed.digest(spec));
    GradientsReply { head, tensors }
}

/// An empty reply with room for these quantities of `rows` samples.
fn room_for(include: &[Quantity], spec: &Spec, rows: usize, encoding: Encoding) -> Tensors {
    let architecture = &spec.architecture;
    let count: usize = include
        .iter()
        .map(|&quantity| entries(quantity, architecture, rows))
        .sum();
    let bytes = encoding.bytes(count, spec.dtype);
    Tensors::new(encoding, include.len() * architecture.depth(), bytes)
}

/// [`gradients`] with pauses.
pub async fn gradients_in_blocks<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    include: &[Quantity],
    encoding: Encoding,
    pauses: &impl Pauses,
) -> GradientsReply {
    let spec = model.spec();
    let committed = model.committed();
    let view = batch.view();
    let mut forward = ForwardBuffers::new(&spec.architecture, view.rows);
    let mut backward = Backward::new(&spec.architecture, view.rows, input_gradient(include));
    let trace = committed
        .mlp(spec)
        .forward_in_blocks(view.inputs, view.rows, &mut forward, pauses)
        .await;
    let loss = trace
        .backward_in_blocks(spec.objective, view.targets, &mut backward, pauses)
        .await;
    let shown = PassReply {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let mut tensors = room_for(include, spec, view.rows, encoding);
    for &quantity in include {
        let mut parts = Vec::new();
        if !shown.parts(quantity, |layer, shape, entries| {
            parts.push((layer, shape.to_vec(), entries));
        }) {
            shown.put(quantity, &mut tensors);
        }
        for (layer, shape, entries) in parts {
            tensors
                .push_in_blocks(quantity, layer, &shape, entries, pauses)
                .await;
        }
        pauses.pause().await;
    }
    let digest = committed.digest_in_blocks(spec, pauses).await;
    let head = shown.head(spec, loss, committed.step, digest);
    GradientsReply { head, tensors }
}

fn input_gradient(include: &[Quantity]) -> InputGradient {
    if include.contains(&Quantity::DX) {
        InputGradient::Compute
    } else {
        InputGradient::Skip
    }
}

/// The forward and backward pass to show.
struct PassReply<'a, T> {
    trace: Trace<'a, T>,
    backward: &'a Backward<T>,
    targets: TargetsRef<'a, T>,
}

impl<T: ModelScalar> PassReply<'_, T> {
    /// Writes a quantity of every layer that has it.
    fn put(&self, quantity: Quantity, tensors: &mut Tensors) {
        let is_part = self.parts(quantity, |layer, shape, entries| {
            tensors.push(quantity, layer, shape, entries);
        });
        let m = self.trace.rows();
        if is_part {
            // Written.
        } else if quantity == Quantity::Y {
            let n = self.trace.mlp().architecture().output_size();
            tensors.push(quantity, 0, &[m, n], &self.target_values());
        } else {
            let losses = self.backward.loss_per_sample(m).iter();
            let losses: Vec<T> = losses.map(|&l| T::from_f64(l)).collect();
            tensors.push(quantity, 0, &[m], &losses);
        }
    }

    /// Writes a quantity of every layer that has it, straight from the buffers of the pass; `false` if it has to be
    /// computed first.
    #[inline]
    fn parts<'s>(
        &'s self,
        quantity: Quantity,
        mut put: impl FnMut(usize, &[usize], &'s [T]),
    ) -> bool {
        let (trace, backward) = (&self.trace, self.backward);
        let mlp = trace.mlp();
        let (architecture, m) = (mlp.architecture(), trace.rows());
        let depth = architecture.depth();
        let sample = |i: usize| [m, architecture.size(i)];
        match quantity {
            Quantity::Y | Quantity::LossPerSample => return false,
            Quantity::Unspecified => {}
            Quantity::X => put(0, &sample(0), trace.h(0)),
            Quantity::DX => put(0, &sample(0), backward.dh(0, trace.entries(0))),
            Quantity::Delta => {
                put(0, &sample(depth), backward.dz(depth, trace.entries(depth)));
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
        true
    }

    /// All fields of the reply but its tensors.
    fn head(
        &self,
        spec: &Spec,
        loss: f64,
        step: u64,
        digest: WeightsDigest,
    ) -> pb::GradientsResponse {
        let (trace, rows) = (&self.trace, self.trace.rows());
        pb::GradientsResponse {
            loss,
            tensors: Vec::new(),
            step: step.cast_signed(),
            weights_digest: digest.to_string(),
            reduction: reduction(spec.objective.reduction).into(),
            batch_size: to_i32(rows),
            timings: None,
            accuracy: spec.objective.accuracy(trace.outputs(), self.targets, rows),
        }
    }

    /// The targets as numbers: labels become one-hot rows, or 0 and 1 for a single output.
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
