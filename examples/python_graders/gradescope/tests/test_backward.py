"""Grades `backward(x, y, W)` of the hand-in's backward.py, layer by layer."""

import importlib
import signal
import traceback
import unittest

import backpropd as bp
import numpy as np
from gradescope_utils.autograder_utils.decorators import number, weight

SECONDS = 5
"""Time for the student's code. Gradescope's own limit ends the whole grading, and no test is shown."""


def called(x, y, W):
    """What the student's function returns, and why it returns nothing."""

    def expired(*_):
        raise TimeoutError(f"it did not return within {SECONDS} s: does a loop never end?")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(SECONDS)
    try:
        return importlib.import_module("backward").backward(x, y, W), ""
    except BaseException as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("/backward.py")]
        where = f" in line {lines[-1]}" if lines else ""
        return {}, f"backward ended{where} with {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


class TestBackward(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = np.random.default_rng(7)
        x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
        cls.g = bp.local().model([4, 3, 2, 1], seed=11).gradients(x, y)
        cls.dW, cls.problem = called(x.copy(), y.copy(), {layer: W.copy() for layer, W in cls.g.W.items()})

    def check(self, layer):
        if self.problem:
            self.fail(self.problem)
        self.assertIn(layer, self.dW, f"backward returns a dictionary from layers to dW: {layer} is not in it")
        self.g.check(dW={layer: self.dW[layer]})

    @weight(2)
    @number("1")
    def test_dW3(self):
        """dW³"""
        self.check(3)

    @weight(4)
    @number("2")
    def test_dW2(self):
        """dW²"""
        self.check(2)

    @weight(4)
    @number("3")
    def test_dW1(self):
        """dW¹"""
        self.check(1)
