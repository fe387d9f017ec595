"""The reference of the package is that of its docstrings."""

from __future__ import annotations

import sys

import pytest
from pages import ROOT

import backpropd as bp

pytest.importorskip("griffe", exc_type=ImportError)
sys.path.insert(0, str(ROOT / "python/tools"))

import api_page


def test_the_reference_is_up_to_date():
    shown = api_page.PAGE.read_text("utf-8")
    assert shown == api_page.page(), "docs/python_api.md is stale: run `python python/tools/api_page.py`"


def test_every_public_name_has_an_entry():
    text = api_page.PAGE.read_text("utf-8")
    missing = [
        name
        for name in bp.__all__
        if name not in api_page.LEFT_OUT and f"\n### {name}\n" not in text and f"\n| `{name}` |" not in text
    ]
    assert not missing
    assert "\n## More\n" not in text, "give each name a chapter in python/tools/api_page.py"


def test_no_argument_is_without_a_meaning():
    lines = api_page.PAGE.read_text("utf-8").splitlines()
    table = [line for line in lines if line.startswith("| `") and line.count(" | ") >= 3]
    bare = [line for line in table if line.endswith("|  |")]
    assert len(table) > 100
    assert not bare, "\n".join(bare)
