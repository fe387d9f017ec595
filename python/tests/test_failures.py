"""What a client is told when something fails, and what is sent again."""

import asyncio
import os
import subprocess
import sys
import threading
import traceback

import grpc
import numpy as np
import pytest
from conftest import ROOT, Server
from fakes import Fake, created, details, refuse

import backpropd as bp
from backpropd import _messages as pb
from backpropd._calls import Repeats, session_header
from backpropd._status import read_error

X, Y = [[1.0, 2.0]], [[3.0]]


def failing(times, code, encoded=b"", reply=None):
    """A method that fails so many times first."""
    left = [times]

    def call(request, context):
        left[0] -= 1
        if left[0] >= 0:
            refuse(context, code, encoded)
        return reply

    return call


def test_a_call_is_sent_again_once_when_the_server_says_when():
    soon = details("QUEUE_FULL", delay=0.01)
    reply = pb.PredictResponse(outputs=pb.Tensor(shape=[1, 1], raw=np.array([[7.0]]).tobytes(), dtype=2))
    with Fake(Predict=failing(1, "RESOURCE_EXHAUSTED", soon, reply)) as fake, bp.connect(fake.address) as lab:
        assert lab.model([2, 1]).predict(X) == [[7.0]]
        assert fake.calls.count("Predict") == 2
    with Fake(Predict=failing(2, "RESOURCE_EXHAUSTED", soon, reply)) as fake, bp.connect(fake.address) as lab:
        with pytest.raises(bp.QueueFull) as raised:
            lab.model([2, 1]).predict(X)
        assert fake.calls.count("Predict") == 2
        assert raised.value.retry_after == pytest.approx(0.01)
        assert isinstance(raised.value, bp.LimitReached)


def test_a_call_is_not_sent_again_if_that_is_of_no_use():
    for encoded, kind in [
        (details("QUEUE_FULL", delay=60), bp.QueueFull),
        (details("QUOTA", step="7"), bp.Quota),
        (details("NEW_REASON"), bp.Error),
    ]:
        with Fake(Predict=failing(9, "RESOURCE_EXHAUSTED", encoded)) as fake, bp.connect(fake.address) as lab:
            net = lab.model([2, 1])
            with pytest.raises(kind) as raised:
                net.predict(X)
            assert type(raised.value) is kind
            assert fake.calls.count("Predict") == 1
    assert raised.value.reason == "NEW_REASON"


def test_deletions_and_graded_comparisons_are_never_repeated():
    soon = details("SHUTDOWN", delay=0.01)
    with (
        Fake(DeleteModel=failing(1, "UNAVAILABLE", soon), GradeGradients=failing(1, "UNAVAILABLE", soon)) as fake,
        bp.connect(fake.address) as lab,
    ):
        net = lab.model([2, 1])
        with pytest.raises(bp.Shutdown):
            net.delete()
        with pytest.raises(bp.Shutdown):
            net.grade_gradients(X, Y, dW={1: [[1.0, 1.0]]})
        assert (fake.calls.count("DeleteModel"), fake.calls.count("GradeGradients")) == (1, 1)


def test_a_write_keeps_its_request_id_when_it_is_sent_again():
    ids = []

    def apply(request, context):
        ids.append(request.request_id)
        if len(ids) == 1:
            refuse(context, "UNAVAILABLE", details("NOT_STORED", delay=0.01))
        return pb.ApplyGradientsResponse(step=1)

    with Fake(ApplyGradients=apply) as fake, bp.connect(fake.address) as lab:
        assert lab.model([2, 1]).apply_gradients([[[1.0, 2.0]]]).step == 1
    assert len(ids) == 2
    assert ids[0] == ids[1] != ""


