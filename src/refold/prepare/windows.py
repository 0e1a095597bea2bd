"""Sums and means over windows: what `rebin` does to a block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from refold.prepare.kernels import adding_order, window_sums
from refold.prepare.steps import as_numbers
from refold.prepare.tiles import Bench, flat, read_only, starts

Array = npt.NDArray[Any]
How = Literal["sum", "mean"]
_LONGEST_ROW = 4096  # values of a sum that is gone through again: in the first cache


@dataclass(frozen=True)
class Windows:
    """Rebin one block.

    Parameters
    ----------
    factors : tuple of int
        Width of the windows along each dim.
    adding, dtype : numpy.dtype
        In which to add, and of the result.
    how : {"sum", "mean"}
        What becomes of the values of a window.
    """

    name: ClassVar[str] = "rebin"
    whole: ClassVar[int] = 0
    reads_rows: ClassVar[bool] = True
    over: ClassVar[None] = None

    factors: tuple[int, ...]
    adding: np.dtype[Any]
    dtype: np.dtype[Any]
    how: How

    @property
    def room(self) -> float:
        """Bytes of what the first pass leaves, for each value of the result; and of sums, before they are divided."""
        _, others = _passes(self.factors, self._exact)
        sums = math.prod(self.factors[axis] for axis in others) * bool(others) + (self.how == "mean")
        return float(sums * self.adding.itemsize)

    def factors_of(self, ndim: int) -> tuple[int, ...]:
        """By how much each dim is shortened."""
        return self.factors

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Sum or average the windows of a block."""
        total = window_sums(block, self.factors, self.adding)
        if self.how == "sum":
            return total.astype(self.dtype, copy=False)
        return np.asarray(total / self._count, self.dtype)

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Sum or average the windows of a tile; its last dim is contiguous."""
        from refold.prepare.compiled import divide, multiply  # numba costs more to import than this package

        if self.how == "sum":
            self._sum_into(as_numbers(tile), out, bench)
            return
        total = bench.get("total", out.shape, self.adding)
        self._sum_into(as_numbers(tile), total, bench)
        count = math.prod(self.factors)
        if count & (count - 1):
            divide(total.reshape(-1), self._count, out.reshape(-1))
        else:  # by a power of two it is the same, and faster
            kind = np.float64 if self._exact else self.adding.type
            multiply(total.reshape(-1), kind(1 / count), out.reshape(-1))

    @property
    def _exact(self) -> bool:
        """Whether sums are of integers, whose order does not matter."""
        return self.adding.kind != "f"

    @property
    def _count(self) -> Any:
        return self.adding.type(math.prod(self.factors))

    def _sum_into(self, tile: Array, out: Array, bench: Bench) -> None:
        """Add and fold the last dim while the tile is read; what order forbids to add then, in its turn."""
        from refold.prepare.compiled import add_runs, add_windows

        reading = _reading(self.factors, self._exact, tile.shape, tile.strides, tile.itemsize)
        shape, others = list(reading.shape), reading.others
        values = bench.get(("windows", 0), shape, self.adding) if others else out
        row = bench.get("row", (reading.row,), self.adding)
        runs = values.reshape(len(reading.starts), -1)
        add_runs(flat(tile), reading.starts, reading.offsets, self.factors[-1], row, runs)
        for count, axis in enumerate(others, start=1):
            inner = math.prod(shape[axis + 1 :])
            windows = values.reshape(-1, self.factors[axis], inner)
            shape[axis] //= self.factors[axis]
            values = out if count == len(others) else bench.get(("windows", count % 2), shape, self.adding)
            add_windows(read_only(windows), values.reshape(-1, inner))


class _Reading(NamedTuple):
    """How a tile is read, once: runs of values that are added, and then folded."""

    starts: npt.NDArray[np.int64]  # of the first run of each sum, from the first value of the tile
    offsets: npt.NDArray[np.int64]  # of the runs of a sum, from the first of them
    row: int  # room for a sum that is to be folded
    shape: tuple[int, ...]  # of what is left
    others: tuple[int, ...]  # dims along which that is added then


@lru_cache(maxsize=16)
def _reading(
    factors: tuple[int, ...], exact: bool, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
) -> _Reading:
    """Work out how tiles of a shape are read: most have the same."""
    axes, others = _passes(factors, exact)
    sizes, steps = list(shape), [stride // itemsize for stride in strides]
    offsets = starts([factors[axis] for axis in axes], [steps[axis] for axis in axes])
    held = factors[-1] > 1 or len(offsets) > 2  # sums are gone through again: keep them in the first cache
    outer, width, inmost = len(shape) - 1, shape[-1], max(axes, default=-1)
    while outer - 1 > inmost and steps[outer - 1] == width and not (held and width * shape[outer - 1] > _LONGEST_ROW):
        outer -= 1
        width *= shape[outer]
    for axis in axes:
        sizes[axis] //= factors[axis]
        steps[axis] *= factors[axis]
    begins = starts(sizes[:outer], steps[:outer])
    sizes[-1] //= factors[-1]
    return _Reading(begins, offsets, width if factors[-1] > 1 else 0, tuple(sizes), others)


def _passes(factors: tuple[int, ...], exact: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the dims to add along as a tile is read, and those to add along afterwards, where their order matters."""
    last = len(factors) - 1
    axes = tuple(axis for axis in adding_order(last + 1) if axis != last and factors[axis] > 1)
    if exact:
        return axes, ()
    if not axes or (factors[last] > 1 and axes[0] != last - 1):
        return (), axes  # the last dim is folded before any is added
    return axes[:1], axes[1:]
