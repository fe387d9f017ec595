"""Hand-ins in files and folders, graded by the program itself, without a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import InvalidHandIn, NotStarted
from ._grading import Assignment, Question, Report, Result, characters

_ID = re.compile(r"""^\s*id\s*=\s*["']([^"']+)["']""", re.MULTILINE)


def is_file(assignment: str | os.PathLike[str]) -> bool:
    """Whether an assignment is given as a .toml file."""
    return str(assignment).endswith(".toml")


def grade_files(
    assignment: str | os.PathLike[str],
    answers: Mapping[str, str] | str | os.PathLike[str],
    *,
    reveal: str,
    student: str,
) -> Report:
    """Grades a file of answers, or answers to an assignment in a file.

    Raises:
        InvalidHandIn: a file cannot be read; the message says why.
    """
    if not isinstance(answers, Mapping) and Path(answers).is_dir():
        raise InvalidHandIn(f"{answers} is a folder of hand-ins: bp.grade_class grades it")
    with _hand_in(answers) as file, _assignment(assignment) as options:
        if student:
            options = [*options, "--student", student]
        graded = run_program(["grade", "--format", "json", "--reveal", reveal, *options, str(file)])
    return _read_report(graded, answers if isinstance(answers, Mapping) else {})


@dataclass(frozen=True)
class Submission:
    """A student's hand-in."""

    student: str
    file: str
    """Its path in the folder."""
    report: Report | None
    """Its results; None if it could not be read."""
    problem: str
    """Why it could not be read; "" if it could."""


class ClassReport(Mapping[str, Submission]):
    """The results of a class by student: `graded["ada"].report.score`."""

    def __init__(self, graded: Mapping[str, Any]) -> None:
        self._submissions = {entry.student: entry for entry in map(_read_submission, graded["submissions"])}
        self.assignment: str = graded["assignment"]
        """Id of the assignment."""
        self.max_score: float = graded["max_score"]
        """Sum of the points of right answers."""
        self.mean: float = graded["mean"]
        """Points on average."""
        self.mistakes: dict[str, dict[str, int]] = {
            question["id"]: dict(question["mistakes"]) for question in graded["questions"]
        }
        """Number of students by mistake, for each question."""

    def __getitem__(self, student: str) -> Submission:
        return self._submissions[student]

    def __iter__(self) -> Iterator[str]:
        return iter(self._submissions)

    def __len__(self) -> int:
        return len(self._submissions)

    @property
    def scores(self) -> dict[str, float]:
        """Points by student; 0 for a hand-in that could not be read."""
        return {name: entry.report.score if entry.report else 0.0 for name, entry in self.items()}

    def __repr__(self) -> str:
        return f"{self.assignment}: {len(self)} hand-ins, {self.mean:.4g} of {self.max_score:g} points on average"

    def _repr_html_(self) -> str:
        from ._display import class_html

        return class_html(self)


