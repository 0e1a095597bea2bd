"""The pixels that a network learns from, in batches: blocks in a drawn order, rows shuffled as far as memory goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import n_features, n_pixels
from refold.engine import Block, Where, current_settings, pixel_keys, plan_grid
from refold.engine.buffers import Lender, lending
from refold.engine.keeping import Kept
from refold.planning.networks import streams
from refold.reduce.neural.coding import Standard

Rows = npt.NDArray[np.float32]

_KEPT, _READ, _POOL = 4, 4, 8  # shares of the memory: blocks kept, a block on its way, each of two pools


@dataclass(frozen=True)
class Split:
    """Which pixels a network learns from, and which judge it: a function of their index and the seed alone.

    Parameters
    ----------
    fraction : float
        Share of the pixels that judge.
    seed : int
        Another seed, other pixels.

    Examples
    --------
    >>> split = Split(0.25, seed=1)
    >>> bool((split.judges(np.arange(10))[4:] == split.judges(np.arange(4, 10))).all())
    True
    """

    fraction: float
    seed: int

    def judges(self, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether pixels, by their flat index, are among those that judge.

        `Sample` draws pixels of the largest keys, so a sample by the same seed holds as many of these as there is room.
        """
        return np.asarray(pixel_keys(pixels, self.seed) > 1 - self.fraction)


