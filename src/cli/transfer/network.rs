//! A model's network, out of a file of the server's format.

use crate::nn::{Architecture, Dtype, Layer, Loss};
use crate::training::Spec;
use crate::training::snapshot::{self, DecodedModel, Rules};

/// A network and its parameters.
pub(super) struct Network {
    pub(super) spec: Spec,
    /// The parameters in the layout of the architecture, as little-endian bytes of the spec's type.
    bytes: Vec<u8>,
}

/// One parameter tensor.
pub(super) struct Parameter<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
}

impl Network {
    /// Reads the bytes of `backpropd export`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        // A file of one's own may have been written under any limits.
        let (model, _) =
            snapshot::decode(bytes, &Rules::own(usize::MAX)).map_err(|error| error.to_string())?;
        Ok(match model {
            DecodedModel::F32(model) => Self {
                spec: model.spec().clone(),
                bytes: bytemuck::cast_slice(&model.committed().state.parameters).to_vec(),
            },
            DecodedModel::F64(model) => Self {
                spec: model.spec().clone(),
                bytes: bytemuck::cast_slice(&model.committed().state.parameters).to_vec(),
            },
        })
    }

    pub(super) fn architecture(&self) -> &Architecture {
        &self.spec.architecture
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.spec.dtype
    }

    /// W, units × fan_in.
    pub(super) fn weights(&self, layer: &Layer) -> Parameter<'_> {
        Parameter {
            shape: vec![layer.units, layer.fan_in],
            bytes: self.bytes_of(&layer.weights),
        }
    }

    /// b, if the layer has one.
    pub(super) fn bias(&self, layer: &Layer) -> Option<Parameter<'_>> {
        layer.has_bias().then(|| Parameter {
            shape: vec![layer.units],
            bytes: self.bytes_of(&layer.bias),
        })
    }

    fn bytes_of(&self, range: &std::ops::Range<usize>) -> &[u8] {
        let size = self.dtype().size();
        &self.bytes[range.start * size..range.end * size]
    }

    /// What the outputs are, for a reader of the exported file.
    pub(super) fn meaning_of_outputs(&self) -> &'static str {
        match self.spec.objective.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => "values",
            Loss::CrossEntropy => "logits: softmax gives the probabilities of the classes",
            Loss::BinaryCrossEntropy => "logits: a sigmoid gives the probabilities",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::nn::{
        Activation, ArchitectureLimits, Init, LayerSpec, Objective, Optimizer, Reduction,
        ReluAtZero, Scalar, initialize,
    };
    use crate::training::snapshot::About;
    use crate::training::{Access, DecayParts, Model, ScheduleParts, SpecParts};

    /// A model of these layers with 3 features, as the bytes of its file.
    pub(in super::super) fn file<T: Scalar>(layers: &[(i64, Activation, bool)]) -> Vec<u8> {
        let layers = layers.iter().map(|&(units, activation, bias)| LayerSpec {
            units,
            activation,
            bias,
            init: Init::PytorchLinear,
        });
        let parts = SpecParts {
            input_size: 3,
            layers: layers.collect(),
            relu_at_zero: ReluAtZero::Zero,
            objective: Objective {
                loss: Loss::CrossEntropy,
                reduction: Reduction::Sum,
            },
            optimizer: Optimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
                weight_decay: 0.0,
            },
            learning_rate: 0.01,
            schedule: ScheduleParts {
                warmup_steps: 0,
                decay: DecayParts::Constant,
            },
            clip_norm: 0.0,
            dtype: T::DTYPE,
        };
        let spec = parts.validate(&ArchitectureLimits::LARGEST).expect("valid");
        let parameters: Vec<T> = initialize(&spec.architecture, 1);
        let model = Model::new(spec, parameters, 0);
        let about = About {
            name: "sessions/lab/models/hw".to_owned(),
            created: SystemTime::UNIX_EPOCH,
            updated: SystemTime::UNIX_EPOCH,
            access: Access::Full,
            made_by: None,
            compare: None,
        };
        snapshot::encode(model.spec(), &model.revision(), &about).expect("small")
    }
}
