"""One client at its worst over HTTP/1.1 and TLS, another at work.

    python benches/compare/abuse.py PROGRAM [CASE...]

Starts PROGRAM (backpropd) for each case, on loopback, and prints the median and the 99th percentile of another client's
Health.Check over gRPC in milliseconds: alone, beside one busy but honest client, and beside the worst client. Needs grpcio,
grpcio-health-checking and h2load (Debian: nghttp2-client). Each case takes about 15 s.
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

    def context(self):
        return ssl.create_default_context(cafile=os.path.join(self.folder.name, "tls/ca.crt"))

    def socket(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        return self.context().wrap_socket(stream, server_hostname="localhost") if self.tls else stream

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.folder.cleanup()


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


def flood(server, head, body):
    def attack():
        with server.socket() as stream:
            stream.sendall(head)
            while not stop.is_set():
                stream.sendall(body)

    stop = threading.Event()
    return stop, [threading.Thread(target=again, args=(stop, attack))]


def chunks(server):
    return flood(server, POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000)


def pipelined(server):
    return flood(server, b"", GET * 1_000)


def huge_headers(server):
    return flood(server, b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"x-%d: " % 1 + b"y" * 4000 + b"\r\n")


def bodies(server):
    """A thousand requests whose bodies never arrive."""
    return held(server, POST + b"content-length: 1000000\r\n\r\n{")


def headers(server):
    """A thousand requests whose headers arrive one byte at a time."""
    return held(server, b"GET / HTTP/1.1\r\nx-slow: ")


def held(server, begin):
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
                stream = socket.create_connection(("127.0.0.1", server.port), timeout=5)
                stream.send(begin)
                streams.append(stream)
        for stream in streams:
            stream.close()

    return stop, [threading.Thread(target=again, args=(stop, attack)) for _ in range(2)]


def half_handshakes(server):
    """A thousand handshakes that stop after the first bytes."""
    return held(server, bytes([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))


def handshakes(server):
    """As many whole handshakes as one client can make."""
    stop = threading.Event()
    context = server.context()

    def attack():
        stream = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        context.wrap_socket(stream, server_hostname="localhost").close()

    return stop, [threading.Thread(target=again, args=(stop, attack)) for _ in range(4)]


def records(server):
    """Records of one byte each."""
    stop = threading.Event()

    def attack():
        with server.socket() as stream:
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


def honest(server):
    """As many health checks as h2load makes on one connection."""
    scheme = "https" if server.tls else "http"
    return subprocess.Popen(
        ["h2load", "-c1", "-m1", "-t1", f"--duration={SECONDS + 1:.0f}", f"{scheme}://127.0.0.1:{server.port}/none"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main():
    program = os.path.realpath(sys.argv[1])
    print(f"{'ms':14} {'alone: p50, p99':>18} {'honest: p50, p99':>18} {'worst: p50, p99':>18} {'p99':>8} {'MB':>6}")
    for name in sys.argv[2:] or CASES:
        tls, case = CASES[name]
        server = Server(program, tls)
        alone = measure(server)
        busy = honest(server)
        beside = measure(server)
        busy.wait()
        stop, threads = case(server)
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        worst = measure(server)
        resident = server.resident_mb()
        stop.set()
        for thread in threads:
            thread.join()
        pairs = " ".join(f"{median:8.2f} {tail:9.2f}" for median, tail in (alone, beside, worst))
        print(f"{name:14} {pairs} {worst[1] / beside[1]:6.1f} × {resident:6.0f}", flush=True)
        server.stop()


if __name__ == "__main__":
    main()
