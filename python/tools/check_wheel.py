"""Checks a wheel before it is published: python/tools/check_wheel.py WHEEL [--glibc 2.17]

Prints its facts, and fails with every fault: symbols of a later glibc than its name promises, a program of another machine
than its name says, a missing file, a path of the machine that built it, or more than 9 MB.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path

MOST_BYTES = 9_000_000

MACHINES = {62: "x86_64", 183: "aarch64"}
"""The field e_machine of an ELF file."""

NEEDED = ["backpropd/__init__.py", "backpropd/py.typed", "backpropd/descriptors.binpb", "backpropd/__main__.py"]
NEEDED += ["backpropd/_widget/widget.js", "backpropd/_widget/widget.css"]


def glibc_versions(program: bytes) -> set[tuple[int, ...]]:
    """The versions of glibc whose symbols the program asks for."""
    return {tuple(map(int, found[1].split(b"."))) for found in re.finditer(rb"\bGLIBC_(\d+(?:\.\d+)+)\0", program)}


def machine_of(program: bytes) -> str:
    """The machine that the program is built for."""
    if not program.startswith(b"\x7fELF"):
        return "none: it is no ELF file"
    number = int.from_bytes(program[18:20], "little")
    return MACHINES.get(number, f"machine {number}")


def faults_of_program(program: bytes, machine: str, glibc: tuple[int, ...]) -> list[str]:
    """What keeps the program from running on every such machine with this glibc."""
    faults = []
    if machine_of(program) != machine:
        faults.append(f"the wheel is for {machine}, and its program for {machine_of(program)}")
    later = sorted(version for version in glibc_versions(program) if version > glibc)
    if later:
        faults.append(f"the program needs glibc {', '.join(map(spelled, later))}, and may need {spelled(glibc)} at most")
    faults += [
        f"the program has a path of the machine that built it: {path.decode(errors='replace')}"
        for path in sorted(set(re.findall(rb"/(?:home|root|Users|work|tmp)/[\w.@/-]{3,60}", program)))[:5]
    ]
    return faults


def spelled(version: tuple[int, ...]) -> str:
    """(2, 17) as 2.17."""
    return ".".join(map(str, version))


def faults_of_wheel(path: Path, glibc: tuple[int, ...] | None) -> list[str]:
    """All that is wrong with the wheel; `glibc` replaces the version in its name."""
    tag = re.fullmatch(r"backpropd-(?P<version>[^-]+)-py3-none-(?P<platforms>[^-]+)\.whl", path.name)
    if tag is None:
        return [f"{path.name} is not named backpropd-VERSION-py3-none-PLATFORM.whl"]
    platform = re.search(r"manylinux_(\d+)_(\d+)_(\w+?)(?:\.|$)", tag["platforms"])
    if platform is None:
        return [f"{path.name} promises no manylinux"]
    promised = (int(platform[1]), int(platform[2]))
    faults = []
    size = path.stat().st_size
    if size > MOST_BYTES:
        faults.append(f"the wheel has {size:,} bytes, and may have {MOST_BYTES:,}")
    with zipfile.ZipFile(path) as wheel:
        files = {file.filename: file for file in wheel.infolist()}
        version = tag["version"]
        needed = [*NEEDED, *(f"backpropd-{version}.dist-info/licenses/{name}" for name in ("LICENSE-MIT", "LICENSE-APACHE"))]
        faults += [f"{name} is missing" for name in needed if name not in files]
        faults += [
            f"{name} does not belong there" for name in files if not name.startswith(("backpropd/", f"backpropd-{version}."))
        ]
        script = f"backpropd-{version}.data/scripts/backpropd"
        if script not in files:
            return [*faults, f"{script} is missing"]
        if not files[script].external_attr >> 16 & 0o111:
            faults.append(f"{script} is not executable")
        program = wheel.read(script)
    faults += faults_of_program(program, platform[3], glibc or promised)
    found = max(glibc_versions(program), default=None)
    print(f"{path.name}: {size:,} bytes, the program {len(program):,}; glibc {spelled(found) if found else 'none'}")
    return faults


def main() -> None:
    """Checks the wheels of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, nargs="+")
    parser.add_argument("--glibc", help="the latest glibc whose symbols are allowed, instead of that in the wheel's name")
    given = parser.parse_args()
    glibc = tuple(map(int, given.glibc.split("."))) if given.glibc else None
    faults = [f"{wheel.name}: {fault}" for wheel in given.wheel for fault in faults_of_wheel(wheel, glibc)]
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
