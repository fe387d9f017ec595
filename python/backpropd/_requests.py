"""The calls of the API that the surface makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from . import _messages as pb
from ._arrays import FLOAT32, FLOAT64, RAW, Array, floats, from_tensor, labels, little_endian, matrix, numbers, tensor
from ._batch import Dataset, Rows, batch_fields, dtype_size, read_dataset, varint
from ._calls import Call, identity, new_id
from ._errors import InvalidArray
from ._grading import GradientsReport, read_gradients_report
from ._layers import QUANTITIES, Layers, parse_key
from ._results import Explanation, ModelInfo, read_explanation, read_model
from ._spec import Spec

MAX_REPLY_BYTES = 64 << 20
"""The largest reply to ask for: the default limit of a server."""

_DEFAULT_REPLY_BYTES = 4 << 20
_PIECE = 1 << 20
_PAGE = 1000


def reply_limit(numbers_in_reply: int) -> int:
    """`max_reply_bytes` for about so many numbers: the server's default if they fit into it."""
    return 0 if numbers_in_reply * 9 < _DEFAULT_REPLY_BYTES else MAX_REPLY_BYTES


def rows_of(batch: dict[str, Any], data: Any) -> int:
    """Number of samples of a request, or a guess above it."""
    if "inputs" in batch:
        return int(batch["inputs"].shape[0])
    return data.rows if isinstance(data, Dataset) else 1 << 20


def include_numbers(include: Iterable[str] | None) -> list[int]:
    """The quantities of include=.

    Raises:
        ValueError: one is no quantity; the message lists them.
    """
    if include is None:
        return []
    names = [include] if isinstance(include, str) else list(include)
    wrong = [name for name in names if name not in QUANTITIES]
    if wrong:
        raise ValueError(f"include has {wrong[0]!r}; it may have {', '.join(map(repr, QUANTITIES))}")
    return [QUANTITIES[name] for name in names]


def gradients(model: str, spec: Spec, batch: dict[str, Any], data: Any, include: Iterable[str] | None) -> Call[Any]:
    """Gradients of a stored model."""
    sizes = spec.sizes
    rows = rows_of(batch, data)
    parameters = sum(fan_in * units for fan_in, units in pairwise(sizes))
    limit = reply_limit(rows * (4 * sum(sizes) + 2) + 2 * parameters)
    request = pb.GradientsRequest(model=model, include=include_numbers(include), encoding=RAW, max_reply_bytes=limit, **batch)
    return Call("Gradients", request, identity)


def gradients_of_copy(network: Any, spec: Spec, batch: dict[str, Any]) -> Call[Any]:
    """Gradients of a network in the request, every quantity."""
    call = gradients("", spec, batch, None, None)
    call.request.inline.CopyFrom(network)
    return call


def grade_gradients(
    target: dict[str, Any],
    samples: dict[str, Any],
    tensors: list[Any],
    tolerance: str | float | None,
    learning_rate: float | None,
    dataset_size: int | None,
) -> Call[GradientsReport]:
    """GradeGradients. Against a COMPARE_ONLY model every call uses up a try, so it is repeated only for a network in the
    request.
    """
    request = pb.GradeGradientsRequest(submitted=tensors, **target, **samples)
    if isinstance(tolerance, str):
        request.tolerance = pb.TOLERANCE.number("tolerance", tolerance)
    else:
        pb.put(request, "relative_tolerance", tolerance)
    pb.put(request, "learning_rate", learning_rate)
    pb.put(request, "dataset_size", dataset_size)
    return Call("GradeGradients", request, read_gradients_report, is_repeatable="inline" in target)


def explain(
    target: dict[str, Any], batch: dict[str, Any], entry: str, row: int, column: int, expand: str, max_terms: int | None
) -> Call[tuple[Explanation, str]]:
    """Explain; also returns the digest of the weights used."""
    quantity, layer = parse_key(entry)
    request = pb.build(
        "ExplainRequest",
        quantity=quantity,
        layer=layer,
        row=row,
        column=column,
        expand=pb.EXPANSION.number("expand", expand),
        max_terms=max_terms or 0,
        **target,
        **batch,
    )
    return Call("Explain", request, lambda reply: (read_explanation(reply), reply.weights_digest))


def parameters(model: str, spec: Spec) -> Call[list[tuple[Array, Array | None]]]:
    """W and b of each layer."""
    sizes = spec.sizes
    limit = reply_limit(sum((fan_in + 1) * units for fan_in, units in pairwise(sizes)))
    request = pb.GetParametersRequest(model=model, encoding=RAW, max_reply_bytes=limit)
    return Call("GetParameters", request, _read_parameters)


