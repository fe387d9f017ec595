//! The target of a read: a model in a session, or an inline network.

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

/// Inline networks with more parameters than this are built on a compute thread; smaller ones take 0.1 ms at most.
const MANY_PARAMETERS: usize = 1 << 15;

/// The target that a request names or carries.
pub enum Target {
    /// A well-formed name, not yet looked up.
    Named(ModelName),
    /// An inline network, at step 0.
    Inline(AnyModel),
    /// An inline network so large that it is built on a compute thread.
    Large(Box<Spec>, ParameterParts),
    /// An inline network for which there is not enough memory.
    Refused(OutOfMemory),
}

impl Target {
    /// Builds an inline network; `None` if its parameters do not fit its spec. `caller` holds the memory.
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

    /// Looks up the model and renews its session's lease, or returns the inline network.
    ///
    /// # Errors
    /// There is no such model.
    pub async fn find(self, host: &Host, caller: &Caller) -> Result<AnyModel, Refused> {
        match self {
            Self::Named(name) => Ok(host.open(caller, &name).await?.model.get()),
            Self::Inline(_) | Self::Large(..) if host.config.compare_only => {
                Err(Refused::CompareOnly)
            }
            Self::Inline(model) => Ok(model),
            Self::Large(spec, parts) => large_model(host, caller, *spec, parts).await,
            Self::Refused(error) => Err(error.into()),
        }
    }

    /// Like [`Self::find`], for grading, which COMPARE_ONLY models allow.
    ///
    /// # Errors
    /// There is no such model, or it is COMPARE_ONLY and has no fixed batch.
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
/// Violations at `inline` for every mismatch with the spec; a full queue.
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
