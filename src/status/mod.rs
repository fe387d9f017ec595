//! Refusals as clients see them: a code, a reason, and the matching google.rpc details.

mod identity;
mod reason;
mod refusal;

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

pub use self::identity::{rejected, too_many_failed_logins};
pub use self::reason::{Reason, Retry, table};
pub use self::refusal::{DOMAIN, Refusal};
use crate::fault::Violations;
use crate::host::limits::memory::OutOfMemory;
use crate::host::refused::{LimitKind, NotStored, Refused, Stop};
use crate::training::{
    BeginError, Divergence, LARGEST_STEP, Limit, ModelName, OverLimit, Quota, RegistryError,
    RequestIdReused,
};

/// The most bytes of the violations of a `BadRequest`, before base64.
const LARGEST_DETAILS: usize = 2_600;

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(violations) => invalid(&violations),
            Refused::Begin(error) => not_begun(error),
            Refused::Registry(error) => not_in_the_registry(error),
            Refused::Busy {
                setting,
                limit,
                message,
            } => busy(setting, limit, &message),
            Refused::Limit {
                kind,
                setting,
                limit,
                message,
            } => {
                let reason = match kind {
                    LimitKind::Quota => Reason::Quota,
                    LimitKind::Workspace => Reason::WorkspaceTooLarge,
                    LimitKind::Grading => Reason::TooMuchToGrade,
                };
                limited(reason, setting, limit, &message)
            }
            Refused::OverLimit(name, over) => over_limit(&name, over),
            Refused::TooManySteps { step, planned } => too_many_steps(step, planned),
            Refused::Stopped(stop) => stopped(stop, None),
            Refused::NoRun(model, id) => {
                let name = format!("{model}/runs/{id}");
                let message = format!(
                    "there is no {name}: a model remembers its latest runs (runs_per_model) until the server stops; \
                     ListRuns lists them"
                );
                not_found("run", &name, &message)
            }
            Refused::RunStopped {
                stop,
                steps_done,
                step,
            } => stopped(stop, Some((steps_done, step))),
            Refused::Diverged(divergence) => diverged(&divergence),
            Refused::StepDiverged(divergence) => step_diverged(&divergence),
            Refused::SlowReader => {
                let message = "the stream was read too slowly and its buffer is full: read faster, or set metrics_every";
                Refusal::new(Reason::SlowReader, message).status()
            }
            Refused::NotStored(why) => not_stored(why),
            Refused::NotRead => {
                let message = "the disk failed: the model cannot be read now; retry later";
                Refusal::new(Reason::NotRead, message).status()
            }
            Refused::Unreachable => {
                let message =
                    "the store that this server shares with others cannot be reached; retry later";
                Refusal::new(Reason::StoreUnreachable, message).status()
            }
            Refused::Lost(message) => Refusal::new(Reason::DataLoss, message).status(),
            Refused::NoDataset(name) => {
                let message = format!("there is no dataset {name}");
                not_found("dataset", &name.to_string(), &message)
            }
            Refused::DatasetTaken(name) => {
                let message = format!("{name} already exists");
                taken("dataset", &name.to_string(), &message)
            }
            Refused::SharedDataset(name) => {
                let message = format!(
                    "{name} is a file of the server, which clients can read but not change: create a dataset in a session"
                );
                Refusal::new(Reason::SharedDataset, message).status()
            }
            Refused::DatasetUnreadable { name, error } => {
                let message = format!("{name} cannot be used: {error}");
                Refusal::new(Reason::DatasetUnreadable, message).status()
            }
            Refused::NotAllowed { role, what, needed } => {
                identity::not_allowed(role, &what, &needed)
            }
            Refused::CompareOnly => compare_only(),
            Refused::NoCompareBatch => no_compare_batch(),
            Refused::Bug => internal(),
        }
    }
}

impl From<OutOfMemory> for Status {
    fn from(error: OutOfMemory) -> Self {
        Refused::from(error).into()
    }
}

