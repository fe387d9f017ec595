"""Graded gradients and graded formulas, and the messages that ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _messages as pb
from ._arrays import Array, floats, tensor
from ._errors import InvalidArray, WrongGradients
from ._layers import LAYERED, QUANTITIES, key, symbol


@dataclass(frozen=True)
class WrongEntry:
    """A wrong entry."""

    row: int
    """Row, from 1."""
    column: int
    """Column, from 1."""
    given: float


@dataclass(frozen=True)
class TensorResult:
    """The result for one tensor."""

    key: str
    """"dW2"."""
    symbol: str
    """"dW²"."""
    verdict: str
    """"correct", "partial", "incorrect" or "invalid"."""
    mistake: str
    """The mistake, such as "MISSING_MASK"; "" if none was identified."""
    message: str
    """Explanation for the student."""
    largest_absolute_error: float | None
    largest_relative_error: float | None
    worst: tuple[WrongEntry, ...]
    """The wrong entries with the largest errors, at most five."""
    grid: Array | None
    """Correctness of each entry, booleans; None if the shape is wrong or there are very many."""
    closeness: str
    """"right", "within_one_percent" or "wrong"."""

    @property
    def is_right(self) -> bool:
        return self.verdict == "correct"

    def __str__(self) -> str:
        mark = "✓" if self.is_right else "✗"
        mistake = f" {self.mistake}" if self.mistake else ""
        return f"{mark} {self.symbol}{mistake}: {self.message}"


class GradientsReport(Mapping[str, TensorResult]):
    """The results for submitted gradients by their names: `report["dW2"].verdict`."""

    def __init__(self, results: Sequence[TensorResult], verdict: str, step: int, digest: str, tries_left: int | None) -> None:
        self._results = {result.key: result for result in results}
        self.verdict = verdict
        """"correct" if every tensor is."""
        self.step = step
        """Step of the weights used."""
        self.weights_digest = digest
        """BLAKE3 digest of the weights used."""
        self.tries_left = tries_left
        """Number of further tries against COMPARE_ONLY models in this session; None without such a limit."""

    def __getitem__(self, name: str) -> TensorResult:
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    @property
    def is_right(self) -> bool:
        """Whether every tensor is right."""
        return self.verdict == "correct"

    def raise_if_wrong(self) -> None:
        """Does nothing if every tensor is right.

        Raises:
            WrongGradients: an AssertionError with the server's message on each wrong tensor.
        """
        wrong = [result for result in self.values() if not result.is_right]
        if wrong:
            raise WrongGradients("\n".join(_sentence(result) for result in wrong), self)

    def __repr__(self) -> str:
        return "\n".join(str(result) for result in self.values())

    def _repr_html_(self) -> str:
        from ._display import gradients_report_html

        return gradients_report_html(self)


def _sentence(result: TensorResult) -> str:
    """A wrong tensor in an exception: its name, its mistake, the message and the entries."""
    head = f"{result.symbol} {result.mistake or result.verdict.upper()}: {result.message}"
    entries = [f"({entry.row}, {entry.column}) is {entry.given:.6g}" for entry in result.worst]
    return f"{head}\n    wrong entries (row, column): {'; '.join(entries)}" if entries else head


def submitted(
    *, dW: Any = None, db: Any = None, dz: Any = None, dh: Any = None, dx: Any = None, delta: Any = None
) -> list[Any]:
    """The NamedTensors of gradients by layer.

    Raises:
        InvalidArray: none is given, or one is neither a mapping from layers to arrays nor a list of them.
    """
    given = {"dW": dW, "db": db, "dz": dz, "dh": dh, "dx": dx, "delta": delta}
    tensors: list[Any] = []
    for name, value in given.items():
        if value is None:
            continue
        if name not in LAYERED:
            tensors.append(_named(name, 0, value))
            continue
        for layer, array in _by_layer(name, value).items():
            tensors.append(_named(name, layer, array))
    if not tensors:
        raise InvalidArray("no gradient is given: name some, such as dW={2: mine} or delta=mine")
    return tensors


def _by_layer(name: str, value: Any) -> Mapping[int, Any]:
    if isinstance(value, Mapping):
        wrong = [layer for layer in value if not isinstance(layer, (int, np.integer)) or layer < 1]
        if wrong:
            raise InvalidArray(f"{name} has the layer {wrong[0]!r}: layers count from 1, as in {name}={{2: mine}}")
        return {int(layer): array for layer, array in value.items()}
    if isinstance(value, (list, tuple)) and all(hasattr(array, "shape") for array in value):
        return dict(enumerate(value, start=1))
    raise InvalidArray(f"{name} is {type(value).__name__}: give the arrays by layer, as in {name}={{2: mine}}")


def _named(name: str, layer: int, value: Any) -> Any:
    array = floats(f"{name}[{layer}]" if layer else name, value)
    if array.ndim == 0:
        array = array.reshape(1)
    return pb.NamedTensor(quantity=QUANTITIES[name], layer=layer, tensor=tensor(array))


def read_gradients_report(reply: Any) -> GradientsReport:
    """The results of a GradeGradientsResponse."""
    return GradientsReport(
        results=[_read_tensor(report) for report in reply.tensors],
        verdict=pb.VERDICT.word(reply.verdict),
        step=reply.step,
        digest=reply.weights_digest,
        tries_left=reply.tries_left if reply.HasField("tries_left") else None,
    )


def _read_tensor(report: Any) -> TensorResult:
    return TensorResult(
        key=key(report.quantity, report.layer),
        symbol=symbol(report.quantity, report.layer),
        verdict=pb.VERDICT.word(report.verdict),
        mistake=pb.MISTAKE.word(report.mistake).upper(),
        message=report.message,
        largest_absolute_error=report.largest_absolute_error if report.HasField("largest_absolute_error") else None,
        largest_relative_error=report.largest_relative_error if report.HasField("largest_relative_error") else None,
        worst=tuple(WrongEntry(entry.row, entry.column, entry.given) for entry in report.worst),
        grid=_read_grid(report),
        closeness=pb.CLOSENESS.word(report.closeness),
    )


def _read_grid(report: Any) -> Array | None:
    if not report.HasField("grid"):
        return None
    return np.array(report.grid.right, bool).reshape(report.grid.rows, report.grid.columns)


@dataclass(frozen=True)
class Result:
    """The result for one answer."""

    id: str
    """Id of the question, such as "1.11"."""
    verdict: str
    """"correct", "partial", "incorrect" or "invalid"."""
    points: float
    max_points: float
    mistake: str
    """The mistake, such as "MISSING_MASK"; "" if none was identified."""
    message: str
    """Explanation for the student."""
    understood: str
    """The answer as it was understood, in LaTeX; "" if it could not be parsed."""
    understood_plain: str
    """The answer as it was understood, in plain text."""
    span: tuple[int, int] | None
    """Where the message points to in the answer, in characters: `answer[slice(*span)]`."""
    first_wrong_step: int
    """The first wrong step of a chain a = b = c, from 1; 0 if there is none."""
    grid: Array | None
    """Correctness of each entry, booleans, if the shape is right."""
    advice: tuple[str, ...]
    """Advice on notation."""
    hints: tuple[str, ...]
    """Hints, if asked for by reveal="hints"."""
    reference: str
    """The right formula in LaTeX, if asked for and allowed."""
    tags: tuple[str, ...]
    """Topics of the question."""
    note: str
    """One line in a stable format, for statistics of a class."""

    @property
    def is_right(self) -> bool:
        return self.verdict == "correct"

    def _repr_html_(self) -> str:
        from ._display import result_html

        return result_html(self)


class Report(Mapping[str, Result]):
    """The results for a submission by question: `report["1.11"].verdict`."""

    def __init__(self, results: Sequence[Result], about: Mapping[str, Any]) -> None:
        self._results = {result.id: result for result in results}
        self.assignment: str = about.get("assignment", "")
        """Id of the assignment."""
        self.score: float = about.get("score", 0.0)
        """Sum of the points."""
        self.max_score: float = about.get("max_score", 0.0)
        """Sum of the points of right answers."""
        self.unknown_answers: tuple[str, ...] = tuple(about.get("unknown_answers", ()))
        """Ids of answers without a question in the assignment."""
        self.receipt: str = about.get("receipt", "")
        """Proof of the score for a holder of the server's grading secret."""
        self.student: str = about.get("student", "")
        """Name of the student."""
        self.unanswered: tuple[str, ...] = tuple(result.id for result in results if result.note.endswith(": unanswered"))
        """Ids of questions without an answer."""

    def __getitem__(self, question: str) -> Result:
        return self._results[question]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def remarks(self) -> list[str]:
        """What the results of the answers do not say: questions without an answer, and answers without a question."""
        lines = []
        if self.unanswered:
            lines.append(f"{len(self.unanswered)} unanswered: {', '.join(self.unanswered)}")
        if self.unknown_answers:
            lines.append(f"{', '.join(self.unknown_answers)}: {self.assignment} has no such question")
        return lines

    def __repr__(self) -> str:
        lines = [f"{self.assignment}: {self.score:g} of {self.max_score:g} points"]
        for result in self.values():
            if result.verdict and result.id not in self.unanswered:
                mistake = f" {result.mistake}" if result.mistake else ""
                lines.append(f"  {result.id}: {result.verdict}{mistake}: {result.message}")
        return "\n".join([*lines, *(f"  {remark}" for remark in self.remarks())])

    def _repr_html_(self) -> str:
        from ._display import report_html

        return report_html(self)


