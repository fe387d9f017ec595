"""Arrays of any kind: sent exactly, or refused with the way."""

import numpy as np
import pytest

import backpropd as bp
from backpropd._arrays import floats, from_tensor, labels, matrix, tensor

BASE = np.arange(12.0).reshape(3, 4) - 3


def sent(given):
    """What arrives on the server."""
    return from_tensor(tensor(matrix("x", given)))


@pytest.mark.parametrize(
    "given",
    [
        BASE,
        BASE.astype(np.float32),
        BASE.astype(np.float16),
        BASE.astype(">f8"),
        BASE.astype(">f4"),
        np.asfortranarray(BASE),
        np.repeat(np.repeat(BASE, 2, axis=0), 3, axis=1)[::2, ::3],
        BASE[::-1, ::-1][::-1, ::-1],
        BASE.astype(np.int8),
        BASE.astype(np.int16),
        BASE.astype(">i4"),
        BASE.astype(np.int64),
        BASE.tolist(),
        BASE.astype(int).tolist(),
        np.ma.masked_array(BASE, mask=np.zeros_like(BASE, bool)),
        memoryview(BASE),
        np.broadcast_to(BASE, (3, 4)),
    ],
    ids=lambda given: f"{type(given).__name__}-{getattr(given, 'dtype', '')}",
)
def test_the_same_numbers_arrive_from_any_layout(given):
    array = sent(given)
    np.testing.assert_array_equal(array, BASE)
    assert array.dtype in (np.float32, np.float64)
    assert array.dtype.isnative
    assert array.flags.writeable


def test_booleans_are_0_and_1():
    np.testing.assert_array_equal(sent(BASE > 0), (BASE > 0).astype(float))


def test_integers_beyond_float32_are_exact():
    for kind in (np.int32, np.uint32, np.int64):
        np.testing.assert_array_equal(sent(np.array([[2**24 + 1]], kind)), [[2.0**24 + 1]])
    np.testing.assert_array_equal(sent(np.array([[2**53, 2**32 + 1]], np.uint64)), [[2.0**53, 2.0**32 + 1]])


def test_frames_and_tensors_are_read():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {f"c{j}": BASE[:, j] for j in range(4)}
    np.testing.assert_array_equal(sent(pandas.DataFrame(columns)), BASE)
    np.testing.assert_array_equal(sent(polars.DataFrame(columns)), BASE)
    assert floats("y", pandas.Series([1, 2])).tolist() == [1, 2]


class OnlyDlpack:
    """An array of a library that has nothing but DLPack."""

    def __dlpack__(self, **options):
        return BASE.__dlpack__(**options)

    def __dlpack_device__(self):
        return BASE.__dlpack_device__()


class LikeTorch:
    """A tensor that has a gradient, on another device."""

    def detach(self):
        return self

    def cpu(self):
        return OnlyDlpack()


@pytest.mark.parametrize("given", [OnlyDlpack(), LikeTorch()])
def test_the_array_protocols_are_enough(given):
    np.testing.assert_array_equal(sent(given), BASE)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "x is missing"),
        (np.empty((0, 4)), r"x is empty: its shape is \(0, 4\)"),
        ([], "x is empty"),
        (np.float64(3), "x is one number"),
        (BASE[0], r"x\[None, :\] is one sample of 4 features, x\[:, None\] is 4 samples of one feature"),
        (BASE.reshape(3, 2, 2), r"x\.reshape\(3, -1\) makes each sample a row"),
        (BASE + 1j, r"type complex128 .* take its real part, with x\.real"),
        (np.array([[1, None]], object), "holds Python objects, such as None"),
        (np.array([["a", "b"]]), "it holds texts, such as .*a"),
        ([[1, 2], [3]], "x cannot be read as an array of numbers"),
        (np.array([["2020-01-01"]], "M8[D]"), r"make it numbers, with x\.astype\(float\)"),
        (BASE.astype(np.longdouble), "wider than the server's float64"),
        (np.array([[2**53 + 1]]), "integers beyond 2"),
        (np.array([[-(2**63)]]), "integers beyond 2"),
        (np.ma.masked_array(BASE, mask=BASE > 0), r"x\.filled\(0\)"),
        (object(), "such as <object object"),
    ],
    ids=range(16),
)
def test_what_is_no_matrix_is_refused_with_the_way(given, says):
    with pytest.raises(bp.InvalidArray, match=says) as raised:
        matrix("x", given)
    assert isinstance(raised.value, ValueError)
    assert raised.value.__cause__ is None


def test_labels_are_whole_numbers_from_0():
    assert labels("y", np.array([0, 2, 1], np.uint8), 3) == [0, 2, 1]
    assert labels("y", [True, False]) == [1, 0]
    assert labels("y", np.array([0.5, 1])) is None
    assert labels("y", np.array([[1], [0]])) is None
    with pytest.raises(bp.InvalidArray, match="has the class -1: classes count from 0"):
        labels("y", [0, -1])
    with pytest.raises(bp.InvalidArray, match="y has 2 classes, and x has 3 rows"):
        labels("y", [0, 1], 3)


def test_nan_is_told_by_the_server(lab):
    net = lab.model([2, 1])
    with pytest.raises(bp.InvalidRequest, match="inputs") as raised:
        net.predict([[1.0, np.nan]])
    assert "inputs" in raised.value.fields


def test_targets_in_one_axis_are_a_column_for_one_output(lab):
    net = lab.model([2, 1], seed=1)
    x = [[1.0, 2], [3, 4]]
    assert net.gradients(x, [1, 2]).loss == net.gradients(x, [[1], [2]]).loss
    wide = lab.model([2, 2], seed=1)
    with pytest.raises(bp.InvalidArray, match=r"the network has 2 outputs, so it needs \(2, 2\)"):
        wide.gradients(x, [1, 2])
    with pytest.raises(bp.InvalidArray, match="y is missing"):
        wide.gradients(x)
    classes = lab.model([2, 2], loss="cross_entropy")
    with pytest.raises(bp.InvalidArray, match=r"classes are whole numbers, y\.astype\(int\)"):
        classes.gradients(x, [1.0, 0.0])
    with pytest.raises(bp.InvalidArray, match="y has the type <U4 .* class names belong in y of lab.dataset"):
        classes.gradients(x, ["iris", "lily"])
    assert classes.gradients(x, [1, 0]).loss == classes.gradients(x, [[0, 1], [1, 0]]).loss
    assert classes.gradients(x, [True, False]).loss == classes.gradients(x, [1, 0]).loss
