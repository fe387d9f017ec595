"""The estimators of scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Server, program

import backpropd as bp

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from backpropd.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKPROPD_BIN", program())


@pytest.fixture(autouse=True)
def _nothing_is_left(lab: bp.Lab) -> Iterator[None]:
    yield
    assert lab.models() == []
    assert lab.datasets() == []


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


# No check is expected to fail.
@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_the_estimators_are_estimators_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_classifier_learns_and_keeps_its_curve(iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPClassifier((16,), learning_rate_init=0.01, max_iter=100, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.95
    assert len(model.loss_curve_) == model.n_iter_
    assert model.loss_ == model.loss_curve_[-1]
    assert model.loss_ < model.loss_curve_[0]
    assert model.best_loss_ == min(model.loss_curve_)
    assert [weights.shape for weights in model.coefs_] == [(4, 16), (16, 3)]
    assert model.t_ == model.n_iter_ * len(x)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict_log_proba(x), np.log(model.predict_proba(x)))


def test_the_outputs_are_those_of_the_weights_in_scikit_learns_order(iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPRegressor((5,), activation="tanh", max_iter=3, random_state=0).fit(x, y)
    (first, last), (b1, b2) = model.coefs_, model.intercepts_
    np.testing.assert_allclose(model.predict(x), (np.tanh(x @ first + b1) @ last + b2)[:, 0], rtol=1e-12)


def test_the_same_random_state_gives_the_same_bits(iris: tuple[Any, Any]) -> None:
    x, y = iris
    one, other, third = (MLPClassifier(max_iter=5, random_state=seed).fit(x, y) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one.coefs_, other.coefs_, strict=True))
    assert one.loss_curve_ == other.loss_curve_ != third.loss_curve_


def test_the_epochs_are_those_of_one_run(lab: bp.Lab, iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPRegressor((3,), solver="sgd", max_iter=4, shuffle=False, batch_size=40, random_state=0, lab=lab).fit(x, y)
    net = lab.model([4, 3, 1], seed=model._seed, bias=True, optimizer=bp.SGD(0.001, 0.9, True), relu_at_zero=0)
    net.fit(x, y.astype(float), epochs=4, batch_size=40)
    assert (model.coefs_[0] == net.W[1].T).all()
    losses = net.history.losses.reshape(4, 4)
    np.testing.assert_allclose(model.loss_curve_, losses @ [40, 40, 40, 30] / 150, rtol=1e-14)
    net.delete()


def test_training_ends_when_the_loss_stands_still(iris: tuple[Any, Any], capsys: pytest.CaptureFixture[str]) -> None:
    x, y = iris
    model = MLPClassifier(tol=10.0, n_iter_no_change=3, verbose=True, random_state=0).fit(x, y)
    assert model.n_iter_ == 5
    assert capsys.readouterr().out.splitlines()[0] == f"Iteration 1, loss = {model.loss_curve_[0]:.8f}"
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        MLPClassifier(max_iter=2).fit(x, y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_early_stopping_ends_with_the_weights_of_the_best_score(iris: tuple[Any, Any], kind: Any) -> None:
    x, y = iris
    model = kind(early_stopping=True, validation_fraction=0.3, learning_rate_init=0.03, n_iter_no_change=4, random_state=0)
    model.fit(x, y)
    assert model.best_validation_score_ == max(model.validation_scores_) > 0.7
    assert len(model.validation_scores_) == model.n_iter_ < 200
    held_out = model._split(x, y)[1::2]
    assert model.score(*held_out) == pytest.approx(model.best_validation_score_, abs=1e-12)


def test_partial_fit_continues_through_a_pickle_with_the_same_bits(iris: tuple[Any, Any]) -> None:
    x, y = iris
    whole = MLPClassifier(batch_size=50, max_iter=3, random_state=0).fit(x, y)
    parts = MLPClassifier(batch_size=50, random_state=0)
    for _ in range(3):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(x, y, classes=[0, 1, 2])))
    assert all((a == b).all() for a, b in zip(whole.coefs_, parts.coefs_, strict=True))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.partial_fit(x, y).n_iter_ == 4


def test_partial_fit_takes_samples_of_some_of_the_classes(iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes is missing"):
        model.partial_fit(x, y)
    model.partial_fit(x[y < 2], y[y < 2], classes=[0, 1, 2])
    assert model.predict_proba(x).shape == (150, 3)
    with pytest.raises(ValueError, match=r"y has the classes \[7\]"):
        model.partial_fit(x[:2], [7, 0])
    with pytest.raises(ValueError, match="first call of partial_fit"):
        model.partial_fit(x, y, classes=[0, 1])


def test_a_warm_start_continues(iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPRegressor(max_iter=2, warm_start=True, random_state=0).fit(x, y)
    curve = list(model.loss_curve_)
    assert model.set_params(learning_rate_init=0.01).fit(x, y).loss_curve_[:2] == curve
    assert len(model.loss_curve_) == 4
    with pytest.raises(ValueError, match="2 columns, and the first fit had 1"):
        model.fit(x, np.stack([y, y], axis=1))


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "silu"])
def test_every_solver_and_activation_lowers_the_loss(lab: bp.Lab, iris: tuple[Any, Any], solver: str, activation: str) -> None:
    x, y = iris
    model = MLPRegressor((6,), activation, solver=solver, max_iter=10, random_state=1, weight_decay=1e-4, lab=lab)
    model.fit(x.astype(np.float32), y)
    assert model.loss_ < model.loss_curve_[0]
    assert model.coefs_[0].dtype == np.float32


def test_names_of_classes_and_two_classes(iris: tuple[Any, Any]) -> None:
    x, y = iris
    names = np.array(["ada", "bea"])[(y > 0) * 1]
    model = MLPClassifier((8,), learning_rate_init=0.01, random_state=0).fit(x, names)
    assert model.classes_.tolist() == ["ada", "bea"]
    assert model.score(x, names) == 1
    assert model.n_outputs_ == 1
    assert (model.classes_[model.predict_proba(x).argmax(axis=1)] == model.predict(x)).all()
    only = MLPClassifier(max_iter=2).fit(x, ["ada"] * 150)
    assert set(only.predict(x)) == {"ada"}
    assert (only.predict_proba(x) == 1).all()


def test_a_regressor_with_several_outputs() -> None:
    x, y = make_regression(80, 5, n_targets=3, random_state=0)
    y /= y.std(axis=0)
    model = MLPRegressor((20,), learning_rate_init=0.02, max_iter=300, random_state=0).fit(x, y)
    assert model.predict(x).shape == y.shape
    assert model.score(x, y) > 0.95


def test_pipeline_and_search_with_processes(iris: tuple[Any, Any]) -> None:
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=30, random_state=0))
    grid = {"mlpclassifier__hidden_layer_sizes": [(2,), (16, 8)], "mlpclassifier__learning_rate_init": [1e-5, 0.02]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(x, y)
    assert search.best_params_["mlpclassifier__learning_rate_init"] == 0.02
    assert search.best_score_ > 0.9
    assert cross_val_score(search.best_estimator_, x, y, cv=3).mean() > 0.9


def test_a_lab_is_used_and_shared_by_clones(lab: bp.Lab, server: Server, iris: tuple[Any, Any]) -> None:
    x, y = iris
    model = MLPClassifier(max_iter=2, random_state=0, lab=lab).fit(x, y)
    copy = clone(model)
    assert copy.lab is lab
    assert not hasattr(copy, "coefs_")
    restored = pickle.loads(pickle.dumps(model))
    assert restored.lab == f"http://{server.address}"
    assert (restored.predict_proba(x) == model.predict_proba(x)).all()
    assert (copy.set_params(lab=server.address).fit(x, y).predict(x) == model.predict(x)).all()


def test_a_failed_fit_leaves_nothing_on_the_server(lab: bp.Lab, iris: tuple[Any, Any]) -> None:
    x, y = iris
    with pytest.raises(bp.Diverged):
        MLPRegressor(solver="sgd", learning_rate_init=1e200, max_iter=9, lab=lab).fit(x, y)


def test_digits_in_three_lines() -> None:
    x, y = load_digits(return_X_y=True)
    model = MLPClassifier((64,), max_iter=80, random_state=0).fit(x[:1500] / 16, y[:1500])
    assert model.score(x[1500:] / 16, y[1500:]) > 0.9


BAD = {
    "no rows": (np.empty((0, 4)), [], "minimum of 1 is required"),
    "one axis": (np.zeros(4), [0] * 4, "Expected 2D array"),
    "NaN": (np.full((4, 4), np.nan), [0, 1, 0, 1], "NaN"),
    "infinite": (np.full((4, 4), np.inf), [0, 1, 0, 1], "infinity"),
    "objects": (np.array([[{}]] * 4, object), [0, 1, 0, 1], "must be a string or a real number"),
    "complex": (np.zeros((4, 4), complex), [0, 1, 0, 1], "Complex data"),
    "lengths": (np.zeros((4, 4)), [0, 1], "inconsistent numbers of samples"),
    "no y": (np.zeros((4, 4)), None, "requires y to be passed"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_bad_samples_are_refused(kind: Any, name: str) -> None:
    x, y, reason = BAD[name]
    with pytest.raises((ValueError, TypeError), match=reason):
        kind().fit(x, y)


@pytest.mark.parametrize("kind", [np.int64, np.float16, ">f8", ">i4"])
def test_other_types_and_layouts_are_taken(iris: tuple[Any, Any], kind: Any) -> None:
    x, y = iris
    given = np.asfortranarray((x * 8).astype(kind))[::2]
    expected = MLPClassifier(max_iter=2, random_state=0).fit(np.ascontiguousarray(given, float), y[::2])
    model = MLPClassifier(max_iter=2, random_state=0).fit(given, y[::2])
    assert (model.coefs_[0] == expected.coefs_[0]).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": "softplus"},
        {"solver": "lbfgs"},
        {"max_iter": 0},
        {"batch_size": 0},
        {"hidden_layer_sizes": 0},
        {"learning_rate_init": 0},
        {"validation_fraction": 1.0},
        {"momentum": 1.0},
        {"lab": 7},
    ],
)
def test_bad_hyperparameters_are_refused_by_name(iris: tuple[Any, Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter of MLPClassifier must be"):
        MLPClassifier(**parameters).fit(*iris)


def test_layers_without_units_are_refused_by_the_server(iris: tuple[Any, Any]) -> None:
    with pytest.raises(bp.InvalidRequest, match="units"):
        MLPClassifier((4, 0)).fit(*iris)


def test_predictions_before_a_fit_are_refused(iris: tuple[Any, Any]) -> None:
    for model in (MLPClassifier(), MLPRegressor()):
        with pytest.raises(NotFittedError):
            model.predict(iris[0])


def run(code: str) -> subprocess.CompletedProcess[str]:
    folder = Path(__file__).resolve().parents[1]
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_import_backpropd_imports_no_optional_package() -> None:
    names = ("sklearn", "torch", "matplotlib", "IPython", "tqdm", "pandas", "pytest", "onnx")
    done = run(f"import sys, backpropd; print([name for name in {names} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    done = run("import sys; sys.modules['sklearn.base'] = None; import backpropd.sklearn")
    assert 'pip install "backpropd[sklearn]"' in done.stderr