def _read_parameters(reply: Any) -> list[tuple[Array, Array | None]]:
    return [
        (from_tensor(layer.weights), from_tensor(layer.bias) if layer.HasField("bias") else None) for layer in reply.parameters
    ]


def weights(arrays: list[tuple[Array, Array | None]]) -> Layers:
    """W by layer."""
    return Layers("W", {layer: pair[0] for layer, pair in enumerate(arrays, start=1)})


def biases(arrays: list[tuple[Array, Array | None]]) -> Layers:
    """B by layer."""
    found = {layer: pair[1] for layer, pair in enumerate(arrays, start=1) if pair[1] is not None}
    return Layers("b", found, "a layer has a bias only if the model was made with bias=True")


def gradient_set(dW: Any, db: Any, weight: float | None) -> Any:
    """The gradient of all parameters, as ApplyGradients takes it."""
    tensors = []
    for name, given in (("dW", dW), ("db", db)):
        if given is None:
            continue
        layers = given if isinstance(given, Mapping) else dict(enumerate(given, start=1))
        for layer, array in layers.items():
            entries = tensor(floats(f"{name}[{layer}]", array))
            tensors.append(pb.NamedTensor(quantity=QUANTITIES[name], layer=layer, tensor=entries))
    message = pb.GradientSet(tensors=tensors)
    if weight is not None:
        message.weight = weight
    return message


