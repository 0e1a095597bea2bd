"""Arrays that lie in a file in one piece: `.npy`, raw binary of a given shape and dtype, and some in other formats."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refold.engine import buffers
from refold.errors import ParameterError, SourceError
from refold.source.axes import plain_axes
from refold.source.fetching import fill
from refold.source.lazy import lazy_array
from refold.source.signals import Signal

_RUN = 1 << 14  # bytes, from which on a read of its own costs less than the faults of its pages


@dataclass(frozen=True, slots=True)
class RawRegion:
    """Reads regions of an array that lies in a file in one piece.

    Parameters
    ----------
    path : str
        The file.
    shape : tuple of int
        Of the array.
    dtype : str
        As stored, byte order included.
    offset : int
        Bytes before the first value.
    order : {"C", "F"}
        Which dim lies closest.

    Notes
    -----
    Runs of values are read into a buffer. Through a memory map they would be faulted in page by page, which takes
    longer and counts as memory of this process; so that is left to regions that are scattered in short runs.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int = 0
    order: Literal["C", "F"] = "C"

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region in native byte order."""
        stored = np.dtype(self.dtype)
        values = buffers.empty([part.stop - part.start for part in region], stored.newbyteorder("="))
        outer = _outer_dims(region, self.shape)
        runs = math.prod(values.shape[:outer])
        if self.order == "C" and (runs == 1 or values.nbytes >= runs * _RUN) and values.size:
            with Path(self.path).open("rb", buffering=0) as file:
                for index in np.ndindex(values.shape[:outer]):
                    first = [part.start + at for part, at in zip(region, (*index, *(0,) * len(region)), strict=False)]
                    file.seek(self.offset + int(np.ravel_multi_index(first, self.shape)) * stored.itemsize)
                    fill(file, values[index].reshape(-1).view(np.uint8))
            if not stored.isnative:
                values.byteswap(inplace=True)
        else:
            np.copyto(values, np.memmap(self.path, stored, "r", self.offset, self.shape, self.order)[region])
        return values


def _outer_dims(region: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """How many of the first dims must be gone through, so that what lies within them follows each other in C order."""
    lengths = [part.stop - part.start for part in region]
    partial = [at for at, (length, size) in enumerate(zip(lengths, shape, strict=True)) if length != size]
    return partial[-1] if partial else 0


def npy_signals(path: Path) -> list[Signal]:
    """Describe the array of a `.npy` file.

    Raises
    ------
    SourceError
        If it is cut off, or holds Python objects.
    """
    try:
        array = np.load(path, mmap_mode="r")
    except ValueError as error:
        raise SourceError(
            f"{path}, which numpy cannot map ({error})",
            "a whole .npy file of plain numbers",
            "save it again with numpy.save(path, array), without Python objects",
        ) from error
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return [_signal(path, RawRegion(str(path), array.shape, array.dtype.str, array.offset, order))]


def raw_signals(path: Path, shape: Sequence[int], dtype: DTypeLike, offset: int = 0) -> list[Signal]:
    """Describe a raw binary file.

    Parameters
    ----------
    path : Path
        The file.
    shape : sequence of int
        Navigation first, the last dim fastest.
    dtype : dtype
        Byte order included, as in ``">u2"``.
    offset : int
        Bytes of header to skip.

    Raises
    ------
    SourceError
        If the file has another size.
    ParameterError
        If the dtype is none, or the shape is not of whole numbers above 0.
    """
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ParameterError(f"dtype {dtype!r}", "a numpy dtype", "give one like 'uint16' or '>u2'") from error
    sizes = tuple(int(size) for size in shape)
    if not sizes or min(sizes) < 1 or offset < 0:
        raise ParameterError(
            f"shape {sizes}, offset {offset}", "sizes above 0", "give the shape as (rows, columns, channels)"
        )
    expected, actual = offset + math.prod(sizes) * kind.itemsize, path.stat().st_size
    if expected != actual:
        raise SourceError(
            f"{actual} bytes in {path}",
            f"{expected} bytes: shape {sizes} of {kind.name} after {offset} bytes of header",
            "check the shape, the dtype and the header's offset",
        )
    return [_signal(path, RawRegion(str(path), sizes, kind.str, offset))]


def _signal(path: Path, reader: RawRegion) -> Signal:
    lazy = functools.partial(_lazy, reader, (reader, path.stat().st_mtime_ns))
    return Signal(path.stem, plain_axes(reader.shape), np.dtype(reader.dtype), lazy, (1,) * len(reader.shape))


def _lazy(reader: RawRegion, token: object, blocks: tuple[int, ...]) -> Any:
    return lazy_array(reader, reader.shape, reader.dtype, blocks, token)
