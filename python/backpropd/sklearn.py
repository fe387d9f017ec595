"""Networks as estimators of scikit-learn: they fit into its pipelines, searches and cross-validation.

```python
from backpropd.sklearn import MLPClassifier

model = MLPClassifier(hidden_layer_sizes=(64,), max_iter=30, random_state=0).fit(x, y)
model.score(x, y)
```

Training and prediction run on a server: on this machine, or on the one of `lab`. An estimator keeps its weights and the moments
of its optimizer itself, and nothing stays on the server, so that it can be pickled, cloned and sent to other processes.

Needs `pip install "backpropd[sklearn]"`.
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils._param_validation import Interval, StrOptions
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError('backpropd.sklearn needs scikit-learn 1.6 or newer: pip install "backpropd[sklearn]"') from None

from ._arrays import Array
from ._entry import connect, local
from ._errors import Error
from ._lab import Lab
from ._network import Network
from ._spec import SGD, Adam, AdamW, Optimizer, RMSProp

__all__ = ["MLPClassifier", "MLPRegressor"]

_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}
"""scikit-learn's names, where ours differ."""

_OURS = ("relu", "tanh", "linear", "sigmoid", "leaky_relu", "gelu", "silu")

_SEEDS = 2**31
"""Seeds are below this."""


