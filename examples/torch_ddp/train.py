"""A network of backpropd, trained by PyTorch's DistributedDataParallel in two processes, and brought back.

    python examples/torch_ddp/train.py

The processes talk by gloo on loopback; with more machines, start this by torchrun, and take its rank and address from the
environment. Each process has the samples of its own rank, so a step has those of both, and DDP averages their gradients.
Needs the packages backpropd and torch.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import backpropd as bp
from backpropd.torch import from_module, save_module, to_module

WORLD = 2
ROWS, CLASSES, STEPS = 512, 3, 60


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of points, one for each class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, ROWS)
    centres = rng.normal(scale=2, size=(CLASSES, 4))
    return centres[y] + rng.normal(size=(ROWS, 4)), y


def train(rank: int, folder: str) -> None:
    """One of the processes: the network of the file, all steps, and the result in another file."""
    store = dist.FileStore(str(Path(folder) / "rendezvous"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    module = DistributedDataParallel(to_module(Path(folder) / "network.safetensors"))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    x, y = samples()
    x, y = torch.tensor(x[rank::WORLD]), torch.tensor(y[rank::WORLD])
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    if rank == 0:
        save_module(module, Path(folder) / "trained.safetensors", loss="cross_entropy", learning_rate=0.1)
        torch.save(module.module.state_dict(), Path(folder) / "trained.pt")
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    # The address of this machine's own interface: gloo would look its name up.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    x, y = samples()
    with tempfile.TemporaryDirectory() as folder, bp.local() as lab:
        sizes = [4, bp.Layer(16, "tanh", bias=True), bp.Layer(CLASSES, bias=True)]
        net = lab.model(sizes, loss="cross_entropy", learning_rate=0.1, seed=1)
        net.save(Path(folder) / "network.safetensors")
        mp.spawn(train, args=(folder,), nprocs=WORLD)

        trained = lab.load(Path(folder) / "trained.safetensors")
        module = to_module(trained)
        module.load_state_dict(torch.load(Path(folder) / "trained.pt"))
        ours, theirs = trained.predict(x), module(torch.tensor(x)).detach().numpy()
        print(f"predictions differ by at most {abs(ours - theirs).max():.1g}")
        assert abs(ours - theirs).max() < 1e-12
        same = from_module(module, lab, loss="cross_entropy").info().weights_digest
        assert same == trained.info().weights_digest

        # The same steps here: the mean of two means over halves is the mean.
        net.fit(x, y, steps=STEPS)
        difference = max(abs(trained.W[layer] - net.W[layer]).max() for layer in (1, 2))
        print(f"weights differ from those of net.fit by at most {difference:.1g}")
        assert difference < 1e-12
        print(f"accuracy {trained.evaluate(x, y).accuracy:.1%}, as with net.fit: {net.evaluate(x, y).accuracy:.1%}")


if __name__ == "__main__":
    main()
