"""Centres of mass are SciPy's; the plane of the descan is found and taken off."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from refold.cube import as_cube, n_pixels, navigation_dims, signal_dims
from refold.engine import sweep
from refold.errors import CubeError, DataError
from refold.features import CentreOfMass, centre_of_mass
from tests.engine.cases import grids
from tests.guards import no_compute
from tests.strategies import cubes


@given(cubes(signal=(2,), dtypes=("uint8", "uint16", "float32"), invalid=True))
def test_centres_are_scipys(cube: xr.DataArray):
    cube = abs(cube)
    with no_compute():
        centres = centre_of_mass(cube)
    rows = cube.values.astype("f8").reshape(n_pixels(cube), *(cube.sizes[dim] for dim in signal_dims(cube)))
    y, x = (cube[dim].values.astype("f8") for dim in signal_dims(cube))
    size = max(np.abs(y).max(), np.abs(x).max(), 1)
    for pattern, found in zip(rows, centres.values.reshape(-1, 2), strict=True):
        if not np.isfinite(pattern).all() or not pattern.sum() > 0:
            assert np.isnan(found).all()
            continue
        weights = pattern / pattern.sum()
        wanted = (weights.sum(axis=1) @ y, weights.sum(axis=0) @ x)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6 * size)
        by_index = ndimage.center_of_mass(pattern)
        if np.array_equal(y, np.arange(len(y))) and np.array_equal(x, np.arange(len(x))):
            np.testing.assert_allclose(found, by_index, rtol=1e-5, atol=1e-6)


def tilted(slopes, chunks=None, shape=(8, 10), empty=True):
    """A soft beam that drifts over the scan, at given slopes of (ky, kx) along y and x; one pattern without counts."""
    y, x = np.arange(shape[0]) * 2.0, 50 - np.arange(shape[1]) * 0.5
    k = np.arange(33) * 0.25 - 4
    at = [0.3 + a * y[:, None] + b * (x[None] - 47) for a, b in slopes]
    distance = (k[:, None] - at[0][..., None, None]) ** 2 + (k[None] - at[1][..., None, None]) ** 2
    counts = 1e4 * np.exp(-distance / (2 * 0.5**2))
    if empty:
        counts[0, 0], counts[-1, 0, 3, 3] = 0, np.nan
    data = counts if chunks is None else da.from_array(counts, chunks=chunks)
    return as_cube(data, signal=("ky", "kx"), coords={"y": y, "x": x, "ky": k, "kx": k})


@pytest.mark.parametrize("chunks", [None, (3, 4, 33, 33), (8, 1, 20, 33)])
def test_the_plane_is_found_and_taken_off(chunks):
    slopes = ((0.05, -0.2), (0.01, 0.3))
    cube = tilted(slopes, chunks)
    model = CentreOfMass().fit(cube)
    np.testing.assert_allclose(model.plane_.sel(term=["y", "x"]), slopes, atol=2e-4)
    np.testing.assert_allclose(model.plane_.sel(term="constant"), 0.3 - 47 * np.array([-0.2, 0.3]), atol=1e-2)
    with no_compute():
        flat = model.transform(cube)
    assert flat.dims == ("y", "x", "feature")
    assert flat.along.values.tolist() == ["ky", "kx"]
    assert flat.dtype == np.float32
    assert np.isnan(flat.values).sum() == 4
    assert np.nanmax(np.abs(flat.values)) < 2e-3
    part = model.transform(cube.isel(y=slice(2, 5), x=slice(None, None, -1)))
    np.testing.assert_allclose(part.values, flat.values[2:5, ::-1], atol=1e-6)


@settings(max_examples=10)
@given(st.data(), cubes(signal=(2,), dtypes=("uint8", "uint16"), min_pixels=2))
def test_the_plane_is_that_of_least_squares_however_the_scan_is_cut(data, cube: xr.DataArray):
    model = CentreOfMass()
    centres = centre_of_mass(cube).astype("f8").values.reshape(-1, 2)
    kept = np.isfinite(centres).all(axis=1)
    if not kept.any():
        with pytest.raises(DataError):
            model.fit(cube)
        return
    visitors = model.visitors(cube)
    model.settle(cube, sweep(cube, *visitors, grid=data.draw(grids(cube))))
    places = np.meshgrid(*(cube[dim].values.astype("f8") for dim in navigation_dims(cube)), indexing="ij")
    terms = np.stack([np.ones(len(centres)), *(place.ravel() for place in places)], axis=1)
    wanted = terms @ np.linalg.lstsq(terms[kept], centres[kept], rcond=None)[0]
    found = terms @ model.plane_.values.T
    size = np.abs(centres[kept]).max() + 1
    np.testing.assert_allclose(found[kept], wanted[kept], rtol=1e-4, atol=1e-4 * size)


def test_one_row_has_no_slope_down():
    cube = tilted(((0.0, -0.2), (0.0, 0.3)), shape=(1, 10), empty=False)
    plane = CentreOfMass().fit(cube).plane_
    np.testing.assert_allclose(plane.sel(term="y"), 0, atol=1e-12)
    np.testing.assert_allclose(plane.sel(term="x"), (-0.2, 0.3), atol=1e-3)


def test_without_descan_nothing_is_read():
    cube = tilted(((0.05, -0.2), (0.01, 0.3)), chunks=(4, 4, 33, 33))
    with no_compute():
        model = CentreOfMass(descan=False).fit(cube)
        assert model.visitors(cube) == ()
        centres = model.transform(cube)
    xr.testing.assert_identical(centres.compute(), centre_of_mass(cube).compute())


def test_only_what_is_not_masked_counts():
    values = np.ones((1, 1, 9, 9))
    values[0, 0, 0, 0] = 1e9
    cube = as_cube(values, signal=("ky", "kx"))
    mask = xr.DataArray(np.zeros((9, 9), bool), dims=("kx", "ky"))
    mask[0, 0] = True
    assert centre_of_mass(cube, mask=mask).values.ravel() == pytest.approx((4.05, 4.05))


def test_what_does_not_fit_is_refused():
    cube = tilted(((0.05, -0.2), (0.01, 0.3)))
    with pytest.raises(CubeError, match="as was fitted"):
        CentreOfMass().fit(cube).transform(cube.isel(y=0, drop=True))
    with pytest.raises(DataError):
        CentreOfMass().fit(cube * 0)
