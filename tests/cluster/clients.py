"""Clients of a cluster: they train, and write down what was acknowledged.

    clients.py URL CA JOURNAL SECONDS      until SIGTERM, or for SECONDS at most
    clients.py --replay URL JOURNAL        the same operations at a lone server, without faults

What an operation does follows from the model and its number alone, so that a replay does the same. Each line of the journal is
one operation in JSON, with the step and the digest of the weights after it, and how often the client had given it up before.
"""

import json
import random
import signal
import sys
import threading
import time

import numpy as np

from backpropd import _messages as pb
from backpropd._address import read_target
from backpropd._caller import Caller
from backpropd._calls import Call, Repeats, identity
from backpropd._errors import Error

CLIENTS = 8
MODELS = 5
"""Of each client, in as many sessions."""
LARGE = 0
"""The model of each client whose runs take a second or so."""


def names():
    return [f"sessions/c{client}-{model}/models/m" for client in range(CLIENTS) for model in range(MODELS)]


def is_large(model):
    return model.split("/")[1].endswith(f"-{LARGE}")


def spec(model):
    units = [64, 128, 10] if is_large(model) else [4, 3, 1]
    relu = pb.ACTIVATION.number("activation", "relu")
    message = pb.ModelSpec(input_size=units[0], loss=pb.LOSS.number("loss", "half_squared_error"))
    message.layers.extend([pb.Layer(units=units[1], activation=relu), pb.Layer(units=units[2])])
    message.adam.learning_rate = 0.001
    return message


def tensor(rng, *shape):
    values = rng.standard_normal(shape)
    return pb.Tensor(shape=shape, raw=values.tobytes(), dtype=pb.DTYPE.number("dtype", "float64"))


def operation(model, number):
    """The kind and the request of an operation, and the steps that it takes."""
    dice = random.Random(f"{model} {number}")
    rng = np.random.default_rng(dice.getrandbits(64))
    request_id = f"{number}-{dice.getrandbits(64):x}"
    rows, units = (64, [64, 128, 10]) if is_large(model) else (8, [4, 3, 1])
    if dice.random() < 0.1:
        layers = [
            pb.LayerParameters(weights=tensor(rng, after, before)) for before, after in zip(units, units[1:], strict=False)
        ]
        return "SetParameters", pb.SetParametersRequest(model=model, parameters=layers, request_id=request_id), 0
    steps = dice.randint(200, 600) if is_large(model) else dice.randint(1, 5)
    request = pb.TrainBatchRequest(model=model, steps=steps, request_id=request_id)
    request.inputs.CopyFrom(tensor(rng, rows, units[0]))
    request.targets.CopyFrom(tensor(rng, rows, units[-1]))
    return "TrainBatch", request, steps


def train(caller, request):
    """The end of a run, as the package follows it across broken connections."""
    call = Call("TrainBatch", request, identity)
    repeats, committed = Repeats(is_repeatable=True), 0
    while True:
        try:
            for message in caller.stream(call):
                if message.HasField("started") and message.started.resumed_steps > committed:
                    committed = message.started.resumed_steps
                    repeats.restart()
                if message.HasField("completed"):
                    return message.completed
            raise Error("the stream of the run ended before its outcome", retry_after=0.0)
        except Error as error:
            caller.wait(repeats.wait_after(error), error)


