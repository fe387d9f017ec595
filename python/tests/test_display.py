"""What notebooks show: tables without a script, and no colour without a sign."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import backpropd as bp
from backpropd._display import table


class Balanced(HTMLParser):
    """Fails on markup that is not closed."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.text = []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "style", "link")
        if tag not in ("br", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def shown(thing):
    parser = Balanced()
    html = thing if isinstance(thing, str) else thing._repr_html_()
    parser.feed(html)
    assert parser.open == []
    return html, " ".join(parser.text)


def test_a_pass_is_tables_with_masked_entries_hatched(lab, batch):
    g = lab.model([4, 3, 2, 1], seed=11, bias=True).gradients(*batch)
    html, text = shown(g)
    assert "dW[2]" in text
    assert "2 × 3" in text
    dead = sum(int((g.z[i] < 0).sum()) for i in (1, 2))
    assert dead
    assert html.count("repeating-linear-gradient") == 4 * dead
    assert "−" in text
    assert shown(g.dW)[1].count("×") == 3
    assert "Gradients(loss" in repr(g)
    assert repr(g.dW) == "dW[1: (3, 4), 2: (2, 3), 3: (1, 2)]"
    assert "repeating" not in shown(lab.model([4, 3, 1]).gradients(*batch, include=["h", "delta"]))[0]


def test_wrong_entries_have_a_sign_and_a_colour(lab, batch):
    g = lab.model([4, 3, 2, 1], seed=11).gradients(*batch)
    wrong = g.dW[2].copy()
    wrong[0, 1] += 1
    html, text = shown(g.grade(dW={2: wrong, 3: g.dW[3]}))
    assert text.count("✗") == 2
    assert html.count("#b3261e") == 2
    assert "✓" in text
    html, text = shown(table("mine", wrong, right=wrong == g.dW[2]))
    assert text.count("✗") == 1
    assert text.count("✓") == 5


def test_large_arrays_are_cut(lab):
    html, text = shown(table("big", np.ones((100, 50))))
    assert "88 more rows" in text
    assert len(html) < 20_000


def test_networks_and_histories_are_shown(lab, batch):
    net = lab.model([4, 3, 1], seed=1, bias=True)
    assert "15" in shown(net)[1]
    assert "4-3-1" in repr(net)
    assert shown(net.history)[1] == "History(no steps)"
    net.fit(*batch, steps=1000)
    html, text = shown(net.history)
    assert "1000 steps" in text
    assert "polyline" in html
    assert repr(next(iter(net.train(*batch)))).startswith("Step(step=1001, epoch=1, loss=")


def test_reports_are_shown_with_their_words_escaped(lab):
    report = lab.grade("hw-backprop", {"1.1": "<script>", "1.11": r"\delta W^3 h^1"}, reveal="hints")
    html, text = shown(report)
    assert "<script" not in html
    assert "1.11" in text
    assert shown(report["1.11"])[1]
    assert shown(report["1.1"])[1]


def test_a_curve_is_drawn(lab, batch, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    net = lab.model([4, 3, 1], seed=1)
    net.fit(*batch, epochs=20, held_out=batch)
    axes = net.history.plot()
    assert [line.get_xdata().size for line in axes.lines] == [20, 20]
    assert axes.get_yscale() == "log"
    assert net.history.plot(axes, log=False) is axes
    axes.figure.savefig(tmp_path / "loss.png")


def test_a_missing_matplotlib_is_told(lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "backpropd\[plot\]"'):
        lab.model([2, 1]).history.plot()


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_progress_is_shown_with_and_without_tqdm(lab, batch, capsys, monkeypatch, has_tqdm):
    if has_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    lab.model([4, 3, 1], seed=1).fit(*batch, steps=300, progress=True)
    said = capsys.readouterr().err
    assert ("300/300" if has_tqdm else "300 of 300 steps") in said
    assert "loss=" in said


def test_a_long_history_becomes_arrays(monkeypatch):
    from backpropd import _history
    from backpropd import _messages as pb

    monkeypatch.setattr(_history, "_PENDING", 10)
    history = bp.History()
    metrics = history._start()
    for first in range(0, 100, 4):
        metrics.add([pb.StepMetrics(step=first + i, loss=1.0, accuracy=0.5) for i in range(4)])
    assert len(metrics._pending) < 3
    assert history.steps.tolist() == list(range(100))
    assert (history.accuracies == 0.5).all()
