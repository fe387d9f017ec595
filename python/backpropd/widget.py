"""The picture of a network in a notebook: forward and backward, with every number, and why it is what it is.

It needs anywidget: `pip install "backpropd[widget]"`. The numbers come from the kernel; the browser asks no server.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import Error

try:
    import anywidget
    import traitlets
except ImportError:
    raise ImportError('the picture of a network needs anywidget: pip install "backpropd[widget]"') from None

if TYPE_CHECKING:
    from ._arrays import Array
    from ._pass import Pass
    from ._results import Equation, Factor

__all__ = ["Picture"]

_BUILT = Path(__file__).parent / "_widget"

_LAYERED = ("z", "h", "dW", "db", "dz", "dh")
_ERRORS = (Error, KeyError, TypeError, ValueError)
_EXPANSIONS = {"definition": "none", "chain": "chain", "leaves": "leaves"}


class Picture(anywidget.AnyWidget):
    """A network with a batch, as a picture: `net.show(x, y)` as the last line of a cell.

    Units show z and h, or dz and dh; lines are weights, or their gradients. A number explains itself when it is chosen, and a
    player takes the pass in steps. After training, `refresh` shows the network as it is then; it can be called in a loop over
    the steps of a run.

    A weight, a bias, an input or a target can be changed in the picture, and nudged: the difference that a small change makes
    to the loss stands beside the derivative. The server computes the pass of a copy: the network itself stays as it is, and
    `refresh` keeps the changes on top of its new weights.

    Args:
        net: The network.
        x: Inputs, [m, n₀].
        y: Targets, [m, n_L], or the class of each sample.
        gradients: The network's pass over the batch, if it is there already.
    """

    _esm = _BUILT / "widget.js"
    _css = _BUILT / "widget.css"
    numbers = traitlets.Dict().tag(sync=True)
    """What the picture shows, as its script reads it."""
    changes = traitlets.Dict().tag(sync=True)
    """The numbers that were changed in the picture, by their places: {"W2.1.3": 0.5}, rows and columns from 1."""
    problem = traitlets.Unicode().tag(sync=True)
    """Why the changes have no pass; empty if they have one."""

    def __init__(self, net: Any, x: Any, y: Any = None, *, gradients: Any = None) -> None:
        self._net, self._batch = net, (x, y)
        self._tasks: set[Any] = set()
        self._asked = 0
        found = net.gradients(x, y) if gradients is None else gradients
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise TypeError("this network is one of backpropd.aio: its picture is `await net.show(x, y)`")
        self._own = self._gradients = found
        super().__init__(numbers=_numbers(net, found, found.step))
        self.on_msg(self._answer)
        self.observe(self._change, "changes")

    def refresh(self) -> Any:
        """Shows the network as it is now. With a network of backpropd.aio it is awaited."""
        found = self._net.gradients(*self._batch)
        if inspect.isawaitable(found):
            return self._refresh_later(found)
        self._own = found
        self._show(found._with(self.changes) if self.changes else found)
        return None

    async def _refresh_later(self, found: Awaitable[Any]) -> None:
        self._own = await found
        self._show(await self._own._with(self.changes) if self.changes else self._own)

    def _show(self, gradients: Any) -> None:
        self._asked += 1
        self._gradients = gradients
        self.problem = ""
        self.numbers = _numbers(self._net, gradients, self._own.step)

    def _change(self, _change: Any) -> None:
        """Computes the pass of a copy with the numbers that the browser has changed."""
        self._asked += 1
        asked = self._asked

        def done(gradients: Any) -> None:
            # Of changes that follow each other closely, the last one counts.
            if asked == self._asked:
                self._show(gradients)

        def failed(error: Exception) -> None:
            self.problem = str(error)

        self._do(lambda: self._own._with(self.changes) if self.changes else self._own, done, failed)

    def _answer(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        """Answers a question of the browser: why an entry has its value, or what the loss is with others."""

        def reply(**answer: Any) -> None:
            self.send({"id": message.get("id"), **answer})

        def failed(error: Exception) -> None:
            reply(error=str(error))

        if "values" in message:
            self._do(lambda: self._nudged(message), lambda losses: reply(losses=losses), failed)
            return

        def begin() -> Any:
            return self._gradients.explain(
                str(message["entry"]),
                int(message["row"]),
                int(message["column"]),
                expand=_EXPANSIONS[message["expansion"]],
            )

        def explained(found: Any) -> None:
            equations = [_equation(equation) for equation in found.equations]
            reply(equations=equations, unexplained=found.unexplained)

        self._do(begin, explained, failed)

    def _nudged(self, message: dict[str, Any]) -> Any:
        """The losses with other values at a place, and everything else as it is shown."""
        place = str(message["place"])
        passes = [self._own._with({**self.changes, place: float(value)}) for value in message["values"]]

        async def losses() -> list[float]:
            return [found.loss for found in await asyncio.gather(*passes)]

        return losses() if any(inspect.isawaitable(found) for found in passes) else [found.loss for found in passes]

    def _do(self, begin: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        """Hands what `begin` returns to `done`, at once or, of a network of backpropd.aio, when it is there."""

        async def later(found: Awaitable[Any]) -> None:
            try:
                done(await found)
            except _ERRORS as error:
                failed(error)

        try:
            found = begin()
            if not inspect.isawaitable(found):
                done(found)
                return
        except _ERRORS as error:
            failed(error)
            return
        task = asyncio.ensure_future(later(found))
        # The loop itself does not keep a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _numbers(net: Any, gradients: Pass, step: int) -> dict[str, Any]:
    """Every number of the picture: floats as JSON writes them, which read back to the same bits."""
    spec = net.spec
    matrices = {"dx": _matrix(gradients.dx), "delta": _matrix(gradients.delta), "loss": _matrix(gradients.losses)}
    for name in _LAYERED:
        layers = getattr(gradients, name)
        matrices.update({f"{name}{layer}": _matrix(layers[layer]) for layer in layers})
    biases = gradients.b
    return {
        "inputs": spec.input_size,
        "layers": [
            {
                "units": layer.units,
                "activation": layer.activation,
                "hasBias": layer.bias,
                **({} if layer.leaky_relu_slope is None else {"leakySlope": layer.leaky_relu_slope}),
            }
            for layer in spec.layers
        ],
        "loss": spec.loss,
        "reduction": spec.reduction,
        "reluAtZero": spec.relu_at_zero,
        "parameters": [
            {"W": _matrix(gradients.W[layer]), **({"b": _matrix(biases[layer])} if layer in set(biases) else {})}
            for layer in gradients.W
        ],
        "x": _matrix(gradients.x),
        "y": _matrix(gradients.y),
        "value": gradients.loss,
        "step": step,
        "matrices": matrices,
    }


def _matrix(array: Array) -> dict[str, Any]:
    rows = np.atleast_2d(array)
    return {"rows": rows.shape[0], "columns": rows.shape[1], "data": rows.ravel().tolist()}


def _equation(equation: Equation) -> dict[str, Any]:
    return {
        "text": equation.text,
        "latex": equation.latex,
        "numbers": equation.numbers,
        "numbersLatex": equation.numbers_latex,
        "value": equation.value,
        "foldedTerms": equation.folded_terms,
        "foldedValue": equation.folded_value,
        "terms": [{"value": term.value, "factors": [_factor(factor) for factor in term.factors]} for term in equation.terms],
    }


def _factor(factor: Factor) -> dict[str, Any]:
    entry = f"{factor.key}.{factor.row}.{factor.column}" if factor.key else ""
    return {"text": factor.text, "latex": factor.latex, "value": factor.value, "entry": entry}