class Client(threading.Thread):
    """One client, with a connection and models of its own."""

    def __init__(self, url, ca, client, note, stopped):
        super().__init__(daemon=True)
        self.caller = Caller(read_target(url, ca=ca), timeout=20.0)
        self.client, self.note, self.stopped = client, note, stopped
        self.given_up = 0
        self.acknowledged = {}

    def insist(self, call):
        """The result of a call, repeated until there is one."""
        self.given_up = 0
        while True:
            try:
                return call()
            except Error as error:
                if error.retry_after is None and error.reason not in ("", "DEADLINE"):
                    raise
                self.given_up += 1
                line = {"client": self.client, "kind": "given up", "at": time.monotonic()}
                self.note({**line, "error": str(error), "reason": error.reason})
                time.sleep(0.2)

    def send(self, name, request, is_repeatable=True):
        return self.caller.call(Call(name, request, identity, is_repeatable))

    def create(self, model):
        session = model.split("/")[1]
        made = pb.CreateSessionRequest(session_id=session, request_id="made")
        self.insist(lambda: self.send("CreateSession", made))
        created = pb.CreateModelRequest(
            session=f"sessions/{session}", model_id="m", spec=spec(model), seed=7, request_id="made"
        )
        self.insist(lambda: self.send("CreateModel", created))

    def operate(self, model, number):
        kind, request, steps = operation(model, number)
        begun = time.monotonic()
        if kind == "TrainBatch":
            reply = self.insist(lambda: train(self.caller, request))
        else:
            reply = self.insist(lambda: self.send(kind, request))
        ended = time.monotonic()
        line = {
            "client": self.client,
            "kind": kind,
            "model": model,
            "number": number,
            "steps": steps,
            "begun": begun,
            "ended": ended,
        }
        self.note({**line, "step": reply.step, "digest": reply.weights_digest, "given_up": self.given_up})
        self.acknowledged[model] = (reply.step, ended)

    def look(self, model):
        """A read may lag behind by what a node trusts; by how much, the journal tells."""
        begun = time.monotonic()
        step, ended = self.acknowledged[model]
        reply = self.insist(lambda: self.send("GetModel", pb.GetModelRequest(name=model)))
        line = {"client": self.client, "kind": "read", "model": model, "begun": begun, "ended": time.monotonic()}
        self.note({**line, "step": reply.model.step, "acknowledged": step, "since": begun - ended, "given_up": self.given_up})

    def discard(self, number):
        """A session that is deleted, and must stay so."""
        model = f"sessions/x{self.client}-{number}/models/m"
        self.create(model)
        runs = (request for kind, request, _ in (operation(model, number) for number in range(99)) if kind == "TrainBatch")
        request = next(runs)
        self.insist(lambda: train(self.caller, request))
        session = model.rsplit("/", 2)[0]
        try:
            self.insist(lambda: self.send("DeleteSession", pb.DeleteSessionRequest(name=session), is_repeatable=False))
        except Error as error:
            # An earlier try, whose answer was lost, has deleted it.
            if error.reason != "NOT_FOUND":
                raise
        self.note({"client": self.client, "kind": "deleted", "model": model, "given_up": 0})

    def run(self):
        mine = [name for name in names() if name.startswith(f"sessions/c{self.client}-")]
        try:
            for model in mine:
                self.create(model)
            dice, number = random.Random(self.client), 0
            while not self.stopped.is_set():
                model = dice.choice(mine)
                self.operate(model, number)
                number += 1
                if dice.random() < 0.2:
                    self.look(model)
                if dice.random() < 0.01:
                    self.discard(number)
        except Exception as error:
            self.note({"client": self.client, "kind": "broken", "error": f"{type(error).__name__}: {error}"})


def load(url, ca, journal, seconds):
    lock, stopped = threading.Lock(), threading.Event()
    asked = []
    # An event would be locked by the very thread that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    with open(journal, "w", buffering=1, encoding="utf-8") as file:

        def note(line):
            with lock:
                file.write(json.dumps(line) + "\n")

        clients = [Client(url, ca, client, note, stopped) for client in range(CLIENTS)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        while not asked and time.monotonic() < end:
            time.sleep(0.1)
        stopped.set()
        for client in clients:
            client.join(60)
            if client.is_alive():
                note({"client": client.client, "kind": "broken", "error": "it did not end within a minute"})


def replay(url, journal):
    """Does every operation once more, and compares the steps and digests."""
    with open(journal, encoding="utf-8") as file:
        lines = [line for line in map(json.loads, file) if "number" in line]
    faults, done = [], []

    def work(client):
        one = Client(url, None, client, lambda line: None, threading.Event())
        created = set()
        for line in lines:
            if line["client"] != client:
                continue
            model = line["model"]
            if model not in created:
                created.add(model)
                one.create(model)
            kind, request, _ = operation(model, line["number"])
            reply = train(one.caller, request) if kind == "TrainBatch" else one.send(kind, request)
            done.append(1)
            if (reply.step, reply.weights_digest) != (line["step"], line["digest"]):
                faults.append(f"{model}: a lone server is at {reply.step} {reply.weights_digest}, and the cluster: {line}")
                return

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in faults:
        print(f"FAIL {fault}")
    if len(done) != len(lines):
        faults.append(f"{len(done)} of {len(lines)} operations were replayed")
        print(f"FAIL {faults[-1]}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    if sys.argv[1] == "--replay":
        replay(sys.argv[2], sys.argv[3])
    else:
        load(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
