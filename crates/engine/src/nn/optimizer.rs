//! Optimizers. An update reads one state and writes another, so that the old one stays intact until the new one is
//! known to be finite. Formulas and defaults are PyTorch's (torch.optim).

use super::Scalar;
use super::elementwise::update;
use super::pauses::{Pauses, WALK};
use super::slices::{take, take_mut};
use super::threads::{Cut, each};
use faer::Par;

/// The update rule of the parameters.
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

/// Parameters and the optimizer's state. Each commit of training replaces all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct State<T> {
    /// All parameters, in the layout of the architecture.
    pub parameters: Vec<T>,
    /// Momentum, or the first moment; empty if the optimizer has none.
    pub first: Vec<T>,
    /// The second moment; empty if the optimizer has none.
    pub second: Vec<T>,
    /// Updates since the optimizer was last reset.
    pub updates: u64,
}

/// Whether an update may be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Updated {
    /// Every number of the new state is finite.
    Finite,
    /// A number of the new state is not finite; the old state is unchanged.
    NonFinite,
}

/// An optimizer's formula with the constants of one step.
#[derive(Clone, Copy, Debug)]
pub struct Rule<T> {
    formula: Formula<T>,
    /// The factor for the gradient: below 1 if it is clipped.
    scale: T,
}

#[derive(Clone, Copy, Debug)]
enum Formula<T> {
    Sgd {
        eta: T,
        lambda: T,
    },
    Momentum {
        eta: T,
        mu: T,
        lambda: T,
        nesterov: bool,
    },
    Adam {
        /// η / (1 − β₁ᵗ).
        eta: T,
        /// 1 / √(1 − β₂ᵗ).
        inverse_root: T,
        /// β₁ and 1 − β₁.
        first: [T; 2],
        /// β₂ and 1 − β₂.
        second: [T; 2],
        epsilon: T,
        /// λ, if it is added to the gradient.
        lambda: T,
        /// 1 − η λ, if weight decay shrinks the parameters instead; else 1.
        shrink: T,
    },
    RmsProp {
        eta: T,
        /// α and 1 − α.
        second: [T; 2],
        mu: T,
        epsilon: T,
        lambda: T,
    },
}

/// An update of a range of the parameters: the old state that it reads and the new one that it writes.
#[derive(Debug)]
pub struct Update<'a, T> {
    rule: &'a Rule<T>,
    /// Parameters, first and second moment; empty if the optimizer has none.
    old: [&'a [T]; 3],
    new: [&'a mut [T]; 3],
}

impl<T: Scalar> State<T> {
    /// Parameters with a new optimizer state.
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

    /// Zeros, of the sizes of another state. The system maps zero pages on first touch, where a copy would touch all of
    /// them at once.
    pub fn blank(other: &Self) -> Self {
        let zeros = |slot: &Vec<T>| vec![T::ZERO; slot.len()];
        Self {
            parameters: zeros(&other.parameters),
            first: zeros(&other.first),
            second: zeros(&other.second),
            updates: other.updates,
        }
    }

    /// Whether both have the same sizes.
    pub fn has_sizes_of(&self, other: &Self) -> bool {
        let sizes = |state: &Self| [&state.parameters, &state.first, &state.second].map(Vec::len);
        sizes(self) == sizes(other)
    }
}

impl Optimizer {
    /// The optimizer's numbers per parameter: 0, 1 or 2.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { .. } | Self::RmsProp { .. } => 2,
        }
    }

    /// The formula of update number `t`, from 1, at this learning rate, for a gradient that is first multiplied by
    /// `scale`.
    pub fn rule<T: Scalar>(&self, t: u64, scale: f64, learning_rate: f64) -> Rule<T> {
        let eta = T::from_f64(learning_rate);
        let halves = |beta: f64| [T::from_f64(beta), T::from_f64(1.0 - beta)];
        let formula = match *self {
            Self::Sgd {
                momentum: 0.0,
                weight_decay,
                ..
            } => Formula::Sgd {
                eta,
                lambda: T::from_f64(weight_decay),
            },
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => Formula::Momentum {
                eta,
                mu: T::from_f64(momentum),
                lambda: T::from_f64(weight_decay),
                nesterov,
            },
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                decoupled,
            } => {
                let t = t as f64;
                let (lambda, shrink) = if decoupled {
                    (T::ZERO, T::from_f64(1.0 - learning_rate * weight_decay))
                } else {
                    (T::from_f64(weight_decay), T::ONE)
                };
                Formula::Adam {
                    eta: T::from_f64(learning_rate / (1.0 - beta1.powf(t))),
                    inverse_root: T::from_f64((1.0 - beta2.powf(t)).sqrt().recip()),
                    first: halves(beta1),
                    second: halves(beta2),
                    epsilon: T::from_f64(epsilon),
                    lambda,
                    shrink,
                }
            }
            Self::RmsProp {
                alpha,
                epsilon,
                momentum,
                weight_decay,
            } => Formula::RmsProp {
                eta,
                second: halves(alpha),
                mu: T::from_f64(momentum),
                epsilon: T::from_f64(epsilon),
                lambda: T::from_f64(weight_decay),
            },
        };
        Rule {
            formula,
            scale: T::from_f64(scale),
        }
    }
}

