"""Where everything begins: a server on this machine, or one elsewhere."""

# Written by python/tools/mirror.py from aio/_entry.py: do not edit.

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ._address import read_target
from ._calls import TIMEOUT
from ._grading import GradientsReport, Report
from ._hand_in import grade_files, is_file
from ._local import start_local
from ._caller import Caller, in_thread
from ._lab import Lab, open_lab
from ._network import Network


def connect(
    url: str,
    *,
    token: str | None = None,
    ca: str | os.PathLike[str] | bytes | None = None,
    certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    session: str | None = None,
    timeout: float | None = TIMEOUT,
) -> Lab:
    """Connects to a server.

    Args:
        url: "https://lab.uni.edu:50051", or "host:port" for plain http.
        token: Your token; default that of BACKPROPD_TOKEN or BACKPROPD_TOKEN_FILE. It is sent over https, or to this machine.
        ca: Certificate authorities to trust, as a path or as PEM; default the variable BACKPROPD_CA, else gRPC's own.
        certificate: Paths of your certificate and its key, if the server identifies its clients by them.
        session: Name of a session to use, which is made if there is none; default a fresh one.
        timeout: Seconds that a call may take, but for runs and watches; None = any time.

    Raises:
        Unreachable: no server answers there.
        InvalidAddress: the address, the token or the certificates cannot be used.
        WrongServer: what answers is no backpropd, or lacks what this package needs.
    """
    target = read_target(url, token, ca, certificate)
    return open_lab(Caller(target, timeout), session)


def local(
    data_dir: str | os.PathLike[str] | None = None, *, session: str | None = None, timeout: float | None = TIMEOUT
) -> Lab:
    """A lab on a server on this machine, which ends with this process. It is started once, and used by all labs of its folder.

    Args:
        data_dir: Folder in which networks are kept; default: in memory alone.
        session: Name of a session to use, which is made if there is none; default a fresh one.
        timeout: Seconds that a call may take, but for runs and watches; None = any time.

    Raises:
        NotStarted: the program is missing, or did not start; the message says what to do.
    """
    address = in_thread(start_local, data_dir)
    return open_lab(Caller(read_target(address, token=""), timeout), session)


def grade(
    assignment: str,
    answers: Mapping[str, str] | str | os.PathLike[str],
    *,
    reveal: str = "mistake",
    student: str = "",
    lab: Lab | None = None,
) -> Report:
    r"""Grades formulas in LaTeX or plain text: `bp.grade("hw-backprop", {"1.1": r"\delta h^2_{1,1}"})["1.1"].verdict`.

    Args:
        assignment: Id of an assignment, such as "hw-backprop", or path of a .toml file with one.
        answers: Formulas by the id of their question, or path of a hand-in: .json, .toml, .tex or .pdf.
        reveal: "verdict", "mistake", "hints" or "reference": how much the report says.
        student: Name of the student, for the report and its receipt.
        lab: Whose server grades; default: this machine.

    Raises:
        NotFound: there is no such assignment.
        InvalidHandIn: the file cannot be read; the message says why.
    """
    if isinstance(answers, Mapping) and not is_file(assignment):
        lab = lab if lab is not None else local()
        return lab.grade(str(assignment), answers, reveal=reveal, student=student)
    return in_thread(grade_files, assignment, answers, reveal=reveal, student=student)


def grade_gradients(
    net: Network,
    x: Any,
    y: Any,
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
    """The results for your own gradients of a network, right or wrong. The arguments are those of `net.grade_gradients`."""
    return net.grade_gradients(
        x,
        y,
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
