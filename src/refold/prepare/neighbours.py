"""Neighbour averaging: each pixel becomes the mean of those about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, navigation_dims
from refold.prepare.blocks import check_number, float_of, is_count, with_data

Array = npt.NDArray[Any]
_HELD_BYTES = 2**22  # of sums in float64 that are held meanwhile
_PLANE = 2  # dims of a map: a stack is averaged within its maps


def neighbour_average(cube: xr.DataArray, radius: int = 1) -> xr.DataArray:
    """Average each pixel with its neighbours on the map, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Of a stack of maps each is averaged by itself; along a line scan the neighbours are those on the line.
    radius : int
        Pixels to either side: 1 averages 3 x 3 of them, 2 averages 5 x 5. 0 leaves the cube as it is.

    Returns
    -------
    xarray.DataArray
        float32, or float64 for a cube of 64 bits, with the cube's coordinates and attributes. At the edges the mean is
        over those pixels that there are. What is not finite counts nowhere: it does not spread, and stays NaN where it
        is. An empty pixel is a pixel of zeros like any other.

    Raises
    ------
    ParameterError
        If the radius is no whole number of 0 or more.

    Notes
    -----
    A block needs the first pixels of the blocks about it, and Dask reads these whole: in a sweep, chunks at the border
    of blocks are read for each block that they touch, up to nine times where every chunk is a block of its own. So in
    a run the averaging is among the features, which are read from what was prepared, and not from the raw scan.

    Added up in float64 in one order, so that a pixel's mean does not depend on how the cube is cut into blocks.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.array([[[0.0], [3.0], [np.nan], [6.0]]]), signal="energy")
    >>> neighbour_average(cube).values.ravel().tolist()
    [1.5, 1.5, nan, 6.0]
    """
    cube = check_cube(cube)
    remedy = "1 averages 3 x 3 pixels"
    radius = int(check_number("radius", radius, "a whole number of 0 or more", remedy, fits=is_count))
    dtype = float_of(cube.dtype)
    navigation = len(navigation_dims(cube))
    axes = tuple(range(max(0, navigation - _PLANE), navigation))
    if not radius:
        return with_data(cube, cube.data.astype(dtype))
    average = _Average(radius, axes, dtype)
    if cube.chunks is None:
        return with_data(cube, average(cube.values))
    return with_data(cube, _overlapping(cube.data, average))


def _overlapping(array: da.Array, average: _Average) -> da.Array:
    """Lay the average over chunks that are given the first pixels of their neighbours."""
    # A chunk that is smaller than the radius is joined to the next: else a pixel would need more than its neighbours.
    array = array.rechunk({axis: _at_least(array.chunks[axis], average.radius) for axis in average.axes})
    cut = [axis for axis in average.axes if len(array.chunks[axis]) > 1]
    averaged: da.Array = da.map_overlap(
        average,
        array,
        depth=dict.fromkeys(cut, average.radius),
        boundary="none",
        allow_rechunk=False,
        dtype=average.dtype,
        meta=np.empty((0,) * array.ndim, average.dtype),
    )
    return averaged


def _at_least(sizes: tuple[int, ...], radius: int) -> tuple[int, ...]:
    """Join chunks until each holds as many pixels as the radius."""
    joined: list[int] = []
    for size in sizes:
        if joined and joined[-1] < radius:
            joined[-1] += size
        else:
            joined.append(size)
    if len(joined) > 1 and joined[-1] < radius:
        last = joined.pop()
        joined[-1] += last
    return tuple(joined)


@dataclass(frozen=True)
class _Average:
    """Average a block in memory.

    Parameters
    ----------
    radius : int
        Pixels to either side.
    axes : tuple of int
        Along which.
    dtype : numpy.dtype
        Of the result.
    """

    radius: int
    axes: tuple[int, ...]
    dtype: np.dtype[Any]

    def __call__(self, block: Array) -> Array:
        """Average, some channels at a time: what is held meanwhile is bounded."""
        out = np.empty(block.shape, self.dtype)
        first = self.axes[-1] + 1
        pixels = math.prod(block.shape[:first])
        channels, target = block.reshape(*block.shape[:first], -1), out.reshape(*block.shape[:first], -1)
        step = max(1, _HELD_BYTES // (8 * max(1, pixels)))
        for start in range(0, channels.shape[-1], step):
            part = channels[..., start : start + step]
            target[..., start : start + step] = self._mean(part)
        return out

    def _mean(self, values: Array) -> Array:
        if values.dtype.kind == "f":
            known = np.isfinite(values)
            whole = bool(known.all())
        else:
            known, whole = np.ones(values.shape, bool), True
        sums = self._sums(np.where(known, values, 0).astype(np.float64))
        counts = self._sums((known if not whole else known[..., :1]).astype(np.float64))
        means: Array = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return means if whole else np.where(known, means, np.nan)

    def _sums(self, values: Array) -> Array:
        """Sums over the neighbours, one axis after the other; beyond the edge is nothing."""
        for axis in self.axes:
            total = np.zeros_like(values)
            for target, source in self._shifts(axis, values.shape[axis], values.ndim):
                total[target] += values[source]
            values = total
        return values

    def _shifts(self, axis: int, size: int, ndim: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        for shift in range(-self.radius, self.radius + 1):
            if abs(shift) < size:
                here = slice(max(0, -shift), size - max(0, shift))
                there = slice(max(0, shift), size + min(0, shift))
                before, after = (slice(None),) * axis, (slice(None),) * (ndim - axis - 1)
                yield (*before, here, *after), (*before, there, *after)
