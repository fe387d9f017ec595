"""What a student does first, with an installed wheel: python python/tests/smoke.py

Imports, starts the server of the wheel, compares a gradient with numpy's, trains, and leaves nothing behind.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time

begin = time.perf_counter()

import numpy as np  # noqa: E402

import backpropd as bp  # noqa: E402

rng = np.random.default_rng(1)
x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 1))
with bp.local() as lab:
    net = lab.model([4, 3, 2, 1], seed=1)
    g = net.gradients(x, y)
    first = time.perf_counter() - begin
    # The homework's first line, by numpy.
    mine = ((g.delta @ net.W[3]) * (g.z[2] > 0)).T @ g.h[1]
    assert np.allclose(mine, g.dW[2], rtol=1e-6, atol=1e-9), (mine, g.dW[2])
    g.check(dW={2: mine})
    try:
        g.check(dW={2: mine + 1})
    except AssertionError:
        pass
    else:
        raise SystemExit("a wrong gradient passed")
    losses = [step.loss for step in net.train(x, y, steps=50)]
    assert len(losses) == 50, losses
    assert losses[-1] < losses[0], losses

names = ("backpropd", "grpcio", "numpy", "protobuf")
versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
print(f"Python {sys.version.split()[0]}, {versions}: the first gradient {first:.2f} s after the start")
