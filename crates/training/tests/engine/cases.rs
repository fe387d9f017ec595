//! Networks to test with: read from the goldens' JSON, or drawn at random.

use backpropd_engine::nn::{
    Activation, Architecture, ArchitectureLimits, Batch, Dtype, Init, LayerSpec, Loss, Matrix,
    Objective, Optimizer, Reduction, ReluAtZero,
};
use backpropd_training::training::{DecayParts, ScheduleParts, Spec, SpecParts};
use serde_json::Value;

pub const LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 64,
    units: 65_536,
    parameters: 1 << 26,
};

/// A network, its parameters and a batch.
pub struct Case {
    pub name: String,
    pub spec: Spec,
    pub parameters: Vec<f64>,
    pub batch: Batch<f64>,
    pub expected: Value,
}

/// Every case of a file in `tests/goldens`.
pub fn read(file: &str) -> Vec<Case> {
    let path = format!("{}/../../tests/goldens/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the goldens are part of the repository");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("goldens are JSON lists");
    cases.into_iter().map(case).collect()
}

fn case(case: Value) -> Case {
    let spec = parts(&case["spec"])
        .validate(&LIMITS)
        .expect("goldens are valid");
    let layers = case["parameters"].as_array().expect("a list of layers");
    let parameters = layers
        .iter()
        .flat_map(|layer| [numbers(&layer["weights"]), numbers(&layer["bias"])].concat())
        .collect();
    let labels: Vec<i32> = match case.get("labels") {
        Some(Value::Array(labels)) => labels
            .iter()
            .map(|l| l.as_i64().expect("an integer") as i32)
            .collect(),
        _ => Vec::new(),
    };
    let targets = case
        .get("targets")
        .filter(|targets| !targets.is_null())
        .map(matrix);
    let batch = Batch::new(
        &spec.architecture,
        spec.objective,
        matrix(&case["inputs"]),
        targets,
        &labels,
        1 << 20,
    )
    .expect("goldens fit their networks");
    Case {
        name: case["name"].as_str().unwrap_or_default().to_owned(),
        spec,
        parameters,
        batch,
        expected: case["expected"].clone(),
    }
}

/// The entries of a tensor in JSON; none for null.
pub fn numbers(tensor: &Value) -> Vec<f64> {
    let values = if tensor.is_array() {
        tensor
    } else {
        &tensor["values"]
    };
    match values.as_array() {
        Some(values) => values
            .iter()
            .map(|v| v.as_f64().expect("a number"))
            .collect(),
        None => Vec::new(),
    }
}

fn matrix(tensor: &Value) -> Matrix<f64> {
    let size = |at: usize| tensor["shape"][at].as_u64().expect("two dimensions") as usize;
    Matrix {
        rows: size(0),
        columns: size(1),
        entries: numbers(tensor),
    }
}

fn parts(spec: &Value) -> SpecParts {
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let (optimizer, learning_rate) = optimizer(spec);
    SpecParts {
        input_size: spec["input_size"].as_i64().expect("a size"),
        layers: spec["layers"]
            .as_array()
            .expect("layers")
            .iter()
            .map(layer)
            .collect(),
        relu_at_zero: if text("relu_at_zero") == "RELU_AT_ZERO_ZERO" {
            ReluAtZero::Zero
        } else {
            ReluAtZero::One
        },
        objective: Objective {
            loss: match text("loss").as_str() {
                "LOSS_MEAN_SQUARED_ERROR" => Loss::MeanSquaredError,
                "LOSS_CROSS_ENTROPY" => Loss::CrossEntropy,
                "LOSS_BINARY_CROSS_ENTROPY" => Loss::BinaryCrossEntropy,
                _ => Loss::HalfSquaredError,
            },
            reduction: if text("reduction") == "REDUCTION_SUM" {
                Reduction::Sum
            } else {
                Reduction::Mean
            },
        },
        optimizer,
        learning_rate,
        schedule: schedule(&spec["schedule"]),
        clip_norm: spec["clip_norm"].as_f64().unwrap_or(0.0),
        dtype: Dtype::Float64,
    }
}

