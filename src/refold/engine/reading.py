"""Where blocks come from: a cube in memory is sliced, a Dask graph is optimised once and cut by block.

Cutting the graph, rather than handing Dask one task for each block, is what lets a partition walk its blocks in order
with one set of buffers, and what fuses `prepare` and a user's own lazy arithmetic into the read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from itertools import accumulate, pairwise, product
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask._task_spec import DataNode, Task, convert_legacy_graph
from dask.base import optimize

from refold.engine import buffers
from refold.engine.block import Block, Where
from refold.planning import Grid

Array = npt.NDArray[Any]
Graph = dict[Hashable, Any]
Pieces = dict[int, list[tuple[Hashable, tuple[slice, ...]]]]


class BlockReader(Protocol):
    """Reads the blocks of one partition; it is picklable, and holds no more of the scan than it needs."""

    def __call__(self, index: int) -> tuple[Block, Where, int]:
        """Read a block; the last value is the number of chunks that were read for it."""
        ...


class ArrayReader:
    """Slices a cube that is in memory.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (*navigation, *signal), or only the part of it along the first dim that a partition needs.
    grid : Grid
        How the cube is cut.
    first : int
        Where along the first dim that part begins.
    """

    def __init__(self, values: Array, grid: Grid, first: int = 0) -> None:
        self.values = values
        self.grid = grid
        self.first = first

    def __call__(self, index: int) -> tuple[Block, Where, int]:
        """Hand out a view of the block."""
        (start, stop), *rest = self.grid.block(index)
        here = (slice(start - self.first, stop - self.first), *(slice(*bounds) for bounds in rest))
        where = Where((slice(start, stop), *here[1:]), self.grid.shape)
        return Block(self.values[here], len(here)), where, 0


class GraphReader:
    """Computes the blocks of one partition from the part of a Dask graph that they need.

    Parameters
    ----------
    graph : dict
        Optimised tasks, those of this partition's blocks at least.
    pieces : dict of int to list
        For each block, the keys of its chunks and where on the grid (and in the signal) each of them lies.
    grid : Grid
        How the cube is cut.
    signal_shape : tuple of int
        Sizes of the signal dims.
    dtype : numpy.dtype
        Dtype of the cube.
    """

    def __init__(
        self,
        graph: Graph,
        pieces: Pieces,
        grid: Grid,
        signal_shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.graph = graph
        self.pieces = pieces
        self.grid = grid
        self.signal_shape = signal_shape
        self.dtype = dtype

    def __call__(self, index: int) -> tuple[Block, Where, int]:
        """Compute the chunks of a block one after the other, and put each into its place."""
        bounds = self.grid.block(index)
        where = Where(tuple(slice(*pair) for pair in bounds), self.grid.shape)
        keys = self.pieces[index]
        shape = where.shape + self.signal_shape
        whole: Array | None = None

        def place(position: int, chunk: Any) -> None:
            nonlocal whole
            chunk = np.asarray(chunk)
            if len(keys) == 1 and chunk.shape == shape:
                whole = chunk  # the block is one chunk: no copy
                return
            if whole is None:
                whole = buffers.empty(shape, self.dtype)
            target, source = _overlap(keys[position][1], bounds)
            whole[target] = chunk[source]

        leaves = run_graph(self.graph, [key for key, _ in keys], place)
        if whole is None:
            raise AssertionError("a block without chunks")  # the grid covers the cube, so this cannot be
        return Block(whole, len(bounds)), where, leaves


def _overlap(
    place: tuple[slice, ...], bounds: tuple[tuple[int, int], ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a chunk lands in a block, and which part of the chunk that is; signal dims are always whole."""
    target, source = [], []
    for part, (start, stop) in zip(place, bounds, strict=False):
        low, high = max(part.start, start), min(part.stop, stop)
        target.append(slice(low - start, high - start))
        source.append(slice(low - part.start, high - part.start))
    signal = place[len(bounds) :]
    return (*target, *signal), (*source, *(slice(None) for _ in signal))


