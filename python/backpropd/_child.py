"""The process of a local server, and this end of its pipes."""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import subprocess
import threading
import time
from itertools import chain
from typing import Literal

from ._program import VARIABLE, LocalServerError, ProgramError, not_started
from ._version import are_same, package_version

_LOG_BYTES = 1 << 16
"""How much of the end of the log is remembered."""

_PATIENCE = 10.0
"""Seconds in which a server that was told to end does so; then it is killed."""

_BANNER = re.compile(rb"backpropd (\S+) listening on (\S+)\n")

_INSTEAD = f"unset {VARIABLE} if it is set, or install both again: `pip install --force-reinstall backpropd`"

_End = Literal["stdin", "stdout", "stderr"]


class Child:
    """The process of a server, which ends with this one: its standard input is a pipe from here.

    It holds file descriptors and no file objects: those have locks, which another thread may hold at a fork.
    """

    def __init__(self, program: str, arguments: list[str]) -> None:
        self._program = program
        self._owner = os.getpid()
        self._log = b""
        self._ends: dict[_End, int] = {}
        self._closing = threading.Lock()
        self._reader = threading.Thread(target=self._read_log, name="backpropd log", daemon=True)
        # A fork in between would leave the new process with an end of the pipe that it never closes.
        with _fork_lock:
            self._process = self._spawn([program, *arguments])
            _children.add(self)
        try:
            self._reader.start()
        except BaseException:
            self.kill()
            raise

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKPROPD_")}
        pipes: list[tuple[int, int]] = []
        try:
            # One by one: a failure must leave none open.
            pipes.extend(os.pipe() for _ in range(3))
            stdin, stdout, stderr = pipes
            process = subprocess.Popen(
                command,
                stdin=stdin[0],
                stdout=stdout[1],
                stderr=stderr[1],
                env=environment,
                # Ctrl-C in a terminal, and the interrupt of Jupyter, go to a process group.
                start_new_session=True,
            )
        except BaseException as error:
            _close(*chain(*pipes))
            if isinstance(error, OSError):
                raise not_started(self._program, error) from error
            raise
        _close(stdin[0], stdout[1], stderr[1])
        self._ends = {"stdin": stdin[1], "stdout": stdout[0], "stderr": stderr[0]}
        return process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs, and is a child of this one."""
        return self._is_mine() and self._process.poll() is None

    @property
    def log(self) -> str:
        """The last lines of the log."""
        return self._log.decode("utf-8", "replace")

    def _is_mine(self) -> bool:
        return self._owner == os.getpid()

    def _read_log(self) -> None:
        """Reads the log as it is written, so that the server never waits for a reader; ends with the server."""
        end = self._ends["stderr"]
        while chunk := os.read(end, _LOG_BYTES):
            self._log = (self._log + chunk)[-_LOG_BYTES:]
        self._let_go("stderr")

    def wait_for_address(self, seconds: float, port: int) -> str:
        """The address in the first line of the output, which comes within these seconds. `port` is the one asked for."""
        deadline = time.monotonic() + seconds
        output = self._ends["stdout"]
        poll = select.poll()
        poll.register(output, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise LocalServerError(
                    f"the local server did not start within {seconds:g} seconds. A large data folder takes longer to read: "
                    f"give more time by start_seconds=…{self._last_lines()}"
                )
            byte = os.read(output, 1)
            if not byte:
                raise self._not_started(port)
            line += byte
        self._let_go("stdout")
        banner = _BANNER.fullmatch(line)
        if banner is None:
            text = line.decode("utf-8", "replace").strip()
            raise ProgramError(f"{self._program} is not the program of this package, since it says {text!r}: {_INSTEAD}")
        self._check_version(banner[1].decode())
        return banner[2].decode()

    def _check_version(self, version: str) -> None:
        ours = package_version()
        if not are_same(version, ours):
            raise ProgramError(
                f"{self._program} is version {version}, and this package is version {ours}, which needs a program of its own "
                f"version: {_INSTEAD}"
            )

    def _not_started(self, port: int) -> LocalServerError:
        """Why the process ended before it listened."""
        self._reader.join(_PATIENCE)
        # A program of another version may not know an argument.
        if version := _version_of(self._program):
            self._check_version(version)
        if port and os.strerror(errno.EADDRINUSE) in self.log:
            return LocalServerError(
                f"cannot start a local server on port {port} of 127.0.0.1, since another process listens there: leave port out "
                f"to take a free one; or, if that is a backpropd server, use it by "
                f'backpropd.connect("127.0.0.1:{port}"){self._last_lines()}'
            )
        return LocalServerError(f"the local server did not start: {self.ending()}")

    def ending(self) -> str:
        """How the process ended, and its last lines."""
        if not self._is_mine():
            return "it belongs to the process that this one was forked from"
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return f"it hangs{self._last_lines()}"
        if code >= 0:
            return f"it ended with exit code {code}{self._last_lines()}"
        hint = " (the system does so when memory runs out)" if code == -signal.SIGKILL else ""
        return f"it was ended by {_signal_name(-code)}{hint}{self._last_lines()}"

    def _last_lines(self) -> str:
        lines = self.log.strip().splitlines()[-10:]
        return "".join(f"\n    {line}" for line in lines)

    def close(self) -> None:
        """Ends the process in order, and returns when it is gone."""
        if not self._is_mine():
            return
        with self._closing:
            try:
                self._let_go("stdin")
                # The end of the log is the end of the process.
                self._reader.join(_PATIENCE)
            finally:
                self._end()

    def kill(self) -> None:
        """Ends the process at once."""
        with self._closing:
            self._kill()
            self._end()

    def _kill(self) -> None:
        if self._process.poll() is None:
            # It is the leader of its group, in which a program that is none of ours may have others.
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> None:
        if self._reader.is_alive():
            self._kill()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            # It has closed its log, and goes on.
            self._kill()
            self._process.wait()
        self._let_go("stdin", "stdout")
        if self._reader.ident is None:
            self._let_go("stderr")
        else:
            # The reader closes what it reads.
            self._reader.join(_PATIENCE)
        with _fork_lock:
            _children.discard(self)

    def _let_go(self, *names: _End) -> None:
        # A fork in between would find a descriptor that is closed already.
        with _fork_lock:
            _close(*(self._ends.pop(name) for name in names if name in self._ends))

    def leave_to_parent(self) -> None:
        """In a forked process: closes the pipes, of which the server would otherwise not see its parent's end."""
        self._let_go("stdin", "stdout", "stderr")
        # Popen warns of a process that runs when its object goes.
        self._process.returncode = 0


def _close(*ends: int) -> None:
    for end in ends:
        os.close(end)


def _version_of(program: str) -> str | None:
    """What the program calls its version; None if it does not tell."""
    try:
        told = subprocess.run(
            [program, "--version"], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = told.stdout.decode("utf-8", "replace").split()
    return words[1] if told.returncode == 0 and len(words) == 2 and words[0] == "backpropd" else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# The children whose pipes are open. The lock may be taken twice by a thread that forks in a signal handler.
_children: set[Child] = set()
_fork_lock = threading.RLock()


def _after_fork_in_child() -> None:
    for child in _children:
        child.leave_to_parent()
    _children.clear()
    _fork_lock.release()


os.register_at_fork(
    before=_fork_lock.acquire,
    after_in_parent=_fork_lock.release,
    after_in_child=_after_fork_in_child,
)
