"""pytest's plugin: a lab for tests, and `g.check(…)` that fails with its message as it is.

pytest loads it by itself where the package is installed. The fixture `lab` is a fresh session on a server of this machine,
which all tests of the run share.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr

if TYPE_CHECKING:
    from ._lab import Lab
    from ._server import LocalServer

_PACKAGE = Path(__file__).parent


@pytest.fixture(scope="session")
def backpropd_server() -> Iterator[LocalServer]:
    """A server on this machine, for all tests of the run; nothing is stored."""
    from ._server import LocalServer

    with LocalServer() as server:
        yield server


@pytest.fixture
def lab(backpropd_server: LocalServer) -> Iterator[Lab]:
    """A lab in a session of its own, which is deleted after the test."""
    from ._entry import connect

    with connect(backpropd_server.address) as lab:
        yield lab
        lab.delete()


class _WrongGradientsRepr(TerminalRepr):
    """A failed check: the line that called it, and the message as it is."""

    def __init__(self, source: list[str], message: str, path: str, line: int) -> None:
        self._source = source
        self._message = message
        # pytest's summary shows the first line of its message.
        self.reprcrash = ReprFileLocation(path, line, message.partition("\n")[0])

    def toterminal(self, tw: Any) -> None:
        for line in self._source:
            tw.line(line, bold=line.startswith(">"))
        tw.line("")
        for line in self._message.splitlines():
            tw.line(line, red=True)
        tw.line("")
        tw.line(f"{self.reprcrash.path}:{self.reprcrash.lineno}: WrongGradients")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the message of a failed check without the frames of this package."""
    report = yield
    if call.excinfo is not None and report.failed and item.config.getoption("tbstyle") in ("auto", "long", "short"):
        from ._errors import WrongGradients

        if isinstance(call.excinfo.value, WrongGradients) and (shown := _shown(item, call.excinfo.value)) is not None:
            report.longrepr = shown
    return report


def _shown(item: pytest.Item, error: BaseException) -> _WrongGradientsRepr | None:
    """What a report shows of a failed check; None if no line of a test called it."""
    frames = [place for place in _frames(error.__traceback__) if not _is_own(place[0])]
    if not frames:
        return None
    file, line, _ = frames[-1]
    path = Path(file)
    shown = str(path.relative_to(item.config.rootpath)) if path.is_relative_to(item.config.rootpath) else file
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    first = max(frames[-1][2], line - 20)
    source = [f"{'>' if number == line else ' '}   {lines[number - 1]}" for number in range(first, min(line, len(lines)) + 1)]
    return _WrongGradientsRepr(source, str(error), shown, line)


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, int, int]]:
    """File, line, and first line of the function of each frame."""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield code.co_filename, traceback.tb_lineno, code.co_firstlineno
        traceback = traceback.tb_next


def _is_own(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE)
