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
# # A custom loss with gradients and apply_gradients
# The server knows four losses. The pinball loss, whose minimum is a quantile, is none of them. A loss enters the backward pass in one place,
# δ = ∂l/∂zᴸ; the rest is the chain rule. So: forward on the server, δ here, the chain rule here, the step on the server, with its
# optimizer. It needs `backpropd` and numpy.

# %%
import backpropd as bp
import numpy as np

QUANTILE = 0.9
rng = np.random.default_rng(1)
x = rng.uniform(-2, 2, size=(1000, 1))
y = np.sin(2 * x) + (0.2 + 0.3 * abs(x)) * rng.normal(size=x.shape)

lab = bp.local()
net = lab.model([1, 32, 16, 1], bias=True, activation="tanh", optimizer=bp.Adam(0.01), seed=1)


def pinball(f, y):
    """The loss: an error below costs 0.9 a unit, one above 0.1."""
    error = y - f
    return np.maximum(QUANTILE * error, (QUANTILE - 1) * error).mean()


def pinball_delta(f, y):
    """δ = ∂l/∂f."""
    return np.where(y > f, -QUANTILE, 1 - QUANTILE) / len(f)


# %% [markdown]
# ## The chain rule
# dWⁱ = dzⁱᵀ hⁱ⁻¹, dbⁱ = Σ dzⁱ, dzⁱ⁻¹ = (dzⁱ Wⁱ) ⊙ σ′(zⁱ⁻¹), and for tanh σ′(z) = 1 − h².


# %%
def backward(x, y):
    h = dict(net.forward(x)["h"].items())
    W = net.W
    dz = pinball_delta(h[3], y)
    h[0] = x
    dW, db = {}, {}
    for i in (3, 2, 1):
        dW[i], db[i] = dz.T @ h[i - 1], dz.sum(axis=0)
        if i > 1:
            dz = (dz @ W[i]) * (1 - h[i - 1] ** 2)
    return pinball(h[3], y), dW, db


loss, dW, db = backward(x, y)

# %% [markdown]
# ## Is it right?
# Half the squared error has δ = (f − y)/m. With the target y′ = f − mδ its δ is ours, so that the server's own backward pass is the
# judge of ours; and so is a nudge of a weight.

# %%
f = net.predict(x)
g = net.gradients(x, f - len(x) * pinball_delta(f, y))
print(g.check(dW=dW, db=db))

h = 1e-6
nudged = []
for nudge in (h, -h):
    W = {i: W.copy() for i, W in net.W.items()}
    W[1][3, 0] += nudge
    other = lab.model([1, 32, 16, 1], activation="tanh", bias=True, parameters={i: (W[i], net.b[i]) for i in W})
    nudged.append(pinball(other.predict(x), y))
slope = (nudged[0] - nudged[1]) / (2 * h)
print(f"nudged {slope:.8f}, dW¹ {dW[1][3, 0]:.8f}")
assert abs(slope - dW[1][3, 0]) < 1e-6

# %% [markdown]
# ## Train
# `apply_gradients` takes a step of the network's Adam. `expected_step` refuses it if another client has been faster.

# %%
losses = []
for step in range(600):
    rows = rng.choice(len(x), size=200, replace=False)
    loss, dW, db = backward(x[rows], y[rows])
    losses.append(loss)
    net.apply_gradients(dW, db, expected_step=step, durability="relaxed", skip_digest=True)
print(f"pinball loss {np.mean(losses[:20]):.3f} → {np.mean(losses[-20:]):.3f} after {net.step} steps")
assert net.step == 600
assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])

# %% [markdown]
# ## Nine of ten samples lie below it
# That is what a 0.9 quantile is, on samples that it has not seen, too.

# %%
x_new = rng.uniform(-2, 2, size=(5000, 1))
y_new = np.sin(2 * x_new) + (0.2 + 0.3 * abs(x_new)) * rng.normal(size=x_new.shape)
below = (y_new < net.predict(x_new)).mean()
print(f"{below:.1%} of new samples lie below")
assert 0.86 < below < 0.94

# %% [markdown]
# A mean would lie in the middle:

# %%
mean = lab.model([1, 32, 16, 1], bias=True, activation="tanh", optimizer=bp.Adam(0.01), seed=1)
mean.fit(x, y, steps=600, batch_size=200, shuffle_seed=1)
below = (y_new < mean.predict(x_new)).mean()
print(f"{below:.1%} lie below the mean")
assert 0.44 < below < 0.56
