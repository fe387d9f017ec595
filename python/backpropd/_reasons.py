"""An exception for each reason of the server."""

# Written by python/tools/errors_table.py from docs/errors.md: do not edit.

from __future__ import annotations

from ._errors import Error, LimitReached, PermissionDenied, Unauthenticated, Unavailable


class InvalidRequest(Error, ValueError):
    """Fields are invalid; `BadRequest` lists each with what was given and what is allowed."""


class RequestIdReused(Error, ValueError):
    """The `request_id` belongs to another request."""


class MalformedMessage(Error, ValueError):
    """The bytes are not a message of this method."""


class NotFound(Error, LookupError):
    """No session, model, run, dataset or assignment has this name."""


class Deleted(Error, LookupError):
    """The model was deleted, or its session expired, during the call."""


class AlreadyExists(Error):
    """The id is taken."""


class TokenMissing(Unauthenticated):
    """The server needs an identity, and the call has no `authorization: Bearer TOKEN` and no certificate."""


class TokenInvalid(Unauthenticated):
    """The token does not verify, lacks a claim, is for another audience, or is not valid yet; the message says which."""


class TokenExpired(Unauthenticated):
    """The token, or the certificate of the client, was genuine and its time is over."""


class TokenRevoked(Unauthenticated):
    """The person or the token is on the server's list of the revoked."""


class LoginLimit(LimitReached):
    """Too many invalid tokens came from this address; a valid one is always accepted."""


class RoleNotAllowed(PermissionDenied):
    """The caller's role may not do this; the metadata `needed` has the roles that may."""


class NotYours(PermissionDenied):
    """The session is another person's, or does not exist: the two are not told apart."""


class DatasetDeleted(Error):
    """The dataset of a run was deleted during the run; its committed steps stay."""


class DatasetUnreadable(Error):
    """The file of a dataset cannot be read, or it changed during the call; the message says why."""


class SharedDataset(PermissionDenied):
    """The dataset is a file of the server, which clients can read but not change."""


class StepMismatch(Error):
    """The model is not at `expected_step`: read it with GetModel and decide again."""


class Stopped(Error):
    """StopTraining stopped the run; its committed steps stay, and the same `request_id` continues from there."""


class Diverged(Error):
    """The next weights would not be finite; the model keeps the last ones."""


class StepLimit(Error):
    """The run would exceed step 2^53."""


class OverLimit(Error):
    """The model is above a limit that was lowered after it was created: it can still be read and exported, but not changed."""


class CompareOnly(PermissionDenied):
    """The COMPARE_ONLY model was created without a batch to compare on. Or: The model is for grading only."""


class RevealLimit(PermissionDenied):
    """The server's `reveal_limit` is below the `reveal` that was asked for."""


class ListingDisabled(PermissionDenied):
    """The server does not list sessions (`list_sessions`)."""


class ForeignHost(PermissionDenied):
    """The request is for a host name that is none of this server's (`hosts`); only HTTP/1.1, JSON, gRPC-Web and pages are checked."""


class ForeignOrigin(PermissionDenied):
    """The request comes from a page of another site (`hosts`)."""


class Quota(LimitReached):
    """The request passes a limit of the server; `QuotaFailure` names the setting."""


class MessageTooLarge(LimitReached):
    """The request is larger than `max_request_bytes`."""


class ReplyTooLarge(LimitReached):
    """The reply would be larger than `max_reply_bytes`."""


class WorkspaceTooLarge(LimitReached):
    """The intermediate quantities would take more than `max_workspace_bytes`."""


class TooMuchToGrade(LimitReached):
    """Grading would take more than `max_graded_flops` operations."""


class SlowReader(LimitReached):
    """A stream was read too slowly, and its buffer is full."""


class QueueFull(LimitReached):
    """A queue, the memory for calls or the number of connections is used up for now; `QuotaFailure` names the setting."""


class RunTime(LimitReached):
    """The run took longer than `max_run_seconds`; its committed steps stay, and the same `request_id` continues from there."""


class DiskFull(LimitReached):
    """The disk is full: the change was rolled back."""


class NotStored(Unavailable):
    """The disk failed: the change was rolled back."""


class NotRead(Unavailable):
    """The disk failed: the model cannot be read now."""


class Shutdown(Unavailable):
    """The server is stopping."""


