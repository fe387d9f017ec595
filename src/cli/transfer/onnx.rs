//! A network as an ONNX model. ONNX is protobuf; these are the parts of its `onnx.proto3` that an MLP needs, with the
//! names and numbers that they have there.

use prost::Message;

use super::network::{Network, Parameter};
use crate::nn::{Activation, Dtype};

/// The version of the operators: the first with Gelu.
const OPERATORS: i64 = 20;
/// The version of the file format that came with it.
const FORMAT: i64 = 9;
/// The largest message of protobuf, less what names and nodes take.
const MOST_BYTES: usize = (2 << 30) - (1 << 20);

/// The first and the last value of the graph.
const INPUTS: &str = "inputs";
const OUTPUTS: &str = "outputs";

const FLOAT: i32 = 1;
const DOUBLE: i32 = 11;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    /// 1 for `f`, 2 for `i`.
    #[prost(int32, tag = "20")]
    r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

/// One of the two is set.
#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

/// A graph under construction.
struct Graph {
    data_type: i32,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Graph {
    fn add(&mut self, op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{op_type}_{}", self.nodes.len() + 1),
            op_type: op_type.to_owned(),
            attribute,
        });
    }

    fn store(&mut self, name: &str, parameter: &Parameter<'_>) {
        self.initializers.push(TensorProto {
            dims: parameter.shape.iter().map(|&size| signed(size)).collect(),
            data_type: self.data_type,
            name: name.to_owned(),
            raw_data: parameter.bytes.to_vec(),
        });
    }

    /// h = σ(z). The operators are those that onnxruntime has for the type, so far as there are any.
    fn activate(&mut self, activation: Activation, z: &str, h: &str) {
        match activation {
            Activation::Linear => self.add("Identity", &[z], h, Vec::new()),
            Activation::Relu => self.add("Relu", &[z], h, Vec::new()),
            Activation::LeakyRelu { slope } if self.data_type == FLOAT => {
                #[allow(clippy::cast_possible_truncation, reason = "as the engine rounds it")]
                let alpha = AttributeProto {
                    name: "alpha".to_owned(),
                    f: slope as f32,
                    r#type: 1,
                    ..Default::default()
                };
                self.add("LeakyRelu", &[z], h, vec![alpha]);
            }
            // Its slope would have the type float. With a slope of at most 1, the larger of z and slope·z is meant.
            Activation::LeakyRelu { slope } => {
                let (factor, scaled) = (format!("{h}_slope"), format!("{h}_scaled"));
                self.initializers.push(TensorProto {
                    dims: Vec::new(),
                    data_type: self.data_type,
                    name: factor.clone(),
                    raw_data: slope.to_le_bytes().to_vec(),
                });
                self.add("Mul", &[z, &factor], &scaled, Vec::new());
                self.add("Max", &[z, &scaled], h, Vec::new());
            }
            Activation::Sigmoid => self.add("Sigmoid", &[z], h, Vec::new()),
            Activation::Tanh => self.add("Tanh", &[z], h, Vec::new()),
            Activation::Gelu => self.add("Gelu", &[z], h, Vec::new()),
            Activation::Silu => {
                let sigmoid = format!("{h}_sigmoid");
                self.add("Sigmoid", &[z], &sigmoid, Vec::new());
                self.add("Mul", &[z, &sigmoid], h, Vec::new());
            }
        }
    }
}

