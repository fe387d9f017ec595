"""Runs the notebooks of this folder in a kernel, as Jupyter does, and fails on an error or a wrong number:

    python run.py [NOTEBOOK.py …]

It needs the packages of requirements.txt; pytorch_jax_and_here.py also needs torch. Each notebook is plain Python as well: `python
custom_loss.py`.
"""

import os
import sys
import time
from pathlib import Path

import jupytext
import nbclient

HERE = Path(__file__).resolve().parent
SECONDS_A_CELL = 300


def run(file: Path) -> bool:
    """Runs a notebook, and says how long it took, or what went wrong."""
    notebook = jupytext.read(file)
    started = time.perf_counter()
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}
    )
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        print(f"{file.name}: {error}", flush=True)
        return False
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = sum(len(cell.outputs) for cell in cells)
    print(f"{file.name}: {len(cells)} cells, {outputs} outputs, {time.perf_counter() - started:.1f} s", flush=True)
    return outputs > 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    files = [Path(name).resolve() for name in sys.argv[1:]] or sorted(file for file in HERE.glob("*.py") if file != Path(__file__))
    results = [run(file) for file in files]
    sys.exit(not (results and all(results)))
