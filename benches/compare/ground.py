"""What measurements stand on: a virtual environment, the built programs, the machine, processes that answer JSON."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Some machines set these for another CPU than their own, which halves numpy's speed.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def python_of(folder, given):
    """The interpreter of an existing environment, or of one made here with what requirements.txt pins."""
    if given:
        return given / "bin" / "python"
    environment = folder / "venv"
    python = environment / "bin" / "python"
    wanted = HERE / "requirements.txt"
    done = environment / "requirements.txt"
    if not done.exists() or done.read_text() != wanted.read_text():
        say("making", environment)
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        done.write_text(wanted.read_text())
    return python


def build():
    """The programs by name: the server, `peer` and `calls`."""
    say("cargo build --profile dist")
    command = ["cargo", "build", "--profile", "dist", "--bin", "backpropd", "--bench", "peer", "--bench", "calls"]
    built = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    messages = map(json.loads, built.stdout.splitlines())
    return {m["target"]["name"]: Path(m["executable"]) for m in messages if m.get("executable")}


def machine(python):
    """What the figures depend on."""
    packages = "grpcio jax jaxlib numpy torch".split()
    ask = "import importlib.metadata as m, json, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
    versions = json.loads(subprocess.check_output([python, "-c", ask, *packages]))
    first_line = lambda *command: subprocess.check_output(command, cwd=ROOT, text=True).splitlines()[0].strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": named[0] if named else platform.machine(),
        "cores": os.cpu_count(),
        "os": platform.platform(),
        "load_before": os.getloadavg()[0],
        "commit": first_line("git", "rev-parse", "HEAD"),
        "versions": {
            **versions,
            "python": first_line(python, "-c", "import platform; print(platform.python_version())"),
            "rustc": first_line("rustc", "--version").split()[1],
            "nghttp2": first_line("h2load", "--version").split("/")[-1] if shutil.which("h2load") else None,
        },
    }


def environment(threads, folder):
    """For a process that is to compute with so many threads."""
    env = {name: value for name, value in os.environ.items() if name not in SLOWING}
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    # XLA's pool has a thread for each of these.
    env["NPROC"] = str(threads)
    env["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'}"
    env["JAX_PLATFORMS"] = "cpu"
    env["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
    return env


class Asked:
    """A process that answers a line of JSON with another one."""

    def __init__(self, command, env=None):
        self.command = command
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.command} ended with {self.process.wait()} when asked {question}")
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Server:
    """A server whose first line ends with its address. Ended with its block."""

    def __init__(self, *command, env=None):
        self.command = [str(part) for part in command]
        self.env = env

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.command} ended with {self.process.wait()}")
        self.address = line.split()[-1]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def written(self):
        """Bytes so far, to files and connections."""
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("wchar:")))

    def megabytes(self):
        """Resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
        return int(kilobytes) / 1000


class Stubs:
    """Messages made at run time from the committed descriptors."""

    def __init__(self):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        bytes_of = (ROOT / "proto/generated/descriptors.binpb").read_bytes()
        files = descriptor_pb2.FileDescriptorSet.FromString(bytes_of)
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory

    def message(self, name):
        return self.factory.GetMessageClass(self.pool.FindMessageTypeByName(f"backprop.v1.{name}"))

    def unary(self, channel, method, request):
        reply = self.message(f"{method.rsplit('/')[-1]}Response")
        call = channel.unary_unary(f"/backprop.v1.{method}", type(request).SerializeToString, reply.FromString)
        return call(request)


def in_turn(repetitions, **measures):
    """Every measure so often, one after the other: what disturbs the machine disturbs all. The medians by name."""
    took = {name: [] for name in measures}
    for _ in range(repetitions):
        for name, measure in measures.items():
            took[name].append(measure())
    return {name: statistics.median(values) for name, values in took.items()}
