# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why is my dW2 wrong?
# A student's backward pass for a 4-3-2-1 network, and the way from a red mark to the line. It needs `backpropd` and numpy.

# %%
import backpropd as bp
import numpy as np

lab = bp.local()
net = lab.model([4, 3, 2, 1], seed=11)  # ReLU, linear last, half squared error
rng = np.random.default_rng(0)
x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
net

# %% [markdown]
# ## My backward pass
# The forward pass first, then δ, then one layer after the other, from the last to the first.


# %%
def backward(x, y, W):
    z1 = x @ W[1].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[2].T
    h2 = np.maximum(z2, 0)
    f = h2 @ W[3].T
    delta = (f - y) / len(x)
    dh2 = delta @ W[3]
    dz1 = (dh2 @ W[2]) * (z1 >= 0)
    return {1: dz1.T @ x, 2: dh2.T @ h1, 3: delta.T @ h2}


mine = backward(x, y, net.W)
g = net.gradients(x, y)
try:
    g.check(dW=mine)
except AssertionError as error:
    message = str(error)
    print(message)

assert message.startswith("dW¹ MISSING_MASK") and "dW² MISSING_MASK" in message and "dW³" not in message

# %% [markdown]
# dW³ is right. dW² and dW¹ miss a mask, and the question is about z². `grade` returns the same without an exception, to look at: in the
# table ✗ marks the entries that are wrong.

# %%
report = g.grade(dW=mine)
report

# %%
report["dW2"].grid

# %% [markdown]
# ## Where does the gradient go when z² is negative?
# Nowhere: max(0, z) is flat there, its slope is 0. The units of layer 2 for each sample (row), and what my code sends through:

# %%
print("z² ≥ 0:\n", (g.z[2] >= 0).astype(int))
print("dz², right:\n", g.dz[2].round(3))
print("mine:\n", (g.delta @ net.W[3]).round(3))
wrong_places = ~np.isclose(g.dz[2], g.delta @ net.W[3])
assert (wrong_places == (g.z[2] < 0)).all(), "wrong exactly where z² is negative"

# %% [markdown]
# ## One entry, taken apart
# Each term of dW²₂₁ has the mask as a factor. It is 0 where the unit was silent.

# %%
explanation = g.explain("dW2", 2, 1, expand="chain")
explanation

# %%
masks = [factor for term in explanation.equations[0].terms for factor in term.factors if factor.kind == "mask"]
print([(mask.text, mask.value) for mask in masks])
assert [mask.value for mask in masks] == list((g.z[2][:, 1] >= 0).astype(float))
assert explanation.value == g.dW[2][1, 0]

# %% [markdown]
# ## Repaired
# One line was missing: `dz2 = dh2 * (z2 >= 0)`. The wrong dW¹ came from the same line, since everything below uses it.


# %%
def repaired(x, y, W):
    z1 = x @ W[1].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[2].T
    h2 = np.maximum(z2, 0)
    f = h2 @ W[3].T
    delta = (f - y) / len(x)
    dz2 = (delta @ W[3]) * (z2 >= 0)
    dz1 = (dz2 @ W[2]) * (z1 >= 0)
    return {1: dz1.T @ x, 2: dz2.T @ h1, 3: delta.T @ h2}


g.check(dW=repaired(x, y, net.W))

# %% [markdown]
# ## Without believing anybody
# Nudge one weight, and see what the loss does: (l(w + h) − l(w − h)) / 2h.

# %%
h = 1e-5
losses = []
for nudge in (h, -h):
    W = {layer: array.copy() for layer, array in g.W.items()}
    W[2][1, 0] += nudge
    losses.append(lab.model([4, 3, 2, 1], parameters=W).evaluate(x, y).loss)
slope = (losses[0] - losses[1]) / (2 * h)
print(f"nudged {slope:.10f}, dW² {g.dW[2][1, 0]:.10f}, mine {mine[2][1, 0]:.10f}")
assert abs(slope - g.dW[2][1, 0]) < 1e-8
assert abs(slope - mine[2][1, 0]) > 1e-3

# %% [markdown]
# `net.check_gradients` does this for every entry.

# %%
check = net.check_gradients(x, y)
print(check.passed, check.checked)
assert check

# %% [markdown]
# ## Other usual mistakes, and what is said of them

# %%
mistakes = {
    "δ without 1/m": (dict(delta=g.delta * len(x)), "MISSING_BATCH_MEAN"),
    "the other sign": (dict(dW={2: -g.dW[2]}), "SIGN_FLIPPED"),
    "transposed": (dict(dW={2: g.dW[2].T}), "TRANSPOSED_RESULT"),
    "the mask the wrong way round": (dict(dW={2: ((g.delta @ g.W[3]) * (g.z[2] < 0)).T @ g.h[1]}), "INVERTED_MASK"),
    "z¹ in place of h¹": (dict(dW={2: g.dz[2].T @ g.z[1]}), "WRONG_WEIGHT"),
    "added up twice": (dict(dW={2: 2 * g.dW[2]}), "GRADIENT_NOT_ZEROED"),
}
for what, (wrong, expected) in mistakes.items():
    (result,) = g.grade(**wrong).values()
    print(f"{what}: {result}")
    assert result.mistake == expected, (what, result.mistake)
