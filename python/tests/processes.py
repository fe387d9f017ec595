"""Processes for tests: scripts in a Python of their own, and looks at what runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

PACKAGE_PARENT = str(Path(__import__("backpropd").__path__[0]).parent)

PATIENCE = 30.0
"""Seconds that no test waits longer."""


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with the package in the search path, and with these variables; None unsets one."""
    variables: dict[str, str | None] = {**os.environ, "PYTHONPATH": PACKAGE_PARENT, **changes}
    return {name: value for name, value in variables.items() if value is not None}


def start(script: str | Path, *arguments: str, **changes: str | None) -> subprocess.Popen[str]:
    """A Python that runs the script, a text or a file, with pipes."""
    code = [str(script)] if isinstance(script, Path) else ["-c", textwrap.dedent(script)]
    return subprocess.Popen(
        # Python warns of a fork beside threads, and some tests fork.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-W", "error::ResourceWarning", *code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
    )


def run(script: str | Path, *arguments: str, **changes: str | None) -> str:
    """What the script prints; it must succeed and be silent otherwise."""
    process = start(script, *arguments, **changes)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err == "", err
    return out


def is_there(pid: int) -> bool:
    """Whether the process exists, and is not merely waiting for its parent to ask how it ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def seconds_until(condition: Callable[[], bool]) -> float:
    """Waits until the condition holds, and returns the seconds that it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < PATIENCE, "it did not happen"
        time.sleep(0.002)
    return time.monotonic() - begin


def kill(pid: int) -> None:
    """As the system does when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def children() -> set[int]:
    """The processes that this one started and that still exist, ended ones included."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == os.getpid():
                found.add(int(folder.name))
    return found


def open_files() -> dict[str, str]:
    """The file descriptors of this process, and what each is open on."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            found[link.name] = os.readlink(link)
        except FileNotFoundError:
            # The one that lists them.
            continue
    return found


def answers(address: str) -> bool:
    """Whether something accepts a connection there."""
    import socket

    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            return True
    except ConnectionRefusedError:
        return False