class Moved(Unavailable):
    """Another node of the cluster has changed the model: what this node computed was dropped, and a repeat goes on from the last commit."""


class StoreUnreachable(Unavailable):
    """The store that the nodes share cannot be reached. A change may be in it or not: a repeat with the same `request_id` takes effect once."""


class Deadline(Error):
    """The caller's deadline passed, or its request arrived too slowly."""


class Cancelled(Error):
    """The caller cancelled or disconnected."""


class DataLoss(Error):
    """An acknowledged change cannot be read from disk; the message says what is left."""


class UnknownMethod(Error):
    """The method does not exist, or the request is compressed in an unknown way."""


class Internal(Error):
    """A bug. The server's log has the cause, under the request's number."""


__all__ = [
    "AlreadyExists",
    "Cancelled",
    "CompareOnly",
    "DataLoss",
    "DatasetDeleted",
    "DatasetUnreadable",
    "Deadline",
    "Deleted",
    "DiskFull",
    "Diverged",
    "ForeignHost",
    "ForeignOrigin",
    "Internal",
    "InvalidRequest",
    "ListingDisabled",
    "LoginLimit",
    "MalformedMessage",
    "MessageTooLarge",
    "Moved",
    "NotFound",
    "NotRead",
    "NotStored",
    "NotYours",
    "OverLimit",
    "QueueFull",
    "Quota",
    "ReplyTooLarge",
    "RequestIdReused",
    "RevealLimit",
    "RoleNotAllowed",
    "RunTime",
    "SharedDataset",
    "Shutdown",
    "SlowReader",
    "StepLimit",
    "StepMismatch",
    "Stopped",
    "StoreUnreachable",
    "TokenExpired",
    "TokenInvalid",
    "TokenMissing",
    "TokenRevoked",
    "TooMuchToGrade",
    "UnknownMethod",
    "WorkspaceTooLarge",
]

REASONS: dict[str, type[Error]] = {
    "INVALID_REQUEST": InvalidRequest,
    "REQUEST_ID_REUSED": RequestIdReused,
    "MALFORMED_MESSAGE": MalformedMessage,
    "NOT_FOUND": NotFound,
    "DELETED": Deleted,
    "ALREADY_EXISTS": AlreadyExists,
    "TOKEN_MISSING": TokenMissing,
    "TOKEN_INVALID": TokenInvalid,
    "TOKEN_EXPIRED": TokenExpired,
    "TOKEN_REVOKED": TokenRevoked,
    "LOGIN_LIMIT": LoginLimit,
    "ROLE_NOT_ALLOWED": RoleNotAllowed,
    "NOT_YOURS": NotYours,
    "DATASET_DELETED": DatasetDeleted,
    "DATASET_UNREADABLE": DatasetUnreadable,
    "SHARED_DATASET": SharedDataset,
    "STEP_MISMATCH": StepMismatch,
    "STOPPED": Stopped,
    "DIVERGED": Diverged,
    "STEP_LIMIT": StepLimit,
    "OVER_LIMIT": OverLimit,
    "COMPARE_ONLY": CompareOnly,
    "REVEAL_LIMIT": RevealLimit,
    "LISTING_DISABLED": ListingDisabled,
    "FOREIGN_HOST": ForeignHost,
    "FOREIGN_ORIGIN": ForeignOrigin,
    "QUOTA": Quota,
    "MESSAGE_TOO_LARGE": MessageTooLarge,
    "REPLY_TOO_LARGE": ReplyTooLarge,
    "WORKSPACE_TOO_LARGE": WorkspaceTooLarge,
    "TOO_MUCH_TO_GRADE": TooMuchToGrade,
    "SLOW_READER": SlowReader,
    "QUEUE_FULL": QueueFull,
    "RUN_TIME": RunTime,
    "DISK_FULL": DiskFull,
    "NOT_STORED": NotStored,
    "NOT_READ": NotRead,
    "SHUTDOWN": Shutdown,
    "MOVED": Moved,
    "STORE_UNREACHABLE": StoreUnreachable,
    "DEADLINE": Deadline,
    "CANCELLED": Cancelled,
    "DATA_LOSS": DataLoss,
    "UNKNOWN_METHOD": UnknownMethod,
    "INTERNAL": Internal,
}
"""The exception of each reason."""
