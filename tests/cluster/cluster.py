"""Three nodes, Envoy and a bucket, each in a network namespace with an address of its own; clients, and faults.

    cluster.py PROGRAM BUCKET ENVOY [--faults N] [--kinds KIND …] [--stop SECONDS] [--failover SECONDS]
        [--seed N] [--keep FOLDER]

run.sh calls it. BUCKET is the S3 server of crates/s3. After the faults everything is healed, and then it holds: each acknowledged
step is there, none was taken twice, what was deleted is gone, and the weights are those of a lone server that took the same steps.
"""

import argparse
import bisect
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NODES = (1, 2, 3)
ENVOY, BUCKET, CLIENTS = 4, 5, 6
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
TRUST = 2.0
"""Seconds that a node answers reads from memory before it asks the bucket."""


def address(host):
    return f"10.77.0.{host}"


class Cluster:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.prefix = f"bp{os.getpid()}"
        self.processes = {}
        self.switch = None

    def __enter__(self):
        command = [sys.executable, HERE / "switch.py", self.prefix, str(CLIENTS)]
        self.switch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.switch.stdout.readline() != "ready\n":
            raise SystemExit("the network namespaces could not be made: that takes root, iproute2 and /dev/net/tun")
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        # It removes the namespaces, and ends what is left in them.
        self.switch.stdin.close()
        self.switch.wait()

    def network(self, command):
        self.switch.stdin.write(command + "\n")
        self.switch.stdin.flush()
        assert self.switch.stdout.readline() == f"ok {command}\n"

    def spawn(self, name, host, command, **environment):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", f"{self.prefix}-h{host}", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def bucket(self):
        # A commit takes as long as in a store in the house.
        options = ["--listen", f"{address(BUCKET)}:9000", "--bucket", "lab", "--region", "us-east-1", "--delay-ms", "10"]
        self.spawn("bucket", BUCKET, [self.options.bucket, *options])
        # A node that starts without its store ends.
        log, end = self.folder / "bucket.log", time.monotonic() + 30
        while "listening on" not in (said := log.read_text("utf-8", "replace")):
            if time.monotonic() > end or self.processes["bucket"].poll() is not None:
                raise SystemExit(f"the bucket does not listen:\n{said[-3000:]}")
            time.sleep(0.01)

    def node(self, node, clock=None):
        """Starts it; `clock` is a file that says how far its clock is off."""
        scratch = self.folder / f"node{node}"
        command = [
            *(self.options.program, "serve", "--listen", f"{address(node)}:50051", "--ops-listen", f"{address(node)}:50052"),
            *("--insecure-remote", "--store", "s3://lab/course", "--log-format", "json"),
        ]
        variables = {
            "AWS_ENDPOINT_URL": f"http://{address(BUCKET)}:9000",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
        }
        if clock:
            # The file says how far the clock is off, and is read again at each look at the clock.
            variables |= {
                "LD_PRELOAD": FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        scratch.mkdir(exist_ok=True)
        self.spawn(f"node{node}", node, command, **variables)

    def envoy(self):
        """The file that is deployed, with the addresses of the nodes in place of a name."""
        text = (ROOT / "deploy/envoy/cluster.yaml").read_text("utf-8")
        (line,) = (line for line in text.splitlines() if "address: backpropd-nodes" in line)
        text = text.replace(line, "\n".join(line.replace("backpropd-nodes", address(node)) for node in NODES))
        files = self.folder / "envoy"
        files.mkdir()
        shutil.copy(ROOT / "deploy/envoy/descriptors.binpb", files)
        (files / "cluster.yaml").write_text(text.replace("/etc/envoy", str(files)), "utf-8")
        names = [self.options.program, "tls-init", address(ENVOY), "--dir", files / "tls"]
        subprocess.run(names, check=True, stdout=subprocess.DEVNULL)
        for kind in ("crt", "key"):
            (files / f"tls/server.{kind}").rename(files / f"tls/tls.{kind}")
        command = [
            self.options.envoy,
            "--config-path",
            files / "cluster.yaml",
            "--base-id",
            os.getpid(),
            "--log-level",
            "warning",
        ]
        self.spawn("envoy", ENVOY, [*command, "--concurrency", "1"])

    def clients(self):
        url, ca = f"https://{address(ENVOY)}:8443", self.folder / "envoy/tls/ca.crt"
        command = [sys.executable, HERE / "clients.py", url, ca, self.folder / "journal", 7200]
        self.spawn("clients", CLIENTS, command, PYTHONPATH=str(ROOT / "python"))

    def is_ready(self, node):
        """Asked from Envoy's host, by a program that ends with the answer."""
        url = f"http://{address(node)}:50052/readyz"
        command = ["ip", "netns", "exec", f"{self.prefix}-h{ENVOY}", "curl", "--silent", "--fail", "--max-time", "1", url]
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0

    def wait_ready(self, node, seconds=30.0, is_ready=True):
        end = time.monotonic() + seconds
        while self.is_ready(node) != is_ready:
            if time.monotonic() > end or self.processes[f"node{node}"].poll() is not None:
                log = (self.folder / f"node{node}.log").read_text("utf-8", "replace")
                raise SystemExit(f"node {node} is {'not' if is_ready else 'still'} ready:\n{log[-3000:]}")
            time.sleep(0.05)

    def end(self, node, number, seconds=30.0):
        process = self.processes[f"node{node}"]
        process.send_signal(number)
        process.wait(seconds)


class Faults:
    """Each fault begins, lasts, and ends with all nodes ready. It returns the node that it struck, if one."""

    def __init__(self, cluster, dice):
        self.cluster, self.dice = cluster, dice

    def kill(self):
        """kill -9, and a new start."""
        node = self.dice.choice(NODES)
        self.cluster.end(node, signal.SIGKILL)
        time.sleep(3)
        self.cluster.node(node)
        self.cluster.wait_ready(node)

    def stop(self):
        """A node that stands still, and goes on as if nothing had been."""
        process = self.cluster.processes[f"node{self.dice.choice(NODES)}"]
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.cluster.options.stop)
        process.send_signal(signal.SIGCONT)

    def cut_from_bucket(self):
        self.cluster.network(f"cut {self.dice.choice(NODES)} {BUCKET}")
        time.sleep(6)
        self.cluster.network("heal")

    def cut_from_envoy(self):
        self.cluster.network(f"cut {self.dice.choice(NODES)} {ENVOY}")
        time.sleep(6)
        self.cluster.network("heal")

    def delay(self):
        self.cluster.network(f"delay {self.dice.choice(NODES)} * 200")
        time.sleep(5)
        self.cluster.network("heal")

    def clock(self):
        """A clock ten minutes off, then one that jumps by an hour: no store takes signatures that old, so the node withdraws."""
        node = self.dice.choice(NODES)
        clock = self.cluster.folder / "clock"
        sign = self.dice.choice("+-")
        clock.write_text(f"{sign}600s", "utf-8")
        self.cluster.end(node, signal.SIGKILL)
        self.cluster.node(node, clock)
        self.cluster.wait_ready(node)
        time.sleep(3)
        clock.write_text(f"{sign}3600s", "utf-8")
        self.cluster.wait_ready(node, is_ready=False)
        time.sleep(3)
        clock.write_text("+0s", "utf-8")
        self.cluster.wait_ready(node)
        self.cluster.end(node, signal.SIGKILL)
        self.cluster.node(node)
        self.cluster.wait_ready(node)

    def roll(self):
        """A new version: one node after the other, each ready before the next."""
        for node in NODES:
            self.cluster.end(node, signal.SIGTERM)
            self.cluster.node(node)
            self.cluster.wait_ready(node)
            # As minReadySeconds of the deployment.
            time.sleep(5)


