"""What the Python package costs beside bare grpcio and beside a loop in this process.

    python benches/compare/python_package.py PROGRAM [import|gradients|train|upload ...]

Starts PROGRAM (backpropd) on loopback. Each figure is the median of rounds that alternate between the two. Needs the
package's dependencies.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import grpc  # noqa: E402
import numpy as np  # noqa: E402

import backpropd as bp  # noqa: E402
from backpropd import _messages as pb  # noqa: E402

ROUNDS = 15


class Server:
    def __init__(self, program):
        arguments = [program, "serve", "--ephemeral", "--port", "0", "--log", "error"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(self.address, options=options)
        self.lab = bp.connect(self.address)

    def stop(self):
        self.lab.close()
        self.channel.close()
        self.process.terminate()
        self.process.wait(30)


def medians(*functions, rounds=ROUNDS):
    """The median time of each function, in seconds, each behind a run of itself that does not count."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            function()
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def imports(_):
    """Seconds to import, in fresh processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}

    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    base, ours = medians(run("import numpy, grpc"), run("import numpy, grpc, backpropd"), rounds=9)
    print(f"import: {(ours - base) * 1e3:.0f} ms beyond numpy and grpcio ({base * 1e3:.0f} ms); asked <= 250")


def gradients(server):
    """Calls a second on 4-3-2-1, every quantity."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 4)), rng.normal(size=(2, 1))
    net = server.lab.model([4, 3, 2, 1], seed=1)
    request = pb.GradientsRequest(
        model=net.name,
        inputs=pb.Tensor(shape=x.shape, raw=x.tobytes(), dtype=2),
        targets=pb.Tensor(shape=y.shape, raw=y.tobytes(), dtype=2),
        encoding=2,
    ).SerializeToString()
    call = server.channel.unary_unary(pb.METHODS["Gradients"].path)
    count = 300

    def bare():
        for _ in range(count):
            call(request)

    def ours():
        for _ in range(count):
            net.gradients(x, y)

    def read():
        for _ in range(count):
            g = net.gradients(x, y)
            _ = g.dW[1], g.dW[2], g.dW[3], g.delta

    raw, package, with_arrays = medians(bare, ours, read)
    for name, taken in (("net.gradients", package), ("and reading four arrays", with_arrays)):
        print(
            f"{name}: {taken / count * 1e6:.0f} µs, a bare stub with ready bytes {raw / count * 1e6:.0f} µs: "
            f"{raw / taken:.0%} of its rate; asked >= 60 %"
        )


def numpy_loop(x, y, W, steps, rate):
    """The same training in this process."""
    W = [w.copy() for w in W]
    losses = []
    m = len(x)
    for _ in range(steps):
        z1 = x @ W[0].T
        h1 = np.maximum(z1, 0)
        z2 = h1 @ W[1].T
        h2 = np.maximum(z2, 0)
        delta = (h2 @ W[2].T - y) / m
        losses.append(float((delta * delta).sum() * m / 2))
        dz2 = (delta @ W[2]) * (z2 >= 0)
        dz1 = (dz2 @ W[1]) * (z1 >= 0)
        for w, dw in zip(W, (dz1.T @ x, dz2.T @ h1, delta.T @ h2), strict=True):
            w -= rate * dw
    return losses


def train(server):
    """10,000 small steps with every metric: beside numpy in this process, the program's own loop, and a bare stream."""
    rng = np.random.default_rng(1)
    steps = 10_000
    path = pb.METHODS["TrainBatch"].path
    for sizes, rows in (([4, 3, 2, 1], 8), ([64, 32, 10], 32)):
        x, y = rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))
        net = server.lab.model(sizes, seed=1, learning_rate=1e-4)
        request = pb.TrainBatchRequest(
            model=net.name,
            steps=steps,
            inputs=pb.Tensor(shape=x.shape, raw=x.tobytes(), dtype=2),
            targets=pb.Tensor(shape=y.shape, raw=y.tobytes(), dtype=2),
        )
        encoded = request.SerializeToString()
        call = server.channel.unary_stream(path)
        quiet = pb.TrainBatchRequest(metrics_every=steps)
        quiet.MergeFrom(request)
        encoded_quiet = quiet.SerializeToString()

        def alone():
            for _ in call(encoded_quiet):
                pass

        def bare():
            for _ in call(encoded):
                pass

        def ours():
            last = 0.0
            seen = 0
            for step in net.train(x, y, steps=steps):
                last = step.loss
                seen += 1
            assert seen == steps and last > 0

        compared = [alone, bare, ours]
        if len(sizes) == 4:
            W = [net.W[i] for i in (1, 2, 3)]
            compared.append(lambda: numpy_loop(x, y, W, steps, 1e-4))
        engine, raw, package, *numpy = medians(*compared, rounds=7)
        print(
            f"train {'-'.join(map(str, sizes))}, {rows} rows, {steps} steps: {package * 1e3:.1f} ms; the server alone "
            f"{engine * 1e3:.1f} ms ({engine / package:.0%}), a bare stream {raw * 1e3:.1f} ms ({raw / package:.0%})"
            + (f", numpy in this process {numpy[0] * 1e3:.0f} ms ({numpy[0] / package:.0%})" if numpy else "")
            + "; asked >= 90 % of the loop in this process"
        )


def upload(server):
    """188 MB of samples."""
    x = np.random.default_rng(1).random((60_000, 784), np.float32)
    labels = np.arange(60_000) % 10
    call = server.channel.stream_unary(pb.METHODS["CreateDataset"].path)
    piece = 1 << 20

    def header():
        fields = {"session": server.lab.session, "rows": len(x), "features": 784, "classes": 10, "dtype": 1}
        return pb.CreateDatasetRequest(header=pb.DatasetHeader(**fields)).SerializeToString()

    rows = piece // (4 * 784)
    ready = [
        pb.CreateDatasetRequest(
            rows=pb.DatasetPiece(inputs=x[at : at + rows].tobytes(), labels=labels[at : at + rows].tolist())
        ).SerializeToString()
        for at in range(0, len(x), rows)
    ]

    def delete():
        for dataset in server.lab.datasets():
            server.lab.delete_dataset(dataset)

    def bare():
        call(iter([header(), *ready]))

    def ours():
        server.lab.dataset(x, labels)

    times = {bare: [], ours: []}
    for round_ in range(8):
        for function, taken in times.items():
            delete()
            start = time.perf_counter()
            function()
            if round_:
                taken.append(time.perf_counter() - start)
    delete()
    raw, package = (statistics.median(taken) for taken in times.values())
    megabytes = x.nbytes / 1e6
    print(
        f"upload of {megabytes:.0f} MB: {megabytes / package:.0f} MB/s, a bare stream of ready messages "
        f"{megabytes / raw:.0f} MB/s: {raw / package:.0%}; asked >= 70 %"
    )


PARTS = {"import": imports, "gradients": gradients, "train": train, "upload": upload}


def main(program, *names):
    server = Server(program)
    try:
        for name in names or PARTS:
            PARTS[name](server)
    finally:
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
