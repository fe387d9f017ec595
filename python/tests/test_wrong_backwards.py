"""75 wrong `backward`s: one right piece of code with one edit each, for three networks. `g.check` names what is wrong."""

import numpy as np
import pytest

import backpropd as bp

RIGHT = """
def backward(W, b, x, y, z, h, f):
    m = len(x)
    delta = (f - y) / m
    dz3 = delta
    dW3 = dz3.T @ h[2]
    db3 = dz3.sum(axis=0)
    dh2 = dz3 @ W[3]
    dz2 = dh2 * slope(z[2])
    dW2 = dz2.T @ h[1]
    db2 = dz2.sum(axis=0)
    dh1 = dz2 @ W[2]
    dz1 = dh1 * slope(z[1])
    dW1 = dz1.T @ x
    db1 = dz1.sum(axis=0)
    return {"dW": {1: dW1, 2: dW2, 3: dW3}, "db": {1: db1, 2: db2, 3: db3}, "delta": delta}
"""

EDITS = [
    ("delta = (f - y) / m", "delta = f - y", {"MISSING_BATCH_MEAN"}),
    ("delta = (f - y) / m", "delta = (y - f) / m", {"SIGN_FLIPPED"}),
    ("delta = (f - y) / m", "delta = (f - y) / m / m", {"DOUBLE_BATCH_MEAN"}),
    ("delta = (f - y) / m", "delta = 2 * (f - y) / m", {"CONSTANT_FACTOR", "GRADIENT_NOT_ZEROED"}),
    ("delta = (f - y) / m", "delta = 0.5 * (f - y) / m", {"CONSTANT_FACTOR"}),
    ("dz2 = dh2 * slope(z[2])", "dz2 = dh2", {"MISSING_MASK"}),
    ("dz1 = dh1 * slope(z[1])", "dz1 = dh1", {"MISSING_MASK"}),
    ("dz2 = dh2 * slope(z[2])", "dz2 = dh2 * unlike(z[2])", {"INVERTED_MASK", "WRONG_ACTIVATION"}),
    ("dz1 = dh1 * slope(z[1])", "dz1 = dh1 * unlike(z[1])", {"INVERTED_MASK", "WRONG_ACTIVATION"}),
    ("dz2 = dh2 * slope(z[2])", "dz2 = dh2 * h[2]", {"WRONG_ACTIVATION"}),
    ("dz1 = dh1 * slope(z[1])", "dz1 = dh1 * h[1]", {"WRONG_ACTIVATION"}),
    ("dz2 = dh2 * slope(z[2])", "dz2 = dh2 * h[2] * (1 - h[2])", {"WRONG_ACTIVATION"}),
    ("dW3 = dz3.T @ h[2]", "dW3 = -dz3.T @ h[2]", {"SIGN_FLIPPED"}),
    ("dW2 = dz2.T @ h[1]", "dW2 = h[1].T @ dz2", {"TRANSPOSED_RESULT"}),
    ("dW1 = dz1.T @ x", "dW1 = x.T @ dz1", {"TRANSPOSED_RESULT"}),
    ("dW2 = dz2.T @ h[1]", "dW2 = dz2[:1].T @ h[1][:1]", {"FIRST_SAMPLE_ONLY"}),
    ("dW3 = dz3.T @ h[2]", "dW3 = dz3.T @ z[2]", {"WRONG_WEIGHT", "WRONG_ACTIVATION", "MISSING_MASK"}),
    ("dW2 = dz2.T @ h[1]", "dW2 = dz2.T @ z[1]", {"WRONG_WEIGHT", "WRONG_ACTIVATION", "MISSING_MASK"}),
    ("dW2 = dz2.T @ h[1]", "dW2 = np.outer(dz2.sum(axis=0), h[1].sum(axis=0))", {"PRODUCT_OF_SUMS"}),
    (
        "dW1 = dz1.T @ x",
        "dW1 = np.outer(dz1.mean(axis=0), x.mean(axis=0))",
        {"PRODUCT_OF_SUMS", "CONSTANT_FACTOR", "DOUBLE_BATCH_MEAN"},
    ),
    ("db2 = dz2.sum(axis=0)", "db2 = dz2", {"BIAS_NOT_SUMMED"}),
    ("db1 = dz1.sum(axis=0)", "db1 = dz1.mean(axis=0)", {"DOUBLE_BATCH_MEAN"}),
    ("dh2 = dz3 @ W[3]", "dh2 = dz3 @ (W[3] - 0.1 * dW3)", {"UPDATED_WEIGHTS_USED"}),
    ("dW2 = dz2.T @ h[1]", "dW2 = 2 * dz2.T @ h[1]", {"CONSTANT_FACTOR", "GRADIENT_NOT_ZEROED"}),
    ("dW1 = dz1.T @ x", "dW1 = dz1.T @ x / m", {"DOUBLE_BATCH_MEAN"}),
]

