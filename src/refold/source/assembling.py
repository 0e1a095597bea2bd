"""A region put together from stored chunks, each fetched once and decoded straight into its place."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import product
from typing import Any

from numpy.typing import NDArray

from refold.engine import buffers
from refold.errors import SourceError
from refold.source.decoding import Decoder
from refold.source.fetching import Bytes

Region = tuple[slice, ...]
Position = tuple[int, ...]

# What codecs raise at bytes that are none of theirs.
BROKEN = (ValueError, RuntimeError, OSError, EOFError, zlib.error)


def assemble(
    region: Region, decoder: Decoder, bytes_of: Callable[[Position], Bytes | None], fill_value: Any, name: Any
) -> NDArray[Any]:
    """Return the values of a region in native byte order.

    Parameters
    ----------
    region : tuple of slice
        Of the array, within its shape.
    decoder : Decoder
        Of a chunk.
    bytes_of : callable
        Fetches the chunk at a position on the grid of chunks; None if it is not stored.
    fill_value : object
        What chunks hold that are not stored.
    name : object
        What to call the array in messages.

    Returns
    -------
    numpy.ndarray
        On a buffer. Where the region lies in one chunk, it is a view of it.

    Raises
    ------
    SourceError
        If a chunk cannot be decoded.
    """
    places = list(touched(region, decoder.shape))
    out: NDArray[Any] | None = None
    if len(places) > 1:
        out = _empty(region, decoder)
    for position in places:
        target, source = within(region, position, decoder.shape)
        stored = bytes_of(position)
        try:
            if stored is None:
                out = _empty(region, decoder) if out is None else out
                out[target] = fill_value
            elif out is None:
                return decoder.decode(stored)[source]
            elif out[target].shape == decoder.shape:
                decoder.decode(stored, out[target])
            else:
                out[target] = decoder.decode(stored)[source]
        except BROKEN as error:
            raise broken(position, name, error) from error
    return _empty(region, decoder) if out is None else out


def _empty(region: Region, decoder: Decoder) -> NDArray[Any]:
    return buffers.empty([part.stop - part.start for part in region], decoder.dtype.newbyteorder("="))


def touched(region: Region, size: tuple[int, ...]) -> product[Position]:
    """Positions of the chunks (or shards) of a size that a region touches, in C order."""
    return product(*(range(part.start // step, -(-part.stop // step)) for part, step in zip(region, size, strict=True)))


def within(region: Region, position: Position, size: tuple[int, ...]) -> tuple[Region, Region]:
    """Where a chunk lands in a region, and which part of the chunk that is."""
    target, source = [], []
    for part, at, step in zip(region, position, size, strict=True):
        low, high = max(part.start, at * step), min(part.stop, (at + 1) * step)
        target.append(slice(low - part.start, high - part.start))
        source.append(slice(low - at * step, high - at * step))
    return tuple(target), tuple(source)


def broken(position: Position, name: Any, error: BaseException) -> SourceError:
    """Say which chunk is broken."""
    return SourceError(
        f"chunk {position} of {name}, which does not decode ({error})",
        "whole chunks",
        "copy or export the scan again; what was computed from other chunks is kept",
    )
