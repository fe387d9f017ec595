"""Errors of gRPC as exceptions: read from the code, the message and the details of a status."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from ._errors import Error, Unreachable, WrongServer
from ._reasons import REASONS, Deadline, MessageTooLarge, UnknownMethod

DOMAIN = "backpropd"
"""The `ErrorInfo.domain` of every refusal by a backpropd."""

_STRING, _INT32, _INT64, _BYTES, _MESSAGE = 9, 5, 3, 12, 11


def _details() -> dict[str, Any]:
    """The messages of google.rpc that errors carry: their fields by number, so that no package with them is needed."""
    file = descriptor_pb2.FileDescriptorProto(name="backpropd_details.proto", package="google.rpc", syntax="proto3")
    described: dict[str, list[tuple[str, int, int, str]]] = {
        "Any": [("type_url", 1, _STRING, ""), ("value", 2, _BYTES, "")],
        "Status": [("code", 1, _INT32, ""), ("message", 2, _STRING, ""), ("details", 3, _MESSAGE, "*Any")],
        "Pair": [("key", 1, _STRING, ""), ("value", 2, _STRING, "")],
        # A map is on the wire as its pairs.
        "ErrorInfo": [("reason", 1, _STRING, ""), ("domain", 2, _STRING, ""), ("metadata", 3, _MESSAGE, "*Pair")],
        "FieldViolation": [("field", 1, _STRING, ""), ("description", 2, _STRING, "")],
        "BadRequest": [("field_violations", 1, _MESSAGE, "*FieldViolation")],
        "Duration": [("seconds", 1, _INT64, ""), ("nanos", 2, _INT32, "")],
        "RetryInfo": [("retry_delay", 1, _MESSAGE, "Duration")],
    }
    for name, fields in described.items():
        message = file.message_type.add(name=name)
        for field, number, kind, target in fields:
            added = message.field.add(name=field, number=number, type=kind, label=3 if target.startswith("*") else 1)
            if target:
                added.type_name = f".google.rpc.{target.lstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}")) for name in described}


_DETAILS = _details()


def read_error(raised: Any, address: str, method: str = "", version: str = "") -> Error:
    """The exception for an error that grpc raised in a call of `method` of a server of `version`, if that is known."""
    code: grpc.StatusCode = raised.code()
    message: str = raised.details() or ""
    trailers = raised.trailing_metadata() or ()
    encoded = next((value for key, value in trailers if key == "grpc-status-details-bin"), None)
    read = _read_details(encoded) if encoded else {}
    info = read.get("ErrorInfo")
    if info is None or info.domain != DOMAIN:
        return _without_reason(code, message, address, method, version)
    fields: dict[str, str] = {}
    for violation in read["BadRequest"].field_violations if "BadRequest" in read else ():
        known = fields.get(violation.field)
        fields[violation.field] = f"{known}; {violation.description}" if known else violation.description
    delay = read["RetryInfo"].retry_delay if "RetryInfo" in read else None
    kind = REASONS.get(info.reason, Error)
    if kind is MessageTooLarge:
        message += ". Samples can be sent once, in pieces: pass data = lab.dataset(x, y) in place of x and y"
    if kind is UnknownMethod:
        message = _method_is_missing(method, address, version)
    return kind(
        message,
        reason=info.reason,
        fields=fields,
        details={pair.key: pair.value for pair in info.metadata},
        retry_after=delay.seconds + delay.nanos / 1e9 if delay is not None else None,
    )


def _read_details(encoded: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        for detail in _DETAILS["Status"].FromString(encoded).details:
            kind = detail.type_url.rpartition(".")[2]
            if kind in _DETAILS:
                found[kind] = _DETAILS[kind].FromString(detail.value)
    except Exception:  # protobuf's DecodeError has no stable home: details of a proxy that are none say nothing.
        return {}
    return found


def _method_is_missing(method: str, address: str, version: str) -> str:
    from ._version import package_version

    here = package_version()
    if not version:
        return f"the server at {address} has no {method}: it is no backpropd, or one of another version than {here}"
    return (
        f"the server at {address} is backpropd {version} and has no {method}, which this package, {here}, needs. Use the "
        f"package of the server's version (pip install backpropd=={version}), or update the server; what else this package "
        "does with the server works"
    )


def _without_reason(code: grpc.StatusCode, message: str, address: str, method: str, version: str) -> Error:
    """An error that no backpropd has sent: of the connection, of grpc itself, or of a proxy."""
    # A proxy whose server has died resets a stream that has begun, which grpc calls INTERNAL.
    is_reset = code is grpc.StatusCode.INTERNAL and "RST_STREAM" in message
    if is_reset or code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN):
        return Unreachable(f"{address} does not answer: {message}", retry_after=0.0)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return WrongServer(_method_is_missing(method, address, version))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Deadline(f"{method}: no answer from {address} in time ({message})", reason="DEADLINE")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return MessageTooLarge(f"{method}: {message}", reason="MESSAGE_TOO_LARGE")
    return Error(f"{method}: {address} answered {code.name}: {message}")
