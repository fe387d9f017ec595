//! Requirements on the numbers of a network, and how they are relaxed.

use crate::grade::NetworkSpec;

/// The range of the magnitudes of weights, biases, inputs, targets and arguments.
pub const MAGNITUDES: (f64, f64) = (0.2, 1.5);
/// The least distance from 0 of a hidden unit whose kink is there, unless it is near by choice.
pub const LEAST_PRE_ACTIVATION: f64 = 0.1;
/// The distance from its kink at which a unit is nearly dead or nearly live: far beyond rounding, and nearer than any
/// threshold that stands for 0.
pub const NEAR: f64 = 0.02;
/// The least distance from 0 of every output that a live unit reaches.
pub const LEAST_OUTPUT: f64 = 0.2;
/// The least distance from 0 of every entry of δ, times m; relaxed for losses and outputs that cannot reach it.
pub const LEAST_DELTA: f64 = 0.2;
/// The least distance between any two weights and biases, if there are at most 20.
pub const LEAST_GAP: f64 = 0.05;

/// Requirements on a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demands {
    /// Whether the units of the last hidden layer are live and dead as planned.
    pub(super) is_planned: bool,
    /// Whether the chosen units are near their kinks.
    pub(super) is_near: bool,
    /// Whether each hidden layer has a live and a dead unit, if it is not planned.
    pub(super) is_mixed: bool,
    /// The factor for the distances of units and outputs from 0.
    pub(super) distance: f64,
    /// The factor for the distance of δ from 0.
    pub(super) delta: f64,
    /// Whether each entry of δ is far from 0, rather than one of each sample.
    pub(super) is_every_delta: bool,
    /// The factor for the distance between weights.
    pub(super) gap: f64,
    /// How many small networks to try before relaxing the requirements.
    pub(super) attempts: usize,
}

/// Networks with at most this many weights and biases are tried as often as [`LEVELS`] says.
const SMALL_NETWORK: usize = 64;
/// How often the largest network is tried at each level.
const FEWEST_ATTEMPTS: usize = 10;

/// From the strictest to the most relaxed.
pub(super) const LEVELS: [Demands; 6] = [
    Demands {
        is_planned: true,
        is_near: true,
        is_mixed: true,
        distance: 1.0,
        delta: 1.0,
        is_every_delta: true,
        gap: 1.0,
        attempts: 100,
    },
    Demands {
        is_planned: true,
        is_near: false,
        is_mixed: true,
        distance: 1.0,
        delta: 1.0,
        is_every_delta: true,
        gap: 1.0,
        attempts: 300,
    },
    Demands {
        is_planned: false,
        is_near: true,
        is_mixed: true,
        distance: 1.0,
        delta: 1.0,
        is_every_delta: true,
        gap: 1.0,
        attempts: 200,
    },
    Demands {
        is_planned: false,
        is_near: true,
        is_mixed: true,
        distance: 0.5,
        delta: 0.25,
        is_every_delta: true,
        gap: 0.5,
        attempts: 100,
    },
    Demands {
        is_planned: false,
        is_near: false,
        is_mixed: false,
        distance: 0.25,
        delta: 0.01,
        is_every_delta: false,
        gap: 0.0,
        attempts: 100,
    },
    Demands {
        is_planned: false,
        is_near: false,
        is_mixed: false,
        distance: 0.01,
        delta: 1e-9,
        is_every_delta: false,
        gap: 0.0,
        attempts: 100,
    },
];

/// No parameters were found for a shape of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no numbers for network {index} (from 0) make it tell right from wrong, in {attempts} attempts: its outputs or \
     gradients are 0, or out of all proportion; use fewer or smaller layers"
)]
pub struct SampleError {
    /// The index of the network in the sequence, from 0.
    pub index: usize,
    /// The number of tries.
    pub attempts: usize,
}

/// The number of networks to try: fewer large ones, which cost more.
pub(super) fn attempts(spec: &NetworkSpec, demands: &Demands) -> usize {
    let parameters = spec.architecture.parameter_count();
    let attempts = demands.attempts * SMALL_NETWORK / parameters.max(SMALL_NETWORK);
    attempts.max(FEWEST_ATTEMPTS)
}