/// A change that could not be made durable.
fn not_stored(why: NotStored) -> Status {
    let (reason, what) = match why {
        NotStored::Full => (Reason::DiskFull, "the disk is full"),
        NotStored::InTheWay => (
            Reason::NotStored,
            "a file or folder that the server did not create is in the way (the server's log names it: move it away)",
        ),
        NotStored::Failed => (Reason::NotStored, "the disk failed"),
        NotStored::Moved => {
            let message = "another server of the cluster has changed the model: nothing of this call was stored; send it again";
            return Refusal::new(Reason::Moved, message).status();
        }
        NotStored::Unknown => {
            let message = "the store that this server shares with others did not tell whether it has the change: send the call \
                           again with the same request_id, which takes effect once";
            return Refusal::new(Reason::StoreUnreachable, message).status();
        }
    };
    let message = format!(
        "{what}: the change could not be made durable and was rolled back. Reads still work; retry later"
    );
    Refusal::new(reason, message).status()
}

/// All violations, as a `BadRequest` and in the message.
fn invalid(violations: &Violations) -> Status {
    let count = violations.len();
    let plural = if count == 1 { "field is" } else { "fields are" };
    let message = format!("{count} {plural} invalid: {violations}");
    let mut refusal = Refusal::new(Reason::InvalidRequest, message);
    let mut size = 0;
    let mut shown = Vec::new();
    for violation in violations.iter() {
        size += violation.field.len() + violation.description.len() + 8;
        if size > LARGEST_DETAILS {
            break;
        }
        shown.push(FieldViolation::new(
            violation.field.clone(),
            violation.description.clone(),
        ));
    }
    if shown.len() < count {
        let rest = format!("{} more fields are invalid", count - shown.len());
        shown.push(FieldViolation::new("", rest));
    }
    refusal.details.set_bad_request(shown);
    refusal.status()
}

fn request_id_reused(error: RequestIdReused) -> Status {
    let message = format!(
        "{error}. A request_id identifies one request: repeat that request unchanged, or choose a new id"
    );
    let mut refusal = Refusal::new(Reason::RequestIdReused, message);
    refusal.details.set_bad_request(vec![FieldViolation::new(
        "request_id",
        format!(
            "given {:?}, which belongs to another request; allowed: a new id",
            error.0
        ),
    )]);
    refusal.status()
}

fn not_begun(error: BeginError) -> Status {
    match error {
        BeginError::Reused(error) => request_id_reused(error),
        BeginError::StepMismatch { expected, actual } => {
            let message = format!(
                "{error}. Another client has changed it, or an earlier call of yours succeeded: read it with \
                 GetModel and decide again"
            );
            Refusal::new(Reason::StepMismatch, message)
                .fact("expected", expected)
                .fact("actual", actual)
                .status()
        }
    }
}

fn not_in_the_registry(error: RegistryError) -> Status {
    let message = error.to_string();
    match error {
        RegistryError::NoSession(name) => not_found("session", &name.to_string(), &message),
        RegistryError::SessionDamaged { .. } => session_damaged(&message),
        RegistryError::NotYours(name) => Refusal::new(Reason::NotYours, &message)
            .resource("session", &name.to_string(), &message)
            .status(),
        RegistryError::NoModel(name) => not_found("model", &name.to_string(), &message),
        RegistryError::SessionTaken(name) => taken("session", &name.to_string(), &message),
        RegistryError::ModelTaken(name) => taken("model", &name.to_string(), &message),
        RegistryError::Quota { quota, limit } => over_quota(quota, limit),
        RegistryError::Reused(error) => request_id_reused(error),
    }
}

fn not_found(kind: &str, name: &str, message: &str) -> Status {
    let mut refusal = Refusal::new(Reason::NotFound, message);
    refusal.details.set_resource_info(kind, name, "", message);
    refusal.status()
}

