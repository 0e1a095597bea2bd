"""GeoTIFF scenes: values and place as rasterio's, tiles read whole, and files without a place left to others."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import tifffile

import refold
from refold.cube.georeference import crs_of, transform_of
from refold.errors import MissingDependencyError, SourceError
from refold.source.geotiff import _Opened, is_georeferenced
from tests.guards import no_compute
from tests.source.scene_files import NO_DATA, as_reflectance, geotiff, reflectances

rasterio = pytest.importorskip("rasterio")

SHAPE = (37, 40, 5)
LAYOUTS = {
    "strips by band": {"interleave": "band"},
    "strips of pixels": {"interleave": "pixel"},
    "tiles by band": {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 16},
    "tiles of pixels": {
        "interleave": "pixel", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate",
    },
    "big": {"BIGTIFF": "YES"},
    "big-endian": {"ENDIANNESS": "BIG"},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_are_those_of_rasterio_scaled_with_nan_for_no_data(tmp_path, layout):
    stored = reflectances(SHAPE)
    path = geotiff(tmp_path / "scene.tif", stored, nodata=NO_DATA, **LAYOUTS[layout])
    with no_compute():
        cube = refold.open(path)
    assert (cube.dims, cube.dtype) == (("y", "x", "wavelength"), np.float32)
    np.testing.assert_array_equal(cube, as_reflectance(stored))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube)), as_reflectance(stored))
    assert cube.wavelength.values.tolist() == [400.0, 410.0, 420.0, 430.0, 440.0]
    assert cube.wavelength.attrs["units"] == "nm"
    assert (cube.fwhm == 6.5).all()
    assert cube.good.values.tolist() == [True, False, True, True, True]
    with rasterio.open(path) as judge:
        assert transform_of(cube) == tuple(judge.transform)[:6]
        assert rasterio.CRS.from_wkt(crs_of(cube)) == judge.crs


def test_each_stored_tile_is_read_once(tmp_path, monkeypatch):
    stored = reflectances((70, 50, 3))
    path = geotiff(tmp_path / "scene.tif", stored, tiled=True, blockxsize=16, blockysize=32)
    regions = []
    read = _Opened.read
    monkeypatch.setattr(_Opened, "read", lambda self, region: [regions.append(region), read(self, region)][1])
    cube = refold.open(path, chunks={"y": 32, "x": 16})
    (moments,) = refold.sweep(cube, refold.Moments())
    np.testing.assert_allclose(moments.mean, (stored / 10_000).mean(axis=(0, 1)), rtol=1e-5)
    corners = sorted((rows.start, columns.start) for _, rows, columns in regions)
    assert corners == [(y, x) for y in range(0, 70, 32) for x in range(0, 50, 16)]
    assert all(bands == slice(0, 3) for bands, _, _ in regions)


def test_bands_may_have_scales_of_their_own(tmp_path):
    stored = np.random.default_rng(0).integers(0, 100, (4, 3, 3)).astype("int16")
    path = geotiff(tmp_path / "scene.tif", stored)
    scales, offsets = np.array([0.5, 0.001, 1.0]), np.array([0.0, 0.0, 2.0])
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = scales, offsets
    np.testing.assert_array_equal(refold.open(path), (stored * scales + offsets).astype("float32"))


def test_counts_without_scale_and_no_data_stay_counts(tmp_path):
    stored = np.random.default_rng(0).integers(0, 100, (4, 3, 3)).astype("uint16")
    path = geotiff(tmp_path / "scene.tif", stored)
    with rasterio.open(path, "r+") as file:
        file.scales = [1.0] * 3
    cube = refold.open(path)
    assert cube.dtype == np.uint16
    np.testing.assert_array_equal(cube, stored)


def test_one_band_is_a_picture_on_the_map(tmp_path):
    labels = geotiff(tmp_path / "labels.tif", np.arange(6, dtype="uint8").reshape(2, 3, 1))
    picture = refold.open(labels)
    assert (picture.dims, picture.shape) == (("y", "x"), (2, 3))
    assert transform_of(picture) == (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0)


def test_a_turned_scene_gets_no_wrong_coordinates(tmp_path):
    path = geotiff(tmp_path / "scene.tif", reflectances((4, 5, 3)), transform=(28.0, 5.0, 0.0, 5.0, -28.0, 0.0))
    cube = refold.open(path)
    assert "rotated" in cube.y.attrs["calibration"]
    assert (transform_of(cube), crs_of(cube)) == (None, None)


def test_a_tiff_without_a_place_opens_as_before(tmp_path, monkeypatch):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.arange(24, dtype="uint16").reshape(2, 3, 4))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert not is_georeferenced(path)
    assert refold.open(path).attrs["reader"] == "TIFF"


def test_without_rasterio_it_says_what_to_install(tmp_path, monkeypatch):
    path = geotiff(tmp_path / "scene.tif", reflectances((4, 5, 3)))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingDependencyError, match=r"refold\[geo\]"):
        refold.open(path)


def test_a_file_that_was_cut_off_is_named(tmp_path):
    path = geotiff(tmp_path / "scene.tif", reflectances(SHAPE))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"scene\.tif"):
        refold.open(path).compute()
    path.write_bytes(whole[:6])
    assert not is_georeferenced(path)


def test_the_six_empty_bands_of_enmap_are_found(shared_data):
    folder = shared_data / "hyperspectral" / "enmap_potsdam" / "images"
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        pytest.skip(f"{folder} is not there")
    assert len(paths) == 6
    for path in paths:
        cube = refold.open(path)
        assert np.flatnonzero(~cube.good).tolist() == [129, 130, 131, 132, 133, 134]
        with rasterio.open(path) as file:
            stored, tags, transform = file.read(), file.tags(1), file.transform
        expected = np.moveaxis((stored.astype("f8") * 0.0001).astype("f4"), 0, -1)
        expected[np.moveaxis(stored, 0, -1) == -32768] = np.nan
        np.testing.assert_array_equal(cube, expected)
        assert np.isfinite(refold.bands(cube)).all()
        assert refold.bands(cube).sizes["wavelength"] == 218
        assert float(cube.wavelength[0]) == float(tags["wavelength"])
        assert transform_of(cube) == tuple(transform)[:6]
    labels = refold.open(shared_data / "hyperspectral" / "enmap_potsdam" / "labels" / paths[0].name)
    assert labels.dims == ("y", "x")


def test_empty_bands_of_enmap_are_found_where_the_file_does_not_list_them(shared_data, tmp_path):
    path = shared_data / "hyperspectral" / "enmap_potsdam" / "images" / "enmap_potsdam_tile_64_0.tif"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with rasterio.open(path) as file:
        stored, profile = file.read(), file.profile
    with rasterio.open(tmp_path / "bare.tif", "w", **profile) as file:
        file.write(stored)
    cube = refold.open(tmp_path / "bare.tif")
    assert cube.dims == ("y", "x", "band")
    assert refold.info(tmp_path / "bare.tif")[0].bad_bands is None
    assert np.flatnonzero(~cube.good).tolist() == [129, 130, 131, 132, 133, 134]
