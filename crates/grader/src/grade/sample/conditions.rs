//! The conditions that the networks of every question meet together, independent of the mistakes that it lists. A wrong
//! answer that differs from the right one only on one side of a threshold is refused because some network lies there.

use std::fmt;

use super::demands::NEAR;
use crate::formula::{Bindings as _, Matrix, Symbol};
use crate::grade::{BatchKind, Network, NetworkSpec};
use backpropd_engine::nn::{Activation, Loss};

/// Up to this distance a unit is near its kink; all others are farther away.
const NEAR_ENOUGH: f64 = 0.04;
/// A quantity beside a live unit has its sign by at least this much, so that a threshold other than 0 shows as well.
const CLEAR: f64 = 0.35;
/// Up to this many parameters, each has both signs somewhere.
const FEW_PARAMETERS: usize = 64;
/// Up to this many hidden units, each is live beside every other one, live and dead.
const FEW_UNITS: usize = 12;

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// A batch of this size.
    BatchSize(usize),
    /// A unit's column of a quantity, or an entry of a parameter or of x, is positive, or negative.
    Sign {
        /// The quantity.
        symbol: Symbol,
        /// The column, or the entry, from 0.
        at: usize,
        /// The sign.
        positive: bool,
    },
    /// A quantity has a magnitude above 1, or below.
    Magnitude {
        /// The quantity.
        symbol: Symbol,
        /// The side of 1.
        above: bool,
    },
    /// A hidden unit is live, or dead, by about [`NEAR`], and its slope has an effect on the loss and on the gradient
    /// of its weights.
    Near {
        /// The layer, from 1.
        layer: usize,
        /// The unit, from 0.
        unit: usize,
        /// The side of the kink.
        live: bool,
    },
    /// A hidden unit is live, with an effect on the loss, while a column of another quantity has a sign.
    LiveWith {
        /// The layer, from 1.
        layer: usize,
        /// The unit, from 0.
        unit: usize,
        /// The other quantity.
        symbol: Symbol,
        /// Its column, from 0.
        at: usize,
        /// Its sign.
        positive: bool,
    },
    /// A point near this one, of the argument of a function of one number.
    Point(f64),
}

/// The points of a function of one number. A number is drawn on the inner side of its point, so that every draw lies on
/// the same side of a threshold there.
pub(super) const POINTS: [f64; 10] = [0.02, -0.02, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 7.0, -7.0];

impl Condition {
    /// All conditions on networks of this kind that their architecture and loss do not rule out.
    pub(in crate::grade) fn all(spec: &NetworkSpec, kind: BatchKind, sizes: &[usize]) -> Vec<Self> {
        let mut all: Vec<Self> = POINTS.map(Self::Point).to_vec();
        if kind == BatchKind::Many {
            all.extend(sizes.iter().map(|&size| Self::BatchSize(size)));
        }
        let layers = spec.architecture.layers();
        let depth = layers.len();
        let hidden: Vec<(usize, usize, Activation)> = (1..depth)
            .zip(layers)
            .map(|(i, layer)| (i, layer.units, layer.activation))
            .collect();
        for &(layer, units, activation) in &hidden {
            for unit in (0..units).filter(|_| activation.has_kink()) {
                all.extend([true, false].map(|live| Self::Near { layer, unit, live }));
            }
        }
        let signed = signed_columns(spec);
        for &(symbol, at) in &signed {
            all.extend([true, false].map(|positive| Self::Sign {
                symbol,
                at,
                positive,
            }));
        }
        all.extend(magnitudes(spec));
        let few = hidden.iter().map(|(_, units, _)| units).sum::<usize>() <= FEW_UNITS;
        for &(layer, units, activation) in &hidden {
            for unit in (0..units).filter(|_| activation.has_kink()) {
                for &(symbol, at) in &signed {
                    let is_beside = match symbol {
                        Symbol::PreActivation(own) => {
                            own == depth || (few && (own, at) != (layer, unit))
                        }
                        Symbol::Delta | Symbol::Targets => true,
                        _ => false,
                    };
                    for positive in [true, false].into_iter().filter(|_| is_beside) {
                        all.push(Self::LiveWith {
                            layer,
                            unit,
                            symbol,
                            at,
                            positive,
                        });
                    }
                }
            }
        }
        all
    }

