//! Requirements on the numbers of a network.

/// The range of the magnitudes of weights, biases, inputs, targets and arguments.
pub const MAGNITUDES: (f64, f64) = (0.2, 1.5);
/// The least distance from 0 of a hidden unit whose kink is there.
pub const LEAST_PRE_ACTIVATION: f64 = 0.1;
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
