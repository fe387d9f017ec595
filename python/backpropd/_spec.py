"""What a network is: its layers, its loss, its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from . import _messages as pb
from ._arrays import Array, floats, tensor
from ._errors import InvalidArray


@dataclass(frozen=True)
class Layer:
    """One layer: z = h Wᵀ + b, h = σ(z)."""

    units: int
    """Number of units, at least 1."""
    activation: str | None = None
    """σ: "linear", "relu", "leaky_relu", "sigmoid", "tanh", "gelu" or "silu"; default "relu", "linear" for the last layer."""
    bias: bool = False
    """Whether the layer has a bias b."""
    init: str | None = None
    """Initial weights: "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "lecun_uniform", "zeros"
    or "pytorch_linear"; default He before ReLU and its relatives, else Xavier."""
    leaky_relu_slope: float | None = None
    """Slope of "leaky_relu" for z < 0, from 0 to 1; default 0.01."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, like torch.optim.SGD."""

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Adam:
    """Adam, like torch.optim.Adam."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay, like torch.optim.AdamW."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01


@dataclass(frozen=True)
class RMSProp:
    """RMSProp, like torch.optim.RMSprop with centered=False."""

    learning_rate: float = 0.01
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0


Optimizer: TypeAlias = SGD | Adam | AdamW | RMSProp

_OPTIMIZERS: dict[str, type[SGD] | type[Adam] | type[AdamW] | type[RMSProp]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSProp,
}


@dataclass(frozen=True)
class ConstantSchedule:
    """The learning rate stays, after `warmup_steps` steps in which it rises from 0."""

    warmup_steps: int = 0


@dataclass(frozen=True)
class StepSchedule:
    """The learning rate is multiplied by `gamma` every `every_steps` steps, after a warm-up."""

    every_steps: int
    gamma: float = 0.1
    warmup_steps: int = 0


@dataclass(frozen=True)
class CosineSchedule:
    """The learning rate falls along half a cosine to `final_factor` times itself within `total_steps`, after a warm-up."""

    total_steps: int
    final_factor: float = 0.0
    warmup_steps: int = 0


Schedule: TypeAlias = ConstantSchedule | StepSchedule | CosineSchedule


@dataclass(frozen=True)
class Spec:
    """A network and its training, with every default filled in."""

    input_size: int
    """Number of features, n₀."""
    layers: tuple[Layer, ...]
    """The layers, layer 1 first."""
    loss: str
    """"half_squared_error", "mean_squared_error", "cross_entropy" or "binary_cross_entropy"."""
    reduction: str
    """"mean" or "sum" of the samples' losses."""
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float
    """Maximum norm of the gradient of all parameters together; 0 = no clipping."""
    dtype: str
    """"float64" or "float32": the type of the computation, and of every array of the network."""
    relu_at_zero: int
    """σ′(0) of ReLU: 1 or 0."""

    @property
    def sizes(self) -> list[int]:
        """Number of units of each layer, from the input on: [4, 3, 2, 1]."""
        return [self.input_size, *(layer.units for layer in self.layers)]


Parameters: TypeAlias = Sequence[Any] | Mapping[int, Any]
"""For each layer W, or (W, b) if it has a bias: as a list, layer 1 first, or by the number of the layer."""


def spec_message(
    sizes: Sequence[int | Layer],
    *,
    activation: str | Sequence[str],
    output_activation: str,
    bias: bool,
    init: str | None,
    loss: str,
    reduction: str,
    optimizer: str | Optimizer,
    learning_rate: float | None,
    schedule: Schedule | None,
    clip_norm: float,
    dtype: str,
    relu_at_zero: int,
) -> Any:
    """The ModelSpec of these choices.

    Raises:
        ValueError: a word or the sizes are none; the message says what they may be.
    """
    if isinstance(sizes, (str, bytes)) or not hasattr(sizes, "__len__") or len(sizes) < 2 or isinstance(sizes[0], Layer):
        raise ValueError(
            f"sizes is {sizes!r}: give the number of features, then the units of each layer, such as [4, 3, 2, 1]; in place "
            "of units there may be a bp.Layer(…)"
        )
    count = len(sizes) - 1
    if not isinstance(activation, str) and len(activation) != count:
        raise ValueError(f"activation has {len(activation)} words, and there are {count} layers: one word for each layer")
    layers: list[Any] = []
    for number, size in enumerate(sizes[1:]):
        is_last = number == count - 1
        if isinstance(size, Layer):
            layer = size
        elif isinstance(activation, str):
            layer = Layer(size, output_activation if is_last else activation, bias, init)
        else:
            layer = Layer(size, activation[number], bias, init)
        layers.append(_layer_message(layer))
    spec = pb.build(
        "ModelSpec",
        input_size=sizes[0],
        layers=layers,
        loss=pb.LOSS.number("loss", loss),
        reduction=pb.REDUCTION.number("reduction", reduction),
        clip_norm=clip_norm,
        compute=pb.DTYPE.number("dtype", _dtype_word(dtype)),
        relu_at_zero=_relu_at_zero(relu_at_zero),
    )
    set_optimizer(spec, optimizer, learning_rate)
    if schedule is not None:
        spec.schedule.CopyFrom(schedule_message(schedule))
    return spec


