"""`backpropd.ray.fit` beside `net.fit`, by batch size and number of workers, on two raylets.

    python benches/compare/ray_fit.py PROGRAM [STEPS]

A 784-1024-1024-10 in float32, with a worker on one thread each; `net.fit` has one thread too. The first steps, in which
workers start, do not count. Fails if the digests differ. Needs the package's dependencies and ray[data].
"""

import os
import sys
import time

from ray_ground import cluster

SIZES = [784, 1024, 1024, 10]
BATCHES = (256, 1024, 4096)


def seconds_a_step(run, steps):
    """Seconds of one of `steps` steps: of that many more than one, so that the start is left out."""
    def timed(count):
        began = time.perf_counter()
        run(count)
        return time.perf_counter() - began

    return (timed(steps + 1) - timed(1)) / steps


def row(lab, x, y, steps):
    """The milliseconds of a step of `net.fit`, and of `fit` by 1, 2 and 4 workers."""
    from backpropd.ray import fit

    nets = []

    def made():
        nets.append(lab.model(SIZES, bias=True, loss="cross_entropy", dtype="float32", seed=1, learning_rate=0.01))
        return nets[-1]

    alone = seconds_a_step(lambda count: made().fit(x, y, steps=count), steps)
    nets.clear()
    times = [
        seconds_a_step(lambda count, workers=workers: fit(made(), x, y, steps=count, workers=workers, num_cpus=1), steps)
        for workers in (1, 2, 4)
    ]
    digests = {(net.step, net.info().weights_digest) for net in nets}
    assert len(digests) == 2, f"digests differ: {digests}"
    for net in nets:
        net.delete()
    return [1e3 * seconds for seconds in (alone, *times)]


def main():
    os.environ["BACKPROPD_BIN"] = os.path.abspath(sys.argv[1])
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    import numpy as np

    import backpropd as bp
    from backpropd._server import LocalServer

    rng = np.random.default_rng(1)
    x, y = rng.random((max(BATCHES), SIZES[0]), np.float32), rng.integers(0, SIZES[-1], max(BATCHES))
    # The cluster counts more CPUs than there are, so that four workers find a place.
    with cluster(2), LocalServer(settings={"threads": 1}) as server, bp.connect(server.address) as lab:
        print("| batch | net.fit | 1 worker | 2 workers | 4 workers | 2 workers / 1 |\n|---|---|---|---|---|---|")
        for batch in BATCHES:
            times = row(lab, x[:batch], y[:batch], steps)
            cells = [f"{milliseconds:.0f} ms" for milliseconds in times]
            print(f"| {batch} | {' | '.join(cells)} | {times[1] / times[2]:.2f} × |", flush=True)


if __name__ == "__main__":
    main()
