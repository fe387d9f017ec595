"""The server on loopback, against a server that does nothing, a disk loop that serves nobody, and grpcio + PyTorch."""

import json
import math
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from engine import DIGITS, HOMEWORK, LARGE, MNIST
from ground import HERE, ROOT, Server, environment, in_turn, say

GRADIENTS = "backprop.v1.TrainingService/Gradients"

# A tensor's sums are added up in another order by PyTorch.
SAME = 1e-12


class Service:
    """The programs, a folder on a real disk, and how much to measure."""

    def __init__(self, python, programs, folder, seconds, repetitions):
        self.python, self.programs, self.folder = python, programs, folder
        self.seconds, self.repetitions = seconds, repetitions

    def data(self):
        return tempfile.TemporaryDirectory(dir=self.folder, prefix="data-")

    def ours(self, *settings):
        return Server(self.programs["backpropd"], "serve", "--listen", "127.0.0.1:0", *settings)

    def on(self, data):
        return self.ours("--data-dir", data)

    def torch(self):
        # As many threads as it likes; it sets PyTorch's own itself.
        return Server(self.python, HERE / "torch_service.py", env=environment(2, self.folder))

    def noop(self, reply):
        return Server(self.programs["calls"], json.dumps({"noop": {"reply": str(reply)}}))

    def ask(self, command, **arguments):
        argument = json.dumps({command: arguments})
        answer = subprocess.check_output([self.programs["calls"], argument], text=True)
        return json.loads(answer.splitlines()[-1])


def measure(service, chosen):
    """The rows of every part whose name holds `chosen`."""
    parts = [gradients, latency, train, durable, durable_large, stream, sessions, idle, grading, dataset, python_calls]
    for part in parts:
        if chosen in part.__name__:
            for row in part(service):
                say(f"  {row['name']}: {row['shown']}")
                yield row


def dataset(service):
    """Training on a dataset of the server."""
    from dataset import measure as measure_dataset

    repetitions, epochs = (2, 2) if service.repetitions < 9 else (5, 10)
    yield from measure_dataset(service.python, service.programs, service.folder, repetitions, epochs)


def python_calls(service):
    """Explain, ApplyGradients and uploads by grpcio."""
    from python_calls import measure as measure_calls

    yield from measure_calls(service.python, service.programs, service.seconds, min(service.repetitions, 5))


def row(name, shown, comparisons, **more):
    """`comparisons`: what is compared, the figure, the target, and whether it is met."""
    keys = ("what", "figure", "target", "met")
    return {"name": name, "shown": shown, "comparisons": [dict(zip(keys, c)) for c in comparisons], **more}


def at_least(what, ratio, target):
    return what, f"{ratio:.2f} ×", f"≥ {target} ×", ratio >= target


def at_most(what, value, target, unit):
    return what, f"{value:.3g} {unit}", f"≤ {target} {unit}", value <= target


def h2load(address, request, seconds):
    """Calls a second, from eight connections with sixteen calls each; every one is answered with 200."""

    def load(calls):
        command = ["h2load", "-c8", "-m16", f"-n{calls}", "-d", request, "-H", "content-type: application/grpc"]
        command += ["-H", "te: trailers", f"http://{address}/{GRADIENTS}"]
        told = subprocess.check_output(command, text=True)
        succeeded = int(re.search(r"(\d+) succeeded", told)[1])
        good = int(re.search(r"status codes: (\d+) 2xx", told)[1])
        if (succeeded, good) != (calls, calls):
            raise SystemExit(f"of {calls} calls {succeeded} succeeded, {good} with 2xx:\n{told}")
        return float(re.search(r"([\d.]+) req/s", told)[1])

    rate = load(500)
    return load(max(500, round(rate * seconds)))


