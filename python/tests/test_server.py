"""Local servers: real processes that start, end, die, and are shared."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import resource
import socket
import stat
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import answers, children, is_there, kill, open_files, run, seconds_until, start

from backpropd import _child
from backpropd._program import LocalServerError, ProgramError, find
from backpropd._server import LocalServer
from backpropd._version import package_version

_others: set[int] = set()


def started() -> set[int]:
    """The children that this test has started, ended ones that were not asked how included."""
    return children() - _others


@pytest.fixture(autouse=True)
def _servers_of_this_test_alone():
    _others.clear()
    _others.update(children())
    yield
    for server in LocalServer._shared.values():
        server.close()
    LocalServer._shared.clear()


def program_that(tmp_path: Path, does: str) -> str:
    """A program that does this instead of serving."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


def environment_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


# The start.


def test_it_listens_on_loopback_and_has_a_process():
    with LocalServer() as server:
        host, port = server.address.split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        assert server.is_running
        assert server.ending is None
        assert is_there(server.pid)
        assert answers(server.address)
        assert repr(server) == f"<LocalServer {server.address}, nothing stored, pid {server.pid}>"
    assert not answers(server.address)


def test_it_listens_on_the_port_that_is_asked_for():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with LocalServer(port=port) as server:
        assert server.address == f"127.0.0.1:{port}"


def test_a_taken_port_is_named_with_the_ways():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(LocalServerError) as refusal:
            LocalServer(port=port)
    text = str(refusal.value)
    assert f"port {port} of 127.0.0.1" in text
    assert "leave port out" in text
    assert f'backpropd.connect("127.0.0.1:{port}")' in text


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ValueError, match="from 0 to 65535"):
        LocalServer(port=port)


def test_settings_reach_the_server():
    with LocalServer(settings={"log": "info", "max_layers": 7, "compare_only": True}) as server:
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")
        assert b"--max-layers=7" in command
        assert b"--compare-only=true" in command
        seconds_until(lambda: "serving" in server.log)


def test_a_wrong_setting_is_refused_with_the_servers_message():
    with pytest.raises(LocalServerError, match=r"exit code 2\n(.*\n)* *--max-layers.*allowed is an integer"):
        LocalServer(settings={"max_layers": "many"})


def test_settings_that_are_arguments_are_refused_all_at_once():
    with pytest.raises(ValueError, match="data_dir=….*port=…") as refusal:
        LocalServer(port=-1, settings={"data_dir": "x", "port": 5})
    assert "port = -1" in str(refusal.value)


def test_variables_of_the_environment_do_not_reach_the_server(monkeypatch):
    monkeypatch.setenv("BACKPROPD_MAX_LAYERS", "nonsense")
    monkeypatch.setenv("BACKPROPD_DATA_DIR", "/nowhere")
    monkeypatch.setenv("BACKPROPD_TEST_OTHER", "x")
    monkeypatch.setenv("ANOTHER_VARIABLE", "kept")
    with LocalServer() as server:
        assert not [line for line in environment_of(server.pid) if line.startswith(b"BACKPROPD_")]
        assert b"ANOTHER_VARIABLE=kept" in environment_of(server.pid)


def test_without_a_data_folder_no_file_is_written(tmp_path):
    """Neither in the home, which may be read-only, nor in the folder for temporary files."""
    script = """
        import os
        from pathlib import Path
        from backpropd._server import LocalServer

        with LocalServer() as server:
            for link in Path(f"/proc/{server.pid}/fd").iterdir():
                try:
                    kind = os.readlink(link)
                except FileNotFoundError:  # Closed since it was listed, as the connection of the first look is.
                    continue
                assert kind.startswith(("pipe:", "socket:", "anon_inode:")), kind
    """
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir(mode=0o555)
    temporary.mkdir()
    run(script, HOME=str(home), TMPDIR=str(temporary), XDG_DATA_HOME=None)
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_home_that_is_none_is_no_obstacle():
    script = "from backpropd._server import LocalServer\nLocalServer().close()"
    run(script, HOME="relative", XDG_DATA_HOME=None)


def test_a_data_folder_is_created_and_used_by_one_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LocalServer("lab") as server:
        assert server.data_dir == str(tmp_path / "lab")
        assert (tmp_path / "lab").is_dir()
        assert str(tmp_path / "lab") in repr(server)
        with pytest.raises(LocalServerError, match="another"):
            LocalServer(tmp_path / "lab")
    LocalServer("lab").close()


def test_a_data_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalServerError, match="file/lab"):
        LocalServer(tmp_path / "file" / "lab")


# A start that fails.


