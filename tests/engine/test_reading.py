"""Read once: a sweep fetches each chunk of a store exactly once, through whatever lazy arithmetic lies between."""

from __future__ import annotations

import pickle
import weakref
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from dask._task_spec import DataNode, Task, TaskRef
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from refold.cube import as_cube, navigation_shape
from refold.engine import Block, Moments, Where, plan_grid, sweep
from refold.engine.progress import Progress
from refold.engine.reading import CubeReader, run_graph
from refold.planning import Grid
from tests.engine.cases import grids
from tests.guards import CountingStore, chunk_keys, no_compute
from tests.strategies import cubes


class Whole:
    """Visitor: puts the blocks together again."""

    def start(self) -> dict[Any, np.ndarray]:
        return {}

    def visit(self, state: dict, block: Block, where: Where) -> None:
        state[tuple((part.start, part.stop) for part in where.slices)] = block.data.copy()

    def merge(self, one: dict, other: dict) -> dict:
        assert not one.keys() & other.keys()
        return one | other

    def finish(self, state: dict) -> dict:
        return state


def together(cube: xr.DataArray, blocks: dict[Any, np.ndarray]) -> np.ndarray:
    seen, whole = np.zeros(navigation_shape(cube), int), np.empty(cube.shape, cube.dtype)
    for bounds, block in blocks.items():
        slices = tuple(slice(*pair) for pair in bounds)
        whole[slices] = block
        seen[slices] += 1
    assert (seen == 1).all()
    return whole


@given(st.data(), cubes(invalid=True))
def test_blocks_are_the_cube(data, cube: xr.DataArray):
    """For any chunking of navigation and signal, and any grid, aligned with the chunks or not."""
    grid = data.draw(grids(cube))
    progress = Progress()
    (blocks,) = sweep(cube, Whole(), grid=grid, progress=progress)
    assert np.array_equal(together(cube, blocks), cube.values, equal_nan=True)
    assert len(blocks) == grid.n_blocks == progress.tally.blocks
    assert progress.tally.tasks == 2 * grid.n_partitions - 1
    assert progress.tally.sweeps == 1
    assert progress.tally.bytes_seen == cube.nbytes


ARITHMETIC = {
    "as it is": lambda cube: cube,
    "less a number": lambda cube: cube - 3,
    "converted": lambda cube: cube.astype("f4") * 2,
    "by a user's function": lambda cube: cube.copy(data=cube.data.map_blocks(np.sqrt, dtype="f8")),
    "sliced": lambda cube: cube[2:11, 1:9],
    "every other": lambda cube: cube[::2],
    "backwards": lambda cube: cube[::-1, :, ::-1],
    "transposed": lambda cube: cube.transpose("x", "y", "ky", "kx"),
    "signal first": lambda cube: cube.transpose("ky", "kx", "y", "x"),
    "rechunked to more": lambda cube: cube.chunk(y=2),
    "rechunked to others": lambda cube: cube.chunk(y=3, x=10),
    "rechunked to one": lambda cube: cube.chunk(y=-1, x=-1, ky=-1, kx=-1),
    "signal rebinned": lambda cube: cube.coarsen(ky=2, kx=2).sum(),
    "navigation rebinned": lambda cube: cube.coarsen(y=2, x=2, boundary="trim").sum(),
    "less an image": lambda cube: cube - np.ones((8, 8)),
    "twice in one sum": lambda cube: cube + cube.astype("f4"),
    "less its mean": lambda cube: cube - cube.mean(("y", "x")),
}
# These make chunks that do not end where those in the store do, or need every chunk for each of their own.
CUT_THROUGH = {"less its mean", "navigation rebinned", "rechunked to others", "rechunked to more"}
LAYOUTS = {
    "whole signals": {"chunks": (4, 5, 8, 8)},
    "split signals": {"chunks": (4, 5, 4, 3)},
    "ragged": {"chunks": (5, 4, 8, 8)},
    "one chunk": {"chunks": (13, 10, 8, 8)},
    "shards": {"chunks": (2, 5, 8, 8), "shards": (4, 5, 8, 8)},
}


