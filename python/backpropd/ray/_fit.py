"""Data-parallel training, in which the number of workers changes no bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _messages as pb
from .. import _requests
from .._arrays import Array, matrix, numbers
from .._batch import Dataset, Rows
from .._calls import Call, identity, new_id
from .._errors import Error, InvalidArray
from .._history import HeldOut, History, Outcome
from .._network import Network
from .._progress import Progress
from .._reasons import Diverged
from .._results import Applied, read_applied
from ._cluster import load_ray, plan_workers
from ._order import batch_rows
from ._sums import Leaves, Sum, cut, gradient_set, terms_of, tree_sum
from ._worker import Worker


def fit(
    net: Network,
    x: Any,
    y: Any = None,
    *,
    micro_batches: int = 16,
    workers: int | None = None,
    num_cpus: float | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    shuffle_seed: int | None = None,
    learning_rate: float | None = None,
    held_out: Any = None,
    progress: bool = False,
) -> History:
    """Trains a network on the workers of a Ray cluster, and returns `net.history`, like `net.fit`.

    Each step's batch is cut into `micro_batches` parts. Workers compute the gradients of the parts, each on a server of its
    own. Their sum is taken in an order that follows from `micro_batches` alone, and the network's server takes the step with
    its optimizer. So the weights have the same bits for any number of workers, and when a worker dies and its part is computed
    again, on machines with the same kind of processor. The steps visit the rows that `net.fit` visits; the weights differ from
    its own by rounding, because sums are taken in another order.

    Args:
        net: The network. Only this process calls its server, which may be that of `bp.local()`.
        x: Inputs, [m, n₀], or a Ray dataset with the columns "x" and "y". They have to fit into the memory of each node.
        y: Targets, [m, n_L], or the class of each sample.
        micro_batches: Number of parts of a batch. Another number is another order of sums.
        workers: Number of workers, at most `micro_batches`; default one for each free CPU.
        num_cpus: CPUs of a worker; default 1, or less on a cluster with fewer.
        steps: Number of steps; at most one of steps and epochs. Default: one step.
        epochs: Number of passes over the samples.
        batch_size: Number of samples per step; default all.
        shuffle_seed: Seed for shuffling the samples, anew in each epoch; default: the given order.
        learning_rate: Learning rate of this run, in place of the optimizer's.
        held_out: Samples to evaluate on after each epoch: (x, y), or rows of a dataset.
        progress: Whether to show a progress bar (tqdm, if it is installed).

    Raises:
        ImportError: ray is not installed.
        InvalidArray: x or y cannot be sent.
        Diverged: a gradient or the next weights would not be finite; the network keeps the last ones.
        StepMismatch: another client changed the network.
    """
    ray = load_ray()
    inputs, targets = _samples(ray, x, y)
    planned = _planned(len(inputs), steps, epochs, batch_size, micro_batches)
    parts = min(micro_batches, batch_size or len(inputs), len(inputs))
    cluster_cpus = ray.cluster_resources().get("CPU", 1)
    plan = plan_workers(workers, num_cpus, cluster_cpus=cluster_cpus, spare_cpus=0)
    spec = net._caller.call(Call("GetModel", pb.GetModelRequest(name=net.name), identity)).model.spec.SerializeToString()
    actor = ray.remote(Worker).options(num_cpus=plan.num_cpus, max_restarts=-1, max_task_retries=-1)
    actors = [actor.remote(spec, plan.threads) for _ in range(min(plan.count, parts))]
    run = _Run(net, held_out, _Feed(ray, actors, ray.put(inputs), ray.put(targets)), learning_rate, Progress(progress))
    try:
        run.take(batch_rows(len(inputs), batch_size, shuffle_seed, planned), planned, parts)
    finally:
        for worker in actors:
            ray.kill(worker)
    return net.history


def _samples(ray: Any, x: Any, y: Any) -> tuple[Array, Array]:
    if isinstance(x, (Dataset, Rows)):
        raise InvalidArray(
            f"x is {type(x).__name__} of the network's server, and workers have servers of their own: give arrays"
        )
    if isinstance(x, ray.data.Dataset):
        if y is not None:
            raise InvalidArray('a Ray dataset has its own y, as a column "y": leave y out')
        blocks = _blocks(x)
        missing = [name for name in ("x", "y") if not blocks or name not in blocks[0]]
        if missing:
            found = ", ".join(map(repr, blocks[0])) if blocks else "no rows"
            raise InvalidArray(f"the Ray dataset has {found}: it needs the columns 'x' and 'y'")
        x, y = (np.concatenate([_stacked(block[name]) for block in blocks]) for name in ("x", "y"))
    inputs, targets = matrix("x", x), numbers("y", y)
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise InvalidArray(f"y has the shape {targets.shape}, and x has {len(inputs)} rows: y has one for each of them")
    return np.ascontiguousarray(inputs), np.ascontiguousarray(targets)


def _blocks(dataset: Any) -> list[dict[str, Array]]:
    """The rows in the order of the dataset, whichever task ends first."""
    options = dataset.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        return list(dataset.iter_batches(batch_size=None, batch_format="numpy"))
    finally:
        options.preserve_order = before


def _stacked(column: Array) -> Array:
    """A column of lists as a matrix."""
    return np.stack([np.asarray(entry) for entry in column]) if column.dtype == object else column


def _planned(rows: int, steps: int | None, epochs: int | None, batch_size: int | None, micro_batches: int) -> int:
    """The number of steps."""
    if steps is not None and epochs is not None:
        raise ValueError(f"steps is {steps} and epochs is {epochs}: give one of them")
    counts = {"steps": steps, "epochs": epochs, "batch_size": batch_size, "micro_batches": micro_batches}
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} is {count}: it is at least 1")
    if epochs is None:
        return steps or 1
    return epochs * -(-rows // min(batch_size or rows, rows))


@dataclass(frozen=True)
class _Feed:
    """The workers, and the samples in the object store."""

    ray: Any
    actors: list[Any]
    x: Any
    y: Any

    def sum(self, step: int, parameters: Any, rows: Array, micro_batches: int) -> Sum:
        """The sum over all micro-batches of a step."""
        stored, chosen = self.ray.put(parameters), self.ray.put(rows)
        shares = cut(micro_batches, len(self.actors))
        replies = [
            worker.sums.remote(step, stored, self.x, self.y, chosen, micro_batches, share)
            for worker, share in zip(self.actors, shares, strict=False)
        ]
        try:
            answers = self.ray.get(replies)
        except self.ray.exceptions.RayTaskError as error:
            # As it was raised there, without Ray's frames.
            raise error.cause from None
        known: dict[Leaves, Sum] = {}
        for share, sums in zip(shares, answers, strict=True):
            known.update(zip(share, sums, strict=True))
        return tree_sum((0, micro_batches), known.get)


class _Run:
    """The steps of a run, and what `net.history` notes of them."""

    def __init__(self, net: Network, held_out: Any, feed: _Feed, learning_rate: float | None, progress: Progress) -> None:
        self._net = net
        self._spec = net.spec
        self._held_out = held_out
        self._feed = feed
        self._learning_rate = learning_rate
        self._progress = progress
        self._metrics = net.history._start()
        self._step = net.step
        self._done = 0
        self._loss: float | None = None
        self._applied: Applied | None = None
        self._best = np.inf

    def take(self, batches: Iterator[tuple[int, Array]], planned: int, micro_batches: int) -> None:
        """Takes all steps."""
        reason = "stopped"
        try:
            before = 1
            for index, (epoch, rows) in enumerate(batches):
                if epoch != before:
                    self._evaluate(before)
                    before = epoch
                self._advance(epoch, rows, min(micro_batches, len(rows)), is_last=index + 1 == planned)
                self._progress.show(planned, [self._shown])
            self._evaluate(before)
            reason = "finished"
        except Error as error:
            reason = error.reason.lower() or "unreachable"
            error.details.setdefault("steps_done", str(self._done))
            raise
        finally:
            self._progress.close()
            self._net.history.outcomes.append(self._outcome(reason))

    def _advance(self, epoch: int, rows: Array, micro_batches: int, *, is_last: bool) -> None:
        net = self._net
        parameters = net._caller.call(_requests.parameters(net.name, self._spec))
        total = self._feed.sum(self._done, parameters, rows, micro_batches)
        terms = total.rows * terms_of(self._spec)
        share = 1 / terms if self._spec.reduction == "mean" else 1.0
        if not np.isfinite(total.gradient).all():
            raise Diverged(
                f"the gradient of step {self._step + 1} is not finite: the network keeps the weights of step {self._step}. A "
                "smaller learning rate, or clip_norm, can help",
                reason="DIVERGED",
                details={"step": str(self._step)},
            )
        request = pb.ApplyGradientsRequest(
            model=net.name,
            gradients=[gradient_set(self._spec, total.gradient, share)],
            request_id=new_id(),
            expected_step=self._step,
            # One sync at the end, as at the end of a run of the server.
            durability=pb.DURABILITY.number("durability", "durable" if is_last else "relaxed"),
            skip_digest=not is_last,
        )
        pb.put(request, "learning_rate", self._learning_rate)
        self._applied = applied = net._caller.call(Call("ApplyGradients", request, read_applied))
        self._step, self._done, self._loss = applied.step, self._done + 1, total.loss * share
        self._shown = pb.StepMetrics(
            step=applied.step,
            epoch=epoch,
            loss=self._loss,
            accuracy=total.right / terms if self._spec.loss in ("cross_entropy", "binary_cross_entropy") else None,
            gradient_norm=applied.gradient_norm,
            learning_rate=applied.learning_rate,
        )
        self._metrics.add([self._shown])

    def _evaluate(self, epoch: int) -> None:
        if self._held_out is None:
            return
        samples = (self._held_out,) if isinstance(self._held_out, (Dataset, Rows)) else tuple(self._held_out)
        found = self._net.evaluate(*samples)
        is_best = found.loss < self._best
        self._best = min(self._best, found.loss)
        figures = HeldOut(self._step, epoch, found.loss, found.accuracy, found.r2, is_best)
        self._net.history.held_out.append(figures)

    def _outcome(self, reason: str) -> Outcome:
        applied = self._applied
        return Outcome(
            reason=reason,
            steps_done=self._done,
            step=self._step,
            final_loss=self._loss,
            weights_digest=applied.weights_digest if applied else "",
            metrics_dropped=0,
            durable_step=applied.durable_step if applied else None,
            best_step=None,
        )
