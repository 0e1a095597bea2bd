"""The sweep: one traversal of a cube, many visitors.

A partition is one task. It walks its blocks in order and updates one state for each visitor in place, so that a
4096 x 4096 scatter matrix is made once for each partition and not once for each block. States are joined along a
binary tree that depends on the number of partitions alone, which makes the result bitwise the same on one thread, on
many, and on many processes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from refold.cube import check_cube, n_features, navigation_dims
from refold.engine.block import Scratch, row_dtype
from refold.engine.progress import Progress
from refold.engine.reading import BlockReader, CubeReader
from refold.engine.settings import Settings, current_settings, n_cores
from refold.engine.visitor import AnyVisitor
from refold.planning import Grid, lay_out

States = list[Any]


def plan_grid(cube: xr.DataArray, *visitors: AnyVisitor, memory: int | str | None = None, workers: int | None = None) -> Grid:
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

    Returns
    -------
    Grid
        Blocks and partitions.

    Raises
    ------
    MemoryBudgetError
        If not even one pixel and the visitors' states fit.

    Examples
    --------
    >>> import dask.array as da, refold
    >>> cube = refold.as_cube(da.zeros((64, 64, 128), chunks=(16, 16, 128)), signal="energy")
    >>> plan_grid(cube, memory="4MB", workers=2).counts
    (4, 2)
    """
    cube = check_cube(cube)
    budget = current_settings(memory=memory, workers=workers).budget
    state_bytes = sum(getattr(visitor, "nbytes", 0) for visitor in visitors)
    partitions = budget.max_partitions(state_bytes)
    alive = state_bytes * min(partitions, budget.workers + 2)
    chunks = cube.chunks or tuple((size,) for size in cube.shape)
    n_navigation = len(navigation_dims(cube))
    return lay_out(
        [_small(sizes) if cube.chunks is None else sizes for sizes in chunks[:n_navigation]],
        pixel_bytes(cube),
        max(1, budget.block_bytes(alive)),
        min_blocks=2 * budget.workers,
        max_partitions=partitions,
    )


def _small(sizes: Sequence[int]) -> list[int]:
    """A dim of an array in memory has no chunks: any cut is as good, so offer one at every position."""
    return [1] * sum(sizes)


def pixel_bytes(cube: xr.DataArray) -> int:
    """Bytes that one pixel costs while its block is in memory: as it was read, as it is now, and as rows of floats."""
    features = n_features(cube)
    rows = 0 if row_dtype(cube.dtype) == cube.dtype else features * row_dtype(cube.dtype).itemsize
    return features * cube.dtype.itemsize + max(rows, features * 4) + _read_bytes(cube)


def _read_bytes(cube: xr.DataArray) -> int:
    """Bytes of the largest array that the cube is computed from, for each pixel of the cube."""
    if cube.chunks is None:
        return 0
    layers = getattr(cube.data.dask, "layers", {})
    notes = [getattr(layer, "collection_annotations", None) or {} for layer in layers.values()]
    sizes = [np.prod(note["shape"], dtype=float) * np.dtype(note["dtype"]).itemsize for note in notes if "dtype" in note]
    pixels = cube.size / n_features(cube)
    return int(max([cube.nbytes, *sizes]) / pixels)


def sweep(
    cube: xr.DataArray,
    *visitors: AnyVisitor,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    grid: Grid | None = None,
    label: str = "sweep",
) -> tuple[Any, ...]:
    """Traverse a cube once, block by block, and feed every block to all visitors.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory; each of its chunks is computed once.
    *visitors : Visitor
        What looks at the blocks.
    memory : int or str, optional
        Bytes for blocks and states, or a size such as ``"2GB"``; by default a quarter of what is free.
    workers : int, optional
        Partitions in flight; by default one for each core.
    client : distributed.Client, optional
        Run the partitions as tasks there, and not in threads of this process.
    progress : Progress, optional
        Told of every block.
    grid : Grid, optional
        How to cut the cube, from `plan_grid`; made here by default.
    label : str
        What the sweep is for, as shown by the progress bar.

    Returns
    -------
    tuple
        The result of each visitor, in their order; a tuple also for one.

    Raises
    ------
    CubeError
        If it is no cube.
    MemoryBudgetError
        If the memory allowed is too small for a single pixel.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.arange(24.0).reshape(2, 3, 4), signal="energy")
    >>> (moments,) = refold.sweep(cube, refold.Moments())
    >>> moments.mean
    array([10., 11., 12., 13.])
    """
    cube = check_cube(cube)
    setup = current_settings(memory=memory, workers=workers, client=client, progress=progress)
    if grid is None:
        grid = plan_grid(cube, *visitors, memory=setup.memory, workers=setup.workers)
    reader = CubeReader(cube, grid)
    setup.progress.start(label, grid.n_blocks, cube.nbytes)
    try:
        run = _on_client if setup.client is not None else _in_threads
        states = run(reader, visitors, setup, grid.n_partitions)
    finally:
        setup.progress.stop()
    return tuple(visitor.finish(state) for visitor, state in zip(visitors, states, strict=True))