def test_a_call_follows_its_session_to_another_node():
    moved = details("MOVED", delay=0.01)
    reply = pb.PredictResponse(outputs=pb.Tensor(shape=[1, 1], raw=np.array([[7.0]]).tobytes(), dtype=2))
    with Fake(Predict=failing(4, "UNAVAILABLE", moved, reply)) as fake, bp.connect(fake.address) as lab:
        assert lab.model([2, 1]).predict(X) == [[7.0]]
        assert fake.calls.count("Predict") == 5


def test_a_run_follows_its_session_to_another_node():
    requests = []

    def train(request, context):
        requests.append(request)
        if len(requests) == 1:
            yield from (started(), progress(1))
        if len(requests) < 5:
            refuse(context, "UNAVAILABLE", details("MOVED", delay=0.01))
        yield from (started(step=1, planned=3, resumed=1), progress(2, 3, 4), completed())

    with Fake(TrainBatch=train) as fake, bp.connect(fake.address) as lab:
        net = lab.model([2, 1])
        net.fit(X, Y, steps=4)
    assert net.history.steps.tolist() == [1, 2, 3, 4]
    assert len({request.request_id for request in requests}) == 1


@pytest.mark.parametrize(("reason", "seconds"), [("MOVED", 10), ("SHUTDOWN", 10), ("STORE_UNREACHABLE", 10), ("", 5)])
def test_the_search_for_another_node_ends(reason, seconds):
    now = [100.0]
    repeats = Repeats(is_repeatable=True, clock=lambda: now[0])
    error = bp.Error("refused", reason=reason, retry_after=0.1) if reason else bp.Unreachable("away", retry_after=0.0)
    with pytest.raises(type(error)):
        for _ in range(200):
            now[0] += repeats.wait_after(error)
    assert seconds <= now[0] - 100 < seconds + 1
    with pytest.raises(type(error)):
        Repeats(is_repeatable=False).wait_after(error)


def test_every_call_names_its_session():
    named = {}

    def note(name, reply):
        def call(request, context):
            named[name] = dict(context.invocation_metadata()).get("x-backpropd-session")
            return reply

        return call

    methods = {
        "CreateModel": lambda request, context: note("CreateModel", created(request, context))(request, context),
        "CreateSession": note("CreateSession", pb.CreateSessionResponse(session=pb.Session(name="sessions/lab"))),
        "Predict": note("Predict", pb.PredictResponse(outputs=pb.Tensor(shape=[1, 1], values=[1]))),
        "TrainBatch": note("TrainBatch", iter([started(), progress(1), completed(1)])),
        "GetServerInfo": note("GetServerInfo", pb.GetServerInfoResponse()),
    }
    with Fake(**methods) as fake, bp.connect(fake.address, session="lab") as lab:
        net = lab.model([2, 1])
        net.predict(X)
        net.fit(X, Y)
    assert named == {**dict.fromkeys(methods, "lab"), "GetServerInfo": None}


def test_the_session_of_a_call_is_the_one_that_it_writes():
    def header(message, **fields):
        return dict(session_header(getattr(pb, message)(**fields))).get("x-backpropd-session")

    assert header("CopyModelRequest", model="sessions/a/models/x", session="sessions/b") == "b"
    assert header("CopyModelRequest", model="sessions/a/models/x") == "a"
    assert header("GetRunRequest", name="sessions/a/models/x/runs/r") == "a"
    assert header("DatasetHeader", session="sessions/a") == "a"
    assert header("CreateDatasetRequest", header=pb.DatasetHeader(session="sessions/a")) == "a"
    assert header("GetDatasetRequest", name="datasets/digits") is None
    # No id: grpc would refuse to send it.
    assert header("GetModelRequest", name="sessions/ä\n/models/x") is None


def test_a_server_of_another_version_is_told_by_name():
    with Fake() as fake, bp.connect(fake.address) as lab:
        with pytest.raises(bp.WrongServer, match="Explain|Gradients") as raised:
            lab.model([2, 1]).gradients(X, Y)
        message = str(raised.value)
        assert fake.address in message
        assert "backpropd 9.9.9" in message
        assert "pip install backpropd==9.9.9" in message


