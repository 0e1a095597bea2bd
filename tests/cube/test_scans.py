"""A scan is one cube, or several on one navigation grid."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from refold.cube import as_cube, cubes_of, image_as_cube, navigation_dims, signal_dims
from refold.errors import CubeError
from tests.guards import no_compute


def _cubes() -> dict[str, xr.DataArray]:
    return {
        "diffraction": as_cube(np.zeros((2, 3, 4, 5)), signal=("ky", "kx")),
        "eds": as_cube(np.zeros((2, 3, 6)), signal="energy"),
    }


def test_cubes_of_a_dataset_by_name():
    cubes = cubes_of(xr.Dataset(_cubes()))
    assert list(cubes) == ["diffraction", "eds"]
    assert cubes["eds"].dims == ("y", "x", "energy")


def test_one_cube_is_a_scan():
    cube = _cubes()["eds"]
    assert list(cubes_of(cube)) == ["signal"]
    assert list(cubes_of(cube.rename("counts"))) == ["counts"]
    assert cubes_of(xr.Dataset({"eds": cube}))["eds"].equals(cube)
    assert cubes_of(cube)["signal"].identical(cube)


def test_navigation_dims_come_first():
    assert cubes_of(_cubes()["eds"].transpose("energy", "y", "x"))["signal"].dims == ("y", "x", "energy")


@pytest.mark.parametrize(
    ("scan", "names"),
    [
        (xr.Dataset(), ("without",)),
        ({"a": _cubes()["eds"], "b": _cubes()["diffraction"].rename(y="v")}, ("'y'", "'v'")),
        ({"a": _cubes()["eds"], "b": _cubes()["diffraction"][:1]}, ("'y': 2", "'y': 1")),
        (np.zeros((3, 4)), ("ndarray",)),
        (None, ("NoneType",)),
    ],
)
def test_errors_name_what_was_found(scan, names):
    with pytest.raises(CubeError) as raised:
        cubes_of(scan)
    for name in names:
        assert name in str(raised.value)


def test_cubes_on_other_grids_are_cubes_of_a_scan_where_they_will_be_aligned():
    scan = {"a": _cubes()["eds"], "b": _cubes()["diffraction"][:1]}
    assert list(cubes_of(scan, same_grid=False)) == ["a", "b"]


def test_a_picture_on_the_same_grid_is_a_cube_of_one_channel():
    picture = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("y", "x"), name="bse", attrs={"units": "counts"})
    cubes = cubes_of(xr.Dataset({**_cubes(), "bse": picture}))
    assert cubes["bse"].dims == ("y", "x", "channel")
    np.testing.assert_array_equal(cubes["bse"].isel(channel=0), picture)
    assert cubes["bse"].attrs == picture.attrs
    assert cubes["bse"].y.identical(cubes["eds"].y)


def test_a_picture_in_a_mapping_may_have_other_roles_or_none_and_another_order():
    picture = as_cube(np.arange(6).reshape(3, 2), dims=("x", "y"), signal="y")
    cubes = cubes_of({"eds": _cubes()["eds"], "bse": xr.DataArray(picture.values, dims=("x", "y"))})
    assert cubes["bse"].dims == ("y", "x", "channel")
    np.testing.assert_array_equal(cubes["bse"].isel(channel=0).T, picture)


def test_pictures_alone_are_a_scan_if_they_say_that_they_were_scanned():
    one = image_as_cube(xr.DataArray(np.ones((2, 3)), dims=("v", "u"))).isel(channel=0, drop=True)
    assert cubes_of(xr.Dataset({"a": one, "b": one}))["b"].dims == ("v", "u", "channel")
    with pytest.raises(CubeError):
        cubes_of(xr.Dataset({"a": xr.DataArray(np.ones((2, 3)), dims=("v", "u"))}))


def test_a_picture_keeps_its_coordinates_and_stays_lazy():
    coords = {"x": ("x", [3.0, 2.0, 1.0], {"units": "nm", "role": "signal"})}
    picture = xr.DataArray(np.ones((2, 3), "uint8"), dims=("y", "x"), coords=coords).chunk(x=2)
    with no_compute():
        cube = image_as_cube(picture)
    assert cube.chunks == ((2,), (2, 1), (1,))
    assert cube.dtype == np.uint8
    assert navigation_dims(cube) == ("y", "x")
    assert signal_dims(cube) == ("channel",)
    assert cube.x.attrs == {"units": "nm", "role": "navigation"}
