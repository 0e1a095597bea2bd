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
from refold.prepare.tiles import Bench, Place, is_row_wise, read_only, tiles

Array = npt.NDArray[Any]
_WORTH_COMPILING = 1 << 18  # values; below that NumPy is as fast as the call
_LONGEST = 8  # caches full of source in a tile, where nothing is held between reading and writing


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
        out = empty(windows, self.dtype)
        walk = _Walk(self, read_only(block), masks, out)
        for place in tiles(windows, max(1, *(step.whole for step in self.steps)), self._room(block, factors)):
            walk.take(place)
        return out

    def _in_numpy(self, block: Array, masks: Sequence[Array]) -> Array:
        for step in self.steps:
            n_masks = step.over is not None
            block, masks = step(block, *masks[:n_masks]), masks[n_masks:]
        return block

    def _room(self, block: Array, factors: list[tuple[int, ...]]) -> float:
        """Bytes that are held meanwhile, between reading the source and writing the result, for a value of that."""
        made = [math.prod(factors[-1]) / math.prod(after) for after in factors]
        held = sum(size * step.dtype.itemsize for size, step in zip(made[1:-1], self.steps, strict=False))
        held += sum(size * step.room for size, step in zip(made[1:], self.steps, strict=True))
        read = made[0] * self.source.itemsize
        copied = not _is_readable(block, self.steps[0])
        return max(held + read * copied, read / _LONGEST)


class _Walk:
    """One block on its way through a chain; what all its tiles share is made once, for a tile takes microseconds."""

    def __init__(self, chain: Chain, block: Array, masks: Sequence[Array], out: Array) -> None:
        self.steps, self.block, self.out, self.bench = chain.steps, block, out, Bench()
        *before, total = chain.factors(block.ndim)
        self.scales = [tuple(n // part for n, part in zip(total, parts, strict=True)) for parts in before]
        left = iter(masks)
        self.masks = [None if step.over is None else next(left) for step in chain.steps]
        self.rooms: dict[tuple[int, ...], list[tuple[Array, Array]]] = {}

    def take(self, place: Place) -> None:
        """Take the tile at a place of the result through all steps, the last of which writes it there."""
        target = self.out[place]
        rooms = self.rooms.get(target.shape)
        if rooms is None:
            rooms = self.rooms[target.shape] = self._rooms(target.shape)
        values = _readable(self.block[_scaled(place, self.scales[0])], self.steps[0], self.bench)
        for step, scale, mask, (room, seen) in zip(self.steps, self.scales, self.masks, rooms, strict=False):
            self._do(step, values, room, scale, mask, place)
            values = seen
        self._do(self.steps[-1], values, target, self.scales[-1], self.masks[-1], place)

    def _rooms(self, shape: tuple[int, ...]) -> list[tuple[Array, Array]]:
        """Where the steps but the last put a tile, to be written and to be read."""
        rooms = []
        for count, (step, scale) in enumerate(zip(self.steps[:-1], self.scales[1:], strict=True)):
            room = self.bench.get((count % 2, step.dtype, shape), _times(shape, scale), step.dtype)
            rooms.append((room, read_only(room)))
        return rooms

    def _do(
        self, step: Step, values: Array, out: Array, scale: tuple[int, ...], mask: Array | None, place: Place
    ) -> None:
        own = () if mask is None else (_part(mask, _scaled(place, scale)),)
        if is_compiled(values.dtype) and is_compiled(step.dtype):
            step.into(values, out, self.bench, *own)
        else:
            out[...] = step(values, *own)


def _times(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a * b for a, b in zip(one, other, strict=True))


def _scaled(place: Place, scale: tuple[int, ...]) -> Place:
    """Where a tile of the result lies in what a step gets."""
    return tuple(slice(part.start * n, part.stop * n) for part, n in zip(place, scale, strict=True))


def _part(mask: Array, place: Place) -> Array:
    """The part of a mask that lies over a tile."""
    return mask[tuple(part if size > 1 else slice(None) for part, size in zip(place, mask.shape, strict=True))]


def _is_readable(tile: Array, step: Step) -> bool:
    """Whether a step can read a tile as it lies."""
    return tile.dtype.isnative and (tile.flags.c_contiguous or (step.reads_rows and is_row_wise(tile)))


def _readable(tile: Array, step: Step, bench: Bench) -> Array:
    """Copy a tile of the source if the first step cannot read it as it lies; it stays in cache."""
    if _is_readable(tile, step):
        return tile
    copy = bench.get("source", tile.shape, tile.dtype.newbyteorder("="))
    copy[...] = tile
    return read_only(copy)
