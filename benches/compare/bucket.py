"""Nodes that share a bucket: commits beside bare writes, RELAXED beside a data folder, several nodes, many sessions.

    python benches/compare/bucket.py PROGRAMS [NAME...]

PROGRAMS is a folder with `backpropd`, `backpropd-s3` and `calls`, as `cargo build --release -p backpropd -p backpropd-s3` and
`cargo build --release --bench calls` make them (the last in `target/release/deps`, with a hash in its name); NAME is commits,
relaxed, nodes or sessions. The bucket is the S3 in memory of `crates/s3`, on loopback, which answers each request after
a delay. Needs nothing but Python.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from engine import HOMEWORK, MNIST
from ground import Server, in_turn, say

# List prices of Amazon S3 Standard, us-east-1, in dollars a request.
PRICE_OF_A_LISTING, PRICE_OF_A_READ = 0.005 / 1000, 0.0004 / 1000

HOUR = 3600
SESSIONS = 10_000


class Programs:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    @contextlib.contextmanager
    def bucket(self, delay_ms):
        """An S3 whose address the environment of this process then names."""
        options = ["--bucket", "lab", "--region", "us-east-1", "--delay-ms", str(delay_ms)]
        with Server(self.folder / "backpropd-s3", *options) as bucket:
            os.environ.update({
                "AWS_ENDPOINT_URL": f"http://{bucket.address}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
            })
            yield bucket

    def serve(self, *settings):
        return Server(self.folder / "backpropd", "serve", "--listen", "127.0.0.1:0", *settings)

    def node(self, *settings):
        """A node, whose metrics are at `operations`."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            operations = "127.0.0.1:%d" % free.getsockname()[1]
        node = self.serve("--store", "s3://lab/course", "--ops-listen", operations, *settings)
        node.operations = operations
        return node

    def start(self, command, **arguments):
        argument = json.dumps({command: arguments})
        return subprocess.Popen([self.folder / "calls", argument], stdout=subprocess.PIPE, text=True)

    def ask(self, command, **arguments):
        return answer(self.start(command, **arguments))


