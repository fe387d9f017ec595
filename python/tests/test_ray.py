"""Grading and training on a Ray cluster of two nodes on this machine: same bytes for any number of workers, or if one dies."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pages
import pytest
from conftest import ROOT, Server, program

import backpropd as bp
from backpropd.ray import fit, grade, report_text

# Not imported yet: Ray reads variables when it is.
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)

SECONDS = 240
"""The longest time of a test: a cluster without a free CPU waits for ever."""

SECRET = "of the course"
GRADED_AT = 1_800_000_000

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two raylets, each with one CPU, on loopback alone."""
    variables = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray lowers the priority of workers: beside other tests they would starve.
        "RAY_worker_niceness": "0",
        # As on systems where Ray stays on loopback: it would replace 127.0.0.1 by an address of the machine.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "python"), os.environ.get("PYTHONPATH")])),
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    import ray
    import ray.data
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    with limited():
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()
    cluster.shutdown()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    with limited():
        yield


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Ends what hangs: by an exception, or with the process if that is not enough."""

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"a test took longer than {SECONDS} s")

    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def processes(title: bytes) -> list[int]:
    """The workers of this process's cluster that do what the title says."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if (entry / "cmdline").read_bytes().startswith(title) and is_ours(int(entry.name)):
                found.append(int(entry.name))
    return found