fn layer(layer: &Value) -> LayerSpec {
    let activation = match layer["activation"].as_str().unwrap_or_default() {
        "ACTIVATION_LINEAR" => Activation::Linear,
        "ACTIVATION_RELU" => Activation::Relu,
        "ACTIVATION_LEAKY_RELU" => Activation::LeakyRelu {
            slope: layer["leaky_relu_slope"].as_f64().unwrap_or(0.01),
        },
        "ACTIVATION_SIGMOID" => Activation::Sigmoid,
        "ACTIVATION_TANH" => Activation::Tanh,
        "ACTIVATION_GELU" => Activation::Gelu,
        "ACTIVATION_SILU" => Activation::Silu,
        other => panic!("unknown activation {other}"),
    };
    LayerSpec {
        units: layer["units"].as_i64().expect("a size"),
        activation,
        bias: layer["bias"].as_bool().unwrap_or(false),
        init: Init::Zeros,
    }
}

fn optimizer(spec: &Value) -> (Optimizer, f64) {
    let number = |of: &Value, field: &str, default: f64| of[field].as_f64().unwrap_or(default);
    let adam = |of: &Value, weight_decay: f64, decoupled: bool| Optimizer::Adam {
        beta1: number(of, "beta1", 0.9),
        beta2: number(of, "beta2", 0.999),
        epsilon: number(of, "epsilon", 1e-8),
        weight_decay: number(of, "weight_decay", weight_decay),
        decoupled,
    };
    if let Some(of) = spec.get("adam") {
        (adam(of, 0.0, false), number(of, "learning_rate", 0.001))
    } else if let Some(of) = spec.get("adamw") {
        (adam(of, 0.01, true), number(of, "learning_rate", 0.001))
    } else if let Some(of) = spec.get("rmsprop") {
        let rmsprop = Optimizer::RmsProp {
            alpha: number(of, "alpha", 0.99),
            epsilon: number(of, "epsilon", 1e-8),
            momentum: number(of, "momentum", 0.0),
            weight_decay: number(of, "weight_decay", 0.0),
        };
        (rmsprop, number(of, "learning_rate", 0.01))
    } else {
        let of = &spec["sgd"];
        let sgd = Optimizer::Sgd {
            momentum: number(of, "momentum", 0.0),
            nesterov: of["nesterov"].as_bool().unwrap_or(false),
            weight_decay: number(of, "weight_decay", 0.0),
        };
        (sgd, number(of, "learning_rate", 0.01))
    }
}

fn schedule(given: &Value) -> ScheduleParts {
    let decay = if let Some(step) = given.get("step") {
        DecayParts::Step {
            every_steps: step["every_steps"].as_i64().expect("a number of steps"),
            gamma: step["gamma"].as_f64().unwrap_or(0.1),
        }
    } else if let Some(cosine) = given.get("cosine") {
        DecayParts::Cosine {
            total_steps: cosine["total_steps"].as_i64().expect("a number of steps"),
            final_factor: cosine["final_factor"].as_f64().unwrap_or(0.0),
        }
    } else {
        DecayParts::Constant
    };
    ScheduleParts {
        warmup_steps: given["warmup_steps"].as_i64().unwrap_or(0),
        decay,
    }
}

/// A network of these sizes, each hidden layer with this activation, a linear last one, and biases throughout.
pub fn network(sizes: &[usize], activation: Activation) -> Architecture {
    let last = sizes.len() - 1;
    let layers: Vec<LayerSpec> = (1..sizes.len())
        .map(|i| {
            let activation = if i == last {
                Activation::Linear
            } else {
                activation
            };
            LayerSpec {
                units: sizes[i] as i64,
                activation,
                bias: true,
                init: Init::default_for(activation),
            }
        })
        .collect();
    Architecture::new(sizes[0] as i64, &layers, ReluAtZero::One, &LIMITS)
        .expect("sizes are in range")
}