def answer(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{process.args} ended with {process.returncode}")
    return json.loads(out.splitlines()[-1])


def requests_of(node):
    """Requests to the store so far."""
    while True:
        # It has none until it is ready.
        with contextlib.suppress(urllib.error.HTTPError):
            with urllib.request.urlopen(f"http://{node.operations}/metrics") as reply:
                text = reply.read().decode()
            break
        time.sleep(0.1)
    return int(re.search(r"^backpropd_store_request_seconds_count (\d+)", text, re.MULTILINE)[1])


def commits(programs):
    """A durable call of one step beside a conditional write of the same bytes, one at a time."""
    # One row: what a commit costs, and not how long a batch takes to arrive. Ten calls a turn, so that no pause between two
    # turns is long enough for a node to ask the store whether its copy of the session is still true.
    for work, rounds in ((HOMEWORK, 80), ({**MNIST, "rows": 1}, 40)):
        for delay in (0, 10, 30):
            with programs.bucket(delay), programs.node() as node:
                told = programs.ask("puts", address=node.address, bucket="lab", rounds=rounds, calls=10, **work)
            commit, put = told["commit"], told["put"]
            print(
                f"commit of {told['bytes']:,} bytes ({work['name']}), a store of {delay} ms: "
                f"p50 {commit['p50_ms']:.2f} ms, {commit['p50_ms'] / put['p50_ms']:.2f} × a bare write; "
                f"p99 {commit['p99_ms']:.2f} ms, {commit['p99_ms'] / put['p99_ms']:.2f} ×",
                flush=True,
            )


def relaxed(programs):
    """Calls that are acknowledged from memory, in turns with a server on a data folder."""
    for work in (HOMEWORK, MNIST):
        load = {**work, "clients": 8, "seconds": 3, "double": False, "durable": False, "one_session": False}
        with (
            programs.bucket(30),
            programs.node() as node,
            tempfile.TemporaryDirectory() as folder,
            programs.serve("--data-dir", folder) as embedded,
        ):

            def rate(server):
                return programs.ask("train", address=server.address, **load)["per_second"]

            rates = in_turn(7, node=lambda: rate(node), embedded=lambda: rate(embedded))
        share = rates["node"] / rates["embedded"]
        print(f"RELAXED, one step a call, {work['name']}: {rates['node']:.0f}/s, {share:.3f} of a data folder's", flush=True)


def nodes(programs):
    """Durable calls of one step at 1, 2 and 4 nodes of one thread, each with four clients of its own."""
    load = {**HOMEWORK, "clients": 4, "seconds": 6, "double": True, "durable": True, "one_session": False}
    with programs.bucket(30), contextlib.ExitStack() as stack:
        started = [stack.enter_context(programs.node("--threads", "1")) for _ in range(4)]

        def rate(count):
            loads = [programs.start("train", address=node.address, **load) for node in started[:count]]
            return sum(answer(process)["per_second"] for process in loads)

        rates = in_turn(3, one=lambda: rate(1), two=lambda: rate(2), four=lambda: rate(4))
    one = rates["one"]
    print(f"durable commits, a store of 30 ms: one node {one:.0f}/s")
    for count, name in ((2, "two"), (4, "four")):
        print(f"    {name} nodes {rates[name]:.0f}/s, {rates[name] / (count * one):.3f} of {count} ×", flush=True)


def sessions(programs):
    """Many sessions over three nodes, of which one dies."""
    thirds = [(SESSIONS * node // 3, SESSIONS * (node + 1) // 3) for node in range(3)]
    with programs.bucket(10), contextlib.ExitStack() as stack:
        three = [stack.enter_context(programs.node()) for _ in range(3)]
        empty = three[0].megabytes()
        calls = [
            programs.start("sessions", address=node.address, create=True, **{"from": first, "to": end})
            for node, (first, end) in zip(three, thirds, strict=True)
        ]
        for process in calls:
            answer(process)
        memory = max(node.megabytes() for node in three)
        print(f"{SESSIONS:,} sessions with a 4-3-2-1 each over three nodes: {memory:.0f} MB a node ({empty:.0f} MB without)")

        three[0].process.kill()
        first, end = thirds[0]
        told = programs.ask("sessions", address=three[1].address, create=False, **{"from": first, "to": end})
        print(
            f"    one dies, and another serves its {end - first:,}: first calls, 64 at a time, p50 {told['first_p50_ms']:.1f} ms, "
            f"p99 {told['first_p99_ms']:.1f}, most {told['first_most_ms']:.1f}; later ones {told['p50_us']:.0f} µs; "
            f"{three[1].megabytes():.0f} MB"
        )

        time.sleep(15)
        rest = at_rest(three[1], 60)
        sweeping = stack.enter_context(programs.node("--store-sweep-seconds", "10"))
        while requests_of(sweeping) < SESSIONS:
            time.sleep(1)
        time.sleep(10)
        looks = 60 * rest
        first_sweep, sweeps = requests_of(sweeping), 6
        pages = (at_rest(sweeping, 10 * sweeps) * 10 * sweeps - looks) / sweeps
    told = HOUR * rest * PRICE_OF_A_READ + pages * PRICE_OF_A_LISTING
    print(
        f"    at rest: {HOUR * rest:.0f} looks and {pages:.0f} pages of a listing an hour and node: ${told:.4f}, "
        f"${told * 24 * 30:.2f} in 30 days; the first sweep after a start makes {first_sweep:,} requests"
    )


def at_rest(node, seconds):
    """Requests a second."""
    before = requests_of(node)
    time.sleep(seconds)
    return (requests_of(node) - before) / seconds


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    programs, chosen = Programs(sys.argv[1]), sys.argv[2:]
    for measure in (commits, relaxed, nodes, sessions):
        if not chosen or measure.__name__ in chosen:
            say(measure.__doc__)
            measure(programs)


if __name__ == "__main__":
    main()
