"""One client at its worst over HTTP/1.1 and TLS, another at work.

    python benches/compare/abuse.py PROGRAM [CASE...]

Starts PROGRAM (backpropd) for each case, on loopback, and prints the median and the 99th percentile of another client's
Health.Check over gRPC in milliseconds: alone, beside one busy but honest client, and beside the worst client, once when
that client attacks another server of the same machine, once when it attacks the same one. The first of these says what the
machine alone costs, for attackers take processors, too. The worst client is a process of its own, at an address of its own
(127.0.0.2). Needs grpcio, grpcio-health-checking and h2load
(Debian: nghttp2-client). Each case takes about 20 s.
"""

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 3.0
GET = b"GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /backprop.v1.TrainingService/Gradients HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Server:
    def __init__(self, program, tls):
        self.folder = tempfile.TemporaryDirectory()
        arguments = [program, "serve", "--ephemeral", "--port", "0", "--log", "error"]
        self.tls = tls
        if tls:
            subprocess.run([program, "tls-init"], cwd=self.folder.name, check=True, stdout=subprocess.DEVNULL)
            arguments += ["--tls-cert-file", "tls/server.crt", "--tls-key-file", "tls/server.key"]
        self.process = subprocess.Popen(arguments, cwd=self.folder.name, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1].rsplit(":", 1)[1])

    def channel(self):
        address = f"localhost:{self.port}"
        if not self.tls:
            return grpc.insecure_channel(address)
        with open(os.path.join(self.folder.name, "tls/ca.crt"), "rb") as file:
            return grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()))

    def attacked(self, case):
        """A process that does its worst until its input ends."""
        authorities = os.path.join(self.folder.name, "tls/ca.crt") if self.tls else ""
        command = [sys.executable, __file__, "--attack", case, str(self.port), authorities]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.folder.cleanup()


class Target:
    """The server as the worst client sees it."""

    def __init__(self, port, authorities):
        self.port = port
        self.context = ssl.create_default_context(cafile=authorities) if authorities else None

    def plain(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=5, source_address=("127.0.0.2", 0))

    def socket(self):
        return self.context.wrap_socket(self.plain(), server_hostname="localhost") if self.context else self.plain()


def measure(server):
    took = []
    with server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            began = time.perf_counter()
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
            took.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.001)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def again(stop, attack):
    """Attacks until told to stop; a connection that the server ends is replaced."""
    while not stop.is_set():
        try:
            attack()
        except OSError:
            time.sleep(0.001)


def flood(target, head, body):
    def attack():
        with target.socket() as stream:
            stream.sendall(head)
            while not stop.is_set():
                stream.sendall(body)

    stop = threading.Event()
    return stop, [threading.Thread(target=again, args=(stop, attack))]


def chunks(target):
    return flood(target, POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000)


def pipelined(target):
    return flood(target, b"", GET * 1_000)


def huge_headers(target):
    return flood(target, b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"x-%d: " % 1 + b"y" * 4000 + b"\r\n")


def bodies(target):
    """A thousand requests whose bodies never arrive."""
    return held(target, POST + b"content-length: 1000000\r\n\r\n{")


def headers(target):
    """A thousand requests whose headers arrive one byte at a time."""
    return held(target, b"GET / HTTP/1.1\r\nx-slow: ")


def held(target, begin):
    stop = threading.Event()

    def attack():
        streams = []
        while not stop.is_set():
            for stream in list(streams):
                try:
                    stream.send(b"x")
                except OSError:
                    streams.remove(stream)
            while len(streams) < 500 and not stop.is_set():
                stream = target.plain()
                stream.send(begin)
                streams.append(stream)
        for stream in streams:
            stream.close()

    return stop, [threading.Thread(target=again, args=(stop, attack)) for _ in range(2)]


def half_handshakes(target):
    """A thousand handshakes that stop after the first bytes."""
    return held(target, bytes([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))


def handshakes(target):
    """As many whole handshakes as one client can make."""
    stop = threading.Event()

    def attack():
        target.socket().close()

    return stop, [threading.Thread(target=again, args=(stop, attack)) for _ in range(4)]


def records(target):
    """Records of one byte each."""
    stop = threading.Event()

    def attack():
        with target.socket() as stream:
            stream.sendall(POST + b"content-length: 60000000\r\n\r\n")
            while not stop.is_set():
                stream.send(b"x")

    return stop, [threading.Thread(target=again, args=(stop, attack))]


CASES = {
    "chunks": (False, chunks),
    "pipelined": (False, pipelined),
    "huge-headers": (False, huge_headers),
    "headers": (False, headers),
    "bodies": (False, bodies),
    "tls-chunks": (True, chunks),
    "tls-half": (True, half_handshakes),
    "tls-whole": (True, handshakes),
    "tls-records": (True, records),
}


def attack(case, port, authorities):
    """Does its worst until the standard input ends."""
    stop, threads = CASES[case][1](Target(int(port), authorities))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


def honest(server):
    """As many health checks as h2load makes on one connection."""
    scheme = "https" if server.tls else "http"
    return subprocess.Popen(
        ["h2load", "-c1", "-m1", "-t1", f"--duration={SECONDS + 1:.0f}", f"{scheme}://127.0.0.1:{server.port}/none"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def under_attack(server, attacked, case):
    """The durations of calls to one server while another, or the same, is attacked, and the memory of the attacked one."""
    attacker = attacked.attacked(case)
    time.sleep(1)
    durations, resident = measure(server), attacked.resident_mb()
    attacker.stdin.close()
    attacker.wait()
    return durations, resident


def main():
    program = os.path.realpath(sys.argv[1])
    print(f"{'ms':14} {'alone: p50, p99':>18} {'honest: p50, p99':>18} {'elsewhere: p50, p99':>19} {'worst: p50, p99':>17} {'p99':>8} {'MB':>6}")
    for name in sys.argv[2:] or CASES:
        server = Server(program, CASES[name][0])
        alone = measure(server)
        busy = honest(server)
        beside = measure(server)
        busy.wait()
        other = Server(program, CASES[name][0])
        elsewhere, _ = under_attack(server, other, name)
        other.stop()
        worst, resident = under_attack(server, server, name)
        pairs = " ".join(f"{median:8.2f} {tail:9.2f}" for median, tail in (alone, beside, elsewhere, worst))
        print(f"{name:14} {pairs} {worst[1] / elsewhere[1]:6.1f} × {resident:6.0f}", flush=True)
        server.stop()


if __name__ == "__main__":
    if sys.argv[1] == "--attack":
        attack(*sys.argv[2:])
    else:
        main()
