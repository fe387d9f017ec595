//! One attempt at sampling a network.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::axis::Axis;
use super::demands::{
    Demands, LEAST_DELTA, LEAST_GAP, LEAST_OUTPUT, LEAST_PRE_ACTIVATION, MAGNITUDES, NEAR,
};
use super::plan::is_mixed;
use crate::grade::network::{sigma, slope};
use crate::grade::{NetworkSpec, Numbers};
use backpropd_engine::nn::{Activation, Layer, Loss, Objective, Reduction, TargetsRef};

/// How often a unit's weights are drawn before the attempt is abandoned.
const UNIT_DRAWS: usize = 200;
/// How often the last layer is drawn before the attempt is abandoned.
const OUTPUT_DRAWS: usize = 10;
/// How often one number is drawn.
const NUMBER_DRAWS: usize = 64;
/// Up to this many weights and biases keep their full distance from each other.
const FEW_PARAMETERS: f64 = 20.0;
/// Beyond this many weights and biases there is no distance between them.
const MANY_PARAMETERS: usize = 256;

/// A network being drawn, layer by layer.
pub(super) struct Draft<'a> {
    spec: &'a NetworkSpec,
    demands: &'a Demands,
    samples: usize,
    /// Units near their kink.
    near: &'a [Near],
    generator: &'a mut ChaCha8Rng,
    /// The least distance of an entry of δ from 0.
    least_delta: f64,
    /// W¹, b¹, W², … so far.
    parameters: Vec<f64>,
    /// All weights and biases so far, which keep their distance from each other.
    axis: Axis,
}

/// A hidden unit whose z is to be `target` on one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// From 1.
    pub(super) layer: usize,
    pub(super) unit: usize,
    pub(super) sample: usize,
    pub(super) target: f64,
}

/// Requirements on the units of a layer.
struct Wanted<'a> {
    layer: &'a Layer,
    /// The layer's number, from 1.
    number: usize,
    is_output: bool,
    /// For each sample the units that are live, where that is planned.
    live: &'a [Option<Vec<bool>>],
}

impl<'a> Draft<'a> {
    /// Nothing drawn so far.
    pub(super) fn new(
        spec: &'a NetworkSpec,
        demands: &'a Demands,
        samples: usize,
        near: &'a [Near],
        generator: &'a mut ChaCha8Rng,
    ) -> Self {
        let count = spec.architecture.parameter_count();
        let gap = if count > MANY_PARAMETERS {
            0.0
        } else {
            LEAST_GAP * (FEW_PARAMETERS / count as f64).min(1.0)
        };
        Self {
            spec,
            demands,
            samples,
            near,
            generator,
            least_delta: demands.delta * least_delta(spec),
            parameters: Vec::with_capacity(count),
            axis: Axis::new(gap * demands.gap, MAGNITUDES.1),
        }
    }

    /// Draws everything; `None` if a requirement was not met in time.
    pub(super) fn numbers(mut self, planned: &[Option<Vec<bool>>]) -> Option<Numbers> {
        let architecture = &self.spec.architecture;
        let depth = architecture.depth();
        let inputs = self.magnitudes(self.samples * architecture.input_size());
        let mut h = inputs.clone();
        for (i, layer) in (1..depth).zip(architecture.layers()) {
            let is_last = i + 1 == depth;
            let wanted = Wanted {
                layer,
                number: i,
                is_output: false,
                live: if is_last { planned } else { &[] },
            };
            let z = self.layer(&wanted, &h)?;
            h = z.iter().map(|&z| sigma(layer.activation, z)).collect();
        }
        let targets = self.output(&h)?;
        Some(Numbers {
            inputs,
            targets,
            argument: self.magnitude(),
            parameters: self.parameters,
        })
    }

    /// Draws the last layer over hᴸ⁻¹, and y.
    fn output(&mut self, h: &[f64]) -> Option<Vec<f64>> {
        let architecture = &self.spec.architecture;
        let layer = &architecture.layers()[architecture.depth() - 1];
        let wanted = Wanted {
            layer,
            number: architecture.depth(),
            is_output: true,
            live: &[],
        };
        let before = self.parameters.len();
        for _ in 0..OUTPUT_DRAWS {
            self.truncate(before);
            let z = self.layer(&wanted, h)?;
            let f: Vec<f64> = z.iter().map(|&z| sigma(layer.activation, z)).collect();
            if let Some(targets) = self.targets(&z, &f) {
                return Some(targets);
            }
        }
        None
    }

