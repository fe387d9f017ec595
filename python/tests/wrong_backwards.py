"""Backward passes as students write them: 75 with a mistake, and right ones in other styles.

A case is a right program with some of its lines replaced, as a diff shows it: the lines that are wrong are the case.
Layers count from 1, samples are rows, W is [units, inputs], and m is the number of samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


def sigmoid(z: Any) -> Any:
    """The logistic function, entry by entry."""
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    """The probabilities of each row."""
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Program:
    """A network, and a right backward pass of it."""

    sizes: tuple[int, ...]
    options: Mapping[str, Any]
    """Arguments of `lab.model`."""
    source: str
    """Computes dW1, dW2, … and db1, … from x, y, W1, …, b1, …."""
    is_classification: bool = False

    def run(
        self, inputs: Mapping[str, Any], replaced: tuple[tuple[str, str], ...], *, is_with_delta: bool = True
    ) -> dict[str, Any]:
        """The gradients {"dW": …, "db": …} by layer, and δ, with lines of the source replaced."""
        lines = self.source.strip().splitlines()
        for right, other in replaced:
            assert lines.count(right) == 1, f"{right!r} is no line of the program"
            lines[lines.index(right)] = other
        names = {"np": np, "sigmoid": sigmoid, "softmax": softmax, **inputs}
        exec("\n".join(lines), names)
        layers = range(1, len(self.sizes))
        found = {kind: {i: names[f"{kind}{i}"] for i in layers if f"{kind}{i}" in names} for kind in ("dW", "db")}
        given: dict[str, Any] = {kind: arrays for kind, arrays in found.items() if arrays}
        return {**given, "delta": names["delta"]} if is_with_delta and "delta" in names else given


PROGRAMS = {
    "homework": Program(
        (4, 3, 2, 1),
        {},
        """
m = len(x)
z1 = x @ W1.T
h1 = np.maximum(z1, 0)
z2 = h1 @ W2.T
h2 = np.maximum(z2, 0)
f = h2 @ W3.T
delta = (f - y) / m
dW3 = delta.T @ h2
dh2 = delta @ W3
dz2 = dh2 * (z2 >= 0)
dW2 = dz2.T @ h1
dh1 = dz2 @ W2
dz1 = dh1 * (z1 >= 0)
dW1 = dz1.T @ x
""",
    ),
    "tanh": Program(
        (5, 4, 4, 3),
        {"activation": "tanh", "bias": True},
        """
m = len(x)
h1 = np.tanh(z1 := x @ W1.T + b1)
h2 = np.tanh(z2 := h1 @ W2.T + b2)
f = h2 @ W3.T + b3
delta = (f - y) / m
dW3 = delta.T @ h2
db3 = delta.sum(axis=0)
dh2 = delta @ W3
dz2 = dh2 * (1 - h2**2)
dW2 = dz2.T @ h1
db2 = dz2.sum(axis=0)
dh1 = dz2 @ W2
dz1 = dh1 * (1 - h1**2)
dW1 = dz1.T @ x
db1 = dz1.sum(axis=0)
""",
    ),
    "square": Program(
        (4, 4, 4, 4, 2),
        {},
        """
m = len(x)
h1 = np.maximum(z1 := x @ W1.T, 0)
h2 = np.maximum(z2 := h1 @ W2.T, 0)
h3 = np.maximum(z3 := h2 @ W3.T, 0)
f = h3 @ W4.T
dz4 = (f - y) / m
dW4 = dz4.T @ h3
dz3 = dz4 @ W4 * (z3 >= 0)
dW3 = dz3.T @ h2
dz2 = dz3 @ W3 * (z2 >= 0)
dW2 = dz2.T @ h1
dz1 = dz2 @ W2 * (z1 >= 0)
dW1 = dz1.T @ x
""",
    ),
    "classifier": Program(
        (6, 5, 3),
        {"bias": True, "loss": "cross_entropy"},
        """
m = len(x)
h1 = np.maximum(z1 := x @ W1.T + b1, 0)
f = h1 @ W2.T + b2
p = softmax(f)
delta = (p - y) / m
dW2 = delta.T @ h1
db2 = delta.sum(axis=0)
dz1 = delta @ W2 * (z1 >= 0)
dW1 = dz1.T @ x
db1 = dz1.sum(axis=0)
""",
        is_classification=True,
    ),
    "binary": Program(
        (4, 3, 1),
        {"activation": "tanh", "bias": True, "loss": "binary_cross_entropy"},
        """
