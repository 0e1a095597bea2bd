"""A scan of any size that takes no disk: a Zarr store that answers for every chunk with one of a small phantom's.

The chunks are real: made by the phantom, compressed, read and decoded each time they are asked for. Chunk (i, j) of
the large scan is chunk (i mod m, j mod n) of the small one, and the truth is tiled in the same way.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from benchmarks.scans import array_of

METADATA = "zarr.json"


class TiledStore(Store):
    """Read-only Zarr v3 store of one array: a phantom, repeated along its first two dims until a shape is full.

    Parameters
    ----------
    phantom : path
        Store of the phantom, as `Phantom.save` writes it; its navigation shape a multiple of its chunks.
    shape : tuple of int
        Navigation shape of the scan.
    """

    supports_writes = supports_deletes = False
    supports_listing = True

    def __init__(self, phantom: str | Path, shape: tuple[int, int]) -> None:
        super().__init__(read_only=True)
        self.phantom, self.shape = Path(phantom), tuple(shape)
        self.folder, note = array_of(phantom)
        self.chunks = note["chunk_grid"]["configuration"]["chunk_shape"]
        self.counts = tuple(size // step for size, step in zip(note["shape"][:2], self.chunks[:2], strict=True))
        note["shape"] = [*shape, *note["shape"][2:]]
        self.note = json.dumps(note).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TiledStore) and (self.phantom, self.shape) == (other.phantom, other.shape)

    def __hash__(self) -> int:
        return hash((self.phantom, self.shape))

    def __str__(self) -> str:
        return f"tiled://{self.phantom.name}/{self.shape[0]}x{self.shape[1]}"

    def __reduce__(self) -> tuple[Any, ...]:
        return TiledStore, (self.phantom, self.shape)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Where the chunks come from, when they were made, and how they are laid: equal stores have equal values."""
        return ("TiledStore", str(self.phantom), (self.folder / METADATA).stat().st_mtime_ns, self.shape)

    @property
    def truth(self) -> np.ndarray:
        """The true label of every pixel."""
        import zarr

        small = np.asarray(zarr.open_array(self.phantom / "labels", mode="r")[...])
        return self.tiled(small)

    def tiled(self, small: np.ndarray) -> np.ndarray:
        """Values of the phantom's navigation grid (and anything after it), laid as the chunks are."""
        index = [np.arange(size) % inner for size, inner in zip(self.shape, small.shape[:2], strict=True)]
        return small[np.ix_(*index)]

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of a chunk: of the one of the phantom that is repeated there."""
        data = self.found(key)
        if data is None:
            return None
        prototype = prototype or default_buffer_prototype()
        return prototype.buffer.from_bytes(data if byte_range is None else _part(data, byte_range))

    def found(self, key: str) -> bytes | None:
        """The bytes under a key, if there are any."""
        if key == METADATA:
            return self.note
        first, *index = key.split("/")
        if first != "c" or len(index) < len(self.counts):
            return None
        inner = [str(int(at) % count) for at, count in zip(index, self.counts, strict=False)]
        file = self.folder.joinpath("c", *inner, *index[len(inner) :])
        return file.read_bytes() if file.is_file() else None

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [self.get_sync(key, prototype=prototype, byte_range=part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        return self.found(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()

    async def delete(self, key: str) -> None:
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """Only the metadata: nobody needs a list of millions of chunks whose names follow from it."""
        yield METADATA

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        if METADATA.startswith(prefix):
            yield METADATA

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        if not prefix.strip("/"):
            yield METADATA


def _part(data: bytes, wanted: ByteRequest) -> bytes:
    if isinstance(wanted, RangeByteRequest):
        return data[wanted.start : wanted.end]
    return data[wanted.offset :] if isinstance(wanted, OffsetByteRequest) else data[-wanted.suffix :]
