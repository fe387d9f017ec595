//! CreateModel: from a request to a model in its session.

use std::sync::Arc;

use prost::Message as _;
use tonic::Status;

use super::convert::model::{model as write_model, read_access};
use super::convert::request::{id, random_id, request_id, session_name};
use super::convert::spec;
use super::convert::submitted;
use super::convert::target::{
    BatchParts, ParameterParts, flatten_in_blocks, parameter_bytes, read_parameters,
};
use super::deadline::Deadline;
use super::entry::{AnyModel, ModelEntry, ModelScalar};
use super::{Server, pb, telemetry};
use crate::nn::digest::update_in_blocks;
use crate::nn::{ArchitectureLimits, Dtype, Pauses, Violations, initialize_in_blocks};
use crate::training::{
    Access, CompareTerms, Fingerprint, Model, ModelName, Now, Placement, RegistryError,
    SessionName, Spec, batch_digest,
};

/// Floating-point operations that drawing one initial weight is worth, roughly.
const FLOPS_PER_DRAW: u64 = 50;

/// A model to make.
pub struct Creation {
    placement: Placement,
    spec: Spec,
    source: Source,
    access: Access,
    compare: Option<(BatchParts, f64)>,
    validate_only: bool,
}

enum Source {
    Seed(i64),
    Parameters(ParameterParts),
}

impl Creation {
    /// Reads a request.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn read(
        mut request: pb::CreateModelRequest,
        server: &Server,
        deadline: Deadline,
    ) -> Result<Self, Status> {
        let mut violations = Violations::new();
        // Computed before the request is taken apart, and only where it is needed.
        let id_of_request = std::mem::take(&mut request.request_id);
        let mut known = [0; 32];
        if !id_of_request.is_empty() {
            let bytes = request.encoded_len() as u64;
            let work = |turns| async move {
                let known = fingerprint(&request, &turns).await;
                (known, request)
            };
            ((known, request), _) = server.compute_in_blocks(deadline, bytes, work).await?;
        }
        let new_session = request.session.is_empty();
        let session = if new_session {
            Some(SessionName(random_id()?))
        } else {
            session_name(&request.session, "session", &mut violations)
        };
        let model = id(&request.model_id, "model_id", &mut violations)?;
        let request_id = request_id(id_of_request, || known, &mut violations);
        // What was made once is answered again, also where the limits are lower by now.
        let is_made = match (&session, &request_id) {
            (Some(session), Some(request)) => server.registry().has_made(session, request),
            _ => false,
        };
        let limits = if is_made {
            ArchitectureLimits::LARGEST
        } else {
            server.limits
        };
        let spec = violations.take_at("spec", spec::read(request.spec, &limits));
        let most = spec
            .as_ref()
            .map_or(limits.layers, |spec| spec.architecture.depth());
        let source = if request.parameters.is_empty() {
            Some(Source::Seed(request.seed))
        } else {
            read_parameters(request.parameters, most, &mut violations).map(Source::Parameters)
        };
        let access = read_access(request.access, &mut violations);
        let compare = request
            .compare
            .and_then(|terms| read_compare(terms, &mut violations));
        let all = session.zip(model).zip(spec).zip(source);
        let (((session, model), spec), source) = violations.into_result(all)?;
        let placement = Placement {
            name: ModelName { session, model },
            new_session,
            bytes: spec.state_bytes(),
            request: request_id,
            owner: telemetry::owner(),
        };
        telemetry::note_model(&placement.name);
        Ok(Self {
            placement,
            spec,
            source,
            access,
            compare,
            validate_only: request.validate_only,
        })
    }

    /// Makes the model, unless the same request made it before.
    ///
    /// # Errors
    /// Parameters that do not fit, a taken id, no room.
    pub async fn create(
        mut self,
        server: &Arc<Server>,
        deadline: Deadline,
    ) -> Result<pb::Model, Status> {
        let now = server.now();
        let made = server.registry().check(&self.placement, now);
        if matches!(&made, Ok(Some(_)) | Err(RegistryError::Reused(_)))
            && access_in(server, &self.placement, self.access, now)? == Access::CompareOnly
        {
            // Whether a request is the one that made the model tells its seed: that is a guess like any other.
            let session = &self.placement.name.session;
            server.count_compare_try(session).await?;
        }
        if let Some(made) = made? {
            let made = server.find(&made).await?;
            let made = server.keep_found(made).await?;
            return server.describe_one(made).await;
        }
        self.access = access_in(server, &self.placement, self.access, now)?;
        let placement = self.placement.clone();
        let validate_only = self.validate_only;
        let compared = self
            .compare
            .as_ref()
            .map_or(0, |(batch, _)| batch.entries());
        let flops = FLOPS_PER_DRAW * (self.spec.architecture.parameter_count() as u64 + compared);
        let remembered = server.config.request_ids_per_model;
        let max_rows = server.config.max_batch_rows;
        server.hold(self.bytes())?;
        let build = |turns| async move {
            let name = self.placement.name.clone();
            let entry = self.build(name, remembered, max_rows, now, &turns).await?;
            Ok::<_, Violations>(Arc::new(entry))
        };
        let built = server.compute_in_blocks(deadline, flops, build).await?;
        let entry = built.0?;
        if validate_only {
            return Ok(write_model(&entry, &server.grading.veil));
        }
        let entry = server.keep_model(placement, entry, now).await?;
        server.describe_one(entry).await
    }

    /// The bytes that making the model takes: its numbers, what they are made of, and the file that is written of it.
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

    /// The model with its digest.
    async fn build(
        mut self,
        name: ModelName,
        remembered: usize,
        max_rows: usize,
        now: Now,
        pauses: &impl Pauses,
    ) -> Result<ModelEntry, Violations> {
        async fn typed<T: ModelScalar>(
            creation: Creation,
            remembered: usize,
            pauses: &impl Pauses,
        ) -> Result<AnyModel, Violations> {
            let spec = creation.spec;
            let parameters = match creation.source {
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

/// Reads what a COMPARE_ONLY model is to be compared on.
fn read_compare(terms: pb::CompareTerms, violations: &mut Violations) -> Option<(BatchParts, f64)> {
    let mut faults = Violations::new();
    let batch = BatchParts::read(terms.inputs, terms.targets, terms.labels, &mut faults);
    let tolerance = submitted::tolerance(0, terms.relative_tolerance, &mut faults);
    violations.extend_at("compare", faults);
    Some((batch?, tolerance?.relative))
}

/// What may be done with a new model: what was asked for, or less where its session or the server says so.
///
/// # Errors
/// No such session.
pub fn access_in(
    server: &Server,
    placement: &Placement,
    asked: Access,
    now: Now,
) -> Result<Access, Status> {
    let session = if placement.new_session {
        Access::Full
    } else {
        server
            .registry()
            .session(&placement.name.session, now)?
            .access
    };
    if session == Access::CompareOnly || server.config.compare_only {
        Ok(Access::CompareOnly)
    } else {
        Ok(asked)
    }
}

/// Everything a CreateModel request asks for, its id left out. The message is encoded for it: it is made once, and seldom
/// large.
async fn fingerprint(request: &pb::CreateModelRequest, pauses: &impl Pauses) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"CreateModel 1");
    let bytes = request.encode_to_vec();
    update_in_blocks(&mut hasher, &bytes, pauses).await;
    hasher.finalize().into()
}