KINDS = ("kill", "stop", "cut_from_bucket", "cut_from_envoy", "delay", "clock", "roll")


def inflict(cluster, options):
    """The faults, as (kind, begin, end)."""
    dice = random.Random(options.seed)
    faults, done, kinds = Faults(cluster, dice), [], []
    for number in range(options.faults):
        kinds = kinds or dice.sample(options.kinds, len(options.kinds))
        kind = kinds.pop()
        begun = time.monotonic()
        getattr(faults, kind)()
        done.append((kind, begun, time.monotonic()))
        if cluster.processes["clients"].poll() is not None:
            raise SystemExit(f"the clients ended: {(cluster.folder / 'clients.log').read_text('utf-8')[-2000:]}")
        print(f"     {number + 1}/{options.faults} {kind}: {done[-1][2] - begun:.1f} s", flush=True)
        time.sleep(2)
    return done


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def judge(faults, lines):
    """What the journal refutes."""
    operations = [line for line in lines if "number" in line]
    reads = [line for line in lines if line["kind"] == "read"]
    wrong = [f"client {line['client']} broke: {line['error']}" for line in lines if line["kind"] == "broken"]
    at = {}
    for line in operations:
        before = at.get(line["model"], 0)
        # SetParameters begins anew, at a step that the server names.
        if line["kind"] == "TrainBatch" and line["step"] != before + line["steps"]:
            wrong.append(f"{line['model']}: {line['steps']} steps after {before} led to {line['step']}: {line}")
        at[line["model"]] = line["step"]
    for line in reads:
        if line["step"] < line["acknowledged"] and line["since"] > TRUST + 0.5:
            wrong.append(f"{line['model']}: a read {line['since']:.1f} s after step {line['acknowledged']} saw {line['step']}")
    for kind, begun, ended in faults:
        given_up = [line for line in lines if line["kind"] == "given up" and begun <= line["at"] <= ended + 2]
        if kind == "roll" and given_up:
            wrong.append(f"a rolling restart failed {len(given_up)} calls: {given_up[:2]}")
    return operations, reads, wrong


