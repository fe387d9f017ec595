//! The network of an assignment, as its file defines it.

use std::sync::Arc;

use serde::Deserialize;

use backpropd_engine::nn::{
    Activation, Architecture, ArchitectureLimits, Init, LayerSpec, Loss, Objective, Reduction,
    ReluAtZero,
};

/// Limits on the network of an assignment, small enough that every Jacobian is cheap.
const NETWORK_LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 8,
    units: 32,
    parameters: 2048,
};

/// The network that an assignment is about: its shape and loss, without parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// The shape.
    pub architecture: Arc<Architecture>,
    /// The loss and its reduction.
    pub objective: Objective,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    input_size: i64,
    relu_at_zero: Option<AtZeroWord>,
    loss: LossWord,
    reduction: Option<ReductionWord>,
    layers: Vec<LayerFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerFile {
    units: i64,
    activation: ActivationWord,
    #[serde(default)]
    bias: bool,
}

/// Maps the words of the file to the values of the engine.
macro_rules! words {
    ($name:ident: $value:ty { $($variant:ident => $meaning:expr,)+ }) => {
        #[derive(Clone, Copy, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name { $($variant,)+ }

        impl From<$name> for $value {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => $meaning,)+ }
            }
        }
    };
}

words!(AtZeroWord: ReluAtZero { One => Self::One, Zero => Self::Zero, });
words!(ReductionWord: Reduction { Mean => Self::Mean, Sum => Self::Sum, });
words!(LossWord: Loss {
    HalfSquaredError => Self::HalfSquaredError,
    MeanSquaredError => Self::MeanSquaredError,
    CrossEntropy => Self::CrossEntropy,
    BinaryCrossEntropy => Self::BinaryCrossEntropy,
});
words!(ActivationWord: Activation {
    Relu => Self::Relu,
    LeakyRelu => Self::LeakyRelu { slope: LEAKY_SLOPE },
    Sigmoid => Self::Sigmoid,
    Tanh => Self::Tanh,
    Gelu => Self::Gelu,
    Silu => Self::Silu,
    Linear => Self::Linear,
});

/// The slope of every leaky ReLU left of 0.
const LEAKY_SLOPE: f64 = 0.01;

/// Limits on a network file: the sizes that a course's code trains.
const FREE_LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 64,
    units: 65_536,
    parameters: 1 << 26,
};

impl NetworkSpec {
    /// Reads a network from its own TOML file: the content of an assignment's `[network]` without that heading.
    ///
    /// # Errors
    /// Text that is not TOML, unknown or missing fields, sizes beyond the limits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: NetworkFile = toml::from_str(text).map_err(|error| error.to_string())?;
        Self::new(&file, &FREE_LIMITS)
    }

    /// The network of an assignment's file, within its limits.
    pub(super) fn of_assignment(file: &NetworkFile) -> Result<Self, String> {
        Self::new(file, &NETWORK_LIMITS)
    }

    fn new(file: &NetworkFile, limits: &ArchitectureLimits) -> Result<Self, String> {
        let layers: Vec<LayerSpec> = file
            .layers
            .iter()
            .map(|layer| LayerSpec {
                units: layer.units,
                activation: layer.activation.into(),
                bias: layer.bias,
                init: Init::Zeros,
            })
            .collect();
        let at_zero = file.relu_at_zero.map_or(ReluAtZero::One, Into::into);
        let architecture = Architecture::new(file.input_size, &layers, at_zero, limits)
            .map_err(|violations| violations.to_string())?;
        let objective = Objective {
            loss: file.loss.into(),
            reduction: file.reduction.map_or(Reduction::Mean, Into::into),
        };
        if objective.loss == Loss::CrossEntropy && architecture.output_size() == 1 {
            return Err("cross_entropy needs 2 or more units in the last layer".to_owned());
        }
        Ok(Self {
            architecture: Arc::new(architecture),
            objective,
        })
    }
}
