"""A scan is one cube, or several on one navigation grid."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from refold.cube import as_cube, check_scan, cubes_of
from refold.errors import CubeError


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
    assert check_scan(xr.Dataset({"eds": cube})).equals(cube)
    assert check_scan(cube).identical(cube)


def test_navigation_dims_come_first():
    assert check_scan(_cubes()["eds"].transpose("energy", "y", "x")).dims == ("y", "x", "energy")


@pytest.mark.parametrize(
    ("scan", "names"),
    [
        (xr.Dataset(_cubes()), ("diffraction", "eds")),
        (xr.Dataset(), ("without",)),
        ({"a": _cubes()["eds"], "b": _cubes()["diffraction"].rename(y="v")}, ("'y'", "'v'")),
        ({"a": _cubes()["eds"], "b": _cubes()["diffraction"][:1]}, ("'y': 2", "'y': 1")),
        (np.zeros((3, 4)), ("ndarray",)),
        (None, ("NoneType",)),
    ],
)
def test_errors_name_what_was_found(scan, names):
    with pytest.raises(CubeError) as raised:
        check_scan(scan)
    for name in names:
        assert name in str(raised.value)
