"""Networks in PyTorch and back: from a file of `net.save`, or from a network, to a module, and from a module to either.

```python
from backpropd.torch import from_module, save_module, to_module

module = to_module("digits.safetensors")  # a torch.nn.Sequential, to train as large as it needs
save_module(module, "trained.safetensors", loss="cross_entropy")
net = from_module(module, loss="cross_entropy")  # a network of bp.local(), with the same bits
```

A file goes through the server on this machine, which reads every version of the format. torch is not installed with the
package: `pip install "backpropd[torch]"`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ._entry import local
from ._lab import Lab
from ._network import Network
from ._spec import Optimizer
from ._torch import load_torch

__all__ = ["from_module", "save_module", "to_module"]


def to_module(source: Network | str | os.PathLike[str]) -> Any:
    """A torch.nn.Sequential with the outputs of a network, and parameters of the same bits in memory of its own.

    Layer i of the network, `layer1.weight` in a file, is the Linear whose weight has the same shape: [nᵢ, nᵢ₋₁].

    Args:
        source: A network, or the path of a .safetensors file of `net.save`, `backpropd export` or `backpropd train --save`.

    Raises:
        ImportError: torch is not installed.
        Error: the file is no network; the message says why.
    """
    load_torch()
    if isinstance(source, Network):
        return source.to_torch()
    with local() as lab:
        try:
            return lab.load(source).to_torch()
        finally:
            lab.delete()


def from_module(
    module: Any,
    lab: Lab | None = None,
    *,
    name: str | None = None,
    loss: str = "half_squared_error",
    reduction: str = "mean",
    optimizer: str | Optimizer = "sgd",
    learning_rate: float | None = None,
) -> Network:
    """Makes a network of a torch.nn.Sequential of Linear layers and activations, with parameters of the same bits.

    A module says neither its loss nor its optimizer. Its ReLU has the slope 0 at 0. Half precision becomes float32.

    Args:
        module: The module; one that is wrapped for data-parallel training is unwrapped.
        lab: Where the network lives; default: this machine.
        name: Its id; default a random one.
        loss: As in `lab.model`; both cross-entropies contain softmax or sigmoid.
        reduction: "mean" or "sum".
        optimizer: As in `lab.model`.
        learning_rate: As in `lab.model`.

    Raises:
        InvalidModule: a part of the module is none of a network: the message lists all of them, and why.
        ImportError: torch is not installed.
    """
    lab = lab if lab is not None else local()
    return lab.from_torch(
        _unwrapped(module), name=name, loss=loss, reduction=reduction, optimizer=optimizer, learning_rate=learning_rate
    )


def save_module(
    module: Any,
    file: str | os.PathLike[str],
    *,
    loss: str = "half_squared_error",
    reduction: str = "mean",
    optimizer: str | Optimizer = "sgd",
    learning_rate: float | None = None,
) -> Path:
    """Writes a module as a network's .safetensors file, which `lab.load`, `backpropd import` and `to_module` read.

    Args:
        module: The module, as in `from_module`.
        file: Its path; a file of that name is replaced.
        loss: As in `from_module`.
        reduction: As in `from_module`.
        optimizer: As in `from_module`.
        learning_rate: As in `from_module`.

    Returns:
        The path.

    Raises:
        InvalidModule: a part of the module is none of a network: the message lists all of them, and why.
        ImportError: torch is not installed.
    """
    with local() as lab:
        try:
            net = from_module(module, lab, loss=loss, reduction=reduction, optimizer=optimizer, learning_rate=learning_rate)
            return net.save(file)
        finally:
            lab.delete()


def _unwrapped(module: Any) -> Any:
    """The module inside DistributedDataParallel or DataParallel, which have its parameters."""
    torch = load_torch()
    wrappers = (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)
    return module.module if isinstance(module, wrappers) else module