def train(
    model: str,
    spec: Spec,
    x: Any,
    y: Any,
    *,
    steps: int | None,
    epochs: int | None,
    batch_size: int | None,
    shuffle_seed: int | None,
    learning_rate: float | None,
    held_out: Any,
    held_out_every_steps: int | None,
    held_out_every_epochs: int | None,
    patience: int | None,
    keep_best: bool,
    metrics_every: int | None,
    expected_step: int | None,
    durability: str,
    on_disconnect: str,
) -> Any:
    """The TrainBatchRequest of a run."""
    if steps is not None and epochs is not None:
        raise ValueError(f"steps is {steps} and epochs is {epochs}: give one of them")
    for name, count in (("steps", steps), ("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(count, (int, float)) and count < 1:
            raise ValueError(f"{name} is {count}: it is at least 1")
    request = pb.build(
        "TrainBatchRequest",
        model=model,
        steps=steps or 0,
        epochs=epochs or 0,
        minibatch_size=batch_size or 0,
        metrics_every=metrics_every or 0,
        durability=pb.DURABILITY.number("durability", durability),
        on_disconnect=pb.ON_DISCONNECT.number("on_disconnect", on_disconnect),
        **batch_fields(spec, x, y),
    )
    pb.put(request, "shuffle_seed", shuffle_seed)
    pb.put(request, "learning_rate", learning_rate)
    pb.put(request, "expected_step", expected_step)
    if held_out is not None:
        samples = (held_out,) if isinstance(held_out, (Dataset, Rows)) else tuple(held_out)
        if len(samples) > 2:
            raise InvalidArray(f"held_out has {len(samples)} parts: it is the tuple (x, y), or rows of a dataset")
        evaluation = pb.build(
            "HeldOut",
            every_steps=held_out_every_steps or 0,
            every_epochs=held_out_every_epochs or 0,
            patience=patience or 0,
            keep_best=keep_best,
            **batch_fields(spec, *samples),
        )
        request.held_out.CopyFrom(evaluation)
    elif patience or keep_best or held_out_every_steps or held_out_every_epochs:
        raise ValueError("patience, keep_best and held_out_every_… need held_out: the tuple (x, y), or rows of a dataset")
    return request


def predict(model: str, rows: Array, outputs: int, *, probabilities: bool, classes: bool, trace: bool, units: int) -> Call[Any]:
    """The outputs for some rows."""
    limit = reply_limit(len(rows) * (2 * outputs + (2 * units if trace else 0)))
    request = pb.PredictRequest(
        model=model,
        inputs=tensor(rows),
        probabilities=probabilities,
        classes=classes,
        trace=trace,
        encoding=RAW,
        max_reply_bytes=limit,
    )
    return Call("Predict", request, identity)


def row_pieces(x: Array, outputs: int) -> list[Array]:
    """Parts of x whose requests and replies are about 2 MiB at most: outputs of a row are the same alone and in a batch."""
    per_piece = max(1, (2 * _PIECE) // (8 * max(x.shape[1], 2 * outputs)))
    return [x[start : start + per_piece] for start in range(0, len(x), per_piece)]


def get_model(name: str) -> Call[ModelInfo]:
    """GetModel."""
    return Call("GetModel", pb.GetModelRequest(name=name), lambda reply: read_model(reply.model))


class Upload:
    """A dataset of arrays, as the messages of CreateDataset."""

    def __init__(self, session: str, x: Any, y: Any, name: str | None, classes: int | None, standardization: Any) -> None:
        self._x = matrix("x", x)
        rows = len(self._x)
        self._header = pb.build(
            "DatasetHeader",
            session=session,
            dataset_id=name or new_id("d-"),
            rows=rows,
            features=self._x.shape[1],
            request_id=new_id(),
        )
        self._targets: Array | None = None
        self._labels: list[int] | None = None
        self._set_y(y, rows, classes)
        self._dtype = self._set_dtype()
        if standardization is not None:
            means, deviations = standardization
            self._header.standardization.input_means.extend(floats("means", means).tolist())
            self._header.standardization.input_deviations.extend(floats("deviations", deviations).tolist())

    def _set_y(self, y: Any, rows: int, classes: int | None) -> None:
        given = numbers("y", y)
        if given.ndim == 1 and given.dtype.kind in "USO" and all(isinstance(entry, str) for entry in given.tolist()):
            names, codes = np.unique(given.astype(str), return_inverse=True)
            self._header.class_names.extend(names.tolist())
            given = codes.astype(np.int64)
        found = labels("y", given, rows)
        if found is not None:
            self._labels = found
            if not self._header.class_names:
                self._header.classes = classes or max(2, int(given.max()) + 1)
            return
        targets = floats("y", given)
        if targets.ndim == 1:
            targets = targets[:, None]
        targets = matrix("y", targets)
        if len(targets) != rows:
            raise InvalidArray(f"y has {len(targets)} rows, and x has {rows}: they must be the same number")
        self._targets = targets
        self._header.target_columns = targets.shape[1]

    def _set_dtype(self) -> int:
        """One type holds inputs and targets exactly: float32 if it can, else float64."""
        is_single = self._x.dtype.itemsize == 4
        if self._targets is not None and is_single:
            single = self._targets.astype(np.float32)
            is_single = bool(np.array_equal(single, self._targets))
            self._targets = single if is_single else self._targets
        if not is_single:
            self._x = self._x.astype(np.float64, copy=False)
            self._targets = None if self._targets is None else self._targets.astype(np.float64, copy=False)
        self._header.dtype = FLOAT32 if is_single else FLOAT64
        return FLOAT32 if is_single else FLOAT64

    @property
    def call(self) -> Call[Dataset]:
        return Call("CreateDataset", self._header, lambda reply: read_dataset(reply.dataset))

    def pieces(self) -> Iterator[bytes]:
        """The encoded messages: the header, then the rows. The entries are copied once, out of the array."""
        yield pb.CreateDatasetRequest(header=self._header).SerializeToString()
        columns = self._x.shape[1] + (0 if self._targets is None else self._targets.shape[1])
        per_piece = max(1, _PIECE // (dtype_size(self._dtype) * columns))
        for start in range(0, len(self._x), per_piece):
            yield self._piece(slice(start, start + per_piece))

    def _piece(self, rows: slice) -> bytes:
        inputs = little_endian(self._x[rows])
        parts: list[bytes | memoryview] = [b"\x0a", varint(len(inputs)), inputs]
        if self._targets is not None:
            targets = little_endian(self._targets[rows])
            parts += [b"\x12", varint(len(targets)), targets]
        elif self._labels is not None:
            classes = b"".join(map(varint, self._labels[rows]))
            parts += [b"\x1a", varint(len(classes)), classes]
        return b"".join([b"\x12", varint(sum(map(len, parts))), *parts])


def import_pieces(session: str, model_id: str, request_id: str, data: bytes) -> Iterator[bytes]:
    """The encoded messages of ImportModel."""
    first = {"session": session, "model_id": model_id, "request_id": request_id}
    for start in range(0, max(len(data), 1), _PIECE // 4):
        yield pb.ImportModelRequest(data=data[start : start + _PIECE // 4], **first).SerializeToString()
        first = {}


def page(method: str, token: str, **fields: Any) -> Call[Any]:
    """A page of a list."""
    request = pb.METHODS[method].request(page_size=_PAGE, page_token=token, **fields)
    return Call(method, request, identity)


def joined_predictions(replies: Sequence[Any]) -> dict[str, Array]:
    """The outputs of all pieces, one below the other."""
    found = {"outputs": np.concatenate([from_tensor(reply.outputs) for reply in replies])}
    if replies[0].HasField("probabilities"):
        found["probabilities"] = np.concatenate([from_tensor(reply.probabilities) for reply in replies])
    if replies[0].classes:
        found["classes"] = np.concatenate([np.array(reply.classes, np.int64) for reply in replies])
    return found
