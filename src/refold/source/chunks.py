"""Regions of a Zarr array, each stored chunk of them fetched once and decoded straight into its place."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from refold.source.assembling import Position, Region, assemble, broken
from refold.source.decoding import Crc32c, Decoder
from refold.source.fetching import Bytes, fetch

Table = NDArray[np.uint64]

_NOWHERE = np.iinfo(np.uint64).max  # offset and length of a chunk that a shard does not hold
_TABLES_KEPT = 64


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

    def find(self, shard: Bytes) -> Table:
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
    _tables: dict[Position, Table | None] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

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

    def read(self, region: Region) -> NDArray[Any]:
        """Return the values of a region in native byte order; each chunk or shard in it is fetched once.

        Raises
        ------
        SourceError
            If a chunk cannot be decoded.
        """
        bytes_of = self._object if self.index is None else self._in_shards(self.index, region)
        return assemble(region, self.decoder, bytes_of, self.fill_value, self.array.store_path)

    def _in_shards(self, index: ShardIndex, region: Region) -> Callable[[Position], Bytes | None]:
        """Find chunks in their shards, each of which is fetched in one piece if the region shows all of it."""
        shards: dict[Position, tuple[Bytes | None, Table | None]] = {}

        def bytes_of(position: Position) -> Bytes | None:
            home = tuple(at // count for at, count in zip(position, index.counts, strict=True))
            if home not in shards:
                whole = self._shows_all(region, home)
                shard = self._object(home) if whole else None
                shards[home] = (shard, self._parsed(index, home, shard) if whole else self._table(index, home))
            shard, table = shards[home]
            if table is None:
                return None
            entry = table[tuple(at % count for at, count in zip(position, index.counts, strict=True))]
            if entry[0] == _NOWHERE:
                return None
            start, stop = int(entry[0]), int(entry[0] + entry[1])
            return self._object(home, start, stop) if shard is None else shard[start:stop]

        return bytes_of

    def _shows_all(self, region: Region, home: Position) -> bool:
        """Whether a region shows all of a shard, bar what lies outside of the array."""
        sizes = zip(region, home, self.array.shards or (), self.array.shape, strict=True)
        return all(
            part.start <= at * step and part.stop >= min((at + 1) * step, size) for part, at, step, size in sizes
        )

    def _table(self, index: ShardIndex, home: Position) -> Table | None:
        """Return the index of a shard that is read in parts, which follow each other; None if there is no such one."""
        with self._lock:
            if home not in self._tables:
                stored = self._object(home, -index.nbytes) if index.at_end else self._object(home, 0, index.nbytes)
                while len(self._tables) >= _TABLES_KEPT:
                    del self._tables[next(iter(self._tables))]
                self._tables[home] = self._parsed(index, home, stored)
            return self._tables[home]

    def _parsed(self, index: ShardIndex, home: Position, stored: Bytes | None) -> Table | None:
        """Read an index out of the bytes of a shard, all of them or those of the index alone."""
        try:
            return None if stored is None else index.find(stored)
        except ValueError as error:
            raise broken(home, self.array.store_path, error) from error

    def _object(self, position: Position, start: int = 0, stop: int | None = None) -> Bytes | None:
        """Fetch the object that holds a chunk, or a shard."""
        key = self.array.metadata.encode_chunk_key(position)
        path = self.array.path
        return fetch(self.array.store, f"{path}/{key}" if path else key, start, stop)


def _shard_index(options: dict[str, Any], array: zarr.Array[Any]) -> ShardIndex | None:
    """Describe the index of an array's shards; None if it is written in no usual way."""
    names = [codec["name"] for codec in options["index_codecs"]]
    little = options["index_codecs"][0].get("configuration", {}).get("endian") == "little"
    if names not in (["bytes"], ["bytes", "crc32c"]) or not little or array.shards is None:
        return None
    counts = tuple(shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True))
    location = options.get("index_location", "end")
    return ShardIndex(counts, getattr(location, "value", location) == "end", checked=len(names) == 2)
