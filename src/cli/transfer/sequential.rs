//! The names of `torch.nn.Sequential`: `0.weight`, `0.bias`, `2.weight`, …, one module for each layer and one for each
//! activation that is not linear.

use std::collections::{BTreeMap, HashMap};

use backpropd_client::pb;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as TensorType, TensorView};
use serde::{Deserialize, Serialize};

use super::network::{Network, Parameter};
use crate::nn::{Activation, Architecture, Dtype, Loss, Objective, Reduction, ReluAtZero};

/// The entry of the header that holds what names and shapes do not say. PyTorch ignores it.
const METADATA: &str = "backpropd_network";

/// Longest list of names in a message.
const MOST_NAMES: usize = 5;

/// What names and shapes do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    activations: Vec<Activation>,
    objective: Objective,
    relu_at_zero: ReluAtZero,
}

/// What the user says about a file that does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// Of the hidden layers.
    pub(super) activation: Option<pb::Activation>,
    pub(super) loss: Option<pb::Loss>,
}

/// A network to create.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) spec: pb::ModelSpec,
    pub(super) parameters: Vec<pb::LayerParameters>,
    /// Whether the hidden activations are a guess.
    pub(super) is_guess: bool,
}

/// The number of each layer's module.
fn positions(architecture: &Architecture) -> Vec<usize> {
    let mut next = 0;
    let layers = architecture.layers().iter();
    layers
        .map(|layer| {
            let own = next;
            next += if layer.activation == Activation::Linear {
                1
            } else {
                2
            };
            own
        })
        .collect()
}

/// A safetensors file with these names.
pub(super) fn write(network: &Network) -> Result<Vec<u8>, String> {
    let tensor_type = match network.dtype() {
        Dtype::Float32 => TensorType::F32,
        Dtype::Float64 => TensorType::F64,
    };
    let architecture = network.architecture();
    let mut tensors = Vec::new();
    for (position, layer) in positions(architecture)
        .into_iter()
        .zip(architecture.layers())
    {
        let named = [
            ("weight", Some(network.weights(layer))),
            ("bias", network.bias(layer)),
        ];
        for (name, parameter) in named {
            let Some(Parameter { shape, bytes }) = parameter else {
                continue;
            };
            let view = TensorView::new(tensor_type, shape, bytes);
            let view = view.map_err(|error| error.to_string())?;
            tensors.push((format!("{position}.{name}"), view));
        }
    }
    let layers = architecture.layers().iter();
    let rest = Rest {
        activations: layers.map(|layer| layer.activation).collect(),
        objective: network.spec.objective,
        relu_at_zero: architecture.relu_at_zero(),
    };
    let rest = serde_json::to_string(&rest).map_err(|error| error.to_string())?;
    let metadata = HashMap::from([(METADATA.to_owned(), rest)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|error| error.to_string())
}

/// The Python expression for the modules that load the file.
pub(super) fn modules(network: &Network) -> String {
    let mut modules = Vec::new();
    for layer in network.architecture().layers() {
        let bias = if layer.has_bias() { "" } else { ", bias=False" };
        modules.push(format!(
            "nn.Linear({}, {}{bias})",
            layer.fan_in, layer.units
        ));
        match layer.activation {
            Activation::Linear => {}
            Activation::Relu => modules.push("nn.ReLU()".to_owned()),
            Activation::LeakyRelu { slope } => modules.push(format!("nn.LeakyReLU({slope})")),
            Activation::Sigmoid => modules.push("nn.Sigmoid()".to_owned()),
            Activation::Tanh => modules.push("nn.Tanh()".to_owned()),
            Activation::Gelu => modules.push("nn.GELU()".to_owned()),
            Activation::Silu => modules.push("nn.SiLU()".to_owned()),
        }
    }
    let double = match network.dtype() {
        Dtype::Float32 => "",
        Dtype::Float64 => ".double()",
    };
    format!("nn.Sequential({}){double}", modules.join(", "))
}

/// A layer of a file: module number, W and perhaps b.
struct ReadLayer<'a> {
    position: usize,
    weights: TensorView<'a>,
    bias: Option<TensorView<'a>>,
}

