"""Draws results.json: `python plots.py RESULTS FOLDER` writes speed.svg and sizes.svg. Needs matplotlib."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# The same colours on a light and on a dark page.
INK, OURS, FAINT = "#777777", "#d9480f", "#b8b8b8"
PEERS = {
    "numpy": ("numpy", "#4c78a8", "o"),
    "jax": ("JAX", "#54a24b", "s"),
    "jax-scan": ("JAX, many steps a call", "#9ecb8f", "s"),
    "torch": ("PyTorch", "#b279a2", "^"),
    "torch-compile": ("torch.compile", "#dba8cf", "^"),
}
plt.rcParams.update(
    {
        "font.size": 8,
        "svg.fonttype": "none",
        "svg.hashsalt": "backpropd",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def best(by_threads):
    return min(by_threads.values())


def speed(rows, path):
    """How many times longer a step takes elsewhere."""
    figure, axes = plt.subplots(figsize=(7, 1 + 0.32 * len(rows)))
    for at, row in enumerate(rows):
        seconds = dict(row["seconds"])
        seconds["torch"] = min(seconds.pop("torch-foreach"), seconds.pop("torch-fused"), key=best)
        ours = best(seconds["ours"])
        ratios = {kind: best(seconds[kind]) / ours for kind in (*PEERS, "products")}
        axes.plot([min(1, *ratios.values()), max(ratios.values())], [at, at], color=FAINT, linewidth=0.5, zorder=0)
        for kind, (name, colour, marker) in PEERS.items():
            label = name if at == 0 else None
            axes.scatter(ratios[kind], at, color=colour, marker=marker, s=18, label=label, zorder=2)
        axes.scatter(ratios["products"], at, color=INK, marker="|", s=60, label=None if at else "bare matrix products")
        axes.scatter(1, at, color=OURS, marker="D", s=18, label=None if at else "backpropd", zorder=3)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g} ×")
    axes.axvline(1, color=OURS, linewidth=0.5, zorder=0)
    axes.set_xlabel("time of a training step, in times backpropd's")
    axes.legend(loc="lower right", frameon=False, fontsize=7)
    save(figure, path)


def sizes(told, path):
    figure, (steps, calls, sessions) = plt.subplots(1, 3, figsize=(9, 2.8))
    flops = [point["flops"] for point in told["steps"]]
    styles = {"ours 1": (OURS, "-"), "ours 2": (OURS, "--"), "products 1": (INK, "-"), "products 2": (INK, "--")}
    for name, (colour, line) in styles.items():
        kind, threads = name.split()
        label = f"{'a step' if kind == 'ours' else 'its products'}, {threads} t"
        steps.plot(flops, [point[name] for point in told["steps"]], line, color=colour, linewidth=1, label=label)
    steps.set_xlabel("operations of a step")
    steps.set_ylabel("seconds")
    payload = [point["bytes"] for point in told["calls"]]
    calls.plot(payload, [point["p50_us"] / 1e6 for point in told["calls"]], "o-", color=OURS, linewidth=1, markersize=3)
    calls.set_xlabel("bytes of a Predict call")
    calls.set_ylabel("seconds, p50")
    counts = [point["sessions"] for point in told["sessions"]]
    memory = [point["megabytes"] for point in told["sessions"]]
    times = [point["p50_us"] for point in told["sessions"]]
    sessions.plot(counts, memory, "o-", color=OURS, linewidth=1, markersize=3, label="memory, MB")
    sessions.plot(counts, times, "s-", color=INK, linewidth=1, markersize=3, label="a call, µs, p50")
    sessions.set_xlabel("sessions")
    sessions.set_ylim(10, 2000)
    for axes in (steps, calls, sessions):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(color=FAINT, linewidth=0.3, alpha=0.5)
    for axes in (steps, sessions):
        axes.legend(frameon=False, fontsize=7)
    save(figure, path)


def save(figure, path):
    figure.tight_layout()
    # Without a date, the same results make the same file.
    figure.savefig(path, metadata={"Date": None}, transparent=True)


def main():
    results, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if results["engine"]:
        speed(results["engine"], folder / "speed.svg")
    if results["sizes"]:
        sizes(results["sizes"], folder / "sizes.svg")


if __name__ == "__main__":
    main()
