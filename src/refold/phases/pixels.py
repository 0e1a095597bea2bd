"""Maps written block by block into files that hold plain rows of pixels, at their own size or at another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import as_cube
from refold.engine import Block, Where, plan_grid, sweep
from refold.errors import CubeError, ParameterError, UnknownFormatError
from refold.report.calibration import METRE, Axis
from refold.report.whole import written_to

_AT_ONCE = 1 << 22  # pixels of a block that is made larger
_MOST_DIMS = 3
_SHORTEST, _LONGEST = 1e-6, 1e9  # steps between pixels, in their unit
_BAND = "_band"


@dataclass(frozen=True)
class Plain:
    """A file with the values of a map in C order behind a header.

    Parameters
    ----------
    path : Path
        The file, whose header is written.
    offset : int
        Bytes of the header.
    shape : tuple of int
        Of the map.
    encode : callable
        Turns labels into what the file holds.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    encode: Callable[[NDArray[Any]], NDArray[Any]]

    def write(self, slices: Sequence[slice], values: NDArray[Any]) -> None:
        """Write a window: every run of neighbours in one go."""
        values = np.ascontiguousarray(self.encode(values))
        last = next((i for i in range(len(slices) - 1, 0, -1) if values.shape[i] != self.shape[i]), 0)
        run = prod(values.shape[last:])
        with self.path.open("r+b") as file:
            outer = [range(part.start, part.stop) for part in slices[:last]]
            for row, index in enumerate(product(*outer)):
                first = np.ravel_multi_index((*index, slices[last].start, *[0] * (len(slices) - last - 1)), self.shape)
                file.seek(self.offset + int(first) * values.itemsize)
                file.write(values.reshape(-1, run)[row].data)


@dataclass(frozen=True)
class Scaled:
    """A map at the size of an image of the same field: each pixel is that of the map in which its centre lies.

    Parameters
    ----------
    before, after : tuple of int
        Shape of the map, and of what is written. They may differ in the last two dims.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def windows(self, values: NDArray[Any], where: Where) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
        """What becomes of a block, part by part."""
        if self.before == self.after:
            yield where.slices, values
            return
        sources = [_sources(old, new) for old, new in zip(self.before, self.after, strict=True)]
        windows = [
            slice(*np.searchsorted(source, (part.start, part.stop)).tolist())
            for source, part in zip(sources, where.slices, strict=True)
        ]
        picked = [
            source[window] - part.start for source, window, part in zip(sources, windows, where.slices, strict=True)
        ]
        rows, columns = len(picked) - 2, len(picked) - 1
        step = max(1, _AT_ONCE // max(len(picked[columns]) * prod(len(index) for index in picked[:rows]), 1))
        for start in range(0, len(picked[rows]), step):
            part = picked[rows][start : start + step]
            window = slice(windows[rows].start + start, windows[rows].start + start + len(part))
            yield (
                (*windows[:rows], window, windows[columns]),
                values[np.ix_(*picked[:rows], part, picked[columns])],
            )


def _sources(before: int, after: int) -> NDArray[np.int64]:
    """For each position of the new axis the old one in whose cell its centre lies, in whole numbers."""
    return (2 * np.arange(after, dtype=np.int64) + 1) * before // (2 * after)


class _Windows:
    """Visitor: writes each block of labels into plain files."""

    def __init__(self, files: Sequence[Plain], scaled: Scaled) -> None:
        self.files = files
        self.scaled = scaled

    @property
    def working_nbytes(self) -> int:
        """Bytes of a part that was made larger, and of what is written of it."""
        return 16 * _AT_ONCE if self.scaled.before != self.scaled.after else 0

    def start(self) -> None:
        """Nothing is kept."""

    def visit(self, state: None, block: Block, where: Where) -> None:
        """Write a block into every file."""
        for slices, values in self.scaled.windows(block.data[..., 0], where):
            for file in self.files:
                file.write(slices, values)

    def merge(self, one: None, other: None) -> None:
        """Nothing to join."""

    def finish(self, state: None) -> None:
        """Everything is written."""


def write_map(labels: xr.DataArray, files: Sequence[Plain], place: Path, **options: Any) -> None:
    """Write a map into plain files in one sweep, block by block.

    Parameters
    ----------
    labels : xarray.DataArray
        As `picture_of` gives it.
    files : sequence of Plain
        All of one shape.
    place : Path
        Where these are, for what is said where one cannot be written.
    **options
        ``memory``, ``workers`` and ``progress``, as `refold.sweep` takes them.
    """
    cube = as_cube(labels.expand_dims({_BAND: 1}, axis=-1), signal=_BAND)
    grid = plan_grid(cube, memory=options.get("memory"), workers=options.get("workers"))
    windows = _Windows(files, Scaled(labels.shape, files[0].shape))
    with written_to(place):
        sweep(cube, windows, grid=grid, label="write", **options)


def picture_of(labels: xr.DataArray) -> xr.DataArray:
    """A map of two dims, or a stack of such; a line scan becomes a single row.

    Raises
    ------
    CubeError
        If it has more dims, or none.
    """
    if not 1 <= labels.ndim <= _MOST_DIMS or not labels.size:
        raise CubeError(
            f"labels of shape {labels.shape} along {labels.dims}",
            "one to three dims, none of them empty",
            "choose a part with isel",
        )
    return labels.expand_dims("_row") if labels.ndim == 1 else labels


def size_like(labels: xr.DataArray, like: Any) -> tuple[int, ...]:
    """Shape of what is written: that of the labels, or the rows and columns of an image.

    Parameters
    ----------
    labels : xarray.DataArray
        As `picture_of` gives it.
    like : path, array, (rows, columns) or None
        The image, or its size.

    Raises
    ------
    ParameterError
        If it is neither an image nor a size.
    UnknownFormatError
        If the file is no image.
    """
    if like is None:
        return tuple(labels.shape)
    if isinstance(like, str | os.PathLike):
        rows, columns = _size_of_file(Path(like))
    elif isinstance(like, tuple | list):
        rows, columns = _size_given(like)
    else:
        shape = np.shape(like)
        if len(shape) < 2 or not all(shape[:2]):
            raise ParameterError(f"like of shape {shape}", "an image of rows and columns", "give one, or its size")
        rows, columns = shape[:2]
    return (*labels.shape[:-2], int(rows), int(columns))


def _size_given(like: Sequence[Any]) -> tuple[int, int]:
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side > 0 for side in like)
    if len(like) != 2 or not whole:
        raise ParameterError(f"like={like!r}", "an image, or (rows, columns)", "give whole numbers above 0")
    return int(like[0]), int(like[1])


def _size_of_file(path: Path) -> tuple[int, int]:
    """Rows and columns of an image file, whose pixels are not read."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.suffix.lower() in {".tif", ".tiff"}:
            return _size_of_tiff(path)
        with path.open("rb") as file, Image.open(file) as image:
            return image.height, image.width
    except Image.DecompressionBombError as error:
        found = f"{path}, an image larger than Pillow opens"
        raise ParameterError(found, "its rows and columns", "give like=(rows, columns)") from error
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ParameterError(f"no file {path}", "an image", "check the path") from error
    except (UnidentifiedImageError, ValueError) as error:
        raise UnknownFormatError(f"{path}, of which nothing can be read", "an image", "convert it to TIFF") from error