def grade_class(
    folder: str | os.PathLike[str],
    *,
    assignment: str | os.PathLike[str] | None = None,
    reveal: str = "mistake",
    out: str | os.PathLike[str] | None = None,
) -> ClassReport:
    """Grades a folder in which each file or folder is the hand-in of a student, as Canvas, Moodle and Gradescope export them.

    Args:
        folder: The folder.
        assignment: Id of an assignment, or path of a .toml file; default the one that the hand-ins name.
        reveal: "verdict", "mistake", "hints" or "reference": how much the reports say.
        out: Folder for pages to read, one for each student; default none.

    Raises:
        InvalidHandIn: the folder or the assignment cannot be read. A hand-in that cannot be read is a result: see
            `Submission.problem`.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InvalidHandIn(f"{path} is no folder: bp.grade grades a single file")
    with _assignment(assignment) as options:
        command = ["grade", "--reveal", reveal, *options, str(path)]
        graded = run_program([*command, "--format", "json"], allowed=(0, 2))
        if out is not None:
            run_program([*command, "--format", "html", "--out", str(out)], allowed=(0, 2), is_json=False)
    return ClassReport(graded)


def load_assignment(file: str | os.PathLike[str]) -> Assignment:
    """An assignment from its .toml file, as the teacher wrote it; `backpropd check FILE` says whether it is sound.

    Args:
        file: Path of the file.

    Raises:
        InvalidHandIn: it is no file of an assignment.
    """
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib  # type: ignore[no-redef,import-not-found,unused-ignore]
        except ImportError:
            raise ImportError("bp.load_assignment needs Python 3.11, or `pip install tomli`") from None
    path = Path(file)
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        questions = tuple(_question(question) for question in found["questions"])
        units = (found["network"]["input_size"], *(layer["units"] for layer in found["network"]["layers"]))
        return Assignment(
            id=found["id"],
            title=found.get("title", ""),
            question_count=len(questions),
            max_score=sum(question.points for question in questions),
            description=found.get("description", ""),
            units=units,
            questions=questions,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidHandIn(f"{path} is no assignment: {error!r}; `backpropd check {path}` lists all its faults") from None


def _question(question: Mapping[str, Any]) -> Question:
    return Question(
        id=question["id"],
        part=question.get("part", ""),
        prompt=question.get("prompt", ""),
        points=question.get("points", 1),
        shape="",
        free_indices=tuple(question.get("indices", ())),
        allowed_gradients=tuple(question.get("allowed", ())),
        forbidden_symbols=tuple(question.get("forbidden", ())),
        tags=tuple(question.get("tags", ())),
    )


@contextmanager
def _hand_in(answers: Mapping[str, str] | str | os.PathLike[str]) -> Generator[Path, None, None]:
    """The file of answers."""
    if not isinstance(answers, Mapping):
        yield Path(answers)
        return
    with tempfile.TemporaryDirectory(prefix="backpropd-") as folder:
        file = Path(folder) / "answers.json"
        file.write_text(json.dumps({"answers": dict(answers)}), "utf-8")
        yield file


@contextmanager
def _assignment(assignment: str | os.PathLike[str] | None) -> Generator[list[str], None, None]:
    """The options that name an assignment: a file is alone in a folder of its own."""
    if assignment is None:
        yield []
    elif not is_file(assignment):
        yield ["--assignment", str(assignment)]
    else:
        path = Path(assignment)
        id = assignment_id(path)
        with tempfile.TemporaryDirectory(prefix="backpropd-") as folder:
            shutil.copy(path, folder)
            yield ["--assignments", folder, "--assignment", id]


def assignment_id(path: Path) -> str:
    """The id of the assignment in a .toml file.

    Raises:
        InvalidHandIn: it cannot be read, or has none.
    """
    try:
        found = _ID.search(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidHandIn(f"{path} cannot be read: {error}") from None
    if found is None:
        raise InvalidHandIn(f"{path} is no assignment: it has no id; `backpropd check {path}` lists all its faults")
    return found[1]


def run_program(
    arguments: list[str],
    *,
    allowed: tuple[int, ...] = (0,),
    is_json: bool = True,
    environment: Mapping[str, str | None] | None = None,
) -> Any:
    """What the program prints as JSON.

    Args:
        arguments: Its arguments.
        allowed: The exit codes of a result.
        is_json: Whether it prints JSON.
        environment: Variables that it has in place of this process's; None removes one.

    Raises:
        InvalidHandIn: it refused, with its message.
        NotStarted: there is no program, or it cannot be started.
    """
    from ._program import ProgramError, find

    # A server of the environment would be asked otherwise.
    variables = {**os.environ, "BACKPROPD_SERVER": None, **(environment or {})}
    set_variables = {name: value for name, value in variables.items() if value is not None}
    try:
        done = subprocess.run([find(), *arguments], capture_output=True, env=set_variables, check=False)
    except (ProgramError, OSError) as error:
        raise NotStarted(str(error)) from None
    printed = done.stdout.decode("utf-8", "replace")
    if done.returncode not in allowed or (is_json and not printed.lstrip().startswith("{")):
        said = done.stderr.decode("utf-8", "replace").strip()
        message = said.removeprefix("backpropd: ") or f"backpropd ended with exit code {done.returncode}"
        raise InvalidHandIn(message, details={"exit_code": str(done.returncode)})
    return json.loads(printed) if is_json else printed


def _read_submission(entry: Mapping[str, Any]) -> Submission:
    report = entry.get("report")
    return Submission(
        student=entry["name"],
        file=entry.get("file") or "",
        report=_read_report(report, {}) if report else None,
        problem=entry.get("unread", ""),
    )


def _read_report(graded: Mapping[str, Any], answers: Mapping[str, str]) -> Report:
    return Report([_read_result(question, answers.get(question["id"])) for question in graded["questions"]], graded)


def _read_result(question: Mapping[str, Any], answer: str | None) -> Result:
    understood = question.get("understood", {})
    span = question.get("span")
    grid = question.get("grid")
    at = None
    if span is not None:
        at = (span["start"], span["end"]) if answer is None else characters(answer, span["start"], span["end"])
    return Result(
        id=question["id"],
        verdict=question["verdict"].lower(),
        points=question["points"],
        max_points=question["max_points"],
        mistake=question.get("mistake", ""),
        message=question["message"],
        understood=understood.get("latex", ""),
        understood_plain=understood.get("plain", ""),
        span=at,
        first_wrong_step=question.get("first_wrong_step", 0),
        grid=None if grid is None else np.array(grid, bool),
        advice=tuple(question.get("advice", ())),
        hints=tuple(question.get("hints", ())),
        reference=question.get("reference", ""),
        tags=tuple(question.get("tags", ())),
        note=question.get("note", ""),
    )
