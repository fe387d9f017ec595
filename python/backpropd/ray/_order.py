"""The order in which a run visits its samples: the server's own, so that a step here has the rows of the same step there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._arrays import Array

_BLOCKS = 1 << 12
"""Blocks of ChaCha8 that are computed at once, of 16 words each."""


def batch_rows(rows: int, batch_size: int | None, seed: int | None, steps: int) -> Iterator[tuple[int, Array]]:
    """The epoch, from 1, and the rows of each of `steps` steps.

    The last step of an epoch is smaller if the size does not divide the number of rows. A step over all rows takes them in
    the given order.
    """
    size = min(max(batch_size or rows, 1), rows)
    per_epoch = -(-rows // size)
    order: Array = np.arange(rows)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if seed is not None and size < rows and place == 0:
            order = shuffled(rows, seed, epoch + 1)
        yield epoch + 1, order[place * size : (place + 1) * size]


def shuffled(rows: int, seed: int, epoch: int) -> Array:
    """The order of an epoch: Durstenfeld's shuffle of 0 … rows − 1 by ChaCha8, keyed by the seed, with the epoch as its stream.

    One draw below (n + 1)(n + 2) … serves several places, as long as that product fits into 32 bits: this is the shuffle of
    the Rust crate rand.
    """
    order = list(range(rows))
    words = _words(seed, epoch)
    # The first place has one choice alone.
    place = 1
    while place < rows:
        bound, last = place + 1, place + 1
        while last < (1 << 32) and bound * (last + 1) < 1 << 32:
            last += 1
            bound *= last
        drawn = _below(bound, words)
        for choices in range(place + 1, last + 1):
            if place == rows:
                break
            drawn, other = divmod(drawn, choices)
            order[place], order[other] = order[other], order[place]
            place += 1
    return np.array(order, np.int64)


def _below(bound: int, words: Iterator[int]) -> int:
    """A number from 0 to bound − 1, by Canon's method on words of 32 bits."""
    high, low = divmod(next(words) * bound, 1 << 32)
    if low > (1 << 32) - bound:
        high += low + (next(words) * bound >> 32) >= 1 << 32
    return high


def _words(seed: int, stream: int) -> Iterator[int]:
    counter = 0
    while True:
        yield from _chacha8(seed, stream, counter).tolist()
        counter += _BLOCKS


def _chacha8(seed: int, stream: int, counter: int) -> Array:
    """The words of the blocks from `counter` on: the key is the seed as 8 little-endian bytes and 24 zeros."""
    blocks = np.arange(counter, counter + _BLOCKS, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    start = np.zeros((16, _BLOCKS), np.uint32)
    start[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    start[4:6] = np.frombuffer(int(seed).to_bytes(8, "little", signed=True), "<u4")[:, None]
    start[12], start[13] = blocks & low, blocks >> np.uint64(32)
    start[14], start[15] = stream & 0xFFFFFFFF, stream >> 32
    state = start.copy()
    for _ in range(4):
        for column in range(4):
            _quarter_round(state, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter_round(state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    words: Array = (state + start).T.reshape(-1)
    return words


def _quarter_round(state: Array, a: int, b: int, c: int, d: int) -> None:
    for into, of, target, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[into] += state[of]
        mixed = state[target] ^ state[into]
        state[target] = (mixed << np.uint32(bits)) | (mixed >> np.uint32(32 - bits))