    /// Whether some sample of a network meets it.
    pub(in crate::grade) fn holds(self, network: &Network) -> bool {
        match self {
            Self::BatchSize(size) => network.samples() == size,
            Self::Sign {
                symbol,
                at,
                positive,
            } => {
                let Some(value) = network.value(symbol) else {
                    return false;
                };
                let has_sign = |&v: &f64| if positive { v > 0.0 } else { v < 0.0 };
                if is_parameter(symbol) {
                    value.entries().get(at).is_some_and(has_sign)
                } else {
                    (0..value.rows()).any(|k| has_sign(&value.at(k, at)))
                }
            }
            Self::Magnitude { symbol, above } => network.value(symbol).is_some_and(|value| {
                let mut entries = value.entries().iter().map(|v| v.abs());
                entries.any(|v| if above { v > 1.0 } else { v > 0.0 && v < 1.0 })
            }),
            Self::Near { layer, unit, live } => (0..network.samples()).any(|k| {
                let z = pre_activation(network, layer, unit, k);
                let is_near = z.abs() < NEAR_ENOUGH && (z > 0.0) == live && z != 0.0;
                is_near && reaches(network, layer, k) && has_input(network, layer, k)
            }),
            Self::LiveWith {
                layer,
                unit,
                symbol,
                at,
                positive,
            } => (0..network.samples()).any(|k| {
                let other = network.value(symbol).map_or(0.0, |value| value.at(k, at));
                let clear = match symbol {
                    Symbol::Delta => clear_delta(network),
                    _ => CLEAR,
                };
                let has_sign = if positive {
                    other > clear
                } else {
                    other < -clear
                };
                has_sign
                    && pre_activation(network, layer, unit, k) > 0.0
                    && reaches(network, layer, k)
            }),
            Self::Point(point) => network.value(Symbol::Argument).is_some_and(|x| {
                let x = x.at(0, 0);
                x.signum() == point.signum() && is_about(x, point)
            }),
        }
    }
}

/// The size of a δ that is clearly positive or negative, with its share of 1/m. One above 1 shows that δ was clipped;
/// the δ of a class never is.
fn clear_delta(network: &Network) -> f64 {
    let share = 1.0 / network.samples() as f64;
    match network.objective().loss {
        Loss::HalfSquaredError | Loss::MeanSquaredError => share,
        Loss::CrossEntropy | Loss::BinaryCrossEntropy => CLEAR * share,
    }
}

/// Within a tenth of a point, on its inner side.
fn is_about(x: f64, point: f64) -> bool {
    let ratio = x / point;
    ratio > 0.9 && ratio < 1.0
}

fn is_parameter(symbol: Symbol) -> bool {
    matches!(symbol, Symbol::Weights(_) | Symbol::Bias(_))
}

fn pre_activation(network: &Network, layer: usize, unit: usize, k: usize) -> f64 {
    let z = network.value(Symbol::PreActivation(layer));
    z.map_or(0.0, |z| z.at(k, unit))
}

/// Whether a layer above has a path to the loss on a sample: in every hidden layer with a kink, a live unit.
fn reaches(network: &Network, layer: usize, k: usize) -> bool {
    let layers = network.architecture().layers();
    (layer + 1..layers.len()).all(|above| {
        let own = &layers[above - 1];
        !own.activation.has_kink()
            || (0..own.units).any(|unit| pre_activation(network, above, unit, k) > 0.0)
    })
}

/// Whether the layer below a unit is not all 0 on a sample.
fn has_input(network: &Network, layer: usize, k: usize) -> bool {
    let h = network.value(Symbol::Activation(layer - 1));
    h.is_some_and(|h: &Matrix| (0..h.columns()).any(|q| h.at(k, q) != 0.0))
}