/// The bytes of an ONNX model that computes the outputs of a network.
pub(super) fn write(network: &Network) -> Result<Vec<u8>, String> {
    let architecture = network.architecture();
    let bytes = architecture.parameter_count() * network.dtype().size();
    if bytes > MOST_BYTES {
        return Err(format!(
            "the parameters take {bytes} bytes; an ONNX file holds at most {MOST_BYTES}: export safetensors"
        ));
    }
    let mut graph = Graph {
        data_type: match network.dtype() {
            Dtype::Float32 => FLOAT,
            Dtype::Float64 => DOUBLE,
        },
        nodes: Vec::new(),
        initializers: Vec::new(),
    };
    let mut h_before = INPUTS.to_owned();
    for (i, layer) in (1..).zip(architecture.layers()) {
        let (weights, bias) = (format!("W{i}"), format!("b{i}"));
        graph.store(&weights, &network.weights(layer));
        let mut operands = vec![&h_before[..], &weights];
        if let Some(parameter) = network.bias(layer) {
            graph.store(&bias, &parameter);
            operands.push(&bias);
        }
        let is_last = i == architecture.depth();
        let h = if is_last {
            OUTPUTS.to_owned()
        } else {
            format!("h{i}")
        };
        let transposed = AttributeProto {
            name: "transB".to_owned(),
            i: 1,
            r#type: 2,
            ..Default::default()
        };
        if layer.activation == Activation::Linear {
            graph.add("Gemm", &operands, &h, vec![transposed]);
        } else {
            let z = format!("z{i}");
            graph.add("Gemm", &operands, &z, vec![transposed]);
            graph.activate(layer.activation, &z, &h);
        }
        h_before = h;
    }
    let value = |name: &str, columns: usize| ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: graph.data_type,
                shape: Some(TensorShapeProto {
                    dim: vec![
                        DimensionProto {
                            dim_param: Some("batch".to_owned()),
                            dim_value: None,
                        },
                        DimensionProto {
                            dim_value: Some(signed(columns)),
                            dim_param: None,
                        },
                    ],
                }),
            }),
        }),
    };
    let (input, output) = (
        value(INPUTS, architecture.input_size()),
        value(OUTPUTS, architecture.output_size()),
    );
    let model = ModelProto {
        ir_version: FORMAT,
        producer_name: "backpropd".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(GraphProto {
            node: graph.nodes,
            name: "mlp".to_owned(),
            initializer: graph.initializers,
            input: vec![input],
            output: vec![output],
        }),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPERATORS,
        }],
    };
    Ok(model.encode_to_vec())
}

/// Whether onnxruntime lacks an operator of the graph for its type.
pub(super) fn lacks_an_operator(network: &Network) -> bool {
    let mut layers = network.architecture().layers().iter();
    network.dtype() == Dtype::Float64 && layers.any(|layer| layer.activation == Activation::Gelu)
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::file;
    use super::*;

    fn graph(bytes: &[u8]) -> GraphProto {
        let network = Network::read(bytes).expect("sound");
        let model = ModelProto::decode(&write(&network).expect("small")[..]).expect("a model");
        assert_eq!((model.ir_version, model.opset_import[0].version), (9, 20));
        model.graph.expect("a graph")
    }

    /// What the nodes compute is checked by `tests/clients/onnx_outputs.py`, with onnxruntime.
    #[test]
    fn each_node_reads_what_an_earlier_one_wrote() {
        let layers = [
            (4, Activation::Relu, true),
            (3, Activation::LeakyRelu { slope: 0.1 }, false),
            (2, Activation::Silu, true),
            (5, Activation::Gelu, true),
            (6, Activation::Linear, true),
            (2, Activation::Tanh, false),
        ];
        for (bytes, data_type, operators) in [
            (
                file::<f32>(&layers),
                FLOAT,
                "Gemm Relu Gemm LeakyRelu Gemm Sigmoid Mul Gemm Gelu Gemm Gemm Tanh",
            ),
            (
                file::<f64>(&layers),
                DOUBLE,
                "Gemm Relu Gemm Mul Max Gemm Sigmoid Mul Gemm Gelu Gemm Gemm Tanh",
            ),
        ] {
            let graph = graph(&bytes);
            let used: Vec<&str> = graph.node.iter().map(|node| &node.op_type[..]).collect();
            assert_eq!(used.join(" "), operators);
            let mut known: Vec<&str> = vec![INPUTS];
            known.extend(graph.initializer.iter().map(|tensor| &tensor.name[..]));
            for node in &graph.node {
                assert!(
                    node.input.iter().all(|name| known.contains(&&name[..])),
                    "{node:?}"
                );
                known.extend(node.output.iter().map(String::as_str));
            }
            assert_eq!(known.last(), Some(&OUTPUTS));
            for tensor in &graph.initializer {
                let entries: i64 = tensor.dims.iter().product();
                let size = if data_type == FLOAT { 4 } else { 8 };
                assert_eq!(
                    tensor.raw_data.len() as i64,
                    entries * size,
                    "{}",
                    tensor.name
                );
                assert_eq!(tensor.data_type, data_type);
            }
        }
    }
}
