//! The arithmetic of the optimizers.

use faer::Par;

use super::super::Scalar;
use super::super::elementwise::update;
use super::super::pauses::{Pauses, WALK};
use super::super::slices::take;
use super::super::threads::{Cut, each};
use super::{Formula, Optimizer, Rule, State, Update, Updated};

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

impl<T: Scalar> Update<'_, T> {
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
    pub(in super::super) fn apply_here(self, gradient: &[T]) -> Updated {
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
