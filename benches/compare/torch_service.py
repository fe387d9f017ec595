"""The service that a course would write otherwise: grpcio over PyTorch, eight threads, a lock for each model.

It speaks this project's protocol as far as the comparison needs it: CreateModel, Gradients (of stored and inline
models, the quantities Z, H, D_Z, D_H, D_W, D_B), Predict and one-batch TrainBatch, with `values` and with `raw`.
"""

import importlib
import importlib.resources
import itertools
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import torch
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def generate(into):
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--grpc_python_out={into}", *files]
    if protoc.main(arguments) != 0:
        sys.exit("proto/ does not compile")
    sys.path.insert(0, into)


STUBS = tempfile.TemporaryDirectory()
generate(STUBS.name)
model_pb = importlib.import_module("backprop.v1.model_pb2")
tensor_pb = importlib.import_module("backprop.v1.tensor_pb2")
training_pb = importlib.import_module("backprop.v1.training_service_pb2")
training_grpc = importlib.import_module("backprop.v1.training_service_pb2_grpc")

DTYPES = {tensor_pb.DTYPE_FLOAT32: torch.float32}
ALL = [
    getattr(training_pb, f"QUANTITY_{name}")
    for name in "X Z H Y LOSS_PER_SAMPLE D_W D_B D_Z D_H D_X DELTA W B".split()
]


def read(tensor):
    if tensor.raw:
        dtype = np.float32 if tensor.dtype == tensor_pb.DTYPE_FLOAT32 else np.float64
        array = np.frombuffer(tensor.raw, dtype)
    else:
        array = np.array(tensor.values)
    return torch.from_numpy(array.reshape(tuple(tensor.shape)).copy())


def write(tensor, raw):
    array = tensor.detach().numpy()
    message = tensor_pb.Tensor(shape=array.shape or (1,))
    if raw:
        message.raw = array.tobytes()
        is_single = array.dtype == np.float32
        message.dtype = tensor_pb.DTYPE_FLOAT32 if is_single else tensor_pb.DTYPE_FLOAT64
    else:
        message.values.extend(array.ravel().tolist())
    return message


class Network:
    def __init__(self, spec, parameters):
        dtype = DTYPES.get(spec.compute, torch.float64)
        self.lock, self.step = threading.Lock(), 0
        self.layers = torch.nn.ModuleList()
        below = spec.input_size
        for layer in spec.layers:
            self.layers.append(torch.nn.Linear(below, layer.units, bias=layer.bias, dtype=dtype))
            below = layer.units
        with torch.no_grad():
            for layer, given in zip(self.layers, parameters):
                layer.weight.copy_(read(given.weights))
                if layer.bias is not None:
                    layer.bias.copy_(read(given.bias))
        rate = spec.sgd.learning_rate if spec.sgd.HasField("learning_rate") else 0.01
        self.optimizer = torch.optim.SGD(self.layers.parameters(), lr=rate)
        self.dtype = dtype

    def forward(self, x, kept=None):
        h = x
        for index, layer in enumerate(self.layers):
            z = layer(h)
            h = torch.relu(z) if index < len(self.layers) - 1 else z
            if kept is not None:
                z.retain_grad()
                h.retain_grad()
                kept.append((z, h))
        return h

    def gradients(self, x, y, include, raw):
        """The loss, and the named tensors that were asked for."""
        quantities = include or ALL
        wants = {name: getattr(training_pb, f"QUANTITY_{name}") in quantities for name in ("Z", "H", "D_Z", "D_H")}
        kept = [] if any(wants.values()) else None
        self.optimizer.zero_grad()
        loss = 0.5 * (self.forward(x, kept) - y).square().sum() / len(x)
        loss.backward()
        told = []

        def tell(name, layer, tensor):
            quantity = getattr(training_pb, f"QUANTITY_{name}")
            if quantity in quantities:
                told.append(training_pb.NamedTensor(quantity=quantity, layer=layer, tensor=write(tensor, raw)))

        for index, layer in enumerate(self.layers, 1):
            tell("D_W", index, layer.weight.grad)
            if layer.bias is not None:
                tell("D_B", index, layer.bias.grad)
        for index, (z, h) in enumerate(kept or [], 1):
            tell("Z", index, z)
            tell("H", index, h)
            tell("D_Z", index, z.grad)
            tell("D_H", index, h.grad)
        return loss.item(), told

    def train(self, x, y):
        self.optimizer.zero_grad()
        loss = 0.5 * (self.forward(x) - y).square().sum() / len(x)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.item()


class Training(training_grpc.TrainingServiceServicer):
    def __init__(self):
        self.models, self.numbers = {}, itertools.count()

    def CreateModel(self, request, context):
        name = f"{request.session or f'sessions/s{next(self.numbers)}'}/models/m{next(self.numbers)}"
        torch.manual_seed(request.seed)
        self.models[name] = Network(request.spec, request.parameters)
        return training_pb.CreateModelResponse(model=model_pb.Model(name=name, spec=request.spec))

    def find(self, request, context):
        if request.WhichOneof("target") == "inline":
            return Network(request.inline.spec, request.inline.parameters)
        return self.stored(request.model, context)

    def stored(self, name, context):
        network = self.models.get(name)
        if network is None:
            context.abort(grpc.StatusCode.NOT_FOUND, name)
        return network

    def Gradients(self, request, context):
        network = self.find(request, context)
        x, y = read(request.inputs), read(request.targets)
        with network.lock:
            loss, tensors = network.gradients(x, y, request.include, bool(request.inputs.raw))
            return training_pb.GradientsResponse(loss=loss, tensors=tensors, step=network.step, batch_size=len(x))

    def Predict(self, request, context):
        network = self.find(request, context)
        with network.lock, torch.no_grad():
            outputs = write(network.forward(read(request.inputs)), bool(request.inputs.raw))
            return training_pb.PredictResponse(outputs=outputs, step=network.step)

    def TrainBatch(self, request, context):
        network = self.stored(request.model, context)
        x, y = read(request.inputs), read(request.targets)
        steps = max(request.steps, 1)
        with network.lock:
            yield training_pb.TrainBatchResponse(started=training_pb.Started(step=network.step, planned_steps=steps))
            for _ in range(steps):
                loss = network.train(x, y)
                metrics = training_pb.StepMetrics(step=network.step, epoch=1, loss=loss)
                yield training_pb.TrainBatchResponse(progress=training_pb.Progress(steps=[metrics]))
            completed = training_pb.Completed(
                stop_reason=training_pb.STOP_REASON_FINISHED, steps_done=steps, step=network.step, final_loss=loss
            )
            yield training_pb.TrainBatchResponse(completed=completed)


def main():
    # Requests are the parallel axis, as in any server.
    torch.set_num_threads(1)
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.max_receive_message_length", 1 << 26)])
    training_grpc.add_TrainingServiceServicer_to_server(Training(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"grpcio and PyTorch listening on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
