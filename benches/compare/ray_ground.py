"""Two raylets on this machine, for ray_grade.py and ray_fit.py."""

import contextlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

os.environ.update({
    "PYTHONPATH": str(ROOT / "python"),
    "RAY_AUTH_MODE": "disabled",
    # Ray stays on loopback.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers have the priority of the other side of a comparison: Ray lowers theirs.
    "RAY_worker_niceness": "0",
})


@contextlib.contextmanager
def cluster(cpus_of_a_node):
    """The module ray, connected to two nodes."""
    import ray
    import ray.data
    from ray.cluster_utils import Cluster

    node = {"num_cpus": cpus_of_a_node, "object_store_memory": 400 << 20, "node_ip_address": "127.0.0.1"}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        nodes.add_node(**node)
        ray.init(address=nodes.address, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
    finally:
        ray.shutdown()
        nodes.shutdown()
