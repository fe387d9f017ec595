"""Sessions, models, datasets, connections."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest

import backpropd as bp


def test_a_session_is_made_or_opened_by_its_name(server):
    with bp.connect(server.address, session="hw-1") as one, bp.connect(f"http://{server.address}/", session="hw-1") as two:
        assert one.session == two.session == "sessions/hw-1"
        one.model([2, 1], name="net")
        assert two.network("net").sizes == [2, 1]
        with pytest.raises(bp.AlreadyExists):
            two.model([2, 1], name="net")
        assert one.delete() == 1
        with pytest.raises(bp.NotFound):
            two.network("net")


def test_a_lab_says_where_it_is(lab, server):
    assert lab.address == server.address
    info = lab.server
    assert info.version.count(".") == 2
    assert lab.session in {session.name for session in lab.sessions()}
    assert lab.address in repr(lab)


def test_lists_are_read_to_their_end(lab, monkeypatch):
    from backpropd import _requests

    monkeypatch.setattr(_requests, "_PAGE", 2)
    names = [lab.model([1, 1], name=f"m{i}").name for i in range(5)]
    assert [info.name for info in lab.models()] == names
    data = [lab.dataset([[1.0]], [[2.0]], name=f"d{i}").name for i in range(3)]
    assert [dataset.name for dataset in lab.datasets()] == data
    assert "datasets/digits" in [dataset.name for dataset in lab.datasets(shared=True)]
    assert len(lab.sessions()) >= 1
    assert "hw-backprop" in [assignment.id for assignment in lab.assignments()]


def test_a_dataset_takes_the_place_of_its_rows(lab):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    data = lab.dataset(x, y, name="line")
    assert (data.rows, data.features, data.target_columns, data.dtype) == (50, 4, 2, "float64")
    net = lab.model([4, 3, 2], seed=2)
    assert net.gradients(data).loss == net.gradients(x, y).loss
    assert net.gradients(data.range(10, 20)).loss == net.gradients(x[10:20], y[10:20]).loss
    assert net.gradients(data.range(40)).loss == net.gradients(x[40:], y[40:]).loss
    training, held_out = data.split(0.2, seed=3)
    assert net.evaluate(training).rows == 40
    assert net.evaluate(held_out).rows == 10
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(net.gradients(data.standardized()).x, standard, rtol=1e-9, atol=1e-9)
    net.fit(training, epochs=2, held_out=held_out)
    g = net.gradients(data)
    assert g.check(dW=g.dW).is_right
    assert g.explain("dW1", 1, 1).value == g.dW[1][0, 0]
    with pytest.raises(bp.InvalidArray, match="needs x and y"):
        net.gradients(data, include=["dW"]).check(dW=g.dW)
    with pytest.raises(bp.InvalidArray, match="leave y out"):
        net.gradients(data, y)
    assert lab.open_dataset("line") == data
    lab.delete_dataset(data)
    with pytest.raises(bp.NotFound):
        net.gradients(data)


def test_pictures_of_whole_numbers_are_sent_as_float32_with_classes(lab, monkeypatch):
    from backpropd import _requests

    monkeypatch.setattr(_requests, "_PIECE", 1000)
    rng = np.random.default_rng(1)
    x, labels = rng.integers(0, 256, size=(500, 30), dtype=np.uint8), rng.integers(0, 200, size=500)
    data = lab.dataset(x, labels)
    assert (data.dtype, data.classes, data.bytes) == ("float32", labels.max() + 1, 500 * 30 * 4 + 500 * 4)
    net = lab.model([30, data.classes], loss="cross_entropy", dtype="float32")
    g = net.gradients(data)
    np.testing.assert_array_equal(g.x, x)
    np.testing.assert_array_equal(g.y.argmax(axis=1), labels)


def test_inputs_are_widened_if_the_targets_need_it(lab):
    x = np.array([[1], [2]], np.uint8)
    assert lab.dataset(x, [0.1, 0.2]).dtype == "float64"
    assert lab.dataset(x, [0.5, 0.25]).dtype == "float32"


def test_names_of_classes_are_kept(lab):
    data = lab.dataset([[1.0], [2.0], [3.0]], ["cat", "dog", "cat"])
    assert lab.open_dataset(data.name).class_names == ("cat", "dog")
    assert data.classes == 2
    np.testing.assert_array_equal(lab.model([1, 2], loss="cross_entropy").gradients(data).y, [[1, 0], [0, 1], [1, 0]])


def test_means_and_deviations_can_be_given(lab):
    data = lab.dataset([[1.0], [3.0]], [[1.0], [2.0]], standardization=([1.0], [2.0]))
    np.testing.assert_array_equal(lab.model([1, 1]).gradients(data.all().standardized()).x, [[0], [1]])


def test_a_dataset_of_unequal_lengths_is_refused(lab):
    with pytest.raises(bp.InvalidArray, match="y has 2 rows, and x has 3"):
        lab.dataset([[1.0], [2.0], [3.0]], [[1.0], [2.0]])
    with pytest.raises(bp.InvalidArray, match="y is missing"):
        lab.dataset([[1.0]], None)
    assert lab.datasets() == []


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("grpc://host:1", "the scheme 'grpc' is not supported"),
        ("https://host/backpropd", "the path '/backpropd' cannot be reached"),
        ("host:1/?a=b", "cannot be reached"),
        ("https://me:secret@host", "no user name or password"),
        ("", "is not an address such as localhost:50051"),
        ("a b", "is not an address"),
        ("host:99999", "ort out of range"),
    ],
)
def test_an_address_is_refused_by_what_is_wrong_with_it(address, says):
    with pytest.raises(bp.InvalidAddress, match=says) as raised:
        bp.connect(address)
    assert "secret" not in str(raised.value)


def test_a_token_crosses_no_network_in_plain_text():
    with pytest.raises(bp.InvalidAddress, match="use https://lab.uni.edu:50051"):
        bp.connect("lab.uni.edu", token="t")
    with pytest.raises(bp.InvalidAddress, match="the token is not one: it has 3 characters"):
        bp.connect("https://lab.uni.edu", token="a b")
    with pytest.raises(bp.InvalidAddress, match="certificates are for https"):
        bp.connect("localhost:1", ca=b"")


def test_no_server_is_told_at_once():
    import socket
    import time

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(bp.Unreachable, match=f"{address} does not answer") as raised:
        bp.connect(address)
    assert time.monotonic() - start < 2
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_threads_share_a_lab(lab, batch):
    net = lab.model([4, 3, 1], seed=2)
    right = net.gradients(*batch).loss
    losses = []
    threads = [threading.Thread(target=lambda: losses.extend(net.gradients(*batch).loss for _ in range(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert losses == [right] * 200


@pytest.mark.parametrize("what", ["lab", "net", "g", "run"])
def test_what_is_connected_cannot_be_pickled_or_copied(lab, batch, what):
    net = lab.model([4, 3, 1])
    made = {"lab": lab, "net": net, "g": net.gradients(*batch), "run": net.train(*batch)}
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds a connection, which no other process or copy can use: "):
            copying(made[what])
    made["run"].finish()


def test_a_fork_is_refused_with_the_way(lab, batch):
    net = lab.model([4, 3, 1])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            net.gradients(*batch)
            said = "it was not refused"
        except bp.ForkedConnection as error:
            said = str(error)
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    assert f"belongs to process {os.getpid()}, and this is its fork {child}" in said
    assert 'get_context("spawn")' in said
    assert net.gradients(*batch).loss > 0


def test_a_closed_lab_says_so(server):
    lab = bp.connect(server.address)
    net = lab.model([2, 1])
    lab.close()
    with pytest.raises(bp.Error, match="closed"):
        net.info()


def test_a_network_for_comparison_alone_shows_nothing_and_grades(lab, batch):
    net = lab.model([4, 3, 1], seed=987, access="compare_only", compare=batch, compare_tolerance=1e-6)
    with pytest.raises(bp.CompareOnly) as raised:
        net.gradients(*batch)
    assert isinstance(raised.value, bp.PermissionDenied)
    g = lab.model([4, 3, 1], seed=987).gradients(*batch)
    report = net.grade_gradients(*batch, dW=[g.dW[1], g.dW[2] + 1])
    assert [result.verdict for result in report.values()] == ["correct", "incorrect"]
    assert report.tries_left is not None


def test_a_lab_that_another_thread_closes_says_so(server):
    lab = bp.connect(server.address)
    net = lab.model([2, 1])
    net.info()

    def closing(*_, **__):
        lab.close()
        raise ValueError("Cannot invoke RPC on closed channel!")

    lab._caller._stubs["GetModel"] = closing
    with pytest.raises(bp.Error, match="is closed"):
        net.info()
    lab._caller._is_closed = False
    lab._caller._stubs["GetModel"] = lambda *_, **__: int("no number")
    with pytest.raises(ValueError, match="no number"):
        net.info()
