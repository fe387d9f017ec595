//! What a read works on: a model of a session or a network sent along, and a batch that fits it.

use std::sync::Arc;

use tonic::Status;

use super::tensor::{Rank, TensorParts};
use super::{request, spec};
use crate::nn::{Batch, Dtype, Pauses, Violations};
use crate::service::Server;
use crate::service::compare::Reference;
use crate::service::deadline::Deadline;
use crate::service::entry::{AnyModel, ModelScalar};
use crate::service::pb;
use crate::service::status::compare_only;
use crate::training::{LayerParameters, Model, ModelName, Spec};

/// Inline networks of more parameters than this are read on a compute thread: fewer take a tenth of a millisecond.
const MANY_PARAMETERS: usize = 1 << 15;

/// A target as a request names it, of whichever RPC.
pub enum Asked {
    /// By name.
    Model(String),
    /// Sent along.
    Inline(Box<pb::InlineModel>),
}

impl From<pb::gradients_request::Target> for Asked {
    fn from(target: pb::gradients_request::Target) -> Self {
        match target {
            pb::gradients_request::Target::Model(name) => Self::Model(name),
            pb::gradients_request::Target::Inline(inline) => Self::Inline(inline),
        }
    }
}

impl From<pb::predict_request::Target> for Asked {
    fn from(target: pb::predict_request::Target) -> Self {
        match target {
            pb::predict_request::Target::Model(name) => Self::Model(name),
            pb::predict_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::grade_gradients_request::Target> for Asked {
    fn from(target: pb::grade_gradients_request::Target) -> Self {
        match target {
            pb::grade_gradients_request::Target::Model(name) => Self::Model(name),
            pb::grade_gradients_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

impl From<pb::check_gradients_request::Target> for Asked {
    fn from(target: pb::check_gradients_request::Target) -> Self {
        match target {
            pb::check_gradients_request::Target::Model(name) => Self::Model(name),
            pb::check_gradients_request::Target::Inline(inline) => Self::Inline(Box::new(inline)),
        }
    }
}

/// A target that can be looked up.
pub enum Target {
    /// A name of the right form.
    Named(ModelName),
    /// A network, at step 0.
    Inline(AnyModel),
    /// A network of so many parameters that reading them takes a compute thread.
    Large(Box<Spec>, ParameterParts),
    /// A network that there is no memory for.
    Refused(Status),
}

impl Target {
    /// Reads a target, or notes everything that is wrong with it.
    pub fn read(
        asked: Option<Asked>,
        server: &Server,
        violations: &mut Violations,
    ) -> Option<Self> {
        match asked {
            None => {
                violations.add(
                    "model",
                    "neither model nor inline",
                    "exactly one of the two",
                );
                None
            }
            Some(Asked::Model(name)) => {
                request::model_name(&name, "model", violations).map(Self::Named)
            }
            Some(Asked::Inline(inline)) => {
                let spec =
                    violations.take_at("inline.spec", spec::read(inline.spec, &server.limits));
                let most = spec
                    .as_ref()
                    .map_or(server.limits.layers, |spec| spec.architecture.depth());
                let mut faults = Violations::new();
                let parameters = read_parameters(inline.parameters, most, &mut faults);
                violations.extend_at("inline", faults);
                let (spec, parameters) = (spec?, parameters?);
                if let Err(status) = server.hold(parameter_bytes(&spec, &parameters)) {
                    return Some(Self::Refused(status));
                }
                if entries(&parameters) > MANY_PARAMETERS {
                    return Some(Self::Large(Box::new(spec), parameters));
                }
                let model = inline_model(spec, parameters);
                violations.take_at("inline", model).map(Self::Inline)
            }
        }
    }

    /// The model: looked up, with its session renewed, or the one sent along.
    ///
    /// # Errors
    /// No such model.
    pub async fn find(self, server: &Server) -> Result<AnyModel, Status> {
        match self {
            Self::Named(name) => {
                let entry = server.open(&name).await?;
                Ok(entry.model.clone())
            }
            Self::Inline(_) | Self::Large(..) if server.config.compare_only => Err(compare_only()),
            Self::Inline(model) => Ok(model),
            Self::Large(spec, parts) => large_model(server, *spec, parts).await,
            Self::Refused(status) => Err(status),
        }
    }
}

impl Target {
    /// The same for grading, which COMPARE_ONLY models are for.
    ///
    /// # Errors
    /// No such model, or one that nothing was said to compare it on.
    pub async fn find_to_grade(self, server: &Server) -> Result<Reference, Status> {
        match self {
            Self::Named(name) => Reference::named(server, &*server.find(&name).await?),
            Self::Inline(model) => Ok(Reference::inline(server, model)),
            Self::Large(spec, parts) => {
                let model = large_model(server, *spec, parts).await?;
                Ok(Reference::inline(server, model))
            }
            Self::Refused(status) => Err(status),
        }
    }
}

/// How many numbers there are to read.
fn entries(parts: &ParameterParts) -> usize {
    let entries = parts
        .iter()
        .map(|(weights, bias)| weights.entries() + bias.as_ref().map_or(0, TensorParts::entries));
    entries.sum()
}

/// Layers' parameters, not yet of the model's type.
pub type ParameterParts = Vec<(TensorParts, Option<TensorParts>)>;

/// Reads layers' parameters at `parameters[…]`; more than `most` of them are a fault by their number alone.
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
        let weights = TensorParts::read(layer.weights, &field("weights"), Rank::Matrix, violations);
        let bias = layer
            .bias
            .map(|bias| TensorParts::read(Some(bias), &field("bias"), Rank::Vector, violations));
        if let Some(weights) = weights {
            parts.push((weights, bias.flatten()));
        }
    }
    (violations.len() == before).then_some(parts)
}

/// The bytes that it takes to make a model of these parts: the matrices, the model's own numbers.
pub fn parameter_bytes(spec: &Spec, parts: &ParameterParts) -> usize {
    entries(parts)
        .saturating_mul(spec.dtype.size())
        .saturating_add(spec.state_bytes())
}

/// The flat parameters in the model's type.
///
/// # Errors
/// Everything that does not fit the spec.
pub fn flatten<T: ModelScalar>(spec: &Spec, parts: ParameterParts) -> Result<Vec<T>, Violations> {
    let layers = parts.into_iter().map(|(weights, bias)| LayerParameters {
        weights: weights.into_matrix(),
        bias: bias.map(TensorParts::into_matrix),
    });
    spec.flatten(layers.collect())
}

/// [`flatten`] with pauses.
///
/// # Errors
/// Everything that does not fit the spec.
pub async fn flatten_in_blocks<T: ModelScalar>(
    spec: &Spec,
    parts: ParameterParts,
    pauses: &impl Pauses,
) -> Result<Vec<T>, Violations> {
    let mut layers = Vec::with_capacity(parts.len());
    for (weights, bias) in parts {
        let weights = weights.into_matrix_in_blocks(pauses).await;
        let bias = bias.map(TensorParts::into_matrix);
        layers.push(LayerParameters { weights, bias });
    }
    pauses.pause().await;
    spec.flatten(layers)
}

fn inline_model(spec: Spec, parts: ParameterParts) -> Result<AnyModel, Violations> {
    fn build<T: ModelScalar>(spec: Spec, parts: ParameterParts) -> Result<AnyModel, Violations> {
        let parameters = flatten::<T>(&spec, parts)?;
        Ok(T::any(Arc::new(Model::new(spec, parameters, 0))))
    }
    match spec.dtype {
        Dtype::Float32 => build::<f32>(spec, parts),
        Dtype::Float64 => build::<f64>(spec, parts),
    }
}

/// [`inline_model`] on a compute thread.
///
/// # Errors
/// Everything that does not fit the spec, at `inline`; a full queue.
async fn large_model(
    server: &Server,
    spec: Spec,
    parts: ParameterParts,
) -> Result<AnyModel, Status> {
    async fn build<T: ModelScalar>(
        spec: Spec,
        parts: ParameterParts,
        pauses: &impl Pauses,
    ) -> Result<AnyModel, Violations> {
        let parameters = flatten_in_blocks::<T>(&spec, parts, pauses).await?;
        Ok(T::any(Arc::new(Model::new(spec, parameters, 0))))
    }
    let (work, build) = (entries(&parts) as u64, |turns| async move {
        match spec.dtype {
            Dtype::Float32 => build::<f32>(spec, parts, &turns).await,
            Dtype::Float64 => build::<f64>(spec, parts, &turns).await,
        }
    });
    let (model, _) = server
        .compute_in_blocks(Deadline::NONE, work, build)
        .await?;
    let mut violations = Violations::new();
    let model = violations.take_at("inline", model);
    Ok(violations.into_result(model)?)
}

/// Samples and targets, not yet of the model's type nor compared with its sizes.
pub struct BatchParts {
    /// x.
    pub inputs: TensorParts,
    targets: Option<TensorParts>,
    labels: Vec<i32>,
}

impl BatchParts {
    /// Reads inputs and targets or labels, or notes what is wrong with them.
    pub fn read(
        inputs: Option<pb::Tensor>,
        targets: Option<pb::Tensor>,
        labels: Vec<i32>,
        violations: &mut Violations,
    ) -> Option<Self> {
        let before = violations.len();
        let inputs = TensorParts::read(inputs, "inputs", Rank::Matrix, violations);
        let targets = targets
            .map(|targets| TensorParts::read(Some(targets), "targets", Rank::Matrix, violations));
        match (&targets, labels.is_empty()) {
            (Some(_), false) => violations.add("labels", "targets and labels", "one of the two"),
            (None, true) => {
                violations.add("targets", "neither targets nor labels", "one of the two")
            }
            (Some(_), true) | (None, false) => {}
        }
        if violations.len() > before {
            return None;
        }
        Some(Self {
            inputs: inputs?,
            targets: targets.flatten(),
            labels,
        })
    }

    /// How many numbers to read: about what it takes in floating-point operations to make a batch of them.
    pub fn entries(&self) -> u64 {
        let targets = self.targets.as_ref().map_or(0, TensorParts::entries);
        (self.inputs.entries() + targets + self.labels.len()) as u64
    }

    /// [`Self::typed`] with pauses.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub async fn typed_in_blocks<T: ModelScalar>(
        self,
        spec: &Spec,
        max_rows: usize,
        pauses: &impl Pauses,
    ) -> Result<Batch<T>, Violations> {
        let inputs = self.inputs.into_matrix_in_blocks(pauses).await;
        let mut targets = None;
        if let Some(given) = self.targets {
            targets = Some(given.into_matrix_in_blocks(pauses).await);
        }
        pauses.pause().await;
        Batch::new(
            &spec.architecture,
            spec.objective,
            inputs,
            targets,
            &self.labels,
            max_rows,
        )
    }

    /// A batch that fits the spec.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn typed<T: ModelScalar>(
        self,
        spec: &Spec,
        max_rows: usize,
    ) -> Result<Batch<T>, Violations> {
        Batch::new(
            &spec.architecture,
            spec.objective,
            self.inputs.into_matrix(),
            self.targets.map(TensorParts::into_matrix),
            &self.labels,
            max_rows,
        )
    }
}
