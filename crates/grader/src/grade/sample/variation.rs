//! Draws the numbers of a network near those of its design, so that they are unknown without the secret and every sign
//! and every side of a usual threshold is the design's.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::draft::dot;
use crate::formula::{Bindings as _, Symbol};
use crate::grade::network::sigma;
use crate::grade::{Network, NetworkSpec, Numbers};
use backpropd_engine::nn::Loss;

/// The greatest relative change of a number, and how often it is halved before the last draw is taken.
const GREATEST_CHANGE: f64 = 0.01;
const HALVINGS: usize = 14;
/// The draws for each size of change.
const DRAWS: usize = 2;

/// The share of its design's magnitude that an entry of δ keeps at least.
const LEAST_SHARE_OF_DELTA: f64 = 0.95;

/// The magnitudes that students compare quantities with in place of 0.
const THRESHOLDS: [f64; 20] = [
    0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 2.5,
    3.0, 5.0,
];

/// A network near `design`.
pub(super) fn vary(
    spec: &NetworkSpec,
    design: &Network,
    numbers: &Numbers,
    generator: &mut ChaCha8Rng,
) -> Network {
    let wanted = pattern(design);
    let mut change = GREATEST_CHANGE;
    for _ in 0..HALVINGS {
        for _ in 0..DRAWS {
            let varied = Network::new(spec, &draw(spec, design, numbers, change, generator));
            if pattern(&varied) == wanted && is_as_far(design, &varied) {
                return varied;
            }
        }
        change /= 2.0;
    }
    Network::new(spec, &draw(spec, design, numbers, change, generator))
}

/// The sign of every entry, and the thresholds between which its magnitude lies.
fn pattern(network: &Network) -> Vec<i8> {
    let depth = network.depth();
    let layers = (1..=depth).flat_map(|i| [Symbol::PreActivation(i), Symbol::Activation(i)]);
    let symbols = layers.chain([Symbol::Delta, Symbol::Targets, Symbol::Argument]);
    let entries = symbols
        .filter_map(|symbol| network.value(symbol))
        .flat_map(|value| value.entries());
    entries.map(|&entry| band(entry)).collect()
}

/// Whether no entry of δ has come nearer to 0 by more than a little: δ is the difference of two larger numbers, so that
/// their small changes can be a large one of δ.
fn is_as_far(design: &Network, varied: &Network) -> bool {
    let delta = |network: &Network| network.value(Symbol::Delta).cloned();
    let (Some(design), Some(varied)) = (delta(design), delta(varied)) else {
        return true;
    };
    let mut pairs = design.entries().iter().zip(varied.entries());
    pairs.all(|(design, varied)| varied.abs() >= LEAST_SHARE_OF_DELTA * design.abs())
}

fn band(entry: f64) -> i8 {
    if entry == 0.0 {
        return 0;
    }
    let band = 1 + THRESHOLDS.partition_point(|&threshold| threshold <= entry.abs()) as i8;
    if entry > 0.0 { band } else { -band }
}

/// Changes every number. The weights of each unit are then moved together by as little as keeps its z, on the sample
/// where that is nearest to 0, at the design's value but for the same relative change.
fn draw(
    spec: &NetworkSpec,
    design: &Network,
    numbers: &Numbers,
    change: f64,
    generator: &mut ChaCha8Rng,
) -> Numbers {
    let mut vary = |number: &f64| number * (1.0 + change * (2.0 * generator.random::<f64>() - 1.0));
    let mut varied = Numbers {
        parameters: numbers.parameters.iter().map(&mut vary).collect(),
        inputs: numbers.inputs.iter().map(&mut vary).collect(),
        targets: match spec.objective.loss {
            Loss::CrossEntropy | Loss::BinaryCrossEntropy => numbers.targets.clone(),
            Loss::HalfSquaredError | Loss::MeanSquaredError => {
                numbers.targets.iter().map(&mut vary).collect()
            }
        },
        argument: vary(&numbers.argument),
    };
    let mut below = varied.inputs.clone();
    for (i, layer) in (1..).zip(spec.architecture.layers()) {
        let rows: Vec<&[f64]> = below.chunks_exact(layer.fan_in).collect();
        let mut h = vec![0.0; rows.len() * layer.units];
        for j in 0..layer.units {
            let at = layer.weights.start + j * layer.fan_in;
            let weights = at..at + layer.fan_in;
            let bias_at = layer.has_bias().then_some(layer.bias.start + j);
            if let Some((k, z)) = nearest(design, i, j) {
                let own = bias_at.map_or(0.0, |bias| varied.parameters[bias]);
                let missing = vary(&z) - own - dot(rows[k], &varied.parameters[weights.clone()]);
                let square = dot(rows[k], rows[k]) + f64::from(u8::from(bias_at.is_some()));
                let share = if square > 0.0 { missing / square } else { 0.0 };
                for (w, h) in varied.parameters[weights.clone()].iter_mut().zip(rows[k]) {
                    *w += share * h;
                }
                if let Some(bias) = bias_at {
                    varied.parameters[bias] += share;
                }
            }
            let own = bias_at.map_or(0.0, |bias| varied.parameters[bias]);
            for (k, row) in rows.iter().enumerate() {
                let z = own + dot(row, &varied.parameters[weights.clone()]);
                h[k * layer.units + j] = sigma(layer.activation, z);
            }
        }
        below = h;
    }
    varied
}

/// The sample on which a unit's z is nearest to 0, and that z; `None` if z is 0 everywhere.
fn nearest(design: &Network, layer: usize, unit: usize) -> Option<(usize, f64)> {
    let z = design.value(Symbol::PreActivation(layer))?;
    let on_samples = (0..z.rows()).map(|k| (k, z.at(k, unit)));
    let reached = on_samples.filter(|&(_, z)| z != 0.0);
    reached.min_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
}
