"""A block's chunks encoded and written by the thread that made them, where the target is a Zarr array in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs.abc import Codec
from zarr.storage import LocalStore

from refold.engine import buffers

Array = npt.NDArray[Any]
Region = tuple[slice, ...]

_SHUFFLES = {"noshuffle": numcodecs.Blosc.NOSHUFFLE, "shuffle": numcodecs.Blosc.SHUFFLE}
_SHUFFLES["bitshuffle"] = numcodecs.Blosc.BITSHUFFLE


@dataclass(frozen=True, slots=True)
class ChunkWriter:
    """Writes whole chunks of a Zarr array without zarr-python's machinery for it, where its codecs allow that.

    Parameters
    ----------
    array : zarr.Array
        Zarr v3, in a folder, without shards.
    codec : Codec or None
        From bytes to bytes.

    Notes
    -----
    zarr-python hands each chunk to an event loop, compares it with the fill value, and encodes it in a thread of its
    own: several times the cost of encoding and writing it.
    """

    array: zarr.Array[Any]
    codec: Codec | None

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> ChunkWriter | None:
        """Make the writer of an array; None if zarr-python has to write it."""
        if array.metadata.zarr_format != 3 or type(array.store) is not LocalStore or array.shards is not None:
            return None
        metadata: Mapping[str, Any] = array.metadata.to_dict()
        first, *others = metadata["codecs"]
        if first["name"] != "bytes" or metadata["chunk_grid"]["name"] != "regular" or array.dtype.kind not in "biufc":
            return None
        if first.get("configuration", {}).get("endian", "little") != "little" or len(others) > 1:
            return None
        codec = _codec(others[0]) if others else None
        return None if others and codec is None else cls(array, codec)

    def write(self, region: Region, values: Array) -> None:
        """Write the values of a region that ends where chunks do."""
        chunk, shape = self.array.chunks, self.array.shape
        values = values.astype(self.array.dtype.newbyteorder("<"), copy=False)
        for position in _positions(region, chunk):
            part = tuple(
                slice(at * step - own.start, min((at + 1) * step, size) - own.start)
                for at, step, size, own in zip(position, chunk, shape, region, strict=True)
            )
            self._write_chunk(position, self._whole(values[part]))

    def _whole(self, values: Array) -> Array:
        """The values of a chunk in one piece; at the far edges of an array the rest of it is filled."""
        if values.shape == self.array.chunks and values.flags.c_contiguous:
            return values
        whole = buffers.empty(self.array.chunks, values.dtype)
        if values.shape != self.array.chunks:
            whole[...] = self.array.fill_value
        whole[tuple(slice(size) for size in values.shape)] = values
        return whole

    def _write_chunk(self, position: tuple[int, ...], values: Array) -> None:
        store = self.array.store
        if not isinstance(store, LocalStore):
            raise AssertionError("a store that is no folder")  # `of` asks before
        encoded = values.reshape(-1).view(np.uint8) if self.codec is None else self.codec.encode(values)
        path = store.root / self.array.path / self.array.metadata.encode_chunk_key(position)
        try:
            _write_file(path, encoded)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_file(path, encoded)


def _codec(described: Mapping[str, Any]) -> Codec | None:
    """Make numcodecs' form of a compressor of Zarr v3; None for those that are not made here."""
    options = described.get("configuration", {})
    if described["name"] == "blosc" and options["cname"] in numcodecs.blosc.list_compressors():
        shuffle = _SHUFFLES[getattr(options["shuffle"], "value", options["shuffle"])]
        return numcodecs.Blosc(options["cname"], options["clevel"], shuffle, options["blocksize"])
    if described["name"] == "zstd":
        return numcodecs.Zstd(options["level"], options.get("checksum", False))
    return None


def _write_file(path: Path, encoded: Any) -> None:
    with path.open("wb", buffering=0) as file:
        view = memoryview(encoded).cast("B")
        done = 0
        while done < len(view):
            done += file.write(view[done:]) or 0


def _positions(region: Region, chunk: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Positions of the chunks in a region, in C order."""
    return product(
        *(range(part.start // step, -(-part.stop // step)) for part, step in zip(region, chunk, strict=True))
    )


def is_whole(region: Region, array: zarr.Array[Any]) -> bool:
    """Whether a region begins and ends where chunks (or shards) of an array do."""
    return not any(
        part.start % step or (part.stop % step and part.stop != size)
        for part, step, size in zip(region, array.shards or array.chunks, array.shape, strict=False)
    )