/// The columns, or entries, that take both signs.
fn signed_columns(spec: &NetworkSpec) -> Vec<(Symbol, usize)> {
    let architecture = &spec.architecture;
    let layers = architecture.layers();
    let outputs = architecture.output_size();
    let mut all = Vec::new();
    for (i, layer) in (1..).zip(layers) {
        all.extend((0..layer.units).map(|unit| (Symbol::PreActivation(i), unit)));
        if architecture.parameter_count() <= FEW_PARAMETERS {
            let weights = layer.units * layer.fan_in;
            all.extend((0..weights).map(|entry| (Symbol::Weights(i), entry)));
            let biases = if layer.has_bias() { layer.units } else { 0 };
            all.extend((0..biases).map(|entry| (Symbol::Bias(i), entry)));
        }
    }
    all.extend((0..architecture.input_size()).map(|column| (Symbol::Activation(0), column)));
    all.extend((0..outputs).map(|column| (Symbol::Delta, column)));
    let is_class = matches!(
        spec.objective.loss,
        Loss::CrossEntropy | Loss::BinaryCrossEntropy
    );
    if !is_class {
        all.extend((0..outputs).map(|column| (Symbol::Targets, column)));
    }
    all
}

/// Both sides of 1, for each quantity that can be there.
fn magnitudes(spec: &NetworkSpec) -> Vec<Condition> {
    let architecture = &spec.architecture;
    let mut all = Vec::new();
    let mut add = |symbol, can_be_above: bool| {
        all.push(Condition::Magnitude {
            symbol,
            above: false,
        });
        if can_be_above {
            all.push(Condition::Magnitude {
                symbol,
                above: true,
            });
        }
    };
    add(Symbol::Activation(0), true);
    for (i, layer) in (1..).zip(architecture.layers()) {
        let is_bounded = matches!(layer.activation, Activation::Sigmoid | Activation::Tanh);
        add(Symbol::Weights(i), true);
        if layer.has_bias() {
            add(Symbol::Bias(i), true);
        }
        add(Symbol::PreActivation(i), true);
        add(Symbol::Activation(i), !is_bounded);
    }
    match spec.objective.loss {
        Loss::CrossEntropy | Loss::BinaryCrossEntropy => add(Symbol::Delta, false),
        Loss::HalfSquaredError | Loss::MeanSquaredError => {
            let output = &architecture.layers()[architecture.depth() - 1];
            let has_slope = !matches!(output.activation, Activation::Sigmoid);
            add(Symbol::Delta, has_slope);
            add(Symbol::Targets, true);
        }
    }
    all
}

/// A quantity as the report for the instructor writes it.
fn name(symbol: Symbol) -> String {
    match symbol {
        Symbol::Activation(0) => "x".to_owned(),
        Symbol::Activation(i) => format!("h{i}"),
        Symbol::PreActivation(i) => format!("z{i}"),
        Symbol::Weights(i) => format!("W{i}"),
        Symbol::Bias(i) => format!("b{i}"),
        Symbol::Targets => "y".to_owned(),
        Symbol::Delta => "delta".to_owned(),
        other => format!("{other:?}"),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |positive: bool| if positive { "> 0" } else { "< 0" };
        match *self {
            Self::BatchSize(size) => write!(f, "m = {size}"),
            Self::Sign {
                symbol,
                at,
                positive,
            } => {
                let part = if is_parameter(symbol) {
                    "entry"
                } else {
                    "column"
                };
                let (name, sign) = (name(symbol), sign(positive));
                write!(f, "{name} {sign} in {part} {}", at + 1)
            }
            Self::Magnitude { symbol, above } => {
                let side = if above { "above" } else { "below" };
                write!(f, "|{}| {side} 1", name(symbol))
            }
            Self::Near { layer, unit, live } => {
                let side = if live { "live" } else { "dead" };
                write!(
                    f,
                    "unit {} of layer {layer} {side} by about {NEAR}",
                    unit + 1
                )
            }
            Self::LiveWith {
                layer,
                unit,
                symbol,
                at,
                positive,
            } => {
                let (name, sign) = (name(symbol), sign(positive));
                let unit = unit + 1;
                write!(
                    f,
                    "unit {unit} of layer {layer} live while {name} {sign} in column {}",
                    at + 1
                )
            }
            Self::Point(point) => write!(f, "an argument near {point}"),
        }
    }
}
