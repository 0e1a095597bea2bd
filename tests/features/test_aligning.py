"""A cube on another grid: as xarray and SciPy interpolate in memory, lazily, from the chunks that are needed."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from refold.cube import as_cube, navigation_dims
from refold.engine import Moments, sweep
from refold.errors import CubeError, ParameterError
from refold.features.aligning import align
from refold.features.fusing import Fusion
from tests.guards import count_reads, no_compute
from tests.strategies import cubes, positions


def grid(**dims: np.ndarray) -> xr.DataArray:
    """A picture on these coordinates, in nanometres."""
    coords = {dim: (dim, values, {"units": "nm", "role": "navigation"}) for dim, values in dims.items()}
    return xr.DataArray(np.zeros([len(values) for values in dims.values()]), coords, tuple(dims))


def scan(lazy: bool = True, dtype: str = "f4") -> xr.DataArray:
    values = np.random.default_rng(0).normal(50, 9, (12, 10, 3)).astype(dtype)
    coords = {"y": (np.arange(12) * 2.0, {"units": "nm"}), "x": (10 - np.arange(10.0), {"units": "nm"})}
    cube = as_cube(values, signal="energy", coords=coords, name="eds").assign_attrs(units="counts")
    return cube.chunk(y=4, x=5, energy=2) if lazy else cube


@given(st.data())
@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_as_xarray_interpolates_in_memory(method, data):
    cube = data.draw(cubes(dtypes=("uint8", "float64"), navigation=(1, 2)))
    dims = navigation_dims(cube)
    shifts = {dim: data.draw(positions(data.draw(st.integers(1, 6)))) for dim in dims}
    target = {dim: np.unique(cube[dim].values[0] + values / 3.7 + 0.011) for dim, values in shifts.items()}
    like = xr.DataArray(np.zeros([len(v) for v in target.values()]), target, dims)
    like = like.assign_coords({dim: like[dim].assign_attrs(cube[dim].attrs) for dim in dims})
    ours = align(cube, like, method)
    steps = [dim for dim in dims if cube.sizes[dim] > 1]
    if len(steps) < len(dims):  # xarray does not interpolate along one position
        assert ours.shape[: len(dims)] == like.shape
        return
    theirs = cube.astype(float).compute().sortby(list(dims)).interp(target, method=method)
    covered = theirs.notnull()
    np.testing.assert_allclose(ours.where(covered), theirs, rtol=1e-6, atol=1e-4)
    if method == "linear":
        np.testing.assert_array_equal(np.isnan(ours), ~covered)


def test_linear_as_scipy_with_other_pixel_size_offset_and_direction():
    cube, like = scan(), grid(x=np.arange(3.0, 8.0, 0.7), y=np.linspace(21, 1, 9))
    points = np.stack(np.meshgrid(like.y, like.x, indexing="ij"), axis=-1)
    wanted = RegularGridInterpolator((cube.y, cube.x), cube.values)(points)
    np.testing.assert_allclose(align(cube, like, "linear"), wanted, rtol=1e-6)


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_its_own_grid_gives_it_back_and_a_crop_crops(method):
    cube = scan()
    xr.testing.assert_identical(align(cube, cube, method).compute(), cube.compute())
    part = cube[3:7, 2:4]
    xr.testing.assert_identical(align(cube, part, method).compute(), part.compute())
    xr.testing.assert_identical(align(cube.compute(), part, method), part.compute())
    flipped = cube[::-1, ::-1]
    xr.testing.assert_identical(align(cube, flipped, method).compute(), flipped.compute())


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_lazy_and_in_memory_agree_for_any_chunks(method):
    like = grid(y=np.linspace(-3, 25, 40), x=np.linspace(12, -1, 17))
    cube = scan()
    with no_compute():
        lazy = align(cube, like, method)
    assert lazy.chunks[2] == (2, 1)
    wanted = align(cube.compute(), like, method)
    assert wanted.chunks is None
    xr.testing.assert_identical(lazy.compute(), wanted)


def test_coordinates_name_and_attributes():
    like = grid(y=np.arange(4.0), x=np.arange(5.0))
    found = align(scan(), like.assign_coords(when=("y", np.arange(4))))
    assert found.dims == ("y", "x", "energy")
    assert (found.name, found.attrs) == ("eds", {"units": "counts"})
    xr.testing.assert_identical(found.x.reset_coords(drop=True), like.x.reset_coords(drop=True))
    assert align(like.astype("f4"), scan()).dims == ("y", "x", "channel")  # a picture


def test_a_pixel_reaches_half_a_step_beyond_its_middle():
    coarse = as_cube(np.array([[1.0], [2.0]]), signal="energy", coords={"x": [0.5, 2.5]})
    fine = as_cube(np.zeros((8, 1)), signal="energy", coords={"x": np.arange(-2.0, 6.0)})
    np.testing.assert_array_equal(align(coarse, fine)[:, 0], [np.nan, np.nan, 1, 1, 2, 2, np.nan, np.nan])


def test_one_row():
    row = as_cube(np.array([[[1.0], [2.0]]]), signal="energy", coords={"y": [5.0]})
    like = as_cube(np.zeros((3, 2, 1)), signal="energy", coords={"y": [4.0, 5.4, 6.0]})
    for method, inside in (("nearest", [False, True, False]), ("linear", [False, False, False])):
        np.testing.assert_array_equal(align(row, like, method).notnull()[:, 0, 0], inside)
    np.testing.assert_array_equal(align(row, row, "linear"), row)


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_a_place_that_rounding_moved_is_the_same_place(method):
    cube = scan()[:, :1]
    microns = {"units": "µm", "role": "navigation"}
    moved = cube.assign_coords({dim: (dim, cube[dim].values / 1000, microns) for dim in "yx"})
    np.testing.assert_array_equal(align(cube, moved, method), cube)
    Fusion().join({"a": cube, "b": moved})


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_integers_stay_so_only_if_nothing_is_missing_and_nothing_between(method):
    cube = scan(dtype="uint16")
    inside, outside = grid(y=np.array([3.0]), x=np.array([4.0])), grid(y=np.array([3.0, 90]), x=np.array([4.0]))
    assert align(cube, inside, method).dtype == ("uint16" if method == "nearest" else "float32")
    found = align(cube, outside, method)
    assert found.dtype == np.float32
    assert np.isnan(found[1]).all()
    assert align(cube.astype("uint32"), outside, method).dtype == np.float64


def test_nan_does_not_reach_a_pixel_that_it_does_not_touch():
    cube = scan(lazy=False)
    values = cube.values.copy()
    values[5, 5], values[2, 2] = np.nan, np.inf
    broken = cube.copy(data=values)
    np.testing.assert_array_equal(np.isfinite(align(broken, cube, "linear")), np.isfinite(broken))
    between = align(broken, grid(y=cube.y.values + 0.5, x=cube.x.values), "linear")
    assert np.argwhere(~np.isfinite(between[:-1]).all("energy").values).tolist() == [[1, 2], [2, 2], [4, 5], [5, 5]]


def test_units_are_converted_or_refused():
    cube = scan()
    like = grid(y=np.arange(0, 20, 3.0), x=np.arange(2.0, 8.0))
    microns = like.assign_coords({dim: (dim, like[dim].values / 1000, {"units": "um"}) for dim in like.dims})
    np.testing.assert_array_equal(align(cube, microns), align(cube, like))
    assert align(cube, microns).x.attrs["units"] == "um"
    for units in ({}, {"units": "s"}, {"units": "pix"}):
        with pytest.raises(CubeError, match=r"no unit|in nm"):
            align(cube, like.assign_coords(x=("x", like.x.values, units)))


def test_errors():
    with pytest.raises(CubeError, match="'y'"):
        align(scan(), grid(x=np.arange(3.0)))
    with pytest.raises(ParameterError, match="cubic"):
        align(scan(), scan(), "cubic")
    twice = scan().assign_coords(x=("x", np.ones(10), {"units": "nm", "role": "navigation"}))
    with pytest.raises(CubeError, match="distinct"):
        align(twice, scan())


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    da.to_zarr(scan().data, str(tmp_path / "a.zarr"))
    return scan(lazy=False).copy(data=da.from_zarr(str(tmp_path / "a.zarr")))


def test_a_sweep_reads_each_chunk_that_is_needed_once(stored):
    fine = grid(y=np.arange(0, 14.9, 0.5), x=np.arange(10.0, 5.6, -0.25))
    with count_reads() as reads:
        sweep(align(stored, fine), Moments())
    assert len(reads.of_chunks) == 2 * 1 * 2  # of 3 x 2 x 2
    assert set(reads.of_chunks.values()) == {1}
    with count_reads() as reads:
        sweep(align(stored, fine, "linear"), Moments(), memory="20MB")
    assert len(reads.of_chunks) == 3 * 2 * 2  # the last of these rows and columns lie between two chunks
    assert reads.total <= 2 * 2 * 3 * 2


def test_a_block_stays_small_however_fine_the_grid():
    cube = as_cube(da.zeros((64, 64, 1000), chunks=(32, 32, 1000), dtype="f4"), signal="energy")
    like = xr.DataArray(da.zeros((4096, 4096)), dims=("y", "x"), coords=dict.fromkeys("yx", np.arange(4096) / 64))
    like = like.assign_coords(y=("y", np.arange(4096) / 64), x=("x", np.arange(4096) / 64))
    found = align(cube, like)
    assert found.shape == (4096, 4096, 1000)
    assert np.prod([max(sizes) for sizes in found.chunks]) * 4 <= 2**24


def test_aligned_cubes_can_be_fused():
    cube = scan()
    like = grid(y=np.linspace(-5, 20, 8), x=np.arange(1.0, 9.0)).chunk(y=3)
    cubes = {"eds": align(cube, like), "bse": like}
    fused = Fusion().fit(cubes).transform(cubes)
    np.testing.assert_array_equal(np.isnan(fused).all("feature"), np.isnan(align(cube, like)).all("energy"))
    with pytest.raises(CubeError, match="navigation dims"):
        Fusion().fit({"eds": cube, "bse": like})
