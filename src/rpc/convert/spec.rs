//! Model specifications, from messages with every default filled in, and back.

use crate::fault::Violations;
use crate::nn::{
    Activation, Architecture, ArchitectureLimits, Decay, Dtype, Init, LayerSpec, Loss, Objective,
    Optimizer, Reduction, ReluAtZero, Schedule,
};
use crate::rpc::pb::{self, model_spec, schedule};
use crate::training::{DecayParts, ScheduleParts, Spec, SpecParts};

/// PyTorch's default slope of leaky ReLU.
const DEFAULT_SLOPE: f64 = 0.01;

/// Reads a spec, or returns every violation, at the field paths of `spec`.
pub fn read(spec: Option<pb::ModelSpec>, limits: &ArchitectureLimits) -> Result<Spec, Violations> {
    let mut violations = Violations::new();
    let Some(spec) = spec else {
        violations.add("", "nothing", "a ModelSpec with input_size and layers");
        return Err(violations);
    };
    // Checked before anything is allocated, because the client chooses the number of layers.
    if spec.layers.len() > limits.layers {
        let given = format!("{} layers", spec.layers.len());
        violations.add("layers", given, format!("1 to {} layers", limits.layers));
        return Err(violations);
    }
    let count = spec.layers.len();
    let layers = spec
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| read_layer(layer, index, index + 1 == count, &mut violations))
        .collect();
    let loss = read_enum(
        spec.loss,
        "loss",
        "LOSS_HALF_SQUARED_ERROR (1) to LOSS_BINARY_CROSS_ENTROPY (4)",
        &mut violations,
    );
    let reduction = read_enum(
        spec.reduction,
        "reduction",
        "REDUCTION_MEAN (1) or REDUCTION_SUM (2)",
        &mut violations,
    );
    let compute = read_enum(
        spec.compute,
        "compute",
        "DTYPE_FLOAT32 (1) or DTYPE_FLOAT64 (2)",
        &mut violations,
    );
    let at_zero = read_enum(
        spec.relu_at_zero,
        "relu_at_zero",
        "RELU_AT_ZERO_ONE (1) or RELU_AT_ZERO_ZERO (2)",
        &mut violations,
    );
    let (optimizer, learning_rate) = read_optimizer(spec.optimizer);
    let parts = SpecParts {
        input_size: spec.input_size.into(),
        layers,
        relu_at_zero: match at_zero {
            pb::ReluAtZero::Unspecified | pb::ReluAtZero::One => ReluAtZero::One,
            pb::ReluAtZero::Zero => ReluAtZero::Zero,
        },
        objective: Objective {
            loss: match loss {
                pb::Loss::Unspecified | pb::Loss::HalfSquaredError => Loss::HalfSquaredError,
                pb::Loss::MeanSquaredError => Loss::MeanSquaredError,
                pb::Loss::CrossEntropy => Loss::CrossEntropy,
                pb::Loss::BinaryCrossEntropy => Loss::BinaryCrossEntropy,
            },
            reduction: read_reduction(reduction),
        },
        optimizer,
        learning_rate,
        schedule: read_schedule(spec.schedule),
        clip_norm: spec.clip_norm,
        dtype: match compute {
            pb::Dtype::Unspecified | pb::Dtype::Float64 => Dtype::Float64,
            pb::Dtype::Float32 => Dtype::Float32,
        },
    };
    let spec = violations.take_own(parts.validate(limits));
    violations.into_result(spec)
}

/// Reads an enum. An unknown number is a violation and reads as the default.
pub fn read_enum<E: TryFrom<i32> + Default>(
    given: i32,
    field: &str,
    allowed: &str,
    violations: &mut Violations,
) -> E {
    E::try_from(given).unwrap_or_else(|_| {
        violations.add(field, given, allowed);
        E::default()
    })
}

/// Reads a reduction; unspecified means the mean.
pub fn read_reduction(given: pb::Reduction) -> Reduction {
    match given {
        pb::Reduction::Unspecified | pb::Reduction::Mean => Reduction::Mean,
        pb::Reduction::Sum => Reduction::Sum,
    }
}