def _dtype_word(dtype: Any) -> str:
    """ "float64" of numpy.float64, numpy.dtype("float64") or "float64"."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
    return str(name or dtype)


def _relu_at_zero(slope: int) -> int:
    if slope not in (0, 1):
        raise ValueError(f"relu_at_zero is {slope!r}; it may be 1 or 0")
    return 1 if slope else 2


def _layer_message(layer: Layer) -> Any:
    message = pb.build("Layer", units=layer.units, bias=layer.bias)
    if layer.activation is not None:
        message.activation = pb.ACTIVATION.number("activation", layer.activation)
    if layer.init is not None:
        message.init = pb.INIT.number("init", layer.init)
    pb.put(message, "leaky_relu_slope", layer.leaky_relu_slope)
    return message


def set_optimizer(spec: Any, optimizer: str | Optimizer, learning_rate: float | None) -> str:
    """Sets the optimizer of a spec, and returns the name of its field."""
    if isinstance(optimizer, str):
        kind = _OPTIMIZERS.get(optimizer.lower())
        if kind is None:
            raise ValueError(f"optimizer is {optimizer!r}; it may be {', '.join(map(repr, _OPTIMIZERS))}, or a bp.Adam(…)")
        optimizer = kind()
    name = next((word for word, kind in _OPTIMIZERS.items() if type(optimizer) is kind), None)
    if name is None:
        raise ValueError(f"optimizer is {optimizer!r}; it may be {', '.join(map(repr, _OPTIMIZERS))}, or a bp.Adam(…)")
    message = getattr(spec, name)
    message.SetInParent()
    for field in fields(optimizer):
        pb.put(message, field.name, getattr(optimizer, field.name))
    pb.put(message, "learning_rate", learning_rate)
    return name


def schedule_message(schedule: Schedule) -> Any:
    """The Schedule of a schedule."""
    message = pb.Schedule(warmup_steps=schedule.warmup_steps)
    if isinstance(schedule, StepSchedule):
        message.step.every_steps = schedule.every_steps
        message.step.gamma = schedule.gamma
    elif isinstance(schedule, CosineSchedule):
        message.cosine.total_steps = schedule.total_steps
        message.cosine.final_factor = schedule.final_factor
    else:
        message.constant.SetInParent()
    return message


def read_spec(message: Any) -> Spec:
    """The spec that a reply describes."""
    name = message.WhichOneof("optimizer") or "sgd"
    kind = _OPTIMIZERS[name]
    given = getattr(message, name)
    return Spec(
        input_size=message.input_size,
        layers=tuple(_read_layer(layer) for layer in message.layers),
        loss=pb.LOSS.word(message.loss),
        reduction=pb.REDUCTION.word(message.reduction),
        optimizer=kind(**{field.name: getattr(given, field.name) for field in fields(kind)}),
        schedule=_read_schedule(message.schedule),
        clip_norm=message.clip_norm,
        dtype=pb.DTYPE.word(message.compute),
        relu_at_zero=0 if message.relu_at_zero == 2 else 1,
    )


def _read_layer(layer: Any) -> Layer:
    has_slope = layer.HasField("leaky_relu_slope")
    return Layer(
        units=layer.units,
        activation=pb.ACTIVATION.word(layer.activation),
        bias=layer.bias,
        init=pb.INIT.word(layer.init),
        leaky_relu_slope=layer.leaky_relu_slope if has_slope else None,
    )


def _read_schedule(message: Any) -> Schedule:
    warmup: int = message.warmup_steps
    kind = message.WhichOneof("kind")
    if kind == "step":
        return StepSchedule(message.step.every_steps, message.step.gamma, warmup)
    if kind == "cosine":
        return CosineSchedule(message.cosine.total_steps, message.cosine.final_factor, warmup)
    return ConstantSchedule(warmup)


def parameter_messages(parameters: Parameters) -> list[Any]:
    """The LayerParameters of each layer, layer 1 first.

    Raises:
        InvalidArray: a layer is missing, or is neither W nor (W, b).
    """
    return [
        pb.LayerParameters(weights=tensor(weights), bias=None if bias is None else tensor(bias))
        for weights, bias in parameter_arrays(parameters)
    ]


def parameter_arrays(parameters: Parameters) -> list[tuple[Array, Array | None]]:
    """W and b of each layer, layer 1 first."""
    if isinstance(parameters, Mapping):
        numbers = sorted(parameters)
        if numbers != list(range(1, len(numbers) + 1)):
            raise InvalidArray(f"parameters has the layers {numbers}: it needs every layer, from 1 on")
        layers: Sequence[Any] = [parameters[number] for number in numbers]
    else:
        layers = list(parameters)
    arrays: list[tuple[Array, Array | None]] = []
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, tuple):
            if len(layer) != 2:
                raise InvalidArray(f"layer {number} of parameters has {len(layer)} parts: it is W, or the tuple (W, b)")
            weights, bias = layer
            arrays.append((floats(f"W{number}", weights), None if bias is None else floats(f"b{number}", bias)))
        else:
            arrays.append((floats(f"W{number}", layer), None))
    return arrays
