//! Optimizers. An update reads one state and writes another, so that the old one stays whole until the new one is
//! known to be finite. Formulas and defaults are PyTorch's (torch.optim).

use super::Scalar;

/// How the parameters follow the gradient.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Optimizer {
    /// v ← μ v + g; p ← p − η v, or p − η (g + μ v) with Nesterov's form.
    Sgd {
        /// μ.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
        /// λ: g ← g + λ p.
        weight_decay: f64,
    },
    /// m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; p ← p − η m̂ / (√v̂ + ε) (Kingma and Ba 2015).
    Adam {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        epsilon: f64,
        /// λ.
        weight_decay: f64,
        /// p ← (1 − η λ) p instead of g ← g + λ p (Loshchilov and Hutter 2019): AdamW.
        decoupled: bool,
    },
    /// v ← α v + (1 − α) g²; u ← μ u + g / (√v + ε); p ← p − η u.
    RmsProp {
        /// α.
        alpha: f64,
        /// ε.
        epsilon: f64,
        /// μ.
        momentum: f64,
        /// λ: g ← g + λ p.
        weight_decay: f64,
    },
}

/// Parameters and what an optimizer remembers of earlier gradients. One commit of training replaces all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct State<T> {
    /// All parameters, in the layout of the architecture.
    pub parameters: Vec<T>,
    /// Momentum, or the first moment; empty where the optimizer keeps none.
    pub first: Vec<T>,
    /// The second moment; empty where the optimizer keeps none.
    pub second: Vec<T>,
    /// Updates since the optimizer started afresh.
    pub updates: u64,
}

/// Whether an update may be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Updated {
    /// Every number of the new state is finite.
    Finite,
    /// Some number of the new state is not; the old state is untouched.
    NonFinite,
}

/// The length of `gradient`, added up in `f64` in a fixed order; infinite or not a number where the gradient is.
pub fn norm<T: Scalar>(gradient: &[T]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0_f64; LANES];
    let chunks = gradient.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let value = value.to_f64();
            *lane += value * value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        let value = value.to_f64();
        *lane += value * value;
    }
    let squares: f64 = lanes.iter().sum();
    if squares.is_normal() || squares == 0.0 && gradient.iter().all(|g| *g == T::ZERO) {
        return squares.sqrt();
    }
    // The squares overflowed or vanished: once more, scaled by the largest entry.
    let top = gradient
        .iter()
        .map(|g| g.to_f64().abs())
        .fold(0.0, |top, g| if g > top || g.is_nan() { g } else { top });
    if !top.is_finite() {
        return top;
    }
    let scaled: f64 = gradient
        .iter()
        .map(|g| (g.to_f64() / top) * (g.to_f64() / top))
        .sum();
    top * scaled.sqrt()
}

impl<T: Scalar> State<T> {
    /// Parameters with no memory of gradients.
    pub fn new(parameters: Vec<T>, optimizer: &Optimizer) -> Self {
        let count = parameters.len();
        let slots = optimizer.slots();
        let slot = |index: usize| vec![T::ZERO; if index < slots { count } else { 0 }];
        Self {
            first: slot(0),
            second: slot(1),
            parameters,
            updates: 0,
        }
    }
}

impl Optimizer {
    /// How many numbers it remembers for each parameter: 0, 1 or 2.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { .. } | Self::RmsProp { .. } => 2,
        }
    }

    /// Writes to `next` what `state` becomes by one step along `gradient` scaled by `scale`, at this learning rate.
    pub fn update<T: Scalar>(
        &self,
        state: &State<T>,
        gradient: &[T],
        scale: f64,
        learning_rate: f64,
        next: &mut State<T>,
    ) -> Updated {
        next.updates = state.updates + 1;
        let scale = T::from_f64(scale);
        let eta = T::from_f64(learning_rate);
        let finite = match *self {
            Self::Sgd {
                momentum: 0.0,
                weight_decay,
                ..
            } => {
                let lambda = T::from_f64(weight_decay);
                let mut finite = true;
                let lines = state.parameters.iter().zip(gradient);
                for (next, (&p, &g)) in next.parameters.iter_mut().zip(lines) {
                    *next = p - eta * (g * scale + lambda * p);
                    finite &= next.finite();
                }
                finite
            }
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                let (mu, lambda) = (T::from_f64(momentum), T::from_f64(weight_decay));
                walk(state, gradient, next, |p, g, v, _| {
                    let g = g * scale + lambda * p;
                    let v = mu * v + g;
                    let direction = if nesterov { g + mu * v } else { v };
                    (p - eta * direction, v, T::ZERO)
                })
            }
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                decoupled,
            } => {
                let t = next.updates as f64;
                let eta_hat = T::from_f64(learning_rate / (1.0 - beta1.powf(t)));
                let root = T::from_f64((1.0 - beta2.powf(t)).sqrt());
                let (b1, b2) = (T::from_f64(beta1), T::from_f64(beta2));
                let (a1, a2) = (T::from_f64(1.0 - beta1), T::from_f64(1.0 - beta2));
                let epsilon = T::from_f64(epsilon);
                let (coupled, shrink) = if decoupled {
                    (T::ZERO, T::from_f64(1.0 - learning_rate * weight_decay))
                } else {
                    (T::from_f64(weight_decay), T::ONE)
                };
                walk(state, gradient, next, |p, g, m, v| {
                    let g = g * scale + coupled * p;
                    let m = b1 * m + a1 * g;
                    let v = b2 * v + a2 * (g * g);
                    let step = eta_hat * m / (v.square_root() / root + epsilon);
                    (shrink * p - step, m, v)
                })
            }
            Self::RmsProp {
                alpha,
                epsilon,
                momentum,
                weight_decay,
            } => {
                let (alpha, rest) = (T::from_f64(alpha), T::from_f64(1.0 - alpha));
                let (epsilon, mu) = (T::from_f64(epsilon), T::from_f64(momentum));
                let lambda = T::from_f64(weight_decay);
                walk(state, gradient, next, |p, g, u, v| {
                    let g = g * scale + lambda * p;
                    let v = alpha * v + rest * (g * g);
                    let u = mu * u + g / (v.square_root() + epsilon);
                    (p - eta * u, u, v)
                })
            }
        };
        if finite {
            Updated::Finite
        } else {
            Updated::NonFinite
        }
    }
}

/// Applies `update(p, g, first, second) → (p, first, second)` to every parameter; returns whether all results are
/// finite. A state without a second slot has none written.
fn walk<T: Scalar>(
    state: &State<T>,
    gradient: &[T],
    next: &mut State<T>,
    update: impl Fn(T, T, T, T) -> (T, T, T),
) -> bool {
    let mut finite = true;
    if state.second.is_empty() {
        let from = state.parameters.iter().zip(gradient).zip(&state.first);
        let to = next.parameters.iter_mut().zip(&mut next.first);
        for (((&p0, &g), &first0), (p, first)) in from.zip(to) {
            (*p, *first, _) = update(p0, g, first0, T::ZERO);
            finite &= p.finite() & first.finite();
        }
        return finite;
    }
    let from = state
        .parameters
        .iter()
        .zip(gradient)
        .zip(&state.first)
        .zip(&state.second);
    let to = next
        .parameters
        .iter_mut()
        .zip(&mut next.first)
        .zip(&mut next.second);
    for ((((&p0, &g), &first0), &second0), ((p, first), second)) in from.zip(to) {
        (*p, *first, *second) = update(p0, g, first0, second0);
        finite &= p.finite() & first.finite() & second.finite();
    }
    finite
}
