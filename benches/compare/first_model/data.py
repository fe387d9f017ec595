"""Data of MNIST's size, made from the digits of `data/`, for nothing can be downloaded here.

    python data.py FILE.npz

70,000 pictures of 28 × 28 in 8 bits: each is one of the 1,797 digits, enlarged, moved by up to 3 pixels, in another brightness,
with noise. The 10,000 of the test are made from digits that the 60,000 of the training are not made from.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

DIGITS = Path(__file__).resolve().parents[3] / "data/digits.csv.gz"


def pictures(random, digits, count):
    chosen = random.integers(len(digits), size=count)
    large = digits[chosen, :64].reshape(count, 8, 8).repeat(3, axis=1).repeat(3, axis=2) / 16
    canvas = np.zeros((count, 28, 28))
    # 24 × 24 pixels at one of 5 × 5 places.
    for i, (row, column) in enumerate(random.integers(5, size=(count, 2))):
        canvas[i, row : row + 24, column : column + 24] = large[i]
    canvas *= random.uniform(0.6, 1, size=(count, 1, 1))
    canvas += random.normal(0, 0.1, size=canvas.shape)
    return (canvas.clip(0, 1) * 255).astype(np.uint8).reshape(count, 784), digits[chosen, 64].astype(np.int64)


def main():
    with gzip.open(DIGITS, "rt") as file:
        rows = [line for line in file if line[0].isdigit()]
    digits = np.loadtxt(rows, delimiter=",")
    random = np.random.default_rng(1)
    random.shuffle(digits)
    x_train, y_train = pictures(random, digits[:1500], 60_000)
    x_test, y_test = pictures(random, digits[1500:], 10_000)
    np.savez(sys.argv[1], x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main()
