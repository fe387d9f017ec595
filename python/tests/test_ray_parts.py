"""What `backpropd.ray` does without Ray: the order of samples, the tree of sums, the plan of workers, reading answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import backpropd as bp
from backpropd.ray import fit, grade
from backpropd.ray._cluster import plan_workers
from backpropd.ray._desk import Desk, Terms, read_answers
from backpropd.ray._order import batch_rows, shuffled
from backpropd.ray._sums import Sum, cut, flat_gradient, gradient_set, split, tree_sum


@pytest.mark.parametrize(
    ("rows", "size", "seed"),
    [(7, 2, 3), (50, 8, -1), (1000, 64, 12_345_678_901), (70_000, 7_000, 9), (20, 20, 5), (9, 4, None)],
)
def test_the_steps_visit_the_rows_that_the_server_visits(lab: bp.Lab, rows: int, size: int, seed: int | None) -> None:
    # The loss of a step, Σ x² / 2m, tells its rows: the weight is 1 and hardly moves.
    x = np.sqrt(np.random.default_rng(1).permutation(rows).astype(float))[:, None]
    net = lab.model([1, 1], parameters=[[[1.0]]], learning_rate=1e-300)
    steps = 2 * -(-rows // size) + 1
    history = net.fit(x, np.zeros((rows, 1)), steps=steps, batch_size=size, shuffle_seed=seed)
    epochs, losses = zip(
        *((epoch, (x[visited] ** 2).sum() / (2 * len(visited))) for epoch, visited in batch_rows(rows, size, seed, steps)),
        strict=True,
    )
    np.testing.assert_allclose(losses, history.losses, rtol=1e-12)
    assert list(epochs) == history.epochs.tolist()


def test_an_order_has_each_row_once() -> None:
    for rows in (1, 2, 3, 13, 14, 100):
        assert sorted(shuffled(rows, 1, 1).tolist()) == list(range(rows))
    assert shuffled(100, 1, 1).tolist() != shuffled(100, 1, 2).tolist()


def brackets(count: int, workers: int) -> str:
    """The order of additions, as brackets around the numbers of the micro-batches."""

    class Text(str):
        __slots__ = ()

        def __add__(self, other: str) -> Text:
            return Text(f"({self} {other})")

    def leaf(leaves: tuple[int, int]) -> Any:
        return Text(leaves[0]) if leaves[1] - leaves[0] == 1 else None

    parts = {part: tree_sum(part, leaf) for share in cut(count, workers) for part in share}
    return str(tree_sum((0, count), parts.get))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17])
def test_sums_are_added_in_the_same_order_for_any_number_of_workers(count: int) -> None:
    orders = {brackets(count, workers) for workers in range(1, count + 3)}
    assert len(orders) == 1


def test_the_order_of_sums_is_a_balanced_tree() -> None:
    assert brackets(5, 2) == "(((0 1) 2) (3 4))"
    assert split((0, 16)) == ((0, 8), (8, 16))


@pytest.mark.parametrize(("workers", "shares"), [(1, [16]), (2, [8, 8]), (3, [6, 6, 4]), (4, [4] * 4), (16, [1] * 16)])
def test_workers_have_about_the_same_number_of_micro_batches(workers: int, shares: list[int]) -> None:
    assert [sum(end - first for first, end in share) for share in cut(16, workers)] == shares


def test_a_gradient_goes_to_the_server_as_it_came(lab: bp.Lab, batch: tuple[Any, Any]) -> None:
    net = lab.model([4, bp.Layer(3, "tanh", bias=True), 1], seed=2)
    g = net.gradients(*batch, include=("dW", "db"))
    flat = flat_gradient(net.spec, g._reply.tensors)
    assert flat.tolist() == [*g.dW[1].ravel(), *g.db[1], *g.dW[2].ravel()]
    sent = gradient_set(net.spec, flat, 0.5)
    assert sent.weight == 0.5
    assert [np.frombuffer(named.tensor.raw).tolist() for named in sent.tensors] == [
        g.dW[1].ravel().tolist(), g.db[1].tolist(), g.dW[2].ravel().tolist()
    ]  # fmt: skip


def test_sums_add_up() -> None:
    total = Sum(2, 1.5, 1, np.array([1.0, 2.0])) + Sum(3, 0.5, 2, np.array([10.0, 20.0]))
    assert (total.rows, total.loss, total.right, total.gradient.tolist()) == (5, 2.0, 3, [11.0, 22.0])


@pytest.mark.parametrize(
    ("given", "cpus", "spare", "planned"),
    [
        ((None, None), 2, 1, (1, 1.0)),
        ((None, None), 16, 1, (15, 1.0)),
        ((2, None), 2, 1, (2, 0.5)),
        ((2, None), 2, 0, (2, 1.0)),
        ((3, None), 2, 1, (3, 0.33)),
        ((None, None), 1, 1, (1, 0.5)),
        ((8, 4.0), 2, 1, (8, 4.0)),
        ((None, 4.0), 17, 1, (4, 4.0)),
    ],
)
def test_workers_leave_cpus_for_the_tasks_that_feed_them(
    given: tuple[int | None, float | None], cpus: float, spare: float, planned: tuple[int, float]
) -> None:
    plan = plan_workers(*given, cluster_cpus=cpus, spare_cpus=spare)
    assert (plan.count, plan.num_cpus) == planned
    assert plan.threads >= plan.num_cpus


@pytest.mark.parametrize("given", [{"workers": 0, "num_cpus": None}, {"workers": None, "num_cpus": -1.0}])
def test_a_number_of_workers_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it is above 0"):
        plan_workers(**given, cluster_cpus=2, spare_cpus=1)


ANSWERS = {"1.1": "h", "1.2": "x"}


@pytest.mark.parametrize(
    "given",
    [
        ANSWERS,
        {**ANSWERS, "1.3": None},
        list(ANSWERS.items()),
        json.dumps(ANSWERS),
        json.dumps({"assignment": "hw-backprop", "answers": ANSWERS}),
        json.dumps(ANSWERS).encode(),
    ],
)
def test_answers_come_as_mappings_pairs_or_json(given: Any) -> None:
    assert read_answers(given) == ANSWERS


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "missing"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("3", "int"),
        ("[1, 2]", "list"),
        ({"1.1": 3}, "the answer to '1.1' is int"),
        (b"\xff\xfe", "no JSON"),
        ([([], "x")], "pairs of the id of a question"),
    ],
)
def test_answers_that_cannot_be_read_are_told_with_the_reason(given: Any, reason: str) -> None:
    with pytest.raises(bp.InvalidHandIn, match=reason):
        read_answers(given)


def test_a_desk_whose_server_ends_gives_the_same_results_and_leaves_no_secret() -> None:
    content = (ROOT / "examples/class/ada.json").read_bytes()
    answers = read_answers(content)
    desk = Desk(Terms("hw-backprop", secret=b"of the course", graded_at=1_800_000_000))
    try:
        first = desk.grade_answers(answers, "ada")
        assert first.receipt
        assert desk.grade_hand_in(content, "elsewhere/ada.json", "ada") == first
        for again in (desk.grade_answers, lambda _, student: desk.grade_hand_in(content, "ada.json", student)):
            assert desk._server is not None
            desk._server._child.kill()
            assert again(answers, "ada") == first
        assert not [name for name in Path(desk._files.name).rglob("*") if name.is_file()]
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("content", "name", "student", "reason"),
    [
        (b"%PDF", "a.pdf", "ada", "hand-in.pdf"),
        (b"", "a.json", "ada", "EOF"),
        (b"{}", "a.json", "x" * 300, "256 bytes"),
        (b"{}", "a.json", "a\0b", "NUL"),
        (b"\xff\xd8", "photo.jpg", "ada", "hand-in.jpg"),
        (b"\xff\xd8", "no\0name.../..", "ada", "hand-in"),
    ],
)
def test_a_hand_in_that_cannot_be_read_says_why_and_not_where(content: bytes, name: str, student: str, reason: str) -> None:
    desk = Desk(Terms("hw-backprop", secret=b"of the course", graded_at=1_800_000_000))
    try:
        with pytest.raises(bp.InvalidHandIn, match=reason) as raised:
            desk.grade_hand_in(content, name, student)
        assert "backpropd-" not in str(raised.value)
    finally:
        desk.close()


def test_without_ray_the_error_says_what_to_install(lab: bp.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"backpropd\[ray\]"):
        grade(None, "hw-backprop", secret="s")
    with pytest.raises(ImportError, match=r"backpropd\[ray\]"):
        fit(lab.model([1, 1]), [[1.0]], [[1.0]])
