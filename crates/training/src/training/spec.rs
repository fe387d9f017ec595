//! The specification of a model and of its training.

use serde::{Deserialize, Serialize};

use super::quota::{Limit, OverLimit};
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{
    Architecture, ArchitectureLimits, Decay, Dtype, LayerSpec, Objective, Optimizer, ReluAtZero,
    Schedule,
};

/// A valid model specification; [`SpecParts::validate`] is the only constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The network's shape.
    pub architecture: Architecture,
    /// The loss and its reduction.
    pub objective: Objective,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The base learning rate.
    pub learning_rate: f64,
    /// The learning rate schedule.
    pub schedule: Schedule,
    /// The gradient norm above which gradients are clipped; 0 to never clip.
    pub clip_norm: f64,
    /// The type it computes in.
    pub dtype: Dtype,
}

/// An unchecked specification, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecParts {
    /// n₀.
    pub input_size: i64,
    /// The layers.
    pub layers: Vec<LayerSpec>,
    /// σ′(0).
    pub relu_at_zero: ReluAtZero,
    /// The loss and its reduction.
    pub objective: Objective,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The base learning rate.
    pub learning_rate: f64,
    /// The learning rate schedule.
    pub schedule: ScheduleParts,
    /// The gradient norm above which gradients are clipped; 0 to never clip.
    pub clip_norm: f64,
    /// The type it computes in.
    pub dtype: Dtype,
}

/// An unchecked schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleParts {
    /// w.
    pub warmup_steps: i64,
    /// The decay after the warmup.
    pub decay: DecayParts,
}

/// An unchecked decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum DecayParts {
    /// None.
    Constant,
    /// By `gamma` after every `every_steps`.
    Step {
        /// Steps between two changes.
        every_steps: i64,
        /// The factor.
        gamma: f64,
    },
    /// Along half a cosine.
    Cosine {
        /// The length of the decay, in steps.
        total_steps: i64,
        /// The final factor.
        final_factor: f64,
    },
}

impl Spec {
    /// The size of the parameters and the optimizer's state, in bytes.
    pub fn state_bytes(&self) -> usize {
        (1 + self.optimizer.slots()) * self.architecture.parameter_count() * self.dtype.size()
    }

    /// Whether gradients may be clipped.
    pub fn clips(&self) -> bool {
        self.clip_norm > 0.0
    }

    /// The factor that clips a gradient of this norm.
    pub fn clipping(&self, gradient_norm: f64) -> f64 {
        if gradient_norm > self.clip_norm {
            self.clip_norm / gradient_norm
        } else {
            1.0
        }
    }

    /// The limit that the network exceeds, if any; limits may have been lowered since its creation.
    pub fn over_limit(&self, limits: &ArchitectureLimits) -> Option<OverLimit> {
        let architecture = &self.architecture;
        let units = architecture.layers().iter().map(|layer| layer.units);
        let widest = units.max().unwrap_or(0).max(architecture.input_size());
        [
            (Limit::Layers, architecture.depth(), limits.layers),
            (Limit::Units, widest, limits.units),
            (
                Limit::Parameters,
                architecture.parameter_count(),
                limits.parameters,
            ),
        ]
        .into_iter()
        .find(|(_, found, allowed)| found > allowed)
        .map(|(limit, found, allowed)| OverLimit {
            limit,
            found,
            allowed,
        })
    }

    /// The parts of the spec; `validate` turns them into the same spec.
    pub fn parts(&self) -> SpecParts {
        let signed = |steps: u64| i64::try_from(steps).unwrap_or(i64::MAX);
        SpecParts {
            input_size: signed(self.architecture.input_size() as u64),
            layers: self
                .architecture
                .layers()
                .iter()
                .map(|layer| LayerSpec {
                    units: signed(layer.units as u64),
                    activation: layer.activation,
                    bias: layer.has_bias(),
                    init: layer.init,
                })
                .collect(),
            relu_at_zero: self.architecture.relu_at_zero(),
            objective: self.objective,
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            schedule: ScheduleParts {
                warmup_steps: signed(self.schedule.warmup_steps),
                decay: match self.schedule.decay {
                    Decay::Constant => DecayParts::Constant,
                    Decay::Step { every_steps, gamma } => DecayParts::Step {
                        every_steps: signed(every_steps),
                        gamma,
                    },
                    Decay::Cosine {
                        total_steps,
                        final_factor,
                    } => DecayParts::Cosine {
                        total_steps: signed(total_steps),
                        final_factor,
                    },
                },
            },
            clip_norm: self.clip_norm,
            dtype: self.dtype,
        }
    }
}

