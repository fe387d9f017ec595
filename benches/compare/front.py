"""What identity and TLS cost a call, and TLS beside nginx's.

    python benches/compare/front.py PROGRAM [ROUNDS [NAME...]]

Starts PROGRAM (backpropd) on loopback without and with tokens, without and with TLS, and behind nginx, which ends TLS. All
take turns, round by round: h2load calls Gradients of a 4-3-2-1 network from eight connections with sixteen calls each, and
then from one connection with one call at a time. Prints medians: calls a second, processor time a call (of the server, and
of nginx), the median duration of a call, and the ratios to the server without either. Needs protobuf, h2load (Debian:
nghttp2-client) and nginx (Debian: nginx-light).
"""

import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ground import Stubs

GRADIENTS = "backprop.v1.TrainingService/Gradients"
CALLS = 60_000
ALONE = 5_000

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  upstream server {{ server 127.0.0.1:{port}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{tls_port} ssl http2; keepalive_requests 1000000; http2_max_concurrent_streams 128;
    ssl_certificate {folder}/tls/server.crt; ssl_certificate_key {folder}/tls/server.key; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ grpc_pass grpc://server; }}
  }}
}}
"""


def request(folder):
    """Gradients of a network that the request holds, as gRPC frames it."""
    sizes = (4, 3, 2, 1)
    parameters = [
        {"weights": {"shape": [n, m], "values": [0.5] * (n * m)}} for m, n in zip(sizes, sizes[1:])
    ]
    message = Stubs().message("GradientsRequest")(
        inline={"spec": {"input_size": 4, "layers": [{"units": n} for n in sizes[1:]]}, "parameters": parameters},
        inputs={"shape": [1, 4], "values": [1, 2, 3, 4]},
        targets={"shape": [1, 1], "values": [1]},
    )
    data = message.SerializeToString()
    path = Path(folder) / "request"
    path.write_bytes(struct.pack(">BI", 0, len(data)) + data)
    return path


class Server:
    """A process that serves, with its port and how it is reached."""

    def __init__(self, scheme, command, headers=(), port=None, behind=None):
        self.scheme, self.headers, self.behind = scheme, headers, behind
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = port or int(self.process.stdout.readline().split()[-1].rsplit(":", 1)[1])

    def processor_seconds(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        tasks = [task for pid in (self.process.pid, *children) for task in Path(f"/proc/{pid}/task").iterdir()]
        own = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        return own + (self.behind.processor_seconds() if self.behind else 0)

    def load(self, request, connections, each, calls):
        """Calls a second, processor seconds a call, and the durations of the calls in microseconds."""
        with tempfile.NamedTemporaryFile() as log:
            command = ["h2load", f"-c{connections}", f"-m{each}", f"-n{calls}", "-d", str(request), f"--log-file={log.name}"]
            for header in ("content-type: application/grpc", "te: trailers", *self.headers):
                command += ["-H", header]
            before = self.processor_seconds()
            told = subprocess.check_output([*command, f"{self.scheme}://127.0.0.1:{self.port}/{GRADIENTS}"], text=True)
            spent = self.processor_seconds() - before
            good = int(re.search(r"status codes: (\d+) 2xx", told)[1])
            # An error has no data.
            data = int(re.search(r"\((\d+)\) data", told)[1]) / calls
            if good != calls or data < 200:
                raise SystemExit(f"{good} of {calls} calls were answered, with {data} bytes each:\n{told}")
            durations = [int(line.split()[2]) for line in Path(log.name).read_text().splitlines()]
        return float(re.search(r"([\d.]+) req/s", told)[1]), spent / calls, durations

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def main():
    program, rounds, names = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9, sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        body = request(folder)
        subprocess.run([program, "tls-init"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        secrets = f"{folder}/secrets"
        subprocess.run([program, "token", "--new-secret", secrets], check=True, stdout=subprocess.DEVNULL)
        token = subprocess.check_output(
            [program, "token", "--secret-file", secrets, "--sub", "ada", "--expires", "12h"], text=True
        ).strip()
        serve = [program, "serve", "--ephemeral", "--port", "0", "--log", "error"]
        tls = ["--tls-cert-file", f"{folder}/tls/server.crt", "--tls-key-file", f"{folder}/tls/server.key"]
        auth, bearer = ["--auth-secret-file", secrets], [f"authorization: Bearer {token}"]
        plain = Server("http", serve)
        configuration = Path(folder) / "nginx.conf"
        with socket.create_server(("127.0.0.1", 0)) as free:
            tls_port = free.getsockname()[1]
        configuration.write_text(NGINX.format(folder=folder, port=plain.port, tls_port=tls_port))
        servers = {
            "plain": plain,
            "token": Server("http", [*serve, *auth], bearer),
            "TLS": Server("https", [*serve, *tls]),
            "TLS and token": Server("https", [*serve, *tls, *auth], bearer),
            "nginx's TLS": Server("https", ["nginx", "-c", str(configuration)], port=tls_port, behind=plain),
        }
        try:
            time.sleep(1)
            report(measure({k: v for k, v in servers.items() if not names or k in names}, body, rounds))
        finally:
            for server in servers.values():
                server.stop()


def measure(servers, body, rounds):
    figures = {name: {"rate": [], "cpu": [], "p50": []} for name in servers}
    for number in range(rounds + 1):
        for name, server in servers.items():
            rate, cpu, _ = server.load(body, 8, 16, CALLS)
            _, _, durations = server.load(body, 1, 1, ALONE)
            if number:  # the first round warms up
                for key, value in (("rate", rate), ("cpu", cpu * 1e6), ("p50", statistics.median(durations))):
                    figures[name][key].append(value)
    return figures


def report(figures):
    base = figures["plain"]
    ratio = lambda name, key: statistics.median(a / b for a, b in zip(figures[name][key], base[key]))
    print(f"{'':15}{'calls/s':>10}{'':>8}{'cpu µs/call':>13}{'':>8}{'p50 µs':>9}{'':>8}")
    for name, of in figures.items():
        columns = [f"{statistics.median(of[key]):{width}.1f}{ratio(name, key):7.3f}×" for key, width in
                   (("rate", 10), ("cpu", 13), ("p50", 9))]
        print(f"{name:15}" + "".join(columns))


if __name__ == "__main__":
    main()
