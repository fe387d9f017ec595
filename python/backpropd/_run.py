"""One run of training, across broken connections: what it has reported, and when it is sent again."""

from __future__ import annotations

from typing import Any

from . import _messages as pb
from ._calls import Call, Repeats, identity, new_id
from ._errors import Error
from ._history import HeldOut, History, Outcome, read_completed, read_held_out


class TrainingRun:
    """The state of a TrainBatch on this side. It neither sends nor waits."""

    def __init__(self, request: Any, history: History) -> None:
        if not request.request_id:
            request.request_id = new_id()
        self._request = request
        self._history = history
        self._metrics = history._start()
        self._repeats = Repeats(is_repeatable=True)
        self._committed = 0
        self.planned_steps = 0
        """Number of steps that the run takes in all."""
        self.outcome: Outcome | None = None
        """How the run ended; None until then."""
        self.error: Error | None = None
        """What ended the run early."""

    @property
    def call(self) -> Call[Any]:
        """The call whose stream reports the run."""
        return Call("TrainBatch", self._request, identity)

    @property
    def stop_call(self) -> Call[int]:
        """The call that stops the run, and returns the model's step at its end."""
        request = pb.StopTrainingRequest(model=self._request.model, request_id=self._request.request_id)
        return Call("StopTraining", request, lambda reply: int(reply.step))

    @property
    def is_over(self) -> bool:
        return self.outcome is not None or self.error is not None

    def take(self, message: Any) -> Any:
        """Notes a message of the stream, and returns the metrics of its steps."""
        event = message.WhichOneof("event")
        if event == "progress":
            steps = message.progress.steps
            self._metrics.add(steps)
            return steps
        if event == "started":
            self._start(message.started)
        elif event == "held_out":
            self._history.held_out.append(read_held_out(message.held_out))
        elif event == "completed":
            self._end(read_completed(message.completed))
        # A later server may send events that this version does not know.
        return ()

    def recover(self, error: Error) -> float:
        """Seconds to wait until the request is sent again.

        Raises:
            Error: `error`, if the run is over. Its `steps_done` and `step` have the committed steps.
        """
        if "steps_done" not in error.details and self._committed:
            error.details["steps_done"] = str(self._committed)
        try:
            return self._repeats.wait_after(error)
        except Error:
            self.error = error
            self._history.outcomes.append(_early(error))
            raise

    def end_early(self, step: int | None) -> None:
        """Notes that the reader left, and the step at which the server stopped."""
        if self.outcome is None:
            last = self._metrics.table()
            loss = float(last[-1, 2]) if len(last) else None
            reached = step if step is not None else int(last[-1, 0]) if len(last) else 0
            self._end(Outcome("stopped", len(last), reached, loss, "", 0, None, None))

    def _start(self, started: Any) -> None:
        self.planned_steps = started.planned_steps + started.resumed_steps
        # After a crash, steps that were reported but not committed are reported again.
        self._metrics.keep_up_to(started.step)
        held_out: list[HeldOut] = self._history.held_out
        while held_out and started.resumed_steps and held_out[-1].step > started.step:
            held_out.pop()
        if started.resumed_steps > self._committed:
            self._committed = started.resumed_steps
            self._repeats.restart()

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._history.outcomes.append(outcome)


def _early(error: Error) -> Outcome:
    return Outcome(
        reason=error.reason.lower() or "unreachable",
        steps_done=error.steps_done or 0,
        step=error.step or 0,
        final_loss=None,
        weights_digest="",
        metrics_dropped=0,
        durable_step=None,
        best_step=None,
    )
