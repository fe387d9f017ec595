//! Optimizers. An update reads one state and writes another, so that the old one stays intact until the new one is
//! known to be finite. Formulas and defaults are PyTorch's (torch.optim).
//!
//! Without a bound on [`Scalar`](super::Scalar), whose supertrait names these types; `apply` computes.

mod apply;

use super::slices::{take, take_mut};

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

impl Optimizer {
    /// The optimizer's numbers per parameter: 0, 1 or 2.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { .. } | Self::RmsProp { .. } => 2,
        }
    }
}

impl<T> Rule<T> {
    /// An update by this rule of all of `old`, which writes `new`.
    pub fn update<'a>(&'a self, old: &'a State<T>, new: &'a mut State<T>) -> Update<'a, T> {
        Update {
            rule: self,
            old: [&old.parameters, &old.first, &old.second],
            new: [&mut new.parameters, &mut new.first, &mut new.second],
        }
    }
}

impl<T> Update<'_, T> {
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
