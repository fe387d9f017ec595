"""Training steps in this crate's engine and in its peers: the same networks, batches and numbers."""

import math
import statistics
import time

from ground import HERE, Asked, environment, say

THREADS = (1, 2)
PEERS = ("numpy", "jax", "jax-scan", "torch-foreach", "torch-fused", "torch-compile")

# Sums are added up in another order by everyone: so far may losses differ, relatively, after the steps below.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def work(sizes, rows, check, rate, double=False, bias=True, adam=False):
    """Losses are compared after `check` steps of this learning rate, and JAX scans as many in one call. What is timed
    has a thousandth of it: weights hardly move, so that no unit dies and no number gets subnormal in a million steps.
    """
    name = f"{'-'.join(map(str, sizes))}, batch {rows}, {'f64' if double else 'f32'}, {'Adam' if adam else 'SGD'}"
    return {
        "name": name,
        "sizes": sizes,
        "rows": rows,
        "double": double,
        "bias": bias,
        "adam": adam,
        "scan": check,
        "compared_rate": rate,
        "learning_rate": rate / 1000,
    }


HOMEWORK = work([4, 3, 2, 1], 1, 100, 1e-3, double=True, bias=False)
DIGITS = work([64, 32, 10], 32, 100, 1e-3)
MNIST = work([784, 128, 10], 64, 100, 1e-4)
LARGE = work([784, 1024, 1024, 10], 8, 10, 1e-4)

WORKS = [
    HOMEWORK,
    DIGITS,
    MNIST,
    work([784, 1024, 1024, 10], 256, 10, 1e-4),
    work([2048, 2048, 2048, 2048], 512, 4, 1e-7),
    work([64, 32, 10], 32, 100, 3e-4, adam=True),
    work([784, 128, 10], 64, 100, 3e-5, adam=True),
    work([784, 1024, 1024, 10], 256, 10, 2e-5, adam=True),
    work([2048, 2048, 2048, 2048], 512, 4, 1e-6, adam=True),
]


class Variant:
    """One way to take the steps: a process, and a number of threads."""

    def __init__(self, kind, threads, process, products=False):
        self.kind, self.threads, self.process, self.products = kind, threads, process, products

    def ask(self, work, steps):
        asked = {**work, "steps": steps, "threads": self.threads, "products": self.products}
        return self.process.ask(asked)

    def loss(self, work):
        compared = {**work, "name": work["name"] + ", compared", "learning_rate": work["compared_rate"]}
        return self.ask(compared, work["scan"])["loss"]

    def prepare(self, work, seconds):
        """How many steps take about so long."""
        scan = work["scan"] if self.kind == "jax-scan" else 1
        steps = scan
        # The first call compiles.
        self.time(work, steps)
        while True:
            took = self.time(work, steps) * steps
            if took >= seconds / 3:
                return scan * max(1, round(steps * seconds / took / scan))
            steps *= 4

    def time(self, work, steps):
        """Seconds a step."""
        return self.ask(work, steps)["seconds"] / steps


def variants(python, programs, folder, peers=PEERS):
    own = Asked([programs["peer"], "--serve"])
    all_of_them = [Variant("ours", threads, own) for threads in THREADS]
    all_of_them += [Variant("products", threads, own, products=True) for threads in THREADS]
    for kind in peers:
        for threads in THREADS:
            command = [python, HERE / "peers.py", kind]
            all_of_them.append(Variant(kind, threads, Asked(command, environment(threads, folder))))
    return all_of_them


def end(everyone):
    for process in {variant.process for variant in everyone}:
        process.end()


def measure(everyone, work, seconds, repetitions):
    """A row: seconds a step by kind and threads, and the losses, which agree."""
    losses = {f"{v.kind} {v.threads}": v.loss(work) for v in everyone if not v.products}
    agree(work, losses)
    steps = [variant.prepare(work, seconds) for variant in everyone]
    took = [[] for _ in everyone]
    for _ in range(repetitions):
        for variant, count, times in zip(everyone, steps, took):
            times.append(variant.time(work, count))
            # The threads of whoever was asked spin for a while before they sleep.
            time.sleep(0.05)
    by_kind = {}
    for variant, times in zip(everyone, took):
        by_kind.setdefault(variant.kind, {})[str(variant.threads)] = statistics.median(times)
    spread = {f"{v.kind} {v.threads}": times for v, times in zip(everyone, took)}
    say(f"  {work['name']}: " + ", ".join(f"{kind} {short(best(t)[0])}" for kind, t in by_kind.items()))
    return {"name": work["name"], "work": work, "seconds": by_kind, "repetitions": spread, "losses": losses}


def agree(work, losses):
    expected = losses["ours 1"]
    tolerance = TOLERANCE["float64" if work["double"] else "float32"]
    for name, loss in losses.items():
        if not math.isclose(loss, expected, rel_tol=tolerance):
            after = f"{work['name']}: after {work['scan']} steps"
            raise SystemExit(f"{after} the loss is {loss} in {name}, {expected} here")


def best(by_threads):
    """The fastest, and with how many threads."""
    threads = min(by_threads, key=by_threads.get)
    return by_threads[threads], threads


def short(seconds):
    """Three digits."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            break
    value = seconds / size
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f} {unit}"
