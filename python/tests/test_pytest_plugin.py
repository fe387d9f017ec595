"""pytest's plugin, in runs of pytest of its own."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from conftest import ROOT, program

pytest_plugins = "pytester"

HOMEWORK = """
import numpy as np
import pytest
import backpropd as bp

def check(g, mine):
    g.check(dW={2: mine})

def gradients(lab):
    net = lab.model([4, 3, 2, 1], seed=1)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 1))
    return net, net.gradients(x, y)

def test_wrong(lab):
    net, g = gradients(lab)
    mine = 3 * g.dW[2]
    g.check(dW={2: mine})

def test_wrong_in_a_helper(lab):
    net, g = gradients(lab)
    check(g, -g.dW[2])

def test_right(lab):
    net, g = gradients(lab)
    g.check(dW={2: g.dW[2]})

def test_expected(lab):
    net, g = gradients(lab)
    with pytest.raises(bp.WrongGradients):
        g.check(dW={2: 2 * g.dW[2]})

def test_other_failures_look_as_ever(lab):
    assert lab.models() == ["another"]

def test_a_report_without_a_frame_of_the_test():
    raise AssertionError("plain")
"""


@pytest.fixture
def homework(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("BACKPROPD_BIN", program())
    paths = [str(Path(__file__).resolve().parents[1])]
    if not any(entry.name == "backpropd" for entry in entry_points(group="pytest11")):
        # The package is not installed here: pytest finds its plugin by the same entry as if it were.
        section = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.entry-points.pytest11]")[2]
        entry = next(line for line in section.splitlines() if "=" in line and not line.startswith("#"))
        installed = pytester.mkdir("installed") / "plugin-1.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
        (installed / "entry_points.txt").write_text(f"[pytest11]\n{entry.replace(chr(34), '')}\n")
        paths.append(str(installed.parent))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini("[pytest]")
    pytester.makepyfile(test_homework=HOMEWORK)
    return pytester


def run(homework: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return homework.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_a_failed_check_shows_its_line_and_its_message_as_it_is(homework: pytest.Pytester) -> None:
    result = run(homework)
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        [
            "    def test_wrong(lab):",
            ">       g.check(dW={2: mine})",
            "dW² CONSTANT_FACTOR: *",
            "    wrong entries (row, column): *",
            "test_homework.py:17: WrongGradients",
            "    def check(g, mine):",
            ">       g.check(dW={2: mine})",
            "dW² SIGN_FLIPPED: *",
            "test_homework.py:6: WrongGradients",
            "E *assert [[]] == [[]'another'[]]",
            "FAILED test_homework.py::test_wrong - dW² CONSTANT_FACTOR: *",
        ]
    )
    text = result.stdout.str()
    assert "_gradients.py" not in text
    assert "E       backpropd" not in text


def test_other_styles_are_left_alone(homework: pytest.Pytester) -> None:
    result = run(homework, "--tb=line", "-k", "test_wrong")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*WrongGradients: dW² CONSTANT_FACTOR: *"])
    assert "dW²" not in run(homework, "--tb=no", "-k", "test_wrong", "-rN").stdout.str()


def test_a_file_of_results_has_the_message(homework: pytest.Pytester) -> None:
    run(homework, "--junitxml=results.xml", "-k", "test_wrong")
    assert "dW² CONSTANT_FACTOR" in (homework.path / "results.xml").read_text("utf-8")


def test_each_test_has_a_session_of_its_own_on_one_server(homework: pytest.Pytester) -> None:
    homework.makepyfile(
        test_sessions="""
        seen = []

        def test_one(lab):
            lab.model([2, 1], name="net")
            seen.append((lab.address, lab.session))

        def test_two(lab, backpropd_server):
            assert lab.models() == []
            assert lab.address == seen[0][0] == backpropd_server.address
            assert lab.session != seen[0][1]
            assert [session.name for session in lab.sessions()] == [lab.session]
            print("pid", backpropd_server.pid)
        """
    )
    result = run(homework, "-s", "test_sessions.py")
    result.assert_outcomes(passed=2)
    pid = next(line.split()[-1] for line in result.outlines if "pid " in line)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_fixture_of_that_name_replaces_ours(homework: pytest.Pytester) -> None:
    homework.makeconftest("import pytest\n\n@pytest.fixture\ndef lab():\n    return 7\n")
    homework.makepyfile(test_own="def test_own(lab):\n    assert lab == 7\n")
    run(homework, "test_own.py").assert_outcomes(passed=1)