class _MLP(BaseEstimator):  # type: ignore[misc,unused-ignore]
    """What both estimators share."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*_ACTIVATIONS, *_OURS})],
        "solver": [StrOptions({"sgd", "adam", "adamw", "rmsprop"})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "lab": [Lab, str, None],
    }

    _state: bytes
    """The whole network as `net.save` writes it."""
    best_loss_: float | None
    best_validation_score_: float | None

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        weight_decay: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        lab: Lab | str | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.lab = lab

    def fit(self, X: Any, y: Any) -> Any:
        """Trains until the loss no longer falls by `tol` within `n_iter_no_change` epochs, or for `max_iter` epochs.

        Args:
            X: Samples, [m, features].
            y: Their targets.

        Returns:
            The estimator.
        """
        self._validate_params()
        is_continued = self.warm_start and hasattr(self, "_state")
        inputs, targets = self._training_data(X, y, is_first=not is_continued)
        if not is_continued:
            self._begin()
        self._train(inputs, targets, is_continued=is_continued)
        return self

    def __sklearn_clone__(self) -> Any:
        # A lab is shared by its clones: a connection has no copies.
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "lab"}
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()}, lab=self.lab)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if isinstance(self.lab, Lab):
            # A connection stays in its process; the address serves the others.
            state["lab"] = _url(self.lab)
        return state

    def _training_data(self, X: Any, y: Any, *, is_first: bool) -> tuple[Array, Array]:
        """X and y as arrays, y as the network takes it; notes what predictions need to know of them."""
        raise NotImplementedError

    def _loss_and_outputs(self) -> tuple[str, int]:
        """The loss of the network, and its number of outputs."""
        raise NotImplementedError

    def _dataset_options(self) -> dict[str, Any]:
        return {}

    def _begin(self) -> None:
        """Forgets an earlier fit."""
        random = check_random_state(self.random_state)
        self._seed = int(random.randint(_SEEDS))
        self._shuffle_seed = int(random.randint(_SEEDS))
        self._epochs = 0
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.__dict__.pop("_state", None)

    @contextlib.contextmanager
    def _on_lab(self) -> Iterator[Lab]:
        """The lab of this estimator, or one of its own, in a session that ends with it."""
        if isinstance(self.lab, Lab):
            yield self.lab
            return
        with local() if self.lab is None else connect(self.lab) as lab:
            try:
                yield lab
            finally:
                with contextlib.suppress(Error):
                    lab.delete()

    @contextlib.contextmanager
    def _network(self, lab: Lab, *, dtype: Any, parameters: Any = None) -> Iterator[Network]:
        """A network of these hyperparameters, which is deleted at the end."""
        loss, outputs = self._loss_and_outputs()
        sizes = [self.n_features_in_, *np.atleast_1d(self.hidden_layer_sizes).tolist(), outputs]
        net = lab.model(
            sizes,
            seed=self._seed,
            activation=_ACTIVATIONS.get(self.activation, self.activation),
            bias=True,
            loss=loss,
            optimizer=self._optimizer(),
            dtype=dtype,
            parameters=parameters,
            # As scikit-learn's.
            relu_at_zero=0,
        )
        with _deleted(net):
            yield net

    def _optimizer(self) -> Optimizer:
        decay, rate = float(self.weight_decay), float(self.learning_rate_init)
        if self.solver == "sgd":
            nesterov = bool(self.nesterovs_momentum and self.momentum > 0)
            return SGD(rate, float(self.momentum), nesterov, decay)
        if self.solver == "rmsprop":
            return RMSProp(rate, epsilon=float(self.epsilon), weight_decay=decay)
        kind = Adam if self.solver == "adam" else AdamW
        return kind(rate, float(self.beta_1), float(self.beta_2), float(self.epsilon), decay)

    def _train(self, inputs: Array, targets: Array, *, is_continued: bool, is_one_pass: bool = False) -> None:
        """Trains for one epoch, or as `fit` says, and keeps the weights."""
        with self._on_lab() as lab, contextlib.ExitStack() as stack:
            if is_continued:
                net = stack.enter_context(_deleted(_restored(lab, self._state)))
                net.update(optimizer=self._optimizer())
            else:
                net = stack.enter_context(self._network(lab, dtype=inputs.dtype.name))
            held_out = None
            if self.early_stopping and not is_one_pass:
                inputs, held, targets, held_targets = self._split(inputs, targets)
                held_out = stack.enter_context(self._uploaded(lab, held, held_targets))
            data = stack.enter_context(self._uploaded(lab, inputs, targets))
            if is_one_pass:
                self._epoch(net, data, len(inputs))
            else:
                self._epochs_until_done(net, data, len(inputs), held_out)
            self._keep(net)
            # With the moments of the optimizer, so that a warm start and partial_fit continue.
            self._state = _saved(net)

    @contextlib.contextmanager
    def _uploaded(self, lab: Lab, inputs: Array, targets: Array) -> Iterator[Any]:
        data = lab.dataset(inputs, targets, **self._dataset_options())
        try:
            yield data
        finally:
            with contextlib.suppress(Error):
                lab.delete_dataset(data)

    def _split(self, inputs: Array, targets: Array) -> Any:
        """Samples to train on, and those to hold out: inputs, held out inputs, and the targets of both."""
        fraction = self.validation_fraction
        stratify = targets if isinstance(self, ClassifierMixin) else None
        return train_test_split(inputs, targets, test_size=fraction, random_state=self._seed, stratify=stratify)

    def _epochs_until_done(self, net: Network, data: Any, rows: int, held_out: Any) -> None:
        """Epochs until the loss, or the score of the held-out samples, no longer improves."""
        best, best_parameters, without = -np.inf, None, 0
        for number in range(1, self.max_iter + 1):
            loss = self._epoch(net, data, rows)
            figure = -loss
            if held_out is not None:
                figure = self._held_out_score(net, held_out)
            # The target moves only with the improvement that counts, as in scikit-learn.
            without = without + 1 if figure < best + self.tol else 0
            if figure > best:
                best = figure
                best_parameters = _parameters(net) if held_out is not None else None
            if self.verbose:
                print(f"Iteration {number}, loss = {loss:.8f}")
            if without > self.n_iter_no_change:
                break
        else:
            message = f"the loss still fell after max_iter={self.max_iter} epochs: more of them may improve the fit"
            warnings.warn(message, ConvergenceWarning, stacklevel=4)
        if best_parameters is not None:
            net.set_parameters(best_parameters)
            self.best_validation_score_ = best
            self.best_loss_ = None
        else:
            self.best_validation_score_ = None
            self.best_loss_ = min(self.loss_curve_)

    def _epoch(self, net: Network, data: Any, rows: int) -> float:
        """One pass over the samples; returns the mean loss of the samples, each before the step that it was part of."""
        size = min(200, rows) if self.batch_size == "auto" else min(int(self.batch_size), rows)
        seed = (self._shuffle_seed + self._epochs) % _SEEDS if self.shuffle else None
        before = len(net.history)
        history = net.fit(data, epochs=1, batch_size=size, shuffle_seed=seed, durability="relaxed")
        losses = history.losses[before:]
        counts = np.full(len(losses), size)
        counts[-1] = rows - size * (len(losses) - 1)
        loss = float(losses @ counts / rows)
        self._epochs += 1
        self.t_ += rows
        self.loss_curve_.append(loss)
        self.loss_ = loss
        return loss

    def _held_out_score(self, net: Network, held_out: Any) -> float:
        figures = net.evaluate(held_out)
        score = figures.accuracy if figures.accuracy is not None else figures.r2
        assert self.validation_scores_ is not None
        self.validation_scores_.append(float("nan") if score is None else score)
        return self.validation_scores_[-1]

    def _keep(self, net: Network) -> None:
        """Reads the weights from the server."""
        parameters = _parameters(net)
        # scikit-learn's coefs_ are [units before, units].
        self.coefs_ = [weights.T for weights, _ in parameters]
        self.intercepts_ = [bias for _, bias in parameters]
        self.n_iter_ = self._epochs
        self.n_layers_ = len(parameters) + 1
        self.n_outputs_ = len(self.intercepts_[-1])

    def _predicted(self, X: Any, what: str) -> Array:
        """The result of a method of `Network` on X."""
        check_is_fitted(self)
        dtype = self.coefs_[0].dtype
        inputs = validate_data(self, X, reset=False, dtype=dtype)
        parameters = [(weights.T, bias) for weights, bias in zip(self.coefs_, self.intercepts_, strict=True)]
        with self._on_lab() as lab, self._network(lab, dtype=dtype.name, parameters=parameters) as net:
            found: Array = getattr(net, what)(inputs)
            return found


class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc,unused-ignore]
    """A classifier: a multi-layer perceptron with softmax, or sigmoid for two classes, and cross-entropy.

    Hyperparameters with the names of scikit-learn's MLPClassifier mean the same. It has others:

    - `solver`: "adam", "sgd", "adamw" or "rmsprop"; no "lbfgs".
    - `activation`: also "leaky_relu", "gelu" and "silu"; "linear" is "identity", "sigmoid" is "logistic".
    - `weight_decay`: that of torch.optim, on every parameter, in place of `alpha`; default 0.
    - `lab`: a `Lab`, or the address of a server; default a server on this machine. It is no part of a pickle: an address is.

    After `fit`: `classes_`, `coefs_` ([units before, units] each), `intercepts_`, `loss_`, `loss_curve_` (an entry for each
    epoch), `best_loss_`, `n_iter_` (epochs), `n_features_in_`, and with early stopping `validation_scores_` (accuracies) and
    `best_validation_score_`. With early stopping the weights are those of the best score.
    """

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> MLPClassifier:
        """One more epoch, on these samples. It continues the optimizer, after pickling, too.

        Args:
            X: Samples, [m, features].
            y: The class of each sample, [m].
            classes: All classes; needed in the first call.
        """
        self._validate_params()
        is_first = not hasattr(self, "_state")
        if is_first:
            if classes is None:
                raise ValueError("classes is missing: the first call of partial_fit needs all of them")
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(f"classes is {classes!r}, and was {self.classes_!r} in the first call of partial_fit")
        inputs, labels = validate_data(self, X, y, reset=is_first, dtype=(np.float64, np.float32))
        targets = self._numbered(labels)
        if is_first:
            self._begin()
        self._train(inputs, targets, is_continued=not is_first, is_one_pass=True)
        return self

    def predict(self, X: Any) -> Array:
        """The class of each sample, [m].

        Args:
            X: Samples, [m, features].
        """
        numbers = self._predicted(X, "predict_classes")
        # A single class is numbered 0, and the other output of its network means nothing.
        classes: Array = self.classes_
        return classes[np.minimum(numbers, len(classes) - 1)]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, [m, classes], in the order of `classes_`.

        Args:
            X: Samples, [m, features].
        """
        probabilities = self._predicted(X, "predict_proba")
        if len(self.classes_) == 1:
            return np.ones_like(probabilities)
        return np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`, [m, classes].

        Args:
            X: Samples, [m, features].
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    def _training_data(self, X: Any, y: Any, *, is_first: bool) -> tuple[Array, Array]:
        inputs, labels = validate_data(self, X, y, reset=is_first, dtype=(np.float64, np.float32))
        check_classification_targets(labels)
        if is_first:
            self.classes_ = unique_labels(labels)
        return inputs, self._numbered(labels)

    def _numbered(self, labels: Any) -> Array:
        """The number of each label's class."""
        check_classification_targets(labels)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y has the classes {unknown.tolist()}, and the first fit had {self.classes_.tolist()}")
        numbers: Array = np.searchsorted(self.classes_, labels)
        return numbers

    def _loss_and_outputs(self) -> tuple[str, int]:
        count = len(self.classes_)
        return ("cross_entropy", count) if count > 2 else ("binary_cross_entropy", 1)

    def _dataset_options(self) -> dict[str, Any]:
        return {"classes": max(2, len(self.classes_))}


class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc,unused-ignore]
    """A regressor: a multi-layer perceptron with linear outputs and half the squared error, 1/(2m) Σ‖f − y‖².

    Hyperparameters are those of `MLPClassifier`. `loss_curve_` has the loss of each epoch, in squared units of y; for several
    outputs it is their sum, where scikit-learn has their mean. With early stopping `validation_scores_` are R².
    """

    _columns: int
    """Number of outputs."""
    _is_flat: bool
    """Whether y had one axis."""

    def partial_fit(self, X: Any, y: Any) -> MLPRegressor:
        """One more epoch, on these samples. It continues the optimizer, after pickling, too.

        Args:
            X: Samples, [m, features].
            y: Targets, [m] or [m, outputs].
        """
        self._validate_params()
        is_first = not hasattr(self, "_state")
        inputs, targets = self._training_data(X, y, is_first=is_first)
        if is_first:
            self._begin()
        self._train(inputs, targets, is_continued=not is_first, is_one_pass=True)
        return self

    def predict(self, X: Any) -> Array:
        """The outputs, [m], or [m, outputs] after a fit with y of two axes.

        Args:
            X: Samples, [m, features].
        """
        outputs = self._predicted(X, "predict")
        return outputs[:, 0] if self._is_flat else outputs

    def _training_data(self, X: Any, y: Any, *, is_first: bool) -> tuple[Array, Array]:
        inputs, targets = validate_data(
            self, X, y, reset=is_first, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True
        )
        columns = 1 if targets.ndim == 1 else targets.shape[1]
        if not is_first and columns != self._columns:
            raise ValueError(f"y has {columns} columns, and the first fit had {self._columns}")
        self._columns = columns
        self._is_flat = targets.ndim == 1
        return inputs, np.asarray(targets, inputs.dtype).reshape(len(inputs), columns)

    def _loss_and_outputs(self) -> tuple[str, int]:
        return "half_squared_error", self._columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _parameters(net: Network) -> list[tuple[Array, Array]]:
    """W and b of each layer, as of one step."""
    weights, biases = net.W, net.b
    return [(weights[layer], biases[layer]) for layer in weights]


@contextlib.contextmanager
def _deleted(net: Network) -> Iterator[Network]:
    """A network that is deleted at the end."""
    try:
        yield net
    finally:
        with contextlib.suppress(Error):
            net.delete()


def _saved(net: Network) -> bytes:
    """The whole state of a network."""
    with tempfile.TemporaryDirectory(prefix="backpropd-") as folder:
        return net.save(Path(folder) / "state.safetensors").read_bytes()


def _restored(lab: Lab, state: bytes) -> Network:
    with tempfile.TemporaryDirectory(prefix="backpropd-") as folder:
        file = Path(folder) / "state.safetensors"
        file.write_bytes(state)
        return lab.load(file)


def _url(lab: Lab) -> str:
    scheme = "https" if lab._caller.target.is_encrypted else "http"
    return f"{scheme}://{lab.address}"
