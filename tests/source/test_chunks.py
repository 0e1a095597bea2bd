"""Chunks decoded straight into place: the same values as zarr-python's, whatever the format, and each fetched once."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore, MemoryStore

from refold.engine.buffers import Lender, lending
from refold.errors import SourceError
from refold.source.chunks import ChunkReader
from tests.guards import CountingStore, count_reads

DTYPES = ["u1", "<u2", ">u2", "<i4", ">f4", "<f8", "?", "<c8"]
V2 = {
    "none": None,
    "blosc": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE),
    "blosc lz4": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE),
    "zstd": numcodecs.Zstd(3),
    "zstd with checksum": numcodecs.Zstd(3, checksum=True),
    "lz4": numcodecs.LZ4(),
    "gzip": numcodecs.GZip(1),
    "zlib": numcodecs.Zlib(1),
}
V3: dict[str, list[Any]] = {
    "none": [],
    "blosc": [zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")],
    "zstd": [zarr.codecs.ZstdCodec(level=1)],
    "gzip": [zarr.codecs.GzipCodec(level=1)],
    "checksum": [zarr.codecs.Crc32cCodec()],
    "zstd, checksum": [zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec()],
    "checksum, zstd": [zarr.codecs.Crc32cCodec(), zarr.codecs.ZstdCodec(level=1)],
}


@st.composite
def arrays(draw: st.DrawFn) -> zarr.Array[Any]:
    """An array in a store in memory, some of whose chunks are not there."""
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 7)) for _ in range(ndim))
    chunks = tuple(draw(st.integers(1, 4)) for _ in range(ndim))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    options: dict[str, Any] = {"shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": draw(st.integers(0, 1))}
    if draw(st.booleans()):
        options |= {"zarr_format": 2, "compressors": V2[draw(st.sampled_from(sorted(V2)))]}
        options["order"] = draw(st.sampled_from("CF"))
    else:
        options["compressors"] = V3[draw(st.sampled_from(sorted(V3)))]
        if draw(st.booleans()):
            options["filters"] = [zarr.codecs.TransposeCodec(order=draw(st.permutations(range(ndim))))]
        if draw(st.booleans()):
            sides = tuple(chunk * draw(st.integers(1, 3)) for chunk in chunks)
            options["shards"] = {"shape": sides, "index_location": draw(st.sampled_from(["start", "end"]))}
    array = zarr.create_array(MemoryStore(), **options)
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    for corner in itertools.product(*(range(0, size, step) for size, step in zip(shape, chunks, strict=True))):
        if rng.random() < 0.8:
            part = tuple(slice(at, min(at + step, size)) for at, step, size in zip(corner, chunks, shape, strict=True))
            array[part] = rng.integers(0, 200, tuple(p.stop - p.start for p in part)).astype(dtype)
    return array


@settings(max_examples=150)
@given(arrays(), st.data())
def test_values_are_those_of_zarr_python(array: zarr.Array[Any], data: st.DataObject):
    reader = ChunkReader.of(array)
    assert reader is not None
    reader = pickle.loads(pickle.dumps(reader)) if data.draw(st.booleans()) else reader
    starts = [data.draw(st.integers(0, size - 1)) for size in array.shape]
    stops = [data.draw(st.integers(start + 1, size)) for start, size in zip(starts, array.shape, strict=True)]
    for region in (
        tuple(slice(*ends) for ends in zip(starts, stops, strict=True)),
        tuple(slice(0, size) for size in array.shape),
    ):
        found = reader.read(region)
        assert found.dtype == array.dtype.newbyteorder("=")
        assert np.array_equal(found, array[region])


def test_decoded_chunks_use_the_same_memory_again():
    array = zarr.create_array(MemoryStore(), shape=(8, 512, 512), chunks=(1, 512, 512), dtype="u2", fill_value=0)
    array[:] = np.arange(8, dtype="u2")[:, None, None]
    reader = ChunkReader.of(array)
    assert reader is not None
    lender = Lender()
    places = set()
    with lending(lender):
        for at in range(8):
            values = reader.read((slice(at, at + 1), slice(0, 512), slice(0, 512)))
            assert (values == at).all()
            places.add(values.ctypes.data)
            del values
    assert len(places) == 1


def test_each_object_is_fetched_once(tmp_path: Path):
    values = np.arange(16 * 16, dtype="u2").reshape(16, 16)
    for name, options in {"chunks": {}, "shards": {"shards": (8, 16)}}.items():
        array = zarr.create_array(tmp_path / name, shape=(16, 16), chunks=(4, 4), dtype="u2", **options)
        array[:] = values
        reader = ChunkReader.of(zarr.open_array(tmp_path / name, mode="r"))
        assert reader is not None
        with count_reads() as reads:
            assert np.array_equal(reader.read((slice(0, 16), slice(0, 16))), values)
        assert set(reads.of_chunks.values()) == {1}
        assert len(reads.gets) == (16 if name == "chunks" else 2)


def test_of_a_shard_read_in_parts_the_index_is_fetched_once(tmp_path: Path):
    array = zarr.create_array(tmp_path, shape=(16, 16), chunks=(4, 4), shards=(16, 16), dtype="u2")
    values = np.arange(1, 16 * 16 + 1, dtype="u2").reshape(16, 16)
    array[:] = values
    reader = ChunkReader.of(zarr.open_array(tmp_path, mode="r"))
    assert reader is not None
    with count_reads() as reads:
        for row in range(0, 16, 4):
            assert np.array_equal(reader.read((slice(row, row + 4), slice(0, 16))), values[row : row + 4])
    assert max(reads.gets.values()) == 1
    assert len(reads.gets) == 16 + 1  # every chunk, and the index


def test_a_store_that_is_no_folder_is_asked_in_its_own_way():
    store = CountingStore(MemoryStore())
    array = zarr.create_array(store, shape=(4, 4), chunks=(2, 2), dtype="f4")
    array[:] = 1.0
    reader = ChunkReader.of(array)
    assert reader is not None
    store.reads.reset()
    assert (reader.read((slice(0, 4), slice(0, 4))) == 1).all()
    assert sorted(store.reads.of_chunks.values()) == [1] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2, "filters": [numcodecs.Delta(dtype="u2")]},
        {"zarr_format": 2, "compressors": numcodecs.LZMA()},
        {"dtype": np.dtype([("a", "u2"), ("b", "f4")]), "zarr_format": 2},
    ],
    ids=["filter", "codec", "fields"],
)
def test_what_it_does_not_know_is_left_to_zarr_python(options: dict[str, Any]):
    array = zarr.create_array(MemoryStore(), **{"shape": (4,), "chunks": (2,), "dtype": "u2", **options})
    assert ChunkReader.of(array) is None


@pytest.mark.parametrize("compressors", [None, *V2.values()], ids=["bytes", *V2])
@pytest.mark.parametrize("damage", ["cut", "emptied", "replaced", "of another size"])
def test_a_broken_chunk_is_named(tmp_path: Path, compressors: Any, damage: str):
    array = zarr.create_array(
        LocalStore(tmp_path), shape=(64, 64), chunks=(32, 64), dtype="u2", zarr_format=2, compressors=compressors
    )
    array[:] = np.random.default_rng(0).integers(0, 60_000, (64, 64))
    chunk = tmp_path / "1.0"
    whole = chunk.read_bytes()
    other = np.zeros(100, "u2")
    chunk.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "emptied": b"",
            "replaced": b"\x07" * len(whole) + b"\x07",
            "of another size": other.tobytes() if compressors is None else bytes(compressors.encode(other)),
        }[damage]
    )
    reader = ChunkReader.of(array)
    assert reader is not None
    assert reader.read((slice(0, 32), slice(0, 64))).shape == (32, 64)
    with pytest.raises(SourceError, match=r"chunk \(1, 0\)"):
        reader.read((slice(0, 64), slice(0, 64)))


def test_a_broken_index_is_named(tmp_path: Path):
    array = zarr.create_array(tmp_path, shape=(8,), chunks=(2,), shards=(8,), dtype="u2")
    array[:] = 7
    (shard,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "zarr.json")
    stored = bytearray(shard.read_bytes())
    stored[-10] ^= 1
    shard.write_bytes(stored)
    reader = ChunkReader.of(zarr.open_array(tmp_path, mode="r"))
    assert reader is not None
    for region in (slice(0, 8), slice(0, 2)):
        with pytest.raises(SourceError, match="checksum"):
            reader.read((region,))
