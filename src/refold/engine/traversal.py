"""The sweep: one traversal of a cube, many visitors.

A partition is one task. It walks its blocks in order and updates one state for each visitor in place, so that a
4096 x 4096 scatter matrix is made once for each partition and not once for each block. States are joined along a
binary tree that depends on the number of partitions alone, which makes the result bitwise the same on one thread, on
many, and on many processes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import xarray as xr

from refold.cube import check_cube
from refold.engine.buffers import Lender
from refold.engine.keeping import Kept
from refold.engine.layout import plan_grid
from refold.engine.partition import States, blas_threads, merge, merge_tree, walk
from refold.engine.progress import Progress
from refold.engine.reading import CubeReader
from refold.engine.remote import on_client
from refold.engine.settings import Settings, current_settings
from refold.engine.visitor import AnyVisitor
from refold.planning import Grid


def sweep(
    cube: xr.DataArray,
    *visitors: AnyVisitor,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    grid: Grid | None = None,
    kept: Kept | None = None,
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
    kept : Kept, optional
        What to read blocks of this cube from, and keep them in for the next sweep. Its grid is the one that counts.
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
        If the memory allowed is too small, as for `plan_grid`.

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
    if kept is not None:
        grid = kept.grid
    elif grid is None:
        grid = plan_grid(cube, *visitors, memory=setup.memory, workers=setup.workers, client=setup.client)
    reader = CubeReader(cube, grid) if kept is None else kept
    setup.progress.start(label, grid.n_blocks, cube.nbytes)
    try:
        run = _in_threads if setup.client is None else on_client
        states = run(reader, visitors, setup, grid.n_partitions)
    finally:
        setup.progress.stop()
    return tuple(visitor.finish(state) for visitor, state in zip(visitors, states, strict=True))


def _in_threads(
    reader: CubeReader | Kept, visitors: Sequence[AnyVisitor], setup: Settings, n_partitions: int
) -> States:
    """Partitions in threads of this process."""
    grid = reader.grid
    local = threading.local()  # buffers live as long as their thread: fresh ones cost page faults at every partition
    halt = _Halt()

    def told(blocks: int, n_bytes: int, reads: int) -> None:
        setup.progress.advance(blocks, n_bytes, reads)
        halt.check()

    def partition(index: int) -> States:
        local.lender = getattr(local, "lender", None) or Lender()
        with halt.on_error():
            return walk(reader.partition(index), grid.partition(index), visitors, local.lender, told)

    def results(pool: ThreadPoolExecutor) -> Iterator[States]:
        # No further ahead than this: a state that waits for its turn in the merge is memory.
        running: deque[Future[States]] = deque()
        for index in range(n_partitions):
            running.append(pool.submit(partition, index))
            if len(running) >= 2 * setup.n_workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    with blas_threads(n_partitions), ThreadPoolExecutor(setup.n_workers, thread_name_prefix="refold") as pool:
        try:
            with halt.on_error():
                states: States = merge_tree(results(pool), lambda one, other: merge(visitors, one, other))
        except InterruptedError as error:
            if halt.cause is None or halt.cause is error:
                raise
            raise halt.cause from None
        finally:
            pool.shutdown(cancel_futures=True)
    setup.progress.ran(2 * n_partitions - 1)
    return states


class _Halt:
    """The first error of any thread, and the brake for the others, which stop after their block."""

    def __init__(self) -> None:
        self.cause: BaseException | None = None

    @contextmanager
    def on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.cause = self.cause or error
            raise

    def check(self) -> None:
        if self.cause is not None:
            raise InterruptedError("another partition failed")
