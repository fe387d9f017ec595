#!/usr/bin/env python3
"""Checks a running server from Python: python tests/clients/grpcio_client.py HOST:PORT

Needs the packages of requirements.txt. The stubs are generated from proto/ into a temporary directory. Prints a line
for each check and exits with 1 at the first that fails; every call has a time limit.
"""

import contextlib
import importlib
import importlib.resources
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_tools import protoc

sys.dont_write_bytecode = True  # Leaves no __pycache__ beside the sources.
import homework_reference as homework  # noqa: E402

PROTO = Path(__file__).resolve().parents[2] / "proto"
CALL_SECONDS = 20
MANY_STEPS = 1_000_000
SERVICES = {"backprop.v1.TrainingService", "backprop.v1.SessionService", "backprop.v1.ServerService"}


class Failed(Exception):
    """A check did not hold."""


def check(name, holds, detail=""):
    if not holds:
        raise Failed(f"{name}: {detail}" if detail != "" else name)
    print(f"ok   {name}", flush=True)


def generate_stubs(into):
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--grpc_python_out={into}", *files]
    if protoc.main(arguments) != 0:
        raise Failed("generating stubs from proto/")
    sys.path.insert(0, into)


class Client:
    """The stubs and messages of one server."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(self.channel).result(timeout=CALL_SECONDS)
        load = importlib.import_module
        self.tensor_pb = load("backprop.v1.tensor_pb2")
        self.model_pb = load("backprop.v1.model_pb2")
        self.training_pb = load("backprop.v1.training_service_pb2")
        self.session_pb = load("backprop.v1.session_service_pb2")
        self.training = load("backprop.v1.training_service_pb2_grpc").TrainingServiceStub(self.channel)
        self.sessions = load("backprop.v1.session_service_pb2_grpc").SessionServiceStub(self.channel)
        self.grading_pb = load("backprop.v1.grading_service_pb2")
        self.grading = load("backprop.v1.grading_service_pb2_grpc").GradingServiceStub(self.channel)
        self.session = self.sessions.CreateSession(
            self.session_pb.CreateSessionRequest(), timeout=CALL_SECONDS
        ).session.name

    def close(self):
        with contextlib.suppress(grpc.RpcError):
            self.sessions.DeleteSession(
                self.session_pb.DeleteSessionRequest(name=self.session), timeout=CALL_SECONDS
            )
        self.channel.close()

    def tensor(self, array, raw=False):
        array = np.ascontiguousarray(array, dtype="<f8")
        if raw:
            return self.tensor_pb.Tensor(shape=array.shape, raw=array.tobytes(), dtype="DTYPE_FLOAT64")
        return self.tensor_pb.Tensor(shape=array.shape, values=array.ravel().tolist())

    def array(self, tensor):
        if tensor.raw:
            dtype = "<f4" if tensor.dtype == self.tensor_pb.DTYPE_FLOAT32 else "<f8"
            return np.frombuffer(tensor.raw, dtype=dtype).reshape(tuple(tensor.shape))
        return np.array(tensor.values, dtype=np.float64).reshape(tuple(tensor.shape))

    def create(self, spec, **rest):
        request = self.training_pb.CreateModelRequest(session=self.session, spec=spec, **rest)
        return self.training.CreateModel(request, timeout=CALL_SECONDS).model

    def get(self, name):
        return self.training.GetModel(self.training_pb.GetModelRequest(name=name), timeout=CALL_SECONDS).model

    def homework_spec(self):
        layers = [self.model_pb.Layer(units=units) for units in homework.SIZES[1:]]
        return self.model_pb.ModelSpec(input_size=homework.SIZES[0], layers=layers)

    def parameters(self, W, raw=False):
        return [self.model_pb.LayerParameters(weights=self.tensor(Wi, raw)) for Wi in W]


def relative_error(actual, expected):
    """The largest difference, relative to the largest entry expected."""
    largest = np.abs(expected).max()
    return np.abs(actual - expected).max() / (largest if largest > 0.0 else 1.0)


def compare_with_homework(client, name, reply, W, x, y):
    """Every quantity of the reply equals numpy's."""
    q, loss = homework.forward(W, x, y)
    q = homework.backward(q)
    quantity = client.training_pb.Quantity.Name
    got = {(quantity(t.quantity).removeprefix("QUANTITY_"), t.layer): client.array(t.tensor) for t in reply.tensors}
    once_each = len(got) == len(reply.tensors) and got.keys() == q.keys()
    check(f"{name}: the quantities are the homework's", once_each, sorted(got.keys() ^ q.keys()))
    worst = 0.0
    for key, expected in q.items():
        if got[key].shape != expected.shape:
            raise Failed(f"{name}: {key} has shape {got[key].shape}, not {expected.shape}")
        error = relative_error(got[key], expected)
        if not error <= 1e-12:
            raise Failed(f"{name}: {key} is off by {error:.3g}\n{got[key]}\n{expected}")
        worst = max(worst, error)
    check(f"{name}: all {len(q)} tensors equal numpy's (worst {worst:.1e})", True)
    check(f"{name}: the loss equals numpy's", abs(reply.loss - loss) <= 1e-12 * abs(loss), (reply.loss, loss))
    check(
        f"{name}: batch_size and reduction are echoed",
        reply.batch_size == len(x) and reply.reduction == client.model_pb.REDUCTION_MEAN,
        (reply.batch_size, reply.reduction),
    )
    return got


