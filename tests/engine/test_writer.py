"""A writer writes each block's region, refuses targets that blocks would share, and says when the disk is full."""

from __future__ import annotations

import errno
import pickle

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore, WrapperStore

from refold.cube import as_cube, n_pixels, navigation_shape, signal_shape
from refold.engine import Moments, ZarrWriter, sweep
from refold.errors import DiskFullError, ParameterError, StoreError
from refold.planning import Grid
from tests.engine.cases import grids
from tests.strategies import cubes


def target_for(cube: xr.DataArray, chunks: tuple[int, ...], rest: tuple[int, ...], **options) -> zarr.Array:
    shape = navigation_shape(cube) + rest
    return zarr.create_array(options.pop("store", MemoryStore()), shape=shape, chunks=chunks + rest, **options)


@given(st.data(), cubes(invalid=True), st.integers(1, 30))
def test_what_is_written_is_the_cube(data, cube: xr.DataArray, max_pixels: int):
    grid = data.draw(grids(cube))
    chunks = grid.target_chunks(max_pixels)
    copy = target_for(cube, chunks, signal_shape(cube), dtype=cube.dtype)
    first = target_for(cube, chunks, (), dtype="f8")
    index = target_for(cube, chunks, (1,), dtype="i8")

    def two(block, where):
        return {
            "first": block.data.reshape(block.n_pixels, -1)[:, 0].reshape(where.shape),
            "index": where.pixels.reshape(*where.shape, 1),
        }

    results = sweep(cube, ZarrWriter(copy), ZarrWriter({"first": first, "index": index}, two), Moments(), grid=grid)
    assert results[:2] == (None, None)
    assert np.array_equal(copy[:], cube.values, equal_nan=True)
    assert np.array_equal(first[:], cube.values.reshape(n_pixels(cube), -1)[:, 0].reshape(first.shape), equal_nan=True)
    assert np.array_equal(index[:].ravel(), np.arange(n_pixels(cube)))


@given(st.data(), cubes(), st.integers(1, 30))
def test_blocks_that_share_chunks_wait_for_each_other(data, cube: xr.DataArray, max_pixels: int):
    grid = data.draw(grids(cube))
    copy = target_for(cube, grid.target_chunks(max_pixels, shared=True), signal_shape(cube), dtype=cube.dtype)
    sweep(cube, ZarrWriter(copy, shared=True), grid=grid, workers=2)
    assert np.array_equal(copy[:], cube.values, equal_nan=True)


def test_a_writer_of_shared_chunks_stays_in_its_process():
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(ZarrWriter(target_for(CUBE, (3, 3), (2,), dtype="f8"), shared=True))


CUBE = as_cube(np.arange(24.0).reshape(4, 3, 2), signal="energy")
GRID = Grid(((0, 2, 4), (0, 3)), 2)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (target_for(CUBE, (3, 3), (2,), dtype="f8"), "target_chunks"),
        (target_for(CUBE, (1, 3), (2,), dtype="f8", shards=(4, 3, 2)), "target_chunks"),
        (target_for(CUBE, (2, 3), (5,), dtype="f8"), "target holds"),
        (zarr.create_array(MemoryStore(), shape=(2, 3, 2), chunks=(2, 3, 2), dtype="f8"), "navigation shape"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(target, message: str):
    with pytest.raises(ParameterError, match=message):
        sweep(CUBE, ZarrWriter(target), grid=GRID)


def test_a_value_for_every_target_is_wanted():
    targets = {name: target_for(CUBE, (2, 3), (), dtype="f8") for name in ("a", "b")}
    with pytest.raises(ParameterError, match="'b'"):
        sweep(CUBE, ZarrWriter(targets, lambda block, where: {"a": np.zeros(where.shape)}), grid=GRID)


class Failing(WrapperStore):
    """A store that takes one chunk, and then fails."""

    error = errno.ENOSPC
    left = 1

    async def set(self, key, value) -> None:
        if "c/" in key:
            if not self.left:
                raise OSError(self.error, "failed")
            self.left -= 1
        await self._store.set(key, value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int):
    store = Failing(MemoryStore())
    store.error = number
    target = target_for(CUBE, (1, 3), (2,), dtype="f8", store=store)
    with pytest.raises(DiskFullError) as raised:
        sweep(CUBE, ZarrWriter(target), grid=GRID)
    assert isinstance(raised.value, StoreError | OSError)
    assert "full disk" in str(raised.value)
    assert raised.value.remedy
    again = pickle.loads(pickle.dumps(raised.value))  # it comes from a worker as it is
    assert (type(again), str(again)) == (DiskFullError, str(raised.value))


def test_other_errors_of_the_disk_are_left_as_they_are():
    store = Failing(MemoryStore())
    store.error = errno.EIO
    with pytest.raises(OSError, match="failed") as raised:
        sweep(CUBE, ZarrWriter(target_for(CUBE, (1, 3), (2,), dtype="f8", store=store)), grid=GRID)
    assert raised.value.errno == errno.EIO
