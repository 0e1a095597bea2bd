"""The guards guard: a test that leans on them means something."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from zarr.storage import MemoryStore

from refold.cube import check_cube, navigation_dims, signal_dims
from tests.guards import ComputedError, CountingStore, chunk_keys, count_reads, limit_memory, no_compute, peak_memory
from tests.strategies import cubes


@pytest.mark.parametrize("scheduler", [None, "threads", "synchronous"])
def test_no_compute_catches_every_scheduler(scheduler):
    lazy = da.ones((4, 4), chunks=2) + 1
    with no_compute():
        lazy = lazy * 2
        with pytest.raises(ComputedError):
            lazy.compute(scheduler=scheduler)
    assert lazy.sum().compute() == 64


def test_a_counting_store_counts_each_chunk():
    inner = zarr.create_array(MemoryStore(), shape=(6, 4), chunks=(2, 2), dtype="i4")
    inner[:] = 1
    store = CountingStore(inner.store)
    array = zarr.open_array(store, mode="r")
    assert store.reads.total == 0
    assert array[:].sum() == 24
    assert set(store.reads.of_chunks.values()) == {1}
    assert store.reads.total == chunk_keys(array) == 6
    assert array[:2, :2].sum() == 4
    assert store.reads.total == 7


def test_local_reads_are_counted_however_they_are_opened(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 4), chunks=(2, 4), dtype="f4")
    array[:] = 1
    lazy = da.from_zarr(str(tmp_path / "a.zarr"))
    with count_reads() as reads:
        assert lazy.sum().compute() == 16
    assert reads.total == 2
    assert all("a.zarr" in key for key in reads.of_chunks)


def test_shards_count_as_one_object(tmp_path):
    array = zarr.create_array(tmp_path / "s.zarr", shape=(8, 4), chunks=(2, 4), shards=(4, 4), dtype="f4")
    array[:] = 1
    assert chunk_keys(array) == 2
    with count_reads() as reads:
        assert zarr.open_array(tmp_path / "s.zarr", mode="r")[:].sum() == 32
    assert reads.total == 2


def test_peak_memory_is_that_of_the_child():
    ballast = np.ones(2**24)  # 128 MiB in this process must not be counted
    small = peak_memory("print(1 + 1)").peak
    big = peak_memory("held = bytearray(100 * 2**20)\nheld[::4096] = b'1' * len(held[::4096])").peak
    assert ballast.nbytes > small
    assert 80 * 2**20 < big - small < 140 * 2**20


def test_limit_memory_fails_above_the_limit():
    with pytest.raises(AssertionError, match="peak resident memory"):
        limit_memory(2**20, "pass")
    assert limit_memory(2**30, "import sys; print(sys.argv[1])", "hello").stdout == "hello\n"


@given(cube=cubes(invalid=True, min_pixels=3, min_features=2))
def test_strategies_make_cubes(cube: xr.DataArray):
    assert check_cube(cube) is cube
    assert cube.dims == navigation_dims(cube) + signal_dims(cube)
    assert np.prod([cube.sizes[dim] for dim in navigation_dims(cube)]) >= 3
