"""A progress bar for runs: tqdm's, if it is installed."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Shows how far a run is."""

    def __init__(self, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._bar: Any = None
        self._done = 0
        self._shown_at = 0.0

    def show(self, planned: int, steps: Any) -> None:
        """Adds the steps of a message."""
        if not self._is_shown or not len(steps):
            return
        if self._bar is None:
            self._bar = _bar(planned)
        self._done += len(steps)
        now = time.monotonic()
        if now - self._shown_at > 0.05 or self._done >= planned:
            self._shown_at = now
            self._bar.set_postfix_str(f"loss={steps[-1].loss:.4g}", refresh=False)
            self._bar.update(self._done - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
            self._bar.close()
            self._bar = None


def _bar(planned: int) -> Any:
    try:
        import warnings

        with warnings.catch_warnings():
            # Without ipywidgets, tqdm.auto warns and shows text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
        return tqdm(total=planned, unit="step")
    except ImportError:
        return _Line(planned)


class _Line:
    """A line on standard error, without tqdm."""

    def __init__(self, total: int) -> None:
        self.n = 0
        self._total = total
        self._note = ""

    def set_postfix_str(self, note: str, refresh: bool = True) -> None:
        self._note = note

    def update(self, steps: int) -> None:
        self.n += steps
        sys.stderr.write(f"\r{self.n} of {self._total} steps, {self._note} ")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\n")
