"""Scans that others recorded: what each should come out as. Skipped where they are not at hand."""

from __future__ import annotations

import importlib
import pickle
import warnings
from importlib.util import find_spec

import dask.array as da
import numpy as np
import pytest

from refold.cube import check_cube, navigation_dims
from refold.errors import MissingDependencyError, ParameterError, UnknownFormatError
from refold.source import info, open
from tests.guards import count_reads, no_compute

# file, options, {dim: (size, unit)}, dtype, signals in the file
SCANS = [
    ("4dstem/mgo_60x60.zspy", {}, {"y": (60, "nm"), "x": (60, "nm"), "ky": (144, "1/Å"), "kx": (144, "1/Å")}, "f4", 1),
    ("eels/CuZn_EELS_mapping_tutorial.hspy", {}, {"y": (50, "nm"), "x": (40, "nm"), "energy": (162, "eV")}, "i2", 1),
    ("eels/LSMO_linescan.hspy", {}, {"x": (40, "µm"), "energy": (586, "eV")}, "f4", 1),
    ("eels/example_velox_EELS_EDS.emd", {}, {"y": (128, "µm"), "x": (128, "µm"), "energy": (4096, "keV")}, "u2", 18),
    (
        "eels/example_velox_EELS_EDS.emd",
        {"signal": "EELS 2"},
        {"y": (16, "nm"), "x": (20, "nm"), "energy": (2048, "eV")},
        "u2",
        18,
    ),
    ("eds/core_shell.hspy", {}, {"y": (64, "nm"), "x": (64, "nm"), "energy": (992, "keV")}, "u4", 1),
    ("eds/core_shell.hdf5", {}, {"y": (64, "nm"), "x": (64, "nm"), "energy": (992, "keV")}, "u4", 1),
    ("eds/sio2_eds.hspy", {}, {"y": (128, "µm"), "x": (128, "µm"), "energy": (2048, "keV")}, "u4", 1),
    ("eds/dust_particle_256x256.bcf", {}, {"y": (256, "µm"), "x": (256, "µm"), "energy": (2048, "keV")}, "u1", 2),
    ("eds/bcf_v2_50x50px.bcf", {}, {"y": (50, "µm"), "x": (50, "µm"), "energy": (2048, "keV")}, "u1", 3),
    ("eds/P45_the_default_job.bcf", {}, {"y": (75, "µm"), "x": (100, "µm"), "energy": (2048, "keV")}, "u1", 3),
    ("eds/over16bit.bcf", {}, {"y": (3, "µm"), "x": (4, "µm"), "energy": (4096, "keV")}, "u4", 2),
    (
        "eds/30x30_instructively_packed_16bit_compressed.bcf",
        {},
        {"y": (30, "µm"), "x": (30, "µm"), "energy": (2048, "keV")},
        "u2",
        2,
    ),
    (
        "formats/001_4x2_6bit.mib",
        {},
        {"y": (2, None), "x": (4, None), "ky": (256, None), "kx": (256, None)},
        "u1",
        1,
    ),
    (
        "formats/16x16-spectrum_image-5x5x1024.emi",
        {},
        {"y": (5, "nm"), "x": (5, "nm"), "energy": (1024, "eV")},
        "i4",
        1,
    ),
    (
        "formats/16x16-spectrum_image-5x5x1024_1.ser",
        {},
        {"y": (5, "nm"), "x": (5, "nm"), "energy": (1024, "eV")},
        "i4",
        1,
    ),
    ("formats/EELS_SI.dm4", {}, {"y": (2, "µm"), "x": (2, "µm"), "energy": (2048, "eV")}, "f4", 1),
    ("formats/quantum-emitters_map.dm4", {}, {"y": (16, "µm"), "x": (16, "µm"), "wavelength": (1336, "nm")}, "f4", 1),
    (
        "formats/renishaw_test_streamline.wdf",
        {},
        {"y": (49, "µm"), "x": (45, "µm"), "raman_shift": (394, "1/cm")},
        "f4",
        2,
    ),
    ("formats/test1.blo", {}, {"y": (3, "nm"), "x": (2, "nm"), "ky": (144, "cm"), "kx": (144, "cm")}, "u1", 1),
    ("formats/test_hyperspectral.h5", {}, {"y": (4, "µm"), "x": (4, "µm"), "wavelength": (512, "nm")}, "u2", 1),
    (
        "formats/test_ripple_sdim-1_ndim-2_uint16_meta.rpl",
        {},
        {"y": (2, "m"), "x": (3, "m"), "energy": (4, "eV")},
        "u2",
        1,
    ),
    ("formats/test_spectral_map.sur", {}, {"y": (12, "nm"), "x": (10, "nm"), "wavelength": (310, "nm")}, "f8", 1),
    (
        "formats/topspin_test_B.app5",
        {},
        {"y": (3, "nm"), "x": (7, "nm"), "ky": (31, "Angle"), "kx": (26, "Angle")},
        "f4",
        4,
    ),
    (
        "hyperspectral/enmap_potsdam/images/enmap_potsdam_tile_128_0.tif",
        {},
        {"y": (32, "m"), "x": (32, "m"), "wavelength": (224, "nm")},
        "f4",
        1,
    ),
    (
        "hyperspectral/neon/sjer_reflectance_30x30.h5",
        {},
        {"y": (30, "m"), "x": (30, "m"), "wavelength": (426, "nm")},
        "f4",
        1,
    ),
    (
        "hyperspectral/indian_pines/Indian_pines_corrected.npy",
        {"signal_dims": "wavelength"},
        {"y": (145, None), "x": (145, None), "wavelength": (200, None)},
        "u2",
        1,
    ),
    (
        "ebsd/nordif/Pattern.dat",
        {"shape": (3, 3, 60, 60), "dtype": "u1"},
        {"y": (3, None), "x": (3, None), "ky": (60, None), "kx": (60, None)},
        "u1",
        1,
    ),
]


