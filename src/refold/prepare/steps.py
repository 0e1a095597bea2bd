"""What a preparing step is to a task: a form for whole blocks in NumPy, and one for tiles, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from refold.prepare.tiles import Bench

Array = npt.NDArray[Any]


class Step(Protocol):
    """One step on the values; picklable, and the same for every block.

    Parameters
    ----------
    name : str
        What people call it.
    """

    name: ClassVar[str]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        ...

    @property
    def whole(self) -> int:
        """How many of the last dims it must see whole."""
        ...

    @property
    def room(self) -> float:
        """Bytes that it holds meanwhile for each value of its result."""
        ...

    @property
    def reads_rows(self) -> bool:
        """Whether it reads tiles as they lie in memory, so long as their last dim is contiguous."""
        ...

    @property
    def over(self) -> tuple[bool, ...] | None:
        """Along which dims its mask has positions of its own, if it takes one; along the others that is of size 1."""
        ...

    def factors_of(self, ndim: int) -> tuple[int, ...]:
        """By how much it shortens each dim."""
        ...

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Do it to a block, in NumPy: what the compiled form is held against."""
        ...

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Do it to a tile, compiled; ``tile`` is read only, and both are of types that `is_compiled` knows.

        Both are contiguous, except the tile of a step that reads rows.
        """
        ...


class ValueStep:
    """A step that leaves the shape as it is."""

    reads_rows: ClassVar[bool] = False
    room: ClassVar[float] = 0.0

    @property
    def whole(self) -> int:
        """Take the values one by one."""
        return 0

    @property
    def over(self) -> tuple[bool, ...] | None:
        """Take no mask."""
        return None

    def factors_of(self, ndim: int) -> tuple[int, ...]:
        """Shorten nothing."""
        return (1,) * ndim


def is_compiled(dtype: np.dtype[Any]) -> bool:
    """Whether compiled loops know a type: Numba has no half floats and no longer ones than doubles."""
    return dtype.isnative and (dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize in (4, 8)))


def as_numbers(values: Array) -> Array:
    """View booleans as the 0 and 1 that they are."""
    return values.view(np.uint8) if values.dtype.kind == "b" else values


def as_rows(values: Array, n_signal: int) -> Array:
    """View a contiguous tile as pixels x channels."""
    channels = int(np.prod(values.shape[values.ndim - n_signal :], dtype=int))
    return values.reshape(-1, channels)


def broadcast_flat(values: Array, shape: Sequence[int]) -> Array:
    """Spread values over a shape, in a row."""
    return np.ascontiguousarray(np.broadcast_to(values, tuple(shape)).ravel())


@lru_cache(maxsize=2)
def logarithms(dtype: np.dtype[Any]) -> Array:
    """Tabulate log(1 + n) for the whole numbers of 16 bits, as NumPy gives it."""
    table = np.arange(1 << 16, dtype=dtype)
    np.log1p(table, out=table)
    table.flags.writeable = False
    return table