MASK = (lambda z: (z >= 0).astype(float)), (lambda z: (z < 0).astype(float))
"""σ′ of ReLU, and what is taken for it: the inverted mask."""

TANH = (lambda z: 1 - np.tanh(z) ** 2), (lambda z: 1 - z**2)
"""σ′ of tanh, and what is taken for it: 1 − h², with z for h."""

NETWORKS = {
    "relu": ([4, 3, 2, 1], "relu", "half_squared_error", MASK),
    "tanh": ([5, 4, 3, 2], "tanh", "half_squared_error", TANH),
    "classes": ([5, 6, 4, 3], "relu", "cross_entropy", MASK),
}


@pytest.fixture(scope="module")
def passes(server):
    """A pass of each network, in which every mistake shows: each unit is live for some samples and dead for others."""
    found = {}
    with bp.connect(server.address) as lab:
        for name, (sizes, activation, loss, slopes) in NETWORKS.items():
            for seed in range(200):
                rng = np.random.default_rng(seed)
                net = lab.model(sizes, seed=seed, activation=activation, loss=loss, bias=True, init="pytorch_linear")
                x = rng.normal(size=(7, sizes[0]))
                y = rng.integers(0, sizes[-1], 7) if loss == "cross_entropy" else rng.normal(size=(7, sizes[-1]))
                g = net.gradients(x, y)
                if all(((g.z[i] > 0).mean(axis=0) % 1).all() for i in (1, 2)):
                    break
            else:
                raise AssertionError(name)
            f = g.h[3]
            if loss == "cross_entropy":
                f = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
            found[name] = g, f, slopes
        yield found


def graded(passes, network, old, new):
    g, f, (slope, unlike) = passes[network]
    assert RIGHT.count(old) == 1
    names = {"np": np, "slope": slope, "unlike": unlike}
    exec(RIGHT.replace(old, new), names)
    mine = names["backward"](g.W, g.b, g.x, g.y, g.z, g.h, f)
    return g, mine


@pytest.mark.parametrize("network", NETWORKS)
def test_the_right_backward_is_right(passes, network):
    g, mine = graded(passes, network, "m = len(x)", "m = len(x)")
    assert g.check(**mine).is_right


def test_at_least_95_of_100_wrong_backwards_are_named(passes):
    named, others = 0, []
    for network in NETWORKS:
        for old, new, codes in EDITS:
            g, mine = graded(passes, network, old, new)
            with pytest.raises(AssertionError) as raised:
                g.check(**mine, learning_rate=0.1)
            wrong = [result for result in raised.value.report.values() if not result.is_right]
            if any(result.mistake in codes for result in wrong):
                named += 1
            else:
                others.append((network, new, [(result.key, result.mistake) for result in wrong]))
    total = len(NETWORKS) * len(EDITS)
    assert total == 75
    assert named >= 0.95 * total, others
