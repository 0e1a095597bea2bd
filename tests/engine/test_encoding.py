"""Chunks written by the thread that made them: zarr-python reads what was written, whatever the form."""

from __future__ import annotations

import errno
import pickle
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.storage import MemoryStore

from refold.cube import as_cube
from refold.engine import ZarrWriter, encoding, sweep
from refold.engine.encoding import ChunkWriter
from refold.errors import DiskFullError

FORMS: dict[str, Any] = {
    "none": None,
    "blosc": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
    "blosc lz4": BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
    "blosc, plain": BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle"),
    "zstd": ZstdCodec(level=1),
    "zstd, checksum": ZstdCodec(level=1, checksum=True),
}


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(FORMS)), st.sampled_from(["u1", "u2", ">u2", "i8", "f4", "f8", "?", "c8"]))
def test_what_is_written_is_read_by_zarr_python(data: st.DataObject, form: str, dtype: str):
    ndim = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(1, 7)) for _ in range(ndim))
    chunks = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))
    values = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    with tempfile.TemporaryDirectory() as folder:
        array = zarr.create_array(
            folder, name="a/b", shape=shape, chunks=chunks, dtype=dtype, compressors=FORMS[form], fill_value=1
        )
        writer = ChunkWriter.of(array)
        assert writer is not None
        writer = pickle.loads(pickle.dumps(writer))
        step = chunks[0] * data.draw(st.integers(1, 3))
        for start in range(0, shape[0], step):
            stop = min(start + step, shape[0])
            writer.write((slice(start, stop), *(slice(0, size) for size in shape[1:])), values[start:stop])
        assert np.array_equal(array[...], values)
        array.resize(tuple(size + 1 for size in shape))  # past the edge there is the fill value, not what was left
        assert (array[tuple(slice(size, None) for size in shape)] == array.fill_value).all()


@pytest.mark.parametrize(
    "options",
    [
        {"store": MemoryStore()},
        {"zarr_format": 2},
        {"shards": (4,)},
        {"compressors": GzipCodec()},
        {"compressors": [ZstdCodec(), GzipCodec()]},
    ],
    ids=["no folder", "v2", "shards", "codec", "codecs"],
)
def test_what_it_does_not_know_is_left_to_zarr_python(tmp_path: Path, options: dict[str, Any]):
    array = zarr.create_array(**{"store": tmp_path, "shape": (4,), "chunks": (2,), "dtype": "u2", **options})
    assert ChunkWriter.of(array) is None


def test_values_are_cast_to_the_target(tmp_path: Path):
    array = zarr.create_array(tmp_path, shape=(3, 2, 4), chunks=(2, 2, 4), dtype="f4")
    cube = as_cube(np.arange(24.0).reshape(3, 2, 4), signal="energy")
    sweep(cube, ZarrWriter(array))
    assert array[...].dtype == np.float32
    assert np.array_equal(array[...], cube.values)


def test_a_full_disk_is_named(tmp_path: Path):
    array = zarr.create_array(tmp_path, shape=(3, 2, 4), chunks=(2, 2, 4), dtype="f8")
    cube = as_cube(np.arange(24.0).reshape(3, 2, 4), signal="energy")
    full = OSError(errno.ENOSPC, "no space left")
    with mock.patch.object(encoding, "_write_file", side_effect=full), pytest.raises(DiskFullError, match="full disk"):
        sweep(cube, ZarrWriter(array))
