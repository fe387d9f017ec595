"""A server of this process's own."""

import asyncio

import pytest
from conftest import program

import backpropd as bp


@pytest.fixture(autouse=True)
def the_program(monkeypatch):
    monkeypatch.setenv("BACKPROPD_BIN", program())


def test_labs_of_this_machine_share_a_server(tmp_path):
    one, two = bp.local(), bp.local()
    assert one.address == two.address
    assert one.session != two.session
    assert one.model([2, 1]).predict([[1.0, 2.0]]).shape == (1, 1)
    one.close()
    two.model([2, 1])
    stored = bp.local(tmp_path, session="hw")
    assert stored.address != two.address
    stored.model([2, 1], name="kept")
    assert bp.local(tmp_path, session="hw").network("kept").sizes == [2, 1]


def test_a_token_of_the_environment_is_not_for_this_machine(monkeypatch):
    monkeypatch.setenv("BACKPROPD_TOKEN", "not a token")
    assert bp.local().server.version


def test_a_program_that_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKPROPD_BIN", str(tmp_path / "none"))
    with pytest.raises(bp.NotStarted, match="no such file") as raised:
        bp.local(tmp_path / "data")
    assert raised.value.__cause__ is None
    with pytest.raises(bp.NotStarted, match="no such file"):
        bp.grade_class(tmp_path)


def test_grading_needs_no_lab():
    assert bp.grade("hw-backprop", {"1.1": r"\delta h^2_{1,1}"})["1.1"].is_right


def test_asyncio_has_the_same_server():
    async def address():
        async with await bp.aio.local() as lab:
            return lab.address

    assert asyncio.run(address()) == bp.local().address


def test_the_package_says_its_version():
    assert bp.__version__ == bp.local().server.version
