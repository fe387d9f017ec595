//! The target of a read, which is a stored model or a network in the request, and the batch for it.

use super::tensor::{self, Rank};
use super::{shared_fields, spec};
use crate::fault::Violations;
use crate::host::caller::Caller;
use crate::host::parts::batch::BatchParts;
use crate::host::parts::parameters::ParameterParts;
use crate::host::target::Target;
use crate::nn::ArchitectureLimits;
use crate::rpc::pb;

/// The target that a request names, for every RPC that takes one.
pub enum RequestedTarget {
    /// A model, by name.
    Model(String),
    /// A network in the request.
    Inline(Box<pb::InlineModel>),
}

impl From<pb::gradients_request::Target> for RequestedTarget {
    fn from(target: pb::gradients_request::Target) -> Self {
        match target {
            pb::gradients_request::Target::Model(name) => Self::Model(name),
            pb::gradients_request::Target::Inline(inline) => Self::Inline(inline),
        }
    }
}

impl From<pb::predict_request::Target> for RequestedTarget {
    fn from(target: pb::predict_request::Target) -> Self {
        match target {
            pb::predict_request::Target::Model(name) => Self::Model(name),
            pb::predict_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::grade_gradients_request::Target> for RequestedTarget {
    fn from(target: pb::grade_gradients_request::Target) -> Self {
        match target {
            pb::grade_gradients_request::Target::Model(name) => Self::Model(name),
            pb::grade_gradients_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::check_gradients_request::Target> for RequestedTarget {
    fn from(target: pb::check_gradients_request::Target) -> Self {
        match target {
            pb::check_gradients_request::Target::Model(name) => Self::Model(name),
            pb::check_gradients_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::explain_request::Target> for RequestedTarget {
    fn from(target: pb::explain_request::Target) -> Self {
        match target {
            pb::explain_request::Target::Model(name) => Self::Model(name),
            pb::explain_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::evaluate_request::Target> for RequestedTarget {
    fn from(target: pb::evaluate_request::Target) -> Self {
        match target {
            pb::evaluate_request::Target::Model(name) => Self::Model(name),
            pb::evaluate_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl RequestedTarget {
    /// Reads a target, or records every violation. The caller's memory is charged for a network in the request.
    pub fn read(
        asked: Option<impl Into<Self>>,
        limits: &ArchitectureLimits,
        caller: &Caller,
        violations: &mut Violations,
    ) -> Option<Target> {
        match asked.map(Into::into) {
            None => {
                let given = "neither model nor inline";
                violations.add("model", given, "exactly one of the two");
                None
            }
            Some(Self::Model(name)) => {
                shared_fields::model_name(&name, "model", violations).map(Target::Named)
            }
            Some(Self::Inline(inline)) => {
                let spec = violations.take_at("inline.spec", spec::read(inline.spec, limits));
                let most = spec
                    .as_ref()
                    .map_or(limits.layers, |spec| spec.architecture.depth());
                let mut faults = Violations::new();
                let parameters = read_parameters(inline.parameters, most, &mut faults);
                violations.extend_at("inline", faults);
                Target::inline(spec?, parameters?, caller, violations)
            }
        }
    }
}

/// Reads the parameters of layers at `parameters[…]`; more than `most` layers are a violation in themselves.
pub fn read_parameters(
    parameters: Vec<pb::LayerParameters>,
    most: usize,
    violations: &mut Violations,
) -> Option<ParameterParts> {
    if parameters.len() > most {
        let given = format!("{} layers", parameters.len());
        violations.add("parameters", given, format!("{most}, one for each layer"));
        return None;
    }
    let before = violations.len();
    let mut parts = Vec::with_capacity(parameters.len());
    for (index, layer) in parameters.into_iter().enumerate() {
        let field = |name: &str| format!("parameters[{index}].{name}");
        let weights = tensor::read(layer.weights, &field("weights"), Rank::Matrix, violations);
        let bias = layer
            .bias
            .map(|bias| tensor::read(Some(bias), &field("bias"), Rank::Vector, violations));
        if let Some(weights) = weights {
            parts.push((weights, bias.flatten()));
        }
    }
    (violations.len() == before).then_some(parts)
}

/// Reads inputs, and targets or labels, or records the violations.
pub fn read_batch(
    inputs: Option<pb::Tensor>,
    targets: Option<pb::Tensor>,
    labels: Vec<i32>,
    violations: &mut Violations,
) -> Option<BatchParts> {
    let before = violations.len();
    let inputs = tensor::read(inputs, "inputs", Rank::Matrix, violations);
    let targets =
        targets.map(|targets| tensor::read(Some(targets), "targets", Rank::Matrix, violations));
    match (&targets, labels.is_empty()) {
        (Some(_), false) => violations.add("labels", "targets and labels", "one of the two"),
        (None, true) => violations.add("targets", "neither targets nor labels", "one of the two"),
        (Some(_), true) | (None, false) => {}
    }
    if violations.len() > before {
        return None;
    }
    Some(BatchParts {
        inputs: inputs?,
        targets: targets.flatten(),
        labels,
    })
}
