//! The registry of reasons that an error carries in `google.rpc.ErrorInfo`. The documentation is generated from it.

use std::time::Duration;

use tonic::Code;

/// The retry delay for a full queue or a server that is shutting down.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// The retry delay for a model that another node has changed: the next look at the store finds the change.
const RETRY_MOVED: Duration = Duration::from_millis(50);

/// Whether sending the same request again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: change the request or its subject first.
    No,
    /// Yes, later. Errors that know when carry `RetryInfo`.
    Later,
}

/// An entry of the registry.
struct Entry {
    name: &'static str,
    code: Code,
    retry: Retry,
    meaning: &'static str,
}

macro_rules! reasons {
    ($($reason:ident: $name:literal, $code:ident, $retry:ident, $meaning:literal;)*) => {
        /// Why a call failed, for clients to tell errors apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $meaning] $reason,)*
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$reason => Entry {
                        name: $name,
                        code: Code::$code,
                        retry: Retry::$retry,
                        meaning: $meaning,
                    },)*
                }
            }
        }
    };
}

reasons! {
    InvalidRequest: "INVALID_REQUEST", InvalidArgument, No,
        "Fields are invalid; `BadRequest` lists each with what was given and what is allowed.";
    RequestIdReused: "REQUEST_ID_REUSED", InvalidArgument, No,
        "The `request_id` belongs to another request.";
    MalformedMessage: "MALFORMED_MESSAGE", InvalidArgument, No,
        "The bytes are not a message of this method.";
    NotFound: "NOT_FOUND", NotFound, No,
        "No session, model, run, dataset or assignment has this name.";
    Deleted: "DELETED", NotFound, No,
        "The model was deleted, or its session expired, during the call.";
    AlreadyExists: "ALREADY_EXISTS", AlreadyExists, No,
        "The id is taken.";
    TokenMissing: "TOKEN_MISSING", Unauthenticated, No,
        "The server needs an identity, and the call has no `authorization: Bearer TOKEN` and no certificate.";
    TokenInvalid: "TOKEN_INVALID", Unauthenticated, No,
        "The token does not verify, lacks a claim, is for another audience, or is not valid yet; the message says which.";
    TokenExpired: "TOKEN_EXPIRED", Unauthenticated, No,
        "The token, or the certificate of the client, was genuine and its time is over.";
    TokenRevoked: "TOKEN_REVOKED", Unauthenticated, No,
        "The person or the token is on the server's list of the revoked.";
    LoginLimit: "LOGIN_LIMIT", ResourceExhausted, Later,
        "Too many invalid tokens came from this address; a valid one is always accepted.";
    RoleNotAllowed: "ROLE_NOT_ALLOWED", PermissionDenied, No,
        "The caller's role may not do this; the metadata `needed` has the roles that may.";
    NotYours: "NOT_YOURS", PermissionDenied, No,
        "The session is another person's, or does not exist: the two are not told apart.";
    DatasetDeleted: "DATASET_DELETED", FailedPrecondition, No,
        "The dataset of a run was deleted during the run; its committed steps stay.";
    DatasetUnreadable: "DATASET_UNREADABLE", FailedPrecondition, No,
        "The file of a dataset cannot be read, or it changed during the call; the message says why.";
    SharedDataset: "SHARED_DATASET", PermissionDenied, No,
        "The dataset is a file of the server, which clients can read but not change.";
    StepMismatch: "STEP_MISMATCH", Aborted, No,
        "The model is not at `expected_step`: read it with GetModel and decide again.";
    Stopped: "STOPPED", Aborted, No,
        "StopTraining stopped the run; its committed steps stay, and the same `request_id` continues from there.";
    Diverged: "DIVERGED", FailedPrecondition, No,
        "The next weights would not be finite; the model keeps the last ones.";
    StepLimit: "STEP_LIMIT", FailedPrecondition, No,
        "The run would exceed step 2^53.";
    OverLimit: "OVER_LIMIT", FailedPrecondition, No,
        "The model is above a limit that was lowered after it was created: it can still be read and exported, but not changed.";
    CompareBatchMissing: "COMPARE_ONLY", FailedPrecondition, No,
        "The COMPARE_ONLY model was created without a batch to compare on.";
    CompareOnly: "COMPARE_ONLY", PermissionDenied, No,
        "The model is for grading only.";
    RevealLimit: "REVEAL_LIMIT", PermissionDenied, No,
        "The server's `reveal_limit` is below the `reveal` that was asked for.";
    ListingDisabled: "LISTING_DISABLED", PermissionDenied, No,
        "The server does not list sessions (`list_sessions`).";
    ForeignHost: "FOREIGN_HOST", PermissionDenied, No,
        "The request is for a host name that is none of this server's (`hosts`); only HTTP/1.1, JSON, gRPC-Web and pages are checked.";
    ForeignOrigin: "FOREIGN_ORIGIN", PermissionDenied, No,
        "The request comes from a page of another site (`hosts`).";
    Quota: "QUOTA", ResourceExhausted, No,
        "The request passes a limit of the server; `QuotaFailure` names the setting.";
    MessageTooLarge: "MESSAGE_TOO_LARGE", ResourceExhausted, No,
        "The request is larger than `max_request_bytes`.";
    ReplyTooLarge: "REPLY_TOO_LARGE", ResourceExhausted, No,
        "The reply would be larger than `max_reply_bytes`.";
    WorkspaceTooLarge: "WORKSPACE_TOO_LARGE", ResourceExhausted, No,
        "The intermediate quantities would take more than `max_workspace_bytes`.";
    TooMuchToGrade: "TOO_MUCH_TO_GRADE", ResourceExhausted, No,
        "Grading would take more than `max_graded_flops` operations.";
    SlowReader: "SLOW_READER", ResourceExhausted, No,
        "A stream was read too slowly, and its buffer is full.";
    QueueFull: "QUEUE_FULL", ResourceExhausted, Later,
        "A queue, the memory for calls or the number of connections is used up for now; `QuotaFailure` names the setting.";
    RunTime: "RUN_TIME", ResourceExhausted, Later,
        "The run took longer than `max_run_seconds`; its committed steps stay, and the same `request_id` continues from there.";
    DiskFull: "DISK_FULL", ResourceExhausted, Later,
        "The disk is full: the change was rolled back.";
    NotStored: "NOT_STORED", Unavailable, Later,
        "The disk failed: the change was rolled back.";
    NotRead: "NOT_READ", Unavailable, Later,
        "The disk failed: the model cannot be read now.";
    Shutdown: "SHUTDOWN", Unavailable, Later,
        "The server is stopping.";
    Moved: "MOVED", Unavailable, Later,
        "Another node of the cluster has changed the model: what this node computed was dropped, and a repeat goes on from the last commit.";
    StoreUnreachable: "STORE_UNREACHABLE", Unavailable, Later,
        "The store that the nodes share cannot be reached. A change may be in it or not: a repeat with the same `request_id` takes effect once.";
    Deadline: "DEADLINE", DeadlineExceeded, No,
        "The caller's deadline passed, or its request arrived too slowly.";
    Cancelled: "CANCELLED", Cancelled, No,
        "The caller cancelled or disconnected.";
    DataLoss: "DATA_LOSS", DataLoss, No,
        "An acknowledged change cannot be read from disk; the message says what is left.";
    UnknownMethod: "UNKNOWN_METHOD", Unimplemented, No,
        "The method does not exist, or the request is compressed in an unknown way.";
    Internal: "INTERNAL", Internal, No,
        "A bug. The server's log has the cause, under the request's number.";
}

