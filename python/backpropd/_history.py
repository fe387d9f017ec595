"""What a network's runs have reported: the loss of every step, and figures on held-out samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _messages as pb
from ._arrays import Array

_PENDING = 1 << 17
"""Steps after which messages become arrays: a message takes twice the memory."""


class Step:
    """One step of a run: one update of all parameters."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics

    @property
    def step(self) -> int:
        """The model's step after the update; 1 for its first one."""
        return self._metrics.step  # type: ignore[no-any-return]

    @property
    def epoch(self) -> int:
        """Epoch, from 1."""
        return self._metrics.epoch  # type: ignore[no-any-return]

    @property
    def loss(self) -> float:
        """Loss of the mini-batch before the update."""
        return self._metrics.loss  # type: ignore[no-any-return]

    @property
    def accuracy(self) -> float | None:
        """Fraction of the mini-batch that was classified correctly before the update; None for a regression."""
        return self._metrics.accuracy if self._metrics.HasField("accuracy") else None

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient of all parameters, before clipping."""
        return self._metrics.gradient_norm  # type: ignore[no-any-return]

    @property
    def learning_rate(self) -> float:
        """Learning rate of this step, with the schedule applied."""
        return self._metrics.learning_rate  # type: ignore[no-any-return]

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient norm are finite numbers."""
        return not self._metrics.non_finite

    def __repr__(self) -> str:
        accuracy = "" if self.accuracy is None else f", accuracy={self.accuracy:.4g}"
        return f"Step(step={self.step}, epoch={self.epoch}, loss={self.loss:.6g}{accuracy})"


@dataclass(frozen=True)
class HeldOut:
    """Figures on the held-out samples after a step."""

    step: int
    """The model's step."""
    epoch: int
    """Epoch, from 1."""
    loss: float
    accuracy: float | None
    """Fraction of the samples that is classified correctly; None for a regression."""
    r2: float | None
    """Coefficient of determination, averaged over the outputs; None for a classification."""
    is_best: bool
    """Whether the loss is the smallest of the run so far."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reason: str
    """"finished", "patience", "stopped" and so on."""
    steps_done: int
    """Number of steps committed for it."""
    step: int
    """The model's step at its end."""
    final_loss: float | None
    """Loss of its last step, before the update; None if it is not known."""
    weights_digest: str
    """BLAKE3 digest of the parameters; "" if it is not known."""
    metrics_dropped: int
    """Number of steps without metrics, because they were read slower than the model trained."""
    durable_step: int | None
    """The last step that would survive a crash of the server; None on a server without a data folder."""
    best_step: int | None
    """The step with the smallest held-out loss; None without held-out samples."""


def read_held_out(message: Any) -> HeldOut:
    """The figures of a HeldOutMetrics."""
    return HeldOut(
        step=message.step,
        epoch=message.epoch,
        loss=message.loss,
        accuracy=message.accuracy if message.HasField("accuracy") else None,
        r2=message.determination if message.HasField("determination") else None,
        is_best=message.is_best,
    )


def read_completed(message: Any) -> Outcome:
    """The outcome of a Completed."""
    return Outcome(
        reason=pb.STOP_REASON.word(message.stop_reason),
        steps_done=message.steps_done,
        step=message.step,
        final_loss=message.final_loss,
        weights_digest=message.weights_digest,
        metrics_dropped=message.metrics_dropped,
        durable_step=message.durable_step if message.HasField("durable_step") else None,
        best_step=message.best_step if message.HasField("best_step") else None,
    )


_COLUMNS = ("step", "epoch", "loss", "accuracy", "gradient_norm", "learning_rate")


class _Metrics:
    """The metrics of one run, as messages first and as an array of `_COLUMNS` when they are many or asked for."""

    def __init__(self) -> None:
        self._table: Array = np.empty((0, len(_COLUMNS)))
        self._pending: list[Any] = []
        self._count = 0

    def add(self, steps: Any) -> None:
        self._pending.append(steps)
        self._count += len(steps)
        if self._count > _PENDING:
            self.table()

    def table(self) -> Array:
        if self._pending:
            pending, self._pending, self._count = self._pending, [], 0
            nan = float("nan")
            rows = [
                (s.step, s.epoch, s.loss, s.accuracy if s.HasField("accuracy") else nan, s.gradient_norm, s.learning_rate)
                for steps in pending
                for s in steps
            ]
            self._table = np.concatenate([self._table, np.array(rows, np.float64).reshape(-1, len(_COLUMNS))])
        return self._table

    def keep_up_to(self, step: int) -> None:
        table = self.table()
        self._table = table[table[:, 0] <= step]

    def __len__(self) -> int:
        return len(self._table) + self._count


class History:
    """The metrics of the runs that this object has started, in their order: an entry for each reported step."""

    def __init__(self) -> None:
        self._runs: list[_Metrics] = []
        self.held_out: list[HeldOut] = []
        """Figures on held-out samples, in the order of the steps."""
        self.outcomes: list[Outcome] = []
        """How each run ended, in order."""

    @property
    def steps(self) -> Array:
        """The model's step after each update, integers."""
        return self._column("step").astype(np.int64)

    @property
    def epochs(self) -> Array:
        """Epoch of each step, from 1 in each run, integers."""
        return self._column("epoch").astype(np.int64)

    @property
    def losses(self) -> Array:
        """Loss of each step's mini-batch before the update."""
        return self._column("loss")

    @property
    def accuracies(self) -> Array:
        """Accuracy of each step's mini-batch before the update; NaN for a regression."""
        return self._column("accuracy")

    @property
    def gradient_norms(self) -> Array:
        """Norm of each step's gradient, before clipping."""
        return self._column("gradient_norm")

    @property
    def learning_rates(self) -> Array:
        """Learning rate of each step."""
        return self._column("learning_rate")

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def __repr__(self) -> str:
        if not len(self):
            return "History(no steps)"
        losses = self.losses
        return f"History({len(self)} steps, loss {losses[0]:.6g} → {losses[-1]:.6g})"

    def _repr_html_(self) -> str:
        from ._display import history_html

        return history_html(self)

    def plot(self, ax: Any = None, *, log: bool = True) -> Any:
        """Draws the loss over the steps, and the held-out loss beside it; returns matplotlib's axes.

        Args:
            ax: Axes to draw into; default new ones.
            log: Whether the axis of the loss is logarithmic, where every loss is above 0.

        Raises:
            ImportError: matplotlib is missing: `pip install "backpropd[plot]"`.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError('history.plot() needs matplotlib: pip install "backpropd[plot]"') from None
        if ax is None:
            ax = plt.subplots()[1]
        losses = self.losses
        ax.plot(self.steps, losses, label="loss", linewidth=1)
        if self.held_out:
            ax.plot([h.step for h in self.held_out], [h.loss for h in self.held_out], ".-", label="held-out loss")
            ax.legend()
        ax.set_xlabel("step")
        ax.set_ylabel("loss")
        if log and len(losses) and (losses > 0).all() and all(h.loss > 0 for h in self.held_out):
            ax.set_yscale("log")
        return ax

    def _column(self, name: str) -> Array:
        at = _COLUMNS.index(name)
        columns = [run.table()[:, at] for run in self._runs]
        return np.concatenate(columns) if columns else np.empty(0)

    def _start(self) -> _Metrics:
        run = _Metrics()
        self._runs.append(run)
        return run


def read_history(reply: Any) -> History:
    """The metrics of a GetRunResponse."""
    history = History()
    history._start().add(reply.metrics)
    history.held_out.extend(map(read_held_out, reply.held_out))
    return history