def is_ours(pid: int) -> bool:
    """Whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    return False


@contextlib.contextmanager
def killed(title: bytes, when: Callable[[], bool] = lambda: True) -> Iterator[list[int]]:
    """Kills one worker while it does what the title says, once it is time."""
    victims: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        while not victims and not is_over.wait(0.002):
            for pid in processes(title)[:1] if when() else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    victims.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield victims
    finally:
        is_over.set()
        thread.join()
    assert victims, f"no worker was killed: none was seen as {title!r}"


def test_the_blocks_of_the_page_print_what_it_shows(ray: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    names = {"bp": bp, "np": np, "x": x, "y": np.sin(x[:, :1]) + x[:, 1:2] ** 2}
    text = (
        (ROOT / "docs/python.md").read_text("utf-8").replace("<!-- run by python/tests/test_ray.py -->", "<!-- needs ray -->")
    )
    found = [block for block in pages.blocks(text) if block.needs == "ray"]
    assert len(found) == 2
    for block in found:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, "docs/python.md", "exec"), names)
        assert not pages.difference(block.shown, printed.getvalue())


def test_the_script_of_the_job_grades_a_table(ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answers, secret, grades = tmp_path / "answers.jsonl", tmp_path / "secret", tmp_path / "grades"
    answers.write_text("".join(json.dumps(row) + "\n" for row in [*class_rows(), {"student": "eve", "answers": "{"}]))
    secret.write_text(SECRET)
    secret.chmod(0o600)
    arguments = [str(answers), str(grades), "--secret-file", str(secret), "--graded-at", "2027-01-15T08:00:00Z"]
    monkeypatch.setattr(sys, "argv", ["grade.py", *arguments])
    runpy.run_path(str(ROOT / "examples/ray/grade.py"), run_name="__main__")
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("31 rows graded at 2027-01-15T08:00:00Z, 1 of them not")
    assert told[1].split() == ["8", "1.16", "MISSING_MASK"]
    assert ray.data.read_parquet(str(grades)).count() == 31


def test_the_pods_of_the_job_are_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    job = yaml.safe_load((ROOT / "examples/ray/rayjob.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert len(groups) == 2
    for group in groups:
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "ray"}, "template": group["template"]}
        validate.validate(template, "1.30", strict=True)
        mounted = {
            mount["name"] for container in group["template"]["spec"]["containers"] for mount in container["volumeMounts"]
        }
        assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}


# Grading


def class_rows(times: int = 1) -> list[dict[str, Any]]:
    """The hand-ins of the example class."""
    files = sorted((ROOT / "examples/class").glob("*.json"))
    rows = [{"student": file.stem, "answers": file.read_text("utf-8")} for file in files]
    return [{**row, "id": number * len(rows) + index} for number in range(times) for index, row in enumerate(rows)]


def by_id(dataset: Any) -> bytes:
    """All results in the order of a column, as the bytes of a file."""
    import pyarrow as pa
    from pyarrow import feather

    table = pa.concat_tables(dataset.iter_batches(batch_size=None, batch_format="pyarrow")).sort_by("id").combine_chunks()
    out = pa.BufferOutputStream()
    feather.write_feather(table, out, compression="uncompressed")
    return out.getvalue().to_pybytes()


def test_scores_and_mistakes_are_those_of_the_program_and_receipts_are_genuine(ray: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    command = [program(), "grade", str(ROOT / "examples/class"), "--secret-file", str(secret), "--format", "json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    wanted = {entry["name"]: entry["report"] for entry in told["submissions"]}
    graded = grade(ray.data.from_items(class_rows()), "hw-backprop", secret_file=secret, graded_at=GRADED_AT, workers=1)
    rows = graded.take_all()
    assert len(rows) == len(wanted) == 30
    for row in rows:
        report = wanted[row["student"]]
        assert (row["score"], row["max_score"], row["problem"]) == (report["score"], report["max_score"], "")
        named = [question["mistake"] for question in report["questions"] if question.get("mistake")]
        assert list(row["mistakes"]) == named
        verdicts = [(question["question"], question["verdict"].upper()) for question in row["questions"]]
        assert verdicts == [(question["id"], question["verdict"]) for question in report["questions"]]
        assert row["graded_at"].replace(tzinfo=timezone.utc) == datetime.fromtimestamp(GRADED_AT, timezone.utc)
        assert row["assignment_digest"] == report["assignment_digest"]
    row = next(row for row in rows if row["student"] == "ada")
    report_file, answers = tmp_path / "report.json", ROOT / "examples/class/ada.json"
    report_file.write_text(report_text(row), "utf-8")
    verify = [program(), "verify", str(report_file), str(answers), "--secret-file", str(secret), "--student", "ada"]
    verified = subprocess.run(verify, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report_file.write_text(report_text({**row, "score": row["score"] + 1}), "utf-8")
    assert subprocess.run(verify, capture_output=True).returncode == 1


def test_a_killed_worker_and_another_number_of_workers_change_no_byte(ray: Any) -> None:
    def results(workers: int) -> Any:
        rows = ray.data.from_items(class_rows(times=20), override_num_blocks=12)
        return grade(rows, "hw-backprop", secret=SECRET, graded_at=GRADED_AT, workers=workers, batch_size=50)

    alone = by_id(results(1))
    assert by_id(results(2)) == alone
    with killed(b"ray::MapWorker(MapBatches(Grader)).submit") as victims:
        assert by_id(results(2)) == alone
    assert victims


def test_a_row_that_cannot_be_graded_is_told_in_a_column_and_ends_nothing(ray: Any) -> None:
    right = json.dumps({"1.1": r"\delta h^2_{1,1}"})
    answers = {
        "right": right,
        "none": None,
        "no json": "{",
        "a list": "[1]",
        "a number": json.dumps({"1.1": 3}),
        "too long": json.dumps({"1.1": "h" * 100_000}),
        "far too long": json.dumps({"1.1": "h" * 3_000_000}),
        "unknown question": json.dumps({"9.9": "h"}),
        "nonsense": json.dumps({"1.1": "\\frac{{{"}),
        "no unicode": '{"1.1": "\\ud800"}',
        "": right,
        "a name of more bytes than the server takes for one " + "x" * 300: right,
    }
    rows = [{"student": student, "answers": given} for student, given in answers.items()]
    graded = grade(ray.data.from_items(rows), "hw-backprop", secret=SECRET, workers=1, batch_size=4)
    found = {row["student"]: row for row in graded.take_all()}
    assert set(found) == set(answers)
    problems = {student[:20]: row["problem"] for student, row in found.items() if row["problem"]}
    assert set(problems) == {"none", "no json", "a list", "a number", "far too long", "no unicode", "a name of more bytes"}
    assert "missing" in problems["none"]
    assert "bytes of answers" in problems["far too long"]
    for row in found.values():
        assert (row["score"] is None or np.isnan(row["score"])) == bool(row["problem"])
        assert bool(row["receipt"]) != bool(row["problem"])
    assert found["right"]["score"] == found[""]["score"] > found["nonsense"]["score"] == 0
    assert {found[student]["questions"][0]["verdict"] for student in ("nonsense", "too long")} == {"invalid"}


def test_answers_may_be_structs_and_other_columns_are_kept(ray: Any) -> None:
    rows = [{"who": 1, "given": {"1.1": r"\delta h^2_{1,1}", "1.2": None}}, {"who": 2, "given": {"1.1": None, "1.2": "x"}}]
    graded = grade(ray.data.from_items(rows), "hw-backprop", secret=SECRET, answers="given", student="nobody", workers=1)
    found = {row["who"]: row for row in graded.take_all()}
    assert "given" not in found[1]
    assert (found[1]["student"], found[1]["score"] > 0, found[2]["score"]) == ("", True, 0)
    assert [question["verdict"] for question in found[1]["questions"][:2]] == ["correct", "invalid"]


def test_whole_hand_ins_are_read_from_their_files(ray: Any, tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_bytes((ROOT / "examples/class/ada.json").read_bytes())
    (tmp_path / "eve.tex").write_text(
        "\\documentclass{article}\\begin{document}\n\\begin{answer}{1.1}\\(\\delta h^2_{1,1}\\)\\end{answer}\n\\end{document}\n"
    )
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    files = ray.data.read_binary_files(str(tmp_path), include_paths=True)
    graded = grade(files, "hw-backprop", secret=SECRET, graded_at=GRADED_AT, workers=1)
    found = {Path(row["path"]).name: row for row in graded.take_all()}
    assert "bytes" not in found["ada.json"]
    assert found["ada.json"]["score"] == bp.grade("hw-backprop", ROOT / "examples/class/ada.json").score
    assert (found["ada.json"]["student"], found["eve.tex"]["student"]) == ("ada", "eve")
    assert found["eve.tex"]["questions"][0]["verdict"] == "correct"
    assert found["broken.pdf"]["problem"]
    assert found["photo.jpg"]["problem"]
    assert all("backpropd-" not in row["problem"] for row in found.values()), "a place of one try is in the result"
    # The same answers as text have the same receipt.
    text = [{"student": "ada", "answers": (ROOT / "examples/class/ada.json").read_text("utf-8")}]
    same = grade(ray.data.from_items(text), "hw-backprop", secret=SECRET, graded_at=GRADED_AT, workers=1).take_all()
    assert same[0]["receipt"] == found["ada.json"]["receipt"]


def test_a_server_elsewhere_grades_too(ray: Any, server: Server) -> None:
    rows = [{"student": "ada", "answers": (ROOT / "examples/class/ada.json").read_text("utf-8")}]
    graded = grade(ray.data.from_items(rows), "hw-backprop", server=server.address, workers=1).take_all()
    assert graded[0]["score"] == bp.grade("hw-backprop", ROOT / "examples/class/ada.json").score
    assert graded[0]["receipt"]


def test_an_assignment_of_ones_own_is_sent_to_the_workers(ray: Any, tmp_path: Path) -> None:
    text = (ROOT / "assignments/hw-backprop.toml").read_text("utf-8").replace('id = "hw-backprop"', 'id = "my-own"')
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    rows = [{"student": "ada", "answers": json.dumps({"1.1": r"\delta h^2_{1,1}"})}]
    graded = grade(ray.data.from_items(rows), file, secret=SECRET, workers=1).take_all()
    assert (graded[0]["assignment"], graded[0]["questions"][0]["verdict"]) == ("my-own", "correct")


def test_terms_that_cannot_be_met_are_told_before_any_row_is_read(ray: Any, tmp_path: Path) -> None:
    rows = ray.data.from_items(class_rows())
    with pytest.raises(ValueError, match="give one of secret, secret_file and server"):
        grade(rows, "hw-backprop")
    with pytest.raises(ValueError, match="leave out secret, graded_at"):
        grade(rows, "hw-backprop", secret=SECRET, server="127.0.0.1:1", graded_at=1)
    with pytest.raises(ValueError, match="after 1970"):
        grade(rows, "hw-backprop", secret=SECRET, graded_at=-5)
    with pytest.raises(bp.NotFound, match="no such assignment|no assignment"):
        grade(rows, "hw-nothing", secret=SECRET)
    with pytest.raises(bp.NotStarted, match="secret"):
        grade(rows, "hw-backprop", secret_file=tmp_path / "none")
    with pytest.raises(bp.NotStarted, match="secret"):
        grade(rows, "hw-backprop", secret="public")
    with pytest.raises(bp.Unreachable):
        grade(rows, "hw-backprop", server="127.0.0.1:1")
    with pytest.raises(bp.InvalidHandIn, match="cannot be read"):
        grade(rows, tmp_path / "none.toml", secret=SECRET)


# Training


def samples(rows: int = 300) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 8)), rng.integers(0, 4, rows)


def network(lab: bp.Lab, **other: Any) -> bp.Network:
    settings = {"bias": True, "loss": "cross_entropy", "activation": "tanh", "optimizer": "adam", "learning_rate": 0.01}
    return lab.model([8, 24, 4], seed=1, **{**settings, **other})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_have_the_same_bits_for_any_number_of_workers(ray: Any, lab: bp.Lab, dtype: str) -> None:
    x, y = samples()
    digests = set()
    for workers in (1, 2, 4) if dtype == "float64" else (1, 3):
        net = network(lab, dtype=dtype)
        history = fit(net, x, y, workers=workers, num_cpus=0.4, epochs=2, batch_size=64, shuffle_seed=3)
        assert history is net.history
        assert (history.outcomes[-1].reason, history.outcomes[-1].steps_done, net.step) == ("finished", 10, 10)
        assert history.outcomes[-1].weights_digest == net.info().weights_digest
        digests.add(net.info().weights_digest)
    assert len(digests) == 1


def test_a_worker_killed_in_the_middle_changes_no_bit(ray: Any, lab: bp.Lab) -> None:
    x, y = samples(2000)
    ours = {"steps": 30, "batch_size": 1000, "shuffle_seed": 3, "micro_batches": 8, "num_cpus": 0.5}
    undisturbed, net = network(lab), network(lab)
    fit(undisturbed, x, y, workers=1, **ours)
    with killed(b"ray::Worker.sums", when=lambda: len(net.history) >= 5) as victims:
        fit(net, x, y, workers=2, **ours)
    assert victims
    assert net.step == 30
    assert net.info().weights_digest == undisturbed.info().weights_digest
    assert net.history.losses.tolist() == undisturbed.history.losses.tolist()


CASES: dict[str, dict[str, Any]] = {
    "cross entropy, float64": {},
    "cross entropy, float32": {"dtype": "float32"},
    "sum, clipped, scheduled": {
        "reduction": "sum", "optimizer": "sgd", "learning_rate": 0.001, "clip_norm": 1.0, "schedule": bp.StepSchedule(5, 0.5),
    },
    "mean squared error": {"loss": "mean_squared_error", "optimizer": "rmsprop"},
    "binary cross entropy": {"loss": "binary_cross_entropy", "optimizer": "sgd"},
    "half squared error": {"loss": "half_squared_error", "optimizer": "sgd"},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_run_is_that_of_net_fit_but_for_rounding(ray: Any, lab: bp.Lab, case: str) -> None:
    x, y = samples(210)
    settings = CASES[case]
    targets = y if "loss" not in settings else np.eye(4)[y]
    # The last batch of an epoch has 10 rows: fewer than micro-batches.
    run = {"epochs": 3, "batch_size": 50, "shuffle_seed": 7, "held_out": (x[:40], targets[:40])}
    there, here = network(lab, **settings), network(lab, **settings)
    there.fit(x, targets, **run)
    fit(here, x, targets, workers=1, **run)
    # Each sum of a gradient is rounded a few times more or less: 2⁻⁵³ or 2⁻²⁴ of its terms each, over 15 steps.
    tolerance = 1e-4 if settings.get("dtype") == "float32" else 1e-11
    for layer in (1, 2):
        np.testing.assert_allclose(here.W[layer], there.W[layer], rtol=0, atol=tolerance)
        np.testing.assert_allclose(here.b[layer], there.b[layer], rtol=0, atol=tolerance)
    for name in ("losses", "gradient_norms", "learning_rates"):
        np.testing.assert_allclose(getattr(here.history, name), getattr(there.history, name), rtol=tolerance)
    np.testing.assert_array_equal(here.history.accuracies, there.history.accuracies)
    assert here.history.steps.tolist() == there.history.steps.tolist()
    assert here.history.epochs.tolist() == there.history.epochs.tolist()
    assert [h.step for h in here.history.held_out] == [h.step for h in there.history.held_out]
    assert [h.is_best for h in here.history.held_out] == [h.is_best for h in there.history.held_out]
    np.testing.assert_allclose(
        [h.loss for h in here.history.held_out], [h.loss for h in there.history.held_out], rtol=tolerance
    )


def test_a_ray_dataset_is_trained_on_in_its_order(ray: Any, lab: bp.Lab) -> None:
    x, y = samples(100)
    rows = ray.data.from_items([{"x": row.tolist(), "y": int(target)} for row, target in zip(x, y, strict=True)])
    of_arrays, of_dataset = network(lab), network(lab)
    fit(of_arrays, x, y, steps=4, batch_size=30, workers=1)
    fit(of_dataset, rows, steps=4, batch_size=30, workers=1)
    assert of_dataset.info().weights_digest == of_arrays.info().weights_digest
    with pytest.raises(bp.InvalidArray, match="needs the columns"):
        fit(of_arrays, ray.data.from_items([{"a": 1.0}]))


def test_a_run_that_fails_leaves_the_network_at_its_last_step(ray: Any, lab: bp.Lab) -> None:
    x, y = samples(50)
    net = network(lab, optimizer="sgd", learning_rate=1e300, activation="relu")
    with pytest.raises(bp.Diverged) as raised:
        fit(net, x, y, steps=10, workers=1)
    assert raised.value.steps_done == net.step == len(net.history) < 10
    assert net.history.outcomes[-1].reason == "diverged"
    assert np.isfinite(net.W[1]).all()
    misfit = network(lab)
    with pytest.raises(bp.InvalidRequest) as refused:
        fit(misfit, x[:, :3], y, workers=1)
    assert "inputs" in refused.value.fields
    assert misfit.step == 0
    for given, reason in (({"micro_batches": 0}, "micro_batches"), ({"steps": 1, "epochs": 1}, "give one of them")):
        with pytest.raises(ValueError, match=reason):
            fit(misfit, x, y, **given)
    with pytest.raises(bp.InvalidArray, match="one for each of them"):
        fit(misfit, x, y[:-1])
    with pytest.raises(bp.InvalidArray, match="give arrays"):
        fit(misfit, lab.dataset(x, y))


def test_no_worker_is_left(ray: Any, lab: bp.Lab) -> None:
    x, y = samples(20)
    fit(network(lab), x, y, workers=1)
    end = time.monotonic() + 30
    while processes(b"ray::Worker") and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes(b"ray::Worker")
