"""The surface for asyncio: the same calls, awaited."""

import asyncio

import numpy as np
import pytest
from fakes import Fake, details, refuse
from test_failures import completed, failing, progress, started

import backpropd as bp

X, Y = [[1.0, 2.0]], [[3.0]]


def in_lab(address, body):
    """Runs a coroutine function of a lab."""

    async def run():
        async with await bp.aio.connect(address) as lab:
            return await body(lab)

    return asyncio.run(run())


def test_a_network_is_trained_examined_and_saved(server, batch, tmp_path):
    x, y = batch

    async def body(lab):
        net = await lab.model([4, 3, 2, 1], seed=11, bias=True)
        g = await net.gradients(x, y)
        with pytest.raises(AssertionError, match="dW² MISSING_MASK"):
            await g.check(dW={2: (g.delta @ (await net.W)[3]).T @ g.h[1]})
        assert (await g.check(dW=g.dW)).is_right
        assert (await g.explain("dW2", 2, 3)).value == g.dW[2][1, 2]
        steps = [step.step async for step in net.train(x, y, steps=20)]
        assert steps == list(range(1, 21))
        history = await net.fit(x, y, steps=5, progress=True)
        assert len(history) == 25 == await net.step
        np.testing.assert_array_equal((await net.forward(x))["h"][3], await net.predict(x))
        assert (await net.evaluate(x, y)).loss > 0
        assert (await net.check_gradients(x, y)).passed
        again = await lab.load(await net.save(tmp_path / "n.safetensors"))
        assert (await again.info()).weights_digest == (await net.info()).weights_digest
        assert [len(await net.run_history(run)) for run in await net.runs()] == [5, 20]
        x_classes = np.array([0, 1, 0, 1, 1, 0])
        classifier = await lab.model([4, 2], loss="cross_entropy")
        assert (await classifier.predict_classes(x)).shape == x_classes.shape
        assert (await classifier.predict_proba(x)).shape == (6, 2)
        assert (await classifier.evaluate(x, x_classes, per_sample_loss=True)).losses.shape == (6,)
        await classifier.delete()
        with pytest.raises(bp.StepMismatch):
            await net.apply_gradients(g.dW, g.db, expected_step=7, learning_rate=1.0)
        with pytest.raises(bp.StepMismatch):
            await net.set_parameters([(g.W[i], g.b[i]) for i in (1, 2, 3)], expected_step=7)
        short = await net.gradients(x, y, include=["dW"])
        await net.fit(x, y, steps=1)
        with pytest.raises(bp.Error, match="the model is at step 26 now"):
            await short.check(dW=short.dW)
        with pytest.raises(bp.Error, match="call net.gradients"):
            await short.explain("dW1", 1, 1)
        other = await net.copy()
        assert (await other.apply_gradients(g.dW, g.db)).step == 27
        assert await other.set_parameters([(g.W[i], g.b[i]) for i in (1, 2, 3)]) == 27
        assert (await other.update(learning_rate=0.5)).optimizer == bp.SGD(0.5)
        other_way = {"optimizer": bp.SGD(0.25), "schedule": bp.StepSchedule(9), "clip_norm": 1.0, "reduction": "sum"}
        assert (await other.update(**other_way)).optimizer == bp.SGD(0.25)
        await other.delete()
        data = await lab.dataset(x, y)
        assert (await net.gradients(data)).loss == (await net.gradients(x, y)).loss
        assert [d.name for d in await lab.datasets()] == [data.name]
        assert await lab.open_dataset(data.name) == data
        await lab.delete_dataset(data)
        assert len(await lab.models()) == 2
        assert (await lab.network(net.name)).sizes == [4, 3, 2, 1]
        assert lab.session in [session.name for session in await lab.sessions()]
        assert len(await lab.assignments()) >= 1
        assert (await lab.assignment("hw-backprop")).units == (4, 3, 2, 1)
        assert (await lab.server).version
        assert (await bp.aio.grade("hw-backprop", {"1.1": r"\delta h^2_{1,1}"}, lab=lab))["1.1"].is_right
        assert (await bp.aio.grade_gradients(net, x, y, dW={1: np.ones((3, 4))})).verdict == "incorrect"
        assert await lab.delete() == 2

    in_lab(server.address, body)


def test_many_tasks_share_a_lab(server, batch):
    async def body(lab):
        net = await lab.model([4, 3, 1], seed=1)
        losses = await asyncio.gather(*((net.gradients(*batch)) for _ in range(50)))
        assert len({g.loss for g in losses}) == 1

    in_lab(server.address, body)