def _walk(
    reader: BlockReader, blocks: range, visitors: Sequence[AnyVisitor], told: Callable[[int, int, int], None] | None = None
) -> States:
    """One partition: its blocks in order, its states in place."""
    states = [visitor.start() for visitor in visitors]
    scratch = Scratch()
    for index in blocks:
        block, where, reads = reader(index, scratch)
        for visitor, state in zip(visitors, states, strict=True):
            visitor.visit(state, block, where)
        if told is not None:
            told(1, block.data.nbytes, reads)
    return states


def _merge(visitors: Sequence[AnyVisitor], one: States, other: States) -> States:
    return [visitor.merge(a, b) for visitor, a, b in zip(visitors, one, other, strict=True)]


def _tree(states: Iterator[Any], merge: Callable[[Any, Any], Any]) -> Any:
    """Join states, taken in order, along a binary tree; only a state for each level is alive."""
    levels: list[tuple[int, Any]] = []
    for state in states:
        levels.append((0, state))
        while len(levels) > 1 and levels[-1][0] == levels[-2][0]:
            (height, one), (_, other) = levels[-2:]
            levels[-2:] = [(height + 1, merge(one, other))]
    while len(levels) > 1:
        (height, one), (_, other) = levels[-2:]
        levels[-2:] = [(height, merge(one, other))]
    return levels[0][1]


@contextmanager
def _blas_threads(n_partitions: int) -> Iterator[None]:
    """Let BLAS use the cores that partitions leave idle; a function of the plan, so that rounding is too."""
    with threadpool_limits(limits=max(1, n_cores() // n_partitions), user_api="blas"):
        yield


def _in_threads(reader: CubeReader, visitors: Sequence[AnyVisitor], setup: Settings, n_partitions: int) -> States:
    """Partitions in threads of this process; at most as many are begun as there are workers."""
    grid = reader.grid
    stopped = False

    def told(blocks: int, n_bytes: int, reads: int) -> None:
        setup.progress.advance(blocks, n_bytes, reads)
        if stopped:
            raise InterruptedError("another partition failed")

    def results(pool: ThreadPoolExecutor) -> Iterator[States]:
        # No further ahead than the workers: a state that waits for its turn in the merge is memory.
        running: list[Future[States]] = []
        for index in range(n_partitions):
            running.append(pool.submit(_walk, reader.partition(index), grid.partition(index), visitors, told))
            if len(running) > setup.n_workers:
                yield running.pop(0).result()
        while running:
            yield running.pop(0).result()

    with _blas_threads(n_partitions), ThreadPoolExecutor(setup.n_workers, thread_name_prefix="refold") as pool:
        try:
            states: States = _tree(results(pool), lambda one, other: _merge(visitors, one, other))
        except BaseException:
            stopped = True
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    setup.progress.ran(2 * n_partitions - 1)
    return states


def _walk_remotely(reader: BlockReader, blocks: range, visitors: Sequence[AnyVisitor], n_partitions: int) -> tuple[States, int]:
    reads = 0

    def told(_: int, __: int, block_reads: int) -> None:
        nonlocal reads
        reads += block_reads

    with _blas_threads(n_partitions):
        return _walk(reader, blocks, visitors, told), reads


def _merge_remotely(visitors: Sequence[AnyVisitor], one: tuple[States, int], other: tuple[States, int]) -> tuple[States, int]:
    # A worker may run a task again when another is lost, so the inputs must stay as they are.
    return _merge(visitors, copy.deepcopy(one[0]), copy.deepcopy(other[0])), one[1] + other[1]


def _on_client(reader: CubeReader, visitors: Sequence[AnyVisitor], setup: Settings, n_partitions: int) -> States:
    """Partitions and merges as tasks of a distributed client: so many, and no others."""
    client, grid = setup.client, reader.grid
    partitions = [
        client.submit(_walk_remotely, reader.partition(index), grid.partition(index), visitors, n_partitions, pure=False)
        for index in range(n_partitions)
    ]
    whole = _tree(iter(partitions), lambda one, other: client.submit(_merge_remotely, visitors, one, other, pure=False))
    block_bytes = reader.cube.nbytes // grid.n_blocks
    for index, partition in enumerate(partitions):
        partition.add_done_callback(
            lambda _, blocks=len(grid.partition(index)): setup.progress.advance(blocks, blocks * block_bytes, 0)
        )
    del partitions
    states, reads = whole.result()
    setup.progress.advance(0, 0, reads)
    setup.progress.ran(2 * n_partitions - 1)
    return list(states)
