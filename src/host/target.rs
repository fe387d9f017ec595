//! What a read works on: a model of a session, or a network that was sent along.

use std::sync::Arc;

use super::Host;
use super::caller::Caller;
use super::limits::memory::OutOfMemory;
use super::parts::parameters::{
    ParameterParts, entries, flatten, flatten_in_blocks, parameter_bytes,
};
use super::reference::Reference;
use super::refused::Refused;
use crate::fault::Violations;
use crate::host::models::any_model::{AnyModel, ModelScalar};
use crate::nn::{Dtype, Pauses};
use crate::training::{Model, ModelName, Spec};

/// Inline networks of more parameters than this are read on a compute thread: fewer take a tenth of a millisecond.
const MANY_PARAMETERS: usize = 1 << 15;

/// A target that can be looked up.
pub enum Target {
    /// A name of the right form.
    Named(ModelName),
    /// A network, at step 0.
    Inline(AnyModel),
    /// A network of so many parameters that reading them takes a compute thread.
    Large(Box<Spec>, ParameterParts),
    /// A network that there is no memory for.
    Refused(OutOfMemory),
}

impl Target {
    /// A network that was sent along, or `None` where its parameters do not fit its spec. What it takes is held by
    /// `caller`.
    pub fn inline(
        spec: Spec,
        parameters: ParameterParts,
        caller: &Caller,
        violations: &mut Violations,
    ) -> Option<Self> {
        if let Err(error) = caller.hold(parameter_bytes(&spec, &parameters)) {
            return Some(Self::Refused(error));
        }
        if entries(&parameters) > MANY_PARAMETERS {
            return Some(Self::Large(Box::new(spec), parameters));
        }
        let model = inline_model(spec, parameters);
        violations.take_at("inline", model).map(Self::Inline)
    }

    /// The model: looked up, with its session renewed, or the one sent along.
    ///
    /// # Errors
    /// No such model.
    pub async fn find(self, host: &Host, caller: &Caller) -> Result<AnyModel, Refused> {
        match self {
            Self::Named(name) => Ok(host.open(caller, &name).await?.model.clone()),
            Self::Inline(_) | Self::Large(..) if host.config.compare_only => {
                Err(Refused::CompareOnly)
            }
            Self::Inline(model) => Ok(model),
            Self::Large(spec, parts) => large_model(host, caller, *spec, parts).await,
            Self::Refused(error) => Err(error.into()),
        }
    }

    /// The same for grading, which COMPARE_ONLY models are for.
    ///
    /// # Errors
    /// No such model, or one that nothing was said to compare it on.
    pub async fn find_to_grade(self, host: &Host, caller: &Caller) -> Result<Reference, Refused> {
        match self {
            Self::Named(name) => Reference::named(host, &*host.find(caller, &name).await?),
            Self::Inline(model) => Ok(Reference::inline(host, model)),
            Self::Large(spec, parts) => {
                let model = large_model(host, caller, *spec, parts).await?;
                Ok(Reference::inline(host, model))
            }
            Self::Refused(error) => Err(error.into()),
        }
    }
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
    host: &Host,
    caller: &Caller,
    spec: Spec,
    parts: ParameterParts,
) -> Result<AnyModel, Refused> {
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
    let (model, _) = host.compute_in_blocks(caller, work, build).await?;
    let mut violations = Violations::new();
    let model = violations.take_at("inline", model);
    Ok(violations.into_result(model)?)
}
