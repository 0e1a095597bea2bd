"""ENVI scenes: the same values as Spectral Python's, whatever their layout; and the same place as GDAL's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import spectral
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube.georeference import crs_of, transform_of
from refold.errors import SourceError, SourceNotFoundError, UnknownFormatError
from refold.source import raw
from refold.source.raw import RawRegion
from tests.guards import no_compute

DTYPES = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "complex64")
PLACE = ["UTM", "1.5", "1.5", "257000.5", "4111999.0", "1.0", "2.0", "11", "North", "WGS-84", "units=Meters"]


def save(folder: Path, values: np.ndarray, interleave: str = "bil", byteorder: int = 0, **fields: Any) -> Path:
    """Write a scene by Spectral Python; gives its header."""
    header = folder / "scene.hdr"
    names = {key.replace("_", " "): value for key, value in fields.items()}
    spectral.envi.save_image(
        str(header), values, interleave=interleave, byteorder=byteorder, metadata=names, force=True, dtype=values.dtype
    )
    return header


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5)),
    interleave=st.sampled_from(["bsq", "bil", "bip"]),
    dtype=st.sampled_from(DTYPES),
    byteorder=st.integers(0, 1),
    rows=st.integers(1, 6),
    scaled=st.booleans(),
)
def test_values_are_those_of_spectral_python(shape, interleave, dtype, byteorder, rows, scaled):
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    fields = {"reflectance_scale_factor": 50} if scaled else {}
    with tempfile.TemporaryDirectory() as folder:
        header = save(Path(folder), values, interleave, byteorder, **fields)
        judge = spectral.envi.open(str(header))
        for path in (header, Path(judge.filename)):
            with no_compute():
                cube = refold.open(path, chunks={"y": rows})
            assert cube.dims == ("y", "x", "band")
            assert cube.chunksizes["y"][0] == min(rows, shape[0])
            np.testing.assert_array_equal(cube, (values / 50 if scaled else values).astype(cube.dtype))
            np.testing.assert_allclose(cube, judge[:, :, :], rtol=1e-6)
            assert scaled or cube.dtype == np.dtype(dtype)


@given(data=st.data(), order=st.sampled_from("CF"), run=st.sampled_from([1, 40, 1 << 14]))
def test_a_region_of_raw_binary_is_that_of_the_array(data, order, run):
    """Whether it is read in one piece, run by run, or through a memory map."""
    shape = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    values = np.arange(np.prod(shape), dtype=">u2").reshape(shape)
    starts = [data.draw(st.integers(0, size - 1)) for size in shape]
    stops = [data.draw(st.integers(start + 1, size)) for start, size in zip(starts, shape, strict=True)]
    region = tuple(map(slice, starts, stops))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "_RUN", run)
        path = Path(folder) / "a.raw"
        path.write_bytes(b"header!" + values.tobytes(order))
        found = RawRegion(str(path), shape, ">u2", 7, order).read(region)
    np.testing.assert_array_equal(found, values[region])
    assert found.dtype == np.uint16


def test_bands_say_what_the_header_says(tmp_path):
    header = save(
        tmp_path,
        np.ones((2, 3, 4), "uint16"),
        wavelength=[0.4, 0.4237, 0.6, 2.5],
        wavelength_units="Micrometers",
        fwhm=[0.01, 0.01, 0.02, 0.02],
        bbl=[1, 0, 1, 1],
        sensor_type="AVIRIS",
        default_bands=[3, 2, 1],
    )
    cube = refold.open(header)
    assert cube.wavelength.values.tolist() == [400.0, 423.7, 600.0, 2500.0]
    assert cube.wavelength.attrs == {"role": "signal", "units": "nm"}
    assert cube.fwhm.values.tolist() == [10.0, 10.0, 20.0, 20.0]
    assert cube.good.values.tolist() == [True, False, True, True]
    assert (cube.attrs["sensor_type"], cube.attrs["default_bands"]) == ("AVIRIS", ["3", "2", "1"])
    assert cube.dtype == np.uint16
    assert refold.info(header)[0].bad_bands == 1


@pytest.mark.parametrize(
    ("units", "dim", "unit"),
    [("Nanometers", "wavelength", "nm"), ("Wavenumber", "wavenumber", "1/cm"), ("Unknown", "wavelength", None)],
)
def test_positions_of_bands_have_the_unit_that_they_are_in(tmp_path, units, dim, unit):
    header = save(tmp_path, np.ones((2, 3, 2)), wavelength=[400, 500], wavelength_units=units)
    cube = refold.open(header)
    assert cube[dim].values.tolist() == [400.0, 500.0]
    assert cube[dim].attrs.get("units") == unit
    assert (unit is None) == ("calibration" in cube[dim].attrs)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_no_data_and_empty_bands(tmp_path, interleave):
    stored = np.random.default_rng(0).integers(1, 10_000, (30, 20, 6)).astype("int16")
    stored[:, :, 2] = stored[5:9, 5:9] = -99
    header = save(tmp_path, stored, interleave, data_ignore_value=-99, reflectance_scale_factor=10_000)
    cube = refold.open(header)
    expected = (stored / 10_000).astype("float32")
    expected[stored == -99] = np.nan
    np.testing.assert_array_equal(cube, expected)
    assert cube.good.values.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("dtype", "stored", "said"),
    [
        ("float32", float(np.finfo("f4").min), "-3.40282347e+38"),
        ("int64", -9223372036854775806, "-9223372036854775806"),
        ("int16", -9999, "-9999.0"),
    ],
)
def test_no_data_at_the_end_of_a_type(tmp_path, dtype, stored, said):
    values = np.ones((3, 4, 2), dtype)
    values[1, 2] = stored
    cube = refold.open(save(tmp_path, values, data_ignore_value=said))
    np.testing.assert_array_equal(np.isnan(cube), values == stored)


def test_gains_and_offsets_are_applied_band_by_band(tmp_path):
    stored = np.random.default_rng(0).integers(0, 100, (4, 3, 3)).astype("int16")
    gains, offsets = np.array([0.5, 2.0, 1.0]), np.array([0.0, 1.0, -3.0])
    for interleave in ("bsq", "bil", "bip"):
        header = save(
            tmp_path, stored, interleave, data_gain_values=gains.tolist(), data_offset_values=offsets.tolist()
        )
        np.testing.assert_array_equal(refold.open(header), (stored * gains + offsets).astype("float32"))


def test_the_place_is_that_of_gdal(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    cube = refold.open(header := save(tmp_path, np.ones((3, 4, 2)), map_info=PLACE))
    with rasterio.open(header.with_suffix(".img")) as judge:
        assert transform_of(cube) == pytest.approx(tuple(judge.transform)[:6], abs=1e-6)
        assert rasterio.CRS.from_wkt(crs_of(cube)) == judge.crs
    assert cube.y.attrs["units"] == "m"


def test_a_turned_scene_keeps_its_map_info_and_gets_no_wrong_coordinates(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    header = save(tmp_path, np.ones((3, 4, 2)), map_info=[*PLACE, "rotation=20"])
    cube = refold.open(header)
    assert cube.x.values.tolist() == [0, 1, 2, 3]
    assert "rotated" in cube.x.attrs["calibration"]
    assert crs_of(cube) is None
    assert "rotation=20" in cube.attrs["map_info"]
    from refold.source.scene import map_info

    with rasterio.open(header.with_suffix(".img")) as judge:
        assert map_info([*PLACE, "rotation=20"]).transform == pytest.approx(tuple(judge.transform)[:6])


def test_a_coordinate_system_string_is_kept(tmp_path):
    wkt = 'PROJCS["Odd",GEOGCS["GCS",DATUM["D",SPHEROID["S",6378137.0,298.25]],PRIMEM["G",0.0],UNIT["Degree",0.017]],UNIT["Meter",1.0]]'  # noqa: E501
    header = save(tmp_path, np.ones((3, 4, 2)), map_info=PLACE)
    header.write_text(header.read_text() + f"coordinate system string = {{{wkt}}}\n")
    cube = refold.open(header)
    assert crs_of(cube) == wkt
    assert refold.info(header)[0].crs == "Odd"


def test_a_coordinate_system_that_nobody_understands_is_kept_as_it_stands(tmp_path):
    pytest.importorskip("pyproj")
    header = save(tmp_path, np.ones((3, 4, 2)), map_info=PLACE)
    header.write_text(header.read_text() + "coordinate system string = {EPSG:0}\n")
    cube = refold.open(header)
    assert (crs_of(cube), cube.attrs["reference_system"]) == (None, "EPSG:0")
    assert transform_of(cube) is not None


def test_headers_of_other_hands(tmp_path):
    values = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    (tmp_path / "flight.dat").write_bytes(b"12345" + values.tobytes())
    (tmp_path / "flight.dat.hdr").write_text(
        "ENVI\r\n; a comment\r\nDescription = {\r\n  two,\r\n  lines = many }\r\nSamples = 3\r\nlines=2\r\n"
        "bands   = 4\r\n"
        "data type = 2\r\nInterleave = BIP\r\nheader offset = 5\r\nband names = {\r\n a, b,\r\n c, d}\r\n"
    )
    for name in ("flight.dat", "flight.dat.hdr"):
        cube = refold.open(tmp_path / name)
        np.testing.assert_array_equal(cube, values)
        assert (cube.name, cube.attrs["band_names"]) == ("flight", ["a", "b", "c", "d"])


def test_one_band_is_a_picture(tmp_path):
    picture = refold.open(save(tmp_path, np.arange(6, dtype="uint8").reshape(2, 3, 1)))
    assert (picture.dims, picture.shape) == (("y", "x"), (2, 3))


def test_what_is_missing_is_said(tmp_path):
    header = save(tmp_path, np.ones((3, 4, 2)))
    data = header.with_suffix(".img")
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(SourceError, match=r"184 bytes .* 192: 3 x 2 x 4 numbers of float64"):
        refold.open(header)
    data.unlink()
    with pytest.raises(SourceNotFoundError, match=r"no file of its numbers beside it"):
        refold.open(header)
    header.write_text(header.read_text().replace("interleave = bil", "interleave = cube"))
    data.write_bytes(bytes(192))
    with pytest.raises(SourceError, match="interleave 'cube'"):
        refold.open(header)
    header.write_text(header.read_text().replace("interleave = cube", "interleave = bil\nfile compression = 1"))
    with pytest.raises(UnknownFormatError, match="compressed"):
        refold.open(header)
    header.write_text(header.read_text().replace("file compression = 1", "").replace("bands = 2", "bands = many"))
    with pytest.raises(SourceError, match="bands = many"):
        refold.open(header.with_suffix(".img"))


def test_a_header_that_is_not_envis_is_left_to_others(tmp_path):
    (tmp_path / "a.hdr").write_bytes(b"HDR,\0 of a detector")
    (tmp_path / "a.mib").write_bytes(bytes(100))
    with pytest.raises(UnknownFormatError, match=r"open a\.mib beside it"):
        refold.open(tmp_path / "a.hdr")


def test_a_file_that_only_shares_the_stem_is_not_read_as_the_scene(tmp_path):
    values = np.arange(24, dtype="int16").reshape(2, 3, 4)
    save(tmp_path, values)
    with h5py.File(tmp_path / "scene.mat", "w") as file:
        file["other"] = np.ones((2, 3, 4))
    (tmp_path / "scene.txt").write_bytes(bytes(100))
    (tmp_path / "scene.dat").write_bytes(b"%PDF-1.7" + bytes(100))
    for name in ("scene.mat", "scene.txt", "scene.dat"):
        with pytest.raises(UnknownFormatError):
            refold.open(tmp_path / name)
    np.testing.assert_array_equal(refold.open(tmp_path / "scene.img"), values)


@pytest.mark.parametrize("suffix", [".rfl", ".2020"])
def test_numbers_under_any_suffix_are_found_where_they_have_the_size_of_the_header(tmp_path, suffix):
    values = np.arange(24, dtype="int16").reshape(2, 3, 4)
    header = save(tmp_path, values)
    data = header.with_suffix(".img").rename(header.with_suffix(suffix))
    for path in (data, header):
        np.testing.assert_array_equal(refold.open(path), values)
    header.write_text(header.read_text().replace("interleave = bil", "interleave = cube"))
    with pytest.raises(UnknownFormatError):
        refold.open(data)