def test_a_server_that_says_unknown_method_is_told_alike():
    missing = failing(9, "UNIMPLEMENTED", details("UNKNOWN_METHOD"))
    with (
        Fake(Gradients=missing) as fake,
        bp.connect(fake.address) as lab,
        pytest.raises(bp.UnknownMethod, match=r"backpropd 9\.9\.9 and has no Gradients"),
    ):
        lab.model([2, 1]).gradients(X, Y)


def test_another_kind_of_server_is_told():
    with (
        Fake(GetServerInfo=failing(9, "UNIMPLEMENTED")) as fake,
        pytest.raises(bp.WrongServer, match="no backpropd"),
    ):
        bp.connect(fake.address)


def started(step=0, planned=4, resumed=0):
    return pb.TrainBatchResponse(started=pb.Started(step=step, planned_steps=planned, resumed_steps=resumed))


def progress(*steps):
    return pb.TrainBatchResponse(progress=pb.Progress(steps=[pb.StepMetrics(step=s, loss=1 / s) for s in steps]))


def completed(step=4):
    return pb.TrainBatchResponse(completed=pb.Completed(stop_reason=1, steps_done=step, step=step))


def test_a_broken_run_is_sent_again_by_its_request_id_and_no_step_is_noted_twice():
    requests = []

    def train(request, context):
        requests.append(request)
        if len(requests) == 1:
            yield from (started(), progress(1), progress(2, 3))
            refuse(context, "UNAVAILABLE")
        yield from (started(step=2, planned=2, resumed=2), progress(3, 4), completed())

    with Fake(TrainBatch=train) as fake, bp.connect(fake.address) as lab:
        net = lab.model([2, 1])
        steps = [step.step for step in net.train(X, Y, steps=4)]
    assert steps == [1, 2, 3, 3, 4]
    assert net.history.steps.tolist() == [1, 2, 3, 4]
    assert net.history.outcomes[0].steps_done == 4
    assert requests[0].request_id == requests[1].request_id != ""


def test_a_run_that_stays_broken_ends_with_its_committed_steps():
    def train(request, context):
        yield from (started(step=2, planned=2, resumed=2), progress(3))
        refuse(context, "UNAVAILABLE")

    with Fake(TrainBatch=train) as fake, bp.connect(fake.address) as lab:
        net = lab.model([2, 1])
        with pytest.raises(bp.Unreachable) as raised:
            net.fit(X, Y, steps=4)
        # A proxy may be about to find another server.
        assert fake.calls.count("TrainBatch") > 2
        assert raised.value.steps_done == 2
        assert net.history.outcomes[-1].reason == "unreachable"


def test_a_run_that_makes_progress_is_sent_again_as_often_as_it_breaks():
    count = [0]

    def train(request, context):
        done = count[0]
        count[0] += 1
        yield from (started(step=done, planned=4 - done, resumed=done), progress(done + 1))
        if done == 3:
            yield completed()
        else:
            refuse(context, "UNAVAILABLE")

    with Fake(TrainBatch=train) as fake, bp.connect(fake.address) as lab:
        net = lab.model([2, 1])
        assert [step.step for step in net.train(X, Y, steps=4)] == [1, 2, 3, 4]
        assert count[0] == 4


def test_no_error_shows_a_traceback_of_grpc(lab, batch):
    net = lab.model([4, 3, 1])
    net.delete()
    for call in (
        net.info,
        lambda: list(net.watch()),
        lambda: net.fit(*batch),
        lambda: lab.load(__file__),
        lambda: net.save("net.safetensors"),
    ):
        with pytest.raises(bp.Error) as raised:
            call()
        text = "".join(traceback.format_exception(raised.type, raised.value, raised.tb))
        assert "Rendezvous" not in text
        assert "InactiveRpcError" not in text
        assert type(raised.value) is not bp.Error


