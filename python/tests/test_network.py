"""Networks on a server: their numbers against numpy, training, prediction, files."""

import numpy as np
import pytest

import backpropd as bp

SIGMA = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z >= 0).astype(z.dtype)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def by_numpy(W, b, activations, loss, x, y):
    """Every quantity of a pass, by a plain loop."""
    m, layers = len(x), len(W)
    z, h = {}, {0: x}
    for i in range(1, layers + 1):
        z[i] = h[i - 1] @ W[i].T + b.get(i, 0)
        h[i] = SIGMA[activations[i - 1]][0](z[i])
    f = h[layers]
    if loss == "half_squared_error":
        value, df = ((f - y) ** 2).sum() / (2 * m), (f - y) / m
    elif loss == "mean_squared_error":
        value, df = ((f - y) ** 2).mean(), 2 * (f - y) / f.size
    else:
        p = np.exp(f - f.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        value, df = -(y * np.log(p)).sum() / m, (p - y) / m
    dh, dz, dW, db = {layers: df}, {}, {}, {}
    for i in range(layers, 0, -1):
        dz[i] = dh[i] * SIGMA[activations[i - 1]][1](z[i])
        dW[i], db[i] = dz[i].T @ h[i - 1], dz[i].sum(axis=0)
        dh[i - 1] = dz[i] @ W[i]
    return value, {"z": z, "h": h, "dh": dh, "dz": dz, "dW": dW, "db": db}


@pytest.mark.parametrize("seed", range(8))
def test_every_quantity_is_numpys_for_random_networks(lab, seed):
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(1, 7, size=rng.integers(2, 5))]
    layers = len(sizes) - 1
    activations = [str(rng.choice(list(SIGMA))) for _ in range(layers - 1)] + ["linear"]
    loss = ["half_squared_error", "mean_squared_error", "cross_entropy"][seed % 3]
    if loss == "cross_entropy":
        sizes[-1] = max(sizes[-1], 2)
    bias = bool(seed % 2)
    net = lab.model(sizes, seed=seed, activation=activations, loss=loss, bias=bias, init="pytorch_linear")
    m = int(rng.integers(1, 9))
    x = rng.normal(size=(m, sizes[0]))
    y = rng.normal(size=(m, sizes[-1]))
    given = y
    if loss == "cross_entropy":
        given = rng.integers(0, sizes[-1], size=m)
        y = np.eye(sizes[-1])[given]
    g = net.gradients(x, given)
    W, b = dict(net.W.items()), dict(net.b.items())
    assert set(b) == (set(range(1, layers + 1)) if bias else set())
    value, expected = by_numpy(W, b, activations, loss, x, y)
    assert g.loss == pytest.approx(value, rel=1e-12)
    assert g.losses.shape == (m,)
    np.testing.assert_array_equal(g.x, x)
    np.testing.assert_array_equal(g.y, y)
    for name in ("z", "h", "dh", "dz", "dW") + (("db",) if bias else ()):
        for layer in range(1, layers + 1):
            np.testing.assert_allclose(getattr(g, name)[layer], expected[name][layer], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(g.dx, expected["dh"][0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(g.delta, expected["dz"][layers], rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(g.h[0], x)
    np.testing.assert_allclose(net.predict(x), expected["h"][layers], rtol=1e-12)


def test_the_ten_lines(lab, batch, tmp_path):
    x, y = batch
    net = lab.model([4, 3, 2, 1], seed=11)
    g = net.gradients(x, y)
    mine = (g.delta @ net.W[3]).T @ g.h[1]
    with pytest.raises(AssertionError, match=r"^dW² MISSING_MASK: ") as raised:
        g.check(dW={2: mine})
    assert raised.value.report["dW2"].mistake == "MISSING_MASK"
    assert g.check(dW={2: ((g.delta @ net.W[3]) * (g.z[2] >= 0)).T @ g.h[1]}).is_right
    assert g.explain("dW2", 2, 3).value == g.dW[2][1, 2]
    for step in net.train(x, y, steps=2000, progress=True):
        if step.loss < 1e-3:
            break
    assert net.predict(x).shape == (6, 1)
    assert net.save(tmp_path / "hw.safetensors").exists()
    report = lab.grade("hw-backprop", {"1.11": r"\delta (W^3 \odot (z^2 \geq 0))^\top h^1"})
    assert report["1.11"].verdict == "correct"


def test_a_float32_network_answers_in_float32(lab, batch):
    net = lab.model([4, 3, 1], dtype=np.float32)
    g = net.gradients(*batch)
    assert {array.dtype for array in (g.dW[1], g.delta, g.x, net.W[2], net.predict(batch[0]))} == {np.dtype(np.float32)}


def test_arrays_are_the_callers_own(lab, batch):
    net = lab.model([4, 3, 1], seed=2)
    g = net.gradients(*batch)
    g.dW[1][:] = 0
    assert (g.dW[1] == 0).all()
    assert (net.gradients(*batch).dW[1] != 0).any()


def test_layers_count_from_1(lab, batch):
    net = lab.model([4, 3, 2, 1])
    g = net.gradients(*batch)
    for wrong in (0, 4, -1, "2"):
        with pytest.raises(IndexError, match="layers count from 1, as in dW¹; dW has the layers 1 to 3"):
            _ = g.dW[wrong]
    with pytest.raises(IndexError, match="bias=True"):
        _ = g.db[1]
    with pytest.raises(TypeError, match="set_parameters"):
        net.W[1] -= 0.1
    assert list(g.h) == [1, 2, 3]
    assert len(net.b) == 0


def test_what_was_not_asked_for_is_not_there(lab, batch):
    net = lab.model([4, 3, 1])
    g = net.gradients(*batch, include=("dW", "delta"))
    assert g.included == ("dW", "delta")
    with pytest.raises(AttributeError, match="z is not here, because include= named only dW, delta"):
        _ = g.z
    with pytest.raises(ValueError, match="include has 'dw'; it may have 'x'"):
        net.gradients(*batch, include=("dw",))


def test_explanations_and_checks_belong_to_the_weights_of_their_pass(lab, batch):
    x, y = batch
    net = lab.model([4, 3, 2, 1], seed=11, bias=True)
    g = net.gradients(x, y)
    before = g.explain("dW1", 2, 3).value
    net.fit(x, y, steps=5, learning_rate=0.1)
    assert g.explain("dW1", 2, 3).value == before == g.dW[1][1, 2]
    g.check(dW=g.dW, db=dict(g.db.items()), delta=g.delta)
    short = net.gradients(x, y, include=["dW"])
    net.fit(x, y, steps=1)
    with pytest.raises(bp.Error, match=r"these gradients are of step 5, and the model is at step 6 now"):
        short.check(dW=short.dW)
    with pytest.raises(bp.Error, match=r"call net\.gradients"):
        short.explain("dW1", 1, 1)


def test_training_reports_every_step_and_the_history_has_them(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    steps = list(net.train(*batch, steps=50, batch_size=4, shuffle_seed=1, learning_rate=0.05))
    assert [step.step for step in steps] == list(range(1, 51))
    assert net.step == 50
    np.testing.assert_array_equal(net.history.losses, [step.loss for step in steps])
    np.testing.assert_array_equal(net.history.steps, range(1, 51))
    assert net.history.epochs[-1] == steps[-1].epoch == 25
    assert (net.history.learning_rates == 0.05).all()
    assert net.history.gradient_norms.shape == (50,)
    assert np.isnan(net.history.accuracies).all()
    assert net.history.outcomes[0].reason == "finished"
    net.fit(*batch, epochs=2)
    assert len(net.history) == 52
    assert "52 steps" in repr(net.history)


def test_leaving_a_run_stops_it_and_the_history_is_complete(lab, batch):
    net = lab.model([4, 8, 1], seed=3)
    for step in net.train(*batch, steps=50_000_000, learning_rate=1e-6):
        if step.step >= 3:
            break
    stopped = net.step
    assert 3 <= stopped < 50_000_000
    assert not net.info().training
    assert net.history.steps[-1] == stopped
    assert net.history.outcomes[-1].reason == "stopped"
    assert net.history.outcomes[-1].step == stopped
    assert net.step == stopped


def test_an_exception_in_the_loop_stops_the_run(lab, batch):
    net = lab.model([4, 8, 1], seed=3)
    with pytest.raises(KeyboardInterrupt):
        for _ in net.train(*batch, steps=50_000_000, learning_rate=1e-6):
            raise KeyboardInterrupt
    assert not net.info().training
    assert net.step < 50_000_000


def test_a_run_that_is_not_read_says_so(lab, batch):
    net = lab.model([4, 3, 1])
    with pytest.warns(RuntimeWarning, match="takes no step until its steps are read"):
        net.train(*batch, steps=3)
    assert net.step == 0


def test_held_out_samples_end_a_run_and_the_best_is_kept(lab):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 1))
    net = lab.model([4, 32, 1], seed=1, learning_rate=0.1)
    history = net.fit(x[:10], y[:10], epochs=5000, held_out=(x[10:], y[10:]), patience=5, keep_best=True)
    assert history.outcomes[-1].reason == "patience"
    best = min(history.held_out, key=lambda h: h.loss)
    assert history.outcomes[-1].best_step == best.step
    assert net.evaluate(x[10:], y[10:]).loss == best.loss
    assert best.r2 is not None


def test_classes_are_whole_numbers(lab):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 5)), rng.integers(0, 3, size=30)
    net = lab.model([5, 16, 3], loss="cross_entropy", optimizer=bp.Adam(learning_rate=0.02), seed=4)
    net.fit(x, labels, epochs=300)
    evaluation = net.evaluate(x, labels, confusion_matrix=True, per_sample_loss=True)
    classes = net.predict_classes(x)
    assert evaluation.accuracy == (classes == labels).mean() > 0.9
    assert evaluation.confusion_matrix.sum() == 30
    assert evaluation.confusion_matrix.trace() == (classes == labels).sum()
    assert evaluation.losses.mean() == pytest.approx(evaluation.loss)
    np.testing.assert_allclose(net.predict_proba(x).sum(axis=1), 1)
    assert net.history.accuracies[-1] > 0.9


def test_a_file_brings_back_the_same_bits(lab, batch, tmp_path):
    net = lab.model([4, 3, 1], seed=3, optimizer="adam", bias=True)
    net.fit(*batch, steps=5)
    file = net.save(tmp_path / "net.safetensors")
    again = lab.load(file, name="again")
    assert again.name.endswith("/models/again")
    assert again.info().weights_digest == net.info().weights_digest
    net.fit(*batch, steps=5)
    again.fit(*batch, steps=5)
    assert again.info().weights_digest == net.info().weights_digest
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_apply_gradients_takes_the_step_that_training_takes(lab, batch):
    net = lab.model([4, 3, 1], seed=3, bias=True, optimizer="adam")
    other = net.copy("other")
    net.fit(*batch, steps=1)
    g = other.gradients(*batch)
    applied = other.apply_gradients(g.dW, g.db)
    assert applied.step == 1
    assert applied.weights_digest == net.info().weights_digest
    with pytest.raises(bp.StepMismatch) as raised:
        other.apply_gradients(g.dW, g.db, expected_step=0)
    assert raised.value.reason == "STEP_MISMATCH"


def test_parameters_are_replaced(lab):
    net = lab.model([2, 2, 1], bias=True)
    W1, b1, W2, b2 = [[1, 2], [3, 4]], [5, 6], [[7, 8]], [9]
    assert net.set_parameters([(W1, b1), (W2, b2)]) == 0
    np.testing.assert_array_equal(net.W[1], W1)
    np.testing.assert_array_equal(net.b[2], b2)
    net.set_parameters({1: (np.array(W1) * 2.0, b1), 2: (W2, b2)})
    assert net.W[1][1, 1] == 8
    same = lab.model([2, 2, 1], bias=True, parameters=[(W1, b1), (W2, b2)])
    np.testing.assert_array_equal(same.b[1], b1)


def test_a_watch_sees_the_runs_of_others(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    kinds = []
    for change in net.watch():
        kinds.append(change.kind)
        if change.kind == "model":
            assert change.model.step == 0
            lab.network(net.name).fit(*batch, steps=3, held_out=batch)
        if change.kind == "completed":
            assert change.outcome.step == 3
            break
    assert kinds[0] == "model"
    assert kinds.count("step") == 3
    assert {"started", "held_out"} <= set(kinds)


def test_the_training_of_a_network_is_changed(lab, batch):
    net = lab.model([4, 3, 1])
    spec = net.update(learning_rate=0.5, clip_norm=1.0, schedule=bp.CosineSchedule(100, 0.1, warmup_steps=5), reduction="sum")
    assert spec.optimizer == bp.SGD(learning_rate=0.5)
    assert (spec.clip_norm, spec.reduction, spec.schedule) == (1.0, "sum", bp.CosineSchedule(100, 0.1, 5))
    assert net.update(optimizer=bp.SGD(0.25, weight_decay=0.1)).optimizer.weight_decay == 0.1
    assert net.spec.optimizer.learning_rate == 0.25


def test_every_choice_of_a_spec_comes_back(lab):
    net = lab.model(
        [4, bp.Layer(3, "leaky_relu", bias=True, init="zeros", leaky_relu_slope=0.2), 2],
        output_activation="tanh",
        init="lecun_uniform",
        loss="mean_squared_error",
        reduction="sum",
        optimizer=bp.RMSProp(0.1, momentum=0.5),
        schedule=bp.StepSchedule(10, 0.5),
        clip_norm=2.0,
        dtype="float32",
        relu_at_zero=0,
    )
    spec = net.spec
    assert spec.layers[0] == bp.Layer(3, "leaky_relu", True, "zeros", pytest.approx(0.2))
    assert spec.layers[1] == bp.Layer(2, "tanh", False, "lecun_uniform")
    assert (spec.loss, spec.reduction, spec.clip_norm) == ("mean_squared_error", "sum", 2.0)
    assert spec.optimizer == bp.RMSProp(0.1, momentum=0.5)
    assert spec.schedule == bp.StepSchedule(10, 0.5)
    assert (spec.dtype, spec.relu_at_zero, spec.sizes) == ("float32", 0, [4, 3, 2])


def test_the_numerical_check_passes(lab, batch):
    net = lab.model([4, 3, 1], seed=3, activation="tanh", bias=True)
    check = net.check_gradients(*batch, step_size=1e-5, tolerance=1e-6, max_entries_per_tensor=5)
    assert check
    assert check.worst.relative_error < 1e-6
    assert check.checked["dW1"] == 5


def test_the_forward_pass_alone(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    found = net.forward(batch[0])
    np.testing.assert_array_equal(found["h"][2], net.predict(batch[0]))
    np.testing.assert_array_equal(found["z"][1], net.gradients(*batch).z[1])


def test_a_long_prediction_has_the_bits_of_a_short_one(lab):
    net = lab.model([40, 8, 3], seed=3)
    x = np.random.default_rng(1).normal(size=(30_000, 40))
    whole = net.predict(x)
    assert whole.shape == (30_000, 3)
    np.testing.assert_array_equal(whole[12345:12350], net.predict(x[12345:12350]))


def test_a_model_is_deleted(lab):
    net = lab.model([2, 1], name="gone")
    assert [info.name for info in lab.models()] == [net.name]
    net.delete()
    assert lab.models() == []
    with pytest.raises(bp.NotFound):
        net.info()


def test_runs_are_listed_with_their_metrics(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    net.fit(*batch, steps=30, held_out=batch)
    net.fit(*batch, steps=2)
    newest, first = lab.network(net.name).runs()
    assert (newest.steps_done, first.steps_done, first.state) == (2, 30, "finished")
    assert first.ended >= first.started
    history = net.run_history(first)
    np.testing.assert_array_equal(history.losses, net.history.losses[:30])
    assert len(history.held_out) == 30
    assert first.last_loss == history.losses[-1]
    assert len(net.run_history(newest.name)) == 2


def test_a_step_with_a_sum_of_gradients_is_that_of_their_sum(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    other = net.copy()
    g = net.gradients(*batch)
    half = {layer: array / 2 for layer, array in g.dW.items()}
    net.apply_gradients(g.dW)
    other.apply_gradients(half, weight=0.5, further=[(half, None, 1.5)])
    for layer in (1, 2):
        np.testing.assert_allclose(other.W[layer], net.W[layer], rtol=1e-14)


def test_more_samples_than_a_request_holds_are_refused_with_the_way(lab):
    x = np.zeros((70_000, 128))
    with pytest.raises(bp.MessageTooLarge, match=r"pass data = lab\.dataset\(x, y\) in place of x and y"):
        lab.model([128, 1]).gradients(x, np.zeros(70_000))


def test_a_run_is_read_step_by_step_and_closed(lab, batch):
    net = lab.model([4, 8, 1], seed=1, learning_rate=1e-9)
    run = net.train(*batch, steps=50_000_000)
    assert next(run).step == 1
    assert next(run).step == 2
    run.close()
    assert run.outcome.reason == "stopped"
    assert run.outcome.step == net.step
    with pytest.raises(bp.Error, match="have been read"):
        iter(run)
    untouched = net.train(*batch)
    untouched.close()
    assert untouched.outcome is None
    step = next(net.train(*batch, steps=3))
    assert (step.epoch, step.learning_rate, step.is_finite, step.accuracy) == (1, 1e-9, True, None)
    assert step.gradient_norm > 0


def test_another_thread_can_close_a_run_that_is_left(lab, batch):
    net = lab.model([4, 8, 1], seed=1, learning_rate=1e-9)
    run = net.train(*batch, steps=50_000_000)
    for _ in run:
        break
    run.close()
    assert run.outcome.reason == "stopped"
    assert not net.info().training


def test_a_file_that_cannot_be_written_leaves_nothing(lab, tmp_path):
    net = lab.model([4, 3, 1])
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "none" / "net.safetensors")
    net.delete()
    with pytest.raises(bp.NotFound):
        net.save(tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_the_rights_of_other_files(lab, tmp_path):
    net = lab.model([4, 3, 1])
    other = tmp_path / "other"
    other.write_text("")
    assert net.save(tmp_path / "net.safetensors").stat().st_mode == other.stat().st_mode


def test_a_run_can_go_on_without_its_client(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    history = net.fit(*batch, steps=4, on_disconnect="continue", durability="relaxed", metrics_every=3, expected_step=0)
    assert history.steps.tolist() == [1, 3, 4]
    with pytest.raises(bp.StepMismatch):
        net.fit(*batch, expected_step=0)
    assert net.stop() == 4
    assert net.apply_gradients([np.ones((3, 4)), np.ones((1, 3))], learning_rate=0.1, skip_digest=True).weights_digest == ""
    with pytest.raises(bp.StepMismatch):
        net.set_parameters([np.ones((3, 4)), np.ones((1, 3))], expected_step=0)


def test_an_update_of_schedule_alone(lab):
    net = lab.model([2, 1], optimizer="adamw")
    assert net.update(schedule=bp.ConstantSchedule(3)).schedule == bp.ConstantSchedule(3)
    assert net.update(learning_rate=0.5).optimizer == bp.AdamW(0.5)
    with pytest.raises(bp.InvalidRequest):
        net.update(optimizer=bp.SGD(0.1))


def test_held_out_rows_are_evaluated_every_so_many_steps(lab, batch):
    net = lab.model([4, 3, 1], seed=3)
    net.fit(*batch, steps=10, held_out=batch, held_out_every_steps=4)
    assert [held_out.step for held_out in net.history.held_out] == [4, 8, 10]
