"""Graded gradients and formulas, explanations, files and folders of hand-ins."""

import shutil

import numpy as np
import pytest
from conftest import ROOT, program

import backpropd as bp

RIGHT = r"\delta (W^3 \odot (z^2 \geq 0))^\top h^1"


@pytest.fixture
def g(lab, batch):
    return lab.model([4, 3, 2, 1], seed=11).gradients(*batch)


@pytest.fixture
def found_program(monkeypatch):
    import sys
    import types

    module = types.ModuleType("backpropd._program")
    module.find = program
    module.ProgramError = RuntimeError
    monkeypatch.setitem(sys.modules, "backpropd._program", module)


MISTAKES = {
    "MISSING_MASK": lambda g, W: {2: (g.delta @ W[3]).T @ g.h[1]},
    "SIGN_FLIPPED": lambda g, W: {2: -g.dW[2]},
    "CONSTANT_FACTOR": lambda g, W: {2: 3 * g.dW[2]},
    "MISSING_BATCH_MEAN": lambda g, W: {2: len(g.x) * g.dW[2]},
    "TRANSPOSED_RESULT": lambda g, W: {2: g.dW[2].T},
    "SHAPE_MISMATCH": lambda g, W: {2: np.ones((5, 5))},
    "FIRST_SAMPLE_ONLY": lambda g, W: {2: g.dz[2][:1].T @ g.h[1][:1]},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_an_assertion_error(g, mistake):
    with pytest.raises(AssertionError, match=f"^dW² {mistake}: ") as raised:
        g.check(dW=MISTAKES[mistake](g, g.W))
    report = raised.value.report
    assert not report.is_right
    assert not report["dW2"].is_right


def test_the_message_has_the_wrong_entries(g):
    wrong = g.dW[2].copy()
    wrong[1, 2] += 1
    with pytest.raises(bp.WrongGradients, match=r"wrong entries \(row, column\): \(2, 3\) is ") as raised:
        g.check(dW={2: wrong})
    result = raised.value.report["dW2"]
    assert (result.worst[0].row, result.worst[0].column) == (2, 3)
    np.testing.assert_array_equal(result.grid, wrong == g.dW[2])
    assert result.largest_absolute_error == pytest.approx(1, rel=0.01)


def test_every_gradient_is_compared_in_every_form(lab, batch):
    g = lab.model([4, 3, 2, 1], seed=11, bias=True).gradients(*batch)
    report = g.check(
        dW=[g.dW[1], g.dW[2], g.dW[3]],
        db={1: g.db[1].tolist(), 2: g.db[2].reshape(1, -1)},
        dz=g.dz,
        dh={2: g.dh[2].astype(">f8")},
        dx=np.asfortranarray(g.dx),
        delta=g.delta.tolist(),
    )
    assert set(report) == {"dW1", "dW2", "dW3", "db1", "db2", "dz1", "dz2", "dz3", "dh2", "dx", "delta"}
    assert len(report) == 11
    assert "✓ dW¹: " in repr(report)
    assert g.check(dW=g.dW, tolerance="float32").is_right
    assert g.check(dW={1: g.dW[1] * 1.001}, tolerance=0.01).is_right
    with pytest.raises(bp.WrongGradients):
        g.check(dW={1: g.dW[1] * 1.01}, tolerance="exact")
    with pytest.raises(ValueError, match="tolerance is 'loose'; it may be 'exact'"):
        g.check(dW=g.dW, tolerance="loose")


def test_nan_and_an_empty_gradient_are_wrong_and_no_error(g):
    assert not g.grade(delta=np.full((6, 1), np.nan)).is_right
    assert not g.grade(delta=np.empty((0, 1))).is_right
    assert not g.grade(delta=3.0).is_right


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no gradient is given"),
        ({"dW": {0: [[1.0]]}}, "layers count from 1"),
        ({"dW": {"2": [[1.0]]}}, "layers count from 1"),
        ({"dW": np.ones((2, 3))}, r"dW is ndarray: give the arrays by layer, as in dW=\{2: mine\}"),
        ({"dW": {2: np.ones((2, 3)) * 1j}}, "take its real part"),
    ],
)
def test_what_is_no_gradient_is_refused(g, given, says):
    with pytest.raises(bp.InvalidArray, match=says):
        g.check(**given)


def test_the_learning_rate_tells_gradients_after_the_update(lab, batch):
    x, y = batch
    net = lab.model([4, 3, 2, 1], seed=11)
    g = net.gradients(x, y)
    W3 = g.W[3] - 0.5 * g.dW[3]
    late = ((g.delta @ W3) * (g.z[2] >= 0)).T @ g.h[1]
    report = bp.grade_gradients(net, x, y, dW={2: late}, learning_rate=0.5, dataset_size=60)
    assert report["dW2"].mistake == "UPDATED_WEIGHTS_USED"


