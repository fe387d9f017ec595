"""The magics of notebooks, in a shell without a display."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Server, program

import backpropd as bp

pytest.importorskip("IPython", reason="IPython is not installed")

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

RIGHT = r"\delta (W^3 \odot (z^2 \geq 0))^\top h^1"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("BACKPROPD_BIN", program())
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "backpropd")
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def homework(shell: Any) -> Any:
    shell.run_line_magic("backprop_assignment", "hw-backprop")
    return shell


def answer(shell: Any, line: str, cell: str) -> Any:
    return shell.run_cell_magic("backprop_answer", line, cell)


def test_the_assignment_shows_its_questions(shell: Any) -> None:
    shown = shell.run_line_magic("backprop_assignment", "hw-backprop")
    assert "25 questions, 50 points" in repr(shown)
    assert "1.11" in repr(shown)
    assert "<td>1.11</td>" in shown._repr_html_()
    assert repr(shell.run_line_magic("backprop_assignment", "")) == repr(shown)


def test_a_right_cell(homework: Any) -> None:
    graded = answer(homework, "1.11", f"\n{RIGHT}\n")
    assert graded.is_right
    assert graded.answer == RIGHT
    assert repr(graded).startswith("1.11: correct, 2 of 2 points\n  understood: ")
    assert "✓ correct" in graded._repr_html_()


def test_a_wrong_cell_names_the_mistake(homework: Any) -> None:
    graded = answer(homework, "1.11 hints", r"\delta W^{3 \top}{}^\top h^1".replace(r"{3 \top}{}^\top", "3"))
    assert not graded.is_right
    assert "MISSING_MASK" in repr(graded)
    assert "hint: " in repr(graded)
    graded = answer(homework, "1.1", r"-\delta h^2_{1,1}")
    assert "SIGN_FLIPPED" in repr(graded)
    assert "✗" in graded._repr_html_()


def test_a_formula_that_cannot_be_read_is_underlined(homework: Any) -> None:
    graded = answer(homework, "1.11", "\\delta +\n  (W^3 & 1")
    lines = repr(graded).splitlines()
    assert lines[0].startswith("1.11: invalid SYNTAX_ERROR")
    assert lines[1] == "    (W^3 & 1"
    assert set(lines[2].strip()) == {"^"}
    assert '<u style="text-decoration:underline wavy' in graded._repr_html_()


@pytest.mark.parametrize(
    "cell", ["<script>alert(1)</script>", "ünïcödé δ ⊙", "x" * 5000, "\0", "{" * 300, "%%backprop_answer 1.1"]
)
def test_any_cell_has_a_result_that_is_safe_to_show(homework: Any, cell: str) -> None:
    graded = answer(homework, "1.11", cell)
    assert graded.result.verdict in ("invalid", "incorrect")
    assert graded.result.message
    assert "<script>" not in graded._repr_html_()
    assert repr(graded)


def test_cells_that_are_no_answers_are_explained(homework: Any) -> None:
    refused = {
        ("", "x"): "which question is it? Write %%backprop_answer 1.1",
        ("1.11", " \n "): "the cell is empty",
        ("1.111", "x"): "has no question 1.111: did you mean 1.11",
        ("quiz", "x"): "has no question quiz: it has 1.1, 1.2",
        ("1.1 1.2", "x"): "is no question: write its id",
        ("1.1 everything", "x"): "verdict, mistake, hints, reference",
        ("'1.1", "x"): "cannot be read: No closing quotation",
    }
    for (line, cell), reason in refused.items():
        with pytest.raises(UsageError, match=reason.replace("?", r"\?")):
            answer(homework, line, cell)


def test_without_an_assignment_the_way_is_said(shell: Any) -> None:
    for magic in (lambda: answer(shell, "1.1", "x"), lambda: shell.run_line_magic("backprop_assignment", "")):
        with pytest.raises(UsageError, match="%backprop_assignment NAME"):
            magic()


@pytest.mark.parametrize("line", ["none-such", "none-such.toml", "hw-backprop lab", "hw-backprop number", "a b c"])
def test_assignments_that_cannot_be_used_are_refused(shell: Any, line: str) -> None:
    shell.user_ns["number"] = 7
    with pytest.raises(UsageError, match=r"no assignment|not defined|is a int|too many"):
        shell.run_line_magic("backprop_assignment", line)


def test_an_assignment_in_a_file(shell: Any) -> None:
    file = ROOT / "assignments" / "logistic-regression.toml"
    shown = shell.run_line_magic("backprop_assignment", f'"{file}"')
    first = shown._assignment.questions[0].id
    graded = answer(shell, f"{first} reference", "7")
    assert graded.result.id == first
    assert not graded.is_right
    assert graded.result.reference
    assert "reference: " in repr(graded)
    assert "reference: $$" in graded._repr_html_()


def test_a_lab_of_the_notebook_grades(shell: Any, server: Server) -> None:
    with bp.connect(server.address) as lab:
        shell.user_ns["course"] = lab
        shell.run_line_magic("backprop_assignment", "hw-backprop course")
        assert answer(shell, "1.11", RIGHT).is_right
    with pytest.raises(UsageError, match=r"not graded: .* is closed"):
        answer(shell, "1.11", RIGHT)


def test_a_cell_magic_in_a_cell_shows_its_result(homework: Any) -> None:
    done = homework.run_cell(f"%%backprop_answer 1.11\n{RIGHT}")
    assert done.success
    assert done.result.is_right
    failed = homework.run_cell("%%backprop_answer 9.9\nx")
    assert isinstance(failed.error_in_exec, UsageError)