class Calls:
    """The calls of a client, one after the other."""

    def __init__(self, lines, client):
        self.calls = sorted((line["begun"], line["ended"]) for line in lines if line["client"] == client)
        self.ends = [ended for _, ended in self.calls]

    def longest(self, begun, ended):
        """Seconds of the longest one that was in progress in this time."""
        near = itertools.takewhile(lambda call: call[0] < ended, self.calls[bisect.bisect(self.ends, begun) :])
        return max((end - begin for begin, end in near), default=0.0)


def tell(faults, operations, reads, lines):
    """The longest operation of each client around each fault, and the rest as counts."""
    calls = [Calls(operations + reads, client) for client in range(8)]
    for kind in KINDS:
        struck = [fault for fault in faults if fault[0] == kind]
        waits = [mine.longest(begun, ended + 1) for _, begun, ended in struck for mine in calls]
        if waits:
            print(f"     {kind}: the longest call of a client {percentile(waits, 0.5):.2f} s (p50), {max(waits):.2f} s (most)")
    calm = [line["ended"] - line["begun"] for line in operations]
    given_up = sum(line["kind"] == "given up" for line in lines)
    stale = sum(line["step"] < line["acknowledged"] for line in reads)
    median, late = percentile(calm, 0.5) * 1e3, percentile(calm, 0.99)
    print(f"     {len(operations)} operations, p50 {median:.0f} ms, p99 {late:.2f} s; {given_up} given up")
    print(f"     {len(reads)} reads, of which {stale} lagged")


def failovers(faults, operations):
    """Waits of the calls in progress when a node was killed or cut off, and of those that began in the next second."""
    waits = []
    for kind, begun, _ in faults:
        if kind in ("kill", "stop", "cut_from_envoy", "cut_from_bucket"):
            near = [line for line in operations if line["begun"] < begun + 1 and line["ended"] > begun]
            waits += [line["ended"] - max(line["begun"], begun) for line in near]
    return waits