def test_closing_a_run_stops_it(server, batch):
    async def body(lab):
        net = await lab.model([4, 8, 1], learning_rate=1e-9)
        run = net.train(*batch, steps=50_000_000)
        async for step in run:
            if step.step >= 3:
                break
        await run.aclose()
        assert not (await net.info()).training
        assert run.outcome.reason == "stopped"
        assert net.history.steps[-1] == await net.step < 50_000_000
        one = net.train(*batch, steps=2)
        assert (await one.__anext__()).step == net.history.outcomes[-1].step + 1
        await one.aclose()

    in_lab(server.address, body)


def test_cancelling_a_task_stops_its_run(server, batch):
    async def body(lab):
        net = await lab.model([4, 8, 1], learning_rate=1e-9)
        task = asyncio.create_task(net.fit(*batch, steps=50_000_000))
        async for change in net.watch():
            if change.kind == "step":
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not (await net.info()).training
        assert await net.stop() == await net.step

    in_lab(server.address, body)


def test_failures_are_repeated_and_told_alike():
    requests = []

    def train(request, context):
        requests.append(request.request_id)
        if len(requests) == 1:
            yield from (started(), progress(1, 2))
            refuse(context, "UNAVAILABLE")
        yield from (started(step=1, planned=3, resumed=1), progress(2, 3, 4), completed())

    soon = details("QUEUE_FULL", delay=0.01)

    async def body(lab):
        net = await lab.model([2, 1])
        await net.fit(X, Y, steps=4)
        assert net.history.steps.tolist() == [1, 2, 3, 4]
        with pytest.raises(bp.QueueFull):
            await net.predict(X)
        with pytest.raises(bp.WrongServer, match=r"is backpropd 9\.9\.9 and has no Gradients"):
            await net.gradients(X, Y)
        await lab.close()
        with pytest.raises(bp.Error, match="closed"):
            await net.info()

    with Fake(TrainBatch=train, Predict=failing(9, "RESOURCE_EXHAUSTED", soon)) as fake:
        in_lab(fake.address, body)
        assert fake.calls.count("Predict") == 2
    assert requests[0] == requests[1]


def test_no_server_is_told():
    with Fake() as fake:
        address = fake.address
    with pytest.raises(bp.Unreachable, match="does not answer"):
        in_lab(address, None)


def test_nothing_connected_is_pickled(server):
    import pickle

    async def body(lab):
        with pytest.raises(TypeError, match="bp.connect"):
            pickle.dumps(lab)
        net = await lab.model([2, 1])
        assert "2-1" in repr(net)
        assert "Lab(" in repr(lab)
        assert "2-1" not in net._repr_html_()
        run = net.train([[1.0, 2.0]], [[1.0]])
        for connected in (net, await net.gradients([[1.0, 2.0]], [[1.0]]), run):
            with pytest.raises(TypeError, match="holds a connection"):
                pickle.dumps(connected)
        await run.finish()
        with pytest.raises(bp.Error, match="have been read"):
            aiter(run)
        with pytest.raises(bp.NotFound):
            await (await _deleted(net)).save("never.safetensors")
        with pytest.warns(RuntimeWarning, match="takes no step"):
            net.train([[1.0, 2.0]], [[1.0]])

    in_lab(server.address, body)


async def _deleted(net):
    await net.delete()
    return net


def test_a_comparison_network_and_a_session_by_name(server, batch):
    async def body(lab):
        compare = {"access": "compare_only", "compare": batch, "compare_tolerance": 1e-6}
        net = await lab.model([4, 3, 1], seed=9, name="c", parameters=None, **compare)
        assert not (await net.grade_gradients(*batch, delta=batch[1])).is_right
        async with await bp.aio.connect(server.address, session=lab.session) as again:
            assert (await again.network("c")).name == net.name
        with pytest.raises(bp.AlreadyExists):
            await lab.model([1, 1], name="c")

    in_lab(server.address, body)


def test_the_end_of_a_process_of_tasks_closes_its_runs(server, batch):
    """A loop that is left without a word is closed by the event loop."""

    async def body(lab):
        net = await lab.model([4, 8, 1], learning_rate=1e-9)
        async for _ in net.train(*batch, steps=50_000_000):
            break
        while not net.history.outcomes:
            await asyncio.sleep(0.001)
        assert not (await net.info()).training

    in_lab(server.address, body)
