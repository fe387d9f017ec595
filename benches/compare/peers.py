"""The same training step in numpy, JAX and PyTorch, each as its best users would write it.

`python peers.py KIND` with a KIND of `KINDS` below reads one piece of work a line from standard input, takes the steps
and answers with their time and the last loss, as `benches/peer.rs` does. The environment says how many threads it has
(compare.py sets it before the imports here see it).
"""

import functools
import json
import sys
import time

import numpy as np

KIND = sys.argv[1]
# What is not measured is not imported: each has threads of its own.
if KIND.startswith("jax"):
    import jax
    import jax.numpy as jnp
elif KIND.startswith("torch"):
    import torch
    from torch.nn.functional import linear, relu


def entries(stream, count, dtype):
    """The first entries of a stream, the same as in benches/workload/mod.rs."""
    with np.errstate(over="ignore"):
        index = np.arange(1, count + 1, dtype=np.uint64)
        hashed = index * np.uint64(0x9E3779B97F4A7C15)
        hashed += np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
    hashed ^= hashed >> np.uint64(29)
    return ((hashed >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5).astype(dtype)


def start(work):
    """x, y, the weights and the biases (none without)."""
    dtype = np.float64 if work["double"] else np.float32
    sizes, rows = work["sizes"], work["rows"]
    x = entries(1, rows * sizes[0], dtype).reshape(rows, -1)
    y = entries(2, rows * sizes[-1], dtype).reshape(rows, -1)
    weights, biases = [], []
    for index, (k, n) in enumerate(zip(sizes, sizes[1:])):
        weights.append(entries(3 + index, n * k, dtype).reshape(n, k) * dtype(np.sqrt(24.0 / k)))
        if work["bias"]:
            biases.append(np.zeros(n, dtype))
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
        self.parameters = self.weights + self.biases
        self.gradients = [np.empty_like(p) for p in self.parameters]
        if self.adam:
            self.scratch = [np.empty_like(p) for p in self.parameters]
            self.first = [np.zeros_like(p) for p in self.parameters]
            self.second = [np.zeros_like(p) for p in self.parameters]

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
            if self.biases:
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
            if self.biases:
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


@functools.cache
def jax_step(adam, rate, scan):
    """One jitted step that owns its first argument; `scan` steps in one call where it is not 0."""
    def loss_of(parameters, x, y):
        weights, biases = parameters
        h = x
        for i, w in enumerate(weights):
            z = h @ w.T
            if biases:
                z = z + biases[i]
            h = jnp.maximum(z, 0) if i < len(weights) - 1 else z
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
        parameters = jax.tree.map(lambda p, m, v: p - a * m / (jnp.sqrt(v) / root + 1e-8), parameters, first, second)
        return (parameters, (first, second, t)), loss

    def many(state, x, y):
        state, losses = jax.lax.scan(lambda state, _: step(state, x, y), state, None, length=scan)
        return state, losses[-1]

    return jax.jit(many if scan else step, donate_argnums=0)


class Jax:
    def __init__(self, work, scans):
        jax.config.update("jax_enable_x64", True)
        # The caller waits for a CPU either way; measured a little faster.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        x, y, weights, biases = start(work)
        self.scan = work["scan"] if scans else 0
        self.step = jax_step(work["adam"], work["learning_rate"], self.scan)
        parameters = jax.tree.map(jnp.asarray, (weights, biases))
        zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
        moments = (zeros(), zeros(), jnp.zeros((), x.dtype)) if work["adam"] else ()
        self.state = (parameters, moments)
        self.batch = jnp.asarray(x), jnp.asarray(y)

    def steps(self, count):
        assert count % max(self.scan, 1) == 0
        loss = None
        for _ in range(count // max(self.scan, 1)):
            self.state, loss = self.step(self.state, *self.batch)
        return float(loss.block_until_ready())


def torch_loss(weights, biases, x, y):
    h = x
    for i, w in enumerate(weights):
        h = linear(h, w, biases[i] if biases else None)
        if i < len(weights) - 1:
            h = relu(h)
    return 0.5 * (h - y).square().sum() / len(x)


class Torch:
    """Autograd and the optimizers of torch.optim, `foreach` or `fused`."""

    def __init__(self, work, style):
        x, y, weights, biases = start(work)
        self.batch = torch.from_numpy(x), torch.from_numpy(y)
        self.weights, self.biases = ([torch.from_numpy(p).requires_grad_() for p in ps] for ps in (weights, biases))
        make = torch.optim.Adam if work["adam"] else torch.optim.SGD
        self.optimizer = make(self.weights + self.biases, lr=work["learning_rate"], **{style: True})

    def steps(self, count):
        loss = None
        for _ in range(count):
            loss = torch_loss(self.weights, self.biases, *self.batch)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


@functools.lru_cache(maxsize=1)
def torch_step(adam, sizes, rows):
    """Forward, backward and update compiled into one graph, which writes its arguments. One network's at a time: what
    was compiled for others counts against a limit of eight, and is looked at before each call.
    """
    torch.compiler.reset()

    def step(weights, biases, first, second, t, x, y, rate):
        loss_of = lambda parameters: torch_loss(*parameters, x, y)
        (dw, db), loss = torch.func.grad_and_value(loss_of)((weights, biases))
        parameters, gradients = [*weights, *biases], [*dw, *db]
        if not adam:
            for p, g in zip(parameters, gradients):
                p.sub_(rate * g)
            return loss
        t.add_(1)
        a, root = rate / (1 - torch.pow(0.9, t)), torch.sqrt(1 - torch.pow(0.999, t))
        for p, g, m, v in zip(parameters, gradients, first, second):
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).add_(g * g, alpha=0.001)
            p.sub_(a * m / (v.sqrt() / root + 1e-8))
        return loss

    return torch.compile(step, fullgraph=True, dynamic=False)


class TorchCompiled:
    def __init__(self, work):
        x, y, weights, biases = (as_torch(part) for part in start(work))
        parameters = weights + biases
        zeros = lambda: [torch.zeros_like(p) for p in parameters] if work["adam"] else []
        rate = torch.tensor(work["learning_rate"], dtype=x.dtype)
        self.first = 1
        self.arguments = weights, biases, zeros(), zeros(), torch.zeros((), dtype=x.dtype), x, y, rate
        self.step = torch_step(work["adam"], tuple(work["sizes"]), work["rows"])
        # Compiles. Nothing that a step depends on changes afterwards, so that it need not be checked each time.
        torch.compiler.set_stance("default", skip_guard_eval_unsafe=False)
        self.loss = self.step(*self.arguments)
        torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def steps(self, count):
        # The first step was taken above.
        first, self.first = self.first, 0
        for _ in range(count - first):
            self.loss = self.step(*self.arguments)
        return self.loss.item()


def as_torch(part):
    return [torch.from_numpy(p) for p in part] if isinstance(part, list) else torch.from_numpy(part)


KINDS = {
    "numpy": Numpy,
    "jax": functools.partial(Jax, scans=False),
    "jax-scan": functools.partial(Jax, scans=True),
    "torch-foreach": functools.partial(Torch, style="foreach"),
    "torch-fused": functools.partial(Torch, style="fused"),
    "torch-compile": TorchCompiled,
}


def main():
    make = KINDS[KIND]
    worker = key = None
    for line in sys.stdin:
        work = json.loads(line)
        if work["name"] != key:
            worker, key = None, work["name"]
            worker = make(work)
        began = time.perf_counter()
        loss = worker.steps(work["steps"])
        print(json.dumps({"seconds": time.perf_counter() - began, "loss": loss}), flush=True)


if __name__ == "__main__":
    main()
