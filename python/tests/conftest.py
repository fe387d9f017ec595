"""A server for the tests, and networks on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import backpropd as bp

ROOT = Path(__file__).resolve().parents[2]


def program() -> str:
    """The program to test with: BACKPROPD_BIN, the checkout's, or the one in PATH."""
    candidates = [os.environ.get("BACKPROPD_BIN"), *(str(ROOT / f"target/{kind}/backpropd") for kind in ("release", "debug"))]
    found = next((path for path in candidates if path and Path(path).is_file()), None) or shutil.which("backpropd")
    if found is None:
        pytest.exit("no backpropd: set BACKPROPD_BIN, or run cargo build --release", returncode=2)
    return found


# For the local servers of the tests, too.
os.environ["BACKPROPD_BIN"] = program()


class Server:
    """A server process on a free port."""

    def __init__(self, *arguments: str, port: int = 0, cwd: Path | None = None) -> None:
        command = [program(), "serve", "--port", str(port), *(arguments or ("--ephemeral",))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd)
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if "listening on" in line), "")
        assert line, "the server did not start"
        self.address = line.partition("listening on ")[2].split()[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def lab(server: Server) -> Iterator[bp.Lab]:
    with bp.connect(server.address) as lab:
        yield lab


@pytest.fixture
def batch() -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
