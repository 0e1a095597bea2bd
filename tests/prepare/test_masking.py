"""Laws of masking."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, navigation_dims, signal_dims
from refold.errors import ParameterError
from refold.prepare import mask
from tests.guards import no_compute
from tests.strategies import cubes


def some(cube: xr.DataArray, dims: tuple[str, ...], data: st.DataObject) -> xr.DataArray:
    shape = tuple(cube.sizes[dim] for dim in dims)
    chosen = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape) < 0.5
    chosen.flat[0] = False
    return xr.DataArray(chosen, dims=dims)


@given(cubes(), st.data())
def test_masked_channels_are_filled_and_the_rest_is_kept(cube: xr.DataArray, data: st.DataObject) -> None:
    masked = some(cube, signal_dims(cube), data)
    with no_compute():
        result = mask(cube, masked)
    assert result.dtype == cube.dtype
    xr.testing.assert_identical(result.compute(), cube.where(~masked, 0).astype(cube.dtype).compute())
    assert result.chunks == cube.chunks


@given(cubes(), st.data(), st.booleans())
def test_masked_pixels_are_invalid(cube: xr.DataArray, data: st.DataObject, lazy: bool) -> None:
    masked = some(cube, navigation_dims(cube), data)
    with no_compute():
        result = mask(cube, masked.chunk() if lazy else masked)
    assert result.dtype.kind == "f"
    missing = np.isnan(result.values)
    np.testing.assert_array_equal(
        missing, np.broadcast_to(masked.broadcast_like(cube).transpose(*cube.dims), cube.shape)
    )
    np.testing.assert_array_equal(result.values[~missing], cube.values[~missing])
    zeroed = mask(cube, masked, fill=0)
    assert zeroed.dtype == cube.dtype
    assert not zeroed.values[missing].any()


@given(cubes(signal=(2,)), st.data())
def test_inside_is_the_complement(cube: xr.DataArray, data: st.DataObject) -> None:
    masked = some(cube, signal_dims(cube), data)
    masked[dict.fromkeys(masked.dims, -1)] = masked.size > 1
    if masked.size > 1:
        left, kept = mask(cube, masked), mask(cube, masked, inside=True)
        np.testing.assert_array_equal(left.values + kept.values, cube.values)


def pattern(n: int = 9) -> xr.DataArray:
    k = (np.arange(n) - n // 2) * 0.1
    return as_cube(np.ones((2, 2, n, n), "uint16"), signal=("ky", "kx"), coords={"ky": k[::-1].copy(), "kx": k}).chunk(
        x=1
    )


@pytest.mark.parametrize("form", [((0.1, -0.2), 0.25), (0.1, -0.2, 0.25), [[0.1, -0.2], 0.25]])
def test_a_circle_lies_where_its_coordinates_say(form: object) -> None:
    cube = pattern()
    distance = np.hypot(cube.ky - 0.1, cube.kx + 0.2).transpose("ky", "kx")
    np.testing.assert_array_equal(mask(cube, circle=form).isel(y=0, x=0), distance > 0.25)
    np.testing.assert_array_equal(mask(cube, circle=form, inside=True).isel(y=0, x=0), distance <= 0.25)


def test_an_annulus_lies_between_two_circles() -> None:
    cube = pattern()
    distance = np.hypot(cube.ky, cube.kx)
    kept = mask(cube, annulus=((0, 0), 0.15, 0.32), inside=True).isel(y=0, x=0)
    np.testing.assert_array_equal(kept, (distance >= 0.15) & (distance <= 0.32))


def test_a_window_of_a_spectrum() -> None:
    cube = as_cube(np.ones((2, 5)), signal="energy", coords={"energy": np.arange(5) * 10.0})
    assert mask(cube, circle=(20, 10)).values[0].tolist() == [1, 0, 0, 0, 1]
    assert mask(cube, circle=(20, 10), drop=True).energy.values.tolist() == [0, 40]


def test_a_plain_array_goes_where_its_shape_fits() -> None:
    cube = as_cube(np.ones((2, 3, 4, 5)), signal=("ky", "kx"))
    assert np.isnan(mask(cube, np.eye(2, 3, dtype=bool)).values).sum() == 2 * 20
    assert (mask(cube, np.eye(4, 5, dtype=bool)).values == 0).sum() == 4 * 6
    square = as_cube(np.ones((3, 3, 3, 3)), signal=("ky", "kx"))
    with pytest.raises(ParameterError, match="pass dims="):
        mask(square, np.eye(3, dtype=bool))
    assert np.isnan(mask(square, np.eye(3, dtype=bool), dims=("y", "x")).values).any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "0 masks"),
        ({"circle": (0, 0, 1), "annulus": (0, 0, 1, 2)}, "2 masks"),
        ({"circle": (0, 1)}, r"\(centre, radius\) with 2 numbers"),
        ({"circle": ("a", 0, 1)}, "numbers"),
        ({"circle": (0, 0, -1)}, "radii of 0 or more"),
        ({"annulus": (0, 0, 2, 1)}, "the outer one larger"),
        ({"circle": (0, 0, 100)}, "leaves nothing"),
        ({"circle": (0, 0, 0.1), "fill": 0.5}, "a value that uint16 holds"),
        ({"circle": (0, 0, 0.1), "fill": np.nan}, "every pixel invalid"),
        ({"circle": (0, 0, 0.1), "drop": True}, "over a single dim"),
        ({"array": np.zeros((7, 7), bool)}, "signal or the navigation shape"),
        ({"array": np.zeros((9, 9))}, "booleans"),
        ({"array": xr.DataArray(np.zeros(2, bool), dims="z")}, "one of the dims"),
        ({"array": xr.DataArray(np.zeros((2, 9), bool), dims=("y", "ky"))}, "either signal dims"),
        ({"array": xr.DataArray(np.zeros(8, bool), dims="ky")}, "9, as the cube has"),
        ({"array": xr.DataArray(np.zeros(9, bool), dims="kx", coords={"kx": np.arange(9)})}, "other positions"),
    ],
)
def test_errors(options: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        mask(pattern(), **options)


def test_lazy_masks_stay_lazy() -> None:
    cube = pattern()
    bright = xr.DataArray(da.from_array(np.array([[True, False], [False, False]]), chunks=1), dims=("y", "x"))
    with no_compute():
        result = mask(cube, bright)
    assert np.isnan(result.values[0, 0]).all()
    assert np.isfinite(result.values[1]).all()
