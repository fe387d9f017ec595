"""Networks as torch.nn.Sequential, and back. torch is imported when one of them is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ._arrays import Array
from ._errors import InvalidModule
from ._spec import Layer, Spec

_LINEAR = "linear"


def load_torch() -> Any:
    """The module torch.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ImportError('networks for PyTorch need torch: pip install "backpropd[torch]"') from None
    return torch


def sequential(spec: Spec, parameters: list[tuple[Array, Array | None]]) -> Any:
    """A torch.nn.Sequential with the same outputs, and parameters of the same bits in memory of its own.

    Args:
        spec: The network.
        parameters: W, [nᵢ, nᵢ₋₁], and b, [nᵢ], or None, of each layer.

    Raises:
        ImportError: torch is not installed.
    """
    torch = load_torch()
    dtype = torch.float32 if spec.dtype == "float32" else torch.float64
    modules: list[Any] = []
    before = spec.input_size
    for layer, (weights, bias) in zip(spec.layers, parameters, strict=True):
        linear = torch.nn.Linear(before, layer.units, bias=layer.bias, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weights))
            if bias is not None:
                linear.bias.copy_(torch.tensor(bias))
        modules.append(linear)
        if layer.activation != _LINEAR:
            modules.append(_activation_module(torch.nn, layer))
        before = layer.units
    return torch.nn.Sequential(*modules)


def _activation_module(nn: Any, layer: Layer) -> Any:
    modules: dict[str, Callable[[], Any]] = {
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.01 if layer.leaky_relu_slope is None else layer.leaky_relu_slope),
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
    }
    name = layer.activation or ""
    if name not in modules:
        raise InvalidModule(f"torch has no module for the activation {name!r}: this package knows {', '.join(modules)}")
    return modules[name]()


def read_module(module: Any) -> dict[str, Any]:
    """The arguments of `lab.model` for a module: sizes, parameters, dtype, relu_at_zero.

    Raises:
        InvalidModule: it does something that no network here does; the message has every such part.
        ImportError: torch is not installed.
    """
    torch = load_torch()
    reader = _Reader(torch)
    reader.read("", module)
    layers = reader.finish(module)
    # Half precision becomes float32, exactly.
    wide = torch.float64 if reader.linears[0].weight.dtype == torch.float64 else torch.float32

    def array(parameter: Any) -> Any:
        return None if parameter is None else parameter.detach().cpu().to(wide).numpy()

    return {
        "sizes": [reader.linears[0].in_features, *layers],
        "parameters": [(array(linear.weight), array(linear.bias)) for linear in reader.linears],
        "dtype": "float64" if wide == torch.float64 else "float32",
        # The slope of torch's ReLU at 0 is 0.
        "relu_at_zero": 0,
    }


