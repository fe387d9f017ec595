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
# # The same loop in PyTorch, JAX and here
# One network, one order of samples, one optimizer, three libraries: after 200 steps the weights agree to 1e-10. It needs `backpropd`,
# numpy, torch and jax (their builds for CPUs are enough).

# %%
import time

import backpropd as bp
import jax
import jax.numpy as jnp
import numpy as np
import torch

jax.config.update("jax_enable_x64", True)
lab = bp.local()
digits = lab.open_dataset("datasets/digits")
reader = lab.model([64, 10], loss="cross_entropy")
read = reader.gradients(digits, include=("x", "y"))
x, y = read.x, read.y.argmax(axis=1)
order = np.random.default_rng(1).permutation(len(x))
x, y = x[order][:1600], y[order][:1600]
BATCH, STEPS, RATE = 16, 200, 0.2

# One start for all. Here σ′(0) of ReLU is 1 by default; both others say 0.
start = lab.model([64, 32, 10], loss="cross_entropy", bias=True, seed=1, relu_at_zero=0, learning_rate=RATE)
W, b = {i: start.W[i] for i in (1, 2)}, {i: start.b[i] for i in (1, 2)}
seconds, weights = {}, {}

# %% [markdown]
# ## Here
# The loop runs on the server, and reports each step.

# %%
started = time.perf_counter()
for step in start.train(x, y, steps=STEPS, batch_size=BATCH):
    pass
seconds["backpropd"] = time.perf_counter() - started
weights["backpropd"] = {i: start.W[i] for i in (1, 2)}
losses = start.history.losses
print(f"loss {losses[0]:.4f} → {losses[-1]:.4f}")
assert len(losses) == STEPS and losses[-1] < losses[0]

# %% [markdown]
# ## Here, written out
# The same with the loop on this side: gradients from the server, the update in numpy.

# %%
started = time.perf_counter()
net = lab.model([64, 32, 10], loss="cross_entropy", bias=True, relu_at_zero=0, parameters={i: (W[i], b[i]) for i in (1, 2)})
parameters = {i: [W[i].copy(), b[i].copy()] for i in (1, 2)}
for step in range(STEPS):
    rows = slice(step * BATCH % len(x), step * BATCH % len(x) + BATCH)
    g = net.gradients(x[rows], y[rows], include=("dW", "db"))
    for i in (1, 2):
        parameters[i][0] -= RATE * g.dW[i]
        parameters[i][1] -= RATE * g.db[i]
    net.set_parameters({i: tuple(pair) for i, pair in parameters.items()})
seconds["backpropd, written out"] = time.perf_counter() - started
weights["backpropd, written out"] = {i: pair[0] for i, pair in parameters.items()}

# %% [markdown]
# ## PyTorch


# %%
def to_torch(array):
    """A tensor, also for a torch that is older than this numpy."""
    return torch.tensor(array.tolist(), dtype=torch.float64 if array.dtype.kind == "f" else torch.int64)


torch_net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).double()
with torch.no_grad():
    for i, layer in ((1, torch_net[0]), (2, torch_net[2])):
        layer.weight.copy_(to_torch(W[i]))
        layer.bias.copy_(to_torch(b[i]))
optimizer, loss_of = torch.optim.SGD(torch_net.parameters(), lr=RATE), torch.nn.CrossEntropyLoss()
torch_x, torch_y = to_torch(x), to_torch(y)

started = time.perf_counter()
for step in range(STEPS):
    rows = slice(step * BATCH % len(x), step * BATCH % len(x) + BATCH)
    optimizer.zero_grad()
    loss_of(torch_net(torch_x[rows]), torch_y[rows]).backward()
    optimizer.step()
seconds["PyTorch"] = time.perf_counter() - started
weights["PyTorch"] = {1: np.array(torch_net[0].weight.tolist()), 2: np.array(torch_net[2].weight.tolist())}

# %% [markdown]
# ## JAX


# %%
def jax_loss(parameters, x, y):
    h = jax.nn.relu(x @ parameters["W1"].T + parameters["b1"])
    f = h @ parameters["W2"].T + parameters["b2"]
    return -jnp.take_along_axis(jax.nn.log_softmax(f), y[:, None], axis=1).mean()


@jax.jit
def jax_step(parameters, x, y):
    gradients = jax.grad(jax_loss)(parameters, x, y)
    return {name: value - RATE * gradients[name] for name, value in parameters.items()}


jax_parameters = {f"W{i}": jnp.array(W[i]) for i in (1, 2)} | {f"b{i}": jnp.array(b[i]) for i in (1, 2)}
jax_step(jax_parameters, x[:BATCH], y[:BATCH])  # compiles

started = time.perf_counter()
for step in range(STEPS):
    rows = slice(step * BATCH % len(x), step * BATCH % len(x) + BATCH)
    jax_parameters = jax_step(jax_parameters, x[rows], y[rows])
jax.block_until_ready(jax_parameters)
seconds["JAX"] = time.perf_counter() - started
weights["JAX"] = {i: np.array(jax_parameters[f"W{i}"]) for i in (1, 2)}

# %% [markdown]
# ## The same weights

# %%
print(f"{'':24} seconds   largest difference of a weight")
for name, found in weights.items():
    difference = max(abs(found[i] - weights["backpropd"][i]).max() for i in (1, 2))
    print(f"{name:24} {seconds[name]:7.3f}   {difference:.1e}")
    assert difference < 1e-10, name
moved = abs(weights["backpropd"][1] - W[1]).max()
print(f"and the weights have moved by up to {moved:.3f}")
assert moved > 0.05

# %% [markdown]
# ## The same gradients
# `g.check` compares gradients of any library: those of torch on the next batch.

# %%
g = start.gradients(x[:BATCH], y[:BATCH])
optimizer.zero_grad()
loss_of(torch_net(torch_x[:BATCH]), torch_y[:BATCH]).backward()
g.check(dW={1: np.array(torch_net[0].weight.grad.tolist()), 2: np.array(torch_net[2].weight.grad.tolist())})
