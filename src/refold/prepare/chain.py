"""Several steps as one task: each tile of a block goes through all of them while it is in cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine.buffers import empty
from refold.prepare.steps import Step, is_compiled
from refold.prepare.tiles import Bench, Tile, is_row_wise, read_only, tiles

Array = npt.NDArray[Any]
_WORTH_COMPILING = 1 << 18  # values; below that NumPy is as fast as the call


@dataclass(frozen=True)
class Chain:
    """What a task of a prepared cube carries: steps, each on what the one before it leaves.

    Parameters
    ----------
    steps : tuple of Step
        In their order.
    source : numpy.dtype
        Of the blocks that come in.
    """

    steps: tuple[Step, ...]
    source: np.dtype[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        return self.steps[-1].dtype

    @property
    def compiled(self) -> bool:
        """Whether compiled loops know all its types."""
        types = [self.source.newbyteorder("="), *(step.dtype for step in self.steps)]
        return all(is_compiled(dtype) for dtype in types)

    def then(self, step: Step) -> Chain:
        """Put one more step at the end."""
        return Chain((*self.steps, step), self.source)

    def factors(self, ndim: int) -> list[tuple[int, ...]]:
        """By how much the dims of the source are shortened before each step, and, last, in all."""
        each = (step.factors_of(ndim) for step in self.steps)
        return list(accumulate(each, _times, initial=(1,) * ndim))

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Take a block through all steps.

        Parameters
        ----------
        block : numpy.ndarray
            Any strides and byte order.
        *masks : numpy.ndarray
            Those of all steps, in their order: of size 1, or as large as what the step gets, along each dim.

        Returns
        -------
        numpy.ndarray
            A new array; the same, bit for bit, whichever way it is made.
        """
        if block.size < _WORTH_COMPILING:
            return self._in_numpy(block, masks)
        factors = self.factors(block.ndim)
        windows = tuple(size // factor for size, factor in zip(block.shape, factors[-1], strict=True))
        out, bench = empty(windows, self.dtype), Bench()
        for tile in tiles(windows, max(1, *(step.whole for step in self.steps)), self._nbytes(factors)):
            place = tuple(slice(*bounds) for bounds in tile)
            self._fill(block, masks, tile, factors, out[place], bench)
        return out

    def _in_numpy(self, block: Array, masks: Sequence[Array]) -> Array:
        for step in self.steps:
            n_masks = step.over is not None
            block, masks = step(block, *masks[:n_masks]), masks[n_masks:]
        return block

    def _nbytes(self, factors: list[tuple[int, ...]]) -> float:
        """Bytes of all forms of one value of the result."""
        sizes = [math.prod(factors[-1]) / math.prod(before) for before in factors]
        dtypes = [self.source, *(step.dtype for step in self.steps)]
        return sum(size * dtype.itemsize for size, dtype in zip(sizes, dtypes, strict=True))

    def _fill(
        self, block: Array, masks: Sequence[Array], tile: Tile, factors: list[tuple[int, ...]], out: Array, bench: Bench
    ) -> None:
        """Take one tile through all steps, the last of which writes into its place in the result."""
        values = _readable(block[_slices(tile, factors[-1], factors[0])], self.steps[0], bench)
        for count, step in enumerate(self.steps, start=1):
            here = _slices(tile, factors[-1], factors[count - 1])
            n_masks = step.over is not None
            own, masks = [_part(mask, here) for mask in masks[:n_masks]], masks[n_masks:]
            shape = [size // factor for size, factor in zip(values.shape, step.factors_of(block.ndim), strict=True)]
            target = out if count == len(self.steps) else bench.get(count % 2, shape, step.dtype)
            if is_compiled(values.dtype) and is_compiled(step.dtype):
                step.into(read_only(values), target, bench, *own)
            else:
                target[...] = step(values, *own)
            values = target


def _times(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a * b for a, b in zip(one, other, strict=True))


def _slices(tile: Tile, total: Sequence[int], before: Sequence[int]) -> tuple[slice, ...]:
    """Where a tile of the result lies in what a step gets."""
    scale = [whole // part for whole, part in zip(total, before, strict=True)]
    return tuple(slice(start * n, stop * n) for (start, stop), n in zip(tile, scale, strict=True))


def _part(mask: Array, here: tuple[slice, ...]) -> Array:
    """The part of a mask that lies over a tile."""
    return mask[tuple(part if size > 1 else slice(None) for part, size in zip(here, mask.shape, strict=True))]


def _readable(tile: Array, step: Step, bench: Bench) -> Array:
    """Copy a tile of the source if the first step cannot read it as it lies; it stays in cache."""
    shortens = any(factor > 1 for factor in step.factors_of(tile.ndim))
    if tile.dtype.isnative and (tile.flags.c_contiguous or (shortens and is_row_wise(tile))):
        return tile
    copy = bench.get("source", tile.shape, tile.dtype.newbyteorder("="))
    copy[...] = tile
    return copy
