//! Central differences, (l(p + h) − l(p − h)) / 2h: the check of the backward pass, always in `f64`.

use super::backward::{Backward, InputGradient};
use super::mlp::{ForwardBuffers, Mlp};
use super::pauses::{Pauses, WALK};
use super::{Architecture, Batch, Objective, Scalar as _};

/// Kinks beyond this number are only counted.
const NAMED_KINKS: usize = 20;

/// Entries below this share of their tensor's largest are compared relative to that share, because their own digits are
/// rounding.
const RELATIVE_FLOOR: f64 = 1e-3;

/// Units in the last place by which two evaluations of the loss may differ by rounding alone; divided by 2h, that is
/// an error of the difference and none of the gradient.
const LOSS_ROUNDING: f64 = 16.0 * f64::EPSILON;

/// A gradient tensor to check. Layers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientTensor {
    /// dWⁱ.
    Weights(usize),
    /// dbⁱ.
    Bias(usize),
    /// dx.
    Inputs,
}

/// An entry and its two derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckedEntry {
    /// The tensor of the entry.
    pub tensor: GradientTensor,
    /// The entry's index in row-major order, from 0.
    pub index: usize,
    /// The derivative from the backward pass.
    pub analytic: f64,
    /// The derivative from central differences.
    pub numeric: f64,
    /// |analytic − numeric|, less the effect of rounding in the loss, / max(|analytic|, |numeric|, 10⁻³ of the tensor's
    /// largest).
    pub relative_error: f64,
}

/// A unit whose pre-activation changes sign between p − h and p + h.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kink {
    /// The tensor whose entry was moved.
    pub tensor: GradientTensor,
    /// The entry's index in row-major order, from 0.
    pub index: usize,
    /// The unit's layer, from 1.
    pub layer: usize,
    /// The sample, from 0.
    pub sample: usize,
    /// The unit, from 0.
    pub unit: usize,
    /// z at p.
    pub z: f64,
}

/// The result for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorReport {
    /// The tensor.
    pub tensor: GradientTensor,
    /// Entries compared.
    pub checked: usize,
    /// Entries skipped at a kink.
    pub skipped: usize,
    /// The entry with the largest relative error.
    pub worst: Option<CheckedEntry>,
}

/// Parameters of the differentiation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckOptions {
    /// h, times max(1, |p|).
    pub step_size: f64,
    /// The number of entries of each tensor to check, evenly spread.
    pub max_entries_per_tensor: usize,
}

/// A comparison in progress; [`Check::advance`] compares the next entry.
#[derive(Debug)]
pub struct Check {
    architecture: Architecture,
    objective: Objective,
    batch: Batch<f64>,
    inputs: Vec<f64>,
    parameters: Vec<f64>,
    analytic: Backward<f64>,
    /// Every z at p, layer by layer.
    pre_activations: Vec<Vec<f64>>,
    options: CheckOptions,
    buffers: ForwardBuffers<f64>,
    scratch: Backward<f64>,
    /// The masks at p + h and at p − h.
    masks: [Vec<bool>; 2],
    tensors: Vec<GradientTensor>,
    /// The largest absolute entry of each tensor's gradient.
    largest: Vec<f64>,
    next: (usize, usize),
    reports: Vec<TensorReport>,
    kinks: Vec<Kink>,
}

impl Check {
    /// The size of the intermediate quantities for `rows` rows, in bytes: of the analytic pass and of the moved ones.
    pub fn workspace_bytes(architecture: &Architecture, rows: usize) -> usize {
        let gradients = Backward::<f64>::bytes(architecture, rows);
        ForwardBuffers::<f64>::bytes(architecture, rows)
            .saturating_add(gradients.saturating_mul(2))
            .saturating_add(rows.saturating_mul(architecture.units_per_sample() * size_of::<f64>()))
    }

    /// The most memory of a comparison, in bytes: the above, the parameters in `f64`, and the inputs twice.
    pub fn bytes(architecture: &Architecture, rows: usize) -> usize {
        let inputs = rows.saturating_mul(2 * architecture.input_size());
        let numbers = architecture.parameter_count().saturating_add(inputs);
        Self::workspace_bytes(architecture, rows)
            .saturating_add(numbers.saturating_mul(size_of::<f64>()))
    }