fn taken(kind: &str, name: &str, message: &str) -> Status {
    let message = format!("{message}: choose another id, or delete it first");
    let mut refusal = Refusal::new(Reason::AlreadyExists, &message);
    refusal.details.set_resource_info(kind, name, "", &message);
    refusal.status()
}

/// A session whose record is damaged.
fn session_damaged(message: &str) -> Status {
    let message = format!(
        "{message}. Its models are on disk, and those with full access can be exported (ExportModel); \
         DeleteSession removes it and frees its name"
    );
    Refusal::new(Reason::DataLoss, message).status()
}

fn over_quota(quota: Quota, limit: usize) -> Status {
    let (setting, way_out) = match quota {
        Quota::Sessions => (
            "max_sessions",
            "delete sessions you no longer need, or wait for idle ones to expire",
        ),
        Quota::Models => ("max_models", "delete models or sessions you no longer need"),
        Quota::ModelsPerSession => (
            "max_models_per_session",
            "delete models of this session, or use another one",
        ),
        Quota::BytesPerSession => (
            "max_session_parameter_bytes",
            "delete models of this session, create a smaller one, or use another session",
        ),
        Quota::CompareTries => (
            "max_compare_tries_per_session",
            "use one session per student, since tries are counted per session, or have the limit raised",
        ),
        Quota::SessionsPerAddress => (
            "max_sessions_per_address",
            "delete sessions you no longer need, or wait for idle ones to expire",
        ),
        Quota::ModelsPerAddress => (
            "max_models_per_address",
            "delete models or sessions you no longer need",
        ),
        Quota::BytesPerAddress => (
            "max_parameter_bytes_per_address",
            "delete models you no longer need, or create a smaller one",
        ),
        Quota::Bytes => (
            "max_total_parameter_bytes",
            "delete models you no longer need, or create a smaller one",
        ),
    };
    limited(
        Reason::Quota,
        setting,
        limit as u64,
        &format!("the server allows {limit} ({setting}): {way_out}"),
    )
}

/// A limit that a request would exceed, and the way out.
pub fn limited(reason: Reason, setting: &str, limit: u64, message: &str) -> Status {
    Refusal::new(reason, message)
        .fact("setting", setting)
        .fact("limit", limit)
        .quota(setting, message)
        .status()
}

/// A resource that is used up for now, so that a later retry helps.
fn busy(setting: &str, limit: u64, message: &str) -> Status {
    Refusal::new(Reason::QueueFull, message)
        .fact("setting", setting)
        .fact("limit", limit)
        .quota(setting, message)
        .status()
}

/// A run beyond the largest step.
fn too_many_steps(step: u64, planned: u64) -> Status {
    let message = format!(
        "the model is at step {step}, and {planned} more steps would exceed {LARGEST_STEP} (2^53), the largest step: take \
         fewer steps, or create a model with these parameters, which starts at step 0"
    );
    Refusal::new(Reason::StepLimit, message)
        .fact("step", step)
        .fact("planned_steps", planned)
        .fact("limit", LARGEST_STEP)
        .status()
}

/// A run whose weights became non-finite.
fn diverged(divergence: &Divergence) -> Status {
    let message = format!(
        "training diverged: the step after step {} would make the weights non-finite (loss {}, gradient norm {}). \
         The model keeps the weights of step {}. Lower learning_rate, set clip_norm, or scale the inputs",
        divergence.step, divergence.loss, divergence.gradient_norm, divergence.step
    );
    Refusal::new(Reason::Diverged, message)
        .fact("steps_done", divergence.steps_done)
        .fact("step", divergence.step)
        .fact("loss", divergence.loss)
        .fact("gradient_norm", divergence.gradient_norm)
        .status()
}