def gradients(service):
    """Gradients of the homework's network on one sample."""
    with service.data() as data, service.on(data) as ours, service.torch() as torch:
        folders = [Path(data) / name for name in ("ours-requests", "torch-requests")]
        told = []
        for folder, server in zip(folders, (ours, torch)):
            folder.mkdir()
            told.append(service.ask("requests", address=server.address, folder=str(folder)))
        for name, texts in (
            ("gradients-all", "Gradients of a stored 4-3-2-1, every quantity"),
            ("gradients-dw", "Gradients of a stored 4-3-2-1, dW alone"),
            ("gradients-inline-dw", "Gradients of a 4-3-2-1 sent along, dW alone"),
        ):
            mine, others = (facts[name] for facts in told)
            for fact in ("loss", "norm"):
                if not math.isclose(mine[fact], others[fact], rel_tol=SAME):
                    raise SystemExit(f"{name}: the {fact} is {mine[fact]} here, {others[fact]} in PyTorch")
            with service.noop(folders[0] / f"{name}.reply") as noop:
                load = lambda server, folder: h2load(server.address, folder / f"{name}.request", service.seconds)
                rates = in_turn(
                    service.repetitions,
                    ours=lambda: load(ours, folders[0]),
                    noop=lambda: load(noop, folders[0]),
                    torch=lambda: load(torch, folders[1]),
                )
            compared = [
                at_least("of a no-op with the same messages", rates["ours"] / rates["noop"], 0.75),
                at_least("grpcio + PyTorch", rates["ours"] / rates["torch"], 50),
            ]
            yield row(texts, f"{rates['ours']:.0f}/s", compared, rates=rates, messages=mine)


def latency(service):
    """One call at a time."""
    with service.data() as data, service.on(data) as ours:
        service.ask("requests", address=ours.address, folder=data)
        with service.noop(Path(data) / "gradients-all.reply") as noop:
            addresses = [ours.address, noop.address]
            request = str(Path(data) / "gradients-all.request")
            calls = {"rounds": 4 * service.repetitions, "calls": 500}
            mine, nothing = service.ask("latency", addresses=addresses, request=request, **calls)
    ratio = mine["p50_us"] / nothing["p50_us"]
    compared = [at_most("p50, of a no-op's", ratio, 1.3, "×")]
    yield row("One Gradients call on an idle server", f"{mine['p50_us']:.0f} µs", compared, ours=mine, noop=nothing)


def train(service):
    """One step of 784-128-10 a call."""
    load = {**MNIST, "clients": 8, "seconds": service.seconds, "durable": False, "one_session": False}
    with service.data() as data, service.on(data) as ours, service.torch() as torch:
        rate = lambda server: service.ask("train", address=server.address, **load)["per_second"]
        rates = in_turn(service.repetitions, ours=lambda: rate(ours), torch=lambda: rate(torch))
    compared = [at_least("grpcio + PyTorch", rates["ours"] / rates["torch"], 8)]
    yield row("TrainBatch, one step, 784-128-10, 64 × 784 raw", f"{rates['ours']:.0f}/s", compared, rates=rates)


def durable(service):
    """One step of 4-3-2-1 a call, acknowledged when it is on disk, on 64 models at once."""
    threads = 64
    for one in (False, True):
        load = {**HOMEWORK, "clients": threads, "seconds": service.seconds, "durable": True, "one_session": one}
        with service.data() as data, service.on(data) as ours, service.data() as bare:
            mine = lambda: service.ask("train", address=ours.address, **load)["per_second"]
            mine()
            # A server that logs its commits need not have one; the snapshot of this model had so many bytes.
            snapshots = [file.stat().st_size for file in Path(data).rglob("*.safetensors")]
            size = round(statistics.median(snapshots)) if snapshots else 1376
            loop = {"folder": bare, "threads": threads, "bytes": size, "seconds": service.seconds, "one_folder": one}
            rates = in_turn(
                service.repetitions, ours=mine, bare=lambda: service.ask("commits", **loop)["per_second"]
            )
        where = "in one session" if one else "each in its session"
        what = f"of a bare loop that replaces and syncs {size} bytes"
        compared = [at_least(what, rates["ours"] / rates["bare"], 0.7)]
        name = f"TrainBatch, one step, 4-3-2-1, durable, 64 models {where}"
        yield row(name, f"{rates['ours']:.0f}/s", compared, rates=rates)


def durable_large(service):
    """One step a call of a model that is much larger than its batch."""
    for clients in (1, 8):
        load = {**LARGE, "clients": clients, "seconds": 2 * service.seconds, "one_session": False}
        with service.data() as data, service.on(data) as ours:

            def rate(durable):
                told = service.ask("train", address=ours.address, durable=durable, **load)["per_second"]
                # What is acknowledged from memory is written down before the next turn.
                time.sleep(1.5)
                return told

            rates = in_turn(service.repetitions, durable=lambda: rate(True), relaxed=lambda: rate(False))
            before = ours.written()
            calls = service.ask("train", address=ours.address, durable=True, **load)["acknowledged"]
            megabytes = (ours.written() - before) / calls / 1e6
        compared = [
            ("of the same calls, relaxed", f"{rates['durable'] / rates['relaxed']:.2f} ×", None, None),
            ("written for a call (the model has 7.4 MB)", f"{megabytes:.2f} MB", None, None),
        ]
        name = f"TrainBatch, one step, 784-1024-1024-10, batch 8, durable, {clients} at once"
        yield row(name, f"{rates['durable']:.0f}/s", compared, rates=rates)


