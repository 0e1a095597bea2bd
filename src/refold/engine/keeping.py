"""Decoded blocks that stay in memory from one sweep over a cube to the next, as many as a budget allows.

A block is what a sweep lends its visitors. Whoever holds one keeps the buffer it lies in, so keeping costs no copy: the
worker borrows a fresh buffer for its next block.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import n_features, n_pixels
from refold.engine.block import Block, Where, row_dtype
from refold.engine.reading import BlockReader, CubeReader
from refold.planning import Grid

_SMALL = np.dtype(np.uint16).itemsize


class Kept:
    """What several sweeps over one cube read from: the cube at first, and then what is kept of it.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory, navigation dims first.
    grid : Grid
        How it is cut, in every sweep.
    memory : int
        Bytes of blocks to keep; 0 keeps none, as for partitions that run in other processes.

    Notes
    -----
    Kept is `Block.numbers`: what visitors see as `Block.data` has that dtype from the second sweep on. What a sweep
    finds does not depend on what is kept.

    Examples
    --------
    >>> import dask.array as da, refold
    >>> from refold.engine.layout import plan_grid
    >>> from refold.engine.progress import Progress
    >>> cube = refold.as_cube(da.ones((4, 4, 8), chunks=(2, 4, 8)), signal="energy")
    >>> kept, told = Kept(cube, plan_grid(cube), memory=10_000), Progress()
    >>> for _ in range(3):
    ...     (moments,) = refold.sweep(cube, refold.Moments(), kept=kept, progress=told)
    >>> told.tally.chunks_read, kept.nbytes
    (2, 1024)
    """

    def __init__(self, cube: xr.DataArray, grid: Grid, memory: int) -> None:
        self.cube = cube
        self.grid = grid
        self.memory = memory
        self._reader = CubeReader(cube, grid)
        self._blocks: dict[int, npt.NDArray[Any]] = {}
        self._lock = threading.Lock()
        self._held = 0

    @property
    def nbytes(self) -> int:
        """Bytes of blocks held at present."""
        return self._held

    @property
    def whole(self) -> bool:
        """Whether nothing is read after the first sweep: all of the cube can be kept, or was in memory before."""
        dtype = self.cube.dtype
        small = dtype.kind in "iu" and dtype.itemsize <= _SMALL
        if self.cube.chunks is None and (small or dtype == row_dtype(dtype)):
            return True
        itemsize = (dtype if small else row_dtype(dtype)).itemsize
        return n_pixels(self.cube) * n_features(self.cube) * itemsize <= self.memory

    def partition(self, index: int) -> BlockReader:
        """The reader of one partition."""
        return _KeepingReader(self, index) if self.memory else self._reader.partition(index)

    def held(self, block: int) -> npt.NDArray[Any] | None:
        """The numbers of a block, if it is kept."""
        return self._blocks.get(block)

    def read(self, partition: int) -> BlockReader:
        """A reader of the cube itself."""
        return self._reader.partition(partition)

    def offer(self, index: int, block: Block) -> None:
        """Keep a block, if it fits."""
        numbers = block.numbers.reshape(block.data.shape)
        theirs = self.cube.chunks is None and np.may_share_memory(numbers, block.data)
        cost = 0 if theirs else numbers.nbytes
        with self._lock:
            if self._held + cost > self.memory:
                return
            self._held += cost
        self._blocks[index] = numbers


class _KeepingReader:
    """Hands out what is kept, reads the rest, and offers it to be kept."""

    def __init__(self, kept: Kept, partition: int) -> None:
        self.kept = kept
        self.index = partition
        self._reader: BlockReader | None = None

    def __call__(self, index: int) -> tuple[Block, Where, int]:
        """Read a block."""
        numbers = self.kept.held(index)
        if numbers is not None:
            where = Where(tuple(slice(*bounds) for bounds in self.kept.grid.block(index)), self.kept.grid.shape)
            return Block(numbers, len(where.slices)), where, 0
        if self._reader is None:
            self._reader = self.kept.read(self.index)
        block, where, reads = self._reader(index)
        self.kept.offer(index, block)
        return block, where, reads