@dataclass(frozen=True)
class Question:
    """A question of an assignment: a derivative to find."""

    id: str
    part: str
    """Heading of the part that contains it."""
    prompt: str
    """The prompt, in LaTeX."""
    points: float
    shape: str
    """Shape of the answer as rows × columns, with m for the batch size."""
    free_indices: tuple[str, ...]
    allowed_gradients: tuple[str, ...]
    forbidden_symbols: tuple[str, ...]
    tags: tuple[str, ...]

    def _repr_latex_(self) -> str:
        return self.prompt


@dataclass(frozen=True)
class Assignment:
    """An assignment. Its questions are there once it was asked for alone, by `lab.assignment(id)`."""

    id: str
    title: str
    question_count: int
    max_score: float
    description: str = ""
    units: tuple[int, ...] = ()
    """Number of units of each layer, from the input on."""
    questions: tuple[Question, ...] = ()


def read_summary(summary: Any) -> Assignment:
    """The assignment of an AssignmentSummary."""
    return Assignment(summary.id, summary.title, summary.question_count, summary.max_score)


def read_assignment(reply: Any) -> Assignment:
    """The assignment of a GetAssignmentResponse."""
    summary = reply.assignment
    return Assignment(
        id=summary.id,
        title=summary.title,
        question_count=summary.question_count,
        max_score=summary.max_score,
        description=reply.description,
        units=tuple(reply.units),
        questions=tuple(_read_question(question) for question in reply.questions),
    )


