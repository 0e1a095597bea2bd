"""The mean of some pixels of a cube in one sweep that reads no block without any of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import Block, Where
from refold.engine.keeping import Kept
from refold.engine.reading import BlockReader
from refold.errors import DataError
from refold.planning import Grid

Weights = npt.NDArray[np.int32]
_ROWS = 4096  # that are doubled in precision at once: a block of all of them would take three times its memory


class SelectedBlocks(Kept):
    """Reads the blocks of a cube that hold a selected pixel, and of the others nothing.

    Parameters
    ----------
    cube : xarray.DataArray
        What is averaged.
    grid : Grid
        How it is cut.
    """

    def __init__(self, cube: xr.DataArray, grid: Grid) -> None:
        super().__init__(cube, grid, memory=0)
        self.touched: frozenset[int] = frozenset()

    def holding(self, weights: Weights) -> SelectedBlocks:
        """The same for one selection; what it takes long to make is shared."""
        blocks = range(self.grid.n_blocks)
        chosen = copy.copy(self)
        chosen.touched = frozenset(
            index for index in blocks if weights[tuple(slice(*bounds) for bounds in self.grid.block(index))].any()
        )
        return chosen

    def partition(self, index: int) -> BlockReader:
        """The reader of one partition; it makes an empty block of one that holds no selected pixel."""
        read = super().partition(index) if not self.touched.isdisjoint(self.grid.partition(index)) else None

        def reader(index: int) -> tuple[Block, Where, int]:
            if read is not None and index in self.touched:
                return read(index)
            where = Where(tuple(slice(*bounds) for bounds in self.grid.block(index)), self.grid.shape)
            return Block(np.empty(0, self.cube.dtype), 1), where, 0

        return reader


@dataclass
class _Sums:
    total: Any = 0.0
    count: int = 0


class MaskedSums:
    """Visitor: the mean signal of some pixels, each as often as it is selected.

    Parameters
    ----------
    weights : numpy.ndarray of int
        Shape of the navigation dims; how often each pixel counts. Blocks without any are not looked at.

    Examples
    --------
    >>> import refold
    >>> cube = refold.as_cube(np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), signal="energy")
    >>> refold.sweep(cube, MaskedSums(np.array([1, 1, 0])))
    (array([2., 3.]),)
    """

    def __init__(self, weights: npt.NDArray[Any]) -> None:
        self.weights: Weights = np.asarray(weights, np.int32)

    def start(self) -> _Sums:
        """Nothing seen yet."""
        return _Sums()

    def visit(self, state: _Sums, block: Block, where: Where) -> None:
        """Add the selected rows."""
        weights = where.pick(self.weights)
        if not weights.any():
            return
        chosen = np.flatnonzero(np.where(block.valid, weights, 0))
        for first in range(0, len(chosen), _ROWS):
            part = chosen[first : first + _ROWS]
            state.total = state.total + weights[part].astype(np.float64) @ block.numbers[part].astype(np.float64)
            state.count += int(weights[part].sum())

    def merge(self, one: _Sums, other: _Sums) -> _Sums:
        """Add."""
        return _Sums(one.total + other.total, one.count + other.count)

    def finish(self, state: _Sums) -> npt.NDArray[np.float64]:
        """The mean.

        Raises
        ------
        DataError
            If no selected pixel has a number in every channel.
        """
        if not state.count:
            raise DataError("selected pixels that hold no numbers", "a valid pixel", "select others as well")
        return np.asarray(state.total / state.count)
