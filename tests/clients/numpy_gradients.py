"""A course's own numpy code, right and with each usual mistake, graded from a shell: `numpy_gradients.py BACKPROPD`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BACKPROPD = sys.argv[1]


def network(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = [(3, 4), (2, 3), (1, 2)]
    while True:
        W = [rng.uniform(0.2, 1.5, s) * rng.choice([-1, 1], s) for s in shapes]
        x, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 1))
        z1 = x @ W[0].T
        z2 = np.maximum(z1, 0) @ W[1].T
        mixed = all(0.2 < np.mean(z > 0) < 0.8 for z in (z1, z2)) and min(abs(z1).min(), abs(z2).min()) > 1e-2
        if mixed:
            return [w.astype(dtype) for w in W], x.astype(dtype), y.astype(dtype)


def backward(W, x, y, mistake=None):
    """Half squared error of a 4-3-2-1 ReLU network, mean over the batch."""
    m = len(x)
    z1 = x @ W[0].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[1].T
    h2 = np.maximum(z2, 0)
    f = h2 @ W[2].T
    delta = (f - y) / m
    if mistake == "no 1/m":
        delta = f - y
    if mistake == "1/m twice":
        delta = (f - y) / m / m
    if mistake == "sign":
        delta = (y - f) / m
    if mistake == "factor 2":
        delta = 2 * (f - y) / m
    if mistake == "broadcast":
        delta = ((f[:, 0] - y) / m).mean(axis=1, keepdims=True)
    mask1, mask2 = (z1 >= 0).astype(x.dtype), (z2 >= 0).astype(x.dtype)
    if mistake == "no masks":
        mask1, mask2 = np.ones_like(mask1), np.ones_like(mask2)
    if mistake == "inverted masks":
        mask1, mask2 = 1 - mask1, 1 - mask2
    if mistake == "sigmoid habit":
        mask1, mask2 = h1 * (1 - h1), h2 * (1 - h2)
    if mistake == "h for mask":
        mask1, mask2 = h1, h2
    dW3 = delta.T @ h2
    W3, W2 = W[2], W[1]
    if mistake == "updated weights":
        W3 = W3 - 0.1 * dW3
    dz2 = (delta @ W3) * mask2
    dW2 = dz2.T @ h1
    if mistake == "updated weights":
        W2 = W2 - 0.1 * dW2
    dz1 = (dz2 @ W2) * mask1
    gradients = {"dW1": dz1.T @ x, "dW2": dW2, "dW3": dW3, "delta": delta}
    if mistake == "accumulated":
        gradients = {name: g if name == "delta" else 2 * g for name, g in gradients.items()}
    if mistake == "first sample":
        gradients = {"dW1": dz1[:1].T @ x[:1], "dW2": dz2[:1].T @ h1[:1], "dW3": delta[:1].T @ h2[:1]}
    if mistake == "transposed":
        gradients = {"dW2": dW2.T, "dW1": gradients["dW1"].T}
    if mistake == "nan":
        gradients["dW2"] = gradients["dW2"] * np.nan
    return gradients


def grade(W, x, y, gradients, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.npz"
        np.savez_compressed(path, W1=W[0], W2=W[1], W3=W[2], x=x, y=y, **gradients)
        command = [BACKPROPD, "grade-gradients", str(path), "--format", "json", *options]
        reply = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {t["quantity"]: t for t in json.loads(reply)["tensors"]}


EXPECTED = {
    "no 1/m": {"MISSING_BATCH_MEAN"},
    "1/m twice": {"DOUBLE_BATCH_MEAN"},
    "sign": {"SIGN_FLIPPED"},
    "factor 2": {"CONSTANT_FACTOR"},
    "broadcast": {"SHAPE_MISMATCH", "OTHER"},
    "no masks": {"MISSING_MASK"},
    "inverted masks": {"INVERTED_MASK"},
    "sigmoid habit": {"WRONG_ACTIVATION"},
    "h for mask": {"WRONG_ACTIVATION"},
    "updated weights": {"UPDATED_WEIGHTS_USED"},
    "accumulated": {"GRADIENT_NOT_ZEROED"},
    "first sample": {"FIRST_SAMPLE_ONLY"},
    "transposed": {"TRANSPOSED_RESULT"},
}

checks, single = 0, 0
for seed in range(5):
    W, x, y = network(seed)
    for name, tensor in grade(W, x, y, backward(W, x, y)).items():
        assert tensor["verdict"] == "CORRECT", (seed, name, tensor)
        checks += 1
    for mistake, codes in EXPECTED.items():
        options = ["--learning-rate", "0.1"] if mistake == "updated weights" else []
        wrong = {n: t for n, t in grade(W, x, y, backward(W, x, y, mistake), *options).items() if t["verdict"] != "CORRECT"}
        assert wrong, (seed, mistake)
        for name, tensor in wrong.items():
            assert tensor["mistake"] in codes, (seed, mistake, name, tensor["mistake"], tensor["message"])
            assert tensor.get("worst") or tensor["mistake"] in ("TRANSPOSED_RESULT",), (seed, mistake, name)
            checks += 1
    nan = grade(W, x, y, backward(W, x, y, "nan"))["dW2"]
    assert nan["verdict"] == "INCORRECT" and "finite" in nan["message"], nan
    W32, x32, y32 = network(seed, np.float32)
    right = backward(W32, x32, y32)
    assert all(t["verdict"] == "CORRECT" for t in grade(W32, x32, y32, right, "--tolerance", "float32").values()), seed
    # Outputs that nearly meet their targets: what cancels shows single precision.
    y32 = (np.maximum(np.maximum(x32 @ W32[0].T, 0) @ W32[1].T, 0) @ W32[2].T + 0.1).astype(np.float32)
    exact = grade(W32, x32, y32, backward(W32, x32, y32))
    wrong = [t for t in exact.values() if t["verdict"] != "CORRECT"]
    assert all("single precision" in t["message"] for t in wrong), (seed, exact)
    single += len(wrong)
    checks += 3
assert single >= 5, single
print(f"{checks} judgements as expected")