    /// Draws Wⁱ and bⁱ, and returns zⁱ (m × nᵢ) of hⁱ⁻¹ (m × nᵢ₋₁).
    fn layer(&mut self, wanted: &Wanted<'_>, h: &[f64]) -> Option<Vec<f64>> {
        let layer = wanted.layer;
        let rows: Vec<&[f64]> = h.chunks_exact(layer.fan_in).collect();
        // Without a live unit below and without a bias, z is 0.
        if layer.activation.has_kink() && !layer.has_bias() && rows.iter().any(|row| is_zero(row)) {
            return None;
        }
        let mut z = vec![0.0; self.samples * layer.units];
        let mut biases = Vec::new();
        for j in 0..layer.units {
            let (column, bias) = self.unit(wanted, &rows, j)?;
            biases.extend(bias);
            for (k, own) in column.into_iter().enumerate() {
                z[k * layer.units + j] = own;
            }
        }
        self.parameters.append(&mut biases);
        let live: Vec<bool> = z.iter().map(|&z| z > 0.0).collect();
        let is_masked = layer.activation.has_kink() && !wanted.is_output && layer.units > 1;
        let is_planned = !wanted.live.is_empty() && wanted.live.iter().all(Option::is_some);
        let must_mix = self.demands.is_mixed && is_masked && !is_planned;
        (!must_mix || is_mixed(&live)).then_some(z)
    }

    /// Draws one unit's weights, which it appends, and its bias, which it returns with the unit's z on each sample.
    fn unit(
        &mut self,
        wanted: &Wanted<'_>,
        rows: &[&[f64]],
        j: usize,
    ) -> Option<(Vec<f64>, Option<f64>)> {
        let before = self.parameters.len();
        let mut column = Vec::with_capacity(rows.len());
        let mut near = self.near.iter();
        let near = near.find(|near| (near.layer, near.unit) == (wanted.number, j));
        for _ in 0..UNIT_DRAWS {
            self.truncate(before);
            for _ in 0..wanted.layer.fan_in {
                let weight = self.apart()?;
                self.axis.insert(weight);
                self.parameters.push(weight);
            }
            let bias = if wanted.layer.has_bias() {
                Some(self.apart()?)
            } else {
                None
            };
            if let Some(near) = near
                && !self.solve(near, rows[near.sample], before, bias)
            {
                continue;
            }
            let w = &self.parameters[before..];
            column.clear();
            // Most draws fail on the first sample or two.
            let is_wanted = rows.iter().enumerate().all(|(k, h)| {
                let z = bias.unwrap_or(0.0) + dot(h, w);
                column.push(z);
                let is_near = near.is_some_and(|near| near.sample == k);
                is_near || self.is_wanted(wanted, h, z, (k, j))
            });
            if is_wanted {
                if let Some(bias) = bias {
                    self.axis.insert(bias);
                }
                return Some((column, bias));
            }
        }
        None
    }

    /// Changes one weight of a unit so that its z has the wanted value; `false` if that weight is then out of range, or
    /// too close to another.
    fn solve(&mut self, near: &Near, h: &[f64], before: usize, bias: Option<f64>) -> bool {
        let largest = (0..h.len()).max_by(|&a, &b| h[a].abs().total_cmp(&h[b].abs()));
        let Some(at) = largest.filter(|&at| h[at] != 0.0) else {
            return false;
        };
        let w = &self.parameters[before..];
        let rest = bias.unwrap_or(0.0) + dot(h, w) - h[at] * w[at];
        let own = (near.target - rest) / h[at];
        let (least, most) = MAGNITUDES;
        if !(least..=most).contains(&own.abs()) {
            return false;
        }
        let drawn = w[at];
        self.axis.remove(drawn);
        let fits =
            self.axis.has_room(own) && bias.is_none_or(|bias| self.axis.are_apart(own, bias));
        let number = if fits { own } else { drawn };
        self.axis.insert(number);
        self.parameters[before + at] = number;
        fits
    }

    /// Takes back all parameters but the first `count`.
    fn truncate(&mut self, count: usize) {
        for number in self.parameters.drain(count..) {
            self.axis.remove(number);
        }
    }

    /// Whether unit j with pre-activation `z` over `h` meets the requirements on sample k.
    fn is_wanted(&self, wanted: &Wanted<'_>, h: &[f64], z: f64, (k, j): (usize, usize)) -> bool {
        let (layer, distance) = (wanted.layer, self.demands.distance);
        if wanted.is_output {
            let f = sigma(layer.activation, z);
            // What only a unit near its kink reaches is small.
            let is_barely_reached = !layer.has_bias() && h.iter().all(|h| h.abs() < 2.0 * NEAR);
            return is_barely_reached || f.abs() >= LEAST_OUTPUT * distance;
        }
        if !layer.activation.has_kink() {
            return true;
        }
        let planned = wanted.live.get(k).and_then(Option::as_ref);
        let is_as_planned = planned.is_none_or(|live| live[j] == (z > 0.0));
        is_as_planned && z.abs() >= LEAST_PRE_ACTIVATION * distance
    }

