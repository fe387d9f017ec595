"""A run of training, read step by step."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import AsyncGenerator
from typing import Any, NoReturn

from .._calls import refuse_pickling
from .._errors import Error
from .._history import Outcome, Step
from .._progress import Progress
from .._run import TrainingRun
from ._caller import Caller


class Run:
    """An iterator of a run's steps. It begins with the first of them; leaving the loop stops it."""

    def __init__(self, caller: Caller, run: TrainingRun, progress: Progress) -> None:
        self._caller = caller
        self._run = run
        self._progress = progress
        self._is_read = False
        self._is_live = False
        self._reading: AsyncGenerator[Any, None] | None = None
        self._given: weakref.ref[AsyncGenerator[Any, None]] | None = None

    def __aiter__(self) -> AsyncGenerator[Step, None]:
        # Leaving the loop drops the last reference to its generator, which stops the run.
        reading = self._reading or self._start()
        self._reading, self._given = None, weakref.ref(reading)
        return reading

    async def __anext__(self) -> Step:
        if self._reading is None:
            self._reading = self._start()
        return await self._reading.__anext__()

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended; None until then."""
        return self._run.outcome

    async def finish(self) -> Outcome | None:
        """Reads all steps to the end of the run, and returns how it ended."""
        self._is_read = True
        messages = self._messages()
        try:
            async for _ in messages:
                pass
        finally:
            await messages.aclose()
        return self._run.outcome

    async def aclose(self) -> None:
        """Stops the run after the step in progress, and waits for its end."""
        self._is_read = True
        reading = self._reading or (self._given() if self._given is not None else None)
        self._reading = None
        if reading is not None:
            await reading.aclose()
        while self._is_live:
            # Its loop was left, and its generator is on its way to the end.
            await self._caller.pause()

    def _start(self) -> AsyncGenerator[Step, None]:
        if self._is_read:
            raise Error("the steps of this run have been read: call net.train(…) for another run")
        self._is_read = True
        return self._steps()

    async def _steps(self) -> AsyncGenerator[Step, None]:
        messages = self._messages()
        try:
            async for steps in messages:
                for metrics in steps:
                    yield Step(metrics)
        finally:
            await messages.aclose()

    async def _messages(self) -> AsyncGenerator[Any, None]:
        """The metrics of the run, message by message, across a broken connection."""
        run = self._run
        self._is_live = True
        stream = self._caller.stream(run.call)
        try:
            while not run.is_over:
                try:
                    async for message in stream:
                        steps = run.take(message)
                        self._progress.show(run.planned_steps, steps)
                        if steps:
                            yield steps
                    if not run.is_over:
                        raise Error("the stream of the run ended before its outcome", retry_after=0.0)
                except Error as error:
                    await self._caller.wait(run.recover(error), error)
                    stream = self._caller.stream(run.call)
        finally:
            try:
                if not run.is_over:
                    await self._leave(stream)
                await stream.aclose()
            finally:
                self._progress.close()
                self._is_live = False

    async def _leave(self, stream: Any) -> None:
        """Stops the run, and notes the steps that it took ahead of the reader."""
        step = None
        try:
            step = await self._caller.call(self._run.stop_call)
            async for message in stream:
                self._run.take(message)
        except Error:
            # It ended another way, or the server is away: then the stream's end stops the run.
            pass
        finally:
            self._run.end_early(step)

    def __del__(self) -> None:
        if not getattr(self, "_is_read", True):
            warnings.warn(
                "net.train(…) takes no step until its steps are read: write `for step in net.train(…):`, or net.fit(…)",
                RuntimeWarning,
                stacklevel=2,
            )

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("Run", "read its steps where it was started")