def check_gradients(client):
    for m in (1, 3, 5):
        W, x, y = homework.draw(seed=m, m=m)
        model = client.create(client.homework_spec(), model_id=f"homework-{m}", parameters=client.parameters(W))
        new = (model.step, model.parameter_count) == (0, 20)
        check(f"m={m}: the model is at step 0 with 20 parameters", new, model)
        numeric = homework.central_differences(W, x, y)
        bits = {}
        for encoding in ("values", "raw"):
            raw = encoding == "raw"
            request = client.training_pb.GradientsRequest(
                model=model.name, inputs=client.tensor(x, raw), targets=client.tensor(y, raw)
            )
            reply = client.training.Gradients(request, timeout=CALL_SECONDS)
            name = f"m={m} {encoding}"
            answered = all(bool(t.tensor.raw) == raw and bool(t.tensor.values) != raw for t in reply.tensors)
            check(f"{name}: the reply is encoded as the request", answered)
            got = compare_with_homework(client, name, reply, W, x, y)
            for i, expected in enumerate(numeric, start=1):
                error = relative_error(got["D_W", i], expected)
                check(f"{name}: dW{i} equals central differences ({error:.1e})", error <= 1e-7, error)
            check(f"{name}: the weights are those of GetModel", reply.weights_digest == model.weights_digest != "")
            bits[encoding] = {key: array.tobytes() for key, array in got.items()}
        check(f"m={m}: values and raw carry the same bits", bits["values"] == bits["raw"])
        after = client.get(model.name)
        same = (after.step, after.weights_digest) == (0, model.weights_digest)
        check(f"m={m}: Gradients changed nothing", same, after)


def check_inline(client):
    W, x, y = homework.draw(seed=7, m=4)
    x[1] = 0.0  # Every z of this sample is exactly 0, where the homework's mask is 1.
    for raw in (False, True):
        inline = client.model_pb.InlineModel(spec=client.homework_spec(), parameters=client.parameters(W, raw))
        request = client.training_pb.GradientsRequest(
            inline=inline, inputs=client.tensor(x, raw), targets=client.tensor(y, raw)
        )
        reply = client.training.Gradients(request, timeout=CALL_SECONDS)
        compare_with_homework(client, f"inline {'raw' if raw else 'values'}, a sample with z = 0", reply, W, x, y)


def check_formulas(client):
    pb = client.grading_pb
    shown = client.grading.GetAssignment(pb.GetAssignmentRequest(assignment="hw-backprop"), timeout=CALL_SECONDS)
    check("the homework has 25 questions", len(shown.questions) == shown.assignment.question_count == 25)
    check("and is worth 50 points", shown.assignment.max_score == 50.0, shown.assignment.max_score)
    answers = {"1.1": r"\delta h^2_{1,1}", "1.11": r"(\delta W^3)^\top h^1", "1.12": "(", "9.9": "1"}
    request = pb.GradeFormulasRequest(assignment="hw-backprop", answers=answers)
    report = client.grading.GradeFormulas(request, timeout=CALL_SECONDS).report
    got = {q.id: (pb.Verdict.Name(q.verdict), pb.Mistake.Name(q.mistake)) for q in report.questions}
    check("a right formula is right", got["1.1"][0] == "VERDICT_CORRECT", got["1.1"])
    wrong = ("VERDICT_INCORRECT", "MISTAKE_MISSING_MASK")
    check("a wrong one is named", got["1.11"] == wrong, got["1.11"])
    unreadable = ("VERDICT_INVALID", "MISTAKE_SYNTAX_ERROR")
    check("an unreadable one is told apart", got["1.12"] == unreadable, got["1.12"])
    check("an answer to no question is told", list(report.unknown_answers) == ["9.9"], report.unknown_answers)
    check("the report has a receipt", report.receipt != "")