def test_a_missing_program_is_refused_before_a_process_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKPROPD_BIN", str(tmp_path / "none"))
    with pytest.raises(ProgramError, match="no such file"):
        LocalServer()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(100), "built for aarch64"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(100), "built for x86_64"),
        (b"MZ\x00\x00", "no program of this system"),
        (b"", "no program of this system"),
    ],
)
def test_a_program_of_another_machine_is_refused_with_the_way(tmp_path, monkeypatch, head, message):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    program = tmp_path / "program"
    program.write_bytes(head)
    program.chmod(0o755)
    monkeypatch.setenv("BACKPROPD_BIN", str(program))
    with pytest.raises(ProgramError, match=f"(?s){message}.*pip install") as refusal:
        LocalServer()
    assert str(program) in str(refusal.value)
    assert started() == set()


def test_a_program_whose_loader_is_missing_is_refused_with_the_way(tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text("#!/no/such/loader\n")
    program.chmod(0o755)
    monkeypatch.setenv("BACKPROPD_BIN", str(program))
    with pytest.raises(ProgramError, match="loader.*pip install"):
        LocalServer()


@pytest.mark.parametrize("version", ["99.0.0", "0.0.1"])
def test_a_program_of_another_version_is_refused_with_both(tmp_path, monkeypatch, version):
    program = program_that(tmp_path, f"echo backpropd {version} listening on 127.0.0.1:1; exec cat")
    monkeypatch.setenv("BACKPROPD_BIN", program)
    with pytest.raises(ProgramError) as refusal:
        LocalServer()
    text = str(refusal.value)
    assert f"is version {version}" in text
    assert f"this package is version {package_version()}" in text
    assert "BACKPROPD_BIN" in text
    assert started() == set()


def test_a_program_of_an_earlier_version_is_known_though_it_refuses_the_arguments(tmp_path, monkeypatch):
    program = program_that(tmp_path, 'if [ "$1" = --version ]; then echo backpropd 0.0.9; else echo unexpected >&2; exit 2; fi')
    monkeypatch.setenv("BACKPROPD_BIN", program)
    with pytest.raises(ProgramError, match=r"is version 0\.0\.9"):
        LocalServer()


def test_another_program_is_refused_with_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "echo hello; exec cat"))
    with pytest.raises(ProgramError, match="'hello'"):
        LocalServer()
    assert started() == set()


def test_a_program_that_fails_is_told_with_its_last_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "seq 20 >&2; exit 3"))
    with pytest.raises(LocalServerError, match=r"exit code 3\n    11\n(.*\n)*    20$"):
        LocalServer()


def test_a_program_that_is_killed_is_told_with_the_signal(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "kill -9 $$"))
    with pytest.raises(LocalServerError, match="SIGKILL .*memory"):
        LocalServer()
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "kill -40 $$"))
    with pytest.raises(LocalServerError, match="signal 40"):
        LocalServer()


def test_a_start_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "echo reading >&2; sleep 1000 & wait"))
    with pytest.raises(LocalServerError, match=r"within 0\.2 seconds.*start_seconds"):
        LocalServer(start_seconds=0.2)
    assert started() == set()


def test_a_program_that_closes_its_output_and_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(_child, "_PATIENCE", 0.1)
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, "exec >&-; exec sleep 1000"))
    with pytest.raises(LocalServerError, match="it hangs"):
        LocalServer()
    assert started() == set()


def test_a_program_that_goes_away_after_its_failure_is_told_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, 'echo failed >&2; rm "$0"; exit 1'))
    with pytest.raises(LocalServerError, match="exit code 1\n    failed"):
        LocalServer()


def test_too_many_open_files_are_told_and_leave_none():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_files()
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        with pytest.raises(OSError, match="open files"):
            while True:
                taken.append(os.dup(0))
        # A start takes 6 for its pipes, and Popen another 2 for a moment.
        for _ in range(8):
            with pytest.raises(LocalServerError, match=r"open files.*ulimit -n"):
                LocalServer()
            os.close(taken.pop())
        LocalServer().close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for end in taken:
            os.close(end)
    assert open_files() == before


def test_no_room_for_a_process_or_a_thread_is_told_and_leaves_nothing(monkeypatch):
    before = open_files()

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen.__init__", no_room)
        patch.setattr("subprocess.Popen.__del__", lambda self: None)
        with pytest.raises(LocalServerError, match="no room for another process.*ulimit -u"):
            LocalServer()
    with monkeypatch.context() as patch:

        def no_thread(_: object) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr("threading.Thread.start", no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            LocalServer()
    assert open_files() == before
    assert started() == set()


# The end.


def test_closing_twice_is_closing_once():
    server = LocalServer()
    server.close()
    server.close()
    assert not server.is_running
    assert server.ending == "it ended with exit code 0"
    assert repr(server).endswith("ended>")


def test_closing_from_many_threads_is_closing_once():
    server = LocalServer()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.close(), range(32)))
    seconds_until(lambda: not server.is_running)
    assert started() == set()


