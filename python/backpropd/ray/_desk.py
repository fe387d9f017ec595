"""A server that grades, for one actor: its own, or one elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import _messages as pb
from .._calls import Call
from .._entry import connect
from .._errors import Error, InvalidHandIn, NotStarted, Unavailable
from .._hand_in import run_program
from .._lab import Lab
from .._server import LocalServer, LocalServerError, Setting

_WAITS = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Seconds to wait before a row is tried again, if its failure passes. A job of hours outlives the restart of a server."""


_UNREADABLE = "2"
"""The exit code of the program for a file that it cannot read."""

_LONGEST_STUDENT = 256
"""Bytes of a name that the server takes."""


@dataclass(frozen=True)
class Terms:
    """How rows are graded: the same for every actor, so that a row has the same result on each."""

    assignment: str
    """Its id."""
    assignment_file: str | None = None
    """The text of its file, if it is none of the built-in ones."""
    secret: bytes | None = field(default=None, repr=False)
    secret_file: str | None = None
    """A file on every node, in place of the secret."""
    graded_at: int = 0
    """Time of grading in seconds since 1970."""
    threads: int = 1
    server: str | None = None
    """The address of a server elsewhere, in place of one for each actor."""
    token: str | None = field(default=None, repr=False)
    ca: bytes | None = None


@dataclass(frozen=True)
class Graded:
    """The result for a row."""

    student: str
    score: float
    max_score: float
    questions: list[dict[str, Any]]
    receipt: str
    graded_at: int
    assignment_digest: str

    @property
    def mistakes(self) -> list[str]:
        """The mistakes that were identified."""
        return [question["mistake"] for question in self.questions if question["mistake"]]


