"""What a Python client pays for the calls around training: Explain beside Gradients, ApplyGradients, an upload.

All clients are grpcio, in one process with one channel; an upload stands beside a grpcio server that counts bytes.
"""

import statistics
import time
from concurrent import futures

import numpy as np
from dataset import FEATURES, TRAIN, samples
from ground import HERE, Server, Stubs
from service import at_most, row

PIECE_ROWS = 300


class Python:
    """A channel to a server, and calls on it."""

    def __init__(self, address):
        import grpc

        self.stubs, self.channel = Stubs(), grpc.insecure_channel(address)

    def request(self, kind, /, **fields):
        from google.protobuf import json_format

        return json_format.ParseDict(fields, self.stubs.message(kind)())

    def call(self, method, request):
        return self.stubs.unary(self.channel, method, request)

    def model(self, sizes, loss="LOSS_HALF_SQUARED_ERROR"):
        layers = [{"units": units, "activation": "ACTIVATION_RELU", "bias": True} for units in sizes[1:]]
        layers[-1]["activation"] = "ACTIVATION_LINEAR"
        spec = {"input_size": sizes[0], "layers": layers, "loss": loss, "compute": "DTYPE_FLOAT32"}
        request = self.request("CreateModelRequest", spec=spec, seed=1)
        return self.call("TrainingService/CreateModel", request).model

    def batch(self, sizes, rows):
        random = np.random.default_rng(1)
        return {
            name: {"shape": [rows, columns], "values": random.standard_normal(rows * columns).tolist()}
            for name, columns in (("inputs", sizes[0]), ("targets", sizes[-1]))
        }


def median_ms(work, seconds):
    took, end = [], time.perf_counter() + seconds
    while len(took) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took)


def explain(python, seconds):
    """An entry of a gradient, one level deep and to the leaves, of the time of Gradients."""
    for sizes, rows in (([4, 3, 2, 1], 1), ([784, 128, 10], 128)):
        model, batch = python.model(sizes).name, python.batch(sizes, rows)
        quantities = ["QUANTITY_Z", "QUANTITY_H", "QUANTITY_D_Z", "QUANTITY_D_H", "QUANTITY_D_W", "QUANTITY_D_B"]
        request = python.request("GradientsRequest", model=model, include=quantities, encoding="TENSOR_ENCODING_RAW", **batch)
        gradients = median_ms(lambda: python.call("TrainingService/Gradients", request), seconds)
        shown, comparisons = [f"Gradients {gradients:.2f} ms"], []
        for expand in ("EXPANSION_NONE", "EXPANSION_CHAIN", "EXPANSION_LEAVES"):
            entry = {"quantity": "QUANTITY_D_W", "layer": 2, "row": 1, "column": 2, "expand": expand}
            one = python.request("ExplainRequest", model=model, **entry, **batch)
            took = median_ms(lambda one=one: python.call("TrainingService/Explain", one), seconds)
            word = expand.removeprefix("EXPANSION_").lower()
            shown.append(f"{word} {took:.2f} ms")
            comparisons.append(at_most(f"{word}, of Gradients", took / gradients, 2, "×"))
        name = "-".join(map(str, sizes))
        yield row(f"Explain of one entry by grpcio, {name}, {rows} rows", ", ".join(shown), comparisons)


def apply(python, seconds):
    """One step of 784-128-10 with gradients in the request, acknowledged from memory."""
    sizes = [784, 128, 10]
    model, batch = python.model(sizes).name, python.batch(sizes, 128)
    include = ["QUANTITY_D_W", "QUANTITY_D_B"]
    request = python.request("GradientsRequest", model=model, include=include, encoding="TENSOR_ENCODING_RAW", **batch)
    tensors = python.call("TrainingService/Gradients", request).tensors
    request = python.request("ApplyGradientsRequest", model=model, durability="DURABILITY_RELAXED", skip_digest=True)
    request.gradients.add().tensors.extend(tensors)
    took = median_ms(lambda: python.call("TrainingService/ApplyGradients", request), seconds)
    yield row("ApplyGradients by grpcio, 784-128-10, raw, relaxed", f"{took:.2f} ms a call", [])


def pieces(python, session, number, inputs, labels):
    message = python.stubs.message("CreateDatasetRequest")
    shape = {"rows": str(len(inputs)), "features": FEATURES, "classes": 10, "dtype": "DTYPE_FLOAT32"}
    yield python.request("CreateDatasetRequest", header={"session": session, "dataset_id": f"d{number}", **shape})
    for first in range(0, len(inputs), PIECE_ROWS):
        part = message()
        part.rows.inputs = inputs[first : first + PIECE_ROWS].tobytes()
        part.rows.labels.extend(labels[first : first + PIECE_ROWS].tolist())
        yield part


def upload(python, bare, repetitions):
    """Seconds to send 60,000 × 784 numbers, of those of a stream to a server that counts bytes."""
    inputs, labels = samples(1, TRAIN)
    session = python.call("SessionService/CreateSession", python.request("CreateSessionRequest")).session.name
    took = {"ours": [], "bare": []}
    for number in range(repetitions):
        for name, client in (("ours", python), ("bare", bare)):
            reply = python.stubs.message("CreateDatasetResponse")
            send = client.channel.stream_unary(
                "/backprop.v1.DatasetService/CreateDataset",
                python.stubs.message("CreateDatasetRequest").SerializeToString,
                reply.FromString,
            )
            began = time.perf_counter()
            made = send(pieces(python, session, number, inputs, labels)).dataset
            took[name].append(time.perf_counter() - began)
            if name == "ours":
                python.call("DatasetService/DeleteDataset", python.request("DeleteDatasetRequest", name=made.name))
    ours, bare = (statistics.median(took[name]) for name in ("ours", "bare"))
    shown = f"{ours:.2f} s, a bare stream {bare:.2f} s"
    yield row("60,000 × 784 sent by grpcio to a server without a data folder", shown, [at_most("of the stream", ours / bare, 1.3, "×")])


def measure(python, programs, seconds, repetitions):
    ours = Server(programs["backpropd"], "serve", "--listen", "127.0.0.1:0", "--ephemeral")
    with ours, Server(python, HERE / "python_calls.py") as counting:
        client, bare = Python(ours.address), Python(counting.address)
        yield from explain(client, seconds)
        yield from apply(client, seconds)
        yield from upload(client, bare, repetitions)


def count_bytes():
    """A server that reads a stream of any messages, and answers with an empty one."""
    import grpc

    class Any(grpc.GenericRpcHandler):
        def service(self, _):
            def read(messages, _):
                sum(len(message) for message in messages)
                return b""

            return grpc.stream_unary_rpc_method_handler(read)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Any(),))
    print(f"listening on 127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    count_bytes()
