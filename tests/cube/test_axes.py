"""Roles: which dims are navigation, which are signal, and what is refused at the door."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

from refold.cube import (
    as_cube,
    check_cube,
    is_lazy,
    n_features,
    n_pixels,
    navigation_dims,
    navigation_shape,
    signal_dims,
    signal_shape,
)
from refold.errors import CubeError
from tests.guards import no_compute
from tests.strategies import cubes


@pytest.mark.parametrize(
    ("shape", "signal", "dims"),
    [
        ((5, 6), "energy", ("x", "energy")),
        ((4, 5, 6), "energy", ("y", "x", "energy")),
        ((3, 4, 5, 6), "energy", ("z", "y", "x", "energy")),
        ((4, 5, 6), ("ky", "kx"), ("x", "ky", "kx")),
        ((4, 5, 6, 7), None, ("y", "x", "ky", "kx")),
        ((4, 5, 6), None, ("y", "x", "channel")),
        ((5, 6), None, ("x", "channel")),
    ],
)
@pytest.mark.parametrize("library", [np, da])
def test_plain_arrays_get_the_usual_dims(library, shape, signal, dims):
    cube = as_cube(library.zeros(shape, dtype="u2"), signal=signal)
    assert cube.dims == dims
    assert is_lazy(cube) is (library is da)
    assert signal_shape(cube) == shape[len(navigation_shape(cube)) :]
    for dim in dims:
        assert "units" not in cube[dim].attrs
        assert (cube[dim] == np.arange(cube.sizes[dim])).all()


@given(cube=cubes())
def test_counts_are_products_of_shapes(cube: xr.DataArray):
    assert navigation_dims(cube) + signal_dims(cube) == cube.dims
    assert n_pixels(cube) * n_features(cube) == cube.size
    assert navigation_shape(cube) + signal_shape(cube) == cube.shape


@given(cube=cubes(signal=(1,)))
def test_a_cube_is_a_cube_whatever_is_done_to_it(cube: xr.DataArray):
    """The role lives on the coordinates: arithmetic, slicing, transposing and concatenating keep it."""
    with no_compute():
        for changed in (
            cube - 3,
            cube.transpose(*cube.dims[-1:], ...),
            cube[..., :1],
            xr.concat([cube, cube], "x"),
            as_cube(cube),
        ):
            again = check_cube(changed)
            assert navigation_dims(again) == navigation_dims(cube)
            assert signal_dims(again) == signal_dims(cube)


def test_coordinates_are_given_in_any_form():
    x = xr.DataArray([5.0, 4.0, 3.0], dims="x", attrs={"units": "nm"})
    given_coords = {"x": x, "y": ([0.0, 0.5], {"units": "um"}), "energy": np.arange(4) * 10}
    cube = as_cube(np.zeros((2, 3, 4)), signal="energy", coords=given_coords)
    assert cube.x.attrs == {"units": "nm", "role": "navigation"}
    assert cube.y.attrs == {"units": "um", "role": "navigation"}
    assert cube.energy.attrs == {"role": "signal"}
    assert x.attrs == {"units": "nm"}  # what was given is not changed


def test_a_dataarray_keeps_what_it_carries():
    array = xr.DataArray(
        np.zeros((2, 3, 4)),
        dims=("y", "x", "wavelength"),
        coords={"y": ("y", [1.0, 0.0], {"units": "m"}), "lat": (("y", "x"), np.ones((2, 3))), "time": 7},
        attrs={"sensor": "s"},
        name="reflectance",
    )
    cube = as_cube(array)
    assert signal_dims(cube) == ("wavelength",)
    assert cube.attrs == {"sensor": "s"}
    assert cube.name == "reflectance"
    assert cube.lat.dims == ("y", "x")
    assert cube.time == 7
    assert cube.y.attrs["units"] == "m"
    assert "role" not in array.y.attrs
    assert as_cube(array, dims=("a", "b", "c"), signal="c").dims == ("a", "b", "c")
    assert as_cube(array, signal="y").dims == ("x", "wavelength", "y")


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: as_cube(np.zeros((3, 4)), signal="kz", dims=("y", "x")), ("'y'", "'x'", "kz")),
        (lambda: as_cube(np.zeros((3, 4)), signal="x", dims=("y", "y")), ("y",)),
        (lambda: as_cube(np.zeros((3, 4)), signal="x", dims=("y", "x", "z")), ("(3, 4)", "z")),
        (lambda: as_cube(xr.DataArray(np.zeros((3, 4)), dims=("p", "q"))), ("'p'", "'q'")),
        (lambda: as_cube(xr.DataArray(np.zeros((3, 4)), dims=("p", "q")), signal=("p", "q")), ("'p'", "'q'")),
        (lambda: as_cube(np.zeros(4), signal="energy"), ("(4,)", "energy")),
        (lambda: as_cube(np.zeros((2,) * 6), signal="energy"), ("energy",)),
        (lambda: as_cube(np.zeros((3, 0)), signal="energy"), ("energy", "(3, 0)")),
        (lambda: as_cube(np.zeros((3, 4), complex), signal="energy"), ("complex128",)),
        (lambda: as_cube(np.zeros((3, 4)), signal="energy", coords={"x": [1, 2]}), ("'x'", "(2,)", "(3,)")),
        (lambda: as_cube(np.zeros((3, 4)), signal="energy", coords={"y": [1, 2]}), ("'x'", "y")),
        (lambda: check_cube(np.zeros((3, 4))), ("ndarray", "as_cube")),
        (lambda: check_cube(xr.DataArray(np.zeros((3, 4)), dims=("p", "q"))), ("'p'", "'q'")),
        (lambda: as_cube(da.ones(9)[da.ones(9) > 0][:, None] * np.ones(3), signal="energy"), ("'x'", "chunk")),
    ],
)
def test_errors_name_what_was_found(make, names):
    with pytest.raises(CubeError) as raised:
        make()
    for name in names:
        assert name in str(raised.value)
    assert raised.value.remedy


def test_a_cube_error_is_a_value_error():
    with pytest.raises(ValueError):
        check_cube("a path")
