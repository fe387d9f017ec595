"""The gradients of a network, to read, to compare with one's own, and to have explained."""

# Written by python/tools/mirror.py from aio/_gradients.py: do not edit.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from . import _grading, _requests
from ._calls import refuse_pickling
from ._errors import Error
from ._grading import GradientsReport
from ._pass import Pass
from ._results import Explanation
from ._spec import Spec
from ._caller import Caller


class Gradients(Pass):
    """The quantities of one forward and backward pass: `g.loss`, `g.z[1]`, `g.h[2]`, `g.delta`, `g.dW[2]`, `g.db[1]`.

    Layers count from 1. Arrays are numpy's, float64 or float32 as the network computes, and are the caller's own.
    """

    def __init__(self, caller: Caller, reply: Any, model: str, spec: Spec, batch: dict[str, Any]) -> None:
        super().__init__(reply, model, spec, batch)
        self._caller = caller

    def check(
        self,
        *,
        dW: Any = None,
        db: Any = None,
        dz: Any = None,
        dh: Any = None,
        dx: Any = None,
        delta: Any = None,
        tolerance: str | float | None = None,
        learning_rate: float | None = None,
        dataset_size: int | None = None,
    ) -> GradientsReport:
        """Compares your own gradients of the same pass with the right ones: `g.check(dW={2: mine}, delta=d)`.

        Args:
            dW: Gradients of weights by layer, `{2: mine}`, or a list of all of them, layer 1 first; [nᵢ, nᵢ₋₁] each.
            db: Gradients of biases, likewise; [nᵢ] each.
            dz: Gradients of pre-activations, likewise; [m, nᵢ] each.
            dh: Gradients of activations, likewise; [m, nᵢ] each.
            dx: Gradient of the inputs, [m, n₀].
            delta: δ = ∂l/∂zᴸ, with the factor 1/m of a mean loss, [m, n_L].
            tolerance: "exact" (1e-7, the default), "float32" (1e-4), "finite_difference" (1e-2), or a relative error.
            learning_rate: Learning rate of your code, to recognize gradients computed after the update.
            dataset_size: Number of samples that the batch was drawn from, to recognize 1/N in place of 1/m.

        Returns:
            The results, if all are right: they may still have advice.

        Raises:
            WrongGradients: an AssertionError whose text names the mistake and the wrong entries.
            InvalidArray: an array cannot be sent; a wrong shape or NaN is a wrong gradient, not an error.
        """
        report = self.grade(
            dW=dW,
            db=db,
            dz=dz,
            dh=dh,
            dx=dx,
            delta=delta,
            tolerance=tolerance,
            learning_rate=learning_rate,
            dataset_size=dataset_size,
        )
        report.raise_if_wrong()
        return report

    def grade(
        self,
        *,
        dW: Any = None,
        db: Any = None,
        dz: Any = None,
        dh: Any = None,
        dx: Any = None,
        delta: Any = None,
        tolerance: str | float | None = None,
        learning_rate: float | None = None,
        dataset_size: int | None = None,
    ) -> GradientsReport:
        """Like `check`, but returns the results of wrong gradients, too."""
        tensors = _grading.submitted(dW=dW, db=db, dz=dz, dh=dh, dx=dx, delta=delta)
        samples = self._samples()
        last: GradientsReport | None = None
        for target in self._targets():
            call = _requests.grade_gradients(target, samples, tensors, tolerance, learning_rate, dataset_size)
            last = self._caller.call(call)
            if last.weights_digest == self.weights_digest:
                return last
        raise self._moved_on(last.step if last else None)

    def explain(
        self, entry: str, row: int = 1, column: int = 0, *, expand: str = "none", max_terms: int | None = None
    ) -> Explanation:
        """Why an entry of the pass has its value: `g.explain("dW2", 2, 3)`.

        Args:
            entry: "dW2", "db1", "dz2", "dh1", "z1", "h2", "dx" or "delta".
            row: Row from 1: a sample, or a unit for dW and db.
            column: Column from 1; may be left out if there is only one.
            expand: "none", "chain" (the chain rule down to δ) or "leaves" (down to inputs, targets and weights).
            max_terms: Maximum number of terms of a sum, default 32; the others become one number.

        Raises:
            InvalidRequest: there is no such entry; `fields` says which are.
        """
        last = 0
        for target in self._targets():
            call = _requests.explain(target, self._batch, entry, row, column, expand, max_terms)
            explanation, digest = self._caller.call(call)
            if digest == self.weights_digest:
                return explanation
            last = explanation.step
        raise self._moved_on(last)

    def _with(self, changes: Mapping[str, float]) -> Gradients:
        """The same pass by a copy of the network that has other numbers in some places: see `_changed`."""
        network, batch = self._changed(changes)
        call = _requests.gradients_of_copy(network, self._spec, batch)
        return Gradients(self._caller, self._caller.call(call), self._model, self._spec, batch)

    def _targets(self) -> list[dict[str, Any]]:
        """The network by its name, then by its weights: the model may have moved on since."""
        inline = self._inline() if "dataset" not in self._batch else None
        by_name: list[dict[str, Any]] = [{"model": self._model}]
        return by_name if inline is None else [*by_name, {"inline": inline}]

    def _moved_on(self, step: int | None) -> Error:
        return Error(
            f"these gradients are of step {self.step}, and the model is at step {step} now: call net.gradients(…) again, or "
            "without include, so that they hold the weights that they belong to"
        )

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("Gradients", "pass its arrays, such as g.dW[2]")
