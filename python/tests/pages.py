"""The Python blocks of the repository's Markdown pages, and the output that the pages show below them.

A block with `<!-- not run: why -->` or `<!-- run by FILE -->` before it is left to its reader, or to that file; the text block
that follows a block is its output. `<!-- needs MODULE -->` says that a block needs more than numpy. `tests/readme/blocks.rs`
reads the pages in the same way, and leaves Python to these tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_LEFT_OUT = ("<!-- not run: ", "<!-- run by ")
_FOLDERS_LEFT_OUT = {".git", "target", "node_modules", "corpus", ".venv", "venv"}
_TIMES = re.compile(r"\b[0-9]+(\.[0-9]+)? (ms|s)\b")


@dataclass
class Block:
    """A block of Python."""

    line: int
    """Line of its first statement in the page, from 1."""
    code: str
    needs: str = ""
    """A module that need not be installed."""
    shown: str = ""
    """The output that the page shows; "" if it shows none."""


def pages() -> list[Path]:
    """The pages with Python in them, in the order of their paths."""
    found: list[Path] = []
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in _FOLDERS_LEFT_OUT:
                folders.append(path)
            elif path.suffix == ".md" and blocks(path.read_text("utf-8")):
                found.append(path)
    return sorted(found)


def blocks(text: str) -> list[Block]:
    """The blocks of a page that have to run."""
    found: list[Block] = []
    last: Block | None = None
    for before, follows, language, line, lines in _fences(text):
        is_left_out = before.startswith(_LEFT_OUT) and before.endswith(" -->")
        if language == "text" and follows and last is not None:
            last.shown += "\n".join(lines) + "\n"
        elif language == "python" and not is_left_out:
            needs = re.fullmatch(r"<!-- needs (\w+) -->", before)
            last = Block(line, "\n".join(lines) + "\n", needs[1] if needs else "")
            found.append(last)
        else:
            last = None
    return found


def _fences(text: str) -> Iterator[tuple[str, bool, str, int, list[str]]]:
    """For each fenced block the line before it, whether it follows another block, its language, its first line, its text."""
    before, follows, language, start = "", False, "", 0
    inside: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```") and inside is None:
            language, start, inside = line[3:].strip(), number + 1, []
        elif line.startswith("```") and inside is not None:
            yield before, follows, language, start, inside
            before, follows, inside = "", True, None
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            before, follows = line, False


def difference(shown: str, printed: str) -> str:
    """How an output differs from the one of a page; "" if it does not. `…` stands for any text, and a time may differ."""
    wanted, got = (_TIMES.sub("N s", _lines(text)) for text in (shown, printed))
    if re.fullmatch(re.escape(wanted).replace("…", ".*"), got, re.DOTALL):
        return ""
    return f"the page shows\n{shown}and the block prints\n{printed}"


def _lines(text: str) -> str:
    """The text without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
