"""Bounded looks at results of any size.

A map may have more pixels than memory holds, so nothing here loads a whole one: label maps are thinned, scalar
maps are averaged over blocks, and both are read tile by tile. Tiles depend on shapes alone, never on chunks, so
the same result gives the same picture however it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2, prod

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["MAX_SIDE", "Panel", "block_mean", "load", "panels", "thin", "tiles"]

MAX_SIDE = 1024
"""Largest side of a drawn map, in pixels."""
_LINE = 4
"""A line scan may be so many times longer than a side."""
MAX_PANELS = 9
"""Largest number of slices of a stack that are drawn."""
TILE = 1 << 22
"""Largest number of values read at once."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture's worth of a variable: its last two navigation dims, at most, and where in the stack it lies."""

    index: dict[str, int]
    title: str
    shape: tuple[int, int]
    """Rows and columns in the scan, before any thinning."""
    rows: str | None
    columns: str


def load(array: xr.DataArray) -> NDArray[np.generic]:
    """Read an array, wherever it lies, without keeping it in `array`."""
    data = array.data  # of a store opened without Dask this reads, so it is asked for once
    return np.asarray(data.compute() if hasattr(data, "compute") else data)


def panels(array: xr.DataArray, limit: int = MAX_PANELS) -> list[Panel]:
    """Cut navigation dims into pictures.

    Parameters
    ----------
    array : xarray.DataArray
        Of navigation dims only.
    limit : int
        At most so many slices of a stack, evenly spread from the first to the last.

    Returns
    -------
    list of Panel
        One for a map or a line scan.
    """
    dims = [str(d) for d in array.dims]
    if len(dims) == 1:
        return [Panel({}, "", (1, array.sizes[dims[0]]), None, dims[0])]
    rows, columns = dims[-2:]
    shape = (array.sizes[rows], array.sizes[columns])
    stack = dims[:-2]
    if not stack:
        return [Panel({}, "", shape, rows, columns)]
    sizes = [array.sizes[d] for d in stack]
    total = prod(sizes)
    chosen = np.unique(np.linspace(0, total - 1, min(limit, total)).round().astype(int))
    found = []
    for flat in chosen:
        index = {d: int(i) for d, i in zip(stack, np.unravel_index(flat, sizes), strict=True)}
        found.append(Panel(index, _slice_title(array, index), shape, rows, columns))
    return found


def _slice_title(array: xr.DataArray, index: dict[str, int]) -> str:
    from refold.report.calibration import Axis, format_number

    parts = []
    for dim, i in index.items():
        axis = Axis.of(array, dim)
        parts.append(f"{dim} = {format_number(float(axis.values[i]))} {axis.unit}".rstrip())
    return ", ".join(parts)


def _limits(panel: Panel, limit: int) -> tuple[int, int]:
    side = _LINE * limit if min(panel.shape) == 1 else limit
    return side, side


def _centres(size: int, limit: int) -> NDArray[np.int64]:
    step = ceil(size / limit)
    return np.minimum(np.arange(ceil(size / step)) * step + step // 2, size - 1).astype(np.int64)


def thin(array: xr.DataArray, panel: Panel, limit: int = MAX_SIDE) -> NDArray[np.generic]:
    """Every nth pixel of a picture, no side longer than `limit`; for values that have no mean, such as labels."""
    picture = array.isel(panel.index)
    high, wide = _limits(panel, limit)
    columns = _centres(panel.shape[1], wide)
    if panel.rows is None:
        return load(picture.isel({panel.columns: columns}))[None]
    rows = _centres(panel.shape[0], high)
    return load(picture.isel({panel.rows: rows, panel.columns: columns}))


def block_mean(
    array: xr.DataArray, panel: Panel, limit: int = MAX_SIDE, *, layer: str | None = None
) -> NDArray[np.float64]:
    """Mean over blocks of a picture, no side longer than `limit`; NaN is left out, unless there is nothing else.

    Parameters
    ----------
    array : xarray.DataArray
    panel : Panel
    limit : int
        Largest side; four times as much for lines.
    layer : str, optional
        One more dim, such as `cluster`, all of which is read at once; the result has it last.
    """
    picture = array.isel(panel.index)
    high, wide = _limits(panel, limit)
    if panel.rows is None:
        picture = picture.expand_dims("_row")
    dims = ("_row" if panel.rows is None else panel.rows, panel.columns)
    picture = picture.transpose(*dims, *([layer] if layer else []))
    down, across = (ceil(size / most) for size, most in zip(panel.shape, (high, wide), strict=True))
    layers = picture.shape[2:]
    total = np.zeros((ceil(panel.shape[0] / down), ceil(panel.shape[1] / across), *layers))
    count = np.zeros_like(total)
    for rows, columns in _windows(panel.shape, prod(layers)):
        values = load(picture.isel({dims[0]: rows, dims[1]: columns})).astype(np.float64)
        finite = np.isfinite(values)
        (own_row, top), (own_column, left) = _blocks_of(rows, down), _blocks_of(columns, across)
        where = np.ix_(own_row, own_column)
        total[where] += _add_blocks(np.where(finite, values, 0.0), top, left)
        count[where] += _add_blocks(finite.astype(np.float64), top, left)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _windows(shape: tuple[int, int], layers: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a picture of about `TILE` values: whole rows, or squares of a power of two where those are too few.

    Chunks are mostly squares of such a side; a thin band would decode every chunk once for each band across it.
    """
    high, wide = max(TILE // max(shape[1] * layers, 1), 1), shape[1]
    if layers > 1 and high < shape[0]:
        high = wide = 1 << max(int(log2(max(TILE / layers, 1)) / 2), 0)
    for row in range(0, shape[0], high):
        for column in range(0, shape[1], wide):
            yield slice(row, min(row + high, shape[0])), slice(column, min(column + wide, shape[1]))


def _blocks_of(part: slice, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks that a part of an axis touches, and where each begins in the part."""
    owner = np.arange(part.start, part.stop) // step
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    return owner[begins], begins


def _add_blocks(
    values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


def tiles(shape: tuple[int, ...], budget: int = TILE) -> Iterator[tuple[slice, ...]]:
    """Cut a grid into tiles of about `budget` positions, in C order, whole in the last dims.

    Examples
    --------
    >>> [rows for rows, columns in tiles((5, 10), budget=20)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rest = prod(shape[1:])
    if rest > budget and len(shape) > 1:
        for i in range(shape[0]):
            for inner in tiles(shape[1:], budget):
                yield (slice(i, i + 1), *inner)
        return
    rows = max(budget // max(rest, 1), 1)
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])), *(slice(0, n) for n in shape[1:]))