def stream(service):
    """10,000 steps with every step's metrics read."""
    for one, rounds in ((HOMEWORK, 10), (DIGITS, 4), (MNIST, 1)):
        asked = {**one, "steps": 10_000, "rounds": rounds * service.repetitions}
        with service.data() as data, service.on(data) as ours:
            told = service.ask("stream", address=ours.address, **asked)
        alone, came = min(told["one_thread_s"], told["two_threads_s"]), told["metrics"]
        compared = [
            at_least("of the same steps in process", alone / told["streamed_s"], 0.97),
            ("the same without the call around the training", f"{alone / told['computed_s']:.2f} ×", None, None),
            ("steps whose metrics reached the reader", came, "10000", came == 10_000),
        ]
        shown = f"{told['streamed_s'] * 100:.3g} µs a step"
        yield row(f"10,000 steps, each one's metrics streamed, {one['name']}", shown, compared, **told)


def sessions(service):
    """10,000 sessions with a model each, all in memory."""
    count, each = 10_000, {"from": 0, "to": 10_000}
    with service.data() as data:
        with service.on(data) as ours:
            service.ask("sessions", address=ours.address, create=True, **each)
            made = ours.megabytes()
        started = ready(service, data)
        with service.on(data) as ours:
            p50 = service.ask("sessions", address=ours.address, create=False, **each)["p50_us"]
            called = ours.megabytes()
    compared = [
        at_most("memory when made", made, 100, "MB"),
        at_most("memory after a restart, all called", called, 100, "MB"),
        at_most("start to SERVING with them on disk", started / 1e3, 2, "s"),
    ]
    yield row(f"{count} sessions with a 4-3-2-1 each", f"a call p50 {p50:.0f} µs", compared)


def ready(service, data):
    """Milliseconds from start to SERVING on a data folder."""
    arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", str(data)]
    program, rounds = str(service.programs["backpropd"]), 2 * service.repetitions + 1
    return service.ask("ready", program=program, arguments=arguments, rounds=rounds)["median_ms"]


def idle(service):
    """A server that nobody has called."""
    with service.data() as data:
        started = ready(service, data)
        with service.on(data) as ours:
            time.sleep(1)
            memory = ours.megabytes()
    size = service.programs["backpropd"].stat().st_size / 1e6
    compared = [
        at_most("memory", memory, 15, "MB"),
        at_most("start to SERVING", started, 50, "ms"),
        at_most("the stripped program, all that the image holds", size, 15, "MB"),
    ]
    yield row("An idle server", f"{memory:.1f} MB", compared)


def grading(_):
    """Submissions of 25 answers a second, as `cargo bench --bench grading` prints them."""
    told = subprocess.check_output(["cargo", "bench", "--bench", "grading"], cwd=ROOT, text=True)
    answers = {"right": "all right", "mistaken": "each a known mistake", "wrong": "each wrong and unnamed"}
    targets = {("submissions_on_all_cores", "right"): 1000, ("submissions_on_all_cores", "wrong"): 300}
    for (function, argument), rate in items_per_second(told).items():
        target = targets.get((function, argument))
        compared = [("submissions a second", f"{rate:.0f}/s", f"≥ {target}/s", rate >= target)] if target else []
        name = f"Grading, {function.replace('_', ' ')}, {answers.get(argument, argument)}"
        yield row(name, f"{rate:.0f}/s", compared)


def items_per_second(told):
    """Of divan's tree: the medians by function and argument."""
    function = argument = None
    rates = {}
    for line in told.splitlines():
        words = line.strip("│├╰─ ")
        items = re.findall(r"([\d.]+) ([KM]?)item/s", words)
        if items:
            # Fastest, slowest, median, mean.
            number, prefix = items[2]
            rates[function, argument] = float(number) * {"": 1, "K": 1e3, "M": 1e6}[prefix]
        elif timed := re.match(r"(\w+) +[\d.]+ [nµm]?s\b", words):
            argument = timed[1]
        elif named := re.match(r"\w+", words):
            function = named[0]
    return rates
