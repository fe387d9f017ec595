"""The messages, the descriptors, and what is written by tools."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import backpropd as bp
from backpropd import _messages as pb
from backpropd import _reasons, _status

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python/backpropd"
sys.path.insert(0, str(ROOT / "python/tools"))

import errors_table  # noqa: E402
import mirror  # noqa: E402


def test_the_descriptors_are_those_of_the_server():
    assert (PACKAGE / "descriptors.binpb").read_bytes() == (ROOT / "proto/generated/descriptors.binpb").read_bytes()


def test_every_method_of_the_api_is_known():
    assert pb.METHODS["TrainBatch"].path == "/backprop.v1.TrainingService/TrainBatch"
    assert pb.METHODS["TrainBatch"].streams_replies
    assert pb.METHODS["CreateDataset"].streams_requests
    assert len(pb.METHODS) >= 34


def test_a_message_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="the API has no message Gradient"):
        _ = pb.Gradient


def test_the_messages_do_not_collide_with_generated_ones():
    from google.protobuf import descriptor_pool

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("backprop.v1.Tensor")


def test_the_exceptions_are_those_of_the_page():
    assert (PACKAGE / "_reasons.py").read_text("utf-8") == errors_table.module()
    for reason, kind in _reasons.REASONS.items():
        assert getattr(bp, kind.__name__) is kind
        assert errors_table.class_name(reason) == kind.__name__
        assert issubclass(kind, bp.Error)


@pytest.mark.parametrize("file", mirror.MIRRORED)
def test_the_blocking_modules_are_those_of_aio(file):
    assert (PACKAGE / file).read_text("utf-8") == mirror.mirrored(file)


@pytest.mark.parametrize("name", bp.aio.__all__)
def test_the_two_surfaces_have_the_same_names_parameters_and_texts(name):
    blocking, other = getattr(bp, name), getattr(bp.aio, name)
    if inspect.isfunction(blocking):
        pairs = [(blocking, other)]
    else:
        public = {n for n in vars(blocking) if not n.startswith("_")}
        renamed = {"aclose": "close"}
        assert public == {renamed.get(n, n) for n in vars(other) if not n.startswith("_")}
        back = {"close": "aclose"} if name == "Run" else {}
        pairs = [(vars(blocking)[n], vars(other)[back.get(n, n)]) for n in public]
        assert inspect.getdoc(blocking) == inspect.getdoc(other)
    for one, two in pairs:
        assert inspect.getdoc(one) == inspect.getdoc(two)
        assert inspect.getdoc(one), one
        if not isinstance(one, property):
            assert list(inspect.signature(one).parameters.values()) == list(inspect.signature(two).parameters.values())
        elif inspect.iscoroutinefunction(two.fget):
            assert not inspect.iscoroutinefunction(one.fget)


def test_a_word_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="activation is 'tahn'; it may be 'linear', 'relu'"):
        pb.ACTIVATION.number("activation", "tahn")
    assert pb.ACTIVATION.word(99) == "99"
    assert pb.ACTIVATION.word(0) == ""


def test_importing_the_package_loads_neither_asyncio_nor_the_extras():
    names = ("matplotlib", "pandas", "torch", "tqdm", "polars", "backpropd.aio", "backpropd._server")
    code = f"import sys, backpropd; print([name for name in {names} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "python")}
    )
    assert run.stdout.strip() == "[]"


class Raised:
    """An error as grpc raises it."""

    def __init__(self, code, details=b"", message="text"):
        self._code, self._details, self._message = code, details, message

    def code(self):
        import grpc

        return grpc.StatusCode[self._code]

    def details(self):
        return self._message

    def trailing_metadata(self):
        return (("grpc-status-details-bin", self._details),) if self._details else ()


def test_an_error_of_no_backpropd_is_read_by_its_code():
    def kind(code, details=b""):
        return type(_status.read_error(Raised(code, details), "host:1", "Predict"))

    assert kind("UNAVAILABLE") is bp.Unreachable
    assert kind("UNIMPLEMENTED") is bp.WrongServer
    assert kind("DEADLINE_EXCEEDED") is bp.Deadline
    assert kind("RESOURCE_EXHAUSTED") is bp.MessageTooLarge
    assert kind("INTERNAL", b"\xff no message \xff") is bp.Error


def test_an_error_survives_a_pickle():
    import pickle

    error = bp.Diverged("m", reason="DIVERGED", details={"steps_done": "7", "step": "9"}, retry_after=1.5)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is bp.Diverged
    assert (str(again), again.steps_done, again.step, again.retry_after) == ("m", 7, 9, 1.5)
