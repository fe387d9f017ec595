"""The same training step in numpy, JAX and PyTorch, each as its best users would write it.

`python peers.py numpy|jax|jax-scan|torch|torch-compile` reads one piece of work a line from standard input, takes the
steps and answers with their time and the last loss, as `benches/peer.rs` does.
"""

import json
import os
import sys
import time

import numpy as np


def entries(stream, count, dtype):
    """The first entries of a stream, the same as in benches/workload/mod.rs."""
    with np.errstate(over="ignore"):
        index = np.arange(1, count + 1, dtype=np.uint64)
        hashed = index * np.uint64(0x9E3779B97F4A7C15)
        hashed += np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
    hashed ^= hashed >> np.uint64(29)
    return ((hashed >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5).astype(dtype)


def start(work):
    """x, y, the weights and the biases (None without)."""
    dtype = np.float64 if work["double"] else np.float32
    sizes, rows = work["sizes"], work["rows"]
    x = entries(1, rows * sizes[0], dtype).reshape(rows, -1)
    y = entries(2, rows * sizes[-1], dtype).reshape(rows, -1)
    weights, biases = [], []
    for index, (k, n) in enumerate(zip(sizes, sizes[1:])):
        weights.append(entries(3 + index, n * k, dtype).reshape(n, k) * dtype(np.sqrt(24.0 / k)))
        biases.append(np.zeros(n, dtype) if work["bias"] else None)
    return x, y, weights, biases


class Numpy:
    """Every array is made once; every operation writes into one."""

    def __init__(self, work):
        self.x, self.y, self.weights, self.biases = start(work)
        self.rate, self.adam, self.t = work["learning_rate"], work["adam"], 0
        rows, dtype = work["rows"], self.x.dtype
        self.z = [np.empty((rows, n), dtype) for n in work["sizes"][1:]]
        self.h = [np.empty_like(z) for z in self.z[:-1]]
        self.mask = [np.empty(z.shape, bool) for z in self.z[:-1]]
        self.dz = [np.empty_like(z) for z in self.z]
        parameters = self.weights + [b for b in self.biases if b is not None]
        self.parameters = parameters
        self.gradients = [np.empty_like(p) for p in parameters]
        self.scratch = [np.empty_like(p) for p in parameters]
        if self.adam:
            self.first = [np.zeros_like(p) for p in parameters]
            self.second = [np.zeros_like(p) for p in parameters]

    def steps(self, count):
        loss = 0.0
        for _ in range(count):
            loss = self.step()
        return loss

    def step(self):
        depth = len(self.weights)
        h = self.x
        for i in range(depth):
            np.matmul(h, self.weights[i].T, out=self.z[i])
            if self.biases[i] is not None:
                self.z[i] += self.biases[i]
            if i < depth - 1:
                h = np.maximum(self.z[i], 0, out=self.h[i])
        rows = len(self.x)
        np.subtract(self.z[-1], self.y, out=self.dz[-1])
        loss = 0.5 * np.vdot(self.dz[-1], self.dz[-1]) / rows
        self.dz[-1] *= 1.0 / rows
        for i in reversed(range(depth)):
            below = self.x if i == 0 else self.h[i - 1]
            np.matmul(self.dz[i].T, below, out=self.gradients[i])
            if self.biases[i] is not None:
                np.sum(self.dz[i], axis=0, out=self.gradients[depth + i])
            if i > 0:
                np.matmul(self.dz[i], self.weights[i], out=self.dz[i - 1])
                np.greater(self.z[i - 1], 0, out=self.mask[i - 1])
                self.dz[i - 1] *= self.mask[i - 1]
        if self.adam:
            self.update_adam()
        else:
            for p, g in zip(self.parameters, self.gradients):
                g *= self.rate
                p -= g
        return float(loss)

    def update_adam(self):
        self.t += 1
        rate = self.rate / (1 - 0.9**self.t)
        root = (1 - 0.999**self.t) ** 0.5
        lines = zip(self.parameters, self.gradients, self.first, self.second, self.scratch)
        for p, g, m, v, s in lines:
            m *= 0.9
            np.multiply(g, 0.1, out=s)
            m += s
            v *= 0.999
            g *= g
            g *= 0.001
            v += g
            np.sqrt(v, out=s)
            s *= 1 / root
            s += 1e-8
            np.divide(m, s, out=s)
            s *= rate
            p -= s


class Jax:
    """One jitted step that owns its arguments; `scan` puts a hundred of them into one call."""

    def __init__(self, work, scan):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        x, y, weights, biases = start(work)
        self.jax, self.scan = jax, scan
        rate, adam = work["learning_rate"], work["adam"]
        parameters = [(jnp.asarray(w), None if b is None else jnp.asarray(b)) for w, b in zip(weights, biases)]
        zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
        moments = (zeros(), zeros(), jnp.zeros((), x.dtype)) if adam else ()
        self.state = (parameters, moments)

        def loss_of(parameters, x, y):
            h = x
            for i, (w, b) in enumerate(parameters):
                z = h @ w.T
                if b is not None:
                    z = z + b
                h = jnp.maximum(z, 0) if i < len(parameters) - 1 else z
            return 0.5 * jnp.sum((h - y) ** 2) / x.shape[0]

        def step(state, x, y):
            parameters, moments = state
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
            if not adam:
                return (jax.tree.map(lambda p, g: p - rate * g, parameters, gradients), ()), loss
            first, second, t = moments
            t = t + 1
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
            a, root = rate / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
            parameters = jax.tree.map(
                lambda p, m, v: p - a * m / (jnp.sqrt(v) / root + 1e-8), parameters, first, second
            )
            return (parameters, (first, second, t)), loss

        def hundred(state, x, y):
            state, losses = jax.lax.scan(lambda state, _: step(state, x, y), state, None, length=100)
            return state, losses[-1]

        self.step = jax.jit(hundred if scan else step, donate_argnums=0)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def steps(self, count):
        if self.scan:
            assert count % 100 == 0
            count //= 100
        loss = None
        for _ in range(count):
            self.state, loss = self.step(self.state, self.x, self.y)
        return float(loss.block_until_ready())


class Torch:
    """Functional layers, the foreach optimizers; compiled as a whole step where asked to."""

    def __init__(self, work, compiled):
        import torch

        torch.set_num_threads(work["threads"])
        x, y, weights, biases = start(work)
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        ws = [torch.from_numpy(w).requires_grad_() for w in weights]
        bs = [None if b is None else torch.from_numpy(b).requires_grad_() for b in biases]
        parameters = ws + [b for b in bs if b is not None]
        if work["adam"]:
            optimizer = torch.optim.Adam(parameters, lr=work["learning_rate"], foreach=True)
        else:
            optimizer = torch.optim.SGD(parameters, lr=work["learning_rate"], foreach=True)
        linear, relu, rows = torch.nn.functional.linear, torch.nn.functional.relu, work["rows"]

        def loss_of(x, y):
            h = x
            for i, (w, b) in enumerate(zip(ws, bs)):
                h = linear(h, w, b)
                if i < len(ws) - 1:
                    h = relu(h)
            return 0.5 * (h - y).square().sum() / rows

        if compiled:
            loss_of = torch.compile(loss_of)
            update = torch.compile(optimizer.step, fullgraph=False)
        else:
            update = optimizer.step

        def step():
            loss = loss_of(x, y)
            loss.backward()
            update()
            optimizer.zero_grad(set_to_none=True)
            return loss

        self.step = step

    def steps(self, count):
        loss = None
        for _ in range(count):
            loss = self.step()
        return loss.item()


def main():
    kind = sys.argv[1]
    make = {
        "numpy": Numpy,
        "jax": lambda work: Jax(work, scan=False),
        "jax-scan": lambda work: Jax(work, scan=True),
        "torch": lambda work: Torch(work, compiled=False),
        "torch-compile": lambda work: Torch(work, compiled=True),
    }[kind]
    workers = {}
    for line in sys.stdin:
        work = json.loads(line)
        if work["name"] not in workers:
            workers.clear()
            workers[work["name"]] = make(work)
        began = time.perf_counter()
        loss = workers[work["name"]].steps(work["steps"])
        print(json.dumps({"seconds": time.perf_counter() - began, "loss": loss}), flush=True)


if __name__ == "__main__":
    main()
