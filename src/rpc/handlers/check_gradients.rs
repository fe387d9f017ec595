//! CheckGradients: compares backward's gradients with central differences, in `f64`, a quantum at a time.

use std::sync::Arc;

use tonic::{Response, Status};

use super::reads;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::limits::memory::Reservation;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::refused::Refused;
use crate::nn::finite_difference::{Check, CheckOptions, CheckedEntry, GradientTensor, Kink};
use crate::nn::pauses::{Pauses, WALK};
use crate::nn::{Architecture, Batch};
use crate::rpc::convert::shared_fields::count;
use crate::rpc::convert::spec::to_i32;
use crate::rpc::convert::target::{RequestedTarget, read_batch};
use crate::rpc::convert::training::timings;
use crate::rpc::pb::{self, Quantity};
use crate::training::{Committed, Model, Spec};

/// Answers CheckGradients.
///
/// # Errors
/// Invalid fields, an unknown model, too much work, no memory, or a passed deadline.
pub async fn check(
    host: &Host,
    caller: &Caller,
    request: pb::CheckGradientsRequest,
) -> Result<Response<pb::CheckGradientsResponse>, Status> {
    let mut violations = Violations::new();
    let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
    let batch = read_batch(
        request.inputs,
        request.targets,
        request.labels,
        &mut violations,
    );
    let step_size = request.step_size.unwrap_or(1e-5);
    if !(1e-10..=0.1).contains(&step_size) {
        violations.add("step_size", step_size, "1e-10 to 0.1");
    }
    let tolerance = request.tolerance.unwrap_or(1e-7);
    if tolerance.is_nan() || tolerance <= 0.0 {
        violations.add("tolerance", tolerance, "above 0");
    }
    let most = count(
        request.max_entries_per_tensor,
        "max_entries_per_tensor",
        usize::MAX,
        &mut violations,
    );
    let (target, batch) = violations
        .into_result(target.zip(batch))
        .map_err(Refused::from)?;

    with_model!(target.find(host, caller).await?, model => {
        let batch = reads::typed::<f64>(host, caller, model.spec(), batch).await?;
        let options = CheckOptions { step_size, max_entries_per_tensor: most };
        let check = GradientCheck::new(&model, batch, options, tolerance, host, caller)?;
        // Never inline: it takes many passes, however small each is.
        let (flops, work) = (u64::MAX, |turns| async move { check.reply(&turns).await });
        let (mut reply, timing) = host.compute_in_blocks(caller, flops, work).await?;
        reply.timings = Some(timings(timing));
        Ok(Response::new(reply))
    })
}

/// A gradient check and the data for its reply.
pub struct GradientCheck<T> {
    committed: Arc<Committed<T>>,
    spec: Spec,
    batch: Batch<f64>,
    options: CheckOptions,
    tolerance: f64,
    _memory: Reservation,
}

impl<T: ModelScalar> GradientCheck<T> {
    /// A check of the model's last committed weights.
    ///
    /// # Errors
    /// It would take more forward passes, or more memory, than allowed.
    pub fn new(
        model: &Model<T>,
        batch: Batch<f64>,
        options: CheckOptions,
        tolerance: f64,
        host: &Host,
        caller: &Caller,
    ) -> Result<Self, Refused> {
        let spec = model.spec().clone();
        let rows = batch.rows();
        let architecture = &spec.architecture;
        host.check_workspace(Check::workspace_bytes(architecture, rows))?;
        let memory = host.reserve(caller, Check::bytes(architecture, rows))?;
        let most = options.max_entries_per_tensor;
        let evaluations = Check::evaluations(&spec.architecture, rows, most);
        let limit = host.config.max_check_evaluations;
        if evaluations > limit {
            let message = format!(
                "checking every entry takes {evaluations} forward passes, {limit} are allowed \
                 (max_check_evaluations): set max_entries_per_tensor, or send fewer rows"
            );
            return Err(Refused::quota("max_check_evaluations", limit, message));
        }
        let pass = architecture.forward_flops(rows);
        host.check_work(
            pass.saturating_mul(evaluations),
            "set max_entries_per_tensor",
        )?;
        Ok(Self {
            committed: model.committed(),
            spec,
            batch,
            options,
            tolerance,
            _memory: memory,
        })
    }

