"""Writes the tables and plots of a comparison into docs/speed.md, between its markers."""

import re
import shutil

import report
from engine import best, short
from ground import ROOT

COLUMNS = (
    "a training step of",
    "numpy",
    "JAX",
    "PyTorch",
    "torch.compile",
    "JAX, many steps a call",
    "**here**",
    "faer's bare products",
    "fastest peer by single steps / here",
    "products / here",
)


def write(results, folder):
    path = ROOT / "docs/speed.md"
    text = path.read_text()
    if results["engine"]:
        text = between(text, "speed", steps(results["engine"]))
        shutil.copy(folder / "speed.svg", ROOT / "docs")
    if results["service"]:
        text = between(text, "service", service(results["service"]))
    if results["sizes"]:
        shutil.copy(folder / "sizes.svg", ROOT / "docs")
    path.write_text(text)


def between(text, name, table):
    pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    written, count = pattern.subn(lambda found: found[1] + "\n".join(table) + "\n" + found[2], text)
    if count != 1:
        raise SystemExit(f"docs/speed.md has {count} places for the table {name}, not 1")
    return written


def steps(rows):
    table = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        seconds = row["seconds"]
        fastest = {kind: best(by_threads)[0] for kind, by_threads in seconds.items()}
        eager = min(fastest["torch-foreach"], fastest["torch-fused"])
        peers = [fastest["numpy"], fastest["jax"], eager, fastest["torch-compile"]]
        ours, products = fastest["ours"], fastest["products"]
        cells = [row["name"], *map(short, peers), short(fastest["jax-scan"]), f"**{short(ours)}**", short(products)]
        cells += [f"{min(peers) / ours:.2f} ×", f"{products / ours:.0%}"]
        table.append("| " + " | ".join(cells) + " |")
    return table


def service(rows):
    table = ["| | here | | |", "|---|---|---|---|"]
    for row in rows:
        name, shown = row["name"], row["shown"]
        for compared in row["comparisons"] or [report.NOTHING]:
            # A figure that is compared with its target alone is not said twice.
            figure = "" if compared["figure"] == shown else compared["figure"]
            what = compared["what"] if figure else ""
            table.append(f"| {name} | {shown} | {what} | {figure} |")
            name = shown = ""
    return table
