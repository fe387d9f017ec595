"""What a watch reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._history import HeldOut, Outcome, Step, read_completed, read_held_out
from ._results import ModelInfo, read_model


@dataclass(frozen=True)
class Change:
    """One thing that happened to a model: exactly one of the fields below `kind` is set, but for "started"."""

    kind: str
    """"model", "started", "step", "held_out" or "completed"."""
    model: ModelInfo | None = None
    """The model when the watch began, and after a change that was no run."""
    planned_steps: int | None = None
    """Number of steps of the run that has started."""
    step: Step | None = None
    """A step of the run in progress."""
    held_out: HeldOut | None = None
    """An evaluation of the run in progress."""
    outcome: Outcome | None = None
    """How a run ended."""


def read_change(message: Any) -> list[Change]:
    """The changes of a message; none for an event that a later server has added."""
    event = message.WhichOneof("event")
    if event == "model":
        return [Change("model", model=read_model(message.model))]
    if event == "started":
        return [Change("started", planned_steps=message.started.planned_steps)]
    if event == "progress":
        return [Change("step", step=Step(metrics)) for metrics in message.progress.steps]
    if event == "held_out":
        return [Change("held_out", held_out=read_held_out(message.held_out))]
    if event == "completed":
        return [Change("completed", outcome=read_completed(message.completed))]
    return []