def counted(**layout: Any) -> tuple[CountingStore, xr.DataArray, int]:
    """A scan in a store that counts, and the number of objects in it."""
    array = zarr.create_array(MemoryStore(), shape=(13, 10, 8, 8), dtype="u2", **layout)
    array[:] = np.random.default_rng(0).poisson(5, array.shape)
    store = CountingStore(array.store)
    opened = zarr.open_array(store, mode="r")
    return (
        store,
        as_cube(da.from_array(opened, chunks=opened.shards or opened.chunks), signal=("ky", "kx")),
        chunk_keys(array),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("arithmetic", ARITHMETIC)
def test_each_chunk_is_read_once(layout: str, arithmetic: str):
    store, cube, chunks = counted(**LAYOUTS[layout])
    changed = ARITHMETIC[arithmetic](cube)
    progress = Progress()
    (moments,) = sweep(changed, Moments(), progress=progress)
    reads = store.reads.of_chunks
    assert set(reads.values()) == {1}
    assert len(reads) <= chunks
    if arithmetic in {"as it is", "less a number", "signal rebinned", "transposed"}:
        assert len(reads) == chunks
    values = changed.transpose("y", "x", ...).values.reshape(-1, moments.mean.size).astype("f8")
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("arithmetic", [name for name in ARITHMETIC if name not in CUT_THROUGH])
def test_each_chunk_is_read_once_in_many_blocks(layout: str, arithmetic: str):
    """One block for each chunk of the cube, as in a scan that is larger than memory."""
    store, cube, _ = counted(**LAYOUTS[layout])
    changed = ARITHMETIC[arithmetic](cube)
    first = [dim for dim in changed.dims if dim in ("y", "x")]
    edges = tuple((0, *np.cumsum(changed.chunksizes[dim]).tolist()) for dim in first)
    grid = Grid(edges, n_partitions=min(3, Grid(edges).n_blocks))
    progress = Progress()
    sweep(changed, Moments(), progress=progress, grid=grid)
    assert set(store.reads.of_chunks.values()) == {1}
    if arithmetic != "twice in one sum":  # fused into one task, which reads once all the same
        assert progress.tally.chunks_read == store.reads.total


@given(st.data())
def test_the_plan_knows_the_reads(data):
    """What is read more than once, because blocks cut through chunks, is known before."""
    store, cube, _ = counted(**LAYOUTS["whole signals"])
    grid = data.draw(grids(cube))
    with no_compute():
        planned = CubeReader(cube, grid).reads
    progress = Progress()
    sweep(cube, Moments(), grid=grid, progress=progress)
    assert planned == progress.tally.chunks_read == store.reads.total


def test_planning_reads_nothing():
    store, cube, _ = counted(**LAYOUTS["whole signals"])
    with no_compute():
        plan_grid(cube, Moments(scatter=True, n_features=64))
    assert store.reads.total == 0


def test_irregular_chunks_are_read_once():
    store, cube, chunks = counted(chunks=(1, 10, 8, 8))
    cube = cube.chunk(y=(1, 5, 1, 4, 2))
    sweep(cube, Moments(), grid=Grid(((0, 1, 6, 7, 11, 13), (0, 10)), 2))
    assert set(store.reads.of_chunks.values()) == {1}
    assert store.reads.total == chunks


# --- the graph --------------------------------------------------------------------------------------------------------


class Held:
    """A result that can be watched."""


def test_intermediate_results_are_let_go_of():
    alive: list[weakref.ref] = []
    most = 0

    def make(*_: Any) -> Held:
        nonlocal most
        most = max(most, sum(ref() is not None for ref in alive))
        held = Held()
        alive.append(weakref.ref(held))
        return held

    graph: dict[Any, Any] = {"file": DataNode("file", 1)}
    for i in range(20):
        graph["read", i] = Task(("read", i), make, TaskRef("file"))
        graph["out", i] = Task(("out", i), lambda held: 1, TaskRef(("read", i)))
    graph["sum"] = Task("sum", lambda *parts: sum(parts), *[TaskRef(("out", i)) for i in range(20)])
    taken: list[Any] = []
    reads = run_graph(graph, ["sum"], lambda _, value: taken.append(value))
    assert taken == [20]
    assert reads == 20
    assert most <= 1
    assert not any(ref() for ref in alive)


def test_shared_results_are_computed_once():
    calls: list[str] = []

    def call(name: str, *parts: int) -> int:
        calls.append(name)
        return 1 + sum(parts)

    graph = {
        "a": Task("a", call, "a"),
        "b": Task("b", call, "b", TaskRef("a")),
        "c": Task("c", call, "c", TaskRef("a"), TaskRef("b")),
        "d": Task("d", call, "d", TaskRef("b"), TaskRef("c"), TaskRef("a")),
        "apart": Task("apart", call, "apart"),
    }
    taken: dict[int, int] = {}
    run_graph(graph, ["c", "d", "b"], taken.__setitem__)
    assert sorted(calls) == ["a", "b", "c", "d"]
    assert taken == {0: 4, 1: 8, 2: 2}


def test_a_shared_intermediate_is_computed_once_in_a_block():
    calls: list[int] = []

    def costly(chunk: np.ndarray) -> np.ndarray:
        if chunk.size:
            calls.append(1)
        return chunk + 1

    array = da.from_array(np.zeros((4, 6, 5)), chunks=(2, 3, 5)).map_blocks(
        costly, dtype="f8", meta=np.empty((0, 0, 0))
    )
    cube = as_cube(array - array.mean(axis=2, keepdims=True) + array.max(axis=2, keepdims=True), signal="energy")
    calls.clear()
    sweep(cube, Moments())
    assert len(calls) == 4


# --- what travels -----------------------------------------------------------------------------------------------------


def test_a_partition_carries_no_more_than_it_needs():
    values = np.random.default_rng(0).random((64, 8, 100))
    grid = Grid((tuple(range(0, 65, 8)), (0, 8)), n_partitions=8)
    for array in (
        values,
        da.from_array(values, chunks=(8, 8, 100)),
        da.from_array(values, chunks=(8, 8, 100)) - values[0, 0],
    ):
        reader = CubeReader(as_cube(array, signal="energy"), grid)
        sizes = [len(pickle.dumps(reader.partition(index))) for index in range(8)]
        assert max(sizes) < values.nbytes / 8 + 10_000


def test_an_image_that_is_taken_off_travels_once():
    image = np.random.default_rng(0).random((100, 100))
    scan = as_cube(da.zeros((16, 16, 100, 100), chunks=(2, 2, 100, 100)), signal=("ky", "kx"))
    reader = CubeReader(scan - image, Grid(((0, 16), (0, 16)), 1))
    assert len(pickle.dumps(reader.partition(0))) < 2 * image.nbytes