class _Reader:
    """Walks through a module, and notes its layers and everything that is none."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.linears: list[Any] = []
        self._layers: list[Layer] = []
        self._places: dict[int, str] = {}
        self._faults: list[str] = []

    def read(self, name: str, module: Any) -> None:
        """Reads a module, of this name in the one around it."""
        nn = self._torch.nn
        if not isinstance(module, nn.Module):
            raise InvalidModule(f"a {type(module).__name__} is no torch.nn.Module: give a torch.nn.Sequential of Linear layers")
        place = f"module {name} is {_brief(module)}" if name else f"it is {_brief(module)}"
        if fault := self._changed(module):
            self._faults.append(f"{place}, {fault}")
        elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            for part, child in module._modules.items():
                self.read(f"{name}.{part}" if name else part, child)
        elif isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward:
            self._linear(place, name, module)
        elif (activation := self._activation(module)) is not None:
            self._activate(place, activation)
        elif not self._does_nothing(module):
            self._faults.append(f"{place}, {self._reason(module)}")

    def _changed(self, module: Any) -> str:
        """How this module does more than its class says; "" if it does not."""
        if module._forward_hooks or module._forward_pre_hooks:
            return "with hooks, whose code a network cannot have: remove them"
        if hasattr(module, "parametrizations"):
            return "with a parametrization: torch.nn.utils.parametrize.remove_parametrizations makes it a plain one"
        return ""

    def _does_nothing(self, module: Any) -> bool:
        nn = self._torch.nn
        if isinstance(module, nn.Dropout):
            return module.p == 0 or not module.training
        # Samples are rows already.
        is_flat = isinstance(module, nn.Flatten) and not self.linears and (module.start_dim, module.end_dim) == (1, -1)
        return is_flat or isinstance(module, nn.Identity)

    def _linear(self, place: str, name: str, module: Any) -> None:
        parameters = list(module.parameters())
        if any(parameter.is_meta or not hasattr(parameter, "data_ptr") for parameter in parameters) or 0 in module.weight.shape:
            self._faults.append(f"{place}, whose parameters have no entries")
        if any(not parameter.is_floating_point() for parameter in parameters):
            self._faults.append(f"{place} of {module.weight.dtype}, and a network has real numbers")
        if self.linears and module.in_features != self.linears[-1].out_features:
            self._faults.append(f"{place}, after a layer of {self.linears[-1].out_features} units")
        if self.linears and module.weight.dtype != self.linears[0].weight.dtype:
            self._faults.append(f"{place} of {module.weight.dtype}, after layers of {self.linears[0].weight.dtype}")
        if (first := self._places.setdefault(id(module.weight), name)) != name:
            self._faults.append(f"{place}, with the weights of module {first}: the layers of a network share none")
        self.linears.append(module)
        self._layers.append(Layer(module.out_features, _LINEAR, module.bias is not None))

    def _activation(self, module: Any) -> Layer | None:
        """A layer with the module's activation; None if it is no activation of a network."""
        nn = self._torch.nn
        if type(module) is nn.LeakyReLU and 0 <= module.negative_slope <= 1:
            return Layer(0, "leaky_relu", leaky_relu_slope=float(module.negative_slope))
        if type(module) is nn.GELU and module.approximate != "none":
            return None
        names = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.GELU: "gelu", nn.SiLU: "silu"}
        name = names.get(type(module))
        return None if name is None else Layer(0, name)

    def _activate(self, place: str, activation: Layer) -> None:
        if not self._layers:
            self._faults.append(f"{place}, before the first Linear: a network begins with a layer")
        elif self._layers[-1].activation != _LINEAR:
            self._faults.append(f"{place}, after another activation: a layer has one")
        else:
            slope = activation.leaky_relu_slope
            self._layers[-1] = replace(self._layers[-1], activation=activation.activation, leaky_relu_slope=slope)

    def _reason(self, module: Any) -> str:
        """Why a module is no part of a network."""
        nn = self._torch.nn
        if isinstance(module, nn.Dropout):
            return "which a network does not have: after module.eval() it does nothing, and is left out"
        if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            return 'which belongs to the loss here: leave it out, and give loss="cross_entropy"'
        if isinstance(module, nn.GELU):
            return "and a network has the exact one: GELU(approximate='none')"
        if isinstance(module, nn.LeakyReLU):
            return "and slopes are from 0 to 1"
        if isinstance(module, nn.Flatten):
            return "and only Flatten() before the first layer leaves samples as rows"
        if list(module.children()) or type(module).__module__.partition(".")[0] != "torch":
            return "whose forward pass is code of its own: give a torch.nn.Sequential"
        return "which no network here computes: it has Linear, ReLU, LeakyReLU, Sigmoid, Tanh, GELU and SiLU"

    def finish(self, module: Any) -> list[Layer]:
        """The layers.

        Raises:
            InvalidModule: a part of the module is no layer.
        """
        if not self._layers and not self._faults:
            self._faults.append("it has no Linear")
        if self._faults:
            faults = "".join(f"\n  - {fault}" for fault in self._faults)
            raise InvalidModule(f"this {type(module).__name__} cannot be a network:{faults}")
        return self._layers


def _brief(module: Any) -> str:
    """A module in a sentence; its class alone if it has parts."""
    text = repr(module)
    return type(module).__name__ if "\n" in text or len(text) > 100 else text
