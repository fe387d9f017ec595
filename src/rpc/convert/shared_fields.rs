//! Fields that many requests share: names, ids, request ids, pages, limits on the reply.

use std::time::{Duration, SystemTime};

use tonic::Status;

use crate::fault::Violations;
use crate::host::refused::Refused;
use crate::status::{Reason, Refusal};
use crate::training::names::ID_PATTERN;
use crate::training::request_log::LONGEST_REQUEST_ID;
use crate::training::{Fingerprint, Id, ModelName, RequestId, SessionName};

/// The default limit of gRPC clients on a message, in bytes.
pub const DEFAULT_REPLY_BYTES: usize = 4 << 20;

/// Reserve for a reply besides its tensors' entries, in bytes: shapes, names, digest, timings. Enough for every
/// quantity of 64 layers.
const REPLY_OVERHEAD: usize = 64 << 10;

/// The largest page, which is also the default.
const LARGEST_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 100;

/// Reads "sessions/{session}/models/{model}".
pub fn model_name(text: &str, field: &str, violations: &mut Violations) -> Option<ModelName> {
    let name = ModelName::parse(text);
    if name.is_none() {
        violations.add(field, format!("{text:?}"), ModelName::PATTERN);
    }
    name
}

/// Reads "sessions/{session}".
pub fn session_name(text: &str, field: &str, violations: &mut Violations) -> Option<SessionName> {
    let name = SessionName::parse(text);
    if name.is_none() {
        violations.add(field, format!("{text:?}"), SessionName::PATTERN);
    }
    name
}

/// Reads an id that the client chose, or draws one.
///
/// # Errors
/// The system's random number generator failed.
pub fn id(text: &str, field: &str, violations: &mut Violations) -> Result<Option<Id>, Status> {
    if text.is_empty() {
        return random_id().map(Some);
    }
    let id = Id::parse(text);
    if id.is_none() {
        violations.add(
            field,
            format!("{text:?}"),
            format!("{ID_PATTERN}, or empty for an id of the server's"),
        );
    }
    Ok(id)
}

/// Draws an id of 128 random bits.
///
/// # Errors
/// The system's random number generator failed.
pub fn random_id() -> Result<Id, Status> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| {
        tracing::error!(%error, "no random bits");
        Refused::Bug
    })?;
    Ok(Id::from_random(u128::from_le_bytes(bits)))
}

/// Reads a request id; empty means none. The fingerprint is computed only if there is an id.
pub fn request_id(
    id: String,
    fingerprint: impl FnOnce() -> Fingerprint,
    violations: &mut Violations,
) -> Option<RequestId> {
    if id.is_empty() {
        return None;
    }
    if id.len() > LONGEST_REQUEST_ID {
        violations.add(
            "request_id",
            format!("{} bytes", id.len()),
            format!("at most {LONGEST_REQUEST_ID} bytes"),
        );
        return None;
    }
    Some(RequestId {
        fingerprint: fingerprint(),
        id,
    })
}

/// Reads a count; 0 means the default.
pub fn count(given: i32, field: &str, default: usize, violations: &mut Violations) -> usize {
    match usize::try_from(given) {
        Ok(0) => default,
        Ok(count) => count,
        Err(_) => {
            let meaning = match default {
                usize::MAX => "all".to_owned(),
                default => default.to_string(),
            };
            violations.add(field, given, format!("0 or more; 0 means {meaning}"));
            default
        }
    }
}

/// Reads the limit on the reply, in bytes.
pub fn reply_limit(given: i32, most: usize, violations: &mut Violations) -> usize {
    let limit = count(given, "max_reply_bytes", DEFAULT_REPLY_BYTES, violations);
    if limit > most && given != 0 {
        violations.add(
            "max_reply_bytes",
            given,
            format!("at most {most}, the server's own max_reply_bytes"),
        );
    }
    limit.min(most)
}

/// Refuses a reply of about `bytes` that exceeds `limit`.
///
/// # Errors
/// The reply is too large.
pub fn check_reply(bytes: usize, limit: usize, way_out: &str) -> Result<(), Status> {
    let bytes = bytes.saturating_add(REPLY_OVERHEAD.min(limit / 8));
    if bytes <= limit {
        return Ok(());
    }
    let message = format!(
        "the reply would take about {bytes} bytes, {limit} are allowed: {way_out}, or raise max_reply_bytes together \
         with your client's own limit on messages (4 MiB unless told otherwise)"
    );
    Err(Refusal::new(Reason::ReplyTooLarge, message)
        .fact("bytes", bytes)
        .fact("limit", limit)
        .status())
}

/// Reads a page's size.
pub fn page_size(given: i32, violations: &mut Violations) -> usize {
    let size = count(given, "page_size", DEFAULT_PAGE, violations);
    if size > LARGEST_PAGE {
        violations.add("page_size", given, format!("at most {LARGEST_PAGE}"));
    }
    size.min(LARGEST_PAGE)
}

/// Reads a page token, which is the last id of the previous page.
pub fn page_token(text: &str, violations: &mut Violations) -> Option<Id> {
    if text.is_empty() {
        return None;
    }
    let id = Id::parse(text);
    if id.is_none() {
        violations.add(
            "page_token",
            format!("{text:?}"),
            "next_page_token of the previous page, unchanged",
        );
    }
    id
}

/// A time on the wire.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

/// A duration on the wire.
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // Below 10⁹, an invariant of `Duration`.
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}
