"""The sweep: the same result on one thread, many, and many processes; bounded memory; errors that stop it."""

from __future__ import annotations

import gc
import pickle
from typing import Any
from unittest import mock

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.cube import as_cube
from refold.engine import ClusterSums, Histogram, Moments, Sample, ZarrWriter, plan_grid, sweep
from refold.engine import settings as sweep_settings
from refold.engine.layout import states_alive
from refold.engine.partition import merge_tree
from refold.engine.progress import Progress
from refold.errors import MemoryBudgetError
from refold.planning import Grid
from tests.engine.cases import GRID, Brightest, Broken, grids, scan
from tests.guards import limit_memory
from tests.strategies import cubes

LABELS = np.random.default_rng(1).integers(-1, 3, (12, 10))
VISITORS = (
    Moments(scatter=True),
    Moments(scatter=True, weighting="poisson"),
    ClusterSums(LABELS, 3),
    Histogram(np.linspace(0, 20, 9)),
    Sample(17, seed=3),
)


def as_bytes(results: Any) -> bytes:
    """Every number of the results, to the last bit."""
    values = [vars(result).values() if hasattr(result, "__dict__") else [result] for result in results]
    return b"|".join(np.asarray(value).tobytes() if value is not None else b"-" for each in values for value in each)


# --- determinism ------------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.data(), cubes(invalid=True, min_pixels=6))
def test_threads_do_not_change_a_bit(data, cube):
    grid = data.draw(grids(cube))
    visitors = (Moments(scatter=True), Histogram([0, 1, 50]), Sample(4))
    wanted = as_bytes(sweep(cube, *visitors, grid=grid, workers=1))
    for workers in (2, 5):
        assert as_bytes(sweep(cube, *visitors, grid=grid, workers=workers)) == wanted


def test_processes_do_not_change_a_bit(tmp_path, two_processes):
    """One sweep in threads, the same one on a cluster of two processes: equal, and as many tasks."""
    path = tmp_path / "scan.zarr"
    zarr.create_array(path, shape=(12, 10, 40), chunks=(4, 5, 40), dtype="f4")[:] = scan(lazy=False).values
    cube = as_cube(da.from_zarr(str(path)), signal="energy")
    here, there = (
        zarr.create_array(tmp_path / name, shape=cube.shape, chunks=(4, 5, 40), dtype="f4") for name in ("a", "b")
    )
    progress = Progress()
    wanted = as_bytes(sweep(cube, *VISITORS, ZarrWriter(here), grid=GRID, workers=2)[:-1])
    with mock.patch.object(two_processes, "submit", wraps=two_processes.submit) as submit:
        found = sweep(cube, *VISITORS, ZarrWriter(there), grid=GRID, client=two_processes, progress=progress)
    with pytest.raises(ZeroDivisionError):
        sweep(cube, Broken(), grid=GRID, client=two_processes)
    _, again = sweep(cube, Brightest(), Broken(at=-1), grid=GRID, client=two_processes)
    assert as_bytes(found[:-1]) == wanted
    assert np.array_equal(here[:], there[:], equal_nan=True)
    assert progress.tally.tasks == 2 * GRID.n_partitions - 1 == submit.call_count - 1  # and one that holds the visitors
    assert progress.tally.blocks == GRID.n_blocks
    assert progress.tally.chunks_read == 6
    assert again is None


@given(st.integers(1, 70))
def test_states_are_merged_in_order_along_one_tree(n: int):
    alive = 0
    most = 0

    def states():
        nonlocal alive, most
        for i in range(n):
            alive += 1
            most = max(most, alive)
            yield (i,)

    def join(one, other):
        nonlocal alive
        alive -= 1
        return one + other

    assert merge_tree(states(), join) == tuple(range(n))
    assert most <= states_alive(n, 1)


# --- the protocol -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [True, False])
def test_a_visitor_of_ones_own(lazy):
    cube = scan(lazy)
    result = sweep(cube, Brightest())
    assert isinstance(result, tuple)
    assert result == (float(np.nanmax(cube.values)),)
    assert sweep(cube) == ()


