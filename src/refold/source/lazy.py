"""Lazy arrays whose tasks each read one region of a file, once, and know nothing but where it is.

`dask.array.from_array` would put a getter into the graph that Dask fuses with later slices, so that two slices of one
chunk read it twice. Here a block is read whole and sliced afterwards, in memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from refold.errors import ParameterError

# Large enough that a task's overhead vanishes beside its read, small enough that a few blocks fit a small budget.
BLOCK_BYTES = 16 * 2**20


class RegionReader(Protocol):
    """Something small and picklable that reads a region of an array from where it lies."""

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region."""
        ...


def opened(reader: RegionReader) -> AbstractContextManager[RegionReader]:
    """Keep a reader's file open for several small reads, if opening it costs more than they do."""
    context: AbstractContextManager[RegionReader] | None = getattr(reader, "opened", lambda: None)()
    return nullcontext(reader) if context is None else context


@dataclass(frozen=True, slots=True)
class _ReadBlock:
    """The function of every task of a lazy array: block number -> region -> values in native byte order."""

    reader: RegionReader
    shape: tuple[int, ...]
    chunks: tuple[int, ...]

    def __call__(self, block_id: tuple[int, ...] | None = None) -> NDArray[Any]:
        starts = [number * size for number, size in zip(block_id or (), self.chunks, strict=True)]
        region = tuple(
            slice(start, min(start + size, end))
            for start, size, end in zip(starts, self.chunks, self.shape, strict=True)
        )
        values = self.reader.read(region)
        return np.asarray(values, dtype=native(values.dtype))


def native(dtype: np.dtype[Any] | str) -> np.dtype[Any]:
    """Return the dtype in this machine's byte order."""
    return np.dtype(dtype).newbyteorder("=")


def regular_chunks(shape: Sequence[int], chunks: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Spell out a regular chunking, ragged at the far edges."""
    spelled = []
    for size, chunk in zip(shape, chunks, strict=True):
        full, rest = divmod(size, chunk) if chunk else (0, 0)
        spelled.append((chunk,) * full + ((rest,) if rest or not full else ()))
    return tuple(spelled)


def lazy_array(
    reader: RegionReader, shape: Sequence[int], dtype: np.dtype[Any] | str, chunks: Sequence[int], token: object
) -> da.Array:
    """Make a Dask array of a region reader: one task a block, in a graph that is small until it is run.

    Parameters
    ----------
    reader : RegionReader
        Reads a region; travels with every task, so it must be small and picklable.
    shape, dtype, chunks
        Of the array. The dtype comes out in native byte order.
    token : object
        What tells this array from every other: equal tokens mean equal values.

    Returns
    -------
    dask.array.Array
        The lazy array.
    """
    shape, chunks = tuple(map(int, shape)), tuple(max(1, int(size)) for size in chunks)
    array: da.Array = da.map_blocks(
        _ReadBlock(reader, shape, chunks),
        name="open-" + tokenize(type(reader).__name__, token, shape, chunks, np.dtype(dtype).str),
        chunks=regular_chunks(shape, chunks),
        dtype=native(dtype),
        meta=np.empty((0,) * len(shape), dtype=native(dtype)),
    )
    return array


@dataclass(frozen=True, slots=True)
class Stored:
    """An array as it lies in a file.

    Parameters
    ----------
    reader : RegionReader
        Reads regions of it.
    shape, dtype
        Of the array, in the order of the file.
    chunks : tuple of int
        Chunks on disk, or ones.
    token : object
        What tells its values from all others.
    """

    reader: RegionReader
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    token: object

    def lazy(self, blocks: tuple[int, ...]) -> da.Array:
        """Make the lazy array, in blocks of this shape."""
        return lazy_array(self.reader, self.shape, self.dtype, blocks, self.token)


def tile(
    shape: Sequence[int],
    itemsize: int,
    signal: Sequence[int],
    stored: Sequence[int] | None = None,
    target: int = BLOCK_BYTES,
) -> tuple[int, ...]:
    """Choose blocks of an array that is not chunked on disk, or chunked finely: whole signals, whole rows first.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    itemsize : int
        Bytes of a value.
    signal : sequence of int
        Which axes are signal; they are never split.
    stored : sequence of int, optional
        Chunks on disk. Blocks are multiples of them, so that each is read once.
    target : int
        Bytes that a block should have at most. One position, or one stored chunk of positions, may exceed it.

    Returns
    -------
    tuple of int
        Block shape.

    Examples
    --------
    >>> tile((256, 256, 2048), 1, signal=(2,))
    (32, 256, 2048)
    """
    unit = [min(int(step), int(size)) for step, size in zip(stored or (1,) * len(shape), shape, strict=True)]
    block = [
        int(size) if axis in signal else max(1, step) for axis, (size, step) in enumerate(zip(shape, unit, strict=True))
    ]
    for axis in reversed([axis for axis in range(len(shape)) if axis not in signal]):
        others = itemsize * math.prod(size for other, size in enumerate(block) if other != axis)
        fitting = target // max(1, others * block[axis]) * block[axis]
        block[axis] = min(int(shape[axis]), max(block[axis], fitting))
    return tuple(block)


def wanted_chunks(
    chunks: Mapping[str, int] | None, dims: Sequence[str], default: Sequence[int], stored: Sequence[int]
) -> tuple[int, ...]:
    """Apply a caller's wish for block sizes to the default ones.

    Raises
    ------
    ParameterError
        If a dim is not there, or a block would cut stored chunks, which would then be read several times.
    """
    wish = dict(chunks or {})
    unknown = [dim for dim in wish if dim not in dims]
    if unknown:
        raise ParameterError(f"chunks for {unknown}", f"dims of the scan, {tuple(dims)}", "name the dims that it has")
    result = []
    for dim, size, step in zip(dims, default, stored, strict=True):
        block = int(wish.get(dim, size))
        if dim in wish and (block < 1 or block % step):
            raise ParameterError(
                f"chunks of {block} along {dim!r}",
                f"a multiple of the {step} in which it is stored, so that each stored chunk is read once",
                f"take {max(step, round(block / step) * step)}, or leave it out",
            )
        result.append(block)
    return tuple(result)