@pytest.mark.parametrize(
    ("code", "message", "is_gone"),
    [
        # As grpcio words a stream that a proxy resets because its server has died.
        ("INTERNAL", "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))", True),
        ("UNAVAILABLE", "failed to connect", True),
        ("INTERNAL", "something else", False),
    ],
)
def test_a_connection_that_breaks_is_told_from_an_answer(code, message, is_gone):
    class Raised:
        def code(self):
            return grpc.StatusCode[code]

        def details(self):
            return message

        def trailing_metadata(self):
            return ()

    assert isinstance(read_error(Raised(), "lab:1"), bp.Unreachable) == is_gone


def test_a_stream_without_an_end_is_an_error():
    with (
        Fake(TrainBatch=lambda request, context: iter([started()])) as fake,
        bp.connect(fake.address) as lab,
        pytest.raises(bp.Error, match="ended before its outcome"),
    ):
        lab.model([2, 1]).fit(X, Y)


def test_an_event_of_a_later_server_is_ignored():
    unknown = pb.TrainBatchResponse.FromString(b"\xfa\x3e\x00")

    with (
        Fake(
            TrainBatch=lambda request, context: iter([started(), unknown, progress(1), completed(1)]),
            WatchModel=lambda request, context: iter([pb.WatchModelResponse.FromString(b"\xfa\x3e\x00")]),
        ) as fake,
        bp.connect(fake.address) as lab,
    ):
        net = lab.model([2, 1])
        assert [step.step for step in net.train(X, Y)] == [1]
        assert list(net.watch()) == []


def test_a_stop_that_fails_still_leaves_the_run():
    def train(request, context):
        yield from (started(), progress(1))
        threading.Event().wait(0.2)
        yield progress(2)

    with Fake(TrainBatch=train, StopTraining=failing(9, "INTERNAL")) as fake, bp.connect(fake.address) as lab:
        net = lab.model([2, 1])
        for _ in net.train(X, Y, steps=4):
            break
        assert net.history.outcomes[-1].reason == "stopped"


def test_a_prediction_belongs_to_one_step():
    count = [0]

    def predict(request, context):
        count[0] += 1
        outputs = pb.Tensor(shape=[request.inputs.shape[0], 1], raw=bytes(8 * request.inputs.shape[0]), dtype=2)
        return pb.PredictResponse(outputs=outputs, weights_digest=str(count[0]))

    with (
        Fake(Predict=predict) as fake,
        bp.connect(fake.address) as lab,
        pytest.raises(bp.Error, match="trained between the parts of this prediction"),
    ):
        lab.model([2, 1]).predict(np.zeros((600_000, 2)))


def test_a_server_with_less_memory_is_asked_for_less():
    server = Server("--ephemeral", "--max-reply-bytes=8000000")
    try:
        with bp.connect(server.address) as lab:
            net = lab.model([700, 1], seed=1)
            x = np.random.default_rng(1).normal(size=(1000, 700))
            assert net.gradients(x, np.zeros(1000), include=["x"]).x.shape == x.shape
            with pytest.raises(bp.ReplyTooLarge):
                net.gradients(x, np.zeros(1000))

        async def alike():
            async with await bp.aio.connect(server.address) as lab:
                net = await lab.model([700, 1], seed=1)
                return (await net.gradients(x, np.zeros(1000), include=["x"])).x.shape

        assert asyncio.run(alike()) == x.shape
    finally:
        server.close()


def test_a_call_ends_at_its_time_limit():
    def slow(request, context):
        threading.Event().wait(1)
        return pb.GetModelResponse()

    with (
        Fake(GetModel=slow) as fake,
        bp.connect(fake.address, timeout=0.2) as lab,
        pytest.raises(bp.Deadline, match="GetModel"),
    ):
        lab.model([2, 1]).info()


