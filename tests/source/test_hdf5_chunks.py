"""HDF5 datasets read from the bytes in their file: the same values as h5py's, and each chunk read once."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refold
from refold.errors import SourceError
from refold.source.hdf5 import HDF5Chunks, HDF5Region, _reader
from refold.source.raw import RawRegion
from tests.guards import count_reads

LAYOUTS: dict[str, tuple[dict[str, Any], type]] = {
    "in one piece": ({}, RawRegion),
    "chunks": ({"chunks": (3, 2, 4)}, HDF5Chunks),
    "deflate": ({"chunks": (3, 2, 4), "compression": "gzip"}, HDF5Chunks),
    "shuffle, deflate": ({"chunks": (3, 2, 4), "compression": "gzip", "shuffle": True}, HDF5Chunks),
    "blosc": ({"chunks": (3, 2, 4), "compression": hdf5plugin.Blosc(cname="zstd", shuffle=2)}, HDF5Chunks),
    "zstd": ({"chunks": (3, 2, 4), "compression": hdf5plugin.Zstd()}, HDF5Chunks),
    "bitshuffle": ({"chunks": (3, 2, 4), "compression": hdf5plugin.Bitshuffle()}, HDF5Region),
    "lzf": ({"chunks": (3, 2, 4), "compression": "lzf"}, HDF5Region),
    "checksum": ({"chunks": (3, 2, 4), "fletcher32": True}, HDF5Region),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_values_are_those_of_h5py(tmp_path: Path, layout: str, data: st.DataObject):
    options, kind = LAYOUTS[layout]
    shape = (7, 5, 9)
    dtype = data.draw(st.sampled_from(["u1", "<u2", ">u2", "<f4", ">i4"]))
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a/b", shape, dtype, fillvalue=3, **options)
        dataset[: data.draw(st.integers(1, 7))] = values[:1]
    with h5py.File(path, "r") as file:
        dataset = file["a/b"]
        reader = pickle.loads(pickle.dumps(_reader(path, dataset)))
        assert type(reader) is kind
        region = tuple(
            slice(start, data.draw(st.integers(start + 1, size)))
            for size in shape
            for start in [data.draw(st.integers(0, size - 1))]
        )
        found = reader.read(region)
        assert np.array_equal(found, dataset[region])
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


def test_a_chunk_whose_filter_was_left_out_is_read_too(tmp_path: Path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", (8, 4, 4), "u2", chunks=(4, 4, 4), compression="gzip")
        dataset[:4] = 1
        dataset.id.write_direct_chunk((4, 0, 0), np.full((4, 4, 4), 7, "u2").tobytes(), filter_mask=1)
    cube = refold.open(path)
    assert (cube[:4] == 1).all()
    assert (cube[4:] == 7).all()


def test_each_chunk_is_read_once(tmp_path: Path):
    path = tmp_path / "scan.h5"
    values = np.arange(16 * 4 * 4, dtype="u2").reshape(16, 4, 4)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=values, chunks=(4, 4, 4), compression="gzip")
    cube = refold.open(path)
    with count_reads() as reads:
        assert np.array_equal(cube.values, values)
    assert len(reads.gets) == 4
    assert set(reads.gets.values()) == {1}


def test_a_broken_chunk_is_named(tmp_path: Path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", (4, 4, 4), "u2", chunks=(4, 4, 4), compression="gzip")
        dataset.id.write_direct_chunk((0, 0, 0), b"no deflated bytes at all")
    cube = refold.open(path)
    with pytest.raises(SourceError, match=r"chunk \(0, 0, 0\) of .*scan.h5:/a"):
        cube.compute()
