"""Images: beside a scan, and a folder of them as a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr

from refold.cube import check_cube, cubes_of
from refold.errors import CubeError, ParameterError, SourceError, UnknownFormatError
from refold.source import info, open
from refold.source.images import names_of
from tests.guards import no_compute


def write(folder: Path, images: dict[str, np.ndarray], **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image, **options)
    return folder


def counts(n: int, shape: tuple[int, ...] = (6, 9), dtype: str = "uint16") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.poisson(5, shape).astype(dtype) for _ in range(n)]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_folder_of_element_maps_is_a_scan(tmp_path, dtype):
    maps = dict(zip(["area 1 Si Kα1", "area 1 Fe Kα1", "area 1 O Kα1"], counts(3, dtype=dtype), strict=True))
    folder = write(tmp_path / "area 1", maps, imagej=dtype != "uint8", resolution=(4, 2), metadata={"unit": "um"})
    with no_compute():
        cube = open(folder)
    check_cube(cube)
    assert cube.dims == ("y", "x", "line")
    assert cube.line.values.tolist() == ["Fe_Ka", "O_Ka", "Si_Ka"]  # in the order of the files
    assert cube.dtype == dtype
    for name, image in maps.items():
        np.testing.assert_array_equal(cube.sel(line=name[7:9].strip() + "_Ka"), image)
    (said,) = info(folder)
    assert (said.shape, said.default) == ((6, 9, 3), True)
    if dtype != "uint8":
        assert cube.x.attrs["units"] == cube.y.attrs["units"] == "µm"
        np.testing.assert_allclose([cube.y[1], cube.x[1]], [0.5, 0.25])


@pytest.mark.parametrize(
    ("unit", "resolution", "wanted"),
    [
        ("CENTIMETER", (20_000, 20_000), 0.5),
        ("INCH", (254_000, 254_000), 0.1),
        ("INCH", (300, 300), None),  # what a printer shall do
        ("NONE", (1, 1), None),
    ],
)
def test_pixel_sizes_are_those_of_the_tags(tmp_path, unit, resolution, wanted):
    folder = write(tmp_path / "maps", {"Fe": counts(1)[0]}, resolution=resolution, resolutionunit=unit)
    cube = open(folder)
    if wanted is None:
        assert "units" not in cube.x.attrs
    else:
        assert cube.x.attrs["units"] == "µm"
        assert float(cube.x[1]) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("stems", "wanted"),
    [
        (["Fe", "Si"], ["Fe", "Si"]),
        (["Map_Fe_Ka", "Map_Fe_Kb", "Map_O_Ka"], ["Fe_Ka", "Fe_Kb", "O_Ka"]),
        (["B2 Fe K series", "B2 O K series"], ["Fe_K", "O_K"]),
        (["Al-K", "C-K", "Ca-K"], ["Al_K", "C_K", "Ca_K"]),
        (["Fe_1", "Fe_2"], None),
        (["left", "right"], None),
    ],
)
def test_files_are_named_after_elements(stems, wanted):
    assert names_of(stems) == wanted


def test_other_images_keep_their_names(tmp_path):
    folder = write(tmp_path / "maps", dict(zip(["BSE", "Fe"], counts(2), strict=True)))
    cube = open(folder)
    assert cube.dims == ("y", "x", "image")
    assert cube.image.values.tolist() == ["BSE", "Fe"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((6, 8), "u2"), r"shape \(6, 9\) in Fe.tif and \(6, 8\) in Si.tif"),
        (np.zeros((6, 9), "u1"), "type uint16 in Fe.tif and uint8 in Si.tif"),
        (np.zeros((6, 9, 3), "u1"), "coloured"),
        (np.zeros((2, 6, 9), "u2"), r"of shapes \[\(2, 6, 9\)\]"),
    ],
)
def test_images_that_disagree_say_so(tmp_path, other, message):
    folder = write(tmp_path / "maps", {"Fe": counts(1)[0], "Si": other})
    with pytest.raises(SourceError, match=message):
        open(folder)


def test_pixel_sizes_that_disagree_say_so(tmp_path):
    write(tmp_path / "maps", {"Fe": counts(1)[0]}, resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    write(tmp_path / "maps", {"Si": counts(1)[0]}, resolution=(10_000, 10_000), resolutionunit="CENTIMETER")
    with pytest.raises(SourceError, match=r"pixels of 0\.5 µm in Fe.tif and of 1 µm"):
        open(tmp_path / "maps")


def test_a_folder_without_images_says_what_would_do(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UnknownFormatError, match="directory of TIFF images"):
        open(tmp_path)


def test_a_broken_image_says_so(tmp_path):
    folder = write(tmp_path / "maps", {"Fe": counts(1)[0]})
    (folder / "Si.tif").write_bytes(b"II*\0 and no more")
    with pytest.raises(SourceError, match=r"Si\.tif"):
        open(folder)


# --- beside a scan ----------------------------------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path) -> Path:
    """Spectra of 6 x 9 pixels, an image of that size and one of another, in one store."""
    rng = np.random.default_rng(0)
    role = {"role": "navigation", "units": "µm"}
    places = {"y": ("y", np.arange(6) * 0.5, role), "x": ("x", np.arange(9) * 0.5, role)}
    energy = ("energy", np.arange(20) * 0.5, {"role": "signal", "units": "keV"})
    path = tmp_path / "scan.zarr"
    spectra = xr.DataArray(rng.poisson(3, (6, 9, 20)).astype("u2"), {**places, "energy": energy}, ("y", "x", "energy"))
    spectra.to_dataset(name="EDS").to_zarr(path, zarr_format=3, consolidated=False)
    image = xr.DataArray(rng.random((6, 9)).astype("f4"), places, ("y", "x"))
    image.to_dataset(name="BSE").to_zarr(path, group="pictures", zarr_format=3, consolidated=False)
    wide = xr.DataArray(rng.random((60, 90)).astype("f4"), dims=("row", "column"))
    wide.to_dataset(name="SE").to_zarr(path, group="overview", zarr_format=3, consolidated=False)
    return path


def test_images_of_the_file_that_share_the_grid(scan):
    with no_compute():
        both = open(scan, images=True)
    names = list(both.data_vars)
    assert names[0] == "eds"
    assert len(names) == 2
    assert "bse" in names[1]
    cubes = cubes_of(both)
    assert [cube.shape for cube in cubes.values()] == [(6, 9, 20), (6, 9, 1)]
    assert both[names[1]].dims == ("y", "x")
    named = next(signal.name for signal in info(scan) if signal.name.endswith("BSE"))
    xr.testing.assert_identical(open(scan, images=named), both)
    assert isinstance(open(scan, images=False), xr.DataArray)


def test_an_image_of_a_file_beside_it(scan):
    (image,) = counts(1)
    tifffile.imwrite(scan.parent / "haadf.tif", image)
    both = open(scan, images="haadf.tif")  # found beside the scan
    np.testing.assert_array_equal(both.haadf, image)
    assert both.haadf.x.attrs["units"] == "µm"
    assert both.haadf.attrs["source"].endswith("haadf.tif")
    xr.testing.assert_identical(open(scan, images=[scan.parent / "haadf.tif"]).haadf, both.haadf)


def test_images_elsewhere_say_so(scan):
    with pytest.raises(CubeError, match="60 x 90 beside spectra on"):
        open(scan, images=next(one.name for one in info(scan) if one.name.endswith("SE") and one.shape == (60, 90)))
    with pytest.raises(ParameterError, match="no image 'SEM'"):
        open(scan, images="SEM")
    tifffile.imwrite(scan.parent / "far.tif", counts(1)[0], imagej=True, resolution=(0.5, 0.5), metadata={"unit": "um"})
    with pytest.raises(CubeError, match=r"refold\.align"):
        open(scan, images="far.tif")


def test_no_image_on_the_grid_says_what_there_is(tmp_path):
    np.save(tmp_path / "alone.npy", np.zeros((3, 4, 5)))
    with pytest.raises(CubeError, match=r"no image of \(3, 4\) pixels"):
        open(tmp_path / "alone.npy", images=True)


def test_recorded_scans_have_theirs(shared_data):
    dust = open(shared_data / "eds/dust_particle_256x256.bcf", images=True)
    assert {name: each.shape for name, each in dust.items()} == {"edx": (256, 256, 2048), "haadf": (256, 256)}
    oxide = open(shared_data / "eds/sio2_eds.hspy", images="sio2_haadf.hspy")
    assert [each.shape for each in oxide.values()] == [(128, 128, 2048), (128, 128)]
    with pytest.raises(CubeError, match="825 x 1100"):
        open(shared_data / "eds/bcf_v2_50x50px.bcf", images="Ch 1 2")
