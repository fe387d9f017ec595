"""The check of wheels finds what is wrong with one."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "check_wheel.py"
PLATFORM = "manylinux_2_17_x86_64.manylinux2014_x86_64"
SCRIPT = "backpropd-1.0.data/scripts/backpropd"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_wheel", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(*, machine: int = 62, says: bytes = b"\0GLIBC_2.2.5\0GLIBC_2.17\0") -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(11) + machine.to_bytes(2, "little") + says


def wheel(
    folder: Path, script: bytes, *, platform: str = PLATFORM, mode: int = 0o755, without: str = "", more: str = ""
) -> Path:
    path = folder / f"backpropd-1.0-py3-none-{platform}.whl"
    names = [
        *("backpropd/__init__.py", "backpropd/__main__.py", "backpropd/py.typed", "backpropd/descriptors.binpb"),
        *("backpropd/_widget/widget.js", "backpropd/_widget/widget.css"),
        *(f"backpropd-1.0.dist-info/licenses/{name}" for name in ("LICENSE-MIT", "LICENSE-APACHE")),
        *([more] if more else []),
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            if name != without:
                archive.writestr(name, "")
        if without != SCRIPT:
            info = zipfile.ZipInfo(SCRIPT)
            info.external_attr = mode << 16
            archive.writestr(info, script)
    return path


def test_a_good_wheel_has_no_fault(tool, tmp_path):
    assert tool.faults_of_wheel(wheel(tmp_path, program()), None) == []
    arm = wheel(tmp_path, program(machine=183), platform="manylinux_2_17_aarch64")
    assert tool.faults_of_wheel(arm, None) == []
    assert tool.faults_of_wheel(wheel(tmp_path, program(says=b"")), None) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"script": program(says=b"\0GLIBC_2.17\0GLIBC_2.18\0GLIBC_2.34\0")}, "needs glibc 2.18, 2.34, and may need 2.17"),
        ({"script": program(machine=183)}, "is for x86_64, and its program for aarch64"),
        ({"script": program(machine=8)}, "machine 8"),
        ({"script": b"#!/bin/sh\n"}, "no ELF file"),
        ({"script": program(says=b"/home/me/.cargo/registry/src/ring/lib.rs")}, "/home/me/.cargo/registry"),
        ({"mode": 0o644}, "is not executable"),
        ({"without": SCRIPT}, "scripts/backpropd is missing"),
        ({"without": "backpropd/py.typed"}, "backpropd/py.typed is missing"),
        ({"without": "backpropd-1.0.dist-info/licenses/LICENSE-MIT"}, "LICENSE-MIT is missing"),
        ({"more": "tests/conftest.py"}, "tests/conftest.py does not belong there"),
        ({"platform": "linux_x86_64"}, "promises no manylinux"),
        ({"platform": "manylinux_2_17_aarch64"}, "is for aarch64, and its program for x86_64"),
    ],
)
def test_each_fault_is_found(tool, tmp_path, change, fault):
    faults = tool.faults_of_wheel(wheel(tmp_path, **{"script": program(), **change}), None)
    assert len(faults) == 1, faults
    assert fault in faults[0]


def test_a_wheel_that_is_too_large_or_misnamed_is_found(tool, tmp_path, monkeypatch):
    path = wheel(tmp_path, program())
    monkeypatch.setattr(tool, "MOST_BYTES", 100)
    assert "and may have 100" in tool.faults_of_wheel(path, None)[0]
    other = path.rename(tmp_path / "backpropd-1.0-cp312-cp312-linux_x86_64.whl")
    assert "is not named" in tool.faults_of_wheel(other, None)[0]


def test_a_real_program_of_this_system_is_found_too_new(tool):
    """That this Python or its C library was built for a glibc later than 2.2."""
    real = Path(sys.executable).resolve().read_bytes()
    assert tool.machine_of(real) in ("x86_64", "aarch64")
    assert any("needs glibc" in fault for fault in tool.faults_of_program(real, tool.machine_of(real), (2, 2)))


def test_the_command_fails_with_every_fault(tool, tmp_path, monkeypatch, capsys):
    bad = wheel(tmp_path, program(machine=8), mode=0o644)
    monkeypatch.setattr(sys, "argv", ["check_wheel.py", str(bad), "--glibc", "2.5"])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    for part in ("not executable", "machine 8", "needs glibc 2.17, and may need 2.5"):
        assert part in told
    monkeypatch.setattr(sys, "argv", ["check_wheel.py", str(wheel(tmp_path, program()))])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 0
