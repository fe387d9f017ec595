"""Grades a table of answers on a Ray cluster, and counts the mistakes of each question.

    python grade.py ANSWERS GRADES --secret-file FILE [--assignment ID]

ANSWERS is a folder or file of Parquet, or of JSON lines, in local or cloud storage, with the columns student and answers;
GRADES is a folder for the results, as Parquet. A row that cannot be graded has the reason in the column problem.
Needs the packages backpropd and ray[data]. rayjob.yaml runs this on Kubernetes.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timezone

import ray

from backpropd.ray import grade


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("answers")
    parser.add_argument("grades")
    parser.add_argument("--secret-file", required=True, help="the grading secret, on every node")
    parser.add_argument("--assignment", default="hw-backprop")
    parser.add_argument("--graded-at", help="time of grading, such as 2027-01-15T08:00:00Z; the same again gives the same bytes")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    read = ray.data.read_json if given.answers.endswith((".json", ".jsonl")) else ray.data.read_parquet
    time = datetime.fromisoformat(given.graded_at.replace("Z", "+00:00")) if given.graded_at else datetime.now(timezone.utc)
    graded = grade(read(given.answers), given.assignment, secret_file=given.secret_file, graded_at=time)
    # Graded once, for the file and for the counts.
    graded = graded.materialize()
    graded.write_parquet(given.grades)

    problems = graded.filter(lambda row: row["problem"] != "").count()
    print(f"{graded.count()} rows graded at {time:%Y-%m-%dT%H:%M:%SZ}, {problems} of them not: see the column problem")
    named = graded.flat_map(lambda row: [question for question in row["questions"] if question["mistake"]])
    counts = [] if problems == graded.count() else named.groupby(["question", "mistake"]).count().take_all()
    for entry in sorted(counts, key=lambda entry: -entry["count()"]):
        print(f"{entry['count()']:8} {entry['question']:6} {entry['mistake']}")


if __name__ == "__main__":
    main()
