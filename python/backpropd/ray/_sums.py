"""Gradients of micro-batches and their sum, in an order that does not depend on the number of workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _messages as pb
from .._arrays import FLOAT32, Array
from .._layers import QUANTITIES
from .._spec import Spec

Leaves = tuple[int, int]
"""Micro-batches from the first up to, but not including, the second."""


@dataclass(frozen=True)
class Sum:
    """Sums over the samples of one or several micro-batches."""

    rows: int
    loss: float
    right: int
    """Number of terms of the loss that are classified correctly; 0 for a regression."""
    gradient: Array
    """dW¹, db¹, dW², … one behind the other, [parameters]."""

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, self.loss + other.loss, self.right + other.right, self.gradient + other.gradient)


def terms_of(spec: Spec) -> int:
    """Number of terms of a sample's loss that a mean divides by: these losses are means over the outputs as well."""
    return spec.layers[-1].units if spec.loss in ("mean_squared_error", "binary_cross_entropy") else 1


def split(leaves: Leaves) -> tuple[Leaves, Leaves]:
    """The two halves of several micro-batches; the tree of all sums follows from their number alone."""
    first, end = leaves
    middle = (first + end + 1) // 2
    return (first, middle), (middle, end)


def tree_sum(leaves: Leaves, known: Callable[[Leaves], Sum | None]) -> Sum:
    """The sum of some micro-batches: of the sums of its halves, down to those that are known."""
    found = known(leaves)
    if found is not None:
        return found
    left, right = split(leaves)
    return tree_sum(left, known) + tree_sum(right, known)


def cut(count: int, workers: int) -> list[list[Leaves]]:
    """The parts of the tree that each worker adds by itself, so that it sends few sums.

    Whole levels of the tree are dealt out in order. With a number of workers that is no power of 2, a finer level is cut, for
    a better balance.
    """
    level: list[Leaves] = [(0, count)]
    wanted = workers if workers & (workers - 1) == 0 else 2 * workers
    while len(level) < wanted and any(end - first > 1 for first, end in level):
        level = [half for leaves in level for half in (split(leaves) if leaves[1] - leaves[0] > 1 else (leaves,))]
    shares = np.array_split(np.arange(len(level)), min(workers, len(level)))
    return [[level[index] for index in share] for share in shares]


def flat_gradient(spec: Spec, tensors: Any) -> Array:
    """The gradient of all parameters of a reply, as one array."""
    kind = np.dtype("<f4" if spec.dtype == "float32" else "<f8")
    found = {(named.quantity, named.layer): named.tensor.raw for named in tensors}
    parts = [np.frombuffer(found[key], kind) for key, _ in _tensors(spec)]
    return np.concatenate(parts).astype(kind.newbyteorder("="), copy=False)


def gradient_set(spec: Spec, gradient: Array, weight: float) -> Any:
    """The gradient of all parameters as ApplyGradients takes it, times `weight`."""
    little = np.ascontiguousarray(gradient, "<f4" if spec.dtype == "float32" else "<f8")
    message = pb.GradientSet(weight=weight)
    start = 0
    for (quantity, layer), shape in _tensors(spec):
        end = start + int(np.prod(shape))
        tensor = pb.Tensor(shape=shape, raw=little[start:end].tobytes(), dtype=FLOAT32 if little.itemsize == 4 else 2)
        message.tensors.add(quantity=quantity, layer=layer, tensor=tensor)
        start = end
    return message


def _tensors(spec: Spec) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    """The gradients of a network by quantity and layer, and their shapes, in the order of `Sum.gradient`."""
    found: list[tuple[tuple[int, int], tuple[int, ...]]] = []
    before = spec.input_size
    for number, layer in enumerate(spec.layers, start=1):
        found.append(((QUANTITIES["dW"], number), (layer.units, before)))
        if layer.bias:
            found.append(((QUANTITIES["db"], number), (layer.units,)))
        before = layer.units
    return found
