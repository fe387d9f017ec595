//! Changes to the training of an existing model: its learning rate, the constants of its optimizer, its schedule, its
//! clipping and its reduction.

use super::spec::{ScheduleParts, Spec, SpecParts};
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{ArchitectureLimits, Optimizer, Reduction};

/// Changes to a spec, not yet checked against it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecUpdate {
    /// Constants of the optimizer.
    pub optimizer: Option<OptimizerUpdate>,
    /// The schedule.
    pub schedule: Option<ScheduleParts>,
    /// The gradient norm above which gradients are clipped; 0 to never clip.
    pub clip_norm: Option<f64>,
    /// The reduction of the loss.
    pub reduction: Option<Reduction>,
}

/// New constants for an optimizer of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerUpdate {
    /// The optimizer that has the new constants.
    pub optimizer: Optimizer,
    /// The new base learning rate.
    pub learning_rate: f64,
    /// The constants to change.
    pub constants: Vec<Constant>,
}

/// A constant of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// The base learning rate.
    LearningRate,
    /// μ.
    Momentum,
    /// Whether momentum has Nesterov's form.
    Nesterov,
    /// λ.
    WeightDecay,
    /// β₁.
    Beta1,
    /// β₂.
    Beta2,
    /// ε.
    Epsilon,
    /// α.
    Alpha,
}

impl Constant {
    /// Every constant.
    pub const ALL: [Self; 8] = [
        Self::LearningRate,
        Self::Momentum,
        Self::Nesterov,
        Self::WeightDecay,
        Self::Beta1,
        Self::Beta2,
        Self::Epsilon,
        Self::Alpha,
    ];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::LearningRate => "learning_rate",
            Self::Momentum => "momentum",
            Self::Nesterov => "nesterov",
            Self::WeightDecay => "weight_decay",
            Self::Beta1 => "beta1",
            Self::Beta2 => "beta2",
            Self::Epsilon => "epsilon",
            Self::Alpha => "alpha",
        }
    }

    /// Copies it from an optimizer to another one of the same kind; returns whether they have it.
    fn copy(self, from: &Optimizer, into: &mut Optimizer) -> bool {
        match (from, into) {
            (
                Optimizer::Sgd {
                    momentum,
                    nesterov,
                    weight_decay,
                },
                Optimizer::Sgd {
                    momentum: own_momentum,
                    nesterov: own_nesterov,
                    weight_decay: own_decay,
                },
            ) => match self {
                Self::Momentum => *own_momentum = *momentum,
                Self::Nesterov => *own_nesterov = *nesterov,
                Self::WeightDecay => *own_decay = *weight_decay,
                Self::LearningRate => {}
                Self::Beta1 | Self::Beta2 | Self::Epsilon | Self::Alpha => return false,
            },
            (
                Optimizer::Adam {
                    beta1,
                    beta2,
                    epsilon,
                    weight_decay,
                    decoupled,
                },
                Optimizer::Adam {
                    beta1: own_beta1,
                    beta2: own_beta2,
                    epsilon: own_epsilon,
                    weight_decay: own_decay,
                    decoupled: own_decoupled,
                },
            ) if decoupled == own_decoupled => match self {
                Self::Beta1 => *own_beta1 = *beta1,
                Self::Beta2 => *own_beta2 = *beta2,
                Self::Epsilon => *own_epsilon = *epsilon,
                Self::WeightDecay => *own_decay = *weight_decay,
                Self::LearningRate => {}
                Self::Momentum | Self::Nesterov | Self::Alpha => return false,
            },
            (
                Optimizer::RmsProp {
                    alpha,
                    epsilon,
                    momentum,
                    weight_decay,
                },
                Optimizer::RmsProp {
                    alpha: own_alpha,
                    epsilon: own_epsilon,
                    momentum: own_momentum,
                    weight_decay: own_decay,
                },
            ) => match self {
                Self::Alpha => *own_alpha = *alpha,
                Self::Epsilon => *own_epsilon = *epsilon,
                Self::Momentum => *own_momentum = *momentum,
                Self::WeightDecay => *own_decay = *weight_decay,
                Self::LearningRate => {}
                Self::Nesterov | Self::Beta1 | Self::Beta2 => return false,
            },
            (
                Optimizer::Sgd { .. } | Optimizer::Adam { .. } | Optimizer::RmsProp { .. },
                Optimizer::Sgd { .. } | Optimizer::Adam { .. } | Optimizer::RmsProp { .. },
            ) => return false,
        }
        true
    }
}

/// The name of an optimizer in requests.
pub fn name_of(optimizer: &Optimizer) -> &'static str {
    match optimizer {
        Optimizer::Sgd { .. } => "sgd",
        Optimizer::Adam {
            decoupled: false, ..
        } => "adam",
        Optimizer::Adam {
            decoupled: true, ..
        } => "adamw",
        Optimizer::RmsProp { .. } => "rmsprop",
    }
}

/// The constants that an optimizer has, the learning rate first.
pub fn constants_of(optimizer: &Optimizer) -> Vec<Constant> {
    let mut scratch = *optimizer;
    let has = |constant: &Constant| constant.copy(optimizer, &mut scratch);
    Constant::ALL.into_iter().filter(has).collect()
}

impl SpecUpdate {
    /// The spec with the changes, or every violation, with field paths as in a spec.
    ///
    /// # Errors
    /// An optimizer of another kind, a change of the optimizer's state, a number out of its range.
    pub fn apply(&self, spec: &Spec) -> Result<Spec, Violations> {
        let mut parts: SpecParts = spec.parts();
        let mut violations = Violations::new();
        if let Some(update) = &self.optimizer {
            update.apply(&mut parts, &mut violations);
        }
        parts.schedule = self.schedule.unwrap_or(parts.schedule);
        parts.clip_norm = self.clip_norm.unwrap_or(parts.clip_norm);
        parts.objective.reduction = self.reduction.unwrap_or(parts.objective.reduction);
        let slots = parts.optimizer.slots();
        if violations.is_empty() && slots != spec.optimizer.slots() {
            let (given, allowed) = if slots > 0 {
                ("a momentum above 0", "0, as the model has no momentum")
            } else {
                ("0", "above 0, as the model has a momentum")
            };
            let why = "the optimizer's state stays: create a new model to change it";
            violations.add("sgd.momentum", given, format!("{allowed}; {why}"));
        }
        // The architecture stays, even above limits that were lowered.
        let updated = violations.take_own(parts.validate(&ArchitectureLimits::LARGEST));
        violations.into_result(updated)
    }
}

impl OptimizerUpdate {
    fn apply(&self, parts: &mut SpecParts, violations: &mut Violations) {
        let (own, given) = (name_of(&parts.optimizer), name_of(&self.optimizer));
        if own != given {
            let allowed = format!("{own}, the model's optimizer, whose kind stays");
            violations.add(given, format!("an update of {given}"), allowed);
            return;
        }
        for constant in &self.constants {
            // Both have it, as they are of one kind.
            constant.copy(&self.optimizer, &mut parts.optimizer);
            if *constant == Constant::LearningRate {
                parts.learning_rate = self.learning_rate;
            }
        }
    }
}
