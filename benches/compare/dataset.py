"""MNIST-size training on a dataset of the server, held-out figures each epoch, beside peers with the data in memory."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from ground import HERE, Server, Stubs, environment, say
from service import at_least, at_most, row

TRAIN, HELD_OUT, FEATURES, HIDDEN, CLASSES = 60_000, 10_000, 784, 128, 10
BATCH, EPOCHS, RATE = 128, 10, 0.05
PEERS = ("jax", "jax-scan", "torch", "torch-compile")


def samples(seed, rows):
    """Pixels from 0 to 1, and the class of a hidden linear map, so that there is something to learn."""
    random = np.random.default_rng(seed)
    inputs = random.random((rows, FEATURES), dtype=np.float32)
    hidden = np.random.default_rng(0).standard_normal((FEATURES, CLASSES), dtype=np.float32)
    return inputs, (inputs - 0.5).dot(hidden).argmax(1).astype(np.uint32)


def write(path, inputs, labels):
    """A .safetensors file: the length of the header, the header, the numbers."""
    end = inputs.nbytes
    header = {
        "inputs": {"dtype": "F32", "shape": inputs.shape, "data_offsets": [0, end]},
        "labels": {"dtype": "U32", "shape": labels.shape, "data_offsets": [end, end + labels.nbytes]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(inputs.tobytes() + labels.tobytes())


class Ours:
    """The server with a folder of datasets, asked by grpcio."""

    def __init__(self, program, folder):
        import grpc

        self.server = Server(program, "serve", "--listen", "127.0.0.1:0", "--ephemeral", "--datasets", folder)
        self.address = self.server.__enter__().address
        self.stubs = Stubs()
        self.channel = grpc.insecure_channel(self.address)
        self.grpc = grpc

    def create(self):
        spec = {
            "input_size": FEATURES,
            "layers": [{"units": HIDDEN, "bias": True}, {"units": CLASSES, "bias": True}],
            "loss": "LOSS_CROSS_ENTROPY",
            "compute": "DTYPE_FLOAT32",
            "sgd": {"learning_rate": RATE},
        }
        from google.protobuf import json_format

        request = json_format.ParseDict({"spec": spec, "seed": 1}, self.stubs.message("CreateModelRequest")())
        return self.stubs.unary(self.channel, "TrainingService/CreateModel", request).model.name

    def train(self, epochs):
        """Seconds of the call, seconds that the server computed, and the last held-out accuracy."""
        from google.protobuf import json_format

        request = {
            "model": self.create(),
            "dataset": {"dataset": "datasets/train"},
            "epochs": epochs,
            "minibatch_size": BATCH,
            "shuffle_seed": 1,
            "held_out": {"dataset": {"dataset": "datasets/held-out"}},
        }
        request = json_format.ParseDict(request, self.stubs.message("TrainBatchRequest")())
        reply = self.stubs.message("TrainBatchResponse")
        call = self.channel.unary_stream(
            "/backprop.v1.TrainingService/TrainBatch", type(request).SerializeToString, reply.FromString
        )
        began, steps, accuracy = time.perf_counter(), 0, 0.0
        for event in call(request):
            kind = event.WhichOneof("event")
            if kind == "progress":
                steps += len(event.progress.steps)
            elif kind == "held_out":
                accuracy = event.held_out.accuracy
            elif kind == "completed":
                computed = event.completed.timings.computed
        took = time.perf_counter() - began
        assert steps + event.completed.metrics_dropped >= epochs * -(-TRAIN // BATCH) - 1
        return took, computed.seconds + computed.nanos / 1e9, accuracy

    def memory(self):
        """Resident bytes, at most so far."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def end(self):
        self.channel.close()
        self.server.__exit__(None, None, None)


def measure(python, programs, folder, repetitions, epochs=EPOCHS, peers=PEERS):
    with tempfile.TemporaryDirectory(dir=folder, prefix="datasets-") as data:
        say("writing", TRAIN + HELD_OUT, "samples")
        train, held_out = samples(1, TRAIN), samples(2, HELD_OUT)
        write(Path(data) / "train.safetensors", *train)
        write(Path(data) / "held_out.safetensors", *held_out)
        np.savez(Path(data) / "peers.npz.part", xt=train[0], yt=train[1], xh=held_out[0], yh=held_out[1])
        os.rename(Path(data) / "peers.npz.part.npz", Path(data) / "peers.arrays")
        ours = Ours(programs["backpropd"], data)
        try:
            ours.train(1)
            runs = {"ours": [], **{peer: [] for peer in peers}}
            for _ in range(repetitions):
                for name in runs:
                    if name == "ours":
                        runs[name].append(ours.train(epochs))
                    else:
                        runs[name].append(peer(python, name, Path(data) / "peers.arrays", epochs, folder))
                    say(f"  {name}: {runs[name][-1]}")
            peak = ours.memory()
        finally:
            ours.end()
    size = sum(part.nbytes for part in (*train, *held_out))
    took = {name: statistics.median(run[0] for run in some) for name, some in runs.items()}
    computed = statistics.median(run[1] for run in runs["ours"])
    comparisons = [
        at_least(f"{name}", took[name] / took["ours"], 1.2 if name == "jax-scan" else 1.5) for name in peers
    ]
    comparisons.append(at_least("computing, of the call", computed / took["ours"], 0.97))
    comparisons.append(at_most("memory beside the data", (peak - size) / 2**20, 64, "MiB"))
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items())
    accuracy = runs["ours"][-1][2]
    yield row(f"{epochs} epochs of 60,000 × 784, held-out accuracy {accuracy:.3f}", shown, comparisons)


def peer(python, name, data, epochs, folder):
    """The faster of one thread and two."""
    command = [python, HERE / "dataset_peers.py", name, data, str(epochs)]
    runs = []
    for threads in (1, 2):
        told = subprocess.check_output(command, env=environment(threads, folder), text=True)
        runs.append(json.loads(told.splitlines()[-1]))
    return min(runs)