    /// Prepares the comparison of `backward` with differences of the loss on `batch`.
    pub async fn new(
        architecture: &Architecture,
        parameters: Vec<f64>,
        objective: Objective,
        batch: Batch<f64>,
        options: CheckOptions,
        pauses: &impl Pauses,
    ) -> Self {
        let rows = batch.rows();
        let mut buffers = ForwardBuffers::new(architecture, rows);
        let mut analytic = Backward::new(architecture, rows, InputGradient::Compute);
        let view = batch.view();
        let trace = Mlp::new(architecture, &parameters)
            .forward_in_blocks(view.inputs, rows, &mut buffers, pauses)
            .await;
        trace
            .backward_in_blocks(objective, view.targets, &mut analytic, pauses)
            .await;
        let pre_activations = (1..=architecture.depth())
            .map(|i| trace.z(i).to_vec())
            .collect();

        let tensors: Vec<GradientTensor> = (1..=architecture.depth())
            .flat_map(|i| {
                let bias = architecture.layers()[i - 1].has_bias();
                [
                    Some(GradientTensor::Weights(i)),
                    bias.then_some(GradientTensor::Bias(i)),
                ]
            })
            .flatten()
            .chain([GradientTensor::Inputs])
            .collect();
        let reports = tensors
            .iter()
            .map(|&tensor| TensorReport {
                tensor,
                checked: 0,
                skipped: 0,
                worst: None,
            })
            .collect();
        let mut check = Self {
            largest: Vec::with_capacity(tensors.len()),
            inputs: view.inputs.to_vec(),
            scratch: Backward::new(architecture, rows, InputGradient::Skip),
            masks: Default::default(),
            architecture: architecture.clone(),
            objective,
            parameters,
            analytic,
            pre_activations,
            options,
            buffers,
            tensors,
            next: (0, 0),
            reports,
            kinks: Vec::new(),
            batch,
        };
        for index in 0..check.tensors.len() {
            let mut largest = 0.0_f64;
            for block in check.analytic_of(check.tensors[index]).chunks(WALK) {
                largest = block.iter().fold(largest, |top, g| top.max(g.abs()));
                pauses.pause().await;
            }
            check.largest.push(largest);
        }
        check
    }

    /// The number of forward passes that a check of this network takes: two per entry.
    pub fn evaluations(architecture: &Architecture, rows: usize, max_entries: usize) -> u64 {
        let inputs = rows
            .saturating_mul(architecture.input_size())
            .min(max_entries);
        let layers: usize = architecture
            .layers()
            .iter()
            .map(|layer| layer.weights.len().min(max_entries) + layer.bias.len().min(max_entries))
            .sum();
        2 * (inputs as u64).saturating_add(layers as u64)
    }

    /// Compares the next entry; `false` if none is left.
    pub async fn advance(&mut self, pauses: &impl Pauses) -> bool {
        let (which, taken) = self.next;
        let Some(&tensor) = self.tensors.get(which) else {
            return false;
        };
        let entries = self.analytic_of(tensor).len();
        let wanted = entries.min(self.options.max_entries_per_tensor);
        if taken >= wanted {
            self.next = (which + 1, 0);
            return self.next.0 < self.tensors.len();
        }
        self.next = (which, taken + 1);
        // Evenly spread over the tensor; every entry if all are requested.
        self.compare(which, tensor, taken * entries / wanted, pauses)
            .await;
        true
    }

    /// The tensors' reports, the kinks (the first of them in detail) and the number of skipped entries.
    pub fn into_report(self) -> (Vec<TensorReport>, Vec<Kink>, usize) {
        let skipped = self.reports.iter().map(|report| report.skipped).sum();
        (self.reports, self.kinks, skipped)
    }

    fn analytic_of(&self, tensor: GradientTensor) -> &[f64] {
        let layers = self.architecture.layers();
        match tensor {
            GradientTensor::Weights(i) => {
                &self.analytic.parameters()[layers[i - 1].weights.clone()]
            }
            GradientTensor::Bias(i) => &self.analytic.parameters()[layers[i - 1].bias.clone()],
            GradientTensor::Inputs => self.analytic.dh(0, self.inputs.len()),
        }
    }

