"""The picture of a network in a notebook: its numbers are those of `gradients`, and it answers the browser's questions."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
import pytest

import backpropd as bp

pytest.importorskip("anywidget", reason="anywidget is not installed")

from backpropd.widget import Picture


@pytest.fixture
def picture(lab: bp.Lab, batch: tuple[Any, Any]) -> Picture:
    net = lab.model([4, bp.Layer(3, "tanh", bias=True), 2, 1], seed=1)
    return Picture(net, *batch)


def ask(picture: Picture, monkeypatch: pytest.MonkeyPatch, **question: Any) -> dict[str, Any]:
    """The answer to a message of the browser."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(picture, "send", sent.append)
    picture._handle_custom_msg({"id": 7, "expansion": "definition", **question}, [])
    (answer,) = sent
    assert answer["id"] == 7
    return answer


def shown(picture: Picture, name: str) -> Any:
    """A matrix as the browser gets it, after its way as JSON."""
    matrix = json.loads(json.dumps(picture.numbers))["matrices"][name]
    return np.reshape(matrix["data"], (matrix["rows"], matrix["columns"]))


def test_every_number_of_the_picture_has_the_bits_of_gradients(picture: Picture, batch: tuple[Any, Any]):
    g = picture._net.gradients(*batch)
    for name in ("z", "h", "dW", "db", "dz", "dh"):
        layers = getattr(g, name)
        assert list(layers)
        for layer in layers:
            assert shown(picture, f"{name}{layer}").tobytes() == np.atleast_2d(layers[layer]).tobytes()
    for name, value in (("dx", g.dx), ("delta", g.delta), ("loss", g.losses)):
        assert shown(picture, name).tobytes() == np.atleast_2d(value).tobytes()
    assert picture.numbers["value"] == g.loss
    assert picture.numbers["layers"][0] == {"units": 3, "activation": "tanh", "hasBias": True}
    assert np.array_equal(picture.numbers["parameters"][1]["W"]["data"], g.W[2].ravel())


def test_refresh_shows_the_network_after_training(picture: Picture, batch: tuple[Any, Any]):
    before = picture.numbers
    picture._net.fit(*batch, steps=3)
    assert picture.numbers is before
    picture.refresh()
    assert picture.numbers["step"] == 3
    assert picture.numbers["value"] == picture._net.gradients(*batch).loss


def test_a_chosen_entry_is_explained_by_the_kernel(picture: Picture, monkeypatch: pytest.MonkeyPatch):
    answer = ask(picture, monkeypatch, entry="dW2", row=2, column=3)
    (equation,) = answer["equations"]
    assert equation["text"].startswith("dW²₂₃ = ")
    assert equation["value"] == shown(picture, "dW2")[1, 2]
    assert [factor["entry"] for factor in equation["terms"][0]["factors"]] == ["dz2.1.2", "h1.1.3"]
    json.dumps(answer)


def test_leaves_go_down_to_inputs_and_weights(picture: Picture, monkeypatch: pytest.MonkeyPatch):
    answer = ask(picture, monkeypatch, entry="dz1", row=1, column=1, expansion="leaves")
    assert len(answer["equations"]) > 3


@pytest.mark.parametrize(
    "question",
    [
        {"entry": "dW9", "row": 1, "column": 1},
        {"entry": "dW1", "row": 99, "column": 1},
        {"entry": "nonsense", "row": 1, "column": 1},
        {"entry": "dW1", "row": "x", "column": 1},
        {"entry": "dW1", "row": 1},
        {"entry": "dW1", "row": 1, "column": 1, "expansion": "more"},
        {"place": "W9.1.1", "values": [1.0]},
        {"place": "W1.1.1", "values": ["x"]},
        {"place": "W1.1.1", "values": 1},
        {"values": [1.0]},
    ],
)
def test_a_question_without_an_answer_gets_an_error(
    picture: Picture, monkeypatch: pytest.MonkeyPatch, question: dict[str, Any]
):
    assert ask(picture, monkeypatch, **question)["error"]


def test_classes_become_targets(lab: bp.Lab):
    net = lab.model([2, 3], loss="cross_entropy", seed=1)
    picture = Picture(net, np.eye(2), [2, 0])
    assert picture.numbers["y"]["data"] == [0, 0, 1, 1, 0, 0]


def test_the_script_and_the_style_are_in_the_package():
    script, style = str(Picture._esm), str(Picture._css)
    assert "render" in script
    assert len(script) + len(style) < 100_000
    assert style.startswith(".backpropd{"), "the style would change the notebook around the picture"