impl Reason {
    /// When the same request may be sent again; `None` if that cannot help.
    pub(super) fn retry_after(self) -> Option<Duration> {
        match (self, self.retry()) {
            (_, Retry::No) => None,
            (Self::Moved, Retry::Later) => Some(RETRY_MOVED),
            (_, Retry::Later) => Some(RETRY_SOON),
        }
    }

    /// The spelling in `ErrorInfo.reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The gRPC code of the error.
    #[must_use]
    pub fn code(self) -> Code {
        self.entry().code
    }

    /// Whether sending the same request again can help.
    #[must_use]
    pub fn retry(self) -> Retry {
        self.entry().retry
    }

    /// The meaning, in a sentence of Markdown.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }
}

/// The registry as a Markdown table, for the documentation.
#[must_use]
pub fn table() -> String {
    let mut table = String::from("| reason | code | retry | meaning |\n|---|---|---|---|\n");
    for reason in Reason::ALL {
        let code = screaming(&format!("{:?}", reason.code()));
        let retry = match reason.retry() {
            Retry::No => "no",
            Retry::Later => "later",
        };
        let (name, meaning) = (reason.name(), reason.meaning());
        table += &format!("| `{name}` | `{code}` | {retry} | {meaning} |\n");
    }
    table
}

/// Converts "NotFound" to gRPC's spelling, "NOT_FOUND".
fn screaming(camel: &str) -> String {
    let mut spelled = String::new();
    for (at, letter) in camel.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            spelled.push('_');
        }
        spelled.push(letter.to_ascii_uppercase());
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_entries_have_the_same_reason_and_code() {
        for (at, one) in Reason::ALL.iter().enumerate() {
            for other in &Reason::ALL[at + 1..] {
                assert!(
                    (one.name(), one.code()) != (other.name(), other.code()),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn the_client_sends_again_what_the_table_marks() {
        for &reason in Reason::ALL {
            let status = crate::status::Refusal::new(reason, "refused").status();
            let is_marked = reason.retry() == Retry::Later;
            assert_eq!(
                backpropd_client::is_retryable(&status),
                is_marked,
                "{reason:?}"
            );
        }
    }

    #[test]
    fn codes_are_spelled_as_grpc_spells_them() {
        assert_eq!(screaming("NotFound"), "NOT_FOUND");
        assert_eq!(screaming("Internal"), "INTERNAL");
    }
}