m = len(x)
h1 = np.tanh(z1 := x @ W1.T + b1)
f = h1 @ W2.T + b2
p = sigmoid(f)
delta = (p - y) / m
dW2 = delta.T @ h1
db2 = delta.sum(axis=0)
dz1 = delta @ W2 * (1 - h1**2)
dW1 = dz1.T @ x
db1 = dz1.sum(axis=0)
""",
        is_classification=True,
    ),
    "summed": Program(
        (4, 3, 2),
        {"reduction": "sum"},
        """
h1 = np.maximum(z1 := x @ W1.T, 0)
f = h1 @ W2.T
delta = f - y
dW2 = delta.T @ h1
dz1 = delta @ W2 * (z1 >= 0)
dW1 = dz1.T @ x
""",
    ),
    "mse": Program(
        (4, 3, 3),
        {"loss": "mean_squared_error"},
        """
m, n = y.shape
h1 = np.maximum(z1 := x @ W1.T, 0)
f = h1 @ W2.T
delta = 2 * (f - y) / (m * n)
dW2 = delta.T @ h1
dz1 = delta @ W2 * (z1 >= 0)
dW1 = dz1.T @ x
""",
    ),
    "sigmoid": Program(
        (4, 3, 2),
        {"activation": "sigmoid", "output_activation": "sigmoid"},
        """
m = len(x)
h1 = sigmoid(z1 := x @ W1.T)
h2 = sigmoid(z2 := h1 @ W2.T)
dz2 = (h2 - y) / m * h2 * (1 - h2)
dW2 = dz2.T @ h1
dz1 = dz2 @ W2 * h1 * (1 - h1)
dW1 = dz1.T @ x
""",
    ),
    "leaky": Program(
        (4, 3, 2),
        {"activation": "leaky_relu"},
        """
