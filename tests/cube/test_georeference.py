"""Where a scene lies: there and back, as rioxarray reads it, and through everything that is done to a cube."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.cube.georeference import crs_of, georeference, map_positions, name_of, spatial_ref, transform_of, units_of
from refold.errors import CubeError
from tests.runs import run

NORTH_UP = (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0)


def scene(shape=(12, 10), bands=6, transform=NORTH_UP, crs: object = 32633) -> xr.DataArray:
    values = np.random.default_rng(0).random((*shape, bands)).astype("f4") + np.arange(shape[0])[:, None, None]
    cube = as_cube(values, signal="wavelength", coords={"wavelength": (400.0 + np.arange(bands), {"units": "nm"})})
    return georeference(cube.chunk(y=5), transform, crs).assign_coords(good=("wavelength", np.arange(bands) != 1))


@given(
    shape=st.tuples(st.integers(1, 50), st.integers(2, 50)),
    pixel=st.tuples(st.sampled_from([0.25, 1.0, 30.0, 1 / 3600]), st.sampled_from([-30.0, -0.1, 0.5])),
    corner=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e7, 1e7)),
)
def test_the_transform_comes_back(shape, pixel, corner):
    transform = (pixel[0], 0.0, corner[0], 0.0, -pixel[0] if shape[0] == 1 else pixel[1], corner[1])
    placed = georeference(xr.DataArray(np.zeros(shape), dims=("y", "x")), transform)
    assert transform_of(placed) == pytest.approx(transform, rel=1e-6, abs=1e-6)


def test_positions_are_pixel_centres_with_units_and_roles():
    cube = scene()
    assert (float(cube.x[0]), float(cube.y[0])) == (366030.0, 5809950.0)
    assert cube.x.attrs == cube.y.attrs == {"role": "navigation", "units": "m"}
    assert set(cube.spatial_ref.attrs) == {"crs_wkt", "spatial_ref"}
    assert cube.spatial_ref.dims == ()


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's own
def test_rioxarray_reads_the_same():
    pytest.importorskip("rioxarray")
    cube = scene()
    assert cube.rio.crs.to_epsg() == 32633
    assert tuple(cube.rio.transform())[:6] == NORTH_UP
    assert cube.rio.bounds() == (366015.0, 5809605.0, 366315.0, 5809965.0)


@pytest.mark.parametrize("crs", [4326, "EPSG:4326", "WKT", "object"])
def test_reference_systems_are_taken_in_any_form(crs):
    pyproj = pytest.importorskip("pyproj")
    judge = pyproj.CRS.from_epsg(4326)
    given_as = {"WKT": judge.to_wkt(), "object": judge}.get(crs, crs)
    cube = scene(crs=given_as)
    assert pyproj.CRS.from_wkt(crs_of(cube)) == judge
    assert cube.x.attrs["units"] == "°"
    assert name_of(crs_of(cube)) == "WGS 84 (EPSG:4326)"


def test_what_is_wrong_is_said():
    with pytest.raises(CubeError, match="without rotation"):
        map_positions((1.0, 0.1, 0.0, 0.0, -1.0, 0.0), (2, 2))
    with pytest.raises(CubeError, match="dims y and x"):
        georeference(xr.DataArray(np.zeros(3), dims="x"), NORTH_UP)
    with pytest.raises(CubeError, match="'EPSG:32611'"):
        spatial_ref("nowhere")
    uneven = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords={"y": [0.0, 1.0], "x": [0.0, 1.0, 3.0]})
    assert (transform_of(uneven), crs_of(uneven), units_of("nowhere")) == (None, None, None)
    assert transform_of(as_cube(np.ones((3, 4, 2)), signal="wavelength")) is None


def test_a_single_row_or_column_has_square_pixels():
    cube = scene()
    assert transform_of(cube[2:3]) == (30.0, 0.0, 366015.0, 0.0, -30.0, 5809905.0)
    assert transform_of(cube[:, 1:2]) == (30.0, 0.0, 366045.0, 0.0, -30.0, 5809965.0)
    assert transform_of(cube[:1, :1]) is None


def test_without_pyproj_a_code_stays_a_code(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyproj", None)
    cube = scene(crs=32633)
    assert (crs_of(cube), cube.spatial_ref.attrs) == ("EPSG:32633", {"spatial_ref": "EPSG:32633"})


@pytest.mark.parametrize(
    ("change", "transform"),
    [
        (lambda cube: refold.crop(cube, x=(366100, 366200)), (30.0, 0.0, 366105.0, 0.0, -30.0, 5809965.0)),
        (lambda cube: refold.rebin(cube, y=2, x=2), (60.0, 0.0, 366015.0, 0.0, -60.0, 5809965.0)),
        (lambda cube: refold.bands(cube, step=2), NORTH_UP),
        (lambda cube: refold.mask(cube, np.eye(12, 10, dtype=bool)), NORTH_UP),
        (lambda cube: refold.log1p(refold.normalise(refold.clip(cube, 0, 5))), NORTH_UP),
        (lambda cube: refold.fold(refold.unfold(cube)), NORTH_UP),
        (lambda cube: refold.PCA(2).fit(cube).transform(cube), NORTH_UP),
    ],
    ids=["crop", "rebin", "bands", "mask", "values", "unfold and fold", "PCA"],
)
def test_a_scene_keeps_its_place(change, transform):
    cube = scene()
    changed = change(cube)
    assert transform_of(changed) == pytest.approx(transform)
    assert crs_of(changed) == crs_of(cube)
    assert changed.y.attrs["units"] == "m"


def test_a_run_keeps_the_place_of_its_scene(tmp_path):
    cube = scene(shape=(24, 20))
    run(cube, tmp_path / "scene.run.zarr", rebin={"y": 2, "x": 2}, cluster="kmeans", n_clusters=3, n_components=2)
    answer = refold.open_run(tmp_path / "scene.run.zarr")
    assert transform_of(answer) == NORTH_UP
    for name in ("labels", "probability"):
        assert crs_of(answer[name]) == crs_of(cube)
        np.testing.assert_array_equal(answer[name].y, cube.y)