def test_a_server_ends_with_its_last_reference():
    server = LocalServer()
    pid = server.pid
    del server
    gc.collect()
    assert not is_there(pid)


def test_a_server_that_hangs_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(_child, "_PATIENCE", 0.1)
    program = program_that(tmp_path, f"echo backpropd {package_version()} listening on 127.0.0.1:1; exec sleep 1000")
    monkeypatch.setenv("BACKPROPD_BIN", program)
    server = LocalServer()
    server.close()
    assert not is_there(server.pid)
    assert "SIGKILL" in (server.ending or "")


def test_a_server_that_hangs_after_its_last_line_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(_child, "_PATIENCE", 0.1)
    program = program_that(tmp_path, f"echo backpropd {package_version()} listening on 127.0.0.1:1; exec sleep 1000 2>&-")
    monkeypatch.setenv("BACKPROPD_BIN", program)
    server = LocalServer()
    seconds_until(lambda: not server._child._reader.is_alive())
    server.close()
    assert not is_there(server.pid)


def test_an_interrupted_close_leaves_no_server(tmp_path, monkeypatch):
    program = program_that(tmp_path, f"echo backpropd {package_version()} listening on 127.0.0.1:1; exec sleep 1000")
    monkeypatch.setenv("BACKPROPD_BIN", program)
    server = LocalServer()

    def interrupted(*_: object) -> None:
        patch.undo()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._child._reader, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.close()
    assert not is_there(server.pid)
    assert started() == set()


def test_the_end_of_the_interpreter_ends_the_server():
    script = """
        from backpropd._server import LocalServer
        one, two = LocalServer.shared(), LocalServer()
        print(one.pid, two.pid)
    """
    pids = [int(pid) for pid in run(script).split()]
    assert len(pids) == 2
    assert not any(map(is_there, pids))


def test_an_exception_or_exit_ends_the_server():
    for ending in ("raise SystemExit(3)", "1 / 0"):
        process = start(f"from backpropd._server import LocalServer\nprint(LocalServer.shared().pid, flush=True)\n{ending}")
        out, _ = process.communicate(timeout=30)
        assert process.returncode in (1, 3)
        assert not is_there(int(out))


def test_a_killed_process_takes_its_server_along_within_a_second():
    process = start("from backpropd._server import LocalServer\nprint(LocalServer.shared().pid, flush=True)\ninput()")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert is_there(pid)
    process.kill()
    assert seconds_until(lambda: not is_there(pid)) < 1.0
    process.communicate()


