#!/usr/bin/env python3
"""Runs exported networks elsewhere and compares their outputs with the server's.

    python tests/clients/exported_networks.py BACKPROPD ADDRESS

Every activation in both types: as ONNX in onnxruntime, for two batch sizes, and under the names of torch.nn.Sequential
in the modules that `backpropd export` prints, with a stand-in for torch.nn that loads as strictly as load_state_dict.
The file of names is imported again and has the same outputs, bit for bit. Needs the packages of requirements.txt.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import numpy as np
import onnxruntime

sys.dont_write_bytecode = True  # Leaves no __pycache__ beside the sources.
from grpcio_client import generate_stubs  # noqa: E402

SECONDS = 60
# Outputs of order 1, by other exponentials and other orders of summation.
TOLERANCE = {"FLOAT32": 2e-6, "FLOAT64": 1e-14}
NUMPY = {"FLOAT32": "<f4", "FLOAT64": "<f8"}


class Linear:
    def __init__(self, inputs, units, bias=True):
        self.shapes = {"weight": (units, inputs), **({"bias": (units,)} if bias else {})}

    def __call__(self, x):
        return x @ self.weight.T + getattr(self, "bias", 0)


def pointwise(function):
    class Module:
        shapes = {}

        def __init__(self, *arguments):
            self.arguments = arguments

        def __call__(self, x):
            return function(x, *self.arguments)

    return Module


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Sequential:
    """As torch.nn.Sequential: modules are named by their numbers."""

    def __init__(self, *modules):
        self.modules = modules
        self.dtype = np.float32

    def double(self):
        self.dtype = np.float64
        return self

    def load_state_dict(self, state):
        expected = {f"{i}.{name}": shape for i, m in enumerate(self.modules) for name, shape in m.shapes.items()}
        assert expected == {name: array.shape for name, array in state.items()}, (expected, list(state))
        for name, array in state.items():
            assert array.dtype == self.dtype, array.dtype
            number, parameter = name.split(".")
            setattr(self.modules[int(number)], parameter, array)

    def __call__(self, x):
        for module in self.modules:
            x = module(x)
        return x


class nn:
    Sequential, Linear = Sequential, Linear
    ReLU = pointwise(lambda x: np.maximum(x, 0))
    LeakyReLU = pointwise(lambda x, slope: np.where(x > 0, x, np.asarray(slope, x.dtype) * x))
    Sigmoid = pointwise(sigmoid)
    Tanh = pointwise(np.tanh)
    GELU = pointwise(lambda x: (x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2).astype(x.dtype))
    SiLU = pointwise(lambda x: x * sigmoid(x))


def load_file(path):
    """A safetensors file, by its format."""
    data = Path(path).read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "F64": "<f8"}
    return {
        name: np.frombuffer(data[end:][slice(*entry["data_offsets"])], types[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def main(program, address):
    with tempfile.TemporaryDirectory() as folder:
        generate_stubs(folder)
        from backprop.v1 import model_pb2, session_service_pb2, session_service_pb2_grpc, tensor_pb2
        from backprop.v1 import training_service_pb2 as pb
        from backprop.v1 import training_service_pb2_grpc as rpc

        channel = grpc.insecure_channel(address)
        sessions = session_service_pb2_grpc.SessionServiceStub(channel)
        session = sessions.CreateSession(session_service_pb2.CreateSessionRequest(), timeout=SECONDS).session.name
        training = rpc.TrainingServiceStub(channel)

        def outputs(model, x, kind):
            inputs = tensor_pb2.Tensor(shape=x.shape, raw=x.tobytes(), dtype=f"DTYPE_{kind}")
            reply = training.Predict(pb.PredictRequest(model=model, inputs=inputs), timeout=SECONDS)
            return np.frombuffer(reply.outputs.raw, NUMPY[kind]).reshape(reply.outputs.shape)

        def run(*arguments):
            command = [program, *arguments, "--server", address]
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS).stdout

        def worst(kind, ours, theirs, what):
            assert theirs.dtype == ours.dtype and theirs.shape == ours.shape, what
            error = float(np.abs(ours - theirs).max())
            assert error <= TOLERANCE[kind], f"{what}: off by {error}"
            return error

        rng = np.random.default_rng(1)
        activations = ["LINEAR", "RELU", "LEAKY_RELU", "SIGMOID", "TANH", "GELU", "SILU"]
        for kind in ["FLOAT32", "FLOAT64"]:
            errors = []
            for activation in activations:
                layers = [
                    model_pb2.Layer(units=33, activation=f"ACTIVATION_{activation}", bias=True, init="INIT_PYTORCH_LINEAR"),
                    model_pb2.Layer(units=9, activation=f"ACTIVATION_{activation}", init="INIT_PYTORCH_LINEAR"),
                    model_pb2.Layer(units=3, bias=True, init="INIT_PYTORCH_LINEAR"),
                ]
                spec = model_pb2.ModelSpec(input_size=20, layers=layers, compute=f"DTYPE_{kind}", loss="LOSS_CROSS_ENTROPY")
                request = pb.CreateModelRequest(session=session, spec=spec, seed=7)
                model = training.CreateModel(request, timeout=SECONDS).model.name
                file = f"{folder}/{kind}-{activation}"
                what = f"{activation} in {kind}"

                said = run("export", model, f"{file}.onnx", "--format", "onnx")
                if kind == "FLOAT64" and activation == "GELU":
                    assert "onnxruntime has no Gelu for float64" in said, said
                    network = None
                else:
                    options = onnxruntime.SessionOptions()
                    options.intra_op_num_threads = 1
                    network = onnxruntime.InferenceSession(f"{file}.onnx", options, ["CPUExecutionProvider"])
                    assert [(i.name, i.shape) for i in network.get_inputs()] == [("inputs", ["batch", 20])]
                modules = run("export", model, f"{file}.safetensors", "--names", "sequential").splitlines()[-1]
                sequential = eval(modules, {"nn": nn})
                sequential.load_state_dict(load_file(f"{file}.safetensors"))
                again = run("import", f"{file}.safetensors", "--session", session).strip()

                for rows in [1, 50]:
                    x = rng.uniform(-3, 3, (rows, 20)).astype(NUMPY[kind])
                    ours = outputs(model, x, kind)
                    if network:
                        errors.append(worst(kind, ours, network.run(["outputs"], {"inputs": x})[0], f"ONNX of {what}"))
                    errors.append(worst(kind, ours, sequential(x), f"Sequential of {what}"))
                    assert np.array_equal(ours, outputs(again, x, kind)), f"imported {what}"
            print(f"exported networks of every activation in {kind}: outputs within {max(errors):.1e}")
        sessions.DeleteSession(session_service_pb2.DeleteSessionRequest(name=session), timeout=SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
