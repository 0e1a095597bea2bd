"""Headers of plain files, TIFF and NPY, and pictures with a table of colours, PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refold.phases.pixels import Plain, Spacing

NOISE_INDEX = 255
"""What says in a PNG that a pixel is in no cluster."""
_SOFTWARE = "refold"
_CLASSIC = (1 << 32) - (1 << 20)  # bytes that a TIFF with offsets of 32 bits can hold, less some for its tags
_PIECE = 1 << 20
_ESCAPED = {"µm": "micron", "Å": "angstrom"}  # as ImageJ knows them; its descriptions are ASCII


def new_tiff(
    path: Path,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    spacing: Spacing,
    encode: Callable[[NDArray[Any]], NDArray[Any]],
) -> Plain:
    """Make a TIFF of plain strips that is written later, with the size of its pixels as ImageJ has it.

    Parameters
    ----------
    path : Path
        The new file.
    shape : tuple of int
        Rows and columns, or slices before them.
    dtype : dtype
        Of its pixels.
    spacing : Spacing
        Between them.
    encode : callable
        Turns labels into what it holds.

    Returns
    -------
    Plain
        Where its pixels go.

    Notes
    -----
    Resolution tags hold pixels a unit, the description names the unit: what ImageJ writes, and it and Bio-Formats read;
    RosettaSciIO reads no unit but microns. TIFF itself knows only inches and centimetres. Past 4 GB it is a BigTIFF.
    """
    import tifffile

    size = prod(shape) * np.dtype(dtype).itemsize
    options: dict[str, Any] = {}
    across, down = spacing.steps[-1], spacing.steps[-2]
    if across and down:
        options["resolution"] = (1 / across, 1 / down)
    written: Any = tifffile.imwrite(
        path,
        shape=shape,
        dtype=dtype,
        photometric="minisblack",
        resolutionunit="NONE",
        description=_description(shape, spacing),
        metadata=None,
        software=_SOFTWARE,
        bigtiff=size > _CLASSIC,
        returnoffset=True,
        **options,
    )
    return Plain(path, written[0], shape, encode)


def _description(shape: tuple[int, ...], spacing: Spacing) -> str:
    lines = ["ImageJ=1.11a"]
    if len(shape) > 2:
        lines += [f"images={shape[0]}", f"slices={shape[0]}"]
        if spacing.steps[0]:
            lines.append(f"spacing={spacing.steps[0]!r}")
    unit = _ESCAPED.get(spacing.unit, spacing.unit)
    if unit and unit.isascii():
        lines.append(f"unit={unit}")
    return "\n".join([*lines, ""])


def new_npy(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike, encode: Callable[[NDArray[Any]], NDArray[Any]]
) -> Plain:
    """Make an NPY file that is written later; see `new_tiff` for the parameters."""
    dtype = np.dtype(dtype)
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        file.truncate(offset + prod(shape) * dtype.itemsize)
    return Plain(path, offset, shape, encode)


def new_bytes(path: Path, shape: tuple[int, ...], encode: Callable[[NDArray[Any]], NDArray[Any]]) -> Plain:
    """Make a file of bare bytes, one a pixel, that is written later."""
    with path.open("wb") as file:
        file.truncate(prod(shape))
    return Plain(path, 0, shape, encode)


def write_png(path: Path, indices: Path, shape: tuple[int, int], colours: Sequence[tuple[int, int, int]]) -> None:
    """Write a PNG with a table of colours, row by row.

    Parameters
    ----------
    path : Path
        The new file.
    indices : Path
        A byte for each pixel: its place in the table.
    shape : tuple of int
        Rows and columns.
    colours : sequence of (int, int, int)
        The table, at most 256.

    References
    ----------
    ISO/IEC 15948, Portable Network Graphics: chunks IHDR, PLTE, IDAT, IEND.
    """
    rows, columns = shape
    packer, step = zlib.compressobj(6), max(1, _PIECE // (columns + 1))
    with path.open("wb") as file, indices.open("rb") as source:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0))
        _chunk(file, b"PLTE", bytes(value for colour in colours for value in colour))
        for start in range(0, rows, step):
            count = min(step, rows - start)
            filtered = np.zeros((count, columns + 1), np.uint8)  # each row begins with its filter: none
            filtered[:, 1:] = np.frombuffer(source.read(count * columns), np.uint8).reshape(count, columns)
            if packed := packer.compress(filtered.data):
                _chunk(file, b"IDAT", packed)
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
