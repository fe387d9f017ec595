"""Checks that a proxy sends each session to one node, passes 64 MB on, and loses no call as a node is killed.

    PYTHONPATH=python python3 deploy/check_routing.py HOST:PORT CA ADDRESS/PID … [--without-header]

The nodes need not share their sessions: a session that two nodes were asked for would be NOT_FOUND at one of them. The last
node is killed. With --without-header, sessions are also found by their name in the requests.
"""

import contextlib
import socket
import statistics
import sys
import threading
import time
from os import kill
from signal import SIGKILL

import grpc

from backpropd import _messages as pb

HEADER = "x-backpropd-session"
SESSIONS = 40
THREADS = 8


class Proxy:
    """Calls through the proxy, each sent once."""

    def __init__(self, address, ca):
        with open(ca, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        options = [*unlimited, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.secure_channel(address, credentials, options=options)

    def call(self, name, request, session=""):
        method = pb.METHODS[name]
        stub = self._channel.unary_unary(method.path, method.request.SerializeToString, method.reply.FromString)
        return stub(request, metadata=((HEADER, session),) if session else (), timeout=60)


def spec():
    return pb.ModelSpec(
        input_size=4,
        layers=[pb.Layer(units=3, activation=pb.ACTIVATION.number("activation", "relu")), pb.Layer(units=1)],
        loss=pb.LOSS.number("loss", "half_squared_error"),
        sgd=pb.Sgd(learning_rate=0.1),
    )


def tensor(rows, columns):
    return pb.Tensor(shape=[rows, columns], raw=bytes(8 * rows * columns), dtype=pb.DTYPE.number("dtype", "float64"))


def batch():
    return {"inputs": tensor(1, 4), "targets": tensor(1, 1)}


def served(nodes):
    """Number of Gradients that each node has answered with OK."""
    counts = []
    for address, _ in nodes:
        with grpc.insecure_channel(address) as channel:
            info = channel.unary_unary(pb.METHODS["ListSessions"].path, None, pb.ListSessionsResponse.FromString)
            counts.append(len(info(b"\x08\xe8\x07").sessions))
    return counts


def check_stickiness(proxy, nodes, names_header):
    before = served(nodes)
    kind = "with" if names_header else "without"
    seconds = []
    for number in range(SESSIONS):
        session = f"{kind}-{number}"
        header = session if names_header else ""
        proxy.call("CreateSession", pb.CreateSessionRequest(session_id=session), header)
        created = pb.CreateModelRequest(session=f"sessions/{session}", model_id="hw", spec=spec())
        model = proxy.call("CreateModel", created, header).model.name
        for _ in range(5):
            begun = time.perf_counter()
            proxy.call("Gradients", pb.GradientsRequest(model=model, **batch()), header)
            seconds.append(time.perf_counter() - begun)
        proxy.call("GetSession", pb.GetSessionRequest(name=f"sessions/{session}"), header)
    spread = [after - old for after, old in zip(served(nodes), before, strict=True)]
    assert sum(spread) == SESSIONS, f"{spread} of {SESSIONS} sessions were created"
    assert all(spread), f"a node was left out: {spread}"
    print(f"     {kind} the header: {SESSIONS} sessions on {spread}, {statistics.median(seconds) * 1e3:.2f} ms a call (p50)")


def check_large(proxy, session, names_header):
    rows = ((64 << 20) - 1024) // (8 * 4)
    model = f"sessions/{session}/models/hw"
    request = pb.EvaluateRequest(model=model, inputs=tensor(rows, 4), targets=tensor(1, 1))
    begun = time.perf_counter()
    refusal = "none"
    try:
        proxy.call("Evaluate", request, session if names_header else "")
    except grpc.RpcError as error:
        refusal = f"{error.code().name}: {error.details()}"
    # The node has read the whole message: it says what is wrong with the last field.
    assert refusal.startswith("INVALID_ARGUMENT"), refusal
    assert "targets" in refusal, refusal
    kind = "with" if names_header else "without"
    print(f"     {kind} the header: a message of {request.ByteSize() / 2**20:.0f} MiB in {time.perf_counter() - begun:.2f} s")


def check_death(proxy, nodes):
    """Kills the last node under load. Calls that began later must not notice."""
    inline = pb.InlineModel(spec=spec(), parameters=[parameters(3, 4), parameters(1, 3)])
    request = pb.GradientsRequest(inline=inline, **batch())
    stop, failed, calls = threading.Event(), [], []

    def work(thread):
        number = 0
        while not stop.is_set():
            number += 1
            begun = time.monotonic()
            try:
                proxy.call("Gradients", request, f"s{thread}-{number % 50}")
                calls.append(begun)
            except grpc.RpcError as error:
                failed.append((begun, time.monotonic(), error.code().name, error.details()))

    threads = [threading.Thread(target=work, args=(thread,), daemon=True) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    killed = time.monotonic()
    kill(int(nodes[-1][1]), SIGKILL)
    host, port = nodes[-1][0].rsplit(":", 1)
    with contextlib.suppress(OSError):
        while True:
            # A process of many threads takes milliseconds to die.
            socket.create_connection((host, int(port)), timeout=0.2).close()
            time.sleep(0.001)
    # Until the proxy has read that its connections are gone.
    dead = time.monotonic() + 0.05
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()
    # HTTP/2's REFUSED_STREAM: no node has begun the call.
    refused = [fault for fault in failed if "error code 7" in fault[3]]
    failed = [fault for fault in failed if fault not in refused]
    lost = [(f"{fault[0] - killed:.3f} s", fault[2:]) for fault in failed if fault[0] > dead or fault[1] < killed]
    assert not lost, f"failed although no node was lost with them: {lost[:3]}"
    # While the process dies, new connections are accepted still, and end: a thread may meet that again.
    assert len(failed) <= 2 * THREADS, failed
    after = sum(begun > dead for begun in calls)
    assert after > 100, f"only {after} calls after the death of a node"
    counts = f"{len(failed)} calls in progress failed, {len(refused)} were refused unbegun, {after} later ones succeeded"
    print(f"     a node killed under load: {counts}")


def parameters(units, inputs):
    return pb.LayerParameters(weights=tensor(units, inputs))


def main():
    flags = {argument for argument in sys.argv[1:] if argument.startswith("--")}
    address, ca, *rest = (argument for argument in sys.argv[1:] if argument not in flags)
    nodes = [node.rsplit("/", 1) for node in rest]
    proxy = Proxy(address, ca)
    ways = [True, False] if "--without-header" in flags else [True]
    for names_header in ways:
        check_stickiness(proxy, nodes, names_header)
        check_large(proxy, "with-0" if names_header else "without-0", names_header)
    check_death(proxy, nodes)


if __name__ == "__main__":
    main()
