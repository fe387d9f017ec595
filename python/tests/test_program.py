"""Finding the program, and running it by `python -m backpropd`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
from processes import environment, run

from backpropd import _program, _version
from backpropd._program import LocalServerError, ProgramError, find, not_started
from backpropd._version import are_same, package_version


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No program is found but what the test makes."""
    monkeypatch.delenv("BACKPROPD_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    package = tmp_path / "site" / "backpropd" / "_program.py"
    monkeypatch.setattr(_program, "__file__", str(package))
    monkeypatch.setattr(sysconfig, "get_path", lambda name, **_: str(tmp_path / "none"))
    return tmp_path


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


# Where it looks.


def test_the_variable_comes_first(nowhere, monkeypatch):
    program(nowhere / "site" / "bin" / "backpropd")
    named = program(nowhere / "mine" / "server")
    monkeypatch.setenv("BACKPROPD_BIN", str(named))
    assert find() == str(named)
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("BACKPROPD_BIN", "~/mine/server")
    assert find() == str(named)
    monkeypatch.chdir(nowhere / "mine")
    monkeypatch.setenv("BACKPROPD_BIN", "server")
    assert find() == str(named)


def test_an_empty_variable_is_none(nowhere, monkeypatch):
    beside = program(nowhere / "site" / "bin" / "backpropd")
    monkeypatch.setenv("BACKPROPD_BIN", "")
    assert find() == str(beside)


@pytest.mark.parametrize(
    ("package", "beside"),
    [
        # pip install --target
        ("target", "target/bin"),
        # An environment, --prefix or --user.
        ("venv/lib/python3.12/site-packages", "venv/bin"),
        ("usr/local/lib/python3.11/dist-packages", "usr/local/bin"),
    ],
)
def test_it_is_found_where_installers_put_it_beside_the_package(nowhere, monkeypatch, package, beside):
    monkeypatch.setattr(_program, "__file__", str(nowhere / package / "backpropd" / "_program.py"))
    path = program(nowhere / beside / "backpropd")
    program(nowhere / "path" / "backpropd")
    assert find() == str(path)


def test_an_editable_installation_has_it_in_the_scripts_of_this_python(nowhere, monkeypatch):
    for name, folder in [("", "scripts"), ("user", "user"), ("base", "base")]:

        def get_path(_: str, scheme: str = "", name: str = name, folder: str = folder, **others: object) -> str:
            asked = "user" if scheme else "base" if others else ""
            return str(nowhere / (folder if asked == name else "none"))

        monkeypatch.setattr(sysconfig, "get_path", get_path)
        path = program(nowhere / folder / "backpropd")
        assert find() == str(path)


def test_the_search_path_comes_last(nowhere):
    path = program(nowhere / "path" / "backpropd")
    assert find() == str(path)
    beside = program(nowhere / "site" / "bin" / "backpropd")
    assert find() == str(beside)


def test_a_folder_of_that_name_is_no_program(nowhere):
    (nowhere / "site" / "bin" / "backpropd").mkdir(parents=True)
    path = program(nowhere / "path" / "backpropd")
    assert find() == str(path)


# What it refuses.


def test_none_is_refused_with_the_places_and_the_ways(nowhere):
    with pytest.raises(ProgramError) as refusal:
        find()
    text = str(refusal.value)
    for part in [
        str(nowhere / "site" / "bin"),
        "PATH",
        "pip install --force-reinstall backpropd",
        "pip install .",
        "BACKPROPD_BIN=",
    ]:
        assert part in text


def test_a_named_file_that_is_not_there_is_refused(nowhere, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", str(nowhere))
    with pytest.raises(ProgramError, match=r"BACKPROPD_BIN names .*no such file.*unset"):
        find()


def test_a_file_that_is_not_executable_is_refused_with_the_command(nowhere, monkeypatch):
    # The administrator may execute what anyone may.
    path = program(nowhere / "site" / "bin" / "backpropd", mode=0o644)
    with pytest.raises(ProgramError, match=f"chmod \\+x {path}"):
        find()
    monkeypatch.setenv("BACKPROPD_BIN", str(path))
    with pytest.raises(ProgramError, match="not executable"):
        find()


def test_a_noexec_file_system_and_other_refusals_of_the_system_are_told():
    def told(number: int) -> str:
        return str(not_started("/opt/backpropd", OSError(number, os.strerror(number))))

    assert "noexec" in told(errno.EACCES)
    assert "ulimit -u" in told(errno.ENOMEM)
    assert "ulimit -n" in told(errno.ENFILE)
    assert told(errno.EIO) == "cannot start /opt/backpropd: Input/output error"
    assert told(errno.ENOENT) == "cannot start /opt/backpropd: No such file or directory"
    # It went between the failure and the look at it.
    assert "no program of this system" in told(errno.ENOEXEC)
    assert isinstance(ProgramError(""), LocalServerError)


# Versions.


def test_the_version_is_that_of_the_program_and_of_cargo():
    told = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"backpropd {package_version()}\n"


def test_an_installed_package_has_the_version_of_its_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(_version, "__file__", str(tmp_path / "a" / "b" / "_version.py"))
    monkeypatch.setattr(metadata, "version", lambda name: {"backpropd": "1.2.3"}[name])
    assert _version.package_version.__wrapped__() == "1.2.3"
    # A project around it is not ours.
    (tmp_path / "Cargo.toml").write_text('[workspace.package]\nversion = "9.0.0"\n[package]\nname = "other"\n')
    assert _version.package_version.__wrapped__() == "1.2.3"
    (tmp_path / "Cargo.toml").write_text('[workspace.package]\nversion = "9.0.0"\n[package]\nname = "backpropd"\n')
    assert _version.package_version.__wrapped__() == "9.0.0"


def test_versions_are_compared_in_both_spellings():
    for cargo, python in [
        ("0.2.0-rc.1", "0.2.0rc1"),
        ("1.0.0-alpha.2", "1.0.0a2"),
        ("1.0.0-beta.3", "1.0.0b3"),
        ("0.1.0", "0.1.0"),
    ]:
        assert are_same(cargo, python)
        assert are_same(python, cargo)
    assert not are_same("0.2.0-rc.1", "0.2.0")
    assert not are_same("0.1.0", "0.1.1")


# python -m backpropd


def module(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backpropd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**changes))


def test_the_module_is_the_program_with_its_arguments_and_exit_code():
    assert module("--version").stdout == f"backpropd {package_version()}\n"
    refused = module("serve", "--max-layers", "0")
    assert refused.returncode == 2
    assert "--max-layers" in refused.stderr


def test_the_module_becomes_the_program():
    """There is no Python between a signal and the server."""
    script = """
        import os, signal, subprocess, sys
        command = [sys.executable, "-m", "backpropd", "serve", "--ephemeral", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        assert "python" not in os.readlink(f"/proc/{process.pid}/exe")
        process.terminate()
        process.stdout.close()
        print(process.wait())
    """
    assert run(script) == "0\n"


def test_the_module_says_in_a_line_that_there_is_no_program(tmp_path):
    failed = module("serve", BACKPROPD_BIN=str(tmp_path / "none"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("backpropd: BACKPROPD_BIN names ")
    assert failed.stderr.count("\n") == 1
    (tmp_path / "text").write_text("not a program")
    (tmp_path / "text").chmod(0o755)
    failed = module(BACKPROPD_BIN=str(tmp_path / "text"))
    assert failed.returncode == 1
    assert "no program of this system" in failed.stderr
    assert failed.stderr.count("\n") == 1


# A real environment.


def test_it_is_found_in_a_virtual_environment(tmp_path):
    """As an installer lays it out, seen from the environment's own Python."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    ).stdout.strip()
    package = Path(site) / "backpropd"
    package.mkdir()
    for name in ("_program.py", "_version.py"):
        (package / name).write_text(Path(_program.__file__).with_name(name).read_text())
    (package / "__init__.py").write_text("")
    path = program(tmp_path / "env" / "bin" / "backpropd")
    command = [python, "-c", "from backpropd._program import find; print(find())"]
    variables = environment(PYTHONPATH=None, BACKPROPD_BIN=None, PATH="/usr/bin:/bin")
    assert subprocess.run(command, capture_output=True, text=True, env=variables, check=True).stdout.strip() == str(path)
