#!/usr/bin/env python3
"""Runs the Python block of docs/tour.md against a server, and compares its output with the one that the page shows.

    python tests/clients/readme_python.py ADDRESS

The block is the one behind the comment `<!-- run by tests/clients/readme_python.py -->`; the text block that follows is
its output. The model that it asks for is created first, by the requests of that page. Needs the packages of
requirements.txt.
"""

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
MARK = r"<!-- run by tests/clients/readme_python\.py -->\n"


def main(address):
    page = (ROOT / "docs/tour.md").read_text()
    found = re.findall(MARK + r"```python\n(.*?)```\n+```text\n(.*?)```", page, re.DOTALL)
    if len(found) != 1:
        sys.exit(f"readme_python.py: {len(found)} marked blocks in docs/tour.md")
    code, shown = found[0]
    if "127.0.0.1:50051" not in code:
        sys.exit("readme_python.py: the block names another address than 127.0.0.1:50051")

    with tempfile.TemporaryDirectory() as stubs:
        files = [str(path) for path in (ROOT / "proto/backprop/v1").glob("*.proto")]
        out = [f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
        # What `python -m grpc_tools.protoc` adds by itself: google/protobuf.
        known = str(Path(grpc_tools.__file__).parent / "_proto")
        if protoc.main(["protoc", "-I", str(ROOT / "proto"), "-I", known, *out, *files]) != 0:
            sys.exit("readme_python.py: protoc failed")
        sys.path.insert(0, stubs)
        make_model(address)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace("127.0.0.1:50051", address), "docs/tour.md", "exec"), {})
    if printed.getvalue() != shown:
        sys.exit(f"readme_python.py: the page shows\n{shown}and the block prints\n{printed.getvalue()}")
    print(f"the Python block of docs/tour.md prints what is shown: {shown.strip()}")


def make_model(address):
    """The tour's session, model and three steps."""
    import grpc
    from backprop.v1 import session_service_pb2 as sessions, session_service_pb2_grpc as session_rpc
    from backprop.v1 import tensor_pb2 as tensor, training_service_pb2 as pb, training_service_pb2_grpc as rpc

    channel = grpc.insecure_channel(address)
    session_rpc.SessionServiceStub(channel).CreateSession(sessions.CreateSessionRequest(session_id="lab"))
    training = rpc.TrainingServiceStub(channel)
    request = pb.CreateModelRequest(session="sessions/lab", model_id="hw", seed=1)
    request.spec.input_size = 4
    for units in (3, 2, 1):
        request.spec.layers.add(units=units)
    training.CreateModel(request)
    batch = pb.TrainBatchRequest(
        model="sessions/lab/models/hw",
        steps=3,
        inputs=tensor.Tensor(shape=[2, 4], values=[1, 2, 3, 4, -1, 0, 1, 2]),
        targets=tensor.Tensor(shape=[2, 1], values=[1, -1]),
    )
    for _ in training.TrainBatch(batch):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
