"""The pages keep their promises: each block of Python does what the page shows below it.

A block that needs a module which is not installed is left out, unless the variable ALL_BLOCKS is set.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from pathlib import Path

import pytest
from conftest import Server
from pages import ROOT, blocks, difference, pages

# net.history.plot() of the pages needs it.
if not os.environ.get("ALL_BLOCKS"):
    pytest.importorskip("matplotlib")

SHOWN_ADDRESS = "127.0.0.1:50051"
"""The address that the pages name, in whose place a server of the test is asked."""


def faults(text: str, address: str, name: str = "page") -> list[str]:
    """What the blocks of a page do otherwise than it says. They run in their order, in one namespace."""
    found: list[str] = []
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(text):
        if block.needs and importlib.util.find_spec(block.needs) is None and not os.environ.get("ALL_BLOCKS"):
            continue
        # So that a traceback shows the line of the page.
        code = "\n" * (block.line - 1) + block.code.replace(SHOWN_ADDRESS, address)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            try:
                exec(compile(code, name, "exec"), names)
            except Exception as error:
                # As a notebook shows it.
                printed.write(f"{type(error).__name__}: {error}\n")
                is_shown = f"{type(error).__name__}: " in block.shown
                if not is_shown:
                    found.append(f"{name}:{block.line}: {type(error).__name__}: {error}")
                    continue
        found.extend(f"{name}:{block.line}: {why}" for why in [difference(block.shown, printed.getvalue())] if why)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch, server: Server) -> str:
    """A folder for the files that a page writes, beside those of the repository that it reads."""
    for name in ("examples", "assignments", "data", "python"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return server.address


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_what_is_printed(page: Path, folder: str):
    found = faults(page.read_text("utf-8"), folder, str(page.relative_to(ROOT)))
    assert not found, "\n\n".join(found)


def test_the_pages_are_found():
    names = {str(page.relative_to(ROOT)) for page in pages()}
    assert {"README.md", "docs/python.md", "docs/tour.md"} <= names


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("```python\nprint(0.5)\n```\n```text\n0.5\n```\n", 0),
        ("```python\nprint(0.5)\n```\n```text\n0.6\n```\n", 1),
        ("```python\nprint(0.5)\n```\n", 1),
        ("```python\nx = 1\n```\n\n```python\nprint(x, 'to', 9)\n```\n```text\n1 … 9\n```\n", 0),
        ("```python\n1 / 0\n```\n", 1),
        ("```python\n1 / 0\n```\n```text\nZeroDivisionError: division by zero\n```\n", 0),
        ("```python\n1 / 1\n```\n```text\nZeroDivisionError: division by zero\n```\n", 1),
        ("<!-- not run: it fails -->\n```python\n1 / 0\n```\n", 0),
        ("<!-- needs no_such_module -->\n```python\nimport no_such_module\n```\n", 0),
        ("<!-- needs math -->\n```python\nprint(0)\n```\n", 1),
        ("```python\nprint('took 0.31 s')\n```\n```text\ntook 2 s\n```\n", 0),
    ],
)
def test_a_page_that_says_something_else_is_reported(text: str, count: int, monkeypatch):
    monkeypatch.delenv("ALL_BLOCKS", raising=False)
    assert len(faults(text, SHOWN_ADDRESS)) == count
