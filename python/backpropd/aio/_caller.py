"""Executes calls, and lets others run until they are done."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import grpc
import grpc.aio

from .. import _messages as pb
from .._address import Target
from .._calls import RECONNECT_SECONDS, Call, Repeats, ask_for_less, check_process, is_broken_connection, session_header
from .._errors import Error
from .._status import read_error

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """The result of a function that blocks, while other tasks run."""
    return await asyncio.to_thread(function, *arguments, **named)


class Caller:
    """A connection to one server, for the tasks of one event loop."""

    def __init__(self, target: Target, timeout: float | None) -> None:
        self.target = target
        self.address = target.address
        self.timeout = timeout
        self.server_version = ""
        """What the server said that it is, once it did."""
        self._process = os.getpid()
        self._metadata = target.metadata()
        credentials = target.credentials()
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(target.address, options=target.options())
        else:
            self._channel = grpc.aio.secure_channel(target.address, credentials, options=target.options())
        self._stubs: dict[str, Any] = {}
        self._is_closed = False

    async def call(self, call: Call[T]) -> T:
        """The result of a call without streams.

        Raises:
            Error: the server's refusal, or the failure to reach it.
        """
        stub, metadata = self._stub(call.name), self._metadata_of(call)
        return await self._repeat(call, lambda: stub(call.request, timeout=self.timeout, metadata=metadata))

    async def upload(self, call: Call[T], pieces: Callable[[], Iterable[bytes]]) -> T:
        """The result of a call that sends a stream of encoded messages; `pieces` makes them each time that they are sent."""
        stub, metadata = self._stub(call.name), self._metadata_of(call)
        return await self._repeat(call, lambda: stub(iter(pieces()), metadata=metadata))

    async def stream(self, call: Call[Any]) -> AsyncGenerator[Any, None]:
        """The messages of a reply that is a stream; leaving the iterator cancels the call. It is not sent again."""
        calls = self._stub(call.name)(call.request, metadata=self._metadata_of(call))
        try:
            async for message in calls:
                yield message
        except grpc.RpcError as raised:
            raise read_error(raised, self.address, call.name, self.server_version) from None
        finally:
            calls.cancel()

    async def wait(self, seconds: float, error: Error) -> None:
        """Waits before a call that failed with `error` is sent again."""
        await asyncio.sleep(seconds)
        if is_broken_connection(error):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._channel.channel_ready(), RECONNECT_SECONDS)

    async def pause(self) -> None:
        """Lets others run for a moment."""
        await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Closes the connection; calls in progress end."""
        self._is_closed = True
        if self._process == os.getpid():
            await self._channel.close(None)

    async def _repeat(self, call: Call[T], send: Callable[[], Awaitable[Any]]) -> T:
        repeats = Repeats(call.is_repeatable)
        while True:
            try:
                reply = await send()
            except grpc.RpcError as raised:
                error = read_error(raised, self.address, call.name, self.server_version)
                if not ask_for_less(call.request, error):
                    await self.wait(repeats.wait_after(error), error)
            else:
                return call.read(reply)

    def _metadata_of(self, call: Call[Any]) -> tuple[tuple[str, str], ...]:
        return (*self._metadata, *session_header(call.request))

    def _stub(self, name: str) -> Any:
        check_process(self._process, self.address)
        if self._is_closed:
            raise Error(f"the connection to {self.address} is closed")
        stub = self._stubs.get(name)
        if stub is None:
            method = pb.METHODS[name]
            makers: dict[tuple[bool, bool], Callable[..., Any]] = {
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
