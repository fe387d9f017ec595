"""What calls return: models, evaluations, checks, explanations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from . import _messages as pb
from ._arrays import Array, from_tensor
from ._layers import NAMES, key
from ._spec import Spec, read_spec


@dataclass(frozen=True)
class ServerInfo:
    """The server of a connection."""

    address: str
    """"HOST:PORT"."""
    version: str
    """Version of backpropd, such as "0.1.0"."""
    compute_threads: int
    prng: str
    """Name of the random number generator for seeds: the same name guarantees the same numbers."""
    sessions: int
    models: int


@dataclass(frozen=True)
class SessionInfo:
    """A session: a lease that contains models."""

    name: str
    """"sessions/{session}"."""
    model_count: int
    created: datetime
    expires: datetime
    """When it expires, unless a call renews it."""
    access: str
    """"full" or "compare_only"."""
    owner: str
    """The person who created it; "" without identities."""


@dataclass(frozen=True)
class ModelInfo:
    """A model on the server, as of one moment."""

    name: str
    """"sessions/{session}/models/{model}"."""
    spec: Spec
    step: int
    """Number of committed steps."""
    weights_digest: str
    """BLAKE3 digest of shapes and parameters: equal digests mean equal bits."""
    parameter_count: int
    created: datetime
    updated: datetime
    training: bool
    """Whether a run is in progress or queued."""
    access: str
    """"full" or "compare_only"."""
    durable_step: int | None
    """The last step that would survive a crash of the server; None on a server without a data folder."""


@dataclass(frozen=True)
class RunInfo:
    """A run of training, in progress or ended."""

    name: str
    """"sessions/{session}/models/{model}/runs/{run}"."""
    request_id: str
    state: str
    """"running", "finished", "stopped", "diverged" and so on."""
    first_step: int
    """The model's step before the run's first update."""
    planned_steps: int
    steps_done: int
    last_loss: float | None
    """Loss of the last step, before its update; None before the first one."""
    started: datetime
    ended: datetime | None
    """None while it is in progress."""


@dataclass(frozen=True)
class Applied:
    """One step taken with given gradients."""

    step: int
    """The model's step after the update."""
    gradient_norm: float
    """Norm of the summed gradient, before clipping."""
    learning_rate: float
    """Learning rate of the step, with the schedule applied."""
    weights_digest: str
    durable_step: int | None


@dataclass(frozen=True)
class Evaluation:
    """A network's outputs compared with targets."""

    loss: float
    accuracy: float | None
    """Fraction of the samples that is classified correctly; None for a regression."""
    confusion_matrix: Array | None
    """Number of samples of each true class (row) and predicted class (column), if asked for."""
    losses: Array | None
    """Loss of each sample, [m], if asked for."""
    r2: float | None
    """Coefficient of determination, averaged over the outputs; None for a classification."""
    r2_per_output: tuple[float, ...]
    rows: int
    """Number of samples, m."""
    step: int
    """Step of the weights used."""

    def __repr__(self) -> str:
        figures = {"loss": self.loss, "accuracy": self.accuracy, "r2": self.r2}
        shown = ", ".join(f"{name}={value:.6g}" for name, value in figures.items() if value is not None)
        return f"Evaluation({shown}, rows={self.rows}, step={self.step})"


@dataclass(frozen=True)
class CheckedEntry:
    """An entry of a gradient, by the backward pass and by central differences."""

    key: str
    """"dW2", "db1" or "dx"."""
    index: tuple[int, ...]
    """Row and column, from 1; one number for a bias."""
    analytic: float
    numeric: float
    relative_error: float


@dataclass(frozen=True)
class GradientCheck:
    """The backward pass compared with central differences of the loss."""

    passed: bool
    worst: CheckedEntry | None
    """The entry with the largest relative error; None if no entry was compared."""
    checked: dict[str, int]
    """Number of compared entries of each tensor: {"dW1": 12, …}."""
    skipped: int
    """Number of entries next to a kink of ReLU, where no difference is right."""
    step: int

    def __bool__(self) -> bool:
        return self.passed


@dataclass(frozen=True)
class Factor:
    """A factor of a term."""

    text: str
    """"W³₁₂"."""
    latex: str
    value: float
    kind: str
    """"entry", "mask", "slope", "activation", "residual", "probability" or "constant"."""
    key: str
    """The quantity that it is an entry of or depends on, such as "W3"; "" for a constant."""
    row: int
    """Row of that entry, from 1; 0 for a constant."""
    column: int
    """Column of that entry, from 1; 0 for a constant."""


@dataclass(frozen=True)
class Term:
    """A product."""

    factors: tuple[Factor, ...]
    value: float


@dataclass(frozen=True)
class Equation:
    """A value as a sum of products."""

    text: str
    """"dW²₂₃ = dz²₁₂·h¹₁₃ + … = −0.0844"."""
    latex: str
    numbers: str
    """The right side with the values of the factors."""
    numbers_latex: str
    value: float
    """The value, with the bits that `gradients` returns."""
    terms: tuple[Term, ...]
    folded_terms: int
    """Number of terms that `terms` leaves out."""
    folded_value: float
    """Sum of these terms."""
    sum_of_terms: float


