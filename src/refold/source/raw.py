"""Arrays with no header to speak of: `.npy`, and raw binary of a given shape and dtype, both through a memory map."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refold.errors import ParameterError, SourceError
from refold.source.axes import plain_axes
from refold.source.lazy import lazy_array
from refold.source.signals import Signal


@dataclass(frozen=True, slots=True)
class NpyRegion:
    """Reads regions of a `.npy` file."""

    path: str

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region."""
        return np.array(np.load(self.path, mmap_mode="r")[region])


@dataclass(frozen=True, slots=True)
class RawRegion:
    """Reads regions of a raw binary file."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int = 0

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region."""
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[region])


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
    return [_signal(path, NpyRegion(str(path)), array.shape, array.dtype)]


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
    return [_signal(path, RawRegion(str(path), sizes, kind.str, offset), sizes, kind)]


def _signal(path: Path, reader: NpyRegion | RawRegion, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Signal:
    lazy = functools.partial(_lazy, reader, shape, dtype, (reader, path.stat().st_mtime_ns))
    return Signal(path.stem, plain_axes(shape), dtype, lazy, (1,) * len(shape))


def _lazy(
    reader: NpyRegion | RawRegion, shape: tuple[int, ...], dtype: np.dtype[Any], token: object, blocks: tuple[int, ...]
) -> Any:
    return lazy_array(reader, shape, dtype, blocks, token)
