"""The homework's network in plain numpy: 4-3-2-1, ReLU, ReLU, linear, no biases, l = 1/(2m) Σ (f − y)².

Rows are samples. Written from the homework's formulas, with its mask z ≥ 0, to compare a server with. Quantities are
named as in the protocol, in a dict from (name, layer) to an array; layer 0 is for those that belong to no layer.
"""

import numpy as np

SIZES = (4, 3, 2, 1)
LAST = len(SIZES) - 1


def forward(W, x, y):
    """X, Y, W, Z, H and LOSS_PER_SAMPLE, and the loss, for weights W = [W¹, W², W³]."""
    q = {("X", 0): x, ("Y", 0): y}
    h = x
    for i, Wi in enumerate(W, start=1):
        z = h @ Wi.T
        h = np.maximum(z, 0.0) if i < LAST else z
        q |= {("W", i): Wi, ("Z", i): z, ("H", i): h}
    q["LOSS_PER_SAMPLE", 0] = 0.5 * ((h - y) ** 2).sum(axis=1)
    return q, q["LOSS_PER_SAMPLE", 0].mean()


def backward(q):
    """The same with DELTA, D_H, D_Z, D_W and D_X, from what `forward` returned."""
    q = dict(q)
    m = q["X", 0].shape[0]
    delta = (q["H", LAST] - q["Y", 0]) / m
    q["DELTA", 0] = q["D_H", LAST] = q["D_Z", LAST] = delta
    q["D_W", LAST] = delta.T @ q["H", LAST - 1]
    for i in range(LAST - 1, 0, -1):
        q["D_H", i] = q["D_Z", i + 1] @ q["W", i + 1]
        q["D_Z", i] = q["D_H", i] * (q["Z", i] >= 0.0)
        below = q["H", i - 1] if i > 1 else q["X", 0]
        q["D_W", i] = q["D_Z", i].T @ below
    q["D_X", 0] = q["D_Z", 1] @ q["W", 1]
    return q


def central_differences(W, x, y, step=1e-5):
    """[dW¹, dW², dW³] from the loss alone: (l(w + step) − l(w − step)) / (2 step) for every entry w."""
    gradients = []
    for i, Wi in enumerate(W):
        dWi = np.zeros_like(Wi)
        for at in np.ndindex(*Wi.shape):
            loss = []
            for sign in (1.0, -1.0):
                moved = [w.copy() for w in W]
                moved[i][at] += sign * step
                loss.append(forward(moved, x, y)[1])
            dWi[at] = (loss[0] - loss[1]) / (2.0 * step)
        gradients.append(dWi)
    return gradients


def draw(seed, m):
    """Weights, inputs and targets with every hidden z at least 0.02 from the kink, some above and some below it, and
    no gradient of W all zero. The first such draw from `seed`, so the same each time."""
    rng = np.random.default_rng(seed)
    while True:
        W = [rng.normal(size=(out, fan_in)) for fan_in, out in zip(SIZES, SIZES[1:])]
        x, y = rng.normal(size=(m, SIZES[0])), rng.normal(size=(m, SIZES[-1]))
        q = backward(forward(W, x, y)[0])
        hidden = [q["Z", i] for i in range(1, LAST)]
        clear = all(np.abs(z).min() > 0.02 and (z > 0).any() and (z < 0).any() for z in hidden)
        if clear and all(q["D_W", i].any() for i in range(1, LAST + 1)):
            return W, x, y


if __name__ == "__main__":
    for m in (1, 3, 5):
        W, x, y = draw(m, m)
        q = backward(forward(W, x, y)[0])
        for i, numeric in enumerate(central_differences(W, x, y), start=1):
            error = np.abs(q["D_W", i] - numeric).max() / np.abs(numeric).max()
            assert error < 1e-7, (m, i, error)
    print("ok   the reference agrees with central differences")
