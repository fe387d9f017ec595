"""A connection to a server, and a session on it."""

# Written by python/tools/mirror.py from aio/_lab.py: do not edit.

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import _messages as pb
from . import _requests, _spec
from ._batch import Dataset, batch_fields, read_dataset
from ._calls import Call, identity, new_id, refuse_pickling
from ._errors import Error
from ._grading import Assignment, Report, read_assignment, read_report, read_summary
from ._reasons import AlreadyExists
from ._results import ModelInfo, ServerInfo, SessionInfo, read_model, read_server, read_session
from ._spec import Layer, Optimizer, Parameters, Schedule
from ._torch import read_module
from ._caller import Caller
from ._network import Network


class Lab:
    """A connection to a server, and a session on it, in which networks and datasets live.

    Made by `bp.local()` and `bp.connect(…)`. It is a context manager, which closes the connection.
    """

    def __init__(self, caller: Caller, session: str) -> None:
        self._caller = caller
        self._session = session

    @property
    def address(self) -> str:
        """ "HOST:PORT" of the server."""
        return self._caller.address

    @property
    def session(self) -> str:
        """ "sessions/{session}": without identities, a client that knows it can use its networks."""
        return self._session

    @property
    def server(self) -> ServerInfo:
        """The server: its version, its threads, the number of its models."""
        return self._caller.call(server_info(self._caller))

    def model(
        self,
        sizes: Sequence[int | Layer],
        *,
        seed: int = 0,
        name: str | None = None,
        activation: str | Sequence[str] = "relu",
        output_activation: str = "linear",
        bias: bool = False,
        init: str | None = None,
        loss: str = "half_squared_error",
        reduction: str = "mean",
        optimizer: str | Optimizer = "sgd",
        learning_rate: float | None = None,
        schedule: Schedule | None = None,
        clip_norm: float = 0.0,
        dtype: Any = "float64",
        relu_at_zero: int = 1,
        parameters: Parameters | None = None,
        access: str = "full",
        compare: tuple[Any, Any] | None = None,
        compare_tolerance: float | None = None,
    ) -> Network:
        """Makes a network: `lab.model([4, 3, 2, 1], seed=1)` has 4 inputs, ReLU layers of 3 and 2 units, and 1 linear output.

        Args:
            sizes: Number of features, then of each layer the number of units, or a `bp.Layer`.
            seed: Seed of the initial weights: the same seed gives the same bits.
            name: Its id, [a-z][a-z0-9-]{0,62}; default a random one.
            activation: σ of the hidden layers: "relu", "linear", "leaky_relu", "sigmoid", "tanh", "gelu" or "silu"; or a list
                with one for each layer.
            output_activation: σ of the last layer. Both cross-entropies want "linear": they contain softmax or sigmoid.
            bias: Whether layers have biases.
            init: Initial weights, such as "he_normal" or "pytorch_linear"; default He before ReLU, else Xavier.
            loss: "half_squared_error" (1/(2m) Σ‖f − y‖²), "mean_squared_error", "cross_entropy" or "binary_cross_entropy".
            reduction: "mean" or "sum" of the samples' losses.
            optimizer: "sgd", "adam", "adamw" or "rmsprop", or a `bp.Adam(…)` with other constants.
            learning_rate: Learning rate of the optimizer; default its own: 0.01, or 0.001 for Adam and AdamW.
            schedule: Schedule of the learning rate; default constant.
            clip_norm: Maximum norm of the gradient of all parameters; default 0, no clipping.
            dtype: "float64" or "float32": the type of the computation.
            relu_at_zero: σ′(0) of ReLU: 1 (the mask is z ≥ 0) or 0 (z > 0, as in PyTorch).
            parameters: Exact parameters in place of the seed: for each layer W, or (W, b).
            access: "full", or "compare_only" for grading alone.
            compare: For "compare_only": the batch (x, y) on which gradients are graded.
            compare_tolerance: For "compare_only": the relative tolerance; default 1e-7.

        Raises:
            ValueError: a word is none of those; the message lists them.
            InvalidRequest: the server refuses the network; `fields` says why.
            AlreadyExists: `name` is taken: `lab.network(name)` opens it.
        """
        spec = _spec.spec_message(
            sizes,
            activation=activation,
            output_activation=output_activation,
            bias=bias,
            init=init,
            loss=loss,
            reduction=reduction,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            clip_norm=clip_norm,
            dtype=dtype,
            relu_at_zero=relu_at_zero,
        )
        request = pb.build(
            "CreateModelRequest",
            session=self._session,
            model_id=name or new_id("m-"),
            spec=spec,
            seed=seed,
            parameters=_spec.parameter_messages(parameters) if parameters is not None else (),
            request_id=new_id(),
            access=pb.ACCESS.number("access", access),
        )
        if compare is not None:
            request.compare.CopyFrom(pb.CompareTerms(**batch_fields(_spec.read_spec(spec), *compare)))
            pb.put(request.compare, "relative_tolerance", compare_tolerance)
        return Network(self._caller, self._caller.call(Call("CreateModel", request, _model_of)))

    def network(self, name: str) -> Network:
        """A network that exists already.

        Args:
            name: Its id in this session, or "sessions/{session}/models/{model}".

        Raises:
            NotFound: there is none of this name.
        """
        full = name if "/" in name else f"{self._session}/models/{name}"
        return Network(self._caller, self._caller.call(_requests.get_model(full)))

    def load(self, file: str | os.PathLike[str], *, name: str | None = None) -> Network:
        """Makes a network from a file of `net.save` or `backpropd export`: at the same step, with the same bits.

        Args:
            file: Path of a .safetensors file.
            name: Its id; default a random one.
        """
        data = Path(file).read_bytes()
        model_id, request_id = name or new_id("m-"), new_id()
        call = Call("ImportModel", pb.ImportModelRequest(session=self._session), _model_of)
        info = self._caller.upload(call, lambda: _requests.import_pieces(self._session, model_id, request_id, data))
        return Network(self._caller, info)

    def from_torch(
        self,
        module: Any,
        *,
        name: str | None = None,
        loss: str = "half_squared_error",
        reduction: str = "mean",
        optimizer: str | Optimizer = "sgd",
        learning_rate: float | None = None,
    ) -> Network:
        """Makes a network from a torch.nn.Sequential of Linear layers and activations: its parameters have the same bits.

        A module says neither its loss nor its optimizer. Its ReLU has the slope 0 at 0. Half precision becomes float32.

        Args:
            module: The module. Flatten before the first layer, Identity, and Dropout after `module.eval()` are left out.
            name: Its id; default a random one.
            loss: As in `model`; both cross-entropies contain softmax or sigmoid.
            reduction: "mean" or "sum".
            optimizer: As in `model`.
            learning_rate: As in `model`.

        Raises:
            InvalidModule: a part of the module is none of a network: the message lists all of them, and why.
            ImportError: torch is missing.
        """
        return self.model(
            name=name, loss=loss, reduction=reduction, optimizer=optimizer, learning_rate=learning_rate, **read_module(module)
        )

    def models(self) -> list[ModelInfo]:
        """The models of this session, in the order of their names."""
        found: list[ModelInfo] = []
        token = ""
        while True:
            reply = self._caller.call(_requests.page("ListModels", token, session=self._session))
            found.extend(map(read_model, reply.models))
            token = reply.next_page_token
            if not token:
                return found

    def dataset(
        self,
        x: Any,
        y: Any,
        *,
        name: str | None = None,
        classes: int | None = None,
        standardization: tuple[Any, Any] | None = None,
    ) -> Dataset:
        """Sends samples to the server once, so that calls need not send them again; any size, in pieces.

        Args:
            x: Inputs, [m, n₀]: numpy, torch, pandas, polars, nested lists.
            y: Targets, [m, columns] or [m]; or the class of each sample, as whole numbers from 0 or as texts.
            name: Its id, [a-z][a-z0-9-]{0,62}; default a random one.
            classes: Number of classes; default the largest one plus 1.
            standardization: Means and deviations of the features for `data.standardized()`; default those of all rows.
        """
        upload = _requests.Upload(self._session, x, y, name, classes, standardization)
        return self._caller.upload(upload.call, upload.pieces)

    def datasets(self, *, shared: bool = False) -> list[Dataset]:
        """The datasets of this session, in the order of their names.

        Args:
            shared: Those that every client can use instead, such as "datasets/digits".
        """
        found: list[Dataset] = []
        token = ""
        session = "" if shared else self._session
        while True:
            reply = self._caller.call(_requests.page("ListDatasets", token, session=session))
            found.extend(map(read_dataset, reply.datasets))
            token = reply.next_page_token
            if not token:
                return found

    def open_dataset(self, name: str) -> Dataset:
        """A dataset that exists already: `lab.open_dataset("datasets/digits")`.

        Args:
            name: Its id in this session, or a full name.
        """
        full = name if "/" in name else f"{self._session}/datasets/{name}"
        request = pb.GetDatasetRequest(name=full)
        return self._caller.call(Call("GetDataset", request, lambda reply: read_dataset(reply.dataset)))

    def delete_dataset(self, data: Dataset | str) -> None:
        """Deletes a dataset of this session. Runs on it stop at the next step.

        Args:
            data: The dataset, or its id.
        """
        name = data.name if isinstance(data, Dataset) else data
        full = name if "/" in name else f"{self._session}/datasets/{name}"
        call = Call("DeleteDataset", pb.DeleteDatasetRequest(name=full), identity, is_repeatable=False)
        self._caller.call(call)

    def sessions(self) -> list[SessionInfo]:
        """The sessions of the caller, or all for instructors and on a server of this machine alone."""
        found: list[SessionInfo] = []
        token = ""
        while True:
            reply = self._caller.call(_requests.page("ListSessions", token))
            found.extend(map(read_session, reply.sessions))
            token = reply.next_page_token
            if not token:
                return found

    def delete(self) -> int:
        """Deletes the session with its networks and datasets, and returns the number of networks."""
        request = pb.DeleteSessionRequest(name=self._session)
        call = Call("DeleteSession", request, lambda reply: int(reply.deleted_models), is_repeatable=False)
        return self._caller.call(call)

    def assignments(self) -> list[Assignment]:
        """The assignments that the server grades, without their questions."""
        found: list[Assignment] = []
        token = ""
        while True:
            reply = self._caller.call(_requests.page("ListAssignments", token))
            found.extend(map(read_summary, reply.assignments))
            token = reply.next_page_token
            if not token:
                return found

    def assignment(self, id: str) -> Assignment:
        """An assignment with its questions.

        Args:
            id: Its id, such as "hw-backprop".
        """
        request = pb.GetAssignmentRequest(assignment=id)
        return self._caller.call(Call("GetAssignment", request, read_assignment))

    def grade(self, assignment: str, answers: Mapping[str, str], *, reveal: str = "mistake", student: str = "") -> Report:
        r"""Grades formulas in LaTeX or plain text: `lab.grade("hw-backprop", {"1.1": r"\delta h^2_{1,1}"})["1.1"].verdict`.

        Args:
            assignment: Id of an assignment of the server.
            answers: Formulas by the id of their question.
            reveal: "verdict", "mistake", "hints" or "reference": how much the report says.
            student: Name of the student, for the report and its receipt.
        """
        request = pb.build(
            "GradeFormulasRequest",
            assignment=assignment,
            answers=answers,
            reveal=pb.REVEAL.number("reveal", reveal),
            student=student,
        )
        return self._caller.call(Call("GradeFormulas", request, lambda reply: read_report(reply.report, answers)))

    def close(self) -> None:
        """Closes the connection. The session stays until it expires, and a server on this machine runs on."""
        self._caller.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.address}, {self._session})"

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("Lab", "pass lab.address and lab.session, and call bp.connect(address, session=session) there")


def _model_of(reply: Any) -> ModelInfo:
    return read_model(reply.model)


def server_info(caller: Caller) -> Call[ServerInfo]:
    """GetServerInfo. It is the first call of a connection, and tells at once if no server answers."""
    request = pb.GetServerInfoRequest()
    return Call("GetServerInfo", request, lambda reply: read_server(reply, caller.address), is_repeatable=False)


def open_lab(caller: Caller, session: str | None) -> Lab:
    """A lab on a server that answers, in a fresh session or in the one of that name, which is made if there is none.

    Raises:
        Error: no server answers, or it refuses the session.
    """
    try:
        caller.server_version = (caller.call(server_info(caller))).version
        id = session.removeprefix("sessions/") if session else new_id("lab-")
        request = pb.CreateSessionRequest(session_id=id, request_id=new_id())
        try:
            name = caller.call(Call("CreateSession", request, lambda reply: str(reply.session.name)))
        except AlreadyExists:
            name = f"sessions/{id}"
            caller.call(Call("GetSession", pb.GetSessionRequest(name=name), identity))
    except Error:
        caller.close()
        raise
    return Lab(caller, name)
