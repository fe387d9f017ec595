"""A worker of `fit`: a server of its own, which computes the gradients of micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _messages as pb
from .. import _requests
from .._arrays import Array
from .._batch import batch_fields
from .._calls import Call, identity, new_id
from .._entry import connect
from .._server import LocalServer
from .._spec import Parameters, parameter_messages, read_spec
from ._sums import Leaves, Sum, flat_gradient, terms_of, tree_sum


class Worker:
    """Gradients of micro-batches, at parameters that come with each call: it keeps nothing that a result depends on, so that a
    call may be repeated, here or on another worker.
    """

    def __init__(self, spec: bytes, threads: int) -> None:
        message = pb.ModelSpec.FromString(spec)
        # Sums need no weights for micro-batches of different sizes.
        message.reduction = pb.REDUCTION.number("reduction", "sum")
        self._spec_message = message
        self._spec = read_spec(message)
        self._server = LocalServer(settings={"threads": threads})
        self._lab = connect(self._server.address, token="")
        self._model = ""
        self._loaded = -1

    def sums(
        self, step: int, parameters: Parameters, x: Array, y: Array, rows: Array, micro_batches: int, parts: Sequence[Leaves]
    ) -> list[Sum]:
        """The sums of some parts of the tree of a step's micro-batches.

        Args:
            step: Number of the step in its run; the parameters are sent to the server once a step.
            parameters: W and b of each layer.
            x: All inputs.
            y: All targets.
            rows: The rows of the step.
            micro_batches: Number of micro-batches into which they are cut.
            parts: The parts.
        """
        if step != self._loaded:
            self._load(parameters)
            self._loaded = step
        pieces = np.array_split(rows, micro_batches)

        def leaf(leaves: Leaves) -> Sum | None:
            first, end = leaves
            return self._micro_batch(x[pieces[first]], y[pieces[first]]) if end - first == 1 else None

        return [tree_sum(part, leaf) for part in parts]

    def _load(self, parameters: Parameters) -> None:
        messages = parameter_messages(parameters)
        if self._model:
            request = pb.SetParametersRequest(model=self._model, parameters=messages, request_id=new_id())
            self._call("SetParameters", request)
            return
        request = pb.CreateModelRequest(
            session=self._lab.session, model_id=new_id("m-"), spec=self._spec_message, parameters=messages, request_id=new_id()
        )
        self._model = self._call("CreateModel", request).model.name

    def _micro_batch(self, x: Array, y: Array) -> Sum:
        batch = batch_fields(self._spec, x, y)
        call = _requests.gradients(self._model, self._spec, batch, x, ("dW", "db"))
        reply = self._lab._caller.call(call)
        right = round(reply.accuracy * len(x) * terms_of(self._spec)) if reply.HasField("accuracy") else 0
        return Sum(len(x), reply.loss, right, flat_gradient(self._spec, reply.tensors))

    def _call(self, name: str, request: Any) -> Any:
        return self._lab._caller.call(Call(name, request, identity))
