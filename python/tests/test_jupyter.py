"""A real kernel of Jupyter: displays, interrupts, and what is left when the kernel is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import program

pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("nbconvert", reason="nbconvert is not installed")

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbconvert import HTMLExporter

PACKAGES = str(Path(__file__).resolve().parents[1])
SECONDS = 60

SETUP = """
import os
import backpropd as bp, numpy as np
rng = np.random.default_rng(0)
x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 1))
lab = bp.local()
net = lab.model([4, 3, 2, 1], seed=1)
"""

PID = """
from backpropd._server import LocalServer
print("pid", LocalServer.shared().pid)
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKPROPD_BIN", program())
    monkeypatch.setenv("PYTHONPATH", PACKAGES)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    for display in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
        monkeypatch.delenv(display, raising=False)


class Kernel:
    """A kernel, and a client that runs cells in it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        # The kernel of this environment, whichever others are installed.
        self.manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def start(self, code: str) -> str:
        """Begins to run a cell, and returns the id of its request."""
        return str(self.client.execute(code))

    def outputs(self, request: str) -> list[dict[str, Any]]:
        """The messages of a cell, once it has ended."""
        found: list[dict[str, Any]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found
            found.append(message)

    def run(self, code: str) -> str:
        """What a cell prints.

        Raises:
            AssertionError: it failed.
        """
        messages = self.outputs(self.start(code))
        errors = ["\n".join(m["content"]["traceback"]) for m in messages if m["msg_type"] == "error"]
        assert not errors, errors[0]
        return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child of a killed kernel may wait for its new parent to collect it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_calls_need_no_await_in_the_running_loop_of_a_kernel(kernel: Kernel) -> None:
    printed = kernel.run(SETUP + "import asyncio; print(asyncio.get_running_loop().is_running(), net.gradients(x, y).loss > 0)")
    assert printed.split() == ["True", "True"]
    awaited = "async with await bp.aio.connect(lab.address) as alab: print((await (await alab.model([2, 1])).info()).step)"
    assert kernel.run(awaited).strip() == "0"


def test_an_interrupt_stops_the_run_and_leaves_the_server(kernel: Kernel) -> None:
    kernel.run(SETUP)
    pid = int(kernel.run(PID).split()[1])
    loop = "shown = False\nfor step in net.train(x, y, steps=9_999_999):\n    shown = shown or not print('started', flush=True)"
    request = kernel.start(loop)
    while kernel.client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    errors = [m for m in kernel.outputs(request) if m["msg_type"] == "error"]
    assert [m["content"]["ename"] for m in errors] == ["KeyboardInterrupt"]
    again = "print(net.info().training, net.step >= 1, LocalServer.shared().pid, net.history.outcomes[-1].reason)"
    assert kernel.run(again).split() == ["False", "True", str(pid), "stopped"]
    assert kernel.run("before = net.step; net.fit(x, y, steps=3); print(net.step - before)").strip() == "3"


def test_an_interrupted_fit_stops_and_the_next_cell_trains(kernel: Kernel) -> None:
    kernel.run(SETUP)
    request = kernel.start("print('started', flush=True)\nnet.fit(x, y, steps=10_000_000)")
    while kernel.client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    assert "error" in [m["msg_type"] for m in kernel.outputs(request)]
    assert kernel.run("print(net.info().training)").strip() == "False"


def test_the_server_goes_within_a_second_of_a_killed_kernel(kernel: Kernel) -> None:
    kernel.run(SETUP)
    pid = int(kernel.run(PID).split()[1])
    assert is_running(pid)
    os.kill(kernel.manager.provisioner.pid, 9)  # type: ignore[union-attr,attr-defined,unused-ignore]
    deadline = time.monotonic() + 1
    while is_running(pid) and time.monotonic() < deadline:
        pass
    assert not is_running(pid)


CELLS = {
    "net": ("text/html", "<th>activation</th>"),
    "g = net.gradients(x, y); g": ("text/html", "repeating-linear-gradient"),
    "g.dW": ("text/html", "<b>dW[2]</b>"),
    "g.grade(dW={2: -g.dW[2]})": ("text/html", "SIGN_FLIPPED"),
    "g.explain('dW2', 1, 1)": ("text/latex", "\\displaystyle"),
    "net.fit(x, y, steps=50)": ("text/html", "<polyline"),
    "bp.grade('hw-backprop', {'1.1': r'-\\delta h^2_{1,1}'})": ("text/html", "SIGN_FLIPPED"),
    "bp.grade('hw-backprop', {'1.1': r'-\\delta h^2_{1,1}'})['1.1']": ("text/html", "$$"),
    "%load_ext backpropd\n%backprop_assignment hw-backprop": ("text/html", "<td>1.11</td>"),
    "%%backprop_answer 1.11\n\\delta (W^3": ("text/html", "underline wavy"),
    "%%backprop_answer\nx": ("", "which question is it?"),
}


def test_displays_render_in_the_page_of_a_notebook() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (SETUP, *CELLS)])
    NotebookClient(notebook, timeout=SECONDS, allow_errors=True, kernel_name="python3").execute()
    for cell, (code, (mime, part)) in zip(notebook.cells[1:], CELLS.items(), strict=True):
        shown = "".join(str(output.get("data", {}).get(mime, output.get("text", ""))) for output in cell.outputs)
        assert part in shown, (code, cell.outputs)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    for part in ("<th>activation</th>", "repeating-linear-gradient", "<polyline", "underline wavy", "which question is it?"):
        assert part in page, part
    assert "Traceback" not in page


def test_a_plot_is_drawn_without_a_display(kernel: Kernel) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    kernel.run(f"{SETUP}\nnet.fit(x, y, steps=20)\n%matplotlib inline")
    messages = kernel.outputs(kernel.start("net.history.plot();"))
    assert any("image/png" in m["content"].get("data", {}) for m in messages if m["msg_type"] == "display_data")


def test_a_plot_is_written_by_a_script_without_a_display(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    code = f"{SETUP}\nnet.fit(x, y, steps=20)\nnet.history.plot().figure.savefig(r'{tmp_path / 'loss.png'}')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


TRAIN = "net.fit(x, y, steps=3000, progress=True)"


def test_progress_is_a_widget_in_a_notebook_and_text_without_widgets(kernel: Kernel) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
    kernel.run(SETUP)
    messages = kernel.outputs(kernel.start(f"{TRAIN};"))
    shown = [m["content"]["data"] for m in messages if m["msg_type"] == "display_data"]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    # A front end without widgets shows their text.
    assert all("text/plain" in data for data in shown)
    other = Kernel()
    try:
        other.run("import sys; sys.modules['ipywidgets'] = None" + SETUP)
        printed = other.run(f"{TRAIN};")
        assert "3000/3000" in printed
        assert "loss=" in printed
        assert "Warning" not in printed
    finally:
        other.close()


@pytest.mark.parametrize("hidden", ["", "import sys; sys.modules['tqdm'] = sys.modules['tqdm.auto'] = None\n"])
def test_progress_is_text_in_a_terminal_or_a_log(hidden: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{hidden}{SETUP}\n{TRAIN}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("3000 of 3000 steps" if hidden else "3000/3000") in done.stderr
    assert done.stdout == ""