@pytest.mark.parametrize(("name", "options", "dims", "dtype", "n_signals"), SCANS, ids=[scan[0] for scan in SCANS])
def test_recorded_scans_come_calibrated_lazy_and_small(shared_data, name, options, dims, dtype, n_signals):
    path = shared_data / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    raw = {key: value for key, value in options.items() if key in {"shape", "dtype"}}
    with no_compute():
        cube = check_cube(open(path, **options))
        listed = info(path, **raw)
    assert {dim: (cube.sizes[dim], cube[dim].attrs.get("units")) for dim in cube.dims} == dims
    assert list(cube.dims) == list(dims)
    assert cube.dtype == np.dtype(dtype)
    assert len(listed) == n_signals
    assert sum(signal.default for signal in listed) == 1
    assert isinstance(cube.data, da.Array)
    assert len(pickle.dumps(cube.data)) < 4_000
    first = cube.isel(dict.fromkeys(navigation_dims(cube), 0))
    travelled = pickle.loads(pickle.dumps(cube.data))[(0,) * len(navigation_dims(cube))]
    np.testing.assert_array_equal(travelled.compute(scheduler="synchronous"), first)


def test_mgo_is_calibrated_as_its_authors_did(shared_data):
    path = shared_data / "4dstem" / "mgo_60x60.zspy"
    cube = open(path)
    np.testing.assert_allclose(np.diff(cube.y), 3.03)
    np.testing.assert_allclose(np.diff(cube.x), 3.03)
    np.testing.assert_allclose(np.diff(cube.ky), 0.03246)
    np.testing.assert_allclose(cube.kx.values[72], 0.0, atol=1e-9)
    assert {"beam_energy": 300.0, "camera_length": 21.0}.items() <= cube.attrs.items()
    assert cube.data.chunksize == (15, 15, 144, 144)
    with count_reads() as reads:
        cube[:15].sum().compute()
    assert reads.total == 4
    assert max(reads.of_chunks.values()) == 1


def test_tia_positions_descend_as_the_file_says(shared_data):
    cube = open(shared_data / "formats" / "16x16-spectrum_image-5x5x1024.emi")
    assert (np.diff(cube.y) < 0).all()
    assert (np.diff(cube.x) > 0).all()


def test_raman_shifts_are_uneven_as_the_file_says(shared_data):
    steps = np.diff(open(shared_data / "formats" / "renishaw_test_streamline.wdf").raman_shift)
    assert np.ptp(steps) > 0.1


def test_the_photograph_of_a_raman_map_has_three_colours(shared_data):
    path = shared_data / "formats" / "renishaw_test_streamline.wdf"
    photograph = info(path)[1]
    colours = open(path, photograph.name)
    assert (colours.dims, colours.shape) == (("y", "x", "channel"), (240, 376, 3))
    assert colours.compute().dtype == np.uint8
    assert not photograph.default


def test_mib_says_that_it_has_no_calibration(shared_data):
    cube = open(shared_data / "formats" / "001_4x2_6bit.mib")
    for dim in cube.dims:
        assert "none" in cube[dim].attrs["calibration"]
        assert cube[dim].values.tolist() == list(range(cube.sizes[dim]))


