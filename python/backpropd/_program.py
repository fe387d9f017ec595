"""Finds the program that the wheel carries: the server, and the command line."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "BACKPROPD_BIN"
"""The environment variable that names another program."""

NAME = "backpropd"

_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""The field e_machine of an ELF file, as the specification numbers it."""

_AGAIN = "`pip install --force-reinstall backpropd`"


class LocalServerError(Exception):
    """A local server did not start. The text says why and what to do, and ends with the last lines of the server's log."""


class ProgramError(LocalServerError):
    """The program is missing, cannot run here, or is of another version than this package. The text says what to do."""


def find() -> str:
    """The path of the program: what BACKPROPD_BIN names, else what was installed with this package, else one of PATH.

    Raises:
        ProgramError: there is none, or it is no file that can be executed.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = os.path.abspath(os.path.expanduser(named))
        if not os.path.isfile(path):
            raise ProgramError(f"{VARIABLE} names {path}, and there is no such file: correct the variable, or unset it")
        return _executable(path)
    folders = list(dict.fromkeys(_folders()))
    for folder in folders:
        path = os.path.join(folder, NAME)
        if os.path.isfile(path):
            return _executable(path)
    in_path = shutil.which(NAME)
    if in_path is not None:
        return in_path
    raise ProgramError(
        f"there is no program {NAME} in {', '.join(folders)} or in PATH. The wheel brings it: install it into this environment "
        f"by {_AGAIN}; from a checkout with Rust, by `pip install .`. Or name a program: {VARIABLE}=/path/to/{NAME}"
    )


def _folders() -> Iterator[str]:
    """Where installers put the programs of a wheel, the nearest to this package first."""
    packages = Path(__file__).resolve().parents[1]
    # `pip install --target FOLDER`.
    yield str(packages / "bin")
    # PREFIX/lib/python3.12/site-packages: an environment, `--prefix`, `--user`.
    if packages.name in ("site-packages", "dist-packages") and len(packages.parents) >= 3:
        yield str(packages.parents[2] / "bin")
    # An editable installation: the package is elsewhere.
    yield sysconfig.get_path("scripts")
    yield sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))
    # An environment with the packages of the Python that it was made from.
    yield sysconfig.get_path("scripts", vars={"base": sys.base_prefix, "platbase": sys.base_prefix})


def _executable(path: str) -> str:
    if not os.access(path, os.X_OK):
        raise ProgramError(f"{path} is not executable: allow it by `chmod +x {path}`, or install it again by {_AGAIN}")
    return path


def not_started(path: str, error: OSError) -> LocalServerError:
    """Why the system did not start the program at `path`, and what to do."""
    if error.errno == errno.ENOEXEC:
        here = platform.machine()
        built_for = _built_for(path)
        what = f"it is built for {built_for}" if built_for and built_for != here else "it is no program of this system"
        return ProgramError(
            f"{path} does not run on this machine ({platform.system()}, {here}): {what}. Install the package again on this "
            f"machine by {_AGAIN}, or name another program in {VARIABLE}"
        )
    if error.errno == errno.EACCES:
        return ProgramError(
            f"{path} may not be executed here: its file system may be mounted with noexec, or a rule of this machine forbids "
            f"it. Install the package elsewhere, or name another program in {VARIABLE}"
        )
    if error.errno == errno.ENOENT and os.path.exists(path):
        return ProgramError(
            f"{path} does not run on this machine: the loader that it asks for is not there, since it is built for another C "
            f"library or distribution. Install the package again on this machine by {_AGAIN}"
        )
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return LocalServerError(
            f"cannot start {path}: {error.strerror}. This machine or account has no room for another process: end some, or "
            "raise the limit (ulimit -u; memory)"
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return LocalServerError(
            f"cannot start {path}: {error.strerror}. Close some files of this process, or raise the limit (ulimit -n)"
        )
    return LocalServerError(f"cannot start {path}: {error.strerror or error}")


def _built_for(path: str) -> str | None:
    """The machine that an ELF file is built for; None for a file of another kind."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    order = "little" if head[5] == 1 else "big"
    number = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    return _MACHINES.get(number, f"machine {number} of ELF")