fn read_layer(
    layer: &pb::Layer,
    index: usize,
    is_last: bool,
    violations: &mut Violations,
) -> LayerSpec {
    let field = |name: &str| format!("layers[{index}].{name}");
    let activation = read_enum(
        layer.activation,
        &field("activation"),
        "ACTIVATION_LINEAR (1) to ACTIVATION_SILU (7)",
        violations,
    );
    let activation = match activation {
        pb::Activation::Unspecified if is_last => Activation::Linear,
        pb::Activation::Unspecified | pb::Activation::Relu => Activation::Relu,
        pb::Activation::Linear => Activation::Linear,
        pb::Activation::LeakyRelu => Activation::LeakyRelu {
            slope: layer.leaky_relu_slope.unwrap_or(DEFAULT_SLOPE),
        },
        pb::Activation::Sigmoid => Activation::Sigmoid,
        pb::Activation::Tanh => Activation::Tanh,
        pb::Activation::Gelu => Activation::Gelu,
        pb::Activation::Silu => Activation::Silu,
    };
    if layer.leaky_relu_slope.is_some() && !matches!(activation, Activation::LeakyRelu { .. }) {
        violations.add(
            field("leaky_relu_slope"),
            "a slope",
            "none unless the activation is ACTIVATION_LEAKY_RELU",
        );
    }
    let init = read_enum(
        layer.init,
        &field("init"),
        "INIT_HE_NORMAL (1) to INIT_PYTORCH_LINEAR (8)",
        violations,
    );
    LayerSpec {
        units: layer.units.into(),
        activation,
        bias: layer.bias,
        init: match init {
            pb::Init::Unspecified => Init::default_for(activation),
            pb::Init::HeNormal => Init::HeNormal,
            pb::Init::HeUniform => Init::HeUniform,
            pb::Init::XavierNormal => Init::XavierNormal,
            pb::Init::XavierUniform => Init::XavierUniform,
            pb::Init::LecunNormal => Init::LecunNormal,
            pb::Init::LecunUniform => Init::LecunUniform,
            pb::Init::Zeros => Init::Zeros,
            pb::Init::PytorchLinear => Init::PytorchLinear,
        },
    }
}

/// Reads the optimizer and its learning rate, with PyTorch's defaults.
pub fn read_optimizer(optimizer: Option<model_spec::Optimizer>) -> (Optimizer, f64) {
    use model_spec::Optimizer as Asked;
    match optimizer.unwrap_or(Asked::Sgd(pb::Sgd::default())) {
        Asked::Sgd(sgd) => (
            Optimizer::Sgd {
                momentum: sgd.momentum,
                nesterov: sgd.nesterov,
                weight_decay: sgd.weight_decay,
            },
            sgd.learning_rate.unwrap_or(0.01),
        ),
        Asked::Adam(adam) => (
            Optimizer::Adam {
                beta1: adam.beta1.unwrap_or(0.9),
                beta2: adam.beta2.unwrap_or(0.999),
                epsilon: adam.epsilon.unwrap_or(1e-8),
                weight_decay: adam.weight_decay,
                decoupled: false,
            },
            adam.learning_rate.unwrap_or(0.001),
        ),
        Asked::Adamw(adam) => (
            Optimizer::Adam {
                beta1: adam.beta1.unwrap_or(0.9),
                beta2: adam.beta2.unwrap_or(0.999),
                epsilon: adam.epsilon.unwrap_or(1e-8),
                weight_decay: adam.weight_decay.unwrap_or(0.01),
                decoupled: true,
            },
            adam.learning_rate.unwrap_or(0.001),
        ),
        Asked::Rmsprop(rmsprop) => (
            Optimizer::RmsProp {
                alpha: rmsprop.alpha.unwrap_or(0.99),
                epsilon: rmsprop.epsilon.unwrap_or(1e-8),
                momentum: rmsprop.momentum,
                weight_decay: rmsprop.weight_decay,
            },
            rmsprop.learning_rate.unwrap_or(0.01),
        ),
    }
}

/// Reads a schedule, which is constant by default.
pub fn read_schedule(given: Option<pb::Schedule>) -> ScheduleParts {
    let given = given.unwrap_or_default();
    ScheduleParts {
        warmup_steps: given.warmup_steps.into(),
        decay: match given.kind {
            None | Some(schedule::Kind::Constant(pb::ConstantSchedule {})) => DecayParts::Constant,
            Some(schedule::Kind::Step(step)) => DecayParts::Step {
                every_steps: step.every_steps.into(),
                gamma: step.gamma.unwrap_or(0.1),
            },
            Some(schedule::Kind::Cosine(cosine)) => DecayParts::Cosine {
                total_steps: cosine.total_steps.into(),
                final_factor: cosine.final_factor,
            },
        },
    }
}