    fn entry(&mut self, tensor: GradientTensor, index: usize) -> &mut f64 {
        let layers = self.architecture.layers();
        match tensor {
            GradientTensor::Weights(i) => &mut self.parameters[layers[i - 1].weights.start + index],
            GradientTensor::Bias(i) => &mut self.parameters[layers[i - 1].bias.start + index],
            GradientTensor::Inputs => &mut self.inputs[index],
        }
    }

    async fn compare(
        &mut self,
        which: usize,
        tensor: GradientTensor,
        index: usize,
        pauses: &impl Pauses,
    ) {
        let value = *self.entry(tensor, index);
        let h = self.options.step_size * value.abs().max(1.0);
        let (above, below) = (value + h, value - h);
        let [mut masks_above, mut masks_below] = std::mem::take(&mut self.masks);
        *self.entry(tensor, index) = above;
        let loss_above = self.loss(&mut masks_above, pauses).await;
        *self.entry(tensor, index) = below;
        let loss_below = self.loss(&mut masks_below, pauses).await;
        *self.entry(tensor, index) = value;
        let kinked = masks_above
            .iter()
            .zip(&masks_below)
            .position(|(above, below)| above != below);
        self.masks = [masks_above, masks_below];

        if let Some(unit) = kinked {
            self.reports[which].skipped += 1;
            if self.kinks.len() < NAMED_KINKS {
                let kink = self.kink(tensor, index, unit);
                self.kinks.push(kink);
            }
            return;
        }
        let numeric = (loss_above - loss_below) / (above - below);
        let gradients = self.analytic_of(tensor);
        let analytic = gradients[index];
        let largest = self.largest[which];
        let scale = analytic
            .abs()
            .max(numeric.abs())
            .max(RELATIVE_FLOOR * largest);
        let rounding = LOSS_ROUNDING * loss_above.abs().max(loss_below.abs()) / (above - below);
        let excess = (analytic - numeric).abs() - rounding;
        // Not `max`, which would turn a NaN error into 0.
        let error = if excess <= 0.0 { 0.0 } else { excess };
        let relative_error = if error == 0.0 { 0.0 } else { error / scale };
        let report = &mut self.reports[which];
        report.checked += 1;
        // NaN is worse than any number.
        if report
            .worst
            .is_none_or(|worst| relative_error > worst.relative_error || relative_error.is_nan())
        {
            report.worst = Some(CheckedEntry {
                tensor,
                index,
                analytic,
                numeric,
                relative_error,
            });
        }
    }

    /// The current loss; `masks` becomes the mask of every unit with a kink, layer by layer.
    async fn loss(&mut self, masks: &mut Vec<bool>, pauses: &impl Pauses) -> f64 {
        let rows = self.batch.rows();
        let mlp = Mlp::new(&self.architecture, &self.parameters);
        let trace = mlp
            .forward_in_blocks(&self.inputs, rows, &mut self.buffers, pauses)
            .await;
        masks.clear();
        for i in kinked_layers(&self.architecture) {
            masks.extend(trace.z(i).iter().map(|z| *z >= f64::ZERO));
        }
        let targets = self.batch.view().targets;
        trace
            .loss_in_blocks(self.objective, targets, &mut self.scratch, pauses)
            .await
    }

    /// The kink that moving an entry crosses; `position` indexes the masks of [`Self::loss`].
    fn kink(&self, tensor: GradientTensor, index: usize, mut position: usize) -> Kink {
        let mut layer = 0;
        for i in kinked_layers(&self.architecture) {
            layer = i;
            let entries = self.pre_activations[i - 1].len();
            if position < entries {
                break;
            }
            position -= entries;
        }
        let units = self.architecture.size(layer);
        Kink {
            tensor,
            index,
            layer,
            sample: position / units,
            unit: position % units,
            z: self.pre_activations[layer - 1][position],
        }
    }
}

/// The layers, from 1, whose activation has a kink.
fn kinked_layers(architecture: &Architecture) -> impl Iterator<Item = usize> {
    let layers = architecture.layers().iter().zip(1..);
    layers
        .filter(|(layer, _)| layer.activation.has_kink())
        .map(|(_, i)| i)
}
