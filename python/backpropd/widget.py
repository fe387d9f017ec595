"""The picture of a network in a notebook: forward and backward, with every number, and why it is what it is.

It needs anywidget: `pip install "backpropd[widget]"`. The numbers come from the kernel; the browser asks no server.
"""

from __future__ import annotations

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
    from ._gradients import Gradients
    from ._network import Network
    from ._results import Equation, Factor

__all__ = ["Picture"]

_BUILT = Path(__file__).parent / "_widget"

_LAYERED = ("z", "h", "dW", "db", "dz", "dh")
_EXPANSIONS = {"definition": "none", "chain": "chain", "leaves": "leaves"}


class Picture(anywidget.AnyWidget):
    """A network with a batch, as a picture: `Picture(net, x, y)` as the last line of a cell.

    Units show z and h, or dz and dh; lines are weights, or their gradients. A number explains itself when it is chosen. After
    training, `refresh` shows the network as it is then; it can be called in a loop over the steps of a run.

    Args:
        net: The network.
        x: Inputs, [m, n₀].
        y: Targets, [m, n_L], or the class of each sample.
    """

    _esm = _BUILT / "widget.js"
    _css = _BUILT / "widget.css"
    numbers = traitlets.Dict().tag(sync=True)
    """What the picture shows, as its script reads it."""

    def __init__(self, net: Network, x: Any, y: Any = None) -> None:
        self._net, self._batch = net, (x, y)
        self._gradients = net.gradients(x, y)
        super().__init__(numbers=_numbers(net, self._gradients))
        self.on_msg(self._answer)

    def refresh(self) -> None:
        """Shows the network as it is now."""
        self._gradients = self._net.gradients(*self._batch)
        self.numbers = _numbers(self._net, self._gradients)

    def _answer(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        """Answers the browser's question why an entry has its value."""
        try:
            found = self._gradients.explain(
                str(message["entry"]),
                int(message["row"]),
                int(message["column"]),
                expand=_EXPANSIONS[message["expansion"]],
            )
        except (Error, KeyError, TypeError, ValueError) as error:
            self.send({"id": message.get("id"), "error": str(error)})
            return
        equations = [_equation(equation) for equation in found.equations]
        self.send({"id": message.get("id"), "equations": equations, "unexplained": found.unexplained})


def _numbers(net: Network, gradients: Gradients) -> dict[str, Any]:
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
        "step": gradients.step,
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
