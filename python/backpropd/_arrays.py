"""numpy arrays as the tensors of messages, and back: always as raw little-endian bytes."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _messages as pb
from ._errors import InvalidArray

Array: TypeAlias = npt.NDArray[Any]
"""Numbers in a reply: float64 or float32, as the model computes; the caller's own to change."""

FLOAT32 = 1
FLOAT64 = 2
RAW = 2

_EXACT = 2**53
"""Up to here every integer is a float64."""


def from_tensor(tensor: Any) -> Array:
    """The array of a tensor: a writable copy in the machine's byte order."""
    if tensor.dtype == FLOAT32:
        entries: Array = np.frombuffer(tensor.raw, "<f4").astype(np.float32)
    else:
        entries = np.frombuffer(tensor.raw, "<f8").astype(np.float64)
    if not len(entries) and len(tensor.values):
        entries = np.array(tensor.values, np.float32 if tensor.dtype == FLOAT32 else np.float64)
    return entries.reshape(tuple(tensor.shape))


def tensor(array: Array) -> Any:
    """The tensor of an array of floats: see `floats`."""
    is_single = array.dtype.itemsize == 4
    little = np.ascontiguousarray(array, "<f4" if is_single else "<f8")
    return pb.Tensor(shape=array.shape, raw=little.tobytes(), dtype=FLOAT32 if is_single else FLOAT64)


def matrix(name: str, given: Any) -> Array:
    """Floats with samples as rows.

    Raises:
        InvalidArray: `given` is no matrix of numbers; the message says how to make one.
    """
    array = floats(name, given)
    if array.ndim == 2 and array.size:
        return array
    shape = array.shape
    if not array.size:
        raise InvalidArray(f"{name} is empty: its shape is {shape}. It needs at least one row and one column")
    if array.ndim == 1:
        raise InvalidArray(
            f"{name} has the shape {shape}, and needs two axes, because its rows are samples: {name}[None, :] is one "
            f"sample of {shape[0]} features, {name}[:, None] is {shape[0]} samples of one feature"
        )
    if array.ndim == 0:
        raise InvalidArray(f"{name} is one number, and needs two axes, because its rows are samples: [[{array}]]")
    raise InvalidArray(
        f"{name} has the shape {shape}, and needs two axes, because its rows are samples: "
        f"{name}.reshape({shape[0]}, -1) makes each sample a row"
    )


def floats(name: str, given: Any) -> Array:
    """The same numbers as float32 or float64, in any layout: integers and booleans exactly, float16 widened.

    Raises:
        InvalidArray: the entries are no real numbers, or no float64 holds them exactly.
    """
    array = numbers(name, given)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size in (4, 8):
        return array
    if kind == "f" and size == 2:
        return array.astype(np.float32)
    if kind in "biu":
        if size <= 2:
            return array.astype(np.float32)
        converted = array.astype(np.float64)
        if size == 8 and array.size and (int(array.max()) > _EXACT or int(array.min()) < -_EXACT):
            raise InvalidArray(
                f"{name} has integers beyond 2^53, which no float64 holds exactly: round them yourself, with "
                f"{name}.astype(float)"
            )
        return converted
    if kind == "f":
        raise InvalidArray(
            f"{name} has the type {array.dtype}, which is wider than the server's float64: round it yourself, with "
            f"{name}.astype(float)"
        )
    raise _not_numbers(name, array)


def numbers(name: str, given: Any) -> Array:
    """`given` as a numpy array: of numpy, torch, pandas, polars, nested lists, or anything with `__array__` or
    `__dlpack__`.

    Raises:
        InvalidArray: it cannot be read as one.
    """
    if isinstance(given, np.ndarray):
        if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
            raise InvalidArray(f"{name} has masked entries: fill them, with {name}.filled(0), or leave their rows out")
        return np.asarray(given)
    if given is None:
        raise InvalidArray(f"{name} is missing")
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu()
        if hasattr(given, "to_numpy"):
            given = given.to_numpy()
        if not hasattr(given, "__array__") and hasattr(given, "__dlpack__"):
            given = np.from_dlpack(given)
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise InvalidArray(f"{name} cannot be read as an array of numbers: {error}") from None


def _not_numbers(name: str, array: Array) -> InvalidArray:
    kind = array.dtype.kind
    if kind == "c":
        way = f"take its real part, with {name}.real"
    elif kind == "O":
        example = next((entry for entry in array.flat if not isinstance(entry, (int, float))), array.flat[0])
        way = (
            f"it holds Python objects, such as {_brief(example)}: rows of unequal length, missing values or texts. Make "
            "it numbers, with np.array(…, dtype=float)"
        )
    elif kind in "US":
        way = f"it holds texts, such as {_brief(array.flat[0])}" if array.size else "it holds texts"
        way += ". Make it numbers; class names belong in y of lab.dataset(x, y)"
    else:
        way = f"make it numbers, with {name}.astype(float)"
    return InvalidArray(f"{name} has the type {array.dtype} and is no array of real numbers: {way}")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def labels(name: str, given: Any, rows: int | None = None) -> list[int] | None:
    """The classes of `rows` samples, or None if `given` is not one axis of whole numbers.

    Raises:
        InvalidArray: it has another number of rows, or a class below 0 or too large.
    """
    array = numbers(name, given)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        return None
    if rows is not None and len(array) != rows:
        raise InvalidArray(f"{name} has {len(array)} classes, and x has {rows} rows: they must be the same number")
    if array.size and (int(array.min()) < 0 or int(array.max()) >= 2**31):
        wrong = int(array.min()) if int(array.min()) < 0 else int(array.max())
        raise InvalidArray(f"{name} has the class {wrong}: classes count from 0")
    # True and False are the classes 1 and 0.
    return array.astype(np.int64).tolist()  # type: ignore[no-any-return]


def little_endian(array: Array) -> bytes | memoryview:
    """The entries of an array of floats in row-major order; without a copy where the memory has them like that."""
    is_single = array.dtype.itemsize == 4
    little = np.ascontiguousarray(array, "<f4" if is_single else "<f8")
    if sys.byteorder == "little":
        return little.reshape(-1).view(np.uint8).data if little.size else b""
    return little.tobytes()
