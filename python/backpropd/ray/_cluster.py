"""Ray, imported when it is asked for, and how many workers a cluster has room for."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any


def load_ray() -> Any:
    """The module ray, connected to a cluster: to the one of the environment, or to one that it starts on this machine.

    Raises:
        ImportError: ray is not installed.
    """
    try:
        # By name: checkers of types would take this package for it.
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError:
        raise ImportError('backpropd.ray needs Ray: pip install "backpropd[ray]"') from None
    if not ray.is_initialized():
        ray.init()
    return ray


@dataclass(frozen=True)
class Workers:
    """The actors that share the work."""

    count: int
    num_cpus: float
    """CPUs that Ray reserves for each of them."""

    @property
    def threads(self) -> int:
        """Compute threads of a worker's server."""
        return max(1, math.ceil(self.num_cpus))


def plan_workers(workers: int | None, num_cpus: float | None, *, cluster_cpus: float, spare_cpus: float) -> Workers:
    """The workers to start, with defaults that fit on the cluster.

    Actors hold their CPUs until the work is done. If they held all of them, the tasks that feed them would wait for ever, so
    the defaults leave some over. What a caller gives is taken as it is: a cluster may grow.

    Args:
        workers: Their number; default one for each CPU that can be used.
        num_cpus: CPUs of each; default 1, or less where there are fewer.
        cluster_cpus: CPUs of the cluster as it is now.
        spare_cpus: CPUs to leave to others.

    Raises:
        ValueError: a number is not positive.
    """
    for name, given in (("workers", workers), ("num_cpus", num_cpus)):
        if given is not None and given <= 0:
            raise ValueError(f"{name} is {given}: it is above 0")
    free = max(cluster_cpus - spare_cpus, 0.5)
    each = num_cpus if num_cpus is not None else 1.0
    count = workers if workers is not None else max(1, int(free / each))
    if num_cpus is None:
        each = min(1.0, free / count)
        # Ray counts CPUs in ten-thousandths.
        each = max(math.floor(each * 100) / 100, 0.01)
    return Workers(count, each)
