//! CreateModel: builds a model in its session from a seed or from given parameters, and persists it.

use std::sync::Arc;

use super::any_model::{AnyModel, ModelScalar};
use super::handle::ModelEntry;
use super::lifecycle::ModelState;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::parts::batch::BatchParts;
use crate::host::parts::parameters::{ParameterParts, flatten_in_blocks, parameter_bytes};
use crate::host::refused::Refused;
use crate::nn::{Dtype, Pauses, initialize_in_blocks};
use crate::training::{
    Access, CompareTerms, Model, ModelName, Now, Placement, RegistryError, Spec, batch_digest,
};

/// Floating-point operations equivalent to drawing one initial weight, roughly.
const FLOPS_PER_DRAW: u64 = 50;

/// A request to create a model.
pub struct NewModel {
    /// The session and the id.
    pub placement: Placement,
    /// The architecture and hyperparameters.
    pub spec: Spec,
    /// The source of the parameters.
    pub source: Source,
    /// The requested access; the session or the server may restrict it.
    pub access: Access,
    /// The fixed batch and relative tolerance of comparisons, for a COMPARE_ONLY model.
    pub compare: Option<(BatchParts, f64)>,
    /// Whether to only validate the request.
    pub validate_only: bool,
}

/// The source of a new model's parameters.
pub enum Source {
    /// Random parameters from a generator with this seed.
    Seed(i64),
    /// Parameters in the request.
    Parameters(ParameterParts),
}

impl Host {
    /// Creates a model, unless the same request created it before.
    ///
    /// # Errors
    /// Parameters that do not fit, a taken id, an exhausted quota, a failed disk write.
    pub async fn create_model(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        mut new: NewModel,
    ) -> Result<ModelState, Refused> {
        self.sync_placement(&new.placement).await?;
        let now = self.now();
        let made = self.registry().check(&new.placement, now);
        if matches!(&made, Ok(Some(_)) | Err(RegistryError::Reused(_)))
            && self.access_in(&new.placement, new.access, now)? == Access::CompareOnly
        {
            // Whether a repeated request matches reveals the model's seed, so it counts as a try.
            self.count_compare_try(&new.placement.name.session).await?;
        }
        if let Some(made) = made? {
            let made = self.look_up(&made).await?;
            let made = self.keep_found(made).await?;
            return self.describe_one(caller, made).await;
        }
        new.access = self.access_in(&new.placement, new.access, now)?;
        let placement = new.placement.clone();
        let validate_only = new.validate_only;
        let compared = new.compare.as_ref().map_or(0, |(batch, _)| batch.entries());
        let flops = FLOPS_PER_DRAW * (new.spec.architecture.parameter_count() as u64 + compared);
        let remembered = self.config.request_ids_per_model;
        let max_rows = self.config.max_batch_rows;
        caller.hold(new.bytes())?;
        let build = |turns| async move {
            let name = new.placement.name.clone();
            let entry = new.build(name, remembered, max_rows, now, &turns).await?;
            Ok::<_, Violations>(Arc::new(entry))
        };
        let entry = self.compute_in_blocks(caller, flops, build).await?.0?;
        let entry = if validate_only {
            entry
        } else {
            self.keep_model(caller, placement, entry, now).await?
        };
        self.describe_one(caller, entry).await
    }

    /// The access to a new model: the requested one, unless its session or the server restricts it.
    ///
    /// # Errors
    /// No such session.
    pub fn access_in(
        &self,
        placement: &Placement,
        asked: Access,
        now: Now,
    ) -> Result<Access, Refused> {
        let session = if placement.new_session {
            Access::Full
        } else {
            self.registry()
                .session(&placement.name.session, now)?
                .access
        };
        if session == Access::CompareOnly || self.config.compare_only {
            Ok(Access::CompareOnly)
        } else {
            Ok(asked)
        }
    }
}

impl NewModel {
    /// The memory to create the model, in bytes: its numbers, their source, and its file.
    fn bytes(&self) -> usize {
        let made = match &self.source {
            Source::Seed(_) => self.spec.state_bytes(),
            Source::Parameters(parts) => parameter_bytes(&self.spec, parts),
        };
        let written = if self.validate_only {
            0
        } else {
            self.spec.state_bytes()
        };
        made.saturating_add(written)
    }

    /// Builds the model and computes its digest.
    async fn build(
        mut self,
        name: ModelName,
        remembered: usize,
        max_rows: usize,
        now: Now,
        pauses: &impl Pauses,
    ) -> Result<ModelEntry, Violations> {
        async fn typed<T: ModelScalar>(
            new: NewModel,
            remembered: usize,
            pauses: &impl Pauses,
        ) -> Result<AnyModel, Violations> {
            let spec = new.spec;
            let parameters = match new.source {
                Source::Seed(seed) => {
                    initialize_in_blocks::<T>(&spec.architecture, seed, pauses).await
                }
                Source::Parameters(parts) => flatten_in_blocks::<T>(&spec, parts, pauses).await?,
            };
            let model = Model::new(spec, parameters, remembered);
            model
                .committed()
                .digest_in_blocks(model.spec(), pauses)
                .await;
            Ok(T::any(Arc::new(model)))
        }
        let (access, made_by) = (self.access, self.placement.request.clone());
        let mut violations = Violations::new();
        let compare = self.compare.take().and_then(|(batch, tolerance)| {
            let batch = violations.take_at("compare", batch.typed::<f64>(&self.spec, max_rows))?;
            Some(CompareTerms {
                batch: batch_digest(&batch),
                relative_tolerance: tolerance,
            })
        });
        violations.into_result(Some(()))?;
        let model = match self.spec.dtype {
            Dtype::Float32 => typed::<f32>(self, remembered, pauses).await?,
            Dtype::Float64 => typed::<f64>(self, remembered, pauses).await?,
        };
        Ok(ModelEntry::new(name, model, access, made_by, now.date).with_compare(compare))
    }
}
