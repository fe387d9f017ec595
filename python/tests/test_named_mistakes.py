"""`g.check` names the mistakes of the 75 wrong backward passes, and accepts every right one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from conftest import Server
from wrong_backwards import PROGRAMS, RIGHT, WRONG, Case

import backpropd as bp

SAMPLES = 9
NAMED_AT_LEAST = 0.95


class Task:
    """A network with a batch, and everything that a student's program needs."""

    def __init__(self, lab: bp.Lab, name: str) -> None:
        self.program = PROGRAMS[name]
        # A unit that is dead, or never masked, would hide a mistake.
        tries = (self._set_up(lab, np.random.default_rng(seed)) for seed in range(1000))
        assert any(tries)

    def _set_up(self, lab: bp.Lab, rng: np.random.Generator) -> bool:
        """Makes network and batch, and says whether every unit has a positive and a negative z."""
        sizes, options = self.program.sizes, self.program.options
        x, y = rng.normal(size=(SAMPLES, sizes[0])), rng.normal(size=(SAMPLES, sizes[-1]))
        if self.program.is_classification:
            y = np.eye(sizes[-1])[np.arange(SAMPLES) % sizes[-1]] if sizes[-1] > 1 else (y > 0) * 1.0
        weights = [rng.normal(size=(units, before)) for before, units in pairwise(sizes)]
        biases = [rng.normal(size=units) if options.get("bias") else None for units in sizes[1:]]
        net = lab.model(sizes, parameters=list(zip(weights, biases, strict=True)), **options)
        self.gradients = net.gradients(x, y)
        self.inputs = {"x": x, "y": y}
        self.inputs.update({f"W{layer}": array for layer, array in self.gradients.W.items()})
        self.inputs.update({f"b{layer}": array for layer, array in self.gradients.b.items()})
        shares = [(z >= 0).mean(axis=0) for z in self.gradients.z.values()]
        return all(((share > 0) & (share < 1)).all() for share in shares)

    def grade(self, case: Case) -> bp.GradientsReport:
        """The results for the gradients of a case."""
        return self.gradients.grade(**self.program.run(self.inputs, case.replaced), **dict(case.options))


@pytest.fixture(scope="module")
def tasks(server: Server) -> Iterator[dict[str, Task]]:
    with bp.connect(server.address) as lab:
        yield {name: Task(lab, name) for name in PROGRAMS}


def nearest(report: bp.GradientsReport) -> bp.TensorResult | None:
    """The first wrong tensor on the way back: those of later lines have its mistake by inheritance."""
    wrong = [result for result in report.values() if not result.is_right]
    return max(wrong, key=lambda result: (result.key == "delta", result.key[2:], result.key), default=None)


def is_named(case: Case, result: bp.TensorResult) -> bool:
    """Whether the result names the mistake. A message on two mistakes at once names each in parentheses."""
    both = set(re.findall(r"\(([A-Z_]{5,})\)", result.message))
    return result.mistake in case.mistakes or (bool(both) and both <= case.mistakes)


def test_right_backwards_are_accepted_in_every_style(tasks: dict[str, Task]) -> None:
    refused = [f"{case}\n{report}" for case in RIGHT if not (report := tasks[case.program].grade(case)).is_right]
    assert refused == []


def test_every_wrong_backward_is_wrong(tasks: dict[str, Task]) -> None:
    assert len(WRONG) == len({str(case) for case in WRONG}) == 75
    assert [str(case) for case in WRONG if tasks[case.program].grade(case).is_right] == []


def misnamed(tasks: dict[str, Task]) -> dict[Case, bp.TensorResult]:
    """The cases whose mistake gets another name, or none."""
    found: dict[Case, bp.TensorResult] = {}
    for case in WRONG:
        result = nearest(tasks[case.program].grade(case))
        if result is not None and not is_named(case, result):
            found[case] = result
    return found


UNNAMED = {
    "homework: dz1 = dh1 * (z1 > 0.5)": "no threshold but 0 is tried",
}
"""The mistakes that the grader does not name yet, and what it does not try."""


def test_the_mistakes_that_are_not_named_are_known(tasks: dict[str, Task]) -> None:
    others = misnamed(tasks)
    assert {str(case) for case in others} <= set(UNNAMED)
    # What has no name is called OTHER: no mistake gets the name of another.
    assert {result.mistake for result in others.values()} <= {"OTHER"}


def test_the_mistake_is_named(tasks: dict[str, Task]) -> None:
    others = misnamed(tasks)
    listed = "\n".join(f"{case}\n    {' or '.join(sorted(case.mistakes))}, named {result}" for case, result in others.items())
    assert 1 - len(others) / len(WRONG) >= NAMED_AT_LEAST, listed


def test_the_message_of_the_exception_has_mistake_tensor_and_entries(tasks: dict[str, Task]) -> None:
    case = WRONG[0]
    task = tasks[case.program]
    with pytest.raises(bp.WrongGradients) as raised:
        task.gradients.check(**task.program.run(task.inputs, case.replaced))
    first = str(raised.value).splitlines()[0]
    assert first.startswith(("dW¹ MISSING_MASK", "dW² MISSING_MASK"))
    assert "z2" in str(raised.value)
    assert "wrong entries (row, column)" in str(raised.value)
