"""Calls as values: what is sent, how the reply is read, and whether it may be sent again. No input or output happens here."""

from __future__ import annotations

import os
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._errors import Error, ForkedConnection, Unreachable

T = TypeVar("T")

TIMEOUT = 120.0
"""Seconds that a call may take, unless the connection has another limit. Runs and watches have none."""

RECONNECT_SECONDS = 3.0
"""How long a call waits for a broken connection to be restored before it is sent again."""

LONGEST_WAIT = 10.0
"""A call is not sent again if the server asks to wait for longer than this many seconds."""

MOVING_SECONDS = 10.0
"""How long a call is sent again whose session moves to another node."""

UNREACHABLE_SECONDS = 5.0
"""How long a call is sent again that does not reach a server, as while a proxy looks for another node."""

MOVING = ("MOVED", "SHUTDOWN", "STORE_UNREACHABLE")
"""The reasons of refusals by a node whose sessions go to another one."""

SESSION_HEADER = "x-backpropd-session"
"""The header that names the session of a call, by which a proxy finds the node that has it in memory."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call of a method."""

    name: str
    """The method, such as "Gradients"."""
    request: Any
    """Its request; of an upload, the first message."""
    read: Callable[[Any], T]
    """Makes the result of the reply."""
    is_repeatable: bool = True
    """Whether sending it twice has the effect of sending it once: so it is with reads, and with writes that have a
    request id."""


class Repeats:
    """The tries of a call: after a failure that passes, it is sent once again; while its session moves to another node,
    for some seconds.
    """

    def __init__(self, is_repeatable: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_repeatable = is_repeatable
        self._clock = clock
        self._failed = 0
        self._since = 0.0

    def restart(self) -> None:
        """Counts anew, because the call has made progress."""
        self._failed = 0

    def wait_after(self, error: Error) -> float:
        """Seconds to wait until the next try.

        Raises:
            Error: `error`, if a further try is of no use.
        """
        now = self._clock()
        self._since = self._since if self._failed else now
        self._failed += 1
        asked = error.retry_after
        patience = _patience(error)
        is_last = now - self._since >= patience if patience else self._failed > 1
        if not self._is_repeatable or is_last or asked is None or asked > LONGEST_WAIT:
            raise error from None
        # Clients of a restarted server do not all return at once.
        return asked + min(0.1 * 2.0 ** (self._failed - 1), 0.5) * random.uniform(0.5, 1.0)


def _patience(error: Error) -> float:
    """How many seconds a call that failed like this is sent again; 0: once."""
    if error.reason in MOVING:
        return MOVING_SECONDS
    return UNREACHABLE_SECONDS if is_broken_connection(error) else 0.0


def session_header(request: Any) -> tuple[tuple[str, str], ...]:
    """The header with the session that a request is about, if it names one. Of a copy, it is the one that is written."""
    session = _session_of(request)
    # What is no id is refused by the server; grpc would not send it.
    return ((SESSION_HEADER, session),) if re.fullmatch("[a-z0-9-]+", session) else ()


def _session_of(request: Any) -> str:
    fields = request.DESCRIPTOR.fields_by_name
    if "session_id" in fields:
        return str(request.session_id)
    for field in ("session", "run", "model", "name"):
        name = getattr(request, field) if field in fields else ""
        if isinstance(name, str) and name.startswith("sessions/"):
            return name.split("/")[1]
    return _session_of(request.header) if "header" in fields else ""


def ask_for_less(request: Any, error: Error) -> bool:
    """Lowers `max_reply_bytes` to what the server allows, if that is what it refused: its limit follows its memory."""
    allowed = re.search(r"at most (\d+)", error.fields.get("max_reply_bytes", ""))
    if allowed is None or int(allowed[1]) >= request.max_reply_bytes:
        return False
    request.max_reply_bytes = int(allowed[1])
    return True


def is_broken_connection(error: Error) -> bool:
    """Whether the connection has to be restored before the call is sent again."""
    return isinstance(error, Unreachable)


def new_id(prefix: str = "") -> str:
    """A random id."""
    return f"{prefix}{uuid.uuid4().hex}"


def check_process(opened_in: int, address: str) -> None:
    """Refuses to use a connection in a child of the process that opened it.

    Raises:
        ForkedConnection: this is another process.
    """
    if os.getpid() != opened_in:
        raise ForkedConnection(
            f"the connection to {address} belongs to process {opened_in}, and this is its fork {os.getpid()}: open another "
            f'one here, with bp.connect("{address}", session=lab.session) and lab.network(net.name); or start processes '
            'without fork, by multiprocessing.get_context("spawn")'
        )


def refuse_pickling(what: str, way: str) -> TypeError:
    """Why a connected object cannot be pickled or copied."""
    return TypeError(f"a {what} holds a connection, which no other process or copy can use: {way}")


def identity(reply: Any) -> Any:
    """A reply as it is."""
    return reply
