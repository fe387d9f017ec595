"""The quantities of one forward and backward pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import _messages as pb
from ._arrays import Array, from_tensor, tensor
from ._errors import InvalidArray
from ._layers import NAMES, QUANTITIES, Layers
from ._spec import Spec


class Pass:
    """What `gradients` returns: arrays are made when they are first read. m is the number of samples, nᵢ the units of
    layer i; a quantity that was not asked for is an AttributeError.
    """

    def __init__(self, reply: Any, model: str, spec: Spec, batch: dict[str, Any]) -> None:
        self._reply = reply
        self._model = model
        self._spec = spec
        self._batch = batch
        self._made: dict[str, Any] = {}

    @property
    def loss(self) -> float:
        """The loss l, with the reduction of the network."""
        return self._reply.loss  # type: ignore[no-any-return]

    @property
    def accuracy(self) -> float | None:
        """Fraction of the samples that is classified correctly; None for a regression."""
        return self._reply.accuracy if self._reply.HasField("accuracy") else None

    @property
    def step(self) -> int:
        """Step of the weights used."""
        return self._reply.step  # type: ignore[no-any-return]

    @property
    def weights_digest(self) -> str:
        """BLAKE3 digest of the weights used."""
        return self._reply.weights_digest  # type: ignore[no-any-return]

    @property
    def batch_size(self) -> int:
        """Number of samples, m."""
        return self._reply.batch_size  # type: ignore[no-any-return]

    @property
    def included(self) -> tuple[str, ...]:
        """The names of the quantities that are here."""
        return tuple(name for name in QUANTITIES if name in self._tensors)

    @property
    def x(self) -> Array:
        """The inputs, h⁰, [m, n₀]."""
        return self._one("x")

    @property
    def y(self) -> Array:
        """The targets, [m, n_L]; one-hot if classes were given."""
        return self._one("y")

    @property
    def losses(self) -> Array:
        """Loss of each sample, [m]."""
        return self._one("losses")

    @property
    def z(self) -> Layers:
        """Pre-activations by layer: zⁱ = hⁱ⁻¹ Wⁱᵀ + bⁱ, [m, nᵢ]."""
        return self._layered("z")

    @property
    def h(self) -> Layers:
        """Activations by layer: hⁱ = σ(zⁱ), [m, nᵢ]. h[0] is x, if x is here."""
        return self._layered("h")

    @property
    def delta(self) -> Array:
        """δ = ∂l/∂zᴸ, with the factor 1/m of a mean loss, [m, n_L]."""
        return self._one("delta")

    @property
    def dW(self) -> Layers:
        """Gradients of the weights by layer: dWⁱ = dzⁱᵀ hⁱ⁻¹, [nᵢ, nᵢ₋₁]."""
        return self._layered("dW")

    @property
    def db(self) -> Layers:
        """Gradients of the biases by layer: the sum of dzⁱ over the samples, [nᵢ]."""
        return self._layered("db")

    @property
    def dz(self) -> Layers:
        """Gradients of the pre-activations by layer: dzⁱ = dhⁱ ⊙ σ′(zⁱ), [m, nᵢ]."""
        return self._layered("dz")

    @property
    def dh(self) -> Layers:
        """Gradients of the activations by layer: dhⁱ = dzⁱ⁺¹ Wⁱ⁺¹, [m, nᵢ]; of the last layer ∂l/∂f."""
        return self._layered("dh")

    @property
    def dx(self) -> Array:
        """Gradient of the inputs: dx = dz¹ W¹, [m, n₀]."""
        return self._one("dx")

    @property
    def W(self) -> Layers:
        """The weights used, by layer, [nᵢ, nᵢ₋₁]."""
        return self._layered("W")

    @property
    def b(self) -> Layers:
        """The biases used, by layer, [nᵢ]; only of layers with one."""
        return self._layered("b")

    def __repr__(self) -> str:
        accuracy = "" if self.accuracy is None else f", accuracy {self.accuracy:.4g}"
        return (
            f"Gradients(loss {self.loss:.6g}{accuracy}, {self.batch_size} samples, step {self.step}: "
            f"{', '.join(self.included)})"
        )

    def _repr_html_(self) -> str:
        from ._display import gradients_html

        return gradients_html(self, self._spec)

    @property
    def _tensors(self) -> dict[str, dict[int, Any]]:
        """The tensors of each quantity by layer."""
        found: dict[str, dict[int, Any]] | None = self._made.get("")
        if found is None:
            found = self._made[""] = {}
            for named in self._reply.tensors:
                found.setdefault(NAMES.get(named.quantity, ""), {})[named.layer] = named.tensor
        return found

    def _one(self, name: str) -> Array:
        made: Array | None = self._made.get(name)
        if made is None:
            tensors = self._tensors.get(name)
            if tensors is None:
                raise self._absent(name)
            made = self._made[name] = from_tensor(tensors[0])
        return made

    def _layered(self, name: str) -> Layers:
        made: Layers | None = self._made.get(name)
        if made is None:
            tensors = self._tensors.get(name)
            is_bias = name in ("b", "db")
            if tensors is None and not (is_bias and not any(layer.bias for layer in self._spec.layers)):
                raise self._absent(name)
            absent = "a layer has a bias only if the model was made with bias=True" if is_bias else ""
            zero = self._tensors["x"][0] if name == "h" and "x" in self._tensors else None
            made = self._made[name] = Layers(name, tensors or {}, absent, zero=zero)
        return made

    def _absent(self, name: str) -> AttributeError:
        return AttributeError(f"{name} is not here, because include= named only {', '.join(self.included) or 'nothing'}")

    def _inline(self) -> Any:
        """The network of this pass, to ask about it after the model has moved on; None without its weights."""
        if "W" not in self._tensors or self._needs_bias():
            return None
        return pb.InlineModel(spec=self._spec_message(), parameters=self._parameters())

    def _changed(self, changes: Mapping[str, float]) -> tuple[Any, dict[str, Any]]:
        """The network and the batch of this pass with other numbers in some places, as fields of a request.

        Args:
            changes: The numbers by their places, "W2.1.3": a weight, a bias, an input or a target; rows and columns from 1.

        Raises:
            ValueError: there is no such place.
        """
        numbers = {f"{name}{layer}": getattr(self, name)[layer].copy() for name in ("W", "b") for layer in getattr(self, name)}
        numbers.update(x=self.x.copy(), y=self.y.copy())
        for place, value in changes.items():
            match = re.fullmatch(r"([Wb]\d+|x|y)\.(\d+)\.(\d+)", place)
            array = numbers.get(match[1]) if match else None
            if match is None or array is None:
                raise ValueError(f"{place!r} is no weight, bias, input or target of this network")
            index = (int(match[2]) - 1, int(match[3]) - 1)[: array.ndim]
            if not all(0 <= at < size for at, size in zip(index, array.shape, strict=True)):
                raise ValueError(f"{place!r} is outside of {match[1]}, whose shape is {array.shape}")
            array[index] = value
        layers = range(1, len(self._spec.layers) + 1)
        parameters = [
            pb.LayerParameters(
                weights=tensor(numbers[f"W{layer}"]),
                bias=tensor(numbers[f"b{layer}"]) if f"b{layer}" in numbers else None,
            )
            for layer in layers
        ]
        network = pb.InlineModel(spec=self._spec_message(), parameters=parameters)
        return network, {"inputs": tensor(numbers["x"]), "targets": tensor(numbers["y"])}

    def _needs_bias(self) -> bool:
        return any(layer.bias for layer in self._spec.layers) and "b" not in self._tensors

    def _parameters(self) -> list[Any]:
        biases = self._tensors.get("b", {})
        return [
            pb.LayerParameters(weights=weights, bias=biases.get(layer)) for layer, weights in sorted(self._tensors["W"].items())
        ]

    def _spec_message(self) -> Any:
        spec = self._spec
        message = pb.ModelSpec(
            input_size=spec.input_size,
            loss=pb.LOSS.numbers[spec.loss],
            reduction=pb.REDUCTION.numbers[spec.reduction],
            compute=pb.DTYPE.numbers[spec.dtype],
            relu_at_zero=1 if spec.relu_at_zero else 2,
        )
        for layer in spec.layers:
            added = message.layers.add(
                units=layer.units, activation=pb.ACTIVATION.numbers[layer.activation or "linear"], bias=layer.bias
            )
            if layer.leaky_relu_slope is not None:
                added.leaky_relu_slope = layer.leaky_relu_slope
        return message

    def _samples(self) -> dict[str, Any]:
        """The fields of a grading request that name the samples.

        Raises:
            InvalidArray: they are rows of a dataset, which such a request cannot name, and x or y is not here.
        """
        if "dataset" not in self._batch:
            return self._batch
        if "x" in self._tensors and "y" in self._tensors:
            return {"inputs": self._tensors["x"][0], "targets": self._tensors["y"][0]}
        raise InvalidArray("g.check on rows of a dataset needs x and y: leave include out, or add them to it")
