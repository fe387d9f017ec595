//! Every error that a caller sees: one code, one reason, and the google.rpc details that fit it.
//!
//! | situation | code | reason |
//! |---|---|---|
//! | a request that cannot be meant | `INVALID_ARGUMENT` | `INVALID_REQUEST`, `REQUEST_ID_REUSED`, `MALFORMED_MESSAGE` |
//! | no such model or session | `NOT_FOUND` | `NOT_FOUND` |
//! | a taken id | `ALREADY_EXISTS` | `ALREADY_EXISTS` |
//! | weights that would not be finite; a COMPARE_ONLY model without a batch | `FAILED_PRECONDITION` | `DIVERGED`, `COMPARE_ONLY` |
//! | a model above a limit that was lowered | `FAILED_PRECONDITION` | `OVER_LIMIT` |
//! | what an instructor has closed | `PERMISSION_DENIED` | `COMPARE_ONLY`, `REVEAL_LIMIT`, `LISTING_DISABLED` |
//! | another step than expected | `ABORTED` | `STEP_MISMATCH` |
//! | a limit | `RESOURCE_EXHAUSTED` | `QUOTA`, `QUEUE_FULL`, `MESSAGE_TOO_LARGE`, `REPLY_TOO_LARGE`, `WORKSPACE_TOO_LARGE`, `SLOW_READER`, `RUN_TIME`, `DISK_FULL` |
//! | the caller's time is up, the caller is gone, the server stops | `DEADLINE_EXCEEDED`, `CANCELLED`, `UNAVAILABLE` | `DEADLINE`, `CANCELLED`, `SHUTDOWN` |
//! | the disk fails, a snapshot is damaged | `UNAVAILABLE`, `DATA_LOSS` | `NOT_STORED`, `NOT_READ`, `DATA_LOSS` |
//! | a bug | `INTERNAL` | `INTERNAL` |

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, QuotaViolation, StatusExt as _};

use crate::nn::Violations;
use crate::training::{
    BeginError, Divergence, LARGEST_STEP, ModelName, Quota, RegistryError, RequestIdReused,
};

/// Who says so, in `ErrorInfo.domain`.
pub const DOMAIN: &str = "backpropd";

/// Longer messages break some clients, which limit the header list that a status travels in.
const LONGEST_MESSAGE: usize = 900;

/// As above, for the violations of a `BadRequest`, before base64.
const LARGEST_DETAILS: usize = 2_600;

/// When a caller that met a full queue or a stopping server should try again.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// A status with a reason, and details to add to.
pub struct Refusal {
    code: Code,
    message: String,
    details: ErrorDetails,
}

impl Refusal {
    /// A refusal with `ErrorInfo { reason, domain }`.
    pub fn new(code: Code, reason: &str, message: impl Into<String>) -> Self {
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        Self {
            code,
            message: message.into(),
            details,
        }
    }

    /// Adds a fact to `ErrorInfo.metadata`.
    pub fn fact(mut self, key: &str, value: impl ToString) -> Self {
        if let Some(mut info) = self.details.error_info().cloned() {
            info.metadata.insert(key.to_owned(), value.to_string());
            self.details
                .set_error_info(info.reason, info.domain, info.metadata);
        }
        self
    }

    /// Adds `RetryInfo`.
    pub fn retry(mut self) -> Self {
        self.details.set_retry_info(Some(RETRY_SOON));
        self
    }

    /// Adds `ResourceInfo`.
    pub fn resource(mut self, kind: &str, name: &str, message: &str) -> Self {
        self.details.set_resource_info(kind, name, "", message);
        self
    }

    /// Adds `QuotaFailure`.
    fn quota(mut self, subject: &str, description: &str) -> Self {
        self.details
            .set_quota_failure(vec![QuotaViolation::new(subject, description)]);
        self
    }

    /// The status.
    pub fn status(self) -> Status {
        let mut message = self.message;
        if message.len() > LONGEST_MESSAGE {
            let cut = (0..=LONGEST_MESSAGE)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        Status::with_error_details(self.code, message, self.details)
    }
}

/// Every violation as a `BadRequest`, and the message names them too.
impl From<Violations> for Status {
    fn from(violations: Violations) -> Self {
        let count = violations.len();
        let plural = if count == 1 { "field is" } else { "fields are" };
        let message = format!("{count} {plural} invalid: {violations}");
        let mut refusal = Refusal::new(Code::InvalidArgument, "INVALID_REQUEST", message);
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
}

impl From<RequestIdReused> for Status {
    fn from(error: RequestIdReused) -> Self {
        let message = format!(
            "{error}. A request_id stands for one request: repeat that one unchanged, or choose a new id"
        );
        let mut refusal = Refusal::new(Code::InvalidArgument, "REQUEST_ID_REUSED", message);
        refusal.details.set_bad_request(vec![FieldViolation::new(
            "request_id",
            format!(
                "given {:?}, which belongs to another request; allowed: a new id",
                error.0
            ),
        )]);
        refusal.status()
    }
}

impl From<BeginError> for Status {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Reused(error) => error.into(),
            BeginError::StepMismatch { expected, actual } => {
                let message = format!(
                    "{error}. Somebody else has trained it, or an earlier call of yours went through: read it with \
                     GetModel and decide again"
                );
                Refusal::new(Code::Aborted, "STEP_MISMATCH", message)
                    .fact("expected", expected)
                    .fact("actual", actual)
                    .status()
            }
        }
    }
}