def test_a_killed_server_that_returns_continues_the_run(tmp_path):
    arguments = (f"--data-dir={tmp_path}", "--commit-seconds=1")
    server = Server(*arguments)
    try:
        with bp.connect(server.address) as lab:
            net = lab.model([4, 16, 1], seed=1, learning_rate=1e-5)
            rng = np.random.default_rng(1)
            x, y = rng.normal(size=(64, 4)), rng.normal(size=(64, 1))
            steps, killed = 60_000, False
            reported = 0
            for step in net.train(x, y, steps=steps):
                reported = step.step
                if reported > 2000 and not killed:
                    killed = True
                    server.close()
                    server = Server(*arguments, port=server.port)
            assert reported == steps == net.step
            assert net.history.steps.tolist() == list(range(1, steps + 1))
            assert net.history.outcomes[-1].reason == "finished"
    finally:
        server.close()


def test_a_server_that_stays_away_is_told(tmp_path):
    server = Server()
    lab = bp.connect(server.address)
    net = lab.model([4, 3, 1])
    server.close()
    with pytest.raises(bp.Unreachable, match="does not answer"):
        net.info()
    lab.close()


def test_a_diverging_run_keeps_the_last_weights(lab, batch):
    net = lab.model([4, 8, 1], seed=1, learning_rate=1e30)
    with pytest.raises(bp.Diverged, match="training diverged") as raised:
        net.fit(batch[0] * 1e30, batch[1], steps=50)
    assert raised.value.steps_done == net.step == raised.value.step
    assert raised.value.__cause__ is None
    assert net.history.outcomes[-1].reason == "diverged"


def test_a_run_that_another_client_stops_is_an_error_with_its_steps(lab, batch):
    net = lab.model([4, 3, 1], learning_rate=1e-9)
    with pytest.raises(bp.Stopped) as raised:
        for _ in net.train(*batch, steps=50_000_000):
            lab.network(net.name).stop()
    assert raised.value.steps_done == net.step


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"steps": 3, "epochs": 2}, "give one of them"),
        ({"steps": 0}, "steps is 0: it is at least 1"),
        ({"batch_size": 0}, "batch_size is 0: it is at least 1"),
        ({"epochs": -1}, "epochs is -1"),
        ({"patience": 3}, "need held_out"),
        ({"held_out": (1, 2, 3)}, "held_out has 3 parts"),
        ({"durability": "maybe"}, "it may be 'durable', 'relaxed'"),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused_before_it_is_sent(lab, batch, arguments, says):
    with pytest.raises(ValueError, match=says):
        lab.model([4, 3, 1]).train(*batch, **arguments)


@pytest.mark.parametrize(
    ("sizes", "arguments", "says"),
    [
        ([4], {}, "give the number of features"),
        ("4321", {}, "give the number of features"),
        ([4, 3, 1], {"activation": ["relu"]}, "activation has 1 words, and there are 2 layers"),
        ([4, 3, 1], {"activation": "tahn"}, "activation is 'tahn'"),
        ([4, 3, 1], {"loss": "mse"}, "loss is 'mse'"),
        ([4, 3, 1], {"optimizer": "lion"}, "optimizer is 'lion'"),
        ([4, 3, 1], {"optimizer": bp.ConstantSchedule()}, "optimizer is ConstantSchedule"),
        ([4, 3, 1], {"dtype": "float16"}, "dtype is 'float16'; it may be 'float32', 'float64'"),
        ([4, 3, 1], {"relu_at_zero": 2}, "relu_at_zero is 2"),
        ([2, 1], {"parameters": {2: [[1.0, 2.0]]}}, "it needs every layer, from 1 on"),
        ([2, 1], {"parameters": [([[1.0, 2.0]], [1.0], 3)]}, "it is W, or the tuple"),
    ],
)
def test_a_network_that_cannot_be_meant_is_refused_before_it_is_sent(lab, sizes, arguments, says):
    with pytest.raises(ValueError, match=says):
        lab.model(sizes, **arguments)