def check_graded_gradients(client):
    pb, kinds = client.grading_pb, client.training_pb.Quantity
    W, x, y = homework.draw(seed=11, m=5)
    q, _ = homework.forward(W, x, y)
    right = homework.backward(q)
    unmasked = dict(right)
    unmasked["D_W", 2] = (right["D_H", 2]).T @ q["H", 1]

    def grade(gradients):
        submitted = [
            client.training_pb.NamedTensor(
                quantity=kinds.Value("QUANTITY_D_W"), layer=i, tensor=client.tensor(gradients["D_W", i])
            )
            for i in (1, 2, 3)
        ]
        inline = client.model_pb.InlineModel(spec=client.homework_spec(), parameters=client.parameters(W))
        request = pb.GradeGradientsRequest(
            inline=inline, inputs=client.tensor(x), targets=client.tensor(y), submitted=submitted
        )
        reply = client.grading.GradeGradients(request, timeout=CALL_SECONDS)
        return [(pb.Verdict.Name(t.verdict), pb.Mistake.Name(t.mistake)) for t in reply.tensors]

    verdicts = grade(right)
    check("numpy's gradients are right", all(verdict == "VERDICT_CORRECT" for verdict, _ in verdicts), verdicts)
    verdicts = grade(unmasked)
    wrong = ("VERDICT_INCORRECT", "MISTAKE_MISSING_MASK")
    check("a mask left out of dW2 is named, and of no other", verdicts[1] == wrong and verdicts[0] == verdicts[2], verdicts)


def tanh_spec(client, sizes, learning_rate):
    pb = client.model_pb
    layers = [pb.Layer(units=units, activation=pb.ACTIVATION_TANH, bias=True) for units in sizes[1:]]
    layers[-1].activation = pb.ACTIVATION_LINEAR
    return pb.ModelSpec(input_size=sizes[0], layers=layers, sgd=pb.Sgd(learning_rate=learning_rate))


def train_200(client, model_id, spec, x, y):
    """Trains a new model from seed 42 for 200 steps; the losses and what Completed said."""
    model = client.create(spec, model_id=model_id, seed=42)
    request = client.training_pb.TrainBatchRequest(
        model=model.name, inputs=client.tensor(x), targets=client.tensor(y), steps=200
    )
    events = list(client.training.TrainBatch(request, timeout=CALL_SECONDS))
    kinds = [event.WhichOneof("event") for event in events]
    expected = ["started"] + ["progress"] * (len(events) - 2) + ["completed"]
    check(f"{model_id}: Started, Progress, Completed", len(events) >= 3 and kinds == expected, kinds)
    started, completed = events[0].started, events[-1].completed
    check(f"{model_id}: 200 steps are planned from step 0", (started.step, started.planned_steps) == (0, 200), started)
    metrics = [step for event in events for step in event.progress.steps]
    steps = [step.step for step in metrics]
    check(f"{model_id}: steps 1 to 200 in order", steps == list(range(1, 201)), steps)
    finished = client.training_pb.STOP_REASON_FINISHED
    said = (completed.stop_reason, completed.steps_done, completed.step, completed.final_loss)
    check(f"{model_id}: Completed is FINISHED at step 200", said == (finished, 200, 200, metrics[-1].loss), completed)
    losses = [step.loss for step in metrics]
    check(f"{model_id}: the loss falls from {losses[0]:.4f} to {losses[-1]:.4f}", losses[-1] < 0.5 * losses[0], losses)
    stored = client.get(model.name)
    agree = (stored.step, stored.weights_digest) == (200, completed.weights_digest)
    check(f"{model_id}: GetModel says the same step and digest", agree, stored)
    return model.name, losses, completed.weights_digest


