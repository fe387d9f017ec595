"""Calls as values: what is sent, how the reply is read, and whether it may be sent again. No input or output happens here."""

from __future__ import annotations

import os
import random
import re
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
    """The tries of a call: after a failure that passes, it is sent once again."""

    def __init__(self, is_repeatable: bool) -> None:
        self._is_repeatable = is_repeatable
        self._failed = 0

    def restart(self) -> None:
        """Counts anew, because the call has made progress."""
        self._failed = 0

    def wait_after(self, error: Error) -> float:
        """Seconds to wait until the next try.

        Raises:
            Error: `error`, if a further try is of no use.
        """
        self._failed += 1
        asked = error.retry_after
        if not self._is_repeatable or self._failed > 1 or asked is None or asked > LONGEST_WAIT:
            raise error from None
        # Clients of a restarted server do not all return at once.
        return asked + random.uniform(0.05, 0.1)


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
