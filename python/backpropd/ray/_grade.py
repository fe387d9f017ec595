"""Grading of a Ray dataset, row by row."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .._errors import Error, InvalidHandIn
from .._hand_in import assignment_id, is_file
from ._cluster import load_ray, plan_workers
from ._desk import Desk, Graded, Terms, read_answers, refusal

_CALLS = 4
"""Calls in progress of an actor, for each thread of its server: while one is computed, others are encoded and decoded."""


@dataclass(frozen=True)
class Columns:
    """The columns of the input."""

    answers: str
    hand_in: str
    name: str
    student: str


def grade(
    dataset: Any,
    assignment: str | os.PathLike[str],
    *,
    secret: str | bytes | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    graded_at: datetime | int | None = None,
    server: str | None = None,
    token: str | None = None,
    ca: str | os.PathLike[str] | bytes | None = None,
    answers: str = "answers",
    hand_in: str = "bytes",
    name: str = "path",
    student: str = "student",
    workers: int | None = None,
    num_cpus: float | None = None,
    batch_size: int = 500,
) -> Any:
    """Grades the rows of a Ray dataset, formulas or whole hand-ins, and returns a Ray dataset with a result for each row.

    It is `dataset.map_batches` with actors that have a server each, so it is lazy, and its results can be written, filtered and
    grouped like any other. A result depends on the row, the assignment, the secret and `graded_at` alone: a batch that is
    graded again, because a worker died, has the same bytes, its receipts too. Rows come in the order of the dataset only if
    `ray.data.DataContext` says `execution_options.preserve_order`.

    A row has formulas in a column "answers": a struct or a map from the ids of questions to LaTeX or plain text, or JSON of it,
    alone or under "answers"; a question without an answer may be null. Or it has a whole hand-in, .tex, .pdf, .json or .toml,
    in the columns "bytes" and "path", as `ray.data.read_binary_files(…, include_paths=True)` makes them. A column "student" is
    optional: without it, the student of a hand-in is the name of its file.

    The result has all columns but those with answers and bytes, and

    - `student`: string, as in the receipt;
    - `score`, `max_score`: double, the points, and those of right answers; null if there is a problem;
    - `questions`: list of structs with `question`, `verdict` ("correct", "partial", "incorrect", "invalid"), `points`,
      `max_points` and `mistake` ("" if none was identified), for each question of the assignment in its order;
    - `mistakes`: list of strings, the mistakes that were identified, such as "MISSING_MASK", in the order of the questions;
    - `receipt`: string, the proof of the score: see `report_text`;
    - `graded_at`: timestamp in seconds, UTC;
    - `assignment`, `assignment_digest`: string, its id and the digest of its content;
    - `problem`: string, why the row could not be graded; "" if it could. Such a row ends nothing.

    Args:
        dataset: The rows.
        assignment: Id of an assignment, such as "hw-backprop", or path of a .toml file with one.
        secret: The grading secret: it draws the networks that answers are tested on, and signs the receipts. Ray keeps it with
            the arguments of the actors, where who may use the cluster can read it; `secret_file` does not have it there.
        secret_file: Path of a file with the secret, on every node, with mode 600, such as a mounted Secret.
        graded_at: Time of grading for the receipts, as a datetime or in seconds since 1970; default now, once for all rows.
            Give the same again for the same bytes again.
        server: Address of a server that grades, such as "https://lab:50051", with its own secret and assignments; default a
            server for each actor. Its receipts have the time of its clock, so that a row that is graded again has another one.
        token: Your token for `server`; default that of BACKPROPD_TOKEN on each node.
        ca: Certificate authorities to trust for `server`, as a path or as PEM.
        answers: Name of the column with formulas.
        hand_in: Name of the column with the content of hand-ins.
        name: Name of the column with their paths, whose endings say what they are.
        student: Name of the column with the students.
        workers: Number of actors; default one for each free CPU.
        num_cpus: CPUs of each; default 1, or less on a cluster with fewer.
        batch_size: Number of rows in a batch: what is graded again if a worker dies.

    Returns:
        The `ray.data.Dataset` of the results.

    Raises:
        ImportError: ray is not installed.
        ValueError: neither a secret nor a server is given, or both.
        InvalidHandIn: the assignment's file cannot be read.
        NotFound: there is no such assignment.
        NotStarted: the server of an actor would not start: the assignment or the secret has faults, which the message lists.
    """
    ray = load_ray()
    plan = plan_workers(workers, num_cpus, cluster_cpus=ray.cluster_resources().get("CPU", 1), spare_cpus=1)
    terms = _terms(assignment, secret, secret_file, graded_at, server, token, ca, plan.threads)
    # What is wrong with the terms is wrong with every row, and is told at once.
    desk = Desk(terms)
    try:
        desk.check()
    finally:
        desk.close()
    return dataset.map_batches(
        Grader,
        fn_constructor_args=(terms, Columns(answers, hand_in, name, student)),
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=plan.num_cpus,
        compute=ray.data.ActorPoolStrategy(size=plan.count),
    )


def report_text(row: Mapping[str, Any]) -> str:
    """The report of a row of the results, as JSON: `backpropd verify REPORT ANSWERS` checks its receipt.

    Args:
        row: A row, as `take` and `iter_rows` return it.
    """
    graded_at = row["graded_at"]
    if isinstance(graded_at, datetime):
        graded_at = int(graded_at.replace(tzinfo=graded_at.tzinfo or timezone.utc).timestamp())
    report = {
        "assignment": row["assignment"],
        "assignment_digest": row["assignment_digest"],
        "student": row["student"] or None,
        "graded_at": graded_at,
        "score": row["score"],
        "max_score": row["max_score"],
        "questions": [_question(question) for question in row["questions"]],
        "receipt": row["receipt"],
    }
    return json.dumps(report, ensure_ascii=False)


def _question(question: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": question["question"],
        "verdict": question["verdict"].upper(),
        "points": question["points"],
        "max_points": question["max_points"],
        **({"mistake": question["mistake"]} if question["mistake"] else {}),
        "message": "",
        "note": "",
    }


def _terms(
    assignment: str | os.PathLike[str],
    secret: str | bytes | None,
    secret_file: str | os.PathLike[str] | None,
    graded_at: datetime | int | None,
    server: str | None,
    token: str | None,
    ca: str | os.PathLike[str] | bytes | None,
    threads: int,
) -> Terms:
    named = [name for name, given in (("secret", secret), ("secret_file", secret_file)) if given is not None]
    if server is not None:
        wrong = [*named, *(["graded_at"] if graded_at is not None else [])]
        if wrong:
            raise ValueError(f"server has its own secret and clock: leave out {', '.join(wrong)}")
        if is_file(assignment):
            raise ValueError(f"server has its own assignments: give the id of one in place of {assignment}")
        authorities = ca if ca is None or isinstance(ca, bytes) else Path(ca).read_bytes()
        return Terms(str(assignment), server=server, token=token, ca=authorities)
    if len(named) != 1:
        raise ValueError(
            f"{' and '.join(named) or 'no secret'} given: give one of secret, secret_file and server. The secret draws the "
            "networks that answers are tested on, and signs the receipts"
        )
    text = None
    if is_file(assignment):
        path = Path(assignment)
        assignment = assignment_id(path)
        text = path.read_text("utf-8")
    return Terms(
        str(assignment),
        assignment_file=text,
        secret=secret.encode() if isinstance(secret, str) else secret,
        secret_file=None if secret_file is None else os.fspath(secret_file),
        graded_at=_seconds(graded_at),
        threads=threads,
    )


def _seconds(graded_at: datetime | int | None) -> int:
    seconds = graded_at.timestamp() if isinstance(graded_at, datetime) else time.time() if graded_at is None else graded_at
    if seconds < 1:
        raise ValueError(f"graded_at is {graded_at!r}: it is a time after 1970")
    return int(seconds)


class Grader:
    """An actor of `grade`: a table of rows in, a table with their results out."""

    def __init__(self, terms: Terms, columns: Columns) -> None:
        self._terms = terms
        self._columns = columns
        self._desk = Desk(terms)
        self._pool = ThreadPoolExecutor(_CALLS * terms.threads)

    def __call__(self, table: Any) -> Any:
        """The results for a `pyarrow.Table`."""
        columns = self._columns
        if columns.answers in table.column_names:
            grade_row, given = self._grade_answers, [columns.answers]
        elif columns.hand_in in table.column_names and columns.name in table.column_names:
            grade_row, given = self._grade_hand_in, [columns.hand_in]
        else:
            raise ValueError(
                f"the rows have the columns {', '.join(table.column_names)}: they need {columns.answers!r} with formulas, or "
                f"{columns.hand_in!r} and {columns.name!r} with whole hand-ins"
            )
        found = list(self._pool.map(grade_row, _rows(table.select(self._wanted(table)))))
        kept = [name for name in table.column_names if name not in given]
        return _with_results(table.select(kept), found, self._terms.assignment)

    def _wanted(self, table: Any) -> list[str]:
        columns = self._columns
        return [name for name in dict.fromkeys(vars(columns).values()) if name in table.column_names]

    def _grade_answers(self, row: Mapping[str, Any]) -> Graded | str:
        try:
            answers = read_answers(row[self._columns.answers])
            return self._desk.grade_answers(answers, self._student(row, ""))
        except Error as error:
            return _problem(error)

    def _grade_hand_in(self, row: Mapping[str, Any]) -> Graded | str:
        name, content = row[self._columns.name], row[self._columns.hand_in]
        try:
            if not isinstance(content, bytes) or not isinstance(name, str):
                raise InvalidHandIn("the hand-in is missing: it has no bytes, or no path")
            return self._desk.grade_hand_in(content, name, self._student(row, Path(name).stem))
        except Error as error:
            return _problem(error)

    def _student(self, row: Mapping[str, Any], default: str) -> str:
        student = row.get(self._columns.student)
        if isinstance(student, bytes):
            return student.decode("utf-8", "replace")
        return default if student is None else str(student)


def _rows(table: Any) -> list[dict[str, Any]]:
    """The rows of a table; its texts as bytes if one of them is no UTF-8."""
    try:
        return table.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        import pyarrow as pa

        schema = pa.schema([(field.name, pa.binary() if field.type == pa.string() else field.type) for field in table.schema])
        return table.cast(schema).to_pylist()  # type: ignore[no-any-return]


def _problem(error: Error) -> str:
    problem = refusal(error)
    if problem is None:
        raise error
    return problem


def _with_results(table: Any, found: list[Graded | str], assignment: str) -> Any:
    """The table with the columns of the results, which have the same types in every batch."""
    import pyarrow as pa

    question = pa.struct(
        [
            ("question", pa.string()),
            ("verdict", pa.string()),
            ("points", pa.float64()),
            ("max_points", pa.float64()),
            ("mistake", pa.string()),
        ]
    )
    graded = [None if isinstance(entry, str) else entry for entry in found]
    columns = {
        "score": ([entry and entry.score for entry in graded], pa.float64()),
        "max_score": ([entry and entry.max_score for entry in graded], pa.float64()),
        "questions": ([entry.questions if entry else [] for entry in graded], pa.list_(question)),
        "mistakes": ([entry.mistakes if entry else [] for entry in graded], pa.list_(pa.string())),
        "receipt": ([entry.receipt if entry else "" for entry in graded], pa.string()),
        "graded_at": ([entry and entry.graded_at for entry in graded], pa.timestamp("s", tz="UTC")),
        "assignment": ([assignment] * len(found), pa.string()),
        "assignment_digest": ([entry.assignment_digest if entry else "" for entry in graded], pa.string()),
        "problem": ([entry if isinstance(entry, str) else "" for entry in found], pa.string()),
    }
    if "student" not in table.column_names:
        columns = {"student": ([entry.student if entry else "" for entry in graded], pa.string()), **columns}
    for name, (values, kind) in columns.items():
        column = pa.array(values, kind)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table
