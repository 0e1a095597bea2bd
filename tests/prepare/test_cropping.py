"""Laws of cropping."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube
from refold.errors import ParameterError
from refold.prepare import crop
from tests.guards import no_compute
from tests.strategies import cubes


@given(cubes(max_side=7), st.data())
def test_keeps_just_what_lies_between(cube: xr.DataArray, data: st.DataObject) -> None:
    dim = data.draw(st.sampled_from([str(dim) for dim in cube.dims]))
    values = cube[dim].values
    ends = data.draw(st.tuples(st.sampled_from(list(values)), st.sampled_from(list(values))))
    with no_compute():
        small = crop(cube, {dim: ends})
    inside = (values >= min(ends)) & (values <= max(ends))
    xr.testing.assert_identical(small.compute(), cube.isel({dim: np.flatnonzero(inside)}).compute())
    assert (small.chunks is None) == (cube.chunks is None)


@given(cubes(max_side=7), st.data())
def test_by_index_is_slicing(cube: xr.DataArray, data: st.DataObject) -> None:
    dim = data.draw(st.sampled_from([str(dim) for dim in cube.dims]))
    start = data.draw(st.integers(0, cube.sizes[dim] - 1))
    stop = data.draw(st.integers(start + 1, cube.sizes[dim]))
    xr.testing.assert_identical(
        crop(cube, {dim: (start, stop)}, by="index").compute(), cube.isel({dim: slice(start, stop)}).compute()
    )


def test_open_ends_and_slices() -> None:
    cube = as_cube(np.ones((3, 5)), signal="energy", coords={"energy": np.arange(5) * 10.0})
    assert crop(cube, energy=(None, 15)).energy.values.tolist() == [0, 10]
    assert crop(cube, energy=slice(35, None)).energy.values.tolist() == [40]
    assert crop(cube, energy=(-2, None), by="index").energy.values.tolist() == [30, 40]
    assert crop(cube, {"x": [0, 1]}, energy=(0, 40)).shape == (2, 5)


def test_times_are_cropped_too() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "datetime64[ns]")
    cube = as_cube(np.ones((3, 2)), signal="energy", coords={"x": days})
    assert crop(cube, x=("2024-01-02", None)).sizes["x"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"energy": (100, 200)}, "0.0 to 40.0 keV"),
        ({"energy": 3}, "a pair"),
        ({"energy": (1, 2, 3)}, "a pair"),
        ({"energi": (1, 2)}, "did you mean 'energy'"),
        ({"energy": (3, 3), "by": "index"}, "indices from 0 to 5"),
        ({"energy": (0.5, 3), "by": "index"}, "whole numbers"),
        ({"energy": (0, 3), "by": "value"}, "'coordinate' or 'index'"),
    ],
)
def test_errors(options: dict[str, object], said: str) -> None:
    cube = as_cube(np.ones((3, 5)), signal="energy", coords={"energy": (np.arange(5) * 10.0, {"units": "keV"})})
    with pytest.raises(ParameterError, match=said):
        crop(cube, **options)