/// The spec as a message, with every default filled in.
pub fn write(spec: &Spec) -> pb::ModelSpec {
    pb::ModelSpec {
        input_size: to_i32(spec.architecture.input_size()),
        layers: write_layers(&spec.architecture),
        loss: match spec.objective.loss {
            Loss::HalfSquaredError => pb::Loss::HalfSquaredError,
            Loss::MeanSquaredError => pb::Loss::MeanSquaredError,
            Loss::CrossEntropy => pb::Loss::CrossEntropy,
            Loss::BinaryCrossEntropy => pb::Loss::BinaryCrossEntropy,
        }
        .into(),
        reduction: reduction(spec.objective.reduction).into(),
        schedule: Some(write_schedule(&spec.schedule)),
        clip_norm: spec.clip_norm,
        compute: crate::rpc::convert::tensor::dtype(spec.dtype).into(),
        relu_at_zero: match spec.architecture.relu_at_zero() {
            ReluAtZero::One => pb::ReluAtZero::One,
            ReluAtZero::Zero => pb::ReluAtZero::Zero,
        }
        .into(),
        optimizer: Some(write_optimizer(spec)),
    }
}

/// A reduction as the wire's enum.
pub fn reduction(reduction: Reduction) -> pb::Reduction {
    match reduction {
        Reduction::Mean => pb::Reduction::Mean,
        Reduction::Sum => pb::Reduction::Sum,
    }
}

/// Converts a size that a limit keeps far below 2³¹.
pub fn to_i32(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn write_layers(architecture: &Architecture) -> Vec<pb::Layer> {
    let layers = architecture.layers().iter().map(|layer| {
        let (activation, leaky_relu_slope) = match layer.activation {
            Activation::Linear => (pb::Activation::Linear, None),
            Activation::Relu => (pb::Activation::Relu, None),
            Activation::LeakyRelu { slope } => (pb::Activation::LeakyRelu, Some(slope)),
            Activation::Sigmoid => (pb::Activation::Sigmoid, None),
            Activation::Tanh => (pb::Activation::Tanh, None),
            Activation::Gelu => (pb::Activation::Gelu, None),
            Activation::Silu => (pb::Activation::Silu, None),
        };
        let init = match layer.init {
            Init::HeNormal => pb::Init::HeNormal,
            Init::HeUniform => pb::Init::HeUniform,
            Init::XavierNormal => pb::Init::XavierNormal,
            Init::XavierUniform => pb::Init::XavierUniform,
            Init::LecunNormal => pb::Init::LecunNormal,
            Init::LecunUniform => pb::Init::LecunUniform,
            Init::Zeros => pb::Init::Zeros,
            Init::PytorchLinear => pb::Init::PytorchLinear,
        };
        pb::Layer {
            units: to_i32(layer.units),
            activation: activation.into(),
            bias: layer.has_bias(),
            init: init.into(),
            leaky_relu_slope,
        }
    });
    layers.collect()
}

fn write_schedule(given: &Schedule) -> pb::Schedule {
    let steps = |steps: u64| i32::try_from(steps).unwrap_or(i32::MAX);
    pb::Schedule {
        warmup_steps: steps(given.warmup_steps),
        kind: Some(match given.decay {
            Decay::Constant => schedule::Kind::Constant(pb::ConstantSchedule {}),
            Decay::Step { every_steps, gamma } => schedule::Kind::Step(pb::StepSchedule {
                every_steps: steps(every_steps),
                gamma: Some(gamma),
            }),
            Decay::Cosine {
                total_steps,
                final_factor,
            } => schedule::Kind::Cosine(pb::CosineSchedule {
                total_steps: steps(total_steps),
                final_factor,
            }),
        }),
    }
}

fn write_optimizer(spec: &Spec) -> model_spec::Optimizer {
    let learning_rate = Some(spec.learning_rate);
    match spec.optimizer {
        Optimizer::Sgd {
            momentum,
            nesterov,
            weight_decay,
        } => model_spec::Optimizer::Sgd(pb::Sgd {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        }),
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled: false,
        } => model_spec::Optimizer::Adam(pb::Adam {
            learning_rate,
            beta1: Some(beta1),
            beta2: Some(beta2),
            epsilon: Some(epsilon),
            weight_decay,
        }),
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled: true,
        } => model_spec::Optimizer::Adamw(pb::AdamW {
            learning_rate,
            beta1: Some(beta1),
            beta2: Some(beta2),
            epsilon: Some(epsilon),
            weight_decay: Some(weight_decay),
        }),
        Optimizer::RmsProp {
            alpha,
            epsilon,
            momentum,
            weight_decay,
        } => model_spec::Optimizer::Rmsprop(pb::RmsProp {
            learning_rate,
            alpha: Some(alpha),
            epsilon: Some(epsilon),
            momentum,
            weight_decay,
        }),
    }
}
