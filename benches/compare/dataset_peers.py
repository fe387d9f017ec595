"""The training of dataset.py in JAX and PyTorch, with the samples in memory: python dataset_peers.py KIND FILE EPOCHS

784-128-10, softmax cross-entropy, SGD, shuffled mini-batches of 128, the loss of every step read, held-out accuracy each
epoch. Prints the seconds of all epochs, without start and compilation, twice (ours also says what it computed), and the
last accuracy. *jax-scan* takes an epoch in one call and reads its losses afterwards.
"""

import json
import os
import sys
import time

import numpy as np

KIND, FILE, EPOCHS = sys.argv[1], sys.argv[2], int(sys.argv[3])
BATCH, RATE, HIDDEN, CLASSES = 128, 0.05, 128, 10


def orders(rows, seed):
    """The whole batches of each epoch: JAX compiles for one shape, so the last, smaller batch is left out of its scan."""
    random = np.random.default_rng(seed)
    while True:
        yield random.permutation(rows)


def parameters():
    random = np.random.default_rng(1)
    draw = lambda n, k: random.standard_normal((n, k), dtype=np.float32) * np.float32(np.sqrt(2 / k))
    return [draw(HIDDEN, 784), np.zeros(HIDDEN, np.float32), draw(CLASSES, HIDDEN), np.zeros(CLASSES, np.float32)]


def with_jax(data, is_scan):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    x, y, xh, yh = (jnp.asarray(data[name]) for name in ("xt", "yt", "xh", "yh"))

    def outputs(p, x):
        return jnp.maximum(x @ p[0].T + p[1], 0) @ p[2].T + p[3]

    def loss_of(p, x, y):
        f = outputs(p, x)
        return jnp.mean(jax.nn.logsumexp(f, 1) - jnp.take_along_axis(f, y[:, None].astype(jnp.int32), 1)[:, 0])

    def step(p, rows):
        loss, gradients = jax.value_and_grad(loss_of)(p, x[rows], y[rows])
        return [p - RATE * g for p, g in zip(p, gradients)], loss

    take = jax.jit(step, donate_argnums=0)
    take_epoch = jax.jit(lambda p, rows: jax.lax.scan(step, p, rows), donate_argnums=0)
    accuracy = jax.jit(lambda p: jnp.mean(outputs(p, xh).argmax(1) == yh))

    def epoch(p, order):
        whole = len(order) // BATCH * BATCH
        batches = jnp.asarray(order[:whole].reshape(-1, BATCH))
        if is_scan:
            p, losses = take_epoch(p, batches)
            np.asarray(losses)
        else:
            for rows in batches:
                p, loss = take(p, rows)
                float(loss)
        p, loss = take(p, jnp.asarray(order[whole:]))
        float(loss)
        return p, float(accuracy(p))

    return [jnp.asarray(p) for p in parameters()], epoch


def with_torch(data, is_compiled):
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x, y, xh, yh = (torch.from_numpy(data[name].astype(np.float32 if name[0] == "x" else np.int64)) for name in ("xt", "yt", "xh", "yh"))
    p = [torch.from_numpy(p) for p in parameters()]
    linear, last = torch.nn.Linear(784, HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)
    network = torch.nn.Sequential(linear, torch.nn.ReLU(), last)
    with torch.no_grad():
        for own, given in zip(network.parameters(), p):
            own.copy_(given)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    model = torch.compile(network) if is_compiled else network

    def epoch(_, order):
        order = torch.from_numpy(order)
        for rows in order.split(BATCH):
            loss = cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        with torch.no_grad():
            return None, float((network(xh).argmax(1) == yh).float().mean())

    return None, epoch


KINDS = {
    "jax": lambda data: with_jax(data, False),
    "jax-scan": lambda data: with_jax(data, True),
    "torch": lambda data: with_torch(data, False),
    "torch-compile": lambda data: with_torch(data, True),
}


def main():
    state, epoch = KINDS[KIND](np.load(FILE))
    order = orders(60_000, 1)
    # Compiles.
    state, accuracy = epoch(state, next(order))
    began = time.perf_counter()
    for _ in range(EPOCHS):
        state, accuracy = epoch(state, next(order))
    took = time.perf_counter() - began
    print(json.dumps([took, took, accuracy]))


if __name__ == "__main__":
    main()
