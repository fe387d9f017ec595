"""The messages of the API, built when they are first used from the committed descriptors.

`_messages.GradientsRequest` is the message of that name. Nothing is generated, so the package works under every major
version of protobuf, and its descriptors are in a pool of their own, so that they collide with no other package's.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "backprop.v1"


@dataclass(frozen=True)
class Method:
    """A method of the API."""

    path: str
    """Where gRPC finds it: "/backprop.v1.TrainingService/Gradients"."""
    request: Any
    """The class of its requests."""
    reply: Any
    """The class of its replies."""
    streams_requests: bool
    streams_replies: bool


def _load() -> tuple[descriptor_pool.DescriptorPool, dict[str, Method]]:
    data = files("backpropd").joinpath("descriptors.binpb").read_bytes()
    described = descriptor_pb2.FileDescriptorSet.FromString(data)
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.AddSerializedFile(file.SerializeToString())
    methods: dict[str, Method] = {}
    for file in described.file:
        for service in file.service:
            for method in service.method:
                methods[method.name] = Method(
                    path=f"/{file.package}.{service.name}/{method.name}",
                    request=_class(pool, method.input_type.lstrip(".")),
                    reply=_class(pool, method.output_type.lstrip(".")),
                    streams_requests=method.client_streaming,
                    streams_replies=method.server_streaming,
                )
    return pool, methods


def _class(pool: descriptor_pool.DescriptorPool, full_name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))


_POOL, METHODS = _load()
"""Every method by its name: the names of the API are unique among its services."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        found = _class(_POOL, f"{PACKAGE}.{name}")
    except KeyError:
        raise AttributeError(f"the API has no message {name}") from None
    globals()[name] = found
    return found


def build(name: str, **fields: Any) -> Any:
    """The message of this name with these fields; those that are None stay unset.

    Raises:
        TypeError: a field has a value of another type; the message names it.
        ValueError: a number is out of range, likewise.
    """
    kind = __getattr__(name) if name not in globals() else globals()[name]
    try:
        return kind(**fields)
    except (TypeError, ValueError):
        for field, value in fields.items():
            try:
                kind(**{field: value})
            except (TypeError, ValueError) as error:
                raise _misfit(field, value, error) from None
        raise


def put(message: Any, field: str, value: Any) -> None:
    """Sets a field of a message, unless the value is None.

    Raises:
        TypeError: the value is of another type; the message names the field.
        ValueError: the number is out of range, likewise.
    """
    if value is None:
        return
    try:
        setattr(message, field, value)
    except (TypeError, ValueError) as error:
        raise _misfit(field, value, error) from None


def _misfit(field: str, value: object, error: Exception) -> Exception:
    text = repr(value)
    shown = text if len(text) <= 60 else text[:59] + "…"
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"{field} is {shown}: {error}")


class Words:
    """The values of an enum as words: LOSS_HALF_SQUARED_ERROR is "half_squared_error"."""

    def __init__(self, enum: str, prefix: str) -> None:
        values = _POOL.FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_name
        self.numbers: dict[str, int] = {
            name.removeprefix(prefix).lower(): value.number for name, value in values.items() if value.number
        }
        self._words = {number: word for word, number in self.numbers.items()}

    def number(self, field: str, word: object) -> int:
        """The number of a word.

        Raises:
            ValueError: the word is none of the enum's; the message lists those.
        """
        number = self.numbers.get(word.lower()) if isinstance(word, str) else None
        if number is None:
            raise ValueError(f"{field} is {word!r}; it may be {', '.join(map(repr, self.numbers))}")
        return number

    def word(self, number: int) -> str:
        """The word of a number; "" for 0, and "17" for a number that a later server has added."""
        return self._words.get(number, str(number) if number else "")


ACTIVATION = Words("Activation", "ACTIVATION_")
INIT = Words("Init", "INIT_")
LOSS = Words("Loss", "LOSS_")
REDUCTION = Words("Reduction", "REDUCTION_")
ACCESS = Words("Access", "ACCESS_")
DTYPE = Words("Dtype", "DTYPE_")
DURABILITY = Words("Durability", "DURABILITY_")
ON_DISCONNECT = Words("OnDisconnect", "ON_DISCONNECT_")
RUN_STATE = Words("RunState", "RUN_STATE_")
STOP_REASON = Words("StopReason", "STOP_REASON_")
EXPANSION = Words("Expansion", "EXPANSION_")
FACTOR = Words("FactorKind", "FACTOR_KIND_")
TOLERANCE = Words("TolerancePreset", "TOLERANCE_PRESET_")
REVEAL = Words("Reveal", "REVEAL_")
CLOSENESS = Words("Closeness", "CLOSENESS_")
VERDICT = Words("Verdict", "VERDICT_")
MISTAKE = Words("Mistake", "MISTAKE_")
