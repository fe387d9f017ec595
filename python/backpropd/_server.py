"""A server of one's own, which lives as long as this process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import ClassVar, NoReturn

from ._child import Child
from ._program import LocalServerError, find

__all__ = ["LocalServer", "LocalServerError"]

Setting = str | int | float | bool
"""A value of docs/configuration.md."""

_YEAR = 31_536_000
"""The longest time that the server takes for a limit, in seconds."""

_DEFAULTS: dict[str, Setting] = {
    "log": "warn",
    # The calls in progress are those of this process, which wants the server to end.
    "drain_seconds": 1,
    # One person uses it, and may come back after a weekend.
    "session_ttl_seconds": _YEAR,
    "empty_session_ttl_seconds": _YEAR,
    "max_run_seconds": _YEAR,
}

_ARGUMENTS = {
    "data_dir": "give it as data_dir=…",
    "ephemeral": "leave data_dir out, and the server stores nothing",
    "listen": "a local server listens on 127.0.0.1, and port=… chooses the port",
    "port": "give it as port=…",
    "until_stdin_ends": "a local server always ends with its process",
}
"""The settings that are no settings here, and the alternative to each."""


class LocalServer:
    """A server of this process, on a free port of 127.0.0.1.

    It ends with `close()`, with the last reference to it, and with this process, however that ends. Ctrl-C in a terminal or a
    notebook does not reach it, and a forked process does not share it. It takes its settings from the arguments alone, not from
    the variables BACKPROPD_… of the environment, so that a notebook does the same everywhere.

    A start blocks for some ten milliseconds; in a coroutine use `await asyncio.to_thread(LocalServer.shared)`.

    Args:
        data_dir: folder that stores sessions and models; without one no file is written, and they are lost with the server.
        port: port to listen on; 0 takes a free one.
        settings: settings of the server (docs/configuration.md), such as `{"max_layers": 100}`.
        start_seconds: longest time for the start, in which the server reads the data folder.

    Raises:
        ProgramError: the program is missing, cannot run here, or is of another version than this package.
        LocalServerError: the server did not start.
        ValueError: the port or a setting is invalid.
    """

    _shared: ClassVar[dict[tuple[object, ...], LocalServer]] = {}
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        settings: Mapping[str, Setting] | None = None,
        start_seconds: float = 60.0,
    ) -> None:
        self._data_dir = _absolute(data_dir)
        arguments = _arguments(self._data_dir, port, settings or {})
        child = Child(find(), arguments)
        try:
            self._address = child.wait_for_address(start_seconds, port)
        except BaseException:
            child.kill()
            raise
        self._child = child
        # Runs at the end of the interpreter as well.
        self._close = weakref.finalize(self, child.close)

    @classmethod
    def shared(
        cls,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        settings: Mapping[str, Setting] | None = None,
        start_seconds: float = 60.0,
    ) -> LocalServer:
        """The server of this process with these arguments; started if there is none, or if it ended."""
        key = (_absolute(data_dir), port, tuple(sorted((settings or {}).items())))
        with cls._shared_lock:
            server = cls._shared.get(key)
            if server is None or not server.is_running:
                if server is not None:
                    server.close()
                server = cls(data_dir, port=port, settings=settings, start_seconds=start_seconds)
                cls._shared[key] = server
            return server

    @property
    def address(self) -> str:
        """The address that it listens on: "127.0.0.1:PORT"."""
        return self._address

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    @property
    def data_dir(self) -> str | None:
        """The folder that stores its sessions and models; None if nothing is stored."""
        return self._data_dir

    @property
    def log(self) -> str:
        """The last lines of its log."""
        return self._child.log

    @property
    def is_running(self) -> bool:
        """Whether its process runs, and is a child of this one."""
        return self._child.is_running

    @property
    def ending(self) -> str | None:
        """How it ended, as "it ended with exit code 1" with the last lines of its log below; None while it runs."""
        return None if self.is_running else self._child.ending()

    def close(self) -> None:
        """Ends the server in order: its runs end at a step, which is stored if there is a data folder."""
        self._close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.is_running else "ended"
        return f"<LocalServer {self.address}, {self.data_dir or 'nothing stored'}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a local server belongs to the process that started it and cannot be sent to another: send its address and use "
            "backpropd.connect(address) there, or have the other process start its own by backpropd.local()"
        )


def _absolute(folder: str | os.PathLike[str] | None) -> str | None:
    return None if folder is None else os.path.abspath(os.path.expanduser(os.fspath(folder)))


def _arguments(data_dir: str | None, port: int, settings: Mapping[str, Setting]) -> list[str]:
    faults = [f"settings[{name!r}]: {alternative}" for name, alternative in _ARGUMENTS.items() if name in settings]
    if not 0 <= port <= 65535:
        faults.append(f"port = {port}: allowed is an integer from 0 to 65535, and 0 takes a free one")
    if faults:
        raise ValueError("; ".join(faults))
    arguments = ["serve", "--until-stdin-ends", f"--listen=127.0.0.1:{port}"]
    arguments.append("--ephemeral" if data_dir is None else f"--data-dir={data_dir}")
    for name, value in {**_DEFAULTS, **settings}.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments.append(f"--{name.replace('_', '-')}={text}")
    return arguments


def _after_fork_in_child() -> None:
    LocalServer._shared.clear()
    LocalServer._shared_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
