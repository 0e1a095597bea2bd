"""Single files: .npy, raw binary, HDF5, what RosettaSciIO reads; and what goes wrong with them."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import check_cube, signal_dims
from refold.errors import (
    MissingDependencyError,
    ParameterError,
    SourceError,
    SourceNotFoundError,
    UnknownFormatError,
)
from refold.source import info, open
from refold.source.rosettasciio import _refusal
from tests.guards import no_compute
from tests.source.stores import AXES_4D, counts, write_hspy


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from([">u2", "float32", "int64"]), st.booleans())
def test_npy_is_mapped(tmp_path_factory, shape, dtype, fortran):
    path, values = tmp_path_factory.mktemp("npy") / "scan.npy", counts(tuple(shape), dtype)
    np.save(path, np.asfortranarray(values) if fortran else values)
    with no_compute():
        cube = check_cube(open(path))
    assert cube.name == "scan"
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube.data)).compute(), values)


def test_npy_is_cut_into_blocks_of_whole_signals(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((64, 64, 8192), "uint8"))
    cube = open(tmp_path / "scan.npy")
    assert cube.data.chunksize == (32, 64, 8192)
    assert open(tmp_path / "scan.npy", chunks={"y": 5}).data.chunksize == (5, 64, 8192)


def test_npy_by_any_name_is_told_by_what_it_is(tmp_path):
    with (tmp_path / "scan.dat").open("wb") as file:
        np.save(file, counts((2, 3, 4)))
    assert open(tmp_path / "scan.dat").shape == (2, 3, 4)


@given(st.integers(0, 20), st.sampled_from([">u2", "<f4", "u1"]))
def test_raw_binary_of_given_shape(tmp_path_factory, offset, dtype):
    path, values = tmp_path_factory.mktemp("raw") / "scan.raw", counts((3, 2, 5, 4), dtype)
    path.write_bytes(b"h" * offset + values.tobytes())
    cube = open(path, shape=values.shape, dtype=dtype, offset=offset)
    assert cube.dims == ("y", "x", "ky", "kx")
    np.testing.assert_array_equal(cube, values)
    assert cube.dtype.isnative


def test_raw_binary_of_another_size_says_both(tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"0" * 100)
    with pytest.raises(SourceError, match=r"100 bytes.*120 bytes"):
        open(tmp_path / "scan.raw", shape=(3, 4, 5), dtype="u2")
    with pytest.raises(ParameterError, match="no dtype"):
        open(tmp_path / "scan.raw", shape=(3, 4, 5))
    with pytest.raises(ParameterError, match="numpy dtype"):
        open(tmp_path / "scan.raw", shape=(3, 4, 5), dtype="nonsense")
    with pytest.raises(ParameterError, match="sizes above 0"):
        open(tmp_path / "scan.raw", shape=(0, 4, 5), dtype="u1")


@pytest.mark.parametrize("suffix", ["hspy", "hdf5"])
def test_hyperspy_files_are_read_by_chunks_and_come_calibrated(tmp_path, suffix):
    path, values = tmp_path / f"scan.{suffix}", counts((6, 5, 7, 8))
    metadata = {
        "General": {"title": "grains"},
        "Sample": {"elements": ["Fe", "Pt"]},
        "Signal": {"signal_type": "electron_diffraction"},
    }
    write_hspy(path, values, list(AXES_4D), metadata, chunks=(2, 2, 7, 8))
    with no_compute():
        cube = check_cube(open(path))
    assert cube.dims == ("y", "x", "ky", "kx")
    assert cube.ky.attrs == {"role": "signal", "units": "1/Å"}
    assert cube.attrs["elements"] == ["Fe", "Pt"]
    assert cube.data.chunksize == (6, 5, 7, 8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube.data)).compute(), values)


def test_an_uneven_axis_of_a_hyperspy_file_keeps_its_positions(tmp_path):
    path = tmp_path / "uneven.hspy"
    write_hspy(path, counts((3, 4, 5)), list(AXES_4D[:3]), {"General": {"title": "a"}})
    with h5py.File(path, "r+") as file:
        group = file["Experiments/a/axis-2"]
        for key in ("scale", "offset"):
            del group.attrs[key]
        group.attrs.update({"name": "Energy", "units": "eV"})
        group["axis"] = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    assert open(path).energy.values.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_an_unknown_hdf5_file_shows_its_arrays(tmp_path):
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["run/patterns"] = counts((6, 5, 4))
        file["run/background"] = counts((5, 4))
    cube = open(tmp_path / "lab.h5", signal_dims=("ky", "kx"))
    assert (cube.name, cube.dims) == ("run/patterns", ("y", "ky", "kx"))
    assert signal_dims(cube) == ("ky", "kx")


def test_signal_dims_are_said_anew(tmp_path):
    np.save(tmp_path / "scan.npy", counts((5, 3, 4)))
    cube = open(tmp_path / "scan.npy", signal_dims="y")
    assert (cube.dims, cube.shape) == (("x", "channel", "y"), (3, 4, 5))
    with pytest.raises(ParameterError, match=r"\['q'\]"):
        open(tmp_path / "scan.npy", signal_dims=("channel", "q"))
    with pytest.raises(ParameterError, match="name each dim once"):
        open(tmp_path / "scan.npy", signal_dims=("q", "q"))


# --- RosettaSciIO -----------------------------------------------------------------------------------------------------


def test_ripple_is_read_in_blocks_of_its_own(tmp_path):
    from rsciio.ripple import file_writer

    values = counts((6, 5, 32), ">u2")
    axes = [
        {"name": "y", "scale": 0.5, "offset": 0.0, "units": "nm", "navigate": True, "index_in_array": 0, "size": 6},
        {"name": "x", "scale": 0.5, "offset": 0.0, "units": "nm", "navigate": True, "index_in_array": 1, "size": 5},
        {
            "name": "Energy",
            "scale": 2.0,
            "offset": 10.0,
            "units": "eV",
            "navigate": False,
            "index_in_array": 2,
            "size": 32,
        },
    ]
    signal = {
        "data": values,
        "axes": axes,
        "metadata": {"General": {"title": "loss"}, "Signal": {}},
        "original_metadata": {},
    }
    file_writer(str(tmp_path / "scan.rpl"), signal)
    with no_compute():
        cube = check_cube(open(tmp_path / "scan.rpl", chunks={"y": 2}))
    assert cube.dims == ("y", "x", "energy")
    assert cube.data.chunksize == (2, 5, 32)
    assert cube.dtype == np.dtype("u2")
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube.data)).compute(), values)
    with pytest.raises(UnknownFormatError, match=r"open scan\.rpl"):
        open(tmp_path / "scan.raw")


def test_a_reader_that_is_named_must_be_one(tmp_path):
    (tmp_path / "scan.xml").write_text("<root/>")
    with pytest.raises(ParameterError, match="did you mean 'EMPAD'"):
        open(tmp_path / "scan.xml", reader="EMPADD")
    with pytest.raises(SourceError, match=r"scan\.xml.*EMPAD"):
        open(tmp_path / "scan.xml", reader="empad")
    with pytest.raises(SourceError, match=r"JobinYvon.*EMPAD"):
        open(tmp_path / "scan.xml")


def test_a_missing_package_is_named(tmp_path):
    lacking = {"Phenom": ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")}
    error = _refusal(tmp_path / "a.elid", lacking)
    assert isinstance(error, MissingDependencyError)
    assert "pip install imagecodecs" in str(error)
    error = _refusal(tmp_path / "a.png", {"Image": ModuleNotFoundError("No module named 'PIL'", name="PIL")})
    assert "pip install pillow" in str(error)


# --- what is no scan --------------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path):
    np.save(tmp_path / "scan.npy", counts((2, 3, 4)))
    with pytest.raises(SourceNotFoundError, match=r"did you mean .*scan\.npy") as caught:
        open(tmp_path / "scam.npy")
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(SourceNotFoundError, match=r"no .*nowhere"):
        info(tmp_path / "nowhere" / "scan.npy")


def test_a_directory_that_is_no_store(tmp_path):
    with pytest.raises(UnknownFormatError, match="holding nothing"):
        open(tmp_path)
    (tmp_path / "scan.mib").touch()
    with pytest.raises(UnknownFormatError, match=r"holding scan\.mib"):
        open(tmp_path)


def test_files_that_nobody_reads(tmp_path):
    (tmp_path / "notes.txt").write_text("not a scan")
    with pytest.raises(UnknownFormatError, match="suffix that no reader knows"):
        open(tmp_path / "notes.txt")
    (tmp_path / "empty.hspy").touch()
    with pytest.raises(UnknownFormatError, match="empty file"):
        open(tmp_path / "empty.hspy")
    (tmp_path / "fake.dm4").write_bytes(b"\x00" * 64)
    with pytest.raises(SourceError, match="DigitalMicrograph"):
        open(tmp_path / "fake.dm4")


def test_files_that_were_cut_off(tmp_path):
    write_hspy(tmp_path / "scan.hspy", counts((6, 5, 4)), list(AXES_4D[:3]), {"General": {"title": "a"}})
    whole = (tmp_path / "scan.hspy").read_bytes()
    (tmp_path / "scan.hspy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="HDF5 cannot open"):
        open(tmp_path / "scan.hspy")
    np.save(tmp_path / "scan.npy", counts((6, 5, 4)))
    (tmp_path / "scan.npy").write_bytes((tmp_path / "scan.npy").read_bytes()[:200])
    with pytest.raises(SourceError, match="numpy cannot map"):
        open(tmp_path / "scan.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(SourceError, match="plain numbers"):
        open(tmp_path / "objects.npy")


@pytest.mark.parametrize("thing", [np.zeros((2, 3, 4)), 3, None])
def test_what_is_no_path(thing):
    with pytest.raises(ParameterError, match="as_cube"):
        open(thing)
