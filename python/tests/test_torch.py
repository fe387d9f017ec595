"""Networks to and from torch.nn.Sequential, and to ONNX."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Server, program

import backpropd as bp

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "linear")


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKPROPD_BIN", program())


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


def layers(activation: str, bias: bool) -> list[Any]:
    slope = 0.2 if activation == "leaky_relu" else None
    return [4, bp.Layer(3, activation, bias, leaky_relu_slope=slope), bp.Layer(5, activation, bias, leaky_relu_slope=slope), 2]


def bits(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_module_has_the_bits_of_the_parameters_and_the_outputs(
    lab: bp.Lab, torch: Any, activation: str, dtype: str, batch: tuple[Any, Any]
) -> None:
    net = lab.model(layers(activation, bias=True), seed=3, dtype=dtype)
    module = net.to_torch()
    linears = [part for part in module if isinstance(part, torch.nn.Linear)]
    assert len(linears) == 3
    for layer, linear in enumerate(linears, start=1):
        assert bits(linear.weight.detach().numpy()) == bits(net.W[layer])
        if linear.bias is not None:
            assert bits(linear.bias.detach().numpy()) == bits(net.b[layer])
    x = batch[0].astype(dtype)
    outputs = module(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(outputs, net.predict(x), rtol=0, atol=1e-6 if dtype == "float32" else 1e-14)
    again = lab.from_torch(module)
    assert again.info().weights_digest == net.info().weights_digest
    assert [layer.activation for layer in again.spec.layers] == [layer.activation for layer in net.spec.layers]
    assert [layer.leaky_relu_slope for layer in again.spec.layers] == [layer.leaky_relu_slope for layer in net.spec.layers]
    assert again.spec.dtype == dtype


def test_gradients_are_those_of_autograd(lab: bp.Lab, torch: Any, batch: tuple[Any, Any]) -> None:
    nn = torch.nn
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 1, bias=False))).double()
    net = lab.from_torch(module, loss="mean_squared_error", optimizer="adam", learning_rate=0.5)
    assert net.spec.optimizer == bp.Adam(learning_rate=0.5)
    x, y = batch
    nn.functional.mse_loss(module(torch.tensor(x)), torch.tensor(y)).backward()
    g = net.gradients(x, y)
    np.testing.assert_allclose(g.dW[1], module[0].weight.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(g.db[1], module[0].bias.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(g.dW[2], module[2][0].weight.grad.numpy(), rtol=1e-12)


def test_a_module_has_memory_of_its_own(lab: bp.Lab, torch: Any) -> None:
    net = lab.model([4, 3, 1])
    module = net.to_torch()
    with torch.no_grad():
        module[0].weight += 1
    assert (net.W[1] != module[0].weight.detach().numpy()).all()


def test_the_asynchronous_network_becomes_the_same_module(server: Server, torch: Any, tmp_path: Path) -> None:
    async def made() -> tuple[Any, Any, Path]:
        async with await bp.aio.connect(server.address) as lab:
            net = await lab.model([4, 3, 1], seed=2)
            module = await net.to_torch()
            return module, await (await lab.from_torch(module)).to_torch(), await net.to_onnx(tmp_path / "net.onnx")

    one, other, file = asyncio.run(made())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert file.stat().st_size > 100


def test_half_precision_is_widened_exactly(lab: bp.Lab, torch: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3)).half()
    net = lab.from_torch(module)
    assert net.spec.dtype == "float32"
    assert (net.W[1] == module[0].weight.detach().float().numpy()).all()


def test_what_does_nothing_is_left_out(lab: bp.Lab, torch: Any) -> None:
    nn = torch.nn
    relu = nn.ReLU()
    parts = (nn.Flatten(), nn.Linear(4, 3), relu, nn.Dropout(0.5), nn.Identity(), nn.Linear(3, 3), relu, nn.Linear(3, 1))
    net = lab.from_torch(nn.Sequential(*parts).eval())
    assert net.sizes == [4, 3, 3, 1]
    assert [layer.activation for layer in net.spec.layers] == ["relu", "relu", "linear"]
    assert net.spec.relu_at_zero == 0


def refusals(nn: Any) -> dict[str, tuple[Any, str]]:
    linear = nn.Linear(4, 4)
    hooked = nn.Linear(4, 4)
    hooked.register_forward_hook(lambda *_: None)

    class Own(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.inner(x) * 2

    class OwnLinear(nn.Linear):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2

    return {
        "convolution": (nn.Sequential(nn.Conv2d(1, 2, 3)), "module 0 is Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1)),"),
        "batch norm": (nn.Sequential(linear, nn.BatchNorm1d(4)), "module 1 is BatchNorm1d"),
        "softmax": (nn.Sequential(linear, nn.Softmax(dim=1)), 'loss="cross_entropy"'),
        "dropout": (nn.Sequential(linear, nn.Dropout(0.5)), "module.eval()"),
        "rounded gelu": (nn.Sequential(linear, nn.GELU(approximate="tanh")), "GELU(approximate='none')"),
        "steep slope": (nn.Sequential(linear, nn.LeakyReLU(2.0)), "slopes are from 0 to 1"),
        "flatten inside": (nn.Sequential(linear, nn.Flatten()), "Flatten() before the first layer"),
        "own code": (Own(), "code of its own"),
        "own linear": (nn.Sequential(OwnLinear(4, 4)), "code of its own"),
        "hooks": (nn.Sequential(hooked), "hooks"),
        "no layer": (nn.Sequential(), "it has no Linear"),
        "activation first": (nn.Sequential(nn.ReLU(), linear), "before the first Linear"),
        "two activations": (nn.Sequential(linear, nn.ReLU(), nn.Tanh()), "after another activation"),
        "misfit": (nn.Sequential(linear, nn.Linear(3, 1)), "module 1 is Linear(in_features=3"),
        "shared weights": (nn.Sequential(linear, nn.ReLU(), linear), "with the weights of module 0"),
        "mixed types": (nn.Sequential(linear, nn.Linear(4, 1).double()), "of torch.float64, after layers of torch.float32"),
        "lazy": (nn.Sequential(nn.LazyLinear(3)), "module 0 is LazyLinear"),
        "no entries": (nn.Sequential(nn.Linear(4, 4, device="meta")), "no entries"),
        "parametrized": (
            nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))), "remove_parametrizations"
        ),
        "several": (nn.Sequential(nn.Dropout(), nn.Conv1d(1, 1, 1), linear), "  - module 1 is Conv1d"),
        "no module": ([[1.0, 2.0]], "a list is no torch.nn.Module"),
    }  # fmt: skip


NAMES = (
    "convolution", "batch norm", "softmax", "dropout", "rounded gelu", "steep slope", "flatten inside", "own code",
    "own linear", "hooks", "no layer", "activation first", "two activations", "misfit", "shared weights", "mixed types",
    "lazy", "no entries", "parametrized", "several", "no module",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_module_that_no_network_is_is_refused_with_the_reason(lab: bp.Lab, torch: Any, name: str) -> None:
    cases = refusals(torch.nn)
    assert set(cases) == set(NAMES)
    module, reason = cases[name]
    with pytest.raises(bp.InvalidModule) as raised:
        lab.from_torch(module)
    assert reason in str(raised.value)


def test_a_file_becomes_a_module_and_a_module_a_file_with_the_same_bits(lab: bp.Lab, torch: Any, tmp_path: Path) -> None:
    from backpropd.torch import from_module, save_module, to_module

    net = lab.model([4, bp.Layer(3, "leaky_relu", True, leaky_relu_slope=0.2), 2], seed=3, loss="cross_entropy")
    module = to_module(net.save(tmp_path / "net.safetensors"))
    assert bits(module[0].weight.detach().numpy()) == bits(net.W[1])
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), to_module(net).parameters(), strict=True))
    file = save_module(module, tmp_path / "again.safetensors", loss="cross_entropy", optimizer="adam", learning_rate=0.5)
    again = lab.load(file)
    assert again.info().weights_digest == net.info().weights_digest
    assert (again.spec.loss, again.spec.optimizer, again.spec.layers[0]) == (
        "cross_entropy", bp.Adam(0.5), net.spec.layers[0]
    )  # fmt: skip
    wrapped = from_module(torch.nn.DataParallel(module), lab, name="of-a-module")
    assert wrapped.info().weights_digest == net.info().weights_digest
    assert wrapped.name == f"{lab.session}/models/of-a-module"
    assert from_module(module).info().weights_digest == net.info().weights_digest
    (tmp_path / "wrong.safetensors").write_bytes(b"no network")
    with pytest.raises(bp.Error):
        to_module(tmp_path / "wrong.safetensors")


def test_ddp_trains_a_network_in_two_processes_and_brings_it_back(torch: Any) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    script = ROOT / "examples/torch_ddp/train.py"
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "predictions differ by at most" in done.stdout


def test_without_torch_the_error_says_what_to_install(lab: bp.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    net = lab.model([4, 1])
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"backpropd\[torch\]"):
        net.to_torch()
    with pytest.raises(ImportError, match=r"backpropd\[torch\]"):
        lab.from_torch(object())
    from backpropd.torch import to_module

    with pytest.raises(ImportError, match=r"backpropd\[torch\]"):
        to_module("net.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_onnx_model_has_the_outputs(lab: bp.Lab, activation: str, dtype: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if (activation, dtype) == ("gelu", "float64"):
        pytest.skip("onnxruntime has no GELU for float64")
    net = lab.model(layers(activation, bias=True), seed=3, dtype=dtype)
    file = net.to_onnx(tmp_path / "net.onnx")
    assert file == tmp_path / "net.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for rows in (1, 6):
        x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(dtype)
        (outputs,) = session.run(None, {"inputs": x})
        np.testing.assert_allclose(outputs, net.predict(x), rtol=0, atol=2e-6 if dtype == "float32" else 1e-14)
    assert list(tmp_path.iterdir()) == [file]


def test_an_onnx_model_replaces_a_file_and_has_the_exact_weights(lab: bp.Lab, tmp_path: Path) -> None:
    net = lab.model([2, 1], parameters=[[[0.1, -7.25]]])
    file = tmp_path / "net.onnx"
    file.write_text("older")
    net.to_onnx(str(file))
    assert struct.pack("<2d", 0.1, -7.25) in file.read_bytes()


def test_an_onnx_model_in_no_folder_is_an_error_with_the_path(lab: bp.Lab, tmp_path: Path) -> None:
    with pytest.raises(bp.Error, match=r"cannot write .*nowhere"):
        lab.model([2, 1]).to_onnx(tmp_path / "nowhere" / "net.onnx")
