"""Samples as requests name them: arrays, or rows of a dataset on the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from . import _messages as pb
from ._arrays import FLOAT32, floats, labels, matrix, numbers, tensor
from ._errors import InvalidArray
from ._spec import Spec

CLASSIFICATION = ("cross_entropy", "binary_cross_entropy")


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset, in place of x and y: all of them, a range, or one part of a split."""

    dataset: str
    """Name of the dataset."""
    start: int | None = None
    """The first row, from 0."""
    end: int | None = None
    """The row after the last."""
    held_out_fraction: float | None = None
    """Fraction of the rows that the split holds out."""
    seed: int = 0
    """Seed of the split."""
    part: str = ""
    """"training" or "held_out", of a split."""
    standardize: bool = False
    """Whether inputs, and the targets of a regression, become (entry − mean) / deviation."""

    def standardized(self) -> Rows:
        """The same rows, standardized by the means and deviations of the dataset."""
        return replace(self, standardize=True)

    def _message(self) -> Any:
        message = pb.DatasetRows(dataset=self.dataset, standardize=self.standardize)
        if self.part:
            message.split.seed = self.seed
            message.split.part = 2 if self.part == "held_out" else 1
            if self.held_out_fraction is not None:
                message.split.held_out_fraction = self.held_out_fraction
        elif self.start is not None or self.end is not None:
            message.range.start = self.start or 0
            if self.end is not None:
                message.range.end = self.end
        return message


@dataclass(frozen=True)
class Dataset:
    """A dataset on the server, which calls take in place of x and y."""

    name: str
    """"sessions/{session}/datasets/{dataset}", or "datasets/{dataset}" for a shared one."""
    rows: int
    """Number of samples; 0 for a shared file that no call has opened yet."""
    features: int
    """Number of features of a sample."""
    target_columns: int
    """Number of target columns; 0 if the samples have labels."""
    classes: int
    """Number of classes, if the samples have labels."""
    class_names: tuple[str, ...]
    """The names of the classes, if known."""
    dtype: str
    """"float64" or "float32"."""
    digest: str
    """BLAKE3 digest: equal digests mean equal samples."""
    bytes: int
    """Size in bytes."""

    def all(self) -> Rows:
        """All rows."""
        return Rows(self.name)

    def range(self, start: int, end: int | None = None) -> Rows:
        """The rows from `start` (from 0) up to, but not including, `end`; default to the last one."""
        return Rows(self.name, start=start, end=end)

    def split(self, held_out_fraction: float = 0.2, seed: int = 0) -> tuple[Rows, Rows]:
        """The rows to train on, and those to hold out: every class in the same proportion."""
        training = Rows(self.name, held_out_fraction=held_out_fraction, seed=seed, part="training")
        return training, replace(training, part="held_out")

    def standardized(self) -> Rows:
        """All rows, standardized: (entry − mean) / deviation."""
        return self.all().standardized()

    def _message(self) -> Any:
        return self.all()._message()


def read_dataset(message: Any) -> Dataset:
    """The dataset that a reply describes."""
    return Dataset(
        name=message.name,
        rows=message.rows,
        features=message.features,
        target_columns=message.target_columns,
        classes=message.classes,
        class_names=tuple(message.class_names),
        dtype=pb.DTYPE.word(message.dtype),
        digest=message.digest,
        bytes=message.bytes,
    )


def batch_fields(spec: Spec, x: Any, y: Any = None) -> dict[str, Any]:
    """The fields of a request that name the samples.

    Args:
        spec: The network, whose loss says whether whole numbers are classes.
        x: The inputs, [m, n₀], or rows of a dataset.
        y: The targets, [m, n_L]; classes, [m]; or None with a dataset.

    Raises:
        InvalidArray: they cannot be sent; the message says how they can.
    """
    if isinstance(x, (Dataset, Rows)):
        if y is not None:
            raise InvalidArray("a dataset has its own y: leave y out")
        return {"dataset": x._message()}
    inputs = matrix("x", x)
    if y is None:
        raise InvalidArray("y is missing: it has the targets, or the class of each sample, unless x is a dataset")
    fields: dict[str, Any] = {"inputs": tensor(inputs)}
    fields.update(_target_fields(spec, y, len(inputs)))
    return fields


def _target_fields(spec: Spec, y: Any, rows: int) -> dict[str, Any]:
    outputs = spec.layers[-1].units
    given = numbers("y", y)
    if spec.loss in CLASSIFICATION:
        classes = labels("y", given, rows)
        if classes is not None:
            return {"labels": classes}
    if given.ndim == 1 and outputs > 1 and spec.loss in CLASSIFICATION and given.dtype.kind == "f":
        raise InvalidArray(
            f"y has the shape {given.shape} and the type {given.dtype}: classes are whole numbers, y.astype(int), and "
            f"targets have the shape ({rows}, {outputs})"
        )
    if given.ndim == 1 and outputs == 1:
        given = floats("y", given)[:, None]
    elif given.ndim == 1:
        # Texts are told of as such.
        floats("y", given)
        raise InvalidArray(f"y has the shape {given.shape}: the network has {outputs} outputs, so it needs ({rows}, {outputs})")
    return {"targets": tensor(matrix("y", given))}


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def dtype_size(dtype: int) -> int:
    """Bytes of an entry."""
    return 4 if dtype == FLOAT32 else 8