impl From<RegistryError> for Status {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::NoSession(name) => not_found("session", &name.to_string(), &message),
            RegistryError::SessionDamaged { .. } => session_damaged(&message),
            RegistryError::NoModel(name) => not_found("model", &name.to_string(), &message),
            RegistryError::SessionTaken(name) => taken("session", &name.to_string(), &message),
            RegistryError::ModelTaken(name) => taken("model", &name.to_string(), &message),
            RegistryError::Quota { quota, limit } => over_quota(quota, limit),
            RegistryError::Reused(error) => error.into(),
        }
    }
}

fn not_found(kind: &str, name: &str, message: &str) -> Status {
    let mut refusal = Refusal::new(Code::NotFound, "NOT_FOUND", message);
    refusal.details.set_resource_info(kind, name, "", message);
    refusal.status()
}

fn taken(kind: &str, name: &str, message: &str) -> Status {
    let message = format!("{message}: choose another id, or delete it first");
    let mut refusal = Refusal::new(Code::AlreadyExists, "ALREADY_EXISTS", &message);
    refusal.details.set_resource_info(kind, name, "", &message);
    refusal.status()
}

/// A session whose record is damaged.
fn session_damaged(message: &str) -> Status {
    let message = format!(
        "{message}. Its models are on disk, and those that were made for every use can be exported (ExportModel); \
         DeleteSession removes it, so that the name is free again"
    );
    Refusal::new(Code::DataLoss, "DATA_LOSS", message).status()
}

fn over_quota(quota: Quota, limit: usize) -> Status {
    let (setting, way_out) = match quota {
        Quota::Sessions => (
            "max_sessions",
            "delete sessions that are done, or wait for idle ones to expire",
        ),
        Quota::Models => ("max_models", "delete models or sessions that are done"),
        Quota::ModelsPerSession => (
            "max_models_per_session",
            "delete models of this session, or use another one",
        ),
        Quota::BytesPerSession => (
            "max_session_parameter_bytes",
            "delete models of this session, make a smaller one, or use another session",
        ),
        Quota::CompareTries => (
            "max_compare_tries_per_session",
            "use a session for each student, whose tries are counted apart, or have the limit raised",
        ),
        Quota::SessionsPerAddress => (
            "max_sessions_per_address",
            "delete sessions that are done, or wait for idle ones to expire",
        ),
        Quota::ModelsPerAddress => (
            "max_models_per_address",
            "delete models or sessions that are done",
        ),
        Quota::BytesPerAddress => (
            "max_parameter_bytes_per_address",
            "delete models that are done, or make a smaller one",
        ),
        Quota::Bytes => (
            "max_total_parameter_bytes",
            "delete models that are done, or make a smaller one",
        ),
    };
    limited(
        "QUOTA",
        setting,
        limit as u64,
        &format!("the server allows {limit} ({setting}): {way_out}"),
    )
}

/// A limit that a request would pass, and the way out.
pub fn limited(reason: &str, setting: &str, limit: u64, message: &str) -> Status {
    Refusal::new(Code::ResourceExhausted, reason, message)
        .fact("setting", setting)
        .fact("limit", limit)
        .quota(setting, message)
        .status()
}

/// A queue that is full; trying again later helps.
pub fn queue_full(setting: &str, limit: usize, what: &str) -> Status {
    let message = format!("{what}: {limit} are allowed ({setting}); try again in a second");
    busy(setting, limit as u64, &message)
}

/// A turn that did not come in time; trying again later helps.
pub fn waited_too_long(model: &ModelName, patience: Duration) -> Status {
    let seconds = patience.as_secs();
    let message = format!(
        "{model} was busy with others for {seconds} s (max_wait_seconds), and nothing was done: send the request again \
         later"
    );
    busy("max_wait_seconds", seconds, &message)
}

/// Something that is used up for now; trying again later helps.
pub fn busy(setting: &str, limit: u64, message: &str) -> Status {
    Refusal::new(Code::ResourceExhausted, "QUEUE_FULL", message)
        .fact("setting", setting)
        .fact("limit", limit)
        .quota(setting, message)
        .retry()
        .status()
}

/// A run that would go beyond the largest step.
pub fn too_many_steps(step: u64, planned: u64) -> Status {
    let message = format!(
        "the model is at step {step}, and {planned} steps more go beyond {LARGEST_STEP} (2^53), the largest step: take \
         fewer steps, or create a model with these parameters, which begins at step 0"
    );
    Refusal::new(Code::FailedPrecondition, "STEP_LIMIT", message)
        .fact("step", step)
        .fact("planned_steps", planned)
        .fact("limit", LARGEST_STEP)
        .status()
}