def test_a_fork_of_a_killed_process_does_not_hold_its_server():
    script = """
        import os, signal, time
        from backpropd._server import LocalServer
        server = LocalServer.shared()
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        print(server.pid, child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start(script, COVERAGE_PROCESS_START=None, COVERAGE_PROCESS_CONFIG=None)
    assert process.stdout is not None
    server, child = map(int, process.stdout.readline().split())
    try:
        assert seconds_until(lambda: not is_there(server)) < 1.0
        assert is_there(child)
    finally:
        kill(child)
        process.communicate()


# Ctrl-C.


def test_an_interrupt_of_the_terminal_or_the_notebook_does_not_reach_it():
    script = """
        import os, signal, time
        from backpropd._server import LocalServer
        os.setpgrp()
        server = LocalServer.shared()
        try:
            os.killpg(0, signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            print(server.is_running, os.getsid(server.pid) == server.pid)
    """
    assert run(script).split() == ["True", "True"]


def test_an_interrupted_start_leaves_no_server(tmp_path):
    """Also when the interrupt comes before the start of the process has returned."""
    program = program_that(tmp_path, "echo $$ >pid; kill -INT $PPID; exec cat")
    script = """
        import os, sys, warnings
        from backpropd._server import LocalServer
        # Of Popen, where the interrupt comes before it is made.
        warnings.simplefilter("ignore", ResourceWarning)
        os.chdir(sys.argv[1])
        try:
            LocalServer()
        except KeyboardInterrupt:
            print("interrupted")
            sys.stdout.flush()
            sys.stdin.read()
    """
    process = start(script, str(tmp_path), BACKPROPD_BIN=program)
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"
    pid = int((tmp_path / "pid").read_text())
    # The process that started it lives, and holds nothing that keeps it.
    seconds_until(lambda: not is_there(pid))
    assert process.poll() is None
    process.communicate(timeout=30)


# One for the process.


def test_it_is_shared_by_cells_and_threads():
    with ThreadPoolExecutor(16) as pool:
        servers = set(pool.map(lambda _: id(LocalServer.shared()), range(64)))
    assert len(servers) == 1
    assert len(started()) == 1


def test_each_data_folder_and_setting_has_its_own(tmp_path):
    nothing, lab = LocalServer.shared(), LocalServer.shared(tmp_path / "lab")
    assert nothing is not lab
    assert LocalServer.shared(str(tmp_path / "lab")) is lab
    assert LocalServer.shared(settings={"max_layers": 3}) is not nothing
    assert LocalServer.shared(settings={"max_layers": 3}) is LocalServer.shared(settings={"max_layers": 3})


def test_one_that_died_is_told_and_started_again():
    first = LocalServer.shared()
    kill(first.pid)
    seconds_until(lambda: not first.is_running)
    assert "SIGKILL" in (first.ending or "")
    second = LocalServer.shared()
    assert second is not first
    assert answers(second.address)
    assert started() == {second.pid}


def test_one_that_was_closed_is_started_again():
    LocalServer.shared().close()
    assert LocalServer.shared().is_running


def test_a_start_that_fails_is_tried_again(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("BACKPROPD_BIN", str(tmp_path / "none"))
        with pytest.raises(ProgramError):
            LocalServer.shared()
    assert LocalServer.shared().is_running


# Forks and other processes.


def test_a_forked_process_starts_its_own_and_leaves_that_of_its_parent():
    script = """
        import os, sys
        from backpropd._server import LocalServer
        server = LocalServer.shared()
        child = os.fork()
        if child == 0:
            assert not server.is_running
            assert "forked" in server.ending
            assert "ended" in repr(server)
            server.close()
            own = LocalServer.shared()
            assert own.pid != server.pid and own.is_running
            own.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(server.is_running, LocalServer.shared() is server)
    """
    assert run(script).split() == ["True", "True"]


def test_a_forked_process_has_none_of_the_pipes():
    script = """
        import os, sys
        from backpropd._server import LocalServer
        before = set(os.listdir("/proc/self/fd"))
        server = LocalServer.shared()
        child = os.fork()
        if child == 0:
            more = set(os.listdir("/proc/self/fd")) - before
            os._exit(len(more))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(script) == "0\n"


def test_workers_of_multiprocessing_have_servers_of_their_own(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "from backpropd._server import LocalServer\n"
        "def pid(_):\n"
        "    return LocalServer.shared().pid\n"
        "if __name__ == '__main__':\n"
        "    own = pid(0)\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        others = set(pool.map(pid, range(8), chunksize=1))\n"
        "        pool.close()\n"
        "        pool.join()\n"
        "    assert own not in others and 1 <= len(others) <= 2\n"
        "    print(own, *others)\n"
    )
    pids = [int(pid) for method in ("fork", "spawn", "forkserver") for pid in run(script, method).split()]
    assert len(pids) >= 6
    seconds_until(lambda: not any(map(is_there, pids)))


def test_forks_while_servers_start_and_end_leave_nothing_open():
    script = """
        import os, threading
        from backpropd._server import LocalServer
        before = len(os.listdir("/proc/self/fd"))
        def serve():
            for _ in range(10):
                LocalServer().close()
        threads = [threading.Thread(target=serve) for _ in range(2)]
        for thread in threads:
            thread.start()
        worst = forks = 0
        while any(thread.is_alive() for thread in threads):
            child = os.fork()
            if child == 0:
                os._exit(len(os.listdir("/proc/self/fd")) - before)
            worst = max(worst, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            forks += 1
        assert forks > 10, forks
        print(worst)
    """
    assert run(script) == "0\n"


def test_it_is_not_sent_to_other_processes():
    with LocalServer() as server, pytest.raises(TypeError, match=r"backpropd\.connect"):
        pickle.dumps(server)


# The log.


def test_the_log_is_read_without_end_and_its_end_remembered(tmp_path, monkeypatch):
    lines = 200_000
    says = f"seq {lines} >&2; echo backpropd {package_version()} listening on 127.0.0.1:1; exec cat"
    monkeypatch.setenv("BACKPROPD_BIN", program_that(tmp_path, says))
    with LocalServer() as server:
        seconds_until(lambda: server.log.endswith(f"\n{lines}\n"))
        assert len(server.log) == 1 << 16


# Nothing left.


def test_servers_leave_no_thread_process_socket_or_file(monkeypatch, tmp_path):
    """LOCAL_SERVERS=1000 has that many."""
    count = int(os.environ.get("LOCAL_SERVERS", "20"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    LocalServer().close()
    threads, files = threading.enumerate(), open_files()
    begin = time.monotonic()
    for _ in range(count):
        with LocalServer() as server:
            assert answers(server.address)
    each = (time.monotonic() - begin) / count
    print(f"{count} servers, {1000 * each:.0f} ms each", file=sys.stderr)
    assert threading.enumerate() == threads
    assert open_files() == files
    assert started() == set()
    assert list(tmp_path.iterdir()) == []
    assert _child._children == set()


def test_the_program_is_a_file_that_can_be_executed():
    assert os.stat(find()).st_mode & stat.S_IXUSR