/// A step with given gradients that diverged.
fn step_diverged(divergence: &Divergence) -> Status {
    let message = format!(
        "the step was not taken: it would make the weights non-finite (gradient norm {}). The model keeps the weights of \
         step {}. Lower learning_rate or the weights of the sets, or set clip_norm",
        divergence.gradient_norm, divergence.step
    );
    Refusal::new(Reason::Diverged, message)
        .fact("steps_done", divergence.steps_done)
        .fact("step", divergence.step)
        .fact("gradient_norm", divergence.gradient_norm)
        .status()
}

/// A call that was stopped. `committed` holds the steps that a run has committed, as (of this request, of the model).
fn stopped(stop: Stop, committed: Option<(u64, u64)>) -> Status {
    let (reason, what) = match stop {
        Stop::Deadline => (Reason::Deadline, "the deadline passed"),
        Stop::Client => (Reason::Cancelled, "the caller cancelled"),
        Stop::Shutdown => (Reason::Shutdown, "the server is stopping"),
        Stop::Deleted => (
            Reason::Deleted,
            "the model was deleted or its session expired",
        ),
        Stop::Moved => (
            Reason::Moved,
            "another server of the cluster has changed the model",
        ),
        Stop::RunTime => (
            Reason::RunTime,
            "the run exceeded the time limit of one call (max_run_seconds)",
        ),
        Stop::Requested => (Reason::Stopped, "StopTraining stopped the run"),
        Stop::DatasetDeleted => (Reason::DatasetDeleted, "the dataset was deleted"),
        Stop::DatasetUnreadable => (
            Reason::DatasetUnreadable,
            "the file of the dataset has changed or cannot be read (the server's log says more)",
        ),
    };
    let message = match committed {
        None => format!("{what} before the answer was ready"),
        Some((steps_done, step)) if stop == Stop::Deleted => {
            format!("{what}; {steps_done} steps were committed, up to step {step}")
        }
        Some(_) if stop == Stop::Moved => format!(
            "{what}: the steps since the last commit are dropped. A request with a request_id continues from there when \
             resent"
        ),
        Some((steps_done, step)) => format!(
            "{what}; {steps_done} steps are committed, the model is at step {step}. A request with a \
             request_id continues from there when resent"
        ),
    };
    let mut refusal = Refusal::new(reason, message);
    // How many of the steps are stored, this server cannot know of a model that has moved.
    if let Some((steps_done, step)) = committed.filter(|_| stop != Stop::Moved) {
        refusal = refusal.fact("steps_done", steps_done).fact("step", step);
    }
    match stop {
        Stop::RunTime => refusal.quota("max_run_seconds", what).status(),
        Stop::Deadline
        | Stop::Client
        | Stop::Shutdown
        | Stop::Deleted
        | Stop::Moved
        | Stop::Requested
        | Stop::DatasetDeleted
        | Stop::DatasetUnreadable => refusal.status(),
    }
}

/// A change to a model that exceeds a limit lowered after its creation.
fn over_limit(name: &ModelName, over: OverLimit) -> Status {
    let (setting, what) = match over.limit {
        Limit::Layers => ("max_layers", "layers"),
        Limit::Units => ("max_units", "units in a layer or features"),
        Limit::Parameters => ("max_parameters", "parameters"),
        Limit::Quota(quota) => counted_by(quota),
    };
    let way_out = match over.limit {
        Limit::Layers | Limit::Units | Limit::Parameters => {
            "train an export of it elsewhere, or have the limit raised"
        }
        Limit::Quota(_) => "delete models you no longer need, or have the limit raised",
    };
    let OverLimit { found, allowed, .. } = over;
    let message = format!(
        "{name} cannot be trained: there are {found} {what}, the server now allows {allowed} ({setting}). It can still \
         be read, exported and deleted. Way out: {way_out}"
    );
    Refusal::new(Reason::OverLimit, message)
        .fact("setting", setting)
        .fact("limit", allowed)
        .fact("found", found)
        .status()
}