def run_graph(graph: Graph, outputs: list[Hashable], take: Callable[[int, Any], None]) -> int:
    """Run the tasks that some keys need, in this thread, and let go of every result once nothing needs it.

    Parameters
    ----------
    graph : dict
        Tasks in Dask's own form.
    outputs : list of hashable
        Keys wanted, run in this order.
    take : callable
        Called with the position of an output and its value as soon as that is there.

    Returns
    -------
    int
        Number of chunks read.
    """
    waiting = Counter(dependency for key in _needed(graph, outputs) for dependency in graph[key].dependencies)
    waiting.update(outputs)
    results: dict[Hashable, Any] = {}
    reads = 0

    def release(key: Hashable) -> None:
        waiting[key] -= 1
        if not waiting[key]:
            del results[key]

    for position, output in enumerate(outputs):
        stack = [output]
        while stack:
            task = graph[stack[-1]]
            missing = [key for key in task.dependencies if key not in results]
            if stack[-1] in results:
                stack.pop()
            elif missing:
                stack.extend(missing)
            else:
                results[stack.pop()] = task({key: results[key] for key in task.dependencies})
                reads += is_read(graph, task)
                for key in task.dependencies:
                    release(key)
        take(position, results[output])
        release(output)
    return reads


def is_read(graph: Graph, task: Any) -> bool:
    """Whether a task reads a chunk: it computes something, and what it depends on is only data or an open file."""
    return isinstance(task, Task) and all(isinstance(graph[key], DataNode) for key in task.dependencies)


def _needed(graph: Graph, outputs: Iterable[Hashable]) -> set[Hashable]:
    """Keys of all tasks that some outputs need."""
    seen: set[Hashable] = set()
    stack = list(outputs)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            stack.extend(graph[key].dependencies)
    return seen


class CubeReader:
    """Cuts a cube into the readers of its partitions.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory, navigation dims first.
    grid : Grid
        How it is cut.
    """

    def __init__(self, cube: xr.DataArray, grid: Grid) -> None:
        self.cube = cube
        self.grid = grid
        self._graph: Graph = {}
        self._pieces: Pieces = {}
        if cube.chunks is not None:
            (lazy,) = optimize(cube.data)
            self._graph = convert_legacy_graph(dict(lazy.__dask_graph__()))
            self._pieces = _pieces(lazy, grid)

    @property
    def reads(self) -> int:
        """Chunk reads of one sweep: those that each block needs, one after the other."""
        return sum(
            sum(is_read(self._graph, self._graph[key]) for key in _needed(self._graph, [key for key, _ in keys]))
            for keys in self._pieces.values()
        )

    def partition(self, index: int) -> BlockReader:
        """The reader of one partition, with only the tasks that it needs."""
        blocks = self.grid.partition(index)
        if self.cube.chunks is None:
            first, last = self.grid.block(blocks[0])[0][0], self.grid.block(blocks[-1])[0][1]
            return ArrayReader(self.cube.values[first:last], self.grid, first)
        pieces = {block: self._pieces[block] for block in blocks}
        needed = _needed(self._graph, [key for keys in pieces.values() for key, _ in keys])
        signal_shape = self.cube.shape[len(self.grid.shape) :]
        return GraphReader({key: self._graph[key] for key in needed}, pieces, self.grid, signal_shape, self.cube.dtype)


def _pieces(lazy: Any, grid: Grid) -> Pieces:
    """For each block, the chunks that overlap it."""
    bounds = [list(pairwise(accumulate(sizes, initial=0))) for sizes in lazy.chunks]
    n_navigation = len(grid.shape)
    signal = [range(len(places)) for places in bounds[n_navigation:]]
    pieces: Pieces = {}
    for block in range(grid.n_blocks):
        touched = []
        for places, (start, stop) in zip(bounds, grid.block(block), strict=False):
            first = bisect_right(places, start, key=itemgetter(1))
            last = bisect_left(places, stop, key=itemgetter(0))
            touched.append(range(first, last))
        pieces[block] = [
            ((lazy.name, *position), tuple(slice(*bounds[dim][i]) for dim, i in enumerate(position)))
            for position in product(*touched, *signal)
        ]
    return pieces