    /// Draws y for outputs f = σ(z), both m × n_L.
    fn targets(&mut self, z: &[f64], f: &[f64]) -> Option<Vec<f64>> {
        let n = self.spec.architecture.output_size();
        let mut targets = Vec::with_capacity(f.len());
        for (z, f) in z.chunks_exact(n).zip(f.chunks_exact(n)) {
            let y = match self.spec.objective.loss {
                Loss::CrossEntropy => self.class(z, f)?,
                Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::BinaryCrossEntropy => {
                    (0..n).map(|j| self.target(z[j], f[j])).collect()
                }
            };
            if !self.has_delta(z, f, &y) {
                return None;
            }
            targets.extend(y);
        }
        Some(targets)
    }

    /// A one-hot class for one sample's outputs: starting from a random one, the first that leaves δ far from 0.
    fn class(&mut self, z: &[f64], f: &[f64]) -> Option<Vec<f64>> {
        let n = f.len();
        let start = self.generator.random_range(0..n);
        (start..start + n)
            .map(|class| (0..n).map(|j| f64::from(j == class % n)).collect())
            .find(|y: &Vec<f64>| self.has_delta(z, f, y))
    }

    /// A target for one output, whose part of the loss is its own: one that leaves δ far from 0, if one is found.
    fn target(&mut self, z: f64, f: f64) -> f64 {
        let slope = self.slope(z);
        let (objective, mut df) = (self.objective(), [0.0]);
        let mut y = 0.0;
        for _ in 0..NUMBER_DRAWS {
            y = match self.spec.objective.loss {
                Loss::BinaryCrossEntropy => f64::from(self.generator.random_bool(0.5)),
                Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::CrossEntropy => {
                    self.magnitude()
                }
            };
            let targets = TargetsRef::Values(&[y]);
            objective.evaluate(&[f], targets, &mut [0.0], &mut df, faer::Par::Seq);
            if (df[0] * slope).abs() >= self.least_delta {
                break;
            }
        }
        y
    }

    /// Whether δ = ∂l/∂f ⊙ σ′(z) of a sample, before any mean is taken, is far from 0.
    fn has_delta(&self, z: &[f64], f: &[f64], y: &[f64]) -> bool {
        let mut df = vec![0.0; f.len()];
        let targets = TargetsRef::Values(y);
        (self.objective()).evaluate(f, targets, &mut [0.0], &mut df, faer::Par::Seq);
        let is_far = |(&z, df): (&f64, f64)| (df * self.slope(z)).abs() >= self.least_delta;
        let mut entries = z.iter().zip(df);
        if self.demands.is_every_delta {
            entries.all(is_far)
        } else {
            entries.any(is_far)
        }
    }

    /// The loss without a mean.
    fn objective(&self) -> Objective {
        Objective {
            loss: self.spec.objective.loss,
            reduction: Reduction::Sum,
        }
    }

    /// σ′(z) of an output.
    fn slope(&self, z: f64) -> f64 {
        let architecture = &self.spec.architecture;
        let activation = architecture.layers()[architecture.depth() - 1].activation;
        slope(activation, z, architecture.relu_at_zero())
    }

    /// A number at a distance from all weights and biases; `None` if there is no room.
    fn apart(&mut self) -> Option<f64> {
        for _ in 0..NUMBER_DRAWS {
            let number = self.magnitude();
            if self.axis.has_room(number) {
                return Some(number);
            }
        }
        None
    }

    fn magnitudes(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.magnitude()).collect()
    }

    /// Either sign, and a magnitude from [`MAGNITUDES`].
    fn magnitude(&mut self) -> f64 {
        let (least, most) = MAGNITUDES;
        let magnitude = least + (most - least) * self.generator.random::<f64>();
        if self.generator.random_bool(0.5) {
            magnitude
        } else {
            -magnitude
        }
    }
}

/// The distance from 0 that δ can reach, before any mean is taken: the probabilities of many classes are small, and the
/// slope of a sigmoid is at most ¼.
pub(super) fn least_delta(spec: &NetworkSpec) -> f64 {
    let architecture = &spec.architecture;
    let of_loss = match spec.objective.loss {
        Loss::CrossEntropy => (2.0 / architecture.output_size() as f64).min(1.0),
        Loss::HalfSquaredError | Loss::MeanSquaredError | Loss::BinaryCrossEntropy => 1.0,
    };
    let of_output = match architecture.layers()[architecture.depth() - 1].activation {
        Activation::Sigmoid => 0.25,
        Activation::Linear
        | Activation::Relu
        | Activation::LeakyRelu { .. }
        | Activation::Tanh
        | Activation::Gelu
        | Activation::Silu => 1.0,
    };
    LEAST_DELTA * of_loss * of_output
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn is_zero(row: &[f64]) -> bool {
    row.iter().all(|&entry| entry == 0.0)
}