def test_visitors_are_shown_the_same_rows():
    """One conversion for all of them."""
    seen = []

    class Look(Brightest):
        def visit(self, state, block, where):
            seen.append(block.rows)
            assert not block.rows.flags.writeable
            assert not block.data.flags.writeable

    cube = as_cube(np.ones((4, 3, 5), "u2"), signal="energy")
    sweep(cube, Look(), Look(), grid=Grid(((0, 4), (0, 3))))
    assert seen[0] is seen[1]


def test_a_cube_in_memory_is_not_copied():
    values = np.ones((4, 3, 5), "f4")

    class Look(Brightest):
        def visit(self, state, block, where):
            assert np.shares_memory(block.data, values)
            assert np.shares_memory(block.rows, values) is block.data.flags.c_contiguous

    sweep(as_cube(values, signal="energy"), Look(), grid=Grid(((0, 2, 4), (0, 3)), 2))
    sweep(as_cube(values, signal="energy"), Look(), grid=Grid(((0, 2, 4), (0, 1, 3)), 2))
    assert values.flags.writeable


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (1, 7, 3), (2, 1, 1, 4)])
def test_small_scans(shape):
    cube = as_cube(da.from_array(np.random.default_rng(0).random(shape), chunks=1), signal="energy")
    (moments,) = sweep(cube, Moments(scatter=True))
    np.testing.assert_allclose(moments.mean, cube.values.reshape(-1, shape[-1]).mean(axis=0))


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_hold_for_the_sweeps_within():
    progress = Progress()
    with sweep_settings(memory="200kB", workers=1, progress=progress) as outer:
        assert outer.budget.memory == 200_000
        with sweep_settings(memory="1GB") as inner:
            assert (inner.budget.memory, inner.n_workers) == (10**9, 1)
        sweep(scan() + 1, Moments())
        sweep(scan() + 1, Moments())
    sweep(scan() + 1, Moments())
    assert progress.tally.sweeps == 2
    assert progress.tally.chunks_read == 12


# --- memory -----------------------------------------------------------------------------------------------------------


@given(cubes(lazy=True, min_pixels=4), st.integers(1, 4), st.integers(0, 200))
def test_the_plan_stays_within_its_budget(cube, workers, kilobytes):
    from refold.engine import working_bytes

    moments = Moments(scatter=True, n_features=cube.size // cube[..., 0].size)
    try:
        grid = plan_grid(cube, moments, memory=500 + 1000 * kilobytes, workers=workers)
    except MemoryBudgetError:
        return
    alive = moments.nbytes * states_alive(grid.n_partitions, workers)
    assert workers * working_bytes(cube, grid) + alive <= 500 + 1000 * kilobytes


SWEEPS = """
import dask.array as da, numpy as np, refold

def make(block_id=None):
    return np.full((16, 16, 64, 64), sum(block_id), "u2")

def sweep(rows):
    chunks = ((16,) * (rows // 16), (16,) * 8, (64,), (64,))
    array = da.map_blocks(make, chunks=chunks, dtype="u2", meta=np.empty((0,) * 4, "u2"))
    cube = refold.as_cube(array, signal=("ky", "kx"))
    visitors = refold.Moments(), refold.Sample(100, n_features=4096), refold.Histogram([0, 10, 100])
    refold.sweep(cube, *visitors, memory="64MB", workers=2)

sweep(16)  # compiles and imports what it needs
before = _refold_peak()
sweep(288)  # 302 MB of counts
print(_refold_peak() - before)
"""


def test_memory_is_bounded():
    """A scan of 300 MB passes through 64 MB, whatever Python and its libraries take before."""
    used = int(limit_memory(2**30, SWEEPS, timeout=100).stdout)
    assert used < 64_000_000


def test_results_hold_no_blocks():
    """What a sweep returns does not keep the last block alive."""
    cube = scan()
    results = sweep(cube, *VISITORS, grid=GRID)
    gc.collect()
    assert len(pickle.dumps(results)) < 3 * 40 * 40 * 8 * 2
