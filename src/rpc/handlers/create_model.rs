//! CreateModel: converts a request into a new model.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::new_model::{NewModel, Source};
use crate::host::parts::batch::BatchParts;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::nn::digest::update_in_blocks;
use crate::nn::{ArchitectureLimits, Pauses};
use crate::rpc::convert::model::{read_access, write_model};
use crate::rpc::convert::shared_fields::{id, random_id, request_id, session_name};
use crate::rpc::convert::target::{read_batch, read_parameters};
use crate::rpc::convert::{spec, submitted};
use crate::rpc::pb;
use crate::rpc::roles::{Privilege, check_privilege};
use crate::training::{Access, Fingerprint, ModelName, Placement, SessionName};

/// Answers CreateModel.
///
/// # Errors
/// Invalid fields, parameters that do not fit, a taken id, or a limit.
pub async fn create(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    request: pb::CreateModelRequest,
) -> Result<Response<pb::CreateModelResponse>, Status> {
    let new = read(request, host, caller).await?;
    let created = host.create_model(caller, new);
    let state = caller.deadline.limit(created).await?;
    Ok(Response::new(pb::CreateModelResponse {
        model: Some(write_model(&state, &host.grading.veil)),
    }))
}

async fn read(
    mut request: pb::CreateModelRequest,
    host: &Host,
    caller: &Caller,
) -> Result<NewModel, Status> {
    let mut violations = Violations::new();
    // Take the id out first: the fingerprint covers everything else in the request. It is computed only if there is an
    // id.
    let id_of_request = std::mem::take(&mut request.request_id);
    let mut known = [0; 32];
    if !id_of_request.is_empty() {
        let bytes = request.encoded_len() as u64;
        let work = |turns| async move {
            let known = fingerprint(&request, &turns).await;
            (known, request)
        };
        ((known, request), _) = host.compute_in_blocks(caller, bytes, work).await?;
    }
    let new_session = request.session.is_empty();
    let session = if new_session {
        Some(SessionName(random_id()?))
    } else {
        session_name(&request.session, "session", &mut violations)
    };
    let model = match host.id_of_request(session.as_ref(), &request.model_id, &id_of_request) {
        Some(id) => Some(id),
        None => id(&request.model_id, "model_id", &mut violations)?,
    };
    let request_id = request_id(id_of_request, || known, &mut violations);
    // A repeated request is answered even if the limits have been lowered since.
    let is_made = match (&session, &request_id) {
        (Some(session), Some(request)) => {
            let owner = caller.owner();
            let registry = host.registry();
            registry.room_for_session(session, owner.as_ref()).is_ok()
                && registry.has_made(session, request)
        }
        _ => false,
    };
    let limits = if is_made {
        ArchitectureLimits::LARGEST
    } else {
        host.limits
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
    let (((session, model), spec), source) = violations.into_result(all).map_err(Refused::from)?;
    if access == Access::CompareOnly {
        check_privilege(caller, Privilege::CompareOnly)?;
    }
    let name = ModelName { session, model };
    caller.note(|| Resource::Model(name.clone()));
    if !new_session {
        host.admit(caller, &name.session).await?;
    }
    let placement = Placement {
        name,
        new_session,
        bytes: spec.state_bytes(),
        request: request_id,
        owner: caller.owner(),
    };
    caller.note_model(&placement.name);
    Ok(NewModel {
        placement,
        spec,
        source,
        access,
        compare,
        validate_only: request.validate_only,
    })
}

/// Reads the batch that a COMPARE_ONLY model is compared on.
fn read_compare(terms: pb::CompareTerms, violations: &mut Violations) -> Option<(BatchParts, f64)> {
    let mut faults = Violations::new();
    let batch = read_batch(terms.inputs, terms.targets, terms.labels, &mut faults);
    let tolerance = submitted::tolerance(0, terms.relative_tolerance, &mut faults);
    violations.extend_at("compare", faults);
    Some((batch?, tolerance?.relative))
}

/// A fingerprint of a CreateModel request without its id. It encodes the message, which is cheap enough: a model is
/// created once and requests are seldom large.
async fn fingerprint(request: &pb::CreateModelRequest, pauses: &impl Pauses) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"CreateModel 1");
    let bytes = request.encode_to_vec();
    update_in_blocks(&mut hasher, &bytes, pauses).await;
    hasher.finalize().into()
}
