"""Laws of rebinning."""

from __future__ import annotations

import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, signal_dims
from refold.errors import ParameterError, TrimWarning
from refold.prepare import rebin
from refold.prepare.rebinning import sum_dtype
from tests.guards import count_reads, no_compute
from tests.strategies import DTYPES, cubes


def reshaped(values: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Windows as extra axes: the textbook form, from which sums and means follow."""
    trimmed = values[tuple(slice(0, n // f * f) for n, f in zip(values.shape, factors, strict=True))]
    shape = [part for n, f in zip(trimmed.shape, factors, strict=True) for part in (n // f, f)]
    return trimmed.reshape(shape)


def quiet_rebin(cube: xr.DataArray, *args: object, **kwargs: object) -> xr.DataArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrimWarning)
        return rebin(cube, *args, **kwargs)


@st.composite
def cubes_and_factors(draw: st.DrawFn, **options: object) -> tuple[xr.DataArray, dict[str, int]]:
    cube = draw(cubes(**options))
    return cube, {str(dim): draw(st.integers(1, size)) for dim, size in cube.sizes.items() if draw(st.booleans())}


@given(cubes_and_factors(invalid=True), st.sampled_from(["sum", "mean"]))
def test_is_the_sum_or_mean_of_its_windows(drawn: tuple[xr.DataArray, dict[str, int]], how: str) -> None:
    cube, factors = drawn
    whole = tuple(factors.get(dim, 1) for dim in cube.dims)
    windows = reshaped(cube.values, whole)
    axes = tuple(range(1, 2 * cube.ndim, 2))
    small = quiet_rebin(cube, factors, how=how)
    if cube.dtype.kind in "iu" and how == "sum":
        np.testing.assert_array_equal(small.values, windows.sum(axis=axes, dtype=object).astype(np.float64))
    else:
        with np.errstate(invalid="ignore"):
            wanted = getattr(windows.astype(np.float64), how)(axis=axes)
        np.testing.assert_allclose(small.values, wanted, rtol=1e-5, atol=1e-4)
    assert small.dims == cube.dims
    assert small.name == cube.name
    assert small.attrs == cube.attrs


@given(cubes(max_side=12, dtypes=("uint8", "uint16", "int32")))
def test_twice_is_once_by_the_product(cube: xr.DataArray) -> None:
    dim = max(cube.sizes, key=lambda name: cube.sizes[name])
    if cube.sizes[dim] >= 6:
        steps = quiet_rebin(quiet_rebin(cube, {dim: 2}), {dim: 3})
        once = quiet_rebin(cube, {dim: 6})
        np.testing.assert_array_equal(steps.values, once.values)
        np.testing.assert_allclose(steps[dim].values, once[dim].values)


@given(cubes_and_factors(lazy=True))
def test_computes_nothing_and_is_the_same_for_any_chunking(drawn: tuple[xr.DataArray, dict[str, int]]) -> None:
    cube, factors = drawn
    with no_compute():
        small = quiet_rebin(cube, factors)
    assert small.chunks is not None
    assert small.data.dtype == small.compute().dtype
    np.testing.assert_array_equal(small.values, quiet_rebin(cube.compute(), factors).values)


@given(cubes_and_factors(lazy=True))
def test_each_source_chunk_feeds_one_chunk(drawn: tuple[xr.DataArray, dict[str, int]]) -> None:
    cube, factors = drawn
    small = quiet_rebin(cube, factors)
    for dim, sizes in cube.chunksizes.items():
        factor = factors.get(str(dim), 1)
        size = cube.sizes[dim] // factor * factor
        source = {int(edge) for edge in np.cumsum(sizes) if edge < size} | {size}
        result = {int(edge) * factor for edge in np.cumsum(small.chunksizes[dim])}
        assert result <= source  # no source chunk is split
        assert result == {edge for edge in source if edge % factor == 0}  # and none merged without need


@given(cubes_and_factors())
def test_coordinates_are_means_of_what_they_merge(drawn: tuple[xr.DataArray, dict[str, int]]) -> None:
    cube, factors = drawn
    small = quiet_rebin(cube, factors)
    for dim in cube.dims:
        windows = reshaped(cube[dim].values, (factors.get(str(dim), 1),))
        np.testing.assert_allclose(small[dim].values, windows.mean(axis=1))
        assert small[dim].attrs == cube[dim].attrs


def test_other_coordinates_come_along() -> None:
    rng = np.random.default_rng(0)
    cube = as_cube(rng.poisson(3.0, (4, 6, 4)).astype("uint8"), signal="energy").assign_coords(
        latitude=(("y", "x"), rng.random((4, 6)), {"units": "degrees_north"}),
        time=("y", np.array(["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-09"], "datetime64[ns]")),
        line=("energy", ["Fe", "Fe", "Ni", "Ni"]),
        beam=("energy", da.arange(4, chunks=2)),
        tilt=1.5,
    )
    with no_compute():
        small = rebin(cube, y=2, x=3, energy=2)
    latitude = cube.latitude.values
    np.testing.assert_allclose(
        small.latitude, [[latitude[i : i + 2, j : j + 3].mean() for j in (0, 3)] for i in (0, 2)]
    )
    assert small.latitude.attrs == {"units": "degrees_north"}
    assert small.time.values.tolist() == np.array(["2024-01-02", "2024-01-07"], "datetime64[ns]").tolist()
    assert small.line.values.tolist() == ["Fe", "Ni"]
    assert small.beam.values.tolist() == [0.5, 2.5]
    assert float(small.tilt) == 1.5
    assert signal_dims(small) == ("energy",)


@pytest.mark.parametrize("dtype", ["bool", *DTYPES, "int8", "int64", "uint64", "float16"])
@pytest.mark.parametrize("n", [1, 2, 4, 9, 4096])
def test_sums_cannot_overflow(dtype: str, n: int) -> None:
    chosen = sum_dtype(np.dtype(dtype), n)
    if dtype.startswith("float"):
        assert chosen == (np.float32 if dtype == "float16" else np.dtype(dtype))
        return
    ends = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if chosen.kind == "f":
        assert max(abs(int(end)) * n for end in ends) > 2**63 - 1
    else:
        assert np.iinfo(chosen).min <= int(ends[0]) * n <= int(ends[1]) * n <= np.iinfo(chosen).max
        assert (
            chosen.itemsize == 1
            or np.iinfo(f"{chosen.kind}{chosen.itemsize // 2}").max < int(ends[1]) * n
            or (np.iinfo(f"{chosen.kind}{chosen.itemsize // 2}").min > int(ends[0]) * n)
        )


def test_the_largest_counts_add_up() -> None:
    cube = as_cube(np.full((1, 2, 4, 4), 255, "uint8"), signal=("ky", "kx"))
    assert rebin(cube, ky=4, kx=4).values.ravel().tolist() == [255 * 16] * 2
    wide = rebin(as_cube(np.full((2, 4), np.iinfo("uint64").max), signal="energy"), energy=4)
    np.testing.assert_allclose(wide, 4 * 2.0**64)


def test_nothing_asked_is_the_cube_itself() -> None:
    cube = as_cube(np.ones((2, 3, 4)), signal="energy")
    assert rebin(cube) is cube
    assert rebin(cube, y=1, energy=1) is cube


def test_ragged_edges_are_left_out_and_said() -> None:
    cube = as_cube(np.ones((5, 3, 7)), signal="energy")
    with pytest.warns(TrimWarning, match=r"1 of 5 along 'y' \(factor 2\), 1 of 7 along 'energy' \(factor 3\)"):
        small = rebin(cube, y=2, energy=3)
    assert small.shape == (2, 3, 2)


def test_the_source_is_not_changed() -> None:
    cube = as_cube(np.arange(24.0).reshape(2, 3, 4), signal="energy")
    before = cube.copy(deep=True)
    rebin(cube, {"energy": 2}, how="mean")
    xr.testing.assert_identical(cube, before)


@pytest.mark.parametrize("factor", [0, -1, 1.5, "2", None, True, 5])
def test_bad_factors_are_refused(factor: object) -> None:
    cube = as_cube(np.ones((2, 3, 4)), signal="energy")
    with pytest.raises(ParameterError, match="from 1 to the 4 positions"):
        rebin(cube, energy=factor)


def test_unknown_dims_are_named() -> None:
    cube = as_cube(np.ones((2, 3, 4)), signal="energy")
    with pytest.raises(ParameterError, match="did you mean 'energy'"):
        rebin(cube, enrgy=2)
    with pytest.raises(ParameterError, match="'y', 'x', 'energy'"):
        rebin(cube, kx=2)
    with pytest.raises(ParameterError, match="given twice"):
        rebin(cube, {"y": 2}, y=2)
    with pytest.raises(ParameterError, match="a mapping"):
        rebin(cube, 2)
    with pytest.raises(ParameterError, match="'sum' or 'mean'"):
        rebin(cube, y=2, how="median")


@pytest.mark.parametrize("factors", [{"ky": 2, "kx": 2}, {"y": 2, "x": 3}, {"y": 4, "ky": 4}])
def test_each_chunk_is_fetched_once(tmp_path: Path, factors: dict[str, int]) -> None:
    values = np.random.default_rng(0).poisson(2.0, (12, 14, 8, 8)).astype("uint16")
    as_cube(values, signal=("ky", "kx"), name="counts").chunk(y=3, x=5).to_zarr(
        tmp_path / "scan.zarr", zarr_format=3, consolidated=False
    )
    cube = as_cube(xr.open_zarr(tmp_path / "scan.zarr", consolidated=False).counts)
    with count_reads() as reads:
        quiet_rebin(cube, factors).compute(scheduler="threads", num_workers=2)
    fetched = reads.under("counts")
    assert set(fetched.values()) == {1}
    assert len(fetched) == 12


def test_a_window_with_a_bad_band_is_no_good_one():
    cube = as_cube(np.ones((2, 6)), signal="wavelength").assign_coords(
        good=("wavelength", [True] * 3 + [False] + [True] * 2)
    )
    assert rebin(cube, wavelength=2).good.values.tolist() == [True, False, True]
