"""Writes the classes of `backpropd/_reasons.py` from the table of docs/errors.md.

    python python/tools/errors_table.py

A test holds the file against the table.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/errors.md"
MODULE = ROOT / "python/backpropd/_reasons.py"

BASES = {
    "INVALID_ARGUMENT": "Error, ValueError",
    "NOT_FOUND": "Error, LookupError",
    "UNAUTHENTICATED": "Unauthenticated",
    "PERMISSION_DENIED": "PermissionDenied",
    "RESOURCE_EXHAUSTED": "LimitReached",
    "UNAVAILABLE": "Unavailable",
}

HEAD = '''"""An exception for each reason of the server."""

# Written by python/tools/errors_table.py from docs/errors.md: do not edit.

from __future__ import annotations

from ._errors import Error, LimitReached, PermissionDenied, Unauthenticated, Unavailable
'''


def reasons() -> dict[str, tuple[set[str], list[str]]]:
    """The codes and the meanings of each reason of the page, in its order."""
    table = re.search(r"<!-- reasons -->(.*?)<!-- /reasons -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert table, f"{PAGE} has no table of reasons"
    found: dict[str, tuple[set[str], list[str]]] = {}
    for reason, code, meaning in re.findall(r"^\| `(\w+)` \| `(\w+)` \| \w+ \| (.*) \|$", table[1], re.MULTILINE):
        codes, meanings = found.setdefault(reason, (set(), []))
        codes.add(code)
        meanings.append(meaning)
    return found


def class_name(reason: str) -> str:
    """STEP_MISMATCH is StepMismatch."""
    return reason.title().replace("_", "")


def module() -> str:
    """The text of the module."""
    parts = [HEAD]
    for reason, (codes, meanings) in reasons().items():
        base = next((BASES[code] for code in BASES if code in codes), "Error")
        text = " Or: ".join(meanings).replace("\\", "\\\\")
        parts.append(f'\n\nclass {class_name(reason)}({base}):\n    """{text}"""\n')
    names = "".join(f'    "{name}",\n' for name in sorted(map(class_name, reasons())))
    parts.append(f"\n\n__all__ = [\n{names}]\n")
    entries = "".join(f'    "{reason}": {class_name(reason)},\n' for reason in reasons())
    parts.append(f'\nREASONS: dict[str, type[Error]] = {{\n{entries}}}\n"""The exception of each reason."""\n')
    return "".join(parts)


if __name__ == "__main__":
    MODULE.write_text(module(), "utf-8")