def check_training(client):
    rng = np.random.default_rng(11)
    x = rng.normal(size=(16, 4))
    y = np.tanh(x @ rng.normal(size=(4, 2)))
    spec = tanh_spec(client, (4, 8, 2), learning_rate=0.1)
    name, losses, digest = train_200(client, "first", spec, x, y)
    _, again, same_digest = train_200(client, "second", spec, x, y)
    check("the same seed and training give the same weights_digest", digest == same_digest != "", (digest, same_digest))
    bits = [struct.pack(f"<{len(run)}d", *run) for run in (losses, again)]
    check("the same seed and training give the same bits of every loss", bits[0] == bits[1])

    def predict(rows):
        request = client.training_pb.PredictRequest(model=name, inputs=client.tensor(rows, raw=True))
        return client.training.Predict(request, timeout=CALL_SECONDS).outputs

    batch = predict(x)
    check("Predict answers [16, 2] in raw", list(batch.shape) == [16, 2] and len(batch.raw) == 16 * 2 * 8, batch.shape)
    for k in (0, 7, 15):
        row = predict(x[k : k + 1])
        check(f"row {k} alone has the bits it has in the batch", row.raw == batch.raw[k * 16 : (k + 1) * 16])


def error_details(error):
    """The messages of google.rpc.Status in the trailers, by their names."""
    trailers = dict(error.trailing_metadata() or ())
    if "grpc-status-details-bin" not in trailers:
        raise Failed(f"no grpc-status-details-bin with {error.code()}: {error.details()}")
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    if status.code != error.code().value[0]:
        raise Failed(f"the details say code {status.code}, the call {error.code()}")
    found = {}
    for packed in status.details:
        kind = packed.TypeName().removeprefix("google.rpc.")
        message = getattr(error_details_pb2, kind)()
        packed.Unpack(message)
        found[kind] = message
    return found


def check_invalid(client):
    pb = client.model_pb
    layers = [pb.Layer(units=-3), pb.Layer(units=2, activation=99), pb.Layer(units=0, leaky_relu_slope=2.0)]
    spec = pb.ModelSpec(input_size=0, layers=layers, clip_norm=-1.0)
    try:
        client.create(spec)
    except grpc.RpcError as caught:
        error = caught
    else:
        raise Failed("an invalid spec was taken")
    check("an invalid spec is INVALID_ARGUMENT", error.code() is grpc.StatusCode.INVALID_ARGUMENT, error.code())
    details = error_details(error)
    check("it carries ErrorInfo and BadRequest", {"ErrorInfo", "BadRequest"} <= details.keys(), details)
    info = details["ErrorInfo"]
    check("ErrorInfo has our domain and a reason", info.domain == "backpropd" and info.reason != "", info)
    violations = details["BadRequest"].field_violations
    fields = [violation.field for violation in violations]
    for wrong, times in {"input_size": 1, "units": 2, "activation": 1, "clip_norm": 1}.items():
        check(f"the violations name {wrong} ({times})", sum(wrong in field for field in fields) >= times, fields)
    check("every violation has a description", all(violation.description for violation in violations), violations)

    model = client.create(client.homework_spec(), model_id="refuses", seed=1)
    request = client.training_pb.GradientsRequest(
        model=model.name, inputs=client.tensor(np.ones((2, 3))), targets=client.tensor(np.full((3, 1), np.nan))
    )
    try:
        client.training.Gradients(request, timeout=CALL_SECONDS)
    except grpc.RpcError as caught:
        fields = [violation.field for violation in error_details(caught)["BadRequest"].field_violations]
        code = caught.code()
    else:
        raise Failed("inputs of the wrong width were taken")
    check("wrong shapes are INVALID_ARGUMENT", code is grpc.StatusCode.INVALID_ARGUMENT, code)
    named = [any(wrong in field for field in fields) for wrong in ("inputs", "targets")]
    check("both inputs and targets are named", all(named), fields)


def check_health_and_reflection(client):
    stub = health_pb2_grpc.HealthStub(client.channel)
    reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
    check("the server is SERVING", reply.status == health_pb2.HealthCheckResponse.SERVING, reply)
    for version in ("v1", "v1alpha"):  # The two versions have the same messages.
        info = client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.rpc.BadRequest"),
        ]
        listed, described = info(iter(asked), timeout=CALL_SECONDS)
        services = {service.name for service in listed.list_services_response.service}
        check(f"reflection {version} lists the services", SERVICES <= services, services)
        known = described.WhichOneof("message_response") == "file_descriptor_response"
        check(f"reflection {version} knows google.rpc.BadRequest", known, described)


