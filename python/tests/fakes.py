"""Servers that do what a good one does not."""

from __future__ import annotations

from concurrent import futures
from typing import Any

import grpc

from backpropd import _messages as pb
from backpropd import _status


def details(reason: str, *, delay: float | None = None, **facts: str) -> bytes:
    """The details of a refusal, as the server encodes them."""
    kinds = _status._DETAILS

    def packed(name: str, message: Any) -> Any:
        return kinds["Any"](type_url=f"type.googleapis.com/google.rpc.{name}", value=message.SerializeToString())

    pairs = [kinds["Pair"](key=key, value=value) for key, value in facts.items()]
    parts = [packed("ErrorInfo", kinds["ErrorInfo"](reason=reason, domain="backpropd", metadata=pairs))]
    if delay is not None:
        nanos = round(delay * 1e9)
        duration = kinds["Duration"](seconds=nanos // 10**9, nanos=nanos % 10**9)
        parts.append(packed("RetryInfo", kinds["RetryInfo"](retry_delay=duration)))
    return kinds["Status"](details=parts).SerializeToString()


def refuse(context: Any, code: str, encoded: bytes = b"") -> None:
    """Ends a call with an error."""
    if encoded:
        context.set_trailing_metadata((("grpc-status-details-bin", encoded),))
    context.abort(grpc.StatusCode[code], "refused")


class Fake:
    """A server whose methods are functions: `Fake(GetModel=lambda request, context: …)`."""

    def __init__(self, **methods: Any) -> None:
        known = {
            "GetServerInfo": lambda request, context: pb.GetServerInfoResponse(version="9.9.9"),
            "CreateSession": lambda request, context: pb.CreateSessionResponse(
                session=pb.Session(name=f"sessions/{request.session_id}")
            ),
            "CreateModel": created,
        }
        self.calls: list[str] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        services: dict[str, dict[str, Any]] = {}
        for name, function in {**known, **methods}.items():
            method = pb.METHODS[name]
            _, service, _ = method.path.split("/")
            make = grpc.unary_stream_rpc_method_handler if method.streams_replies else grpc.unary_unary_rpc_method_handler
            services.setdefault(service, {})[name] = make(
                self._counted(name, function), method.request.FromString, method.reply.SerializeToString
            )
        for service, handlers in services.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _counted(self, name: str, function: Any) -> Any:
        def call(request: Any, context: Any) -> Any:
            self.calls.append(name)
            return function(request, context)

        return call

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


def created(request: Any, context: Any) -> Any:
    """A reply to CreateModel."""
    model = pb.Model(name=f"{request.session}/models/{request.model_id}", spec=request.spec)
    model.spec.sgd.learning_rate = 0.01
    return pb.CreateModelResponse(model=model)
