"""Regions of a Zarr array, each stored chunk of them fetched once and decoded straight into its place."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store

from refold.engine import buffers
from refold.errors import SourceError
from refold.source.decoding import Crc32c, Decoder
from refold.source.fetching import Bytes, fetch

Region = tuple[slice, ...]
Position = tuple[int, ...]

_NOWHERE = np.iinfo(np.uint64).max  # offset and length of a chunk that a shard does not hold
_INDICES_KEPT = 64


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where a shard keeps the index of its chunks.

    Parameters
    ----------
    counts : tuple of int
        Chunks in a shard along each dim.
    at_end : bool
        Whether the index stands behind the chunks.
    checked : bool
        Whether a checksum follows it.
    """

    counts: tuple[int, ...]
    at_end: bool
    checked: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the index as it is stored."""
        return 16 * math.prod(self.counts) + 4 * self.checked

    def find(self, shard: Bytes) -> NDArray[np.uint64]:
        """Read the index of a shard: offset and length of each chunk, the last dim of the result being these two."""
        stored = shard[-self.nbytes :] if self.at_end else shard[: self.nbytes]
        body = Crc32c().strip(stored) if self.checked else stored
        return np.frombuffer(body.tobytes(), "<u8").reshape(*self.counts, 2)


@dataclass(frozen=True)
class ChunkReader:
    """Reads regions of a Zarr array without zarr-python's machinery for it, where the array's codecs allow that.

    Parameters
    ----------
    array : zarr.Array
        Its metadata, and where its chunks are.
    decoder : Decoder
        Of a chunk; of one within a shard, if there are shards.
    fill_value : object
        What chunks hold that are not stored.
    index : ShardIndex or None
        If chunks lie in shards.

    Notes
    -----
    Four things cost more than decoding, and are left out: a hop to another thread for each chunk, a fresh array for its
    bytes, one for its values, and a copy from there into the region.
    """

    array: zarr.Array[Any]
    decoder: Decoder
    fill_value: Any
    index: ShardIndex | None = None
    _indices: dict[Position, NDArray[np.uint64] | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> ChunkReader | None:
        """Make the reader of an array; None if zarr-python has to read it."""
        metadata = array.metadata.to_dict()
        fill = np.zeros((), array.dtype) if array.fill_value is None else array.fill_value
        if array.dtype.hasobject or array.dtype.fields is not None:
            return None
        if array.metadata.zarr_format == 2:
            decoder = Decoder.of_v2(metadata, array.dtype)
            return None if decoder is None else cls(array, decoder, fill)
        codecs: Any = metadata["codecs"]
        if metadata["chunk_grid"]["name"] != "regular" or metadata.get("storage_transformers"):  # type: ignore[index,call-overload] # JSON
            return None
        index = None
        if array.shards is not None:
            if len(codecs) != 1:
                return None
            options = codecs[0]["configuration"]
            index = _shard_index(options, array)
            codecs = options["codecs"]
            if index is None:
                return None
        decoder = Decoder.of_v3(codecs, tuple(array.chunks), array.dtype)
        return None if decoder is None else cls(array, decoder, fill, index)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.array, self.decoder, self.fill_value, self.index)

    @property
    def _store(self) -> Store:
        return self.array.store

    def read(self, region: Region) -> NDArray[Any]:
        """Return the values of a region in native byte order; each chunk or shard in it is fetched once.

        Raises
        ------
        SourceError
            If a chunk cannot be decoded.
        """
        shape = tuple(part.stop - part.start for part in region)
        places = list(self._chunks(region, self.array.shards or self.array.chunks))
        if len(places) == 1 and self.index is None:
            (position,) = places
            values = self._chunk(position, region)
            if values is not None:
                return values
        out = buffers.empty(shape, self.decoder.dtype.newbyteorder("="))
        for position in places:
            if self.index is None:
                self._place(out, region, position, self._object(position))
            else:
                self._shard(out, region, position)
        return out

    def _chunk(self, position: Position, region: Region) -> NDArray[Any] | None:
        """Return the one chunk that a region lies in, or what the region shows of it, without a copy."""
        stored = self._object(position)
        if stored is None:
            return None
        return self._decoded(position, stored)[_within(region, position, self.decoder.shape)[1]]

    def _shard(self, out: NDArray[Any], region: Region, position: Position) -> None:
        """Put what a region shows of a shard into its place: fetched in one piece, if the region shows all of it."""
        index, size = self.index, self.array.shards
        if index is None or size is None:
            raise AssertionError("a shard of an array without shards")  # `read` asks before
        inside = [
            slice(max(part.start, at * step), min(part.stop, (at + 1) * step))
            for part, at, step in zip(region, position, size, strict=True)
        ]
        whole = all(
            part.start == at * step and part.stop in (length, (at + 1) * step)
            for part, at, step, length in zip(inside, position, size, self.array.shape, strict=True)
        )
        shard = self._object(position) if whole else None
        table = self._parsed(position, shard) if whole else self._table(position)
        first = [at * count for at, count in zip(position, index.counts, strict=True)]
        for place in self._chunks(tuple(inside), self.decoder.shape):
            stored = None
            entry = (_NOWHERE, 0) if table is None else table[tuple(np.subtract(place, first))]
            if entry[0] != _NOWHERE:
                start, stop = int(entry[0]), int(entry[0] + entry[1])
                stored = shard[start:stop] if shard is not None else self._object(position, start, stop)
            self._place(out, region, place, stored)

    def _table(self, position: Position) -> NDArray[np.uint64] | None:
        """Return the index of a shard that is read in parts; None if there is no such shard."""
        if self.index is None:
            raise AssertionError("an index of an array without shards")
        if position not in self._indices:
            size = self.index.nbytes
            stored = self._object(position, -size) if self.index.at_end else self._object(position, 0, size)
            while len(self._indices) >= _INDICES_KEPT:
                self._indices.pop(next(iter(self._indices)), None)
            self._indices[position] = self._parsed(position, stored)
        return self._indices[position]

    def _parsed(self, position: Position, stored: Bytes | None) -> NDArray[np.uint64] | None:
        """Read an index out of the bytes of a shard, all of them or those of the index alone."""
        if stored is None or self.index is None:
            return None
        try:
            return self.index.find(stored)
        except ValueError as error:
            raise self._broken(position, error) from error

    def _place(self, out: NDArray[Any], region: Region, position: Position, stored: Bytes | None) -> None:
        """Decode a chunk into a region."""
        target, source = _within(region, position, self.decoder.shape)
        if stored is None:
            out[target] = self.fill_value
        elif out[target].shape == self.decoder.shape:
            self._decoded(position, stored, out[target])
        else:
            out[target] = self._decoded(position, stored)[source]

    def _decoded(self, position: Position, stored: Bytes, into: NDArray[Any] | None = None) -> NDArray[Any]:
        try:
            return self.decoder.decode(stored, into)
        except (
            ValueError,
            RuntimeError,
            OSError,
            EOFError,
            zlib.error,
        ) as error:  # what codecs raise at bytes that are none
            raise self._broken(position, error) from error

    def _broken(self, position: Position, error: BaseException) -> SourceError:
        return SourceError(
            f"chunk {position} of {self.array.store_path}, which does not decode ({error})",
            "whole chunks",
            "copy or export the scan again; what was computed from other chunks is kept",
        )

    def _object(self, position: Position, start: int = 0, stop: int | None = None) -> Bytes | None:
        """Fetch the object that holds a chunk, or a shard."""
        key = self.array.metadata.encode_chunk_key(position)
        path = self.array.path
        return fetch(self._store, f"{path}/{key}" if path else key, start, stop)

    @staticmethod
    def _chunks(region: Region, size: tuple[int, ...]) -> Iterator[Position]:
        """Positions of the chunks that a region touches, in C order."""
        return product(
            *(range(part.start // step, -(-part.stop // step)) for part, step in zip(region, size, strict=True))
        )


def _shard_index(options: dict[str, Any], array: zarr.Array[Any]) -> ShardIndex | None:
    """Describe the index of an array's shards; None if it is written in no usual way."""
    names = [codec["name"] for codec in options["index_codecs"]]
    little = options["index_codecs"][0].get("configuration", {}).get("endian") == "little"
    if names not in (["bytes"], ["bytes", "crc32c"]) or not little or array.shards is None:
        return None
    counts = tuple(shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True))
    location = options.get("index_location", "end")
    return ShardIndex(counts, getattr(location, "value", location) == "end", checked=len(names) == 2)


def _within(region: Region, position: Position, size: tuple[int, ...]) -> tuple[Region, Region]:
    """Where a chunk lands in a region, and which part of the chunk that is."""
    target, source = [], []
    for part, at, step in zip(region, position, size, strict=True):
        low, high = max(part.start, at * step), min(part.stop, (at + 1) * step)
        target.append(slice(low - part.start, high - part.start))
        source.append(slice(low - at * step, high - at * step))
    return tuple(target), tuple(source)