@dataclass(frozen=True)
class Explanation:
    """Why an entry of a gradient has its value."""

    equations: tuple[Equation, ...]
    """The equation of the entry; with expand="leaves", then those of its factors."""
    unexplained: int
    """Number of factors that would be explained further, but for limits."""
    step: int

    @property
    def value(self) -> float:
        """The entry."""
        return self.equations[0].value

    @property
    def text(self) -> str:
        """The equations in plain text, each with the values of its factors below it."""
        lines: list[str] = []
        for equation in self.equations:
            lines.append(equation.text)
            if equation.numbers:
                lines.append(f"  {equation.numbers}")
        return "\n".join(lines)

    @property
    def latex(self) -> str:
        """The equations in LaTeX, for display."""
        rows = [equation.latex for equation in self.equations]
        numbers = [equation.numbers_latex for equation in self.equations[:1] if equation.numbers_latex]
        return "\\begin{gathered}" + " \\\\ ".join([rows[0], *(f"= {n}" for n in numbers), *rows[1:]]) + "\\end{gathered}"

    def __repr__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def read_server(reply: Any, address: str) -> ServerInfo:
    """The server of a GetServerInfoResponse."""
    return ServerInfo(address, reply.version, reply.compute_threads, reply.prng, reply.sessions, reply.models)


def _time(stamp: Any) -> datetime:
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, timezone.utc)


def read_session(session: Any) -> SessionInfo:
    """The session that a reply describes."""
    return SessionInfo(
        name=session.name,
        model_count=session.model_count,
        created=_time(session.create_time),
        expires=_time(session.expire_time),
        access=pb.ACCESS.word(session.access),
        owner=session.owner,
    )


def read_model(model: Any) -> ModelInfo:
    """The model that a reply describes."""
    return ModelInfo(
        name=model.name,
        spec=read_spec(model.spec),
        step=model.step,
        weights_digest=model.weights_digest,
        parameter_count=model.parameter_count,
        created=_time(model.create_time),
        updated=_time(model.update_time),
        training=model.training,
        access=pb.ACCESS.word(model.access),
        durable_step=model.durable_step if model.HasField("durable_step") else None,
    )


def read_run(run: Any) -> RunInfo:
    """The run that a reply describes."""
    return RunInfo(
        name=run.name,
        request_id=run.request_id,
        state=pb.RUN_STATE.word(run.state),
        first_step=run.first_step,
        planned_steps=run.planned_steps,
        steps_done=run.steps_done,
        last_loss=run.last_loss if run.HasField("last_loss") else None,
        started=_time(run.start_time),
        ended=_time(run.end_time) if run.HasField("end_time") else None,
    )


def read_applied(reply: Any) -> Applied:
    """The step of an ApplyGradientsResponse."""
    durable = reply.durable_step if reply.HasField("durable_step") else None
    return Applied(reply.step, reply.gradient_norm, reply.learning_rate, reply.weights_digest, durable)


def read_evaluation(reply: Any) -> Evaluation:
    """The figures of an EvaluateResponse."""
    matrix = reply.confusion_matrix
    classes = matrix.classes
    counts = np.array(matrix.counts, np.int64).reshape(classes, classes) if classes else None
    return Evaluation(
        loss=reply.loss,
        accuracy=reply.accuracy if reply.HasField("accuracy") else None,
        confusion_matrix=counts,
        losses=from_tensor(reply.per_sample_loss) if reply.HasField("per_sample_loss") else None,
        r2=reply.r2 if reply.HasField("r2") else None,
        r2_per_output=tuple(reply.r2_per_output),
        rows=reply.rows,
        step=reply.step,
    )


def read_check(reply: Any) -> GradientCheck:
    """The comparison of a CheckGradientsResponse."""
    worst = reply.worst
    entry = CheckedEntry(
        key=key(worst.quantity, worst.layer),
        index=tuple(worst.index),
        analytic=worst.analytic,
        numeric=worst.numeric,
        relative_error=worst.relative_error,
    )
    return GradientCheck(
        passed=reply.passed,
        worst=entry if reply.HasField("worst") else None,
        checked={key(tensor.quantity, tensor.layer): tensor.checked for tensor in reply.tensors},
        skipped=reply.skipped,
        step=reply.step,
    )


def read_explanation(reply: Any) -> Explanation:
    """The equations of an ExplainResponse."""
    return Explanation(tuple(_equation(equation) for equation in reply.equations), reply.unexplained, reply.step)


def _equation(message: Any) -> Equation:
    terms = tuple(Term(tuple(_factor(factor) for factor in term.factors), term.value) for term in message.terms)
    return Equation(
        text=message.text,
        latex=message.latex,
        numbers=message.numbers,
        numbers_latex=message.numbers_latex,
        value=message.value,
        terms=terms,
        folded_terms=message.folded_terms,
        folded_value=message.folded_value,
        sum_of_terms=message.sum_of_terms,
    )


def _factor(message: Any) -> Factor:
    entry = message.entry
    return Factor(
        text=message.text,
        latex=message.latex,
        value=message.value,
        kind=pb.FACTOR.word(message.kind),
        key=key(entry.quantity, entry.layer) if entry.quantity in NAMES else "",
        row=entry.row,
        column=entry.column,
    )