/// Reads a file with these names, behind a prefix or not, as `model.state_dict()` has them.
pub(super) fn read(bytes: &[u8], said: Said) -> Result<Read, String> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|error| format!("this is not a safetensors file: {error}"))?;
    let rest = header.metadata().as_ref().and_then(|all| all.get(METADATA));
    let rest: Option<Rest> = rest
        .map(|text| serde_json::from_str(text))
        .transpose()
        .map_err(|error| format!("its {METADATA} is not that of `backpropd export`: {error}"))?;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("this is not a safetensors file: {error}"))?;
    let layers = layers(&file)?;
    let dtype = check_shapes(&layers)?;
    let rest = rest.filter(|rest| rest.activations.len() == layers.len());
    let mut specs = Vec::with_capacity(layers.len());
    let mut is_guess = false;
    for (at, layer) in layers.iter().enumerate() {
        let is_last = at + 1 == layers.len();
        let follows = layers
            .get(at + 1)
            .map(|next| next.position - layer.position);
        let mut spec = pb::Layer {
            units: size(layer.weights.shape()[0])?,
            bias: layer.bias.is_some(),
            ..Default::default()
        };
        match (&rest, said.activation) {
            (Some(rest), None) => set_activation(&mut spec, rest.activations[at]),
            _ if is_last || follows == Some(1) => {
                spec.activation = pb::Activation::Linear.into();
            }
            (_, Some(activation)) => spec.activation = activation.into(),
            (None, None) => {
                is_guess = true;
                spec.activation = pb::Activation::Relu.into();
            }
        }
        specs.push(spec);
    }
    let mut spec = pb::ModelSpec {
        input_size: size(layers[0].weights.shape()[1])?,
        layers: specs,
        compute: dtype.into(),
        ..Default::default()
    };
    if let Some(rest) = rest {
        set_rest(&mut spec, &rest);
    }
    if let Some(loss) = said.loss {
        spec.loss = loss.into();
    }
    let parameters = layers.iter().map(|layer| {
        Ok(pb::LayerParameters {
            weights: Some(tensor(&layer.weights, dtype)?),
            bias: layer
                .bias
                .as_ref()
                .map(|bias| tensor(bias, dtype))
                .transpose()?,
        })
    });
    Ok(Read {
        spec,
        parameters: parameters.collect::<Result<_, String>>()?,
        is_guess,
    })
}

/// The layers of a file in the order of their modules.
fn layers<'a>(file: &SafeTensors<'a>) -> Result<Vec<ReadLayer<'a>>, String> {
    let mut prefixes = Vec::new();
    let mut weights = BTreeMap::new();
    let mut biases = BTreeMap::new();
    for (name, view) in file.tensors() {
        let parsed = parse(&name).ok_or_else(|| {
            let names = file.names();
            let shown = names.iter().take(MOST_NAMES).map(|name| name.to_string());
            let more = if names.len() > MOST_NAMES { ", …" } else { "" };
            format!(
                "expected the names of a torch.nn.Sequential of Linear layers, such as 0.weight, 0.bias, 2.weight; found {}{more}",
                shown.collect::<Vec<_>>().join(", ")
            )
        })?;
        let (prefix, position, is_bias) = parsed;
        prefixes.push(prefix.to_owned());
        let list = if is_bias { &mut biases } else { &mut weights };
        list.insert(position, view);
    }
    prefixes.dedup();
    prefixes.sort();
    prefixes.dedup();
    if let [first, second, ..] = &prefixes[..] {
        return Err(format!(
            "found the layers of several modules, {first:?} and {second:?}; save the state_dict of one Sequential"
        ));
    }
    let layers: Vec<ReadLayer<'_>> = weights
        .into_iter()
        .map(|(position, weights)| ReadLayer {
            position,
            weights,
            bias: biases.remove(&position),
        })
        .collect();
    if let Some((position, _)) = biases.first_key_value() {
        return Err(format!(
            "{position}.bias has no {position}.weight beside it"
        ));
    }
    if layers.is_empty() {
        return Err("the file has no tensors".to_owned());
    }
    Ok(layers)
}

/// `net.2.bias`: the prefix, the number, and whether it is a bias.
fn parse(name: &str) -> Option<(&str, usize, bool)> {
    let (module, parameter) = name.rsplit_once('.')?;
    let (prefix, number) = module.rsplit_once('.').unwrap_or(("", module));
    let is_bias = match parameter {
        "weight" => false,
        "bias" => true,
        _ => return None,
    };
    Some((prefix, number.parse().ok()?, is_bias))
}

