"""The version of this package, which is that of its program."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path


@cache
def package_version() -> str:
    """The version as Cargo.toml has it, such as "0.1.0" or "0.2.0-rc.1"."""
    # In a checkout, or an editable installation of one, Cargo.toml may be newer than what was installed.
    manifest = Path(__file__).parents[2] / "Cargo.toml"
    if manifest.is_file():
        text = manifest.read_text(encoding="utf-8")
        found = re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', text, re.MULTILINE)
        if found and '\nname = "backpropd"\n' in text:
            return found[1]
    # Reading it takes a while, and most who import the package never ask.
    from importlib.metadata import version

    return version("backpropd")


def are_same(one: str, other: str) -> bool:
    """Whether two spellings are of one version: Cargo writes 0.2.0-rc.1, Python writes 0.2.0rc1."""
    return _as_python_writes(one) == _as_python_writes(other)


def _as_python_writes(version: str) -> str:
    spelled = re.sub(r"-?(alpha|a)\.?(?=\d)", "a", version)
    spelled = re.sub(r"-?(beta|b)\.?(?=\d)", "b", spelled)
    return re.sub(r"-?rc\.?(?=\d)", "rc", spelled)