def long_run(client, model_id):
    """A new model and a request to train it for a million steps, which takes seconds at the least."""
    rng = np.random.default_rng(5)
    model = client.create(tanh_spec(client, (32, 64, 32, 4), learning_rate=0.01), model_id=model_id, seed=3)
    request = client.training_pb.TrainBatchRequest(
        model=model.name,
        inputs=client.tensor(rng.normal(size=(32, 32)), raw=True),
        targets=client.tensor(rng.normal(size=(32, 4)), raw=True),
        steps=MANY_STEPS,
        metrics_every=1000,
    )
    return model.name, request


def check_step_stays(client, name, seconds=10.0):
    """The model's step is the same in readings half a second apart; returns it."""
    until = time.monotonic() + seconds
    before = client.get(name)
    while time.monotonic() < until:
        time.sleep(0.5)
        after = client.get(name)
        if after.step == before.step and not after.training:
            check(f"the run stops at step {after.step}", 0 < after.step < MANY_STEPS, after.step)
            return after.step
        before = after
    raise Failed(f"the model still trains {seconds:g} s after the call ended, at step {before.step}")


def check_cancel(client):
    name, request = long_run(client, "cancelled")
    call = client.training.TrainBatch(request, timeout=CALL_SECONDS)
    for event in call:
        if event.WhichOneof("event") == "progress":
            break
    time.sleep(0.2)
    check("a long run is under way", client.get(name).training)
    call.cancel()
    check("a cancelled call is CANCELLED", call.code() is grpc.StatusCode.CANCELLED, call.code())
    step = check_step_stays(client, name)
    again = client.training_pb.TrainBatchRequest()
    again.CopyFrom(request)
    again.steps, again.metrics_every = 1, 1
    *_, last = client.training.TrainBatch(again, timeout=CALL_SECONDS)
    check("training goes on from the committed step", last.completed.step == step + 1, last)


def check_deadline(client):
    # A client's own timer ends its call before the server's status arrives, trailers and all. To read the server's
    # answer, the deadline is sent as the header alone; a timer of ours bounds the call.
    name, request = long_run(client, "deadline")
    call = client.training.TrainBatch(request, metadata=(("grpc-timeout", "700m"),))
    bound = threading.Timer(CALL_SECONDS, call.cancel)
    bound.start()
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass
    finally:
        bound.cancel()
    check("a deadline gives DEADLINE_EXCEEDED", call.code() is grpc.StatusCode.DEADLINE_EXCEEDED, call.code())
    info = error_details(call).get("ErrorInfo")
    said = dict(info.metadata) if info else {}
    check("ErrorInfo says the step", said.get("step", "").isdecimal(), said)
    step = check_step_stays(client, name)
    check("GetModel's step is the error's", step == int(said["step"]), (step, said))

    name, request = long_run(client, "deadline-here")
    call = client.training.TrainBatch(request, timeout=0.7)
    with contextlib.suppress(grpc.RpcError):
        for _ in call:
            pass
    check("the client's own deadline gives it too", call.code() is grpc.StatusCode.DEADLINE_EXCEEDED, call.code())
    check_step_stays(client, name)


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tests/clients/grpcio_client.py HOST:PORT")
    with tempfile.TemporaryDirectory() as stubs:
        try:
            generate_stubs(stubs)
            client = Client(sys.argv[1])
            try:
                for checks in (
                    check_gradients,
                    check_inline,
                    check_formulas,
                    check_graded_gradients,
                    check_training,
                    check_invalid,
                    check_health_and_reflection,
                    check_cancel,
                    check_deadline,
                ):
                    checks(client)
            finally:
                client.close()
        except Failed as failed:
            print(f"FAIL {failed}", flush=True)
            raise SystemExit(1) from None
        except grpc.RpcError as error:
            print(f"FAIL a call ended with {error.code()}: {error.details()}", flush=True)
            raise
        except grpc.FutureTimeoutError:
            print(f"FAIL no connection to {sys.argv[1]} within {CALL_SECONDS} s", flush=True)
            raise SystemExit(1) from None
    print("all checks passed")


if __name__ == "__main__":
    main()
