"""Laws of clip, log1p and normalise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, signal_dims
from refold.errors import ParameterError
from refold.prepare import clip, log1p, normalise, rebin, softmax
from tests.guards import no_compute
from tests.strategies import cubes


@given(cubes(invalid=True), st.integers(-3, 3), st.integers(4, 60))
def test_clip_is_numpys_and_keeps_the_type(cube: xr.DataArray, low: int, high: int) -> None:
    with no_compute():
        result = clip(cube, low, high)
    assert result.dtype == cube.dtype
    np.testing.assert_array_equal(result.values, np.clip(cube.values.astype("f8"), low, high).astype(cube.dtype))
    assert result.attrs == cube.attrs
    assert result.chunks == cube.chunks


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.5, None, [1, 3, 200]), (None, 2.5, [0, 2, 2]), (-10, 1000, [0, 3, 200]), (None, math.inf, [0, 3, 200])],
)
def test_bounds_of_integers_are_the_nearest_inside(low: float, high: float, wanted: list[int]) -> None:
    cube = as_cube(np.array([[0, 3, 200]], "uint8"), signal="energy")
    assert clip(cube, low, high).values.tolist() == [wanted]


@pytest.mark.parametrize(("low", "high"), [(None, None), (2, 1), (math.nan, 1), (0.2, 0.8), (300, None), (None, -1)])
def test_clip_refuses_what_leaves_nothing(low: float | None, high: float | None) -> None:
    with pytest.raises(ParameterError):
        clip(as_cube(np.array([[0, 3]], "uint8"), signal="energy"), low, high)


@given(cubes(invalid=True))
def test_log1p_takes_negatives_as_zero(cube: xr.DataArray) -> None:
    with no_compute():
        result = log1p(cube)
    assert result.dtype == (np.float64 if cube.dtype == np.float64 else np.float32)
    np.testing.assert_allclose(result.values, np.log1p(np.maximum(cube.values.astype("f8"), 0)), rtol=1e-6)


@given(cubes(invalid=True), st.sampled_from(["total", "max", "unit"]))
def test_normalised_pixels_have_size_one_or_are_zero(cube: xr.DataArray, how: str) -> None:
    with no_compute():
        result = normalise(cube, how)
    signal = signal_dims(cube)
    values = cube.astype("f8").compute()
    finite = np.isfinite(values).all(signal)
    with np.errstate(invalid="ignore"):
        size = {
            "total": values.sum(signal, skipna=False),
            "max": values.max(signal),
            "unit": (values**2).sum(signal) ** 0.5,
        }
    wanted = (values / size[how]).where(size[how] > 0, 0)
    found = result.compute()
    kept = finite.broadcast_like(found).transpose(*found.dims).values
    np.testing.assert_allclose(found.values[kept], wanted.transpose(*found.dims).values[kept], rtol=1e-4, atol=1e-5)


def test_nan_spreads_over_its_pixel_and_no_further() -> None:
    cube = as_cube(np.array([[1.0, np.nan, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]), signal="energy").chunk(energy=1)
    for how in ("total", "max", "unit"):
        result = normalise(cube, how).values
        assert np.isnan(result[0]).all()
        assert result[1].tolist() == [0, 0, 0]
        assert np.isfinite(result[2]).all()


def test_coordinates_beside_the_signal_stay_in_memory() -> None:
    cube = as_cube(np.ones((4, 6)), signal="energy").assign_coords(beside=("energy", np.arange(6.0))).chunk(energy=3)
    cube = cube.assign_coords(beside=("energy", np.arange(6.0)))
    for step in (normalise, softmax, lambda cube: rebin(cube, energy=2)):
        found = step(cube)
        assert found.chunks is not None
        assert found.beside.chunks is None


def test_units_follow_the_numbers() -> None:
    cube = as_cube(np.ones((2, 3)), signal="energy").assign_attrs(units="counts", long_name="X-rays", detector="SDD")
    assert clip(cube, 0).attrs == cube.attrs
    assert log1p(cube).attrs == {"long_name": "log(1 + X-rays)", "detector": "SDD"}
    assert "units" not in normalise(cube).attrs
    assert cube.attrs["units"] == "counts"


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(ParameterError, match="'total', 'max' or 'unit'"):
        normalise(as_cube(np.ones((2, 3)), signal="energy"), "mean")
