"""NetCDF scenes: values as xarray decodes them, bands and maps of other groups, and each chunk read once."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

import refold
from refold.cube import navigation_dims
from refold.cube.georeference import crs_of, transform_of
from refold.errors import MissingDependencyError, SourceError
from tests.guards import count_reads, no_compute
from tests.source.scene_files import NO_DATA, emit

pytest.importorskip("h5netcdf")
ENGINES = ["h5netcdf", "scipy"]


def packed(path, engine: str, **encoding) -> xr.Dataset:
    """A scene bands first, packed into 16 bits, on a map; gives what xarray decodes of it."""
    values = np.random.default_rng(0).random((3, 8, 6))
    values[:, 2, 3] = np.nan
    coords = {
        "wavelength": ("wavelength", [0.4, 0.5, 0.6], {"units": "um"}),
        "y": ("y", 5000.0 - 30 * np.arange(8), {"units": "metre"}),
        "x": 300.0 + 30 * np.arange(6),
        "crs": ((), 0, {"crs_wkt": 'PROJCS["Here",GEOGCS["There"],UNIT["metre",1]]'}),
    }
    scene = xr.Dataset({"radiance": (("wavelength", "y", "x"), values, {"long_name": "radiance"})}, coords)
    stored = {"dtype": "int16", "scale_factor": 0.0001, "add_offset": 0.25, "_FillValue": -1, "grid_mapping": "crs"}
    scene.to_netcdf(path, engine=engine, encoding={"radiance": {**stored, **encoding}})
    with xr.open_dataset(path, engine=engine) as judge:
        return judge.load()


@pytest.mark.parametrize("engine", ENGINES)
def test_values_are_those_of_xarray(tmp_path, engine):
    judge = packed(tmp_path / "scene.nc", engine)
    with no_compute():
        cube = refold.open(tmp_path / "scene.nc")
    assert (cube.name, cube.dims, cube.dtype) == ("radiance", ("y", "x", "wavelength"), np.float32)
    np.testing.assert_allclose(cube, judge.radiance.transpose(*cube.dims), rtol=2e-6)
    np.testing.assert_allclose(cube.wavelength, [400, 500, 600])
    np.testing.assert_array_equal(cube.y, judge.y)
    assert (cube.wavelength.attrs["units"], cube.y.attrs["units"]) == ("nm", "m")
    assert (transform_of(cube), crs_of(cube)[:13]) == ((30.0, 0.0, 285.0, 0.0, -30.0, 5015.0), 'PROJCS["Here"')
    assert cube.attrs["long_name"] == "radiance"
    assert cube.good.all()
    assert not {"scale_factor", "_FillValue", "grid_mapping"} & set(cube.attrs)


def test_a_swath_gathers_its_bands_and_its_map_from_other_groups(tmp_path):
    stored = np.random.default_rng(0).random((12, 10, 5)).astype("f4")
    stored[3, 4] = NO_DATA
    stored[..., 3] = NO_DATA
    path = emit(tmp_path / "scene.nc", stored, chunks=(4, 5, 5), compression="gzip")
    with no_compute():
        cube = refold.open(path)
    np.testing.assert_array_equal(cube, np.where(stored == NO_DATA, np.float32(np.nan), stored))
    assert navigation_dims(cube) == ("y", "x")
    np.testing.assert_allclose(cube.wavelength, np.linspace(400, 2500, 5))
    assert (cube.fwhm == 8.5).all()
    assert cube.good.values.tolist() == [True, True, False, False, True]
    assert cube.lat.dims == ("y", "x")
    assert cube.lat.chunks is not None
    assert cube.lat[1, 2] == 12
    assert (cube.y.attrs["long_name"], crs_of(cube)) == ("downtrack", None)
    refold.convert(path, tmp_path / "scene.zarr")
    np.testing.assert_array_equal(refold.open(tmp_path / "scene.zarr"), cube)
    with count_reads() as reads:
        refold.sweep(cube, refold.Moments())
    assert len(reads.gets) == 6
    assert set(reads.gets.values()) == {1}


def test_a_time_series_of_maps_is_a_signal_over_time(tmp_path):
    series = xr.DataArray(
        np.random.default_rng(0).random((4, 3, 5)),
        dims=("time", "lat", "lon"),
        coords={"time": np.arange("2020-01-01", "2020-01-05", dtype="M8[D]").astype("M8[ns]"), "lat": [3.0, 2.0, 1.0]},
        name="ndvi",
    )
    series.to_netcdf(tmp_path / "series.nc", engine="h5netcdf")
    cube = refold.open(tmp_path / "series.nc")
    assert cube.dims == ("y", "x", "time")
    assert cube.time.values[0] == np.datetime64("2020-01-01")
    assert cube.y.values.tolist() == [3.0, 2.0, 1.0]
    np.testing.assert_array_equal(cube, series.transpose("lat", "lon", "time"))


@pytest.mark.parametrize(
    ("said", "name", "unread"),
    [
        ({"spatial_ref": ""}, None, None),
        ({"crs_wkt": " ", "spatial_ref": "", "epsg_code": "EPSG:32633"}, "WGS 84 / UTM zone 33N (EPSG:32633)", None),
        ({"spatial_ref": "EPSG:0", "epsg_code": 32633}, "WGS 84 / UTM zone 33N (EPSG:32633)", None),
        ({"spatial_ref": "", "grid_mapping_name": "latitude_longitude"}, "undefined", None),
        ({"spatial_ref": "the usual one"}, None, "the usual one"),
    ],
)
def test_a_scene_opens_whatever_its_grid_mapping_says(tmp_path, said, name, unread):
    pytest.importorskip("pyproj")
    scene = xr.Dataset({"v": (("y", "x", "band"), np.ones((3, 4, 2)), {"grid_mapping": "crs"}), "crs": ((), 0, said)})
    scene.to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    cube = refold.open(tmp_path / "scene.nc")
    assert refold.info(tmp_path / "scene.nc")[0].crs == name
    assert (crs_of(cube) is None) == (name is None)
    assert cube.attrs.get("reference_system") == unread


@pytest.mark.parametrize("fill", [np.int64(-9223372036854775806), np.uint64(18446744073709551614)])
def test_fill_values_of_64_bits_keep_all_their_digits(tmp_path, fill):
    values = np.full((6, 7, 5), fill)
    values[2] = 3
    scene = xr.Dataset({"v": (("y", "x", "band"), values, {"_FillValue": fill})})
    scene.to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    np.testing.assert_array_equal(np.isnan(refold.open(tmp_path / "scene.nc")), values == fill)


@pytest.mark.parametrize("engine", ENGINES)
def test_bytes_that_are_counts_are_left_to_xarray(tmp_path, engine):
    values = np.array([[[0, 200, 255]]], "uint8").repeat(2, 0)
    scene = xr.Dataset({"a": (("y", "x", "band"), values.view("int8"), {"_Unsigned": "true"})})
    scene.to_netcdf(tmp_path / "scene.nc", engine=engine)
    np.testing.assert_array_equal(refold.open(tmp_path / "scene.nc"), values)


def test_what_cannot_be_read_is_said(tmp_path, monkeypatch):
    path = tmp_path / "scene.nc"
    packed(path, "h5netcdf")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"scene\.nc"):
        refold.open(path)
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(MissingDependencyError, match=r"refold\[geo\]"):
        refold.open(path)
