"""Networks as ONNX models, which the program writes from a file of the whole state."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ._errors import Error


def convert(state: Path, file: Path) -> None:
    """Writes the ONNX model of a network; a file of that name is replaced, once the new one is whole.

    Args:
        state: A file of `net.save`.
        file: Path of the ONNX model.

    Raises:
        Error: the program refuses, with its message.
    """
    from ._program import find

    command = [find(), "export", str(state), os.path.abspath(file), "--format", "onnx"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise Error(said.removeprefix("backpropd: ") or f"backpropd export ended with exit code {done.returncode}")
