"""Servers with TLS that ask who calls."""

import subprocess

import pytest
from conftest import Server, program

import backpropd as bp


def run(folder, *arguments):
    return subprocess.run([program(), *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The folder and the server: tls/ca.crt, secrets, alice."""
    folder = tmp_path_factory.mktemp("guarded")
    run(folder, "tls-init")
    run(folder, "token", "--new-secret", "secrets")
    token = run(folder, "token", "--secret-file", "secrets", "--role", "student", "--sub", "alice", "--expires", "1h")
    (folder / "alice").write_text(token)
    server = Server(
        "--ephemeral",
        "--auth-secret-file=secrets",
        "--tls-cert-file=tls/server.crt",
        "--tls-key-file=tls/server.key",
        "--max-request-bytes=100000",
        cwd=folder,
    )
    yield folder, f"https://localhost:{server.port}"
    server.close()


def test_a_token_over_tls_opens_a_session_of_ones_own(guarded):
    folder, url = guarded
    with bp.connect(url, token=(folder / "alice").read_text(), ca=folder / "tls/ca.crt") as lab:
        net = lab.model([2, 1], seed=1)
        assert net.predict([[1.0, 2.0]]).shape == (1, 1)
        assert [session.owner for session in lab.sessions()] == ["alice"]
        assert "alice" not in repr(lab._caller.target)


def test_token_and_authorities_come_from_the_environment(guarded, monkeypatch):
    folder, url = guarded
    monkeypatch.setenv("BACKPROPD_TOKEN_FILE", str(folder / "alice"))
    monkeypatch.setenv("BACKPROPD_CA", str(folder / "tls/ca.crt"))
    with bp.connect(url) as lab:
        assert lab.session
    monkeypatch.setenv("BACKPROPD_TOKEN", "x.y.z")
    with pytest.raises(bp.TokenInvalid) as raised:
        bp.connect(url)
    assert isinstance(raised.value, bp.Unauthenticated)
    monkeypatch.setenv("BACKPROPD_TOKEN_FILE", str(folder / "none"))
    monkeypatch.delenv("BACKPROPD_TOKEN")
    with pytest.raises(bp.InvalidAddress, match="the token of BACKPROPD_TOKEN_FILE cannot be read"):
        bp.connect(url)


def test_a_missing_token_and_an_unknown_authority_are_told(guarded):
    folder, url = guarded
    with pytest.raises(bp.TokenMissing):
        bp.connect(url, ca=folder / "tls/ca.crt")
    with pytest.raises(bp.Unreachable, match="does not answer"):
        bp.connect(url)
    with pytest.raises(bp.InvalidAddress, match="ca cannot be read"):
        bp.connect(url, ca=folder / "none")
    with pytest.raises(bp.InvalidAddress, match="its key cannot be read"):
        bp.connect(url, certificate=(folder / "tls/ca.crt", folder / "none"))


def test_asyncio_connects_alike(guarded):
    import asyncio

    folder, url = guarded

    async def owner():
        token = (folder / "alice").read_text()
        async with await bp.aio.connect(url, token=token, ca=(folder / "tls/ca.crt").read_bytes()) as lab:
            return (await lab.sessions())[0].owner

    assert asyncio.run(owner()) == "alice"


def test_the_address_of_ipv6_has_brackets():
    from backpropd._address import read_target

    target = read_target("http://[::1]:50052")
    assert target.address == "[::1]:50052"
    assert ("grpc.enable_http_proxy", 0) in target.options()
    assert ("grpc.keepalive_time_ms", 60_000) in read_target("https://lab.uni.edu").options()
    assert read_target("https://lab.uni.edu").address == "lab.uni.edu:443"
