"""Arrays by layer, and the names of quantities."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from ._arrays import Array, from_tensor

QUANTITIES = {
    "x": 1,
    "z": 2,
    "h": 3,
    "y": 4,
    "losses": 5,
    "dW": 6,
    "db": 7,
    "dz": 8,
    "dh": 9,
    "dx": 10,
    "delta": 11,
    "W": 12,
    "b": 13,
}
"""The number of each quantity in the API."""

NAMES = {number: name for name, number in QUANTITIES.items()}

LAYERED = frozenset(("z", "h", "dW", "db", "dz", "dh", "W", "b"))
"""Quantities that every layer has."""

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def key(quantity: int, layer: int) -> str:
    """ "dW2", or "delta"."""
    name = NAMES.get(quantity, f"quantity {quantity}")
    return f"{name}{layer}" if name in LAYERED else name


def symbol(quantity: int, layer: int) -> str:
    """ "dW²", or "δ"."""
    name = NAMES.get(quantity, f"quantity {quantity}")
    name = "δ" if name == "delta" else name
    return name + str(layer).translate(_SUPERSCRIPTS) if name in LAYERED else name


def parse_key(name: str) -> tuple[int, int]:
    """The quantity and the layer of "dW2", "dW²" or "delta".

    Raises:
        ValueError: it is no such name.
    """
    match = re.fullmatch(r"([A-Za-zδ]+)_?(\d*)", str(name).strip().translate(_DIGITS))
    word = {"δ": "delta"}.get(match[1], match[1]) if match else ""
    if match is None or word not in QUANTITIES:
        raise ValueError(f"{name!r} is no quantity: name one such as 'dW2', 'db1', 'dz2', 'h1', 'dx' or 'delta'")
    if (word in LAYERED) != bool(match[2]):
        needed = "needs its layer, such as" if word in LAYERED else "has no layer:"
        raise ValueError(f"{name!r} {needed} {word + '2' if word in LAYERED else word!r}")
    return QUANTITIES[word], int(match[2] or 0)


class Layers(Mapping[int, Array]):
    """An array for each layer, which count from 1 as in W¹: `g.dW[2]`."""

    def __init__(self, name: str, arrays: Mapping[int, Any], absent: str = "", *, zero: Any = None) -> None:
        self._name = name
        self._zero = zero
        self._tensors = dict(arrays)
        self._absent = absent

    def __getitem__(self, layer: int) -> Array:
        if layer == 0 and self._zero is not None:
            self._zero = _made(self._zero)
            return self._zero  # type: ignore[no-any-return]
        try:
            found = _made(self._tensors[layer])
        except (KeyError, TypeError):
            raise IndexError(self._missing(layer)) from None
        self._tensors[layer] = found
        return found

    def __setitem__(self, layer: int, value: Any) -> NoReturn:
        way = "net.set_parameters(…)" if self._name in ("W", "b") else "an array of your own"
        raise TypeError(f"{self._name}[{layer}] is a copy of the server's numbers: to change them, use {way}")

    def __iter__(self) -> Iterator[int]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    def items(self) -> ItemsView[int, Array]:
        """The layers and their arrays."""
        return ItemsView(self)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{layer}: {array.shape}" for layer, array in self.items())
        return f"{self._name}[{shapes or 'no layer'}]"

    def _repr_html_(self) -> str:
        from ._display import layers_html

        return layers_html(self._name, self)

    def _missing(self, layer: object) -> str:
        if not self._tensors:
            return f"{self._name}[{layer!r}]: {self._absent or 'there is none'}"
        numbers = sorted(self._tensors)
        is_gap = isinstance(layer, int) and numbers[0] < layer < numbers[-1]
        if is_gap and self._absent:
            return f"{self._name}[{layer}]: layer {layer} has none ({self._absent})"
        known = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
        return f"{self._name}[{layer!r}]: layers count from 1, as in {self._name}¹; {self._name} has the layers {known}"


def _made(entries: Any) -> Array:
    """The array of a tensor, which is made when it is first read."""
    return entries if isinstance(entries, np.ndarray) else from_tensor(entries)
