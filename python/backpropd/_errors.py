"""What can go wrong, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping


class Error(Exception):
    """Every error of backpropd, by the server's reason: `except bp.Diverged`, or `except bp.Error` for all of them."""

    reason: str
    """The server's reason, such as "STEP_MISMATCH"; "" for an error that the server did not send."""
    message: str
    """The whole message: what was given, what is allowed, what to do."""
    fields: dict[str, str]
    """What is wrong with each field of the request that is invalid."""
    details: dict[str, str]
    """Facts about the case, such as "step"."""
    retry_after: float | None
    """Seconds after which a retry can succeed; None if a retry cannot help."""

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        details: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.fields = dict(fields or {})
        self.details = dict(details or {})
        self.retry_after = retry_after

    @property
    def steps_done(self) -> int | None:
        """Number of steps that the run committed before it ended early; None if no run ended."""
        return self._number("steps_done")

    @property
    def step(self) -> int | None:
        """The model's step, where the error is about one."""
        return self._number("step")

    def _number(self, fact: str) -> int | None:
        text = self.details.get(fact, "")
        return int(text) if text.lstrip("-").isdecimal() else None

    def __reduce__(self) -> tuple[object, ...]:
        state = {"reason": self.reason, "fields": self.fields, "details": self.details, "retry_after": self.retry_after}
        return (_restored, (type(self), self.message, state))


def _restored(kind: type[Error], message: str, state: dict[str, object]) -> Error:
    """An error in another process."""
    error = kind.__new__(kind)
    Error.__init__(error, message)
    error.__dict__.update(state)
    return error


class LimitReached(Error):
    """A limit of the server, for good or for now: `retry_after` says which."""


class PermissionDenied(Error):
    """The caller may not do this."""


class Unauthenticated(Error):
    """The server needs to know who calls."""


class Unavailable(Error):
    """The server does not answer, or cannot do this now."""


class Unreachable(Unavailable):
    """No server answers at the address, or the connection broke and was not restored."""


class WrongServer(Error):
    """The server at the address lacks what this package needs: it has another version, or is no backpropd."""


class NotStarted(Error):
    """The server on this machine did not start: the program is missing, or it refused."""


class InvalidAddress(Error, ValueError):
    """The address, or what goes with it, cannot be used to connect."""


class InvalidArray(Error, ValueError):
    """An array that is no tensor: its shape or its entries cannot be sent."""


class InvalidModule(Error, ValueError):
    """A module of another library that no network can be."""


class ForkedConnection(Error):
    """The connection was opened in the parent process."""


class InvalidHandIn(Error, ValueError):
    """A file of answers, or an assignment, that cannot be read."""


class WrongGradients(AssertionError):
    """`g.check(…)` found gradients that are wrong. Its text has the server's message on each."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report
        """The whole result, a `GradientsReport`."""

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (str(self), self.report))