class Desk:
    """Grades answers and hand-ins. Threads may share it."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._files = tempfile.TemporaryDirectory(prefix="backpropd-")
        self._server: LocalServer | None = None
        self._lock = threading.Lock()
        try:
            self._lab = self._open()
        except BaseException:
            self._files.cleanup()
            raise

    def check(self) -> None:
        """Does nothing if the assignment can be graded.

        Raises:
            NotFound: the server has no assignment of this id.
        """
        self._lab.assignment(self._terms.assignment)

    def grade_answers(self, answers: Mapping[str, str], student: str) -> Graded:
        """The result for formulas by the id of their question.

        Raises:
            InvalidHandIn: the answers are no texts.
            InvalidRequest: the server refuses them.
        """
        try:
            request = pb.build("GradeFormulasRequest", assignment=self._terms.assignment, answers=answers, student=student)
        except (TypeError, ValueError) as error:
            # Half of a surrogate pair, which JSON can have and UTF-8 cannot.
            raise InvalidHandIn(f"the answers cannot be sent: {error}") from None
        reply = self._repeat(lambda lab: lab._caller.call(Call("GradeFormulas", request, lambda reply: reply.report)))
        questions = [
            {
                "question": question.id,
                "verdict": pb.VERDICT.word(question.verdict),
                "points": question.points,
                "max_points": question.max_points,
                "mistake": pb.MISTAKE.word(question.mistake).upper(),
            }
            for question in reply.questions
        ]
        return Graded(
            student=reply.student,
            score=reply.score,
            max_score=reply.max_score,
            questions=questions,
            receipt=reply.receipt,
            graded_at=reply.grade_time.seconds,
            assignment_digest=reply.assignment_digest,
        )

    def grade_hand_in(self, content: bytes, name: str, student: str) -> Graded:
        """The result for a file as a student hands it in: the program reads it, and has this server grade the answers.

        Raises:
            InvalidHandIn: it cannot be read.
        """
        with tempfile.TemporaryDirectory(dir=self._files.name) as folder:
            # The name comes from elsewhere, and its ending says what the file is.
            ending = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
            file = Path(folder) / f"hand-in{ending[0] if ending else ''}"
            file.write_bytes(content)
            try:
                report = self._repeat(lambda lab: self._run(lab, file, student))
            except Unavailable as error:
                # The program says in the same way that the server is busy, and that it refuses these answers.
                if not self._answers():
                    raise
                raise InvalidHandIn(str(error)) from None
        questions = [
            {
                "question": question["id"],
                "verdict": question["verdict"].lower(),
                "points": question["points"],
                "max_points": question["max_points"],
                "mistake": question.get("mistake", ""),
            }
            for question in report["questions"]
        ]
        return Graded(
            student=report.get("student", ""),
            score=report["score"],
            max_score=report["max_score"],
            questions=questions,
            receipt=report.get("receipt", ""),
            graded_at=report["graded_at"],
            assignment_digest=report.get("assignment_digest", ""),
        )

    def close(self) -> None:
        """Ends the server, if it is its own."""
        self._lab.close()
        if self._server is not None:
            self._server.close()
        self._files.cleanup()

    def _run(self, lab: Lab, file: Path, student: str) -> Any:
        if "\0" in student or len(student.encode()) > _LONGEST_STUDENT:
            raise InvalidHandIn(f"the name of the student has a NUL, or more than {_LONGEST_STUDENT} bytes")
        options = [
            "--server",
            self._terms.server or lab.address,
            "--assignment",
            self._terms.assignment,
            f"--student={student}",
        ]
        if self._terms.ca is not None:
            options += ["--ca", str(self._file("ca.pem", self._terms.ca))]
        # A token of the environment is for a server elsewhere.
        is_own = self._terms.server is None
        token = {"BACKPROPD_TOKEN": self._terms.token} if is_own or self._terms.token is not None else {}
        if is_own:
            token["BACKPROPD_TOKEN_FILE"] = None
        try:
            return run_program(["grade", "--format", "json", *options, str(file)], environment=token)
        except InvalidHandIn as error:
            # The place is this one's, and differs from try to try.
            message = str(error).replace(f"{file.parent}{os.sep}", "")
            if error.details.get("exit_code") == _UNREADABLE:
                raise InvalidHandIn(message) from None
            raise Unavailable(message, retry_after=_WAITS[0]) from None

    def _answers(self) -> bool:
        """Whether the server answers at all."""
        with contextlib.suppress(Error):
            return bool(self._lab.server.version)
        return False

    def _repeat(self, grade: Callable[[Lab], Any]) -> Any:
        """The result, asked for again after failures that pass: a busy server, or one of this actor that has ended."""
        for wait in _WAITS:
            lab = self._lab
            try:
                return grade(lab)
            except Error as error:
                if error.retry_after is None:
                    raise
                time.sleep(max(wait, min(error.retry_after, _WAITS[-1])))
            with self._lock:
                if lab is self._lab and self._server is not None and not self._server.is_running:
                    self._lab = self._open()
        return grade(self._lab)

    def _open(self) -> Lab:
        terms = self._terms
        if terms.server is not None:
            return connect(terms.server, token=terms.token, ca=terms.ca)
        settings: dict[str, Setting] = {"threads": terms.threads, "grade_time": terms.graded_at}
        if terms.secret_file is not None:
            settings["grading_secret_file"] = terms.secret_file
        elif terms.secret is not None:
            settings["grading_secret_file"] = str(self._file("secret", terms.secret))
        if terms.assignment_file is not None:
            folder = Path(self._files.name) / "assignments"
            folder.mkdir(exist_ok=True)
            (folder / "assignment.toml").write_text(terms.assignment_file, "utf-8")
            settings["assignments"] = str(folder)
        try:
            self._server = LocalServer(settings=settings)
        except LocalServerError as error:
            raise NotStarted(str(error)) from None
        finally:
            # It has been read, and a worker that is killed would leave it.
            (Path(self._files.name) / "secret").unlink(missing_ok=True)
        return connect(self._server.address, token="")

    def _file(self, name: str, content: bytes) -> Path:
        """A file that only this account can read."""
        path = Path(self._files.name) / name
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}-{id(content)}")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
                out.write(content)
            partial.replace(path)
        return path


def read_answers(given: Any) -> dict[str, str]:
    """The formulas of a row: a mapping, pairs, or the text of a JSON object, alone or under "answers".

    Raises:
        InvalidHandIn: it is none of them; the message says why.
    """
    if given is None:
        raise InvalidHandIn("the answers are missing")
    if isinstance(given, (str, bytes)):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise InvalidHandIn(f"the answers are no JSON: {error}") from None
        if isinstance(given, dict) and isinstance(given.get("answers"), dict):
            given = given["answers"]
    if isinstance(given, list):
        given = _mapping(given)
    if not isinstance(given, Mapping):
        raise InvalidHandIn(
            f"the answers are {type(given).__name__}: they are formulas by the id of their question, or JSON of that"
        )
    # Rows of one table have the same fields: a question that a student has not answered is null.
    answers = {name: answer for name, answer in given.items() if answer is not None}
    wrong = [name for name, answer in answers.items() if not isinstance(name, str) or not isinstance(answer, str)]
    if wrong:
        raise InvalidHandIn(f"the answer to {wrong[0]!r} is {type(answers[wrong[0]]).__name__}: it is a text")
    return answers


def _mapping(pairs: list[Any]) -> dict[str, Any]:
    """The mapping of a column of maps, which are lists of pairs."""
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise InvalidHandIn("the answers are a list: it may have pairs of the id of a question and a formula")
    return dict(pairs)


def refusal(error: Error) -> str | None:
    """What is wrong with a row, if it is the row; None if it is the server, or the way to it."""
    is_passing = error.retry_after is not None
    kinds = ("INVALID_REQUEST", "MALFORMED_MESSAGE", "MESSAGE_TOO_LARGE", "REPLY_TOO_LARGE")
    is_row = isinstance(error, InvalidHandIn) or error.reason in kinds
    return str(error) if is_row and not is_passing else None
