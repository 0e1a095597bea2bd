"""NEON's scenes: calibrated and placed as the file says, no data as NaN, and each chunk read once."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

import refold
from refold.cube import check_cube, navigation_dims
from refold.cube.georeference import crs_of, transform_of
from refold.errors import SourceError
from tests.guards import count_reads, no_compute
from tests.source.scene_files import MAP_INFO, WINDOWS, as_reflectance, neon, reflectances

SHAPE = (17, 11, 22)
CHUNKED = {"chunks": (5, 4, 6), "compression": "gzip"}


@pytest.mark.parametrize("layout", [{}, CHUNKED], ids=["in one piece", "chunks"])
def test_values_are_those_of_h5py_scaled_with_nan_for_no_data(tmp_path, layout):
    stored = reflectances(SHAPE)
    path = neon(tmp_path / "scene.h5", stored, **layout)
    with no_compute():
        cube = check_cube(refold.open(path))
    assert (cube.dims, cube.dtype) == (("y", "x", "wavelength"), np.float32)
    np.testing.assert_array_equal(cube, as_reflectance(stored))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube.data)), as_reflectance(stored))


def test_a_no_data_value_of_64_bits_keeps_all_its_digits(tmp_path):
    stored = np.ones((3, 4, 5), "int64")
    stored[1, 2] = -9223372036854775806
    path = neon(tmp_path / "scene.h5", stored)
    with h5py.File(path, "r+") as file:
        file["SJER/Reflectance/Reflectance_Data"].attrs["Data_Ignore_Value"] = stored[1, 2, :1]
    np.testing.assert_array_equal(np.isnan(refold.open(path)), stored != 1)


def test_bands_have_wavelengths_widths_and_bad_windows(tmp_path):
    cube = refold.open(neon(tmp_path / "scene.h5", reflectances(SHAPE)))
    wavelength = np.linspace(400, 2500, SHAPE[2])
    np.testing.assert_array_equal(cube.wavelength, wavelength)
    assert cube.wavelength.attrs["units"] == cube.fwhm.attrs["units"] == "nm"
    assert (cube.fwhm == 5.5).all()
    bad = np.any([(wavelength >= low) & (wavelength <= high) for low, high in WINDOWS], axis=0)
    assert bad.sum() == 3
    np.testing.assert_array_equal(cube.good, ~bad)


def test_a_band_without_any_data_is_not_good(tmp_path):
    cube = refold.open(neon(tmp_path / "scene.h5", reflectances(SHAPE, empty_band=4), **CHUNKED))
    assert not cube.good[4]
    assert np.isnan(cube[..., 4]).all()
    assert cube.good[[3, 5]].all()


@pytest.mark.parametrize("place", ["map info", "extent"])
def test_rows_and_columns_lie_on_the_map(tmp_path, place):
    cube = refold.open(neon(tmp_path / "scene.h5", reflectances(SHAPE), place=place))
    assert transform_of(cube) == (2.0, 0.0, 257000.0, 0.0, -1.0, 4112000.0)
    assert cube.y.attrs == cube.x.attrs == {"role": "navigation", "units": "m"}
    assert 'ID["EPSG",32611]' in crs_of(cube)
    assert ("map_info" in cube.attrs) == (place == "map info")
    if place == "map info":
        assert cube.attrs["map_info"].split(", ")[:3] == [part.strip() for part in MAP_INFO.split(",")[:3]]


@pytest.mark.parametrize("place", ["map info", "extent"])
@pytest.mark.parametrize("code", [b"0", b"EPSG:0", b"999999"])
def test_a_scene_opens_whatever_its_code_is(tmp_path, place, code):
    pytest.importorskip("pyproj")
    path = neon(tmp_path / "scene.h5", reflectances(SHAPE), place=place)
    with h5py.File(path, "r+") as file:
        system = file["SJER/Reflectance/Metadata/Coordinate_System"]
        del system["EPSG Code"]
        system["EPSG Code"] = code
    cube, listed = refold.open(path), refold.info(path)
    known = place == "map info" and code != b"999999"  # map info names the system too
    assert (crs_of(cube) is not None) == known
    assert listed[0].crs == ("WGS 84 / UTM zone 11N (EPSG:32611)" if known else None)
    assert cube.attrs.get("reference_system") == ("999999" if code == b"999999" else None)
    assert transform_of(cube) == (2.0, 0.0, 257000.0, 0.0, -1.0, 4112000.0)


def test_rasters_beside_the_cube_open_by_name(tmp_path):
    path = neon(tmp_path / "scene.h5", reflectances(SHAPE))
    listed = refold.info(path)
    assert [signal.name for signal in listed] == [
        "Reflectance",
        "Smooth_Surface_Elevation",
        "Weather_Quality_Indicator",
    ]
    assert [signal.default for signal in listed] == [True, False, False]
    cube, elevation = refold.open(path), refold.open(path, "Smooth_Surface_Elevation")
    assert navigation_dims(elevation) == ("y", "x")
    np.testing.assert_array_equal(elevation.x, cube.x)
    assert np.isnan(elevation[0, 0])
    assert elevation[0, 1] == 1
    assert refold.open(path, "Weather_Quality_Indicator").dims == ("y", "x", "channel")


def test_info_tells_bands_and_place_without_a_look_at_the_data(tmp_path):
    path = neon(tmp_path / "scene.h5", reflectances(SHAPE), **CHUNKED)
    with count_reads() as reads:
        told = refold.info(path)[0]
    assert reads.total == 0
    assert told.ranges == ((4111999.5, 4111983.5), (257001.0, 257021.0), (400.0, 2500.0))
    assert told.crs == "WGS 84 / UTM zone 11N (EPSG:32611)"
    assert told.bad_bands == 3


def test_each_chunk_is_read_once_and_few_to_look_for_empty_bands(tmp_path):
    shape = (90, 80, 12)
    stored = reflectances(shape)
    path = neon(tmp_path / "scene.h5", stored, chunks=(5, 4, 6), compression="gzip")
    with count_reads() as reads:
        cube = refold.open(path)
    assert 0 < len(reads.gets) <= 16 * 2  # spots, and chunks along the bands
    with count_reads() as reads:
        (moments,) = refold.sweep(cube, refold.Moments(), memory="64MB")
    assert len(reads.gets) == 18 * 20 * 2
    assert set(reads.gets.values()) == {1}
    np.testing.assert_allclose(moments.mean, np.nanmean(as_reflectance(stored), axis=(0, 1)), rtol=1e-5)
    assert moments.count == np.isfinite(as_reflectance(stored)[..., 0]).sum()


def test_a_broken_chunk_is_named(tmp_path):
    path = neon(tmp_path / "scene.h5", reflectances(SHAPE), **CHUNKED)
    with h5py.File(path, "r+") as file:
        data = file["SJER/Reflectance/Reflectance_Data"]
        del data.attrs["Data_Ignore_Value"]
        data.id.write_direct_chunk((0, 0, 0), b"no deflated bytes at all")
    with pytest.raises(SourceError, match=r"chunk \(0, 0, 0\)"):
        refold.open(path).compute()


def test_the_recorded_scene(shared_data):
    path = shared_data / "hyperspectral" / "neon" / "sjer_reflectance_30x30.h5"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    cube = refold.open(path)
    with h5py.File(path) as file:
        stored = file["SJER/Reflectance/Reflectance_Data"][...]
        wavelengths = file["SJER/Reflectance/Metadata/Spectral_Data/Wavelength"][...]
    np.testing.assert_array_equal(cube, as_reflectance(stored))
    np.testing.assert_array_equal(cube.wavelength, wavelengths)
    assert cube.good.all()
    assert transform_of(cube) == (1.0, 0.0, 257000.0, 0.0, -1.0, 4112000.0)
    assert cube.rio.crs.to_epsg() == 32611 if hasattr(cube, "rio") else crs_of(cube)
