"""Sums and means over windows: what `rebin` does to a block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from refold.prepare.kernels import adding_order, window_sums
from refold.prepare.steps import as_numbers
from refold.prepare.tiles import Bench, flat, read_only, starts

Array = npt.NDArray[Any]
How = Literal["sum", "mean"]
_LONGEST_ROW = 4096  # values of a sum that is folded afterwards: in the first cache


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
    over: ClassVar[None] = None

    factors: tuple[int, ...]
    adding: np.dtype[Any]
    dtype: np.dtype[Any]
    how: How

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
        from refold.prepare.compiled import divide  # numba costs more to import than this package

        if self.how == "sum":
            self._sum_into(as_numbers(tile), out, bench)
            return
        total = bench.get("total", out.shape, self.adding)
        self._sum_into(as_numbers(tile), total, bench)
        divide(total.reshape(-1), self._count, out.reshape(-1))

    @property
    def _count(self) -> Any:
        return self.adding.type(math.prod(self.factors))

    def _sum_into(self, tile: Array, out: Array, bench: Bench) -> None:
        """Add along one dim and fold the last while the tile is read; then add along the others, in their order."""
        from refold.prepare.compiled import add_windows

        first, others = self._passes()
        values = self._read(tile, first, bench, None if others else out)
        for count, axis in enumerate(others, start=1):
            shape, inner = list(values.shape), math.prod(values.shape[axis + 1 :])
            windows = values.reshape(-1, self.factors[axis], inner)
            shape[axis] //= self.factors[axis]
            values = out if count == len(others) else bench.get(("windows", count % 2), shape, self.adding)
            add_windows(read_only(windows), values.reshape(-1, inner))

    def _passes(self) -> tuple[int | None, list[int]]:
        """Dims to add along, one a pass; none in the first, where the last dim must be folded before that."""
        last = len(self.factors) - 1
        axes = [axis for axis in adding_order(last + 1) if axis != last and self.factors[axis] > 1]
        if not axes or (self.factors[last] > 1 and axes[0] != last - 1):
            return None, axes
        return axes[0], axes[1:]

    def _read(self, tile: Array, axis: int | None, bench: Bench, out: Array | None) -> Array:
        """Make the first pass, over a tile as it lies in memory."""
        from refold.prepare.compiled import add_runs

        factor, fold = 1 if axis is None else self.factors[axis], self.factors[-1]
        shape, steps = list(tile.shape), [stride // tile.itemsize for stride in tile.strides]
        step = 0 if axis is None else steps[axis]
        outer, width = tile.ndim - 1, shape[-1]
        while outer - 1 > (-1 if axis is None else axis) and self._joins(steps[outer - 1], width, shape[outer - 1]):
            outer -= 1
            width *= shape[outer]
        if axis is not None:
            shape[axis] //= factor
            steps[axis] *= factor
        begins = starts(tuple(shape[:outer]), tuple(steps[:outer]))
        shape[-1] //= fold
        total = bench.get(("windows", 0), shape, self.adding) if out is None else out
        row = bench.get("row", (width if fold > 1 else 0,), self.adding)
        add_runs(flat(tile), begins, step, factor, fold, row, total.reshape(len(begins), -1))
        return total

    def _joins(self, step: int, width: int, size: int) -> bool:
        """Whether a dim's positions follow each other in memory, and may be added in one go."""
        return step == width and (self.factors[-1] == 1 or width * size <= _LONGEST_ROW)
