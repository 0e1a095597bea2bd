"""Laws of neighbour averaging: SciPy's means over what is there, lazily, whatever the blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from refold.cube import as_cube, navigation_dims
from refold.engine import Moments, plan_grid, sweep
from refold.engine.reading import CubeReader
from refold.errors import ParameterError
from refold.prepare import neighbour_average
from refold.source import open
from tests.guards import count_reads, no_compute
from tests.strategies import cubes


def means_of(cube: xr.DataArray, radius: int) -> np.ndarray:
    """Means over windows, by SciPy: sums beyond the edge are of nothing, and so are their counts."""
    values = cube.values.astype("f8")
    known = np.isfinite(values)
    dims = len(navigation_dims(cube))
    size = [1] * max(0, dims - 2) + [2 * radius + 1] * min(2, dims) + [1] * (cube.ndim - dims)
    sums, counts = (
        uniform_filter(np.where(known, each, 0).astype("f8"), size, mode="constant") for each in (values, known)
    )
    return np.where(known, sums / np.where(counts > 0, counts, 1), np.nan)


@settings(max_examples=10, deadline=None)
@given(cubes(invalid=True), st.integers(1, 3))
def test_it_is_the_mean_of_the_neighbours_that_there_are(cube: xr.DataArray, radius: int) -> None:
    with no_compute():
        result = neighbour_average(cube, radius)
    scale = np.abs(np.nan_to_num(cube.values.astype("f8"), posinf=0, neginf=0)).max() + 1
    np.testing.assert_allclose(result.values, means_of(cube, radius), rtol=1e-5, atol=1e-6 * scale)
    assert result.dtype == (np.float64 if cube.dtype.itemsize == 8 else np.float32)
    assert (result.dims, result.attrs, result.name) == (cube.dims, cube.attrs, cube.name)
    xr.testing.assert_identical(result.coords.to_dataset(), cube.coords.to_dataset())


@settings(max_examples=8, deadline=None)
@given(cubes(lazy=True, invalid=True), st.integers(1, 2))
def test_blocks_do_not_show_bit_for_bit(cube: xr.DataArray, radius: int) -> None:
    lazy, whole = neighbour_average(cube, radius), neighbour_average(cube.compute(), radius)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, whole.values)


def test_empty_pixels_count_and_broken_ones_do_not() -> None:
    counts = np.zeros((3, 3, 1), "f4")
    counts[0, 0], counts[2, 2] = 9, np.nan
    result = neighbour_average(as_cube(counts, signal="energy")).values[..., 0]
    assert result[1, 1] == 9 / 8
    assert result[1, 2] == 0
    assert np.isnan(result[2, 2])
    assert np.isfinite(result).sum() == 8


def test_a_stack_is_averaged_map_by_map_and_a_line_along_itself() -> None:
    stack = as_cube(np.arange(2.0).reshape(2, 1, 1, 1) * np.ones((1, 4, 4, 3)), signal="energy")
    np.testing.assert_array_equal(neighbour_average(stack), stack)
    line = as_cube(np.array([[0.0], [3.0], [9.0]]), signal="energy")
    assert neighbour_average(line).values.ravel().tolist() == [1.5, 4.0, 6.0]


def test_radius_0_changes_nothing_and_other_nonsense_is_refused() -> None:
    cube = as_cube(np.arange(12, dtype="u2").reshape(2, 2, 3), signal="energy")
    np.testing.assert_array_equal(neighbour_average(cube, 0), cube)
    for wrong in (-1, 0.5, "3", None):
        with pytest.raises(ParameterError, match="radius"):
            neighbour_average(cube, wrong)  # type: ignore[arg-type]


def test_what_borders_of_blocks_cost_is_what_the_plan_says(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "scan.zarr", shape=(12, 12, 4), chunks=(4, 4, 4), dtype="u1")
    array[:] = np.arange(12 * 12 * 4).reshape(12, 12, 4) % 251
    averaged = neighbour_average(open(tmp_path / "scan.zarr"))
    together = plan_grid(averaged)
    apart = type(together)(edges=((0, 4, 8, 12), (0, 4, 8, 12)))
    for grid, wanted in ((together, 9), (apart, 49)):  # each chunk once; each with its neighbours, the corners with 3
        assert CubeReader(averaged, grid).reads == wanted
        with count_reads() as reads:
            sweep(averaged, Moments(), grid=grid)
        assert sum(reads.gets[key] for key in reads.gets if "/c/" in key[0]) == wanted
