"""How a sweep cuts a cube: the memory that blocks, chunks and states cost, and the grid that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube, n_features, n_pixels, navigation_dims
from refold.engine.block import row_dtype
from refold.engine.settings import current_settings
from refold.engine.visitor import AnyVisitor
from refold.errors import MemoryBudgetError
from refold.planning import Grid, format_bytes, lay_out

# Larger blocks gain nothing: they leave the caches, and are copied together from several chunks. That they do not grow
# with the memory that happens to be free also keeps results the same from run to run.
_ENOUGH_BYTES = 64 * 2**20
_WORTH_BYTES = 2**20  # of a block: smaller ones are not made for the sake of idle workers


def plan_grid(
    cube: xr.DataArray,
    *visitors: AnyVisitor,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
) -> Grid:
    """Decide how a sweep would cut a cube: pure arithmetic, nothing is read.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory.
    *visitors : Visitor
        Those of the sweep; the size of their states counts.
    memory : int or str, optional
        Bytes for the sweep's data, or a size such as ``"2GB"``.
    workers : int, optional
        Partitions in flight.
    client : distributed.Client, optional
        Whose threads are the workers, where their number is not given.

    Returns
    -------
    Grid
        Blocks and partitions.

    Raises
    ------
    MemoryBudgetError
        If the visitors' states, a chunk as it is read, and one pixel do not fit.

    Examples
    --------
    >>> import dask.array as da, refold
    >>> cube = refold.as_cube(da.zeros((64, 64, 128), chunks=(16, 16, 128)), signal="energy")
    >>> plan_grid(cube, memory="10MB", workers=2).counts
    (4, 1)
    """
    cube = check_cube(cube)
    budget = current_settings(memory=memory, workers=workers, client=client).budget
    state_bytes = summing_bytes(visitors, 1, 1)
    partitions = budget.max_partitions(state_bytes)
    alive = summing_bytes(visitors, partitions, budget.workers)
    read = chunk_bytes(cube)
    allowed = budget.block_bytes(alive, read)
    if not allowed:
        raise MemoryBudgetError(
            f"{format_bytes(alive)} of sums and {budget.workers} chunks that take {format_bytes(read)} each to read",
            f"at most {format_bytes(budget.memory)}",
            "allow more memory, use fewer workers, or store the scan in smaller chunks with refold convert",
        )
    n_navigation = len(navigation_dims(cube))
    worth = n_pixels(cube) * pixel_bytes(cube) // _WORTH_BYTES
    chunks = cube.chunks or [_small(size) for size in cube.shape]
    return lay_out(
        chunks[:n_navigation],
        pixel_bytes(cube),
        allowed,
        enough_bytes=max(_ENOUGH_BYTES, state_bytes),
        min_blocks=max(1, min(2 * budget.workers, worth)),
        max_partitions=partitions,
    )


def _small(size: int) -> Sequence[int]:
    """A dim of an array in memory has no chunks: any cut is as good, so offer one at every position."""
    return [1] * size


def summing_bytes(visitors: Sequence[AnyVisitor], partitions: int, workers: int) -> int:
    """Bytes of all states that exist at once, and of what each worker takes while it adds to one."""
    states = sum(getattr(visitor, "nbytes", 0) for visitor in visitors)
    working = sum(getattr(visitor, "working_nbytes", 0) for visitor in visitors)
    return int(states * states_alive(partitions, workers) + workers * working)


def states_alive(partitions: int, workers: int) -> int:
    """States that exist at once: those being made or waiting for their turn, and one for each level of the merge."""
    return min(partitions, 2 * workers + math.ceil(math.log2(partitions)) + 1)


def pixel_bytes(cube: xr.DataArray) -> int:
    """Bytes that one pixel costs while its block is in memory: as it is, and as rows of floats or a copy of them."""
    return n_features(cube) * (cube.dtype.itemsize + row_dtype(cube.dtype).itemsize)


def chunk_bytes(cube: xr.DataArray) -> int:
    """Bytes that computing one chunk of a lazy cube takes: the largest array on the way, of a chunk's size or more."""
    if cube.chunks is None:
        return 0
    layers = getattr(cube.data.dask, "layers", {})
    notes = [getattr(layer, "collection_annotations", None) or {} for layer in layers.values()]
    largest = math.prod(max(sizes) for sizes in cube.chunks)
    sizes = [
        max(largest, math.prod(max(sizes) for sizes in note["chunks"])) * np.dtype(note["dtype"]).itemsize
        for note in notes
        if {"chunks", "dtype"} <= note.keys()
    ]
    return int(max([largest * cube.dtype.itemsize, *sizes]))


def working_bytes(cube: xr.DataArray, grid: Grid) -> int:
    """Bytes that one worker holds in a sweep, states apart: the largest block, and a chunk on its way there."""
    return grid.block_pixels * pixel_bytes(cube) + chunk_bytes(cube)
