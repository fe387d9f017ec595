"""What the tests of the notebooks share: calls a student's `backward` within a time limit, and checks some layers of what it returns."""

import signal

import backpropd as bp
import numpy as np

SECONDS = 5


def check(backward, *layers, seed=11):
    """Does nothing if dW of these layers is right, and else raises an AssertionError that names the mistake."""
    rng = np.random.default_rng(seed)
    g = bp.local().model([4, 3, 2, 1], seed=seed).gradients(rng.normal(size=(6, 4)), rng.normal(size=(6, 1)))

    def expired(*_):
        raise TimeoutError(f"backward did not return within {SECONDS} s: does a loop never end?")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(SECONDS)
    try:
        dW = backward(g.x.copy(), g.y.copy(), {layer: W.copy() for layer, W in g.W.items()})
    finally:
        signal.alarm(0)
    g.check(dW={layer: dW[layer] for layer in layers})