impl SpecParts {
    /// The spec, or every violation, with field paths as in the proto.
    ///
    /// # Errors
    /// A number out of its range.
    pub fn validate(self, limits: &ArchitectureLimits) -> Result<Spec, Violations> {
        let mut violations = Violations::new();
        let architecture =
            Architecture::new(self.input_size, &self.layers, self.relu_at_zero, limits);
        let architecture = violations.take_own(architecture);
        check_optimizer(&self, &mut violations);
        let schedule = check_schedule(&self.schedule, &mut violations);
        not_negative("clip_norm", self.clip_norm, &mut violations);
        violations.into_result(architecture.map(|architecture| Spec {
            architecture,
            objective: self.objective,
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            schedule,
            clip_norm: self.clip_norm,
            dtype: self.dtype,
        }))
    }
}

fn check_optimizer(parts: &SpecParts, violations: &mut Violations) {
    let (learning_rate, dtype) = (parts.learning_rate, parts.dtype);
    match parts.optimizer {
        Optimizer::Sgd {
            momentum,
            nesterov,
            weight_decay,
        } => {
            not_negative("sgd.learning_rate", learning_rate, violations);
            below_one("sgd.momentum", momentum, violations);
            not_negative("sgd.weight_decay", weight_decay, violations);
            if nesterov && momentum == 0.0 {
                violations.add(
                    "sgd.nesterov",
                    "true with momentum 0",
                    "true with a momentum above 0",
                );
            }
        }
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
        } => {
            let name = if decoupled { "adamw" } else { "adam" };
            not_negative(&format!("{name}.learning_rate"), learning_rate, violations);
            below_one(&format!("{name}.beta1"), beta1, violations);
            below_one(&format!("{name}.beta2"), beta2, violations);
            positive(&format!("{name}.epsilon"), epsilon, dtype, violations);
            not_negative(&format!("{name}.weight_decay"), weight_decay, violations);
        }
        Optimizer::RmsProp {
            alpha,
            epsilon,
            momentum,
            weight_decay,
        } => {
            not_negative("rmsprop.learning_rate", learning_rate, violations);
            below_one("rmsprop.alpha", alpha, violations);
            positive("rmsprop.epsilon", epsilon, dtype, violations);
            below_one("rmsprop.momentum", momentum, violations);
            not_negative("rmsprop.weight_decay", weight_decay, violations);
        }
    }
}

fn check_schedule(parts: &ScheduleParts, violations: &mut Violations) -> Schedule {
    let mut steps = |field: &str, given: i64, least: u64| {
        let steps = u64::try_from(given).ok().filter(|steps| *steps >= least);
        if steps.is_none() {
            violations.add(
                format!("schedule.{field}"),
                given,
                format!("{least} or more"),
            );
        }
        steps.unwrap_or(1)
    };
    let warmup_steps = steps("warmup_steps", parts.warmup_steps, 0);
    let decay = match parts.decay {
        DecayParts::Constant => Decay::Constant,
        DecayParts::Step { every_steps, gamma } => {
            let every_steps = steps("step.every_steps", every_steps, 1);
            if !(gamma > 0.0 && gamma <= 1.0) {
                violations.add("schedule.step.gamma", gamma, "above 0, at most 1");
            }
            Decay::Step { every_steps, gamma }
        }
        DecayParts::Cosine {
            total_steps,
            final_factor,
        } => {
            let total_steps = steps("cosine.total_steps", total_steps, 1);
            if !(0.0..=1.0).contains(&final_factor) {
                violations.add("schedule.cosine.final_factor", final_factor, "0 to 1");
            }
            Decay::Cosine {
                total_steps,
                final_factor,
            }
        }
    };
    Schedule {
        warmup_steps,
        decay,
    }
}

/// Records a number that is negative, infinite or NaN.
pub fn not_negative(field: &str, given: f64, violations: &mut Violations) {
    if !(given.is_finite() && given >= 0.0) {
        violations.add(field, given, "0 or more, finite");
    }
}

/// Records a number that is not finite, or not above 0 in the type that the model computes in.
fn positive(field: &str, given: f64, dtype: Dtype, violations: &mut Violations) {
    let least = match dtype {
        Dtype::Float32 => f64::from(f32::MIN_POSITIVE),
        Dtype::Float64 => f64::MIN_POSITIVE,
    };
    if !(given.is_finite() && given >= least) {
        violations.add(field, given, format!("{least:e} or more, finite"));
    }
}

fn below_one(field: &str, given: f64, violations: &mut Violations) {
    if !(0.0..1.0).contains(&given) {
        violations.add(field, given, "0 or more, below 1");
    }
}