impl<T: Scalar> Rule<T> {
    /// An update by this rule of all of `old`, which writes `new`.
    pub fn update<'a>(&'a self, old: &'a State<T>, new: &'a mut State<T>) -> Update<'a, T> {
        Update {
            rule: self,
            old: [&old.parameters, &old.first, &old.second],
            new: [&mut new.parameters, &mut new.first, &mut new.second],
        }
    }
}

impl<'a, T: Scalar> Update<'a, T> {
    /// Splits off the update of the first `count` parameters.
    pub fn take(&mut self, count: usize) -> Self {
        let of = |slot: &[T]| count.min(slot.len());
        Self {
            rule: self.rule,
            old: self.old.each_mut().map(|slot| {
                let count = of(slot);
                take(slot, count)
            }),
            new: self.new.each_mut().map(|slot| {
                let count = of(slot);
                take_mut(slot, count)
            }),
        }
    }

    /// Splits off the update of all but the first `count` parameters.
    pub fn take_after(&mut self, count: usize) -> Self {
        let head = self.take(count);
        std::mem::replace(self, head)
    }

    /// Updates every parameter by its entry of `gradient`, in pieces on several threads.
    pub fn apply_in_pieces(mut self, gradient: &[T], par: Par) -> Updated {
        let cut = Cut::of_entries(gradient.len(), par);
        if cut.is_whole() {
            return self.apply(gradient);
        }
        let failed = std::sync::atomic::AtomicBool::new(false);
        let mut gradient = gradient;
        let pieces = cut
            .sizes()
            .map(|size| (self.take(size), take(&mut gradient, size)))
            .collect();
        each(pieces, |(update, gradient): (Self, &[T])| {
            if update.apply(gradient) == Updated::NonFinite {
                failed.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        Updated::finite_unless(failed.into_inner())
    }

    /// Updates every parameter by its entry of `gradient`, with pauses.
    pub async fn apply_in_blocks(mut self, gradient: &[T], pauses: &impl Pauses) -> Updated {
        let mut failed = false;
        for gradient in gradient.chunks(WALK) {
            failed |= self.take(gradient.len()).apply(gradient) == Updated::NonFinite;
            pauses.pause().await;
        }
        Updated::finite_unless(failed)
    }

    /// Updates every parameter by its entry of `gradient`.
    pub fn apply(self, gradient: &[T]) -> Updated {
        T::update(self, gradient)
    }

    /// [`Self::apply`], compiled for one type.
    pub(super) fn apply_here(self, gradient: &[T]) -> Updated {
        let scale = self.rule.scale;
        let (old, new) = (self.old, self.new);
        let finite = match self.rule.formula {
            Formula::Sgd { eta, lambda } => {
                let ([p0, ..], [p1, ..]) = (old, new);
                update([p0], gradient, [p1], move |[p], g| {
                    [p - eta * (g * scale + lambda * p)]
                })
            }
            Formula::Momentum {
                eta,
                mu,
                lambda,
                nesterov,
            } => {
                let ([p0, v0, _], [p1, v1, _]) = (old, new);
                update([p0, v0], gradient, [p1, v1], move |[p, v], g| {
                    let g = g * scale + lambda * p;
                    let v = mu * v + g;
                    let direction = if nesterov { g + mu * v } else { v };
                    [p - eta * direction, v]
                })
            }
            Formula::Adam {
                eta,
                inverse_root,
                first: [b1, a1],
                second: [b2, a2],
                epsilon,
                lambda,
                shrink,
            } => update(old, gradient, new, move |[p, m, v], g| {
                let g = g * scale + lambda * p;
                let m = b1 * m + a1 * g;
                let v = b2 * v + a2 * (g * g);
                let step = eta * m / (v.square_root() * inverse_root + epsilon);
                [shrink * p - step, m, v]
            }),
            Formula::RmsProp {
                eta,
                second: [alpha, rest],
                mu,
                epsilon,
                lambda,
            } => update(old, gradient, new, move |[p, u, v], g| {
                let g = g * scale + lambda * p;
                let v = alpha * v + rest * (g * g);
                let u = mu * u + g / (v.square_root() + epsilon);
                [p - eta * u, u, v]
            }),
        };
        Updated::finite_unless(!finite)
    }
}

impl Updated {
    /// `NonFinite` if `failed`.
    pub fn finite_unless(failed: bool) -> Self {
        if failed {
            Self::NonFinite
        } else {
            Self::Finite
        }
    }
}