def test_a_change_in_the_picture_is_computed_by_a_copy(picture: Picture, batch: tuple[Any, Any]):
    net, before = picture._net, picture.numbers
    picture.changes = {"W2.2.3": -0.75, "x.1.2": 3, "b1.2.1": 0.5}
    x, y = batch
    x, W, b = np.array(x, float), net.W, net.b
    x[0, 1], W[2][1, 2], b[1][1] = 3, -0.75, 0.5
    other = bp.local().model([4, bp.Layer(3, "tanh", bias=True), 2, 1], parameters=[(W[1], b[1]), W[2], W[3]])
    wanted = other.gradients(x, y)
    assert picture.numbers["value"] == wanted.loss != before["value"]
    for layer in (1, 2, 3):
        assert shown(picture, f"dW{layer}").tobytes() == wanted.dW[layer].tobytes()
    assert net.gradients(*batch).loss == before["value"], "the network itself is as it was"
    picture.changes = {}
    assert picture.numbers == before


def test_after_training_the_changes_are_on_top_of_the_new_weights(picture: Picture, batch: tuple[Any, Any]):
    picture.changes = {"W3.1.1": 2.5}
    picture._net.fit(*batch, steps=2)
    picture.refresh()
    assert picture.numbers["step"] == 2
    weights = picture.numbers["parameters"][2]["W"]["data"]
    assert weights[0] == 2.5
    assert weights[1] == picture._net.W[3][0, 1]


def test_a_changed_entry_is_explained_with_the_changed_numbers(picture: Picture, monkeypatch: pytest.MonkeyPatch):
    picture.changes = {"W2.2.3": -0.75}
    answer = ask(picture, monkeypatch, entry="z2", row=1, column=2)
    (equation,) = answer["equations"]
    assert -0.75 in [factor["value"] for term in equation["terms"] for factor in term["factors"]]
    assert equation["value"] == shown(picture, "z2")[0, 1]


@pytest.mark.parametrize("place", ["W3.1.2", "b1.2.1", "x.2.4"])
def test_a_nudge_changes_the_loss_by_the_derivative(picture: Picture, monkeypatch: pytest.MonkeyPatch, place: str):
    picture.changes = {"W2.2.3": -0.75, "W3.1.2": 0.5}
    name, row, column = place.split(".")
    at = (int(row) - 1, int(column) - 1)
    value = np.atleast_2d(picture._gradients.x if name == "x" else getattr(picture._gradients, name[0])[int(name[1])])
    value = float(value.T[at] if name == "b1" else value[at])
    up, down = ask(picture, monkeypatch, place=place, values=[value + 1e-4, value - 1e-4])["losses"]
    derivative = shown(picture, f"d{name}")
    derivative = derivative.T[at] if name == "b1" else derivative[at]
    assert up != down
    assert (up - down) / 2e-4 == pytest.approx(derivative, rel=1e-6)


@pytest.mark.parametrize("place", ["W9.1.1", "W1.9.1", "dW1.1.1", "W1.0.1", "W1", "nonsense"])
def test_a_change_of_a_place_that_is_not_there_is_told(picture: Picture, place: str):
    before = picture.numbers
    picture.changes = {place: 1.0}
    assert place in picture.problem
    assert picture.numbers is before
    picture.changes = {"W1.1.1": 1.0}
    assert picture.problem == ""


def test_show_is_the_picture_of_a_network(lab: bp.Lab, batch: tuple[Any, Any]):
    net = lab.model([4, 3, 2, 1], seed=1)
    assert net.show(*batch).numbers["value"] == net.gradients(*batch).loss


def test_a_network_of_aio_has_a_picture_that_can_be_changed(server: Any, batch: tuple[Any, Any]):
    async def work() -> None:
        async with await bp.aio.connect(server.address) as lab:
            net = await lab.model([4, bp.Layer(2, "tanh"), 1], seed=1)
            with pytest.raises(TypeError, match=r"await net\.show"):
                Picture(net, *batch)
            picture = await net.show(*batch)
            picture.changes = {"W2.1.1": 2.5}
            while picture.numbers["parameters"][1]["W"]["data"][0] != 2.5:
                await asyncio.sleep(0.001)
            await net.fit(*batch, steps=1)
            await picture.refresh()
            assert picture.numbers["step"] == 1
            assert picture.numbers["parameters"][1]["W"]["data"][0] == 2.5
            sent: list[dict[str, Any]] = []
            picture.send = sent.append  # type: ignore[method-assign]
            picture._handle_custom_msg({"id": 1, "place": "W2.1.1", "values": [2.5, 2.6]}, [])
            picture._handle_custom_msg({"id": 2, "place": "W2.1.1", "values": ["x"]}, [])
            while len(sent) < 2:
                await asyncio.sleep(0.001)
            refused, nudged = sorted(sent, key=lambda answer: -answer["id"])
            assert refused["error"]
            assert nudged["losses"][0] == picture.numbers["value"] != nudged["losses"][1]
            picture.changes = {"nonsense": 1.0}
            while "nonsense" not in picture.problem:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(work(), 30))


def test_without_anywidget_show_says_what_to_install(lab: bp.Lab, batch: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "backpropd.widget")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r'pip install "backpropd\[widget\]"'):
        lab.model([4, 3, 2, 1], seed=1).show(*batch)