def test_an_entry_is_explained(g):
    explained = g.explain("dW²", 2, 3)
    assert explained.value == g.dW[2][1, 2]
    assert explained.text.startswith("dW²₂₃ = dz²₁₂·h¹₁₃ + ")
    assert str(explained.equations[0].terms[0].factors[0].key) == "dz2"
    assert repr(explained) == explained.text
    assert explained._repr_latex_().startswith("$\\displaystyle \\begin{gathered}")
    assert len(g.explain("delta", 1, expand="leaves").equations) > 1
    assert g.explain("dW2", 2, 3, expand="chain", max_terms=1).equations[0].folded_terms > 0
    with pytest.raises(bp.InvalidRequest):
        g.explain("dW2", 9, 9)
    for wrong in ("dw2", "dW", "delta2", "W3 + 1"):
        with pytest.raises(ValueError, match="quantity|needs its layer|has no layer"):
            g.explain(wrong, 1, 1)


def test_formulas_are_graded_by_question(lab):
    report = lab.grade("hw-backprop", {"1.11": RIGHT, "1.1": "δ + )", "9.9": "1"}, reveal="hints", student="Ada")
    assert report["1.11"].is_right
    assert report["1.11"].understood
    assert report["1.1"].verdict == "invalid"
    assert report["1.1"].mistake == "SYNTAX_ERROR"
    assert report["1.1"].span == (4, 5)
    assert report["1.1"].hints
    assert report.unknown_answers == ("9.9",)
    assert (report.assignment, report.student, report.score) == ("hw-backprop", "Ada", 2.0)
    assert len(report) == 25
    assert "1.11: correct" in repr(report)
    assert len(report.unanswered) == 23
    for shown in (repr(report), report._repr_html_()):
        assert "23 unanswered: 1.2, 1.3" in shown
        assert "9.9: hw-backprop has no such question" in shown
        assert "No answer was given" not in shown
    with pytest.raises(bp.NotFound):
        lab.grade("none", {})
    with pytest.raises(ValueError, match="reveal is 'all'"):
        lab.grade("hw-backprop", {}, reveal="all")


def test_an_assignment_has_its_questions(lab):
    assignment = lab.assignment("hw-backprop")
    assert assignment.units == (4, 3, 2, 1)
    assert len(assignment.questions) == assignment.question_count == 25
    assert sum(question.points for question in assignment.questions) == assignment.max_score
    written = bp.load_assignment(ROOT / "assignments/hw-backprop.toml")
    assert [q.id for q in written.questions] == [q.id for q in assignment.questions]
    assert written.questions[0]._repr_latex_() == assignment.questions[0].prompt
    assert (written.title, written.max_score, written.units) == (assignment.title, assignment.max_score, assignment.units)


def test_a_file_that_is_no_assignment_is_refused(tmp_path):
    file = tmp_path / "a.toml"
    for text in ("id = ", 'id = "x"', 'id = "x"\nquestions = 3\n'):
        file.write_text(text)
        with pytest.raises(bp.InvalidHandIn, match="backpropd check"):
            bp.load_assignment(file)
    with pytest.raises(bp.InvalidHandIn):
        bp.load_assignment(tmp_path / "missing.toml")


def test_hand_ins_in_files_are_graded(found_program, lab, tmp_path):
    file = tmp_path / "answers.json"
    file.write_text('{"assignment": "hw-backprop", "answers": {"1.11": "\\\\delta)"}}')
    report = bp.grade("hw-backprop", file)
    assert report["1.11"].mistake == "SYNTAX_ERROR"
    assert report["1.11"].span == (6, 7)
    assert bp.grade("hw-backprop", {"1.11": RIGHT}, lab=lab)["1.11"].is_right
    own = tmp_path / "own.toml"
    own.write_text((ROOT / "assignments/hw-backprop.toml").read_text().replace('id = "hw-backprop"', 'id = "my-hw"', 1))
    graded = bp.grade(own, {"1.11": RIGHT, "1.1": "δ)"}, student="Ada", reveal="reference")
    assert graded.assignment == "my-hw"
    assert graded["1.11"].is_right
    assert graded["1.11"].reference
    assert graded["1.1"].span == (1, 2)
    with pytest.raises(bp.InvalidHandIn, match="cannot read"):
        bp.grade("hw-backprop", tmp_path / "missing.json")
    with pytest.raises(bp.InvalidHandIn, match="no assignment"):
        bp.grade("none", file)
    own.write_text("title = 1")
    with pytest.raises(bp.InvalidHandIn, match="it has no id"):
        bp.grade(own, file)
    with pytest.raises(bp.InvalidHandIn, match="cannot be read"):
        bp.grade(tmp_path / "missing.toml", file)


def test_a_class_is_graded(found_program, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ada", "alan"):
        shutil.copy(ROOT / f"examples/class/{name}.json", folder)
    (folder / "bob.json").write_text("{")
    graded = bp.grade_class(folder, out=tmp_path / "pages")
    assert set(graded) == {"ada", "alan", "bob"}
    assert graded["ada"].report.score == graded.scores["ada"] > 0
    assert graded["bob"].report is None or graded["bob"].report.score == 0
    assert graded.scores["bob"] == 0
    assert len(graded) == 3
    assert "3 hand-ins" in repr(graded)
    assert graded.mistakes["1.1"]
    assert "ada" in graded._repr_html_()
    assert (tmp_path / "pages/index.html").exists()
    with pytest.raises(bp.InvalidHandIn, match="is no folder"):
        bp.grade_class(tmp_path / "none")
    with pytest.raises(bp.InvalidHandIn, match="bp.grade_class grades it"):
        bp.grade("hw-backprop", folder)