/// Checks that the layers follow each other, and returns their type.
fn check_shapes(layers: &[ReadLayer<'_>]) -> Result<pb::Dtype, String> {
    let tensor_type = layers[0].weights.dtype();
    let dtype = if tensor_type == TensorType::F32 {
        pb::Dtype::Float32
    } else if tensor_type == TensorType::F64 {
        pb::Dtype::Float64
    } else {
        return Err(format!(
            "{}.weight is {tensor_type:?}; expected F32 or F64: convert the model with .float() first",
            layers[0].position
        ));
    };
    let mut before: Option<usize> = None;
    for layer in layers {
        let (position, shape) = (layer.position, layer.weights.shape());
        let &[units, fan_in] = shape else {
            return Err(format!(
                "{position}.weight has the shape {shape:?}; expected [units, inputs] of a Linear layer"
            ));
        };
        if let Some(before) = before
            && before != fan_in
        {
            return Err(format!(
                "{position}.weight has {fan_in} inputs, but the layer before it has {before} units"
            ));
        }
        if let Some(bias) = &layer.bias
            && bias.shape() != [units]
        {
            return Err(format!(
                "{position}.bias has the shape {:?}; expected [{units}]",
                bias.shape()
            ));
        }
        let mut tensors = std::iter::once(&layer.weights).chain(&layer.bias);
        if tensors.any(|tensor| tensor.dtype() != tensor_type) {
            return Err(format!(
                "layer {position} differs in type from the first; expected {tensor_type:?} throughout"
            ));
        }
        before = Some(units);
    }
    Ok(dtype)
}

fn size(size: usize) -> Result<i32, String> {
    i32::try_from(size).map_err(|_| format!("{size} units: expected fewer than 2³¹"))
}

fn tensor(view: &TensorView<'_>, dtype: pb::Dtype) -> Result<pb::Tensor, String> {
    let shape = view.shape().iter().map(|&axis| size(axis));
    Ok(pb::Tensor {
        shape: shape.collect::<Result<_, _>>()?,
        raw: view.data().to_vec().into(),
        dtype: dtype.into(),
        ..Default::default()
    })
}

fn set_activation(layer: &mut pb::Layer, activation: Activation) {
    let named = match activation {
        Activation::Linear => pb::Activation::Linear,
        Activation::Relu => pb::Activation::Relu,
        Activation::LeakyRelu { slope } => {
            layer.leaky_relu_slope = Some(slope);
            pb::Activation::LeakyRelu
        }
        Activation::Sigmoid => pb::Activation::Sigmoid,
        Activation::Tanh => pb::Activation::Tanh,
        Activation::Gelu => pb::Activation::Gelu,
        Activation::Silu => pb::Activation::Silu,
    };
    layer.activation = named.into();
}

fn set_rest(spec: &mut pb::ModelSpec, rest: &Rest) {
    spec.loss = match rest.objective.loss {
        Loss::HalfSquaredError => pb::Loss::HalfSquaredError,
        Loss::MeanSquaredError => pb::Loss::MeanSquaredError,
        Loss::CrossEntropy => pb::Loss::CrossEntropy,
        Loss::BinaryCrossEntropy => pb::Loss::BinaryCrossEntropy,
    }
    .into();
    spec.reduction = match rest.objective.reduction {
        Reduction::Mean => pb::Reduction::Mean,
        Reduction::Sum => pb::Reduction::Sum,
    }
    .into();
    spec.relu_at_zero = match rest.relu_at_zero {
        ReluAtZero::One => pb::ReluAtZero::One,
        ReluAtZero::Zero => pb::ReluAtZero::Zero,
    }
    .into();
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::file;
    use super::*;

    const LAYERS: [(i64, Activation, bool); 4] = [
        (4, Activation::Relu, true),
        (2, Activation::Linear, false),
        (5, Activation::LeakyRelu { slope: 0.125 }, true),
        (2, Activation::Linear, true),
    ];

    #[test]
    fn names_count_the_modules_of_a_sequential() {
        let network = Network::read(&file::<f32>(&LAYERS)).expect("sound");
        let bytes = write(&network).expect("small");
        let tensors = SafeTensors::deserialize(&bytes).expect("a file");
        let mut names = tensors.names();
        names.sort_unstable();
        let expected = [
            "0.bias", "0.weight", "2.weight", "3.bias", "3.weight", "5.bias", "5.weight",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            modules(&network),
            "nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False), nn.Linear(2, 5), nn.LeakyReLU(0.125), nn.Linear(5, 2))"
        );
    }

    #[test]
    fn a_file_comes_back_with_its_bits_and_what_its_names_do_not_say() {
        let network = Network::read(&file::<f64>(&LAYERS)).expect("sound");
        let read = read(&write(&network).expect("small"), Said::default()).expect("its own");
        assert!(!read.is_guess);
        let spec = read.spec;
        assert_eq!((spec.input_size, spec.layers.len()), (3, 4));
        assert_eq!(spec.layers[2].activation(), pb::Activation::LeakyRelu);
        assert_eq!(spec.layers[2].leaky_relu_slope, Some(0.125));
        assert_eq!(spec.loss(), pb::Loss::CrossEntropy);
        assert_eq!(spec.reduction(), pb::Reduction::Sum);
        assert_eq!(spec.relu_at_zero(), pb::ReluAtZero::Zero);
        assert_eq!(spec.compute(), pb::Dtype::Float64);
        for (read, layer) in read.parameters.iter().zip(network.architecture().layers()) {
            let weights = read.weights.as_ref().expect("W");
            assert_eq!(weights.raw, network.weights(layer).bytes);
            let bias = read.bias.as_ref().map(|bias| &bias.raw[..]);
            assert_eq!(bias, network.bias(layer).map(|bias| bias.bytes));
        }
    }

    /// Zeros under these names, as PyTorch would save them.
    fn zeros(tensors: &[(&str, &[usize])]) -> Vec<u8> {
        let zeros = vec![0; 1000];
        let views = tensors.iter().map(|(name, shape)| {
            let bytes = 4 * shape.iter().product::<usize>();
            let view = TensorView::new(TensorType::F32, shape.to_vec(), &zeros[..bytes]);
            ((*name).to_owned(), view.expect("it fits"))
        });
        safetensors::serialize(views.collect::<Vec<_>>(), None).expect("small")
    }

    #[test]
    fn a_state_dict_of_pytorch_is_read_with_the_activation_that_is_said() {
        let bytes = zeros(&[
            ("net.0.weight", &[4, 3]),
            ("net.0.bias", &[4]),
            ("net.10.weight", &[1, 2]),
            ("net.2.weight", &[2, 4]),
        ]);
        let activations = |said| {
            let read = read(&bytes, said).expect("a state_dict");
            let layers = read.spec.layers.iter();
            let all: Vec<pb::Activation> = layers.map(pb::Layer::activation).collect();
            (all, read.is_guess)
        };
        let (relu, tanh) = (pb::Activation::Relu, pb::Activation::Tanh);
        let linear = pb::Activation::Linear;
        let said = Said {
            activation: Some(tanh),
            loss: None,
        };
        assert_eq!(activations(said), (vec![tanh, tanh, linear], false));
        assert_eq!(
            activations(Said::default()),
            (vec![relu, relu, linear], true)
        );
        let pair = zeros(&[("0.weight", &[4, 3]), ("1.weight", &[2, 4])]);
        let pair = read(&pair, said).expect("two layers with nothing between them");
        assert_eq!(pair.spec.layers[0].activation(), linear);
    }

    #[test]
    fn what_is_no_sequential_is_refused_with_what_was_found() {
        for (tensors, expected) in [
            (&[("fc1.weight", &[4, 3][..])][..], "found fc1.weight"),
            (&[("0.bias", &[4])], "0.bias has no 0.weight"),
            (&[("0.weight", &[4])], "[4]; expected [units, inputs]"),
            (
                &[("0.weight", &[4, 3]), ("2.weight", &[2, 5])],
                "2.weight has 5 inputs, but the layer before it has 4 units",
            ),
            (
                &[("0.weight", &[4, 3]), ("0.bias", &[3])],
                "0.bias has the shape [3]; expected [4]",
            ),
            (
                &[("a.0.weight", &[4, 3]), ("b.2.weight", &[2, 4])],
                "several modules",
            ),
            (&[], "no tensors"),
        ] {
            let refused = read(&zeros(tensors), Said::default()).expect_err(expected);
            assert!(refused.contains(expected), "{refused}");
        }
        let refused = read(b"PK\x03\x04 a zip of torch.save", Said::default());
        assert!(refused.expect_err("no file").contains("not a safetensors"));
    }
}