def _read_question(question: Any) -> Question:
    return Question(
        id=question.id,
        part=question.part,
        prompt=question.prompt,
        points=question.points,
        shape=question.shape,
        free_indices=tuple(question.free_indices),
        allowed_gradients=tuple(question.allowed_gradients),
        forbidden_symbols=tuple(question.forbidden_symbols),
        tags=tuple(question.tags),
    )


def read_report(report: Any, answers: Mapping[str, str]) -> Report:
    """The results of a GradeReport."""
    about = {
        "assignment": report.assignment,
        "score": report.score,
        "max_score": report.max_score,
        "unknown_answers": report.unknown_answers,
        "receipt": report.receipt,
        "student": report.student,
    }
    return Report([_read_result(question, answers.get(question.id, "")) for question in report.questions], about)


def _read_result(question: Any, answer: str) -> Result:
    span = None
    if question.HasField("span_start"):
        span = characters(answer, question.span_start, question.span_end)
    return Result(
        id=question.id,
        verdict=pb.VERDICT.word(question.verdict),
        points=question.points,
        max_points=question.max_points,
        mistake=pb.MISTAKE.word(question.mistake).upper(),
        message=question.message,
        understood=question.understood_latex,
        understood_plain=question.understood_plain,
        span=span,
        first_wrong_step=question.first_wrong_step,
        grid=_read_grid(question),
        advice=tuple(question.advice),
        hints=tuple(question.hints),
        reference=question.reference,
        tags=tuple(question.tags),
        note=question.note,
    )


def characters(answer: str, start: int, end: int) -> tuple[int, int]:
    """Positions in characters of positions in UTF-8 bytes."""
    encoded = answer.encode()
    return len(encoded[:start].decode(errors="ignore")), len(encoded[:end].decode(errors="ignore"))
