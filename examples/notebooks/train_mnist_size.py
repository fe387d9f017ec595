# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train on data of MNIST's size
# 60,000 images of 28 × 28 pixels to train on, 10,000 to test. They are **not MNIST**, which has to be downloaded: each is one of the 1797
# handwritten digits that the server has, 8 × 8 pixels, enlarged, moved and blurred by noise. Copies of a digit are all on one side: the
# 10,000 are made of digits that the network never sees. Accuracies do not compare with MNIST's; sizes and times do.
#
# It needs `backpropd`, numpy, and matplotlib for the plot.

# %%
import time

import backpropd as bp
import numpy as np

lab = bp.local()
digits = lab.open_dataset("datasets/digits")
reader = lab.model([64, 10], loss="cross_entropy", dtype="float32")


def rows(part):
    """The pixels, 0 to 1, and the classes of a part of the digits."""
    g = reader.gradients(part, include=("x", "y"))
    return g.x.reshape(-1, 8, 8), g.y.argmax(axis=1)


training_digits, test_digits = (rows(part) for part in digits.split(0.2, seed=1))


def images(part, count, rng):
    """Images of 28 × 28 pixels from digits of 8 × 8: enlarged three times, moved by up to two pixels, with noise."""
    pixels, classes = part
    chosen = rng.integers(len(pixels), size=count)
    large = np.repeat(np.repeat(pixels[chosen], 3, axis=1), 3, axis=2)
    made = np.zeros((count, 28, 28), np.float32)
    down, right = rng.integers(5, size=(2, count))
    for i in range(5):
        for j in range(5):
            here = (down == i) & (right == j)
            made[here, i : i + 24, j : j + 24] = large[here]
    made += rng.normal(scale=0.1, size=made.shape).astype(np.float32)
    return made.reshape(count, 784).clip(0, 1), classes[chosen]


rng = np.random.default_rng(1)
x, y = images(training_digits, 60_000, rng)
x_test, y_test = images(test_digits, 10_000, rng)
print(x.shape, x.dtype, f"{x.nbytes / 1e6:.0f} MB")
assert x.shape == (60_000, 784) and x.nbytes == 188_160_000

# %% [markdown]
# ## To the server, once
# A dataset goes up in pieces, and calls name it instead of sending it.

# %%
started = time.perf_counter()
training, test = lab.dataset(x, y, name="large"), lab.dataset(x_test, y_test, name="large-test")
print(f"uploaded in {time.perf_counter() - started:.2f} s: {training.rows} × {training.features}, {training.classes} classes")
assert (training.rows, test.rows) == (60_000, 10_000)

# %% [markdown]
# ## Train
# 784-128-10 in float32, Adam, 128 images a step.

# %%
net = lab.model([784, 128, 10], loss="cross_entropy", bias=True, dtype="float32", optimizer="adam", seed=1)
started = time.perf_counter()
history = net.fit(training, epochs=6, batch_size=128, shuffle_seed=1, held_out=test, keep_best=True, metrics_every=10)
seconds = time.perf_counter() - started
print(f"{history.outcomes[-1].steps_done} steps in {seconds:.1f} s, {6 * 60_000 / seconds:,.0f} images a second")
for figures in history.held_out:
    print(f"epoch {figures.epoch}: loss {figures.loss:.4f}, accuracy {figures.accuracy:.2%}")
assert history.outcomes[-1].steps_done == 6 * 469

# %%
axes = history.plot()

# %% [markdown]
# ## What does it confuse?
# A row for each true digit, a column for each predicted one.

# %%
evaluation = net.evaluate(test, confusion_matrix=True)
print(f"accuracy {evaluation.accuracy:.2%}")
print(evaluation.confusion_matrix)
assert evaluation.accuracy > 0.95
assert evaluation.confusion_matrix.sum() == 10_000
predicted = net.predict_classes(x_test)
assert (predicted == y_test).mean() == evaluation.accuracy

# %% [markdown]
# ## The same bits again
# The same seed, data and calls give the same network, on one kind of processor.

# %%
again = lab.model([784, 128, 10], loss="cross_entropy", bias=True, dtype="float32", optimizer="adam", seed=1)
again.fit(training, epochs=1, batch_size=128, shuffle_seed=1)
once_more = lab.model([784, 128, 10], loss="cross_entropy", bias=True, dtype="float32", optimizer="adam", seed=1)
once_more.fit(training, epochs=1, batch_size=128, shuffle_seed=1)
assert again.info().weights_digest == once_more.info().weights_digest