def _size_of_tiff(path: Path) -> tuple[int, int]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        return int(page.imagelength), int(page.imagewidth)


@dataclass(frozen=True)
class Spacing:
    """Distances between the pixels of what is written, along z, y and x.

    Parameters
    ----------
    steps : tuple of (float or None)
        For each dim; None where it is not known.
    unit : str
        Of all of them; empty if unknown.
    """

    steps: tuple[float | None, ...]
    unit: str

    @classmethod
    def of(cls, labels: xr.DataArray, shape: tuple[int, ...]) -> Spacing:
        """Read them from the coordinates; at another size of the same field pixels are as much larger or smaller."""
        axes = [Axis.of(labels, str(dim)) for dim in labels.dims]
        unit = axes[-1].unit
        several = [axis for axis in axes[-2:] if len(axis.values) > 1]
        if not unit or any(axis.unit != unit or axis.step is None for axis in several):
            return cls((None,) * len(shape), "")
        steps = [
            None if axis.step is None or axis.unit != unit else axis.step * before / after
            for axis, before, after in zip(axes, labels.shape, shape, strict=True)
        ]
        if steps[-2] is None:  # a single row is as high as its pixels are wide
            steps[-2] = steps[-1]
        if steps[-1] is None:
            steps[-1] = steps[-2]
        return cls(*_held(steps, unit))


def _held(steps: list[float | None], unit: str) -> tuple[tuple[float | None, ...], str]:
    """Steps in a unit in which fractions of two whole numbers of 32 bits hold them: a metre is large for atoms."""
    known = [step for step in steps if step]
    if known and unit in METRE and min(known) < _SHORTEST:
        smaller = next((name for name in reversed(METRE) if min(known) * METRE[unit] >= METRE[name]), "pm")
        steps = [None if step is None else step * METRE[unit] / METRE[smaller] for step in steps]
        known, unit = [step for step in steps if step], smaller
    if not known or min(known) < _SHORTEST or max(known) > _LONGEST:
        return (None,) * len(steps), ""
    return tuple(steps), unit