m = len(x)
z1 = x @ W1.T
h1 = np.where(z1 >= 0, z1, 0.01 * z1)
f = h1 @ W2.T
delta = (f - y) / m
dW2 = delta.T @ h1
dz1 = delta @ W2 * np.where(z1 >= 0, 1, 0.01)
dW1 = dz1.T @ x
""",
    ),
}


@dataclass(frozen=True)
class Case:
    """A program with lines replaced."""

    program: str
    replaced: tuple[tuple[str, str], ...]
    """Pairs of a right line and the line in its place."""
    mistakes: frozenset[str] = frozenset()
    """The mistakes that name it rightly, from the list of the API; none for a right program."""
    options: tuple[tuple[str, Any], ...] = ()
    """Further arguments of `check`."""

    def __str__(self) -> str:
        return f"{self.program}: {'; '.join(line for _, line in self.replaced)}"


def _wrong(program: str, mistakes: str, *changes: tuple[str, str], **options: Any) -> Case:
    return Case(program, changes, frozenset(mistakes.split()), tuple(options.items()))


DELTA = "delta = (f - y) / m"
DZ2, DZ1 = "dz2 = dh2 * (z2 >= 0)", "dz1 = dh1 * (z1 >= 0)"
DW3, DW2, DW1 = "dW3 = delta.T @ h2", "dW2 = dz2.T @ h1", "dW1 = dz1.T @ x"
DH2, DH1 = "dh2 = delta @ W3", "dh1 = dz2 @ W2"

HOMEWORK = [
    # The masks.
    _wrong("homework", "MISSING_MASK", (DZ2, "dz2 = dh2")),
    _wrong("homework", "MISSING_MASK", (DZ1, "dz1 = dh1")),
    _wrong("homework", "MISSING_MASK", (DZ2, "dz2 = dh2"), (DZ1, "dz1 = dh1")),
    _wrong("homework", "MISSING_MASK", (DH1, "dh1 = dh2 @ W2")),
    _wrong("homework", "INVERTED_MASK", (DZ2, "dz2 = dh2 * (z2 < 0)")),
    _wrong("homework", "INVERTED_MASK", (DZ1, "dz1 = dh1 * (z1 <= 0)")),
    _wrong("homework", "INVERTED_MASK", (DZ2, "dz2 = dh2 * (z2 < 0)"), (DZ1, "dz1 = dh1 * (z1 < 0)")),
    _wrong("homework", "MASK_ON_OUTPUT", (DELTA, "delta = (f - y) / m * (f > 0)")),
    _wrong("homework", "MASK_ON_OUTPUT", (DELTA, "delta = (f - y) / m * sigmoid(f) * (1 - sigmoid(f))")),
    # σ in place of σ′, and the slopes of other activations.
    _wrong("homework", "WRONG_ACTIVATION", (DZ2, "dz2 = dh2 * h2")),
    _wrong("homework", "WRONG_ACTIVATION", (DZ1, "dz1 = dh1 * h1")),
    _wrong("homework", "WRONG_ACTIVATION", (DZ2, "dz2 = dh2 * h2 * (1 - h2)")),
    _wrong("homework", "WRONG_ACTIVATION", (DZ1, "dz1 = dh1 * (1 - h1**2)")),
    _wrong("homework", "WRONG_ACTIVATION", (DZ1, "dz1 = dh1 * (z1 > 0.5)")),
    _wrong("homework", "WRONG_ACTIVATION", (DZ2, "dz2 = dh2 * np.where(z2 >= 0, 1, 0.01)")),
    # Factors and signs.
    _wrong("homework", "SIGN_FLIPPED", (DELTA, "delta = (y - f) / m")),
    _wrong("homework", "SIGN_FLIPPED", (DW2, "dW2 = -dz2.T @ h1")),
    _wrong("homework", "MISSING_BATCH_MEAN", (DELTA, "delta = f - y")),
    _wrong("homework", "MISSING_BATCH_MEAN", (DELTA, "delta = f - y"), (DW3, "dW3 = delta.T @ h2 / m")),
    _wrong("homework", "DOUBLE_BATCH_MEAN", (DW3, "dW3 = delta.T @ h2 / m")),
    _wrong("homework", "CONSTANT_FACTOR", (DELTA, "delta = 2 * (f - y) / m")),
    _wrong("homework", "CONSTANT_FACTOR", (DW2, "dW2 = dz2.T @ h1 / h1.shape[1]")),
    _wrong("homework", "CONSTANT_FACTOR HARDCODED_BATCH_SIZE", (DELTA, "delta = (f - y) / 32")),
    _wrong("homework", "HARDCODED_BATCH_SIZE", (DELTA, "delta = (f - y) / 40"), dataset_size=40),
    _wrong("homework", "CONSTANT_FACTOR GRADIENT_NOT_ZEROED", (DW2, "dW2 = dz2.T @ h1; dW2 += dz2.T @ h1")),
    # Sums over the samples.
    _wrong("homework", "FIRST_SAMPLE_ONLY", (DW1, "dW1 = dz1[:1].T @ x[:1]")),
    _wrong("homework", "FIRST_SAMPLE_ONLY", (DW1, "for k in range(m): dW1 = np.outer(dz1[k], x[k])")),
    _wrong("homework", "PRODUCT_OF_SUMS", (DW2, "dW2 = np.outer(dz2.sum(axis=0), h1.sum(axis=0))")),
    _wrong("homework", "PRODUCT_OF_SUMS", (DW1, "dW1 = np.outer(dz1.sum(axis=0), x.mean(axis=0))")),
    _wrong("homework", "SHAPE_MISMATCH", (DELTA, "delta = (f - y.ravel()).mean(axis=1, keepdims=True) / m")),
    # Shapes.
    _wrong("homework", "TRANSPOSED_RESULT", (DW2, "dW2 = h1.T @ dz2")),
    _wrong("homework", "TRANSPOSED_RESULT", (DW3, "dW3 = h2.T @ delta"), (DW2, "dW2 = h1.T @ dz2"), (DW1, "dW1 = x.T @ dz1")),
    _wrong("homework", "SHAPE_MISMATCH WRONG_WEIGHT", (DW2, "dW2 = dz2.T @ h2")),
    _wrong("homework", "SHAPE_MISMATCH WRONG_WEIGHT", (DW1, "dW1 = dz1.T @ h1")),
    _wrong("homework", "SHAPE_MISMATCH ELEMENTWISE_FOR_MATMUL", (DW3, "dW3 = delta * h2")),
    # Factors of the chain rule.
    _wrong("homework", "WRONG_WEIGHT", (DW2, "dW2 = dz2.T @ z1")),
    _wrong("homework", "WRONG_WEIGHT", (DW3, "dW3 = delta.T @ z2")),
    _wrong("homework", "WEIGHT_DROPPED", (DH2, "dh2 = delta")),
    _wrong("homework", "UPDATED_WEIGHTS_USED", (DH2, "W3 = W3 - 0.1 * dW3; dh2 = delta @ W3")),
    _wrong("homework", "UPDATED_WEIGHTS_USED", (DH1, "W2 = W2 - 0.05 * dW2; dh1 = dz2 @ W2"), learning_rate=0.05),
]

TZ2, TZ1 = "dz2 = dh2 * (1 - h2**2)", "dz1 = dh1 * (1 - h1**2)"
DB3, DB2, DB1 = "db3 = delta.sum(axis=0)", "db2 = dz2.sum(axis=0)", "db1 = dz1.sum(axis=0)"

TANH = [
    _wrong("tanh", "MISSING_MASK", (TZ2, "dz2 = dh2")),
    _wrong("tanh", "MISSING_MASK", (DB2, "db2 = dh2.sum(axis=0)")),
    _wrong("tanh", "WRONG_ACTIVATION", (TZ2, "dz2 = dh2 * (1 - h2)")),
    _wrong("tanh", "WRONG_ACTIVATION", (TZ2, "dz2 = dh2 * h2 * (1 - h2)")),
    _wrong("tanh", "WRONG_ACTIVATION", (TZ1, "dz1 = dh1 * (1 - z1**2)")),
    _wrong("tanh", "WRONG_ACTIVATION", (TZ2, "dz2 = dh2 * (1 - np.tanh(h2) ** 2)")),
    _wrong("tanh", "WRONG_MASK_LAYER", (TZ1, "dz1 = dh1 * (1 - h2**2)")),
    _wrong("tanh", "MASK_ON_OUTPUT", (DELTA, "delta = (f - y) / m * (1 - f**2)")),
    _wrong("tanh", "MISSING_TRANSPOSE", (DH1, "dh1 = dz2 @ W2.T")),
    _wrong("tanh", "WEIGHT_DROPPED", (DH1, "dh1 = dz2")),
    _wrong("tanh", "WRONG_WEIGHT WRONG_INDEX", (DW2, "dW2 = dz2.T @ h2")),
    _wrong("tanh", "BIAS_NOT_SUMMED", (DB2, "db2 = dz2.sum(axis=1)")),
    _wrong("tanh", "BIAS_NOT_SUMMED", (DB2, "db2 = dz2")),
    _wrong("tanh", "DOUBLE_BATCH_MEAN", (DB2, "db2 = dz2.mean(axis=0)")),
    _wrong("tanh", "FIRST_SAMPLE_ONLY", (DB1, "db1 = dz1[0]")),
    _wrong("tanh", "WRONG_INDEX WRONG_WEIGHT", (DB1, "db1 = dz2.sum(axis=0)")),
    _wrong("tanh", "CONSTANT_FACTOR", (DELTA, "delta = (f - y) / y.size")),
]

SQUARE = [
    _wrong("square", "WRONG_MASK_LAYER", ("dz2 = dz3 @ W3 * (z2 >= 0)", "dz2 = dz3 @ W3 * (z3 >= 0)")),
    _wrong("square", "WRONG_MASK_LAYER", ("dz1 = dz2 @ W2 * (z1 >= 0)", "dz1 = dz2 @ W2 * (h2 > 0)")),
    _wrong("square", "WRONG_WEIGHT", ("dz2 = dz3 @ W3 * (z2 >= 0)", "dz2 = dz3 @ W2 * (z2 >= 0)")),
    _wrong("square", "WRONG_WEIGHT", ("dW3 = dz3.T @ h2", "dW3 = dz3.T @ h1")),
    _wrong("square", "MISSING_TRANSPOSE", ("dz2 = dz3 @ W3 * (z2 >= 0)", "dz2 = dz3 @ W3.T * (z2 >= 0)")),
    _wrong("square", "WEIGHT_DROPPED", ("dz1 = dz2 @ W2 * (z1 >= 0)", "dz1 = dz2 * (z1 >= 0)")),
    _wrong("square", "WEIGHT_DROPPED MISSING_MASK", ("dz1 = dz2 @ W2 * (z1 >= 0)", "dz1 = dz3 @ W2 * (z1 >= 0)")),
]

OTHERS = [
    _wrong("classifier", "WRONG_ACTIVATION", ("delta = (p - y) / m", "delta = (f - y) / m")),
    _wrong("classifier", "WRONG_ACTIVATION MASK_ON_OUTPUT", ("delta = (p - y) / m", "delta = (p - y) / m * p * (1 - p)")),
    _wrong("classifier", "WRONG_ACTIVATION", ("p = softmax(f)", "p = sigmoid(f)")),
    _wrong("binary", "WRONG_ACTIVATION", ("delta = (p - y) / m", "delta = (f - y) / m")),
    _wrong("binary", "MASK_ON_OUTPUT WRONG_ACTIVATION", ("delta = (p - y) / m", "delta = (p - y) / m * p * (1 - p)")),
    _wrong("summed", "DOUBLE_BATCH_MEAN CONSTANT_FACTOR", ("delta = f - y", "delta = (f - y) / len(x)")),
    _wrong("mse", "CONSTANT_FACTOR", ("delta = 2 * (f - y) / (m * n)", "delta = (f - y) / (m * n)")),
    _wrong("sigmoid", "MISSING_MASK", ("dz2 = (h2 - y) / m * h2 * (1 - h2)", "dz2 = (h2 - y) / m")),
    _wrong("sigmoid", "WRONG_ACTIVATION", ("dz1 = dz2 @ W2 * h1 * (1 - h1)", "dz1 = dz2 @ W2 * z1 * (1 - z1)")),
    _wrong(
        "leaky",
        "WRONG_ACTIVATION",
        ("dz1 = delta @ W2 * np.where(z1 >= 0, 1, 0.01)", "dz1 = delta @ W2 * (z1 >= 0)"),
    ),
    _wrong(
        "leaky",
        "INVERTED_MASK",
        ("dz1 = delta @ W2 * np.where(z1 >= 0, 1, 0.01)", "dz1 = delta @ W2 * np.where(z1 >= 0, 0.01, 1)"),
    ),
]

WRONG = [*HOMEWORK, *TANH, *SQUARE, *OTHERS]


def _right(program: str, *changes: tuple[str, str]) -> Case:
    return Case(program, changes)


RIGHT = [
    *(_right(name) for name in PROGRAMS),
    # 1/m at the end, the mask by h, a mask twice.
    _right(
        "homework",
        (DELTA, "delta = f - y"),
        (DW3, "dW3 = delta.T @ h2 / m"),
        (DW2, "dW2 = dz2.T @ h1 / m"),
        (DW1, "dW1 = dz1.T @ x / m; delta = delta / m"),
    ),
    _right("homework", (DZ2, "dz2 = dh2 * (h2 > 0)"), (DZ1, "dz1 = np.where(h1 > 0, dh1, 0)")),
    _right("homework", (DZ2, "dz2 = dh2.copy(); dz2[z2 < 0] = 0"), (DH1, "dh1 = (dz2 * (z2 > 0)) @ W2")),
    # One output lets a product broadcast; einsum; a loop over the samples; columns in place of rows.
    _right("homework", (DH2, "dh2 = delta * W3")),
    _right("homework", (DW2, 'dW2 = np.einsum("kj,ki->ji", dz2, h1)')),
    _right("homework", (DW1, "dW1 = sum(np.outer(dz1[k], x[k]) for k in range(m))")),
    _right("homework", (DW3, "dW3 = (h2.T @ delta).T"), (DH1, "dh1 = (W2.T @ dz2.T).T")),
    _right("homework", (DW2, "dW2 = np.mean([m * np.outer(a, b) for a, b in zip(dz2, h1)], axis=0)")),
    _right("homework", (DW1, "dW1 = np.asfortranarray(dz1.T @ x)")),
    _right("homework", (DW3, "dW3 = (delta.T @ h2).astype('>f8')")),
    _right("homework", (DW2, "dW2 = (dz2.T @ h1).tolist()")),
    _right("tanh", (TZ2, "dz2 = dh2 / np.cosh(z2) ** 2"), (DB2, "db2 = np.ones(m) @ dz2")),
    _right("tanh", (DB1, "db1 = dz1.sum(axis=0, keepdims=True)"), (DB2, "db2 = dz2.T.sum(axis=1)")),
    _right("classifier", ("delta = (p - y) / m", "delta = p.copy(); delta[np.arange(m), y.argmax(1)] -= 1; delta /= m")),
    _right("sigmoid", ("dz2 = (h2 - y) / m * h2 * (1 - h2)", "s = sigmoid(z2); dz2 = (h2 - y) / m * (s - s**2)")),
]
