//! Computes the reply of Gradients from the last committed weights.

use std::sync::Arc;

use faer::Par;

use crate::host::models::any_model::ModelScalar;
use crate::nn::threads::share;
use crate::nn::{
    Backward, Batch, ForwardBuffers, InputGradient, Pass, Pauses, Quantity, WeightsDigest,
};
use crate::rpc::convert::quantity::named;
use crate::rpc::convert::spec::{reduction, to_i32};
use crate::rpc::convert::tensor::Encoding;
use crate::rpc::gradients_reply::{GradientsReply, Tensors};
use crate::rpc::pb;
use crate::training::{Model, Spec};

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
    let pass = Pass {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let mut tensors = room_for(include, spec, view.rows, encoding);
    for &quantity in include {
        for layer in quantity.layers(&spec.architecture) {
            if let Some((shape, entries)) = pass.entries(quantity, layer) {
                tensors.push(named(quantity), layer, &shape, &entries);
            }
        }
    }
    let head = head(&pass, spec, loss, committed.step, committed.digest(spec));
    GradientsReply { head, tensors }
}

/// An empty reply with room for these quantities of `rows` samples.
fn room_for(include: &[Quantity], spec: &Spec, rows: usize, encoding: Encoding) -> Tensors {
    let architecture = &spec.architecture;
    let count: usize = include
        .iter()
        .map(|&quantity| quantity.entries(architecture, rows))
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
    let pass = Pass {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let mut tensors = room_for(include, spec, view.rows, encoding);
    for &quantity in include {
        for layer in quantity.layers(&spec.architecture) {
            if let Some((shape, entries)) = pass.entries(quantity, layer) {
                tensors
                    .push_in_blocks(named(quantity), layer, &shape, &entries, pauses)
                    .await;
            }
        }
        pauses.pause().await;
    }
    let digest = committed.digest_in_blocks(spec, pauses).await;
    let head = head(&pass, spec, loss, committed.step, digest);
    GradientsReply { head, tensors }
}

fn input_gradient(include: &[Quantity]) -> InputGradient {
    if include.contains(&Quantity::InputsGradient) {
        InputGradient::Compute
    } else {
        InputGradient::Skip
    }
}

/// All fields of the reply but its tensors.
fn head<T: ModelScalar>(
    pass: &Pass<'_, T>,
    spec: &Spec,
    loss: f64,
    step: u64,
    digest: WeightsDigest,
) -> pb::GradientsResponse {
    let (trace, rows) = (&pass.trace, pass.trace.rows());
    pb::GradientsResponse {
        loss,
        tensors: Vec::new(),
        step: step.cast_signed(),
        weights_digest: digest.to_string(),
        reduction: reduction(spec.objective.reduction).into(),
        batch_size: to_i32(rows),
        timings: None,
        accuracy: spec.objective.accuracy(trace.outputs(), pass.targets, rows),
    }
}
