"""The server on this machine."""

from __future__ import annotations

import os

from ._errors import NotStarted


def start_local(data_dir: str | os.PathLike[str] | None) -> str:
    """The address of the server of this process, or of the one on a folder; started if it does not run yet.

    Raises:
        NotStarted: the program is missing, or cannot be started; the message says what to do.
    """
    from ._program import ProgramError
    from ._server import LocalServer, LocalServerError

    try:
        return LocalServer.shared(data_dir).address
    except (ProgramError, LocalServerError) as error:
        raise NotStarted(str(error)) from None
