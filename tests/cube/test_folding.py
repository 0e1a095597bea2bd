"""fold(unfold(cube)) is the cube, and neither computes anything."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, fold, n_features, n_pixels, navigation_dims, unfold
from refold.errors import CubeError
from tests.guards import no_compute
from tests.strategies import cubes


@st.composite
def decorated(draw: st.DrawFn) -> xr.DataArray:
    """Cubes with coordinates that are not indexes, attributes, and repeated positions."""
    cube = draw(cubes(invalid=True))
    navigation = navigation_dims(cube)
    shape = [cube.sizes[dim] for dim in navigation]
    extra = {
        "thickness": (navigation, np.random.default_rng(0).random(shape), {"units": "nm"}),
        "twisted": (navigation[::-1], np.random.default_rng(1).random(shape[::-1])),
        "row_name": (navigation[0], [f"r{i}" for i in range(shape[0])]),
        "bad_band": (cube.dims[-1], np.arange(cube.shape[-1]) % 2 == 0),
        "beam_energy": ((), 300.0, {"units": "kV"}),
        "drift": ((navigation[0], cube.dims[-1]), np.ones((shape[0], cube.shape[-1]))),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(extra))))
    cube = cube.assign_coords({name: extra[name] for name in chosen}).assign_attrs(source="a", gain=[1, 2])
    if draw(st.booleans()):
        cube = cube.assign_coords({navigation[0]: (navigation[0], np.zeros(shape[0]), cube[navigation[0]].attrs)})
    return cube


@given(cube=decorated())
def test_fold_undoes_unfold(cube: xr.DataArray):
    with no_compute():
        table = unfold(cube)
        folded = fold(table)
    assert table.dims == ("pixel", "feature")
    assert table.shape == (n_pixels(cube), n_features(cube))
    assert folded.identical(cube)
    assert folded.dtype == cube.dtype
    assert (folded.chunks is None) == (cube.chunks is None)


@given(cube=cubes(dtypes=("float32",)))
def test_rows_are_pixels_in_the_order_of_the_scan(cube: xr.DataArray):
    assert np.array_equal(unfold(cube).values, cube.values.reshape(n_pixels(cube), -1))


@given(cube=decorated())
def test_what_is_done_to_the_table_is_done_to_the_cube(cube: xr.DataArray):
    doubled = fold(unfold(cube) * 2)
    assert np.array_equal(doubled.values, cube.values * 2, equal_nan=True)
    for name in cube.coords:
        assert doubled.coords[name].identical((cube * 2).coords[name])


def test_a_table_can_be_unfolded_again():
    cube = as_cube(np.zeros((3, 4)), signal="feature", dims=("pixel", "feature"), coords={"pixel": [7.0, 7.0, 1.0]})
    assert fold(unfold(cube)).identical(cube)
    assert fold(fold(unfold(unfold(cube)))).identical(cube)


def test_a_table_that_is_not_whole_is_refused():
    table = unfold(as_cube(np.zeros((2, 3, 4)), signal="energy"))
    for broken in (table[:4], table[:, ::-1], table.transpose(), table.drop_vars("pixel"), table[::-1]):
        with pytest.raises(CubeError) as raised:
            fold(broken)
        assert raised.value.remedy
