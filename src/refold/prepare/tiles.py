"""Tiles: how a block is walked so that what is made of it stays in the second cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine.buffers import empty

Array = npt.NDArray[Any]
Place = tuple[slice, ...]
_CACHE = 1 << 21  # bytes of what is held of a tile: a second cache, and long beside a call from Python and its lock


def tiles(windows: Sequence[int], whole: int, nbytes: float) -> Iterator[Place]:
    """Cut a block into tiles that lie one after the other in a C-ordered result.

    Parameters
    ----------
    windows : sequence of int
        Shape of the result.
    whole : int
        How many of the last dims are not cut.
    nbytes : float
        Bytes that are held meanwhile for one value of the result.

    Yields
    ------
    tuple of slice
        Where the tile lies in the result.

    Examples
    --------
    >>> list(tiles((2, 3), whole=1, nbytes=2**19))
    [(slice(0, 1, None), slice(0, 3, None)), (slice(1, 2, None), slice(0, 3, None))]
    """
    free = len(windows) - whole
    sides = [1] * free + list(windows[free:])
    for axis in reversed(range(free)):
        room = int(_CACHE // (nbytes * math.prod(sides)))
        sides[axis] = max(1, min(windows[axis], room))
        if sides[axis] < windows[axis]:
            break
    ranges = [
        [slice(start, min(start + side, size)) for start in range(0, size, side)]
        for side, size in zip(sides, windows, strict=True)
    ]
    yield from product(*ranges)


class Bench:
    """Room for the forms of a tile, used again for the next one."""

    def __init__(self) -> None:
        self._room: dict[Any, Array] = {}

    def get(self, place: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """Hand out the room at a place; its contents are whatever was left there."""
        needed = math.prod(shape) * dtype.itemsize
        if place not in self._room or self._room[place].nbytes < needed:
            self._room[place] = empty((needed,), np.uint8)
        return self._room[place][:needed].view(dtype).reshape(shape)


def flat(values: Array) -> Array:
    """Lay all values from the first to the last in memory in a row, read only; the last dim must be contiguous."""
    if values.flags.c_contiguous:
        return values.reshape(-1)
    size = values.dtype.itemsize
    length = 1 + sum((n - 1) * (s // size) for n, s in zip(values.shape, values.strides, strict=True))
    return np.lib.stride_tricks.as_strided(values, (length,), (size,), writeable=False)


def is_row_wise(values: Array) -> bool:
    """Whether `flat` can lay the values in a row: as a file has them, or cropped from such."""
    size = values.dtype.itemsize
    regular = all(n == 1 or (s > 0 and s % size == 0) for n, s in zip(values.shape, values.strides, strict=True))
    return regular and (values.shape[-1] == 1 or values.strides[-1] == size)


def starts(shape: Sequence[int], steps: Sequence[int]) -> npt.NDArray[np.int64]:
    """Find where the positions of a grid lie in memory, in C order, counted in values from its first."""
    places = np.zeros((1,), np.int64)
    for size, step in zip(shape, steps, strict=True):
        places = (places[:, None] + np.arange(size, dtype=np.int64) * step).ravel()
    return read_only(places)


def read_only(values: Array) -> Array:
    """View values so that a compiled loop meets one type of them, whosever they are."""
    values = values.view()
    values.flags.writeable = False
    return values