def test_every_fault_of_a_request_is_told_at_once(lab):
    with pytest.raises(bp.InvalidRequest) as raised:
        lab.model([0, -1], learning_rate=-1.0, clip_norm=-2.0)
    assert len(raised.value.fields) >= 3
    assert raised.value.reason == "INVALID_REQUEST"


INTERRUPTED = """
import sys, threading, os, signal
import backpropd as bp
lab = bp.connect(sys.argv[1], session="interrupted")
net = lab.model([4, 16, 1], learning_rate=1e-9, name="net")
x, y = [[1.0, 2, 3, 4]] * 64, [[1.0]] * 64
try:
    for step in net.train(x, y, steps=50_000_000):
        if step.step == 10:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
except KeyboardInterrupt:
    print("interrupted", net.info().training, net.history.outcomes[-1].reason, net.history.outcomes[-1].step == net.step)
"""


def test_ctrl_c_stops_the_run_and_the_server_lives(server):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, server.address], capture_output=True, text=True, env=environment, check=False
    )
    assert run.stdout == "interrupted False stopped True\n", run.stderr
    with bp.connect(server.address, session="interrupted") as lab:
        assert 10 <= lab.network("net").step < 50_000_000


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda lab, net: lab.model([4.5, 1]), "input_size is 4.5: "),
        (lambda lab, net: lab.model([4, "3"]), "units is '3': "),
        (lambda lab, net: lab.model([4, 1], seed="a"), "seed is 'a': "),
        (lambda lab, net: lab.model([4, 1], seed=2**70), "seed is 1180591620717411303424: "),
        (lambda lab, net: lab.model([4, 1], learning_rate="x"), "learning_rate is 'x': "),
        (lambda lab, net: lab.model([4, 1], optimizer=bp.Adam(beta1="x")), "beta1 is 'x': "),
        (lambda lab, net: lab.model([4, 1], name=5), "model_id is 5: "),
        (lambda lab, net: lab.model(4), "sizes is 4: give the number of features"),
        (lambda lab, net: net.fit(X, Y, steps="10"), "steps is '10': "),
        (lambda lab, net: net.fit(X, Y, steps=2.5), "steps is 2.5: "),
        (lambda lab, net: net.fit(X, Y, epochs=10**12), "epochs is 1000000000000: "),
        (lambda lab, net: net.update(clip_norm="a"), "clip_norm is 'a': "),
        (lambda lab, net: net.gradients(X, Y).explain("dW1", "a"), "row is 'a': "),
        (lambda lab, net: lab.grade("hw-backprop", {"1.1": 3}), "answers is "),
    ],
    ids=range(14),
)
def test_a_value_of_another_type_is_told_with_its_name(lab, call, says):
    with pytest.raises((TypeError, ValueError), match=f"^{says}"):
        call(lab, lab.model([2, 1]))


def test_numbers_of_numpy_are_numbers(lab):
    net = lab.model(np.array([2, 1]), seed=np.int64(3), learning_rate=np.float32(0.5), clip_norm=np.float64(2))
    net.fit(X, Y, steps=np.int64(3), batch_size=np.int32(2), learning_rate=np.float32(0.1))
    assert net.step == 3
    assert net.gradients(X, Y).explain("dW1", np.int64(1), np.int64(1)).step == 3


def test_after_an_interrupt_within_grpc_the_next_run_has_a_channel_of_its_own(lab, batch):
    class Interrupted:
        def __iter__(self):
            raise KeyboardInterrupt

        def cancel(self):
            pass

    net = lab.model([4, 3, 2, 1], seed=1)
    caller = lab._caller
    before = caller._channel
    caller._stub("TrainBatch")
    caller._stubs["TrainBatch"] = lambda *_, **__: Interrupted()
    with pytest.raises(KeyboardInterrupt):
        net.fit(*batch, steps=3)
    assert caller._channel is not before
    assert len(net.fit(*batch, steps=3)) == 3
