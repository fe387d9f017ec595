"""Writes the blocking surface from the one for asyncio: `backpropd/_lab.py` from `backpropd/aio/_lab.py`, and so on.

    python python/tools/mirror.py

The two have the same methods, parameters and texts; only `async` and `await` differ. A test holds the files against this.
"""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "backpropd"
MIRRORED = ("_entry.py", "_gradients.py", "_lab.py", "_network.py", "_runs.py")

REPLACED = (
    (r"\basync (def|for|with) ", r"\1 "),
    (r"\bawait ", ""),
    (r"\bAsyncGenerator\[([^\[\]]+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"^from \.\.(\w* )", r"from .\1"),
    (r"^from \.\.(\w)", r"from .\1"),
    (r"( +)from \.\.(\w+ import)", r"\1from .\2"),
)


def mirrored(file: str) -> str:
    """The text of a blocking module."""
    text = (PACKAGE / "aio" / file).read_text("utf-8")
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    head, _, rest = text.partition("\n")
    return f"{head}\n\n# Written by python/tools/mirror.py from aio/{file}: do not edit.\n{rest}"


if __name__ == "__main__":
    for name in MIRRORED:
        (PACKAGE / name).write_text(mirrored(name), "utf-8")