    /// Compares every requested entry.
    pub async fn reply(self, pauses: &impl Pauses) -> pb::CheckGradientsResponse {
        let mut parameters = Vec::with_capacity(self.committed.state.parameters.len());
        for block in self.committed.state.parameters.chunks(WALK) {
            parameters.extend(block.iter().map(|parameter| parameter.to_f64()));
            pauses.pause().await;
        }
        let mut check = Check::new(
            &self.spec.architecture,
            parameters,
            self.spec.objective,
            self.batch,
            self.options,
            pauses,
        )
        .await;
        while check.advance(pauses).await {
            pauses.pause().await;
        }
        let (reports, kinks, skipped) = check.into_report();
        let architecture = &self.spec.architecture;
        let worst = reports
            .iter()
            .filter_map(|report| report.worst)
            .reduce(|worst, next| {
                if worst.relative_error.is_nan() || next.relative_error <= worst.relative_error {
                    worst
                } else {
                    next
                }
            });
        pb::CheckGradientsResponse {
            passed: worst.is_some_and(|worst| worst.relative_error <= self.tolerance),
            worst: worst.map(|worst| write_entry(architecture, &worst)),
            tensors: reports
                .iter()
                .map(|report| {
                    let (quantity, layer) = name(report.tensor);
                    pb::CheckedTensor {
                        quantity: quantity.into(),
                        layer: to_i32(layer),
                        checked: to_i32(report.checked),
                        skipped: to_i32(report.skipped),
                        worst: report.worst.map(|worst| write_entry(architecture, &worst)),
                    }
                })
                .collect(),
            kinks: kinks
                .iter()
                .map(|kink| write_kink(architecture, kink))
                .collect(),
            skipped: to_i32(skipped),
            step: self.committed.step.cast_signed(),
            timings: None,
        }
    }
}

fn name(tensor: GradientTensor) -> (Quantity, usize) {
    match tensor {
        GradientTensor::Weights(i) => (Quantity::DW, i),
        GradientTensor::Bias(i) => (Quantity::DB, i),
        GradientTensor::Inputs => (Quantity::DX, 0),
    }
}

/// The position of an entry, counted from 1: row and column, or the one index of a bias.
fn place(architecture: &Architecture, tensor: GradientTensor, index: usize) -> Vec<i32> {
    let columns = match tensor {
        GradientTensor::Weights(i) => architecture.layers()[i - 1].fan_in,
        GradientTensor::Inputs => architecture.input_size(),
        GradientTensor::Bias(_) => return vec![to_i32(index + 1)],
    };
    vec![to_i32(index / columns + 1), to_i32(index % columns + 1)]
}

fn write_entry(architecture: &Architecture, entry: &CheckedEntry) -> pb::CheckedEntry {
    let (quantity, layer) = name(entry.tensor);
    pb::CheckedEntry {
        quantity: quantity.into(),
        layer: to_i32(layer),
        index: place(architecture, entry.tensor, entry.index),
        analytic: entry.analytic,
        numeric: entry.numeric,
        relative_error: entry.relative_error,
    }
}

fn write_kink(architecture: &Architecture, kink: &Kink) -> pb::Kink {
    let (quantity, layer) = name(kink.tensor);
    pb::Kink {
        quantity: quantity.into(),
        layer: to_i32(layer),
        index: place(architecture, kink.tensor, kink.index),
        unit_layer: to_i32(kink.layer),
        sample: to_i32(kink.sample + 1),
        unit: to_i32(kink.unit + 1),
        z: kink.z,
    }
}
