"""The server on this machine."""

from __future__ import annotations

import os
from typing import Any


def start_local(data_dir: str | os.PathLike[str] | None) -> Any:
    """The server of this process, or one on a folder of its own."""
    from ._server import LocalServer

    return LocalServer.shared() if data_dir is None else LocalServer(data_dir)
