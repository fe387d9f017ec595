#!/usr/bin/env python3
"""Measures this crate against what else could do its work: python3 benches/compare/compare.py

Needs Python 3.11 or later, cargo, a C++ compiler (for torch.compile) and h2load; makes a virtual environment for the
rest. Prints a markdown report, and writes results.json, report.md and plots to target/compare. README.md beside this
file says what is compared, and how.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import engine
import ground
import readme
import report
import service
import sizes

PARTS = ("engine", "service", "sizes")


def main():
    options = arguments()
    if "service" in options.parts and not options.plot_only and not shutil.which("h2load"):
        sys.exit("h2load is not there, which loads the servers: install it (Debian: nghttp2-client), or --only engine")
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = ground.python_of(folder, options.venv and options.venv.absolute())
    kept = folder / "results.json"
    if options.plot_only:
        results = json.loads(kept.read_text())
    else:
        results = measure(options, python, folder, kept)
    text = report.markdown(results)
    (folder / "report.md").write_text(text)
    print(text)
    subprocess.run([python, ground.HERE / "plots.py", kept, folder], check=True)
    if options.readme:
        readme.write(results, folder)
    ground.say("kept in", folder)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer repetitions: ratios to within a third")
    parser.add_argument(
        "--only",
        metavar="NAME",
        help="engine, service, sizes, or one with a piece of a row's name: engine:784-128-10, service:durable",
    )
    parser.add_argument("--venv", type=Path, metavar="DIR", help="a virtual environment that has requirements.txt")
    parser.add_argument("--out", type=Path, metavar="DIR", default=ground.ROOT / "target" / "compare")
    parser.add_argument("--plot-only", action="store_true", help="report and draw the results that are there")
    parser.add_argument("--readme", action="store_true", help="write tables and plots into docs/speed.md")
    options = parser.parse_args()
    part, _, options.row = (options.only or "").partition(":")
    if part and part not in PARTS:
        parser.error(f"--only takes one of {', '.join(PARTS)}, not {part}")
    options.parts = [part] if part else PARTS
    return options


def measure(options, python, folder, kept):
    programs = ground.build()
    results = {"machine": ground.machine(python), "quick": options.quick, "engine": [], "service": [], "sizes": None}
    if kept.exists():
        # Parts measured one after the other make one report, if they are of one commit.
        before = json.loads(kept.read_text())
        if all(before["machine"][key] == results["machine"][key] for key in ("commit", "cpu")):
            results |= {part: before[part] for part in PARTS if part not in options.parts}
    # After each row, so that what fails late leaves what was measured before.
    keep = lambda: kept.write_text(json.dumps(results, indent=1))
    seconds, repetitions = (0.1, 3) if options.quick else (0.4, 7)
    if "engine" in options.parts:
        ground.say("training steps")
        everyone = engine.variants(python, programs, folder)
        for work in engine.WORKS:
            if options.row in work["name"]:
                results["engine"].append(engine.measure(everyone, work, seconds, repetitions))
                keep()
        engine.end(everyone)
    served = service.Service(python, programs, folder, *((0.5, 3) if options.quick else (1, 9)))
    if "service" in options.parts:
        ground.say("the service")
        for row in service.measure(served, options.row):
            results["service"].append(row)
            keep()
    if "sizes" in options.parts:
        ground.say("cost against size")
        own = engine.variants(python, programs, folder, peers=())
        results["sizes"] = sizes.measure(served, own, options.quick)
        engine.end(own)
    keep()
    return results


if __name__ == "__main__":
    sys.exit(main())
