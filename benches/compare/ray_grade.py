"""`backpropd.ray.grade` on two raylets beside `backpropd grade` on folders of the same submissions.

    python benches/compare/ray_grade.py PROGRAM [SUBMISSIONS] [ROUNDS]

Makes SUBMISSIONS (100,000) from the answers of examples/class: each question has one of the answers that the class gave to it,
right or wrong, at random. Both grade with the same secret, in turns; Ray's cluster and the folders are there before the time is
taken, the actors and their servers are not. Fails if a score differs, or if a killed worker changes a byte of the results.
Needs the package's dependencies and ray[data].
"""

import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ray_ground import ROOT, cluster

SECRET = "of the bench"
FOLDER = 10_000
"""Hand-ins in a folder: the most that `backpropd grade` takes."""


def submissions(count):
    """The answers of each submission, as JSON."""
    class_answers = [json.loads(file.read_text())["answers"] for file in sorted((ROOT / "examples/class").glob("*.json"))]
    given = {}
    for answers in class_answers:
        for question, answer in answers.items():
            given.setdefault(question, []).append(answer)
    choose = random.Random(1).choice
    for _ in range(count):
        yield json.dumps({"answers": {question: choose(answers) for question, answers in given.items()}})


def grade_folders(program, folders, secret):
    """Seconds of `backpropd grade` on each folder, one after the other, and the files with the scores."""
    files = [folder.with_suffix(".csv") for folder in folders]
    began = time.perf_counter()
    for folder, file in zip(folders, files, strict=True):
        options = ["--assignment", "hw-backprop", "--secret-file", str(secret), "--format", "csv", "--out", str(file)]
        subprocess.run([program, "grade", str(folder), *options], check=True, capture_output=True)
    return time.perf_counter() - began, files


def grade_by_ray(ray, table, secret, kill=False):
    """Seconds of `ray.grade`, the results, and the id of the worker that was killed."""
    import pyarrow as pa

    from backpropd.ray import grade

    rows = max(500, table.num_rows // 40)
    dataset = ray.data.from_arrow([table.slice(start, rows) for start in range(0, table.num_rows, rows)])
    killed = []
    over = threading.Event()
    if kill:
        threading.Thread(target=kill_one, args=(killed, over)).start()
    began = time.perf_counter()
    graded = grade(dataset, "hw-backprop", secret_file=secret, graded_at=1_800_000_000, workers=2)
    results = pa.concat_tables(graded.iter_batches(batch_size=None, batch_format="pyarrow"))
    seconds = time.perf_counter() - began
    over.set()
    return seconds, results.sort_by("student").combine_chunks(), killed


def kill_one(killed, over):
    """Kills a worker of this cluster some seconds after it began to grade."""
    while not killed and not over.wait(0.05):
        for entry in Path("/proc").iterdir():
            try:
                if (entry / "cmdline").read_bytes().startswith(b"ray::MapWorker(MapBatches(Grader)).submit"):
                    if over.wait(5):
                        return
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed.append(int(entry.name))
                    return
            except (OSError, ValueError):
                continue


def digest(results):
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, results.schema) as writer:
        writer.write_table(results)
    return hashlib.blake2b(out.getvalue()).hexdigest()[:16]


def main():
    program = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.environ["BACKPROPD_BIN"] = program
    import pyarrow as pa

    texts = list(submissions(count))
    students = [f"student-{number:06}" for number in range(count)]
    table = pa.table({"student": students, "answers": texts})
    with tempfile.TemporaryDirectory() as work, cluster(1) as ray:
        secret = Path(work) / "secret"
        folders = [Path(work) / f"class-{start}" for start in range(0, count, FOLDER)]
        for index, (student, text) in enumerate(zip(students, texts, strict=True)):
            folder = folders[index // FOLDER]
            folder.mkdir(exist_ok=True)
            (folder / f"{student}.json").write_text(text)
        secret.touch(0o600)
        secret.write_text(SECRET)
        times, digests = {"folder": [], "ray": []}, set()
        for _ in range(rounds):
            seconds, results, _ = grade_by_ray(ray, table, secret)
            times["ray"].append(seconds)
            digests.add(digest(results))
            seconds, files = grade_folders(program, folders, secret)
            times["folder"].append(seconds)
            print(f"folder {times['folder'][-1]:.1f} s, ray {times['ray'][-1]:.1f} s", flush=True)
        compare(results, files)
        seconds, results, killed = grade_by_ray(ray, table, secret, kill=True)
        digests.add(digest(results))
        assert killed, "no worker was killed: take more submissions"
        assert len(digests) == 1, f"the results differ: {digests}"
        print(f"a worker killed: {seconds:.1f} s, the same bytes ({digests.pop()})")
    folder_seconds, ray_seconds = statistics.median(times["folder"]), statistics.median(times["ray"])
    print(f"{count} submissions: backpropd grade {count / folder_seconds:.0f}/s, ray.grade {count / ray_seconds:.0f}/s, "
          f"{folder_seconds / ray_seconds:.0%}")


def compare(results, files):
    """Fails if the two differ in a score."""
    import csv

    rows = [row for file in files for row in csv.DictReader(file.read_text().splitlines())]
    wanted = {row["student"]: float(row["score"]) for row in rows}
    found = dict(zip(results["student"].to_pylist(), results["score"].to_pylist(), strict=True))
    differ = [student for student, score in found.items() if wanted.get(student) != score]
    assert len(found) == len(wanted), f"{len(found)} results, and {len(wanted)} of the folder"
    assert not differ, f"{len(differ)} scores differ, such as {differ[:3]}"


if __name__ == "__main__":
    main()