/// A quota's setting, and the noun that it limits.
fn counted_by(quota: Quota) -> (&'static str, &'static str) {
    match quota {
        Quota::Sessions => ("max_sessions", "sessions on the server"),
        Quota::SessionsPerAddress => (
            "max_sessions_per_address",
            "sessions of one address, or of one person",
        ),
        Quota::Models => ("max_models", "models on the server"),
        Quota::ModelsPerSession => ("max_models_per_session", "models in its session"),
        Quota::ModelsPerAddress => (
            "max_models_per_address",
            "models of one address, or of one person",
        ),
        Quota::CompareTries => ("max_compare_tries_per_session", "comparisons"),
        Quota::Bytes => ("max_total_parameter_bytes", "bytes of models on the server"),
        Quota::BytesPerSession => (
            "max_session_parameter_bytes",
            "bytes of models in its session",
        ),
        Quota::BytesPerAddress => (
            "max_parameter_bytes_per_address",
            "bytes of one address, or of one person",
        ),
    }
}

/// A request that a COMPARE_ONLY model refuses.
fn compare_only() -> Status {
    let message = "this is for grading only (COMPARE_ONLY, or the server's `compare_only`): GradeFormulas and \
                   GradeGradients compare with it; requests that show its numbers, train or change it are refused";
    Refusal::new(Reason::CompareOnly, message).status()
}

/// A comparison with a COMPARE_ONLY model that was created without a batch.
fn no_compare_batch() -> Status {
    let message = "this COMPARE_ONLY model was created without a batch to compare on, and verdicts on a batch of the \
                   client's choice would reveal its numbers: create it with `compare.inputs` and `compare.targets` in \
                   CreateModel, or start the server with compare_any_batch = true";
    Refusal::new(Reason::CompareBatchMissing, message).status()
}

/// A bug: the message is fixed, the cause is in the log. [`with_request`] adds the request's number.
pub fn internal() -> Status {
    Refusal::new(
        Reason::Internal,
        "backpropd failed to handle this request; no acknowledged change is lost",
    )
    .status()
}

/// The status of [`internal`] with the number of the request in the log; `None` for every other status.
pub fn with_request(status: &Status, request: u64) -> Option<Status> {
    let is_bug = status.code() == Code::Internal && status.message() == internal().message();
    is_bug.then(|| {
        let message = format!(
            "{}. The server's log has the cause, under request {request}",
            status.message()
        );
        Refusal::new(Reason::Internal, message)
            .fact("request", request)
            .status()
    })
}

/// The name of the reason that a status carries.
pub fn reason_name(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then_some(info.reason)
}

/// A request that cannot be decoded.
pub fn malformed(what: &str) -> Status {
    let message = format!("the request cannot be decoded: {what}");
    Refusal::new(Reason::MalformedMessage, message).status()
}

/// Rewrites tonic's own errors with the codes and reasons of this registry.
pub fn explain(status: &Status, max_request_bytes: usize) -> Option<Status> {
    // The server's own errors carry details; tonic's do not.
    if !status.details().is_empty() {
        return None;
    }
    // tonic's messages on sizes begin so.
    let message = status.message();
    let message = message.strip_prefix("Error, ").unwrap_or(message);
    Some(match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => limited(
            Reason::MessageTooLarge,
            "max_request_bytes",
            max_request_bytes as u64,
            &format!(
                "the request is larger than the server accepts ({message}): send raw FLOAT32 tensors, or fewer rows \
                 at a time"
            ),
        ),
        Code::Internal | Code::Unknown => malformed(message),
        Code::Unimplemented => Refusal::new(
            Reason::UnknownMethod,
            "there is no such method here, or the request is compressed in a way this server does not know: \
             `grpcurl -plaintext HOST:PORT list` lists the services",
        )
        .status(),
        code @ (Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated) => {
            let reason = format!("{code:?}").to_uppercase();
            let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
            Status::with_error_details(code, message, details)
        }
    })
}
