"""Executes calls, and blocks until they are done."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import grpc

from . import _messages as pb
from ._address import Target
from ._calls import RECONNECT_SECONDS, Call, Repeats, ask_for_less, check_process, is_broken_connection, session_header
from ._errors import Error
from ._status import read_error

T = TypeVar("T")


def in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """The result of a function that blocks."""
    return function(*arguments, **named)


class Caller:
    """A connection to one server. Threads may share it."""

    def __init__(self, target: Target, timeout: float | None) -> None:
        self.target = target
        self.address = target.address
        self.timeout = timeout
        self.server_version = ""
        """What the server said that it is, once it did."""
        self._process = os.getpid()
        self._metadata = target.metadata()
        self._credentials = target.credentials()
        self._channel = self._connect()
        self._left: list[grpc.Channel] = []
        """Channels of interrupted streams, which other threads may still use."""
        self._stubs: dict[str, Any] = {}
        self._is_closed = False

    def call(self, call: Call[T]) -> T:
        """The result of a call without streams.

        Raises:
            Error: the server's refusal, or the failure to reach it.
        """
        stub, metadata = self._stub(call.name), self._metadata_of(call)
        return self._repeat(call, lambda: stub(call.request, timeout=self.timeout, metadata=metadata))

    def upload(self, call: Call[T], pieces: Callable[[], Iterable[bytes]]) -> T:
        """The result of a call that sends a stream of encoded messages; `pieces` makes them each time that they are sent."""
        stub, metadata = self._stub(call.name), self._metadata_of(call)
        return self._repeat(call, lambda: stub(iter(pieces()), metadata=metadata))

    def stream(self, call: Call[Any]) -> Generator[Any, None, None]:
        """The messages of a reply that is a stream; leaving the iterator cancels the call. It is not sent again."""
        try:
            calls = self._stub(call.name)(call.request, metadata=self._metadata_of(call))
            try:
                yield from calls
            except grpc.RpcError as raised:
                raise self._error(raised, call.name) from None
            finally:
                calls.cancel()
        except KeyboardInterrupt:
            # It can strike within grpc's bookkeeping. The thread that reads all streams of the channel then ends, and the
            # next stream would wait for ever.
            self._left.append(self._channel)
            self._channel, self._stubs = self._connect(), {}
            raise

    def wait(self, seconds: float, error: Error) -> None:
        """Waits before a call that failed with `error` is sent again."""
        time.sleep(seconds)
        if is_broken_connection(error):
            # Any answer will do. grpc's own way to wait starts a thread, which complains when the channel is closed.
            with contextlib.suppress(grpc.RpcError):
                probe = self._stub("GetServerInfo")
                probe(pb.GetServerInfoRequest(), timeout=RECONNECT_SECONDS, wait_for_ready=True, metadata=self._metadata)

    def pause(self) -> None:
        """Lets others run for a moment."""
        time.sleep(0.001)

    def close(self) -> None:
        """Closes the connection; calls in progress end."""
        self._is_closed = True
        if self._process == os.getpid():
            for channel in (self._channel, *self._left):
                channel.close()

    def _connect(self) -> grpc.Channel:
        address, options = self.target.address, self.target.options()
        if self._credentials is None:
            return grpc.insecure_channel(address, options=options)
        return grpc.secure_channel(address, self._credentials, options=options)

    def _repeat(self, call: Call[T], send: Callable[[], Any]) -> T:
        repeats = None
        while True:
            try:
                reply = send()
            except grpc.RpcError as raised:
                error = self._error(raised, call.name)
            except ValueError:
                # grpc's answer when another thread has closed the connection.
                self._check_open()
                raise
            else:
                return call.read(reply)
            if ask_for_less(call.request, error):
                continue
            repeats = repeats or Repeats(call.is_repeatable)
            self.wait(repeats.wait_after(error), error)

    def _metadata_of(self, call: Call[Any]) -> tuple[tuple[str, str], ...]:
        return (*self._metadata, *session_header(call.request))

    def _stub(self, name: str) -> Any:
        self._check_open()
        stub = self._stubs.get(name)
        if stub is None:
            method = pb.METHODS[name]
            makers = {
                (False, False): self._channel.unary_unary,
                (False, True): self._channel.unary_stream,
                (True, False): self._channel.stream_unary,
            }
            make = makers[method.streams_requests, method.streams_replies]
            # The messages of an upload are encoded already.
            encode = None if method.streams_requests else method.request.SerializeToString
            stub = make(method.path, request_serializer=encode, response_deserializer=method.reply.FromString)
            self._stubs[name] = stub
        return stub

    def _check_open(self) -> None:
        if self._process != os.getpid():
            check_process(self._process, self.address)
        if self._is_closed:
            raise Error(f"the connection to {self.address} is closed") from None

    def _error(self, raised: Any, name: str) -> Error:
        return read_error(raised, self.address, name, self.server_version)
