"""A network on the server."""

# Written by python/tools/mirror.py from aio/_network.py: do not edit.

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import _grading, _requests
from . import _messages as pb
from ._arrays import Array, matrix
from ._batch import batch_fields
from ._calls import Call, identity, new_id, refuse_pickling
from ._errors import Error
from ._grading import GradientsReport
from ._history import History, read_history
from ._layers import NAMES, Layers
from ._onnx import convert
from ._progress import Progress
from ._results import (
    Applied,
    Evaluation,
    GradientCheck,
    ModelInfo,
    RunInfo,
    read_applied,
    read_check,
    read_evaluation,
    read_model,
    read_run,
)
from ._run import TrainingRun
from ._spec import Optimizer, Parameters, Schedule, Spec, parameter_messages, schedule_message, set_optimizer
from ._torch import sequential
from ._watch import Change, read_change
from ._caller import Caller, in_thread
from ._gradients import Gradients
from ._runs import Run

if TYPE_CHECKING:
    from .widget import Picture


class Network:
    """A network on the server: its numbers are there, and every method is a call.

    Samples are rows: x is [m, n₀], y is [m, n_L], or has the class of each sample as whole numbers from 0 for a
    classification, or one number a sample for one output. A `Dataset`, or `Rows` of one, can take the place of x and y.
    """

    def __init__(self, caller: Caller, info: ModelInfo) -> None:
        self._caller = caller
        self._name = info.name
        self._spec = info.spec
        self.history = History()
        """The metrics of the runs that this object has started."""

    @property
    def name(self) -> str:
        """ "sessions/{session}/models/{model}": what another client needs to use it."""
        return self._name

    @property
    def spec(self) -> Spec:
        """Its layers, loss and optimizer, with every default filled in."""
        return self._spec

    @property
    def sizes(self) -> list[int]:
        """Number of units of each layer, from the input on: [4, 3, 2, 1]."""
        return self._spec.sizes

    @property
    def W(self) -> Layers:
        """The weights by layer, float64 or float32 [nᵢ, nᵢ₋₁], as of the last committed step: `net.W[3]`.

        Each read is a copy: to change them, use `set_parameters`.
        """
        return _requests.weights(self._caller.call(_requests.parameters(self._name, self._spec)))

    @property
    def b(self) -> Layers:
        """The biases by layer, [nᵢ], as of the last committed step; only of layers with one."""
        return _requests.biases(self._caller.call(_requests.parameters(self._name, self._spec)))

    @property
    def step(self) -> int:
        """Number of committed steps."""
        return (self.info()).step

    def info(self) -> ModelInfo:
        """The model as it is now: its step, its digest, whether it trains."""
        info = self._caller.call(_requests.get_model(self._name))
        self._spec = info.spec
        return info

    def gradients(self, x: Any, y: Any = None, *, include: Iterable[str] | None = None) -> Gradients:
        """The loss, the gradients and every quantity of one forward and backward pass; changes nothing.

        Args:
            x: Inputs, [m, n₀], or rows of a dataset.
            y: Targets, [m, n_L], or the class of each sample.
            include: The quantities to return, such as ("dW", "db"); default all of x, y, z, h, losses, delta, dz, dh, dx, dW,
                db, W and b.

        Raises:
            InvalidArray: x or y cannot be sent.
            InvalidRequest: their shapes do not fit; `fields` says how.
        """
        batch = batch_fields(self._spec, x, y)
        call = _requests.gradients(self._name, self._spec, batch, x, include)
        return Gradients(self._caller, self._caller.call(call), self._name, self._spec, batch)

    def show(self, x: Any, y: Any = None) -> Picture:
        """A picture of the network with a batch, for a notebook: the last line of a cell shows it.

        It needs anywidget: `pip install "backpropd[widget]"`.

        Args:
            x: Inputs, [m, n₀], or rows of a dataset.
            y: Targets, [m, n_L], or the class of each sample.

        Raises:
            ImportError: anywidget is missing.
        """
        from .widget import Picture

        return Picture(self, x, y, gradients=self.gradients(x, y))

    def grade_gradients(
        self,
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
        """The results for your own gradients, right or wrong; works for a network that only compares, too.

        The arguments are those of `Gradients.check`, after the samples.
        """
        tensors = _grading.submitted(dW=dW, db=db, dz=dz, dh=dh, dx=dx, delta=delta)
        samples = batch_fields(self._spec, matrix("x", x), y)
        target = {"model": self._name}
        call = _requests.grade_gradients(target, samples, tensors, tolerance, learning_rate, dataset_size)
        return self._caller.call(call)

    def check_gradients(
        self,
        x: Any,
        y: Any,
        *,
        step_size: float | None = None,
        tolerance: float | None = None,
        max_entries_per_tensor: int | None = None,
    ) -> GradientCheck:
        """Compares the backward pass with central differences of the loss, in float64.

        Args:
            x: Inputs, [m, n₀].
            y: Targets, [m, n_L], or the class of each sample.
            step_size: h of (l(p + h) − l(p − h)) / 2h is this times max(1, |p|); from 1e-10 to 0.1, default 1e-5.
            tolerance: Maximum relative error of an entry; default 1e-7.
            max_entries_per_tensor: Number of entries to check in each tensor; default all.
        """
        samples = batch_fields(self._spec, matrix("x", x), y)
        request = pb.CheckGradientsRequest(model=self._name, max_entries_per_tensor=max_entries_per_tensor or 0, **samples)
        pb.put(request, "step_size", step_size)
        pb.put(request, "tolerance", tolerance)
        return self._caller.call(Call("CheckGradients", request, read_check))

    def predict(self, x: Any) -> Array:
        """The outputs f = hᴸ, [m, n_L]; a row has the same bits alone and in a batch.

        Args:
            x: Inputs, [m, n₀]; any number of rows.
        """
        return (self._predict(x))["outputs"]

    def predict_proba(self, x: Any) -> Array:
        """The probabilities of the classes, [m, n_L]: softmax or sigmoid of the outputs, for a classification.

        Args:
            x: Inputs, [m, n₀]; any number of rows.
        """
        return (self._predict(x, probabilities=True))["probabilities"]

    def predict_classes(self, x: Any) -> Array:
        """The class of each sample, whole numbers from 0, [m], for a classification.

        Args:
            x: Inputs, [m, n₀]; any number of rows.
        """
        return (self._predict(x, classes=True))["classes"]

    def forward(self, x: Any) -> dict[str, Layers]:
        """The forward pass: {"z": …, "h": …} by layer, [m, nᵢ] each.

        Args:
            x: Inputs, [m, n₀].
        """
        outputs, units = self._spec.layers[-1].units, sum(self.sizes)
        rows = matrix("x", x)
        call = _requests.predict(self._name, rows, outputs, probabilities=False, classes=False, trace=True, units=units)
        found: dict[str, dict[int, Any]] = {"z": {}, "h": {}}
        for named in (self._caller.call(call)).trace:
            found.setdefault(NAMES.get(named.quantity, ""), {})[named.layer] = named.tensor
        return {name: Layers(name, arrays) for name, arrays in found.items()}

    def evaluate(
        self, x: Any, y: Any = None, *, confusion_matrix: bool = False, per_sample_loss: bool = False
    ) -> Evaluation:
        """The loss, and the accuracy or R²; needs the forward pass alone.

        Args:
            x: Inputs, [m, n₀], or rows of a dataset.
            y: Targets, [m, n_L], or the class of each sample.
            confusion_matrix: Also count the samples by true and predicted class.
            per_sample_loss: Also return the loss of each sample.
        """
        batch = batch_fields(self._spec, x, y)
        limit = _requests.reply_limit(_requests.rows_of(batch, x)) if per_sample_loss else 0
        request = pb.EvaluateRequest(
            model=self._name,
            confusion_matrix=confusion_matrix,
            per_sample_loss=per_sample_loss,
            encoding=2,
            max_reply_bytes=limit,
            **batch,
        )
        return self._caller.call(Call("Evaluate", request, read_evaluation))

    def train(
        self,
        x: Any,
        y: Any = None,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        shuffle_seed: int | None = None,
        learning_rate: float | None = None,
        held_out: Any = None,
        held_out_every_steps: int | None = None,
        held_out_every_epochs: int | None = None,
        patience: int | None = None,
        keep_best: bool = False,
        metrics_every: int | None = None,
        expected_step: int | None = None,
        durability: str = "durable",
        on_disconnect: str = "stop",
        progress: bool = False,
    ) -> Run:
        """A run of training, as an iterator of its steps: `for step in net.train(x, y, steps=100): print(step.loss)`.

        Leaving the loop stops the run: after `break`, an exception or Ctrl-C, no step is taken any more, and the steps taken
        so far are kept. The server trains ahead of the reader, so they can be more than were read; `net.history` has them.
        After a broken connection the run is sent again once, under its request id, and continues after its last committed step.

        Args:
            x: Inputs, [m, n₀], or rows of a dataset.
            y: Targets, [m, n_L], or the class of each sample.
            steps: Number of steps; at most one of steps and epochs. Default: one step.
            epochs: Number of passes over the samples.
            batch_size: Number of samples per step; default all.
            shuffle_seed: Seed for shuffling the samples, anew in each epoch; default: the given order.
            learning_rate: Learning rate of this run, in place of the optimizer's.
            held_out: Samples to evaluate on during the run: (x, y), or rows of a dataset.
            held_out_every_steps: Number of steps between two evaluations.
            held_out_every_epochs: Number of epochs between two evaluations; default 1.
            patience: The run ends after so many evaluations in a row without a smaller loss.
            keep_best: Whether the network ends with the parameters of its smallest held-out loss.
            metrics_every: Report every nth step; default each.
            expected_step: Refuse with StepMismatch if the model is not at this step.
            durability: "durable" (on disk when the run ends) or "relaxed" (within a second).
            on_disconnect: "stop" or "continue" if this client vanishes.
            progress: Whether to show a progress bar (tqdm, if it is installed).

        Raises:
            InvalidArray: x or y cannot be sent.
            Diverged: the next weights would not be finite; the network keeps the last ones. Its `steps_done`, and that of
                every error that ends a run, is the number of committed steps.
        """
        request = _requests.train(
            self._name,
            self._spec,
            x,
            y,
            steps=steps,
            epochs=epochs,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            learning_rate=learning_rate,
            held_out=held_out,
            held_out_every_steps=held_out_every_steps,
            held_out_every_epochs=held_out_every_epochs,
            patience=patience,
            keep_best=keep_best,
            metrics_every=metrics_every,
            expected_step=expected_step,
            durability=durability,
            on_disconnect=on_disconnect,
        )
        return Run(self._caller, TrainingRun(request, self.history), Progress(progress))

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        shuffle_seed: int | None = None,
        learning_rate: float | None = None,
        held_out: Any = None,
        held_out_every_steps: int | None = None,
        held_out_every_epochs: int | None = None,
        patience: int | None = None,
        keep_best: bool = False,
        metrics_every: int | None = None,
        expected_step: int | None = None,
        durability: str = "durable",
        on_disconnect: str = "stop",
        progress: bool = False,
    ) -> History:
        """Trains to the end, and returns `net.history`. The arguments are those of `train`."""
        run = self.train(
            x,
            y,
            steps=steps,
            epochs=epochs,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            learning_rate=learning_rate,
            held_out=held_out,
            held_out_every_steps=held_out_every_steps,
            held_out_every_epochs=held_out_every_epochs,
            patience=patience,
            keep_best=keep_best,
            metrics_every=metrics_every,
            expected_step=expected_step,
            durability=durability,
            on_disconnect=on_disconnect,
            progress=progress,
        )
        run.finish()
        return self.history

    def stop(self) -> int:
        """Stops the run in progress, whichever client started it, and returns the model's step."""
        request = pb.StopTrainingRequest(model=self._name)
        return self._caller.call(Call("StopTraining", request, lambda reply: int(reply.step)))

    def watch(self, *, metrics_every: int | None = None) -> Generator[Change, None, None]:
        """What happens to the model, whichever client does it: the model as it is, then each run's start, steps,
        evaluations and end, until the model is deleted. Leaving the loop ends the watch.

        Args:
            metrics_every: Report every nth step; default each.
        """
        request = pb.WatchModelRequest(model=self._name, metrics_every=metrics_every or 0)
        messages = self._caller.stream(Call("WatchModel", request, identity))
        try:
            for message in messages:
                for change in read_change(message):
                    yield change
        finally:
            messages.close()

    def runs(self) -> list[RunInfo]:
        """The run in progress, if there is one, then the latest that have ended, newest first, of any client."""
        request = pb.ListRunsRequest(model=self._name)
        call = Call("ListRuns", request, lambda reply: [read_run(run) for run in reply.runs])
        return self._caller.call(call)

    def run_history(self, run: str | RunInfo) -> History:
        """The metrics of a run, whichever client started it: of every step, or of every 2nd, 4th, 8th… of a long run.

        Args:
            run: One of `runs()`, or its name.

        Raises:
            NotFound: the server has forgotten it: the latest runs are in its memory.
        """
        name = run.name if isinstance(run, RunInfo) else run
        return self._caller.call(Call("GetRun", pb.GetRunRequest(name=name), read_history))

    def apply_gradients(
        self,
        dW: Any,
        db: Any = None,
        *,
        weight: float | None = None,
        further: Sequence[tuple[Any, Any, float]] = (),
        learning_rate: float | None = None,
        expected_step: int | None = None,
        durability: str = "durable",
        skip_digest: bool = False,
    ) -> Applied:
        """Takes one step of the network's own optimizer with gradients of your own: clipping, schedule and moments apply.

        Args:
            dW: Gradients of the weights by layer, [nᵢ, nᵢ₋₁] each: a mapping or a list, such as `g.dW`.
            db: Gradients of the biases, [nᵢ] each; needed for every layer with a bias.
            weight: Factor of these gradients; default 1.
            further: More gradients, (dW, db, weight) each, with db=None without biases: the step uses the weighted sum.
            learning_rate: Learning rate of this step, in place of the optimizer's.
            expected_step: Refuse with StepMismatch if the model is not at this step.
            durability: "durable" (on disk) or "relaxed" (within a second).
            skip_digest: Whether to leave out the digest, which takes longer than a step.
        """
        request = pb.ApplyGradientsRequest(
            model=self._name,
            gradients=[_requests.gradient_set(*given) for given in ((dW, db, weight), *further)],
            request_id=new_id(),
            durability=pb.DURABILITY.number("durability", durability),
            skip_digest=skip_digest,
        )
        pb.put(request, "learning_rate", learning_rate)
        pb.put(request, "expected_step", expected_step)
        return self._caller.call(Call("ApplyGradients", request, read_applied))

    def set_parameters(self, parameters: Parameters, *, expected_step: int | None = None) -> int:
        """Replaces every weight and bias, resets the optimizer, and returns the step, which stays.

        Args:
            parameters: For each layer W, or (W, b): a list, layer 1 first, or a mapping from layers.
            expected_step: Refuse with StepMismatch if the model is not at this step.
        """
        request = pb.SetParametersRequest(model=self._name, parameters=parameter_messages(parameters), request_id=new_id())
        pb.put(request, "expected_step", expected_step)
        return self._caller.call(Call("SetParameters", request, lambda reply: int(reply.step)))

    def update(
        self,
        *,
        learning_rate: float | None = None,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        reduction: str | None = None,
    ) -> Spec:
        """Changes how the network is trained, and returns its new spec; weights, moments and step stay.

        Args:
            learning_rate: Learning rate of its optimizer.
            optimizer: All constants of its optimizer; its kind cannot change.
            schedule: A schedule of the learning rate.
            clip_norm: Maximum norm of the gradient; 0 = no clipping.
            reduction: "mean" or "sum".
        """
        request = pb.UpdateModelRequest(model=self._name, request_id=new_id())
        paths = request.update_mask.paths
        if optimizer is not None:
            paths.append(set_optimizer(request.spec, optimizer, learning_rate))
        elif learning_rate is not None:
            field = type(self._spec.optimizer).__name__.lower()
            pb.put(getattr(request.spec, field), "learning_rate", learning_rate)
            paths.append(f"{field}.learning_rate")
        if schedule is not None:
            request.spec.schedule.CopyFrom(schedule_message(schedule))
            paths.append("schedule")
        if clip_norm is not None:
            pb.put(request.spec, "clip_norm", clip_norm)
            paths.append("clip_norm")
        if reduction is not None:
            request.spec.reduction = pb.REDUCTION.number("reduction", reduction)
            paths.append("reduction")
        info = self._caller.call(Call("UpdateModel", request, lambda reply: read_model(reply.model)))
        self._spec = info.spec
        return info.spec

    def copy(self, name: str | None = None) -> Network:
        """Another network in the same session, from the last committed step of this one, with its optimizer's state.

        Args:
            name: Its id, [a-z][a-z0-9-]{0,62}; default a random one.
        """
        session = self._name.partition("/models/")[0]
        request = pb.CopyModelRequest(model=self._name, session=session, model_id=name or new_id("m-"), request_id=new_id())
        info = self._caller.call(Call("CopyModel", request, lambda reply: read_model(reply.model)))
        return Network(self._caller, info)

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Writes the network to a .safetensors file, bit by bit, with its optimizer's state: `lab.load(file)` reads it.

        The file appears once it is whole.

        Args:
            file: Its path; a file of that name is replaced.

        Returns:
            The path.
        """
        path = Path(file)
        request = pb.ExportModelRequest(name=self._name)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                for piece in self._caller.stream(Call("ExportModel", request, identity)):
                    out.write(piece.data)
            os.chmod(partial, 0o666 & ~_umask())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
        return path

    def to_torch(self) -> Any:
        """A torch.nn.Sequential with the same outputs, in memory of its own: its parameters have the bits of W and b.

        torch's ReLU has the slope 0 at 0, and that of a network is `spec.relu_at_zero`.

        Raises:
            ImportError: torch is missing: `pip install "backpropd[torch]"`.
        """
        return sequential(self._spec, self._caller.call(_requests.parameters(self._name, self._spec)))

    def to_onnx(self, file: str | os.PathLike[str]) -> Path:
        """Writes the network as an ONNX model, from `inputs` [m, n₀] to `outputs` [m, n_L], for any m.

        The file appears once it is whole. onnxruntime has no GELU for float64.

        Args:
            file: Its path; a file of that name is replaced.

        Returns:
            The path.
        """
        path = Path(file)
        with tempfile.TemporaryDirectory(prefix="backpropd-") as folder:
            in_thread(convert, self.save(Path(folder) / "network.safetensors"), path)
        return path

    def delete(self) -> None:
        """Deletes the network on the server."""
        request = pb.DeleteModelRequest(name=self._name)
        self._caller.call(Call("DeleteModel", request, identity, is_repeatable=False))

    def _predict(self, x: Any, *, probabilities: bool = False, classes: bool = False) -> dict[str, Array]:
        """The outputs of all rows, of one step of the model."""
        rows = matrix("x", x)
        outputs = self._spec.layers[-1].units
        for _ in range(3):
            replies: list[Any] = []
            for piece in _requests.row_pieces(rows, outputs):
                call = _requests.predict(
                    self._name, piece, outputs, probabilities=probabilities, classes=classes, trace=False, units=0
                )
                replies.append(self._caller.call(call))
            if len({reply.weights_digest for reply in replies}) == 1:
                return _requests.joined_predictions(replies)
        raise Error("the network was trained between the parts of this prediction, three times: stop its runs first")

    def __repr__(self) -> str:
        layers = self._spec.layers
        activations = ", ".join(dict.fromkeys(layer.activation or "" for layer in layers))
        sizes = "-".join(map(str, self.sizes))
        return f"Network({sizes}, {activations}, {self._spec.loss}, {self._spec.dtype}, {self._name})"

    def _repr_html_(self) -> str:
        from ._display import network_html

        return network_html(self._name, self._spec)

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling(
            "Network", "pass its name and the lab's address, and call bp.connect(address).network(name) there"
        )


def _umask() -> int:
    """The mask of new files. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