/// A run that met weights that are not finite.
pub fn diverged(divergence: &Divergence) -> Status {
    let message = format!(
        "training diverged: the step after step {} would make weights that are not finite (loss {}, gradient norm \
         {}). The weights of step {} stay. Lower learning_rate, set clip_norm, or scale the inputs",
        divergence.step, divergence.loss, divergence.gradient_norm, divergence.step
    );
    Refusal::new(Code::FailedPrecondition, "DIVERGED", message)
        .fact("steps_done", divergence.steps_done)
        .fact("step", divergence.step)
        .fact("loss", divergence.loss)
        .fact("gradient_norm", divergence.gradient_norm)
        .status()
}

/// Why a call was ended before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller's deadline passed.
    Deadline,
    /// The caller cancelled or disconnected.
    Client,
    /// The server stops.
    Shutdown,
    /// The model was deleted, or its session expired.
    Deleted,
    /// The run took longer than a run may.
    RunTime,
}

/// A call that was ended; with the steps that a run has committed, as (of this request, the model's).
pub fn stopped(stop: Stop, committed: Option<(u64, u64)>) -> Status {
    let (code, reason, what) = match stop {
        Stop::Deadline => (Code::DeadlineExceeded, "DEADLINE", "the deadline passed"),
        Stop::Client => (Code::Cancelled, "CANCELLED", "the caller cancelled"),
        Stop::Shutdown => (Code::Unavailable, "SHUTDOWN", "the server is stopping"),
        Stop::Deleted => (
            Code::NotFound,
            "DELETED",
            "the model was deleted or its session expired",
        ),
        Stop::RunTime => (
            Code::ResourceExhausted,
            "RUN_TIME",
            "the run took longer than one call may (max_run_seconds)",
        ),
    };
    let message = match committed {
        None => format!("{what} before the answer was ready"),
        Some((steps_done, step)) if stop == Stop::Deleted => {
            format!("{what}; {steps_done} steps were committed, up to step {step}")
        }
        Some((steps_done, step)) => format!(
            "{what}; {steps_done} steps are committed, the model is at step {step}. A request that has a \
             request_id goes on from there when it is sent again"
        ),
    };
    let mut refusal = Refusal::new(code, reason, message);
    if let Some((steps_done, step)) = committed {
        refusal = refusal.fact("steps_done", steps_done).fact("step", step);
    }
    match stop {
        Stop::Shutdown => refusal.retry().status(),
        Stop::RunTime => refusal.quota("max_run_seconds", what).retry().status(),
        Stop::Deadline | Stop::Client | Stop::Deleted => refusal.status(),
    }
}

/// A model that is for grading only.
pub fn compare_only() -> Status {
    let message = "this is for grading only (COMPARE_ONLY, or the server's `compare_only`): GradeFormulas and \
                   GradeGradients compare with it; what would show its numbers, train or change it is refused";
    Refusal::new(Code::PermissionDenied, "COMPARE_ONLY", message).status()
}

/// A model that is for grading only, and that no batch was fixed for.
pub fn no_compare_batch() -> Status {
    let message = "this COMPARE_ONLY model was made without a batch to compare on, and a batch of the caller's own would \
                   turn verdicts into a search for its numbers: make it with `compare.inputs` and `compare.targets` in \
                   CreateModel, or start the server with compare_any_batch = true";
    Refusal::new(Code::FailedPrecondition, "COMPARE_ONLY", message).status()
}

/// A bug: a fixed text, the cause is in the log.
pub fn internal() -> Status {
    let request = super::telemetry::call_id();
    let message = format!(
        "backpropd failed at this request; nothing that was acknowledged is lost. Its log tells more under request \
         {request}"
    );
    Refusal::new(Code::Internal, "INTERNAL", message)
        .fact("request", &request)
        .status()
}

/// A request that is no message.
pub fn malformed(what: &str) -> Status {
    let message = format!("the request cannot be read: {what}");
    Refusal::new(Code::InvalidArgument, "MALFORMED_MESSAGE", message).status()
}

/// What tonic itself answers, in the words and codes of this table.
pub fn explain(status: &Status, max_request_bytes: usize) -> Option<Status> {
    // Ours carry details; these come from tonic's own layers.
    if !status.details().is_empty() {
        return None;
    }
    let message = status.message();
    Some(match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => limited(
            "MESSAGE_TOO_LARGE",
            "max_request_bytes",
            max_request_bytes as u64,
            &format!(
                "the request is larger than the server takes ({message}): send raw FLOAT32 tensors, or fewer rows \
                 at a time"
            ),
        ),
        Code::Internal | Code::Unknown => malformed(message),
        Code::Unimplemented => Refusal::new(
            Code::Unimplemented,
            "UNKNOWN_METHOD",
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
            Refusal::new(code, &format!("{code:?}").to_uppercase(), message).status()
        }
    })
}