class PixelStream:
    """Batches of pixels as a network is shown them, epoch by epoch.

    Parameters
    ----------
    cube : xarray.DataArray
        What is learnt from.
    standard : Standard
        What the network is shown of a row.
    split : Split
        Pixels that judge are left out.
    batch : int
        Rows of a batch.

    Notes
    -----
    Where all pixels fit in half of the memory they are read once. Else an epoch reads the blocks in an order drawn for
    it, as many at a time as an eighth of the memory holds, while the network learns from those before; a quarter of the
    memory keeps blocks from one epoch to the next. Rows are shuffled among those that are in memory together, by a key
    of their pixel, so that neither blocks nor chunks matter where all are.
    """

    def __init__(self, cube: xr.DataArray, standard: Standard, split: Split, batch: int) -> None:
        self.standard, self.split, self.batch = standard, split, batch
        self.cube = cube
        self._progress = current_settings().progress
        memory = current_settings().budget.memory
        self.whole = not streams(n_pixels(cube), n_features(cube), memory)
        # Read here, by one thread: the sweeps' own threads are idle, and the network takes the cores.
        grid = replace(plan_grid(cube, memory=memory // _READ, workers=1), n_partitions=1)
        self.kept = Kept(cube, grid, 0 if self.whole else memory // _KEPT)
        self._pool_rows = max(1, memory // _POOL // (4 * n_features(cube)))
        self._read = self.kept.partition(0)
        self._lender = Lender()
        self._held: tuple[Rows, npt.NDArray[np.int64]] | None = None

    @property
    def n_blocks(self) -> int:
        """Blocks of the cube."""
        return self.kept.grid.n_blocks

    def epoch(self, number: int) -> Iterator[Rows]:
        """Batches of all pixels that are learnt from, each once, but for a last batch of less than half the size.

        Parameters
        ----------
        number : int
            Of the epoch; with the seed it decides on the order.

        Yields
        ------
        numpy.ndarray
            Shape (row, feature), float32.
        """
        seed = int(np.random.SeedSequence((self.split.seed, number)).generate_state(1)[0])
        pools = self._whole() if self.whole else self._pools(seed)
        shuffled = ((rows, np.argsort(pixel_keys(pixels, seed), kind="stable")) for rows, pixels in pools)
        yield from batches(shuffled, self.batch)

    def _whole(self) -> Iterator[tuple[Rows, npt.NDArray[np.int64]]]:
        """All pixels; they stay in memory."""
        if self._held is None:
            self._progress.tally.sweeps += 1
            self._held = self._gather(range(self.n_blocks))
        else:
            self._progress.advance(self.n_blocks, self.cube.nbytes, 0)
        yield self._held

    def _pools(self, seed: int) -> Iterator[tuple[Rows, npt.NDArray[np.int64]]]:
        """Pixels of as many blocks as fit, and of the next while these are learnt from."""
        self._progress.tally.sweeps += 1
        order = np.random.default_rng(seed).permutation(self.n_blocks).tolist()
        groups = grouped(order, [math.prod(self._sides(block)) for block in range(self.n_blocks)], self._pool_rows)
        with ThreadPoolExecutor(1, thread_name_prefix="refold-pixels") as ahead:
            coming = ahead.submit(self._gather, groups[0])
            for following in [*groups[1:], None]:
                pool = coming.result()
                if following is not None:
                    coming = ahead.submit(self._gather, following)
                yield pool
                del pool  # not beside the next two

    def _sides(self, block: int) -> list[int]:
        return [stop - start for start, stop in self.kept.grid.block(block)]

    def _gather(self, blocks: Any) -> tuple[Rows, npt.NDArray[np.int64]]:
        """Rows and pixels of some blocks, less what is not valid and what judges."""
        most = sum(math.prod(self._sides(block)) for block in blocks)
        rows, pixels = np.empty((most, n_features(self.cube)), np.float32), np.empty(most, np.int64)
        count = 0
        for index in blocks:
            with lending(self._lender):
                block, where, reads = self._read(index)
                shown, own = learnt_from(block, where, self.standard, self.split)
                n_bytes = block.data.nbytes
                del block
            rows[count : count + len(own)], pixels[count : count + len(own)] = shown, own
            count += len(own)
            del shown
            self._progress.advance(1, n_bytes, reads)
        return rows[:count], pixels[:count]


def learnt_from(block: Block, where: Where, standard: Standard, split: Split) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Rows of a block that a network learns from, as it is shown them, and their pixels."""
    at = np.flatnonzero(block.valid & standard.usable(block.rows) & ~split.judges(where.pixels))
    shown = np.empty((len(at), block.rows.shape[1]), np.float32)
    step = max(1, (1 << 20) // block.rows.shape[1])
    for start in range(0, len(at), step):
        shown[start : start + step] = standard(block.rows[at[start : start + step]])
    return shown, where.pixels[at]


def grouped(order: list[int], sizes: list[int], most: int) -> list[list[int]]:
    """Cut a list of blocks into runs of no more rows than this, or of one block.

    Examples
    --------
    >>> grouped([2, 0, 1, 3], [4, 4, 4, 9], most=8)
    [[2, 0], [1], [3]]
    """
    groups: list[list[int]] = []
    room = 0
    for block in order:
        if not groups or sizes[block] > room:
            groups.append([])
            room = most
        groups[-1].append(block)
        room -= sizes[block]
    return groups


def batches(pools: Iterator[tuple[Rows, npt.NDArray[np.int64]]], size: int) -> Iterator[Rows]:
    """Cut shuffled rows into batches of one size; what one pool leaves over begins the next batch.

    Parameters
    ----------
    pools : iterator of tuple
        Rows, and the order in which to take them.
    size : int
        Rows of a batch.

    Yields
    ------
    numpy.ndarray
        A copy. The last batch may be smaller; where it is less than half as large it is left out, unless it is all.

    Examples
    --------
    >>> rows = np.arange(5, dtype=np.float32)[:, None]
    >>> [len(batch) for batch in batches(iter([(rows, np.arange(5)), (rows, np.arange(5))]), 4)]
    [4, 4, 2]
    """
    rest: Rows | None = None
    some = False
    for rows, order in pools:
        taken = 0
        if rest is not None:
            taken = min(size - len(rest), len(order))
            rest = np.concatenate([rest, rows[order[:taken]]])
            if len(rest) < size:
                continue
            yield rest
            some = True
        edges = range(taken, len(order) + 1, size)
        for start, stop in pairwise(edges):
            yield rows[order[start:stop]]
            some = True
        rest = rows[order[edges[-1] :]]
    if rest is not None and len(rest) and (not some or 2 * len(rest) >= size):
        yield rest