def test_images_beside_a_scan_are_maps_over_its_navigation_dims(shared_data):
    path = shared_data / "eds" / "dust_particle_256x256.bcf"
    image, cube = open(path, "HAADF"), open(path)
    assert navigation_dims(image) == navigation_dims(cube) == ("y", "x")
    np.testing.assert_allclose(image.y, cube.y)


def test_energy_first_values_go_to_the_right_pixels(shared_data):
    from rsciio.digitalmicrograph import file_reader

    path = shared_data / "formats" / "quantum-emitters_map.dm4"
    np.testing.assert_array_equal(open(path), np.moveaxis(file_reader(str(path))[0]["data"], 0, -1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reader", "at"),
    [("eels/example_velox_EELS_EDS.emd", "emd", -1), ("eds/jeol_sample/00_View000/View000_0000006.pts", "jeol", 0)],
)
def test_event_lists_are_summed_as_their_reader_sums_them(shared_data, name, reader, at):
    path = shared_data / name
    with no_compute():
        cube = open(path)
    assert cube.data.blocks[(0,) * cube.ndim].nbytes <= 16 * 2**20
    assert cube.data.chunksize[-1] == cube.sizes["energy"]
    dense = importlib.import_module(f"rsciio.{reader}").file_reader(str(path), lazy=True)[at]["data"].blocks[0, 0, 0]
    _, x, energy = dense.shape
    rows = slice(60, 64)
    np.testing.assert_array_equal(cube[rows, :x, :energy].compute(), dense[rows].compute())


def test_what_cannot_be_read_says_what_to_do(shared_data):
    with pytest.raises(UnknownFormatError, match=r"open 001_4x2_6bit\.mib"):
        open(shared_data / "formats" / "001_4x2_6bit.hdr")
    with pytest.raises(UnknownFormatError, match="shape and dtype"):
        open(shared_data / "ebsd" / "nordif" / "Pattern.dat")
    with pytest.raises(ParameterError, match="Scan 1/EBSD/Data/patterns"):
        open(shared_data / "ebsd" / "kikuchipy_h5ebsd" / "patterns.h5")
    with pytest.raises(UnknownFormatError, match="no Zarr store"):
        open(shared_data / "formats")


def test_a_reader_without_its_package_says_which_to_install(shared_data):
    if find_spec("imagecodecs") is not None:
        pytest.skip("imagecodecs is installed")
    with pytest.raises(MissingDependencyError, match="pip install imagecodecs"):
        open(shared_data / "formats" / "Elid2Version4.elid")


@pytest.mark.parametrize("name", ["001_4x2_6bit.mib", "quantum-emitters_map.dm4", "test1.blo", "topspin_test_B.app5"])
def test_blocks_of_one_row_hold_the_same_values(shared_data, name):
    path = shared_data / "formats" / name
    rows = open(path, chunks={"y": 1})
    assert rows.data.numblocks[0] == rows.sizes["y"]
    np.testing.assert_array_equal(rows.compute(), open(path).compute())


def test_patterns_of_an_unknown_hdf5_file_open_when_told(shared_data):
    path = shared_data / "ebsd" / "kikuchipy_h5ebsd" / "patterns.h5"
    cube = open(path, "Scan 2/EBSD/Data/patterns", signal_dims=("ky", "kx"))
    assert (cube.dims, cube.shape) == (("y", "ky", "kx"), (9, 60, 60))


@pytest.mark.parametrize(
    "name",
    [
        "formats/EELS_SI.dm4",
        "formats/quantum-emitters_map.dm4",
        "formats/16x16-spectrum_image-5x5x1024.emi",
        "eels/LSMO_linescan.hspy",
        "eds/core_shell.hspy",
    ],
)
def test_values_and_positions_are_those_of_hyperspy(shared_data, name):
    hyperspy = pytest.importorskip("hyperspy.api")
    cube = open(shared_data / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HyperSpy's own, about packages it would like to have
        judge = hyperspy.load(shared_data / name)
    np.testing.assert_array_equal(cube, judge.data)
    axes = judge.axes_manager
    theirs = [*reversed(axes.navigation_axes), *reversed(axes.signal_axes)]  # HyperSpy names x before y
    for dim, axis in zip(cube.dims, theirs, strict=True):
        np.testing.assert_allclose(cube[dim], axis.axis, atol=1e-9)
        assert cube[dim].attrs["units"] == axis.units
