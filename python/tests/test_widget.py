"""The picture of a network in a notebook: its numbers are those of `gradients`, and it answers the browser's questions."""

from __future__ import annotations

import json
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