def verify(cluster, lines, operations):
    """The end: every node has the last acknowledged step of each model, and none has what was deleted."""
    script = """
import json, sys
from backpropd import _messages as pb
from backpropd._address import read_target
from backpropd._caller import Caller
from backpropd._calls import Call, identity
from backpropd._errors import Error
expected = json.load(sys.stdin)
caller, wrong = Caller(read_target(sys.argv[1]), 20.0), 0
for model, last in expected.items():
    try:
        reply = caller.call(Call("GetModel", pb.GetModelRequest(name=model), identity)).model
        seen = [reply.step, reply.weights_digest]
    except Error as error:
        seen = error.reason
    if seen != last:
        wrong += 1
        print(f"FAIL {sys.argv[1]}: {model} is {seen}, and was acknowledged as {last}")
sys.exit(bool(wrong))
"""
    expected = {line["model"]: [line["step"], line["digest"]] for line in operations}
    expected |= {line["model"]: "NOT_FOUND" for line in lines if line["kind"] == "deleted"}
    text, failed = json.dumps(expected), False
    for node in NODES:
        host = f"{cluster.prefix}-h{CLIENTS}"
        command = ["ip", "netns", "exec", host, sys.executable, "-c", script, f"{address(node)}:50051"]
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        failed |= subprocess.run(command, input=text, text=True, env=variables, check=False).returncode != 0
    return failed


def replay(options, folder):
    """The same operations at a lone server on this machine's loopback."""
    with open(folder / "lone.log", "wb") as log:
        command = [options.program, "serve", "--port", "0", "--ephemeral"]
        lone = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            where = lone.stdout.readline().split()[-1]
            variables = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
            command = [sys.executable, HERE / "clients.py", "--replay", where, folder / "journal"]
            return subprocess.run(command, env=variables, check=False).returncode != 0
        finally:
            lone.kill()


def check(options, folder):
    with Cluster(options, folder) as cluster:
        cluster.bucket()
        for node in NODES:
            cluster.node(node)
        cluster.envoy()
        for node in NODES:
            cluster.wait_ready(node)
        time.sleep(2.5)
        cluster.clients()
        time.sleep(4)
        faults = inflict(cluster, options)
        for node in NODES:
            cluster.wait_ready(node)
        time.sleep(TRUST + 1)
        cluster.processes["clients"].terminate()
        cluster.processes["clients"].wait(120)
        lines = [json.loads(line) for line in (folder / "journal").read_text("utf-8").splitlines()]
        operations, reads, wrong = judge(faults, lines)
        tell(faults, operations, reads, lines)
        time.sleep(TRUST + 0.5)
        failed = verify(cluster, lines, operations)
    for fault in wrong:
        print(f"FAIL {fault}")
    if len(operations) < 10 * len(faults):
        wrong.append("too little was done")
        print(f"FAIL {len(operations)} operations in all")
    waits = failovers(faults, operations)
    late = percentile(waits, 0.99)
    print(f"     failover: p50 {percentile(waits, 0.5):.2f} s, p99 {late:.2f} s of {len(waits)} calls")
    if late > options.failover:
        wrong.append("failover")
        print(f"FAIL failover takes {late:.2f} s (p99), more than {options.failover} s")
    failed |= replay(options, folder)
    if not (wrong or failed):
        print(f"ok   {len(faults)} faults: every acknowledged step is there, none was taken twice, nothing deleted is back")
    return bool(wrong or failed)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("bucket")
    parser.add_argument("envoy")
    parser.add_argument("--faults", type=int, default=len(KINDS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--stop", type=float, default=6.0, help="seconds that a stopped node stands still")
    parser.add_argument("--failover", type=float, default=3.0, help="seconds within which another node answers (p99)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the journal and the logs")
    options = parser.parse_args()
    for name in ("program", "bucket", "envoy"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(check(options, folder.resolve()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
