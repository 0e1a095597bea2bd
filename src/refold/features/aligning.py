"""Bring a cube to the navigation grid of another, by coordinate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from typing import Any, Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.highlevelgraph import HighLevelGraph
from dask.tokenize import tokenize

from refold.cube import check_cube, image_as_cube, navigation_dims, signal_dims
from refold.errors import CubeError, ParameterError
from refold.features.positions import Between, linear, nearest, positions

Array = npt.NDArray[Any]
Method = Literal["nearest", "linear"]
_MOST_BYTES = 2**24  # of a block of the result; interpolation holds some three of them


def align(cube: xr.DataArray, like: xr.DataArray | xr.Dataset, method: Method = "nearest") -> xr.DataArray:
    """Bring a cube to the navigation grid of another: other pixel size, offset, crop or direction, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube; a picture is a cube with one channel.
    like : xarray.DataArray or xarray.Dataset
        Has the navigation dims of the cube, with the coordinates wanted.
    method : {"nearest", "linear"}
        The pixel that covers the place, or linear interpolation between the middles of neighbours, along each dim.

    Returns
    -------
    xarray.DataArray
        The cube on the grid of ``like``, with its coordinates; lazy if the cube was. What the cube does not cover is
        NaN. Floats keep their type. Integers do by ``"nearest"``, if the cube covers all; else they become floats,
        float32, or float64 for those of 32 bits and more.

    Raises
    ------
    CubeError
        If a dim is missing, a position occurs twice, or the units are not of one kind.
    ParameterError
        If the method is none.

    Notes
    -----
    ``"nearest"`` takes a pixel as the area half a step around its middle, ``"linear"`` does not go beyond the middles
    of the outermost pixels. A block of the result comes from one chunk of the cube, and by linear interpolation from
    its neighbours also: chunks are read as they are needed, not the cube.

    Examples
    --------
    >>> import refold
    >>> coarse = refold.as_cube(np.array([[0.0], [10.0]]), signal="energy", coords={"x": [0.5, 2.5]})
    >>> fine = refold.as_cube(np.zeros((5, 1)), signal="energy")
    >>> align(coarse, fine).values[:, 0]
    array([ 0.,  0., 10., 10., nan])
    >>> align(coarse, fine, "linear").values[:, 0]
    array([nan, 2.5, 7.5, nan, nan])
    """
    if method not in ("nearest", "linear"):
        raise ParameterError(f"method={method!r}", "'nearest' or 'linear'", "choose one of them")
    is_picture = isinstance(cube, xr.DataArray) and not signal_dims(cube)
    cube = image_as_cube(cube) if is_picture else check_cube(cube)
    dims = navigation_dims(cube)
    missing = [dim for dim in dims if dim not in like.coords]
    if missing:
        raise CubeError(f"no coordinates {missing} to align to", f"a grid with {list(dims)}", "rename its dims")
    places = tuple(_places(cube.coords[dim], like.coords[dim], method) for dim in dims)
    steps = Steps(places, _dtype(cube.dtype, places, method))
    if cube.chunks is None:
        data: Any = steps(cube.values)
    else:
        data = _lazily(cube.data, steps)
    coords = {key: coord for key, coord in cube.coords.items() if not set(coord.dims) & set(dims)}
    coords |= {dim: xr.Variable(dim, like.coords[dim].values, _attrs(cube, like, dim)) for dim in dims}
    return xr.DataArray(data, coords, cube.dims, cube.name, cube.attrs)


def _attrs(cube: xr.DataArray, like: Any, dim: str) -> dict[str, Any]:
    return {**like.coords[dim].attrs, "role": cube.coords[dim].attrs["role"]}


def _places(source: xr.DataArray, target: xr.DataArray, method: Method) -> Between:
    if target.dims != source.dims:
        raise CubeError(f"a coordinate {target.name!r} along {target.dims}", f"one along {source.dims}", "name it anew")
    units = target.attrs.get("units")
    here, there = positions(source, units), positions(target, units)
    if len(np.unique(here)) < len(here):
        raise CubeError(f"equal positions along {source.name!r}", "distinct ones", "give the dim an index of its own")
    return nearest(here, there) if method == "nearest" else linear(here, there)


def _dtype(dtype: np.dtype[Any], places: Sequence[Between], method: Method) -> np.dtype[Any]:
    if dtype.kind == "f" or (method == "nearest" and all(place.inside.all() for place in places)):
        return dtype
    return np.dtype(np.float64 if dtype.itemsize >= 4 else np.float32)


@dataclass(frozen=True)
class Steps:
    """What is done along each navigation dim.

    Parameters
    ----------
    places : tuple of Between
        One for each.
    dtype : numpy.dtype
        Of the result.
    """

    places: tuple[Between, ...]
    dtype: np.dtype[Any]

    def part(self, block: Sequence[slice]) -> tuple[tuple[slice, ...], Steps]:
        """For a block of the result, the region of the source that it needs, and what is done to that region."""
        regions, places = [], []
        for place, cut in zip(self.places, block, strict=True):
            below, above = place.below[cut], place.above[cut]
            low, high = int(min(below.min(), above.min())), int(max(below.max(), above.max())) + 1
            regions.append(slice(low, high))
            places.append(Between(below - low, above - low, place.share[cut], place.inside[cut]))
        return tuple(regions), Steps(tuple(places), self.dtype)

    def __call__(self, region: Array) -> Array:
        """Interpolate along one dim after the other; what is not covered becomes NaN."""
        values = region
        for axis, place in enumerate(self.places):
            along = (-1, *[1] * (region.ndim - axis - 1))
            lower = np.take(values, place.below, axis=axis)
            if place.share.any():
                share = place.share.astype(self.dtype).reshape(along)
                upper = np.take(values, place.above, axis=axis).astype(self.dtype, copy=False)
                lower = lower.astype(self.dtype, copy=False)
                with np.errstate(invalid="ignore"):  # infinities, whose pixel is invalid anyway
                    lower *= 1 - share
                    upper *= share
                    lower += upper
            values = lower
        values = values.astype(self.dtype, copy=False)
        for axis, place in enumerate(self.places):
            if not place.inside.all():
                values[(slice(None),) * axis + (~place.inside,)] = np.nan
        return values


@dataclass(frozen=True)
class Piece:
    """What is done for one block of the result.

    Parameters
    ----------
    counts : tuple of int
        How many source chunks it needs along each navigation dim.
    cut : tuple of slice
        The region needed of these chunks put together.
    steps : Steps
        What is done to that.
    """

    counts: tuple[int, ...]
    cut: tuple[slice, ...]
    steps: Steps

    def __call__(self, chunks: list[Array]) -> Array:
        """Put the chunks together, and interpolate."""
        grid = list(chunks)
        for axis, n in reversed(list(enumerate(self.counts))):
            rows = [grid[i : i + n] for i in range(0, len(grid), n)]
            grid = [row[0] if n == 1 else np.concatenate(row, axis=axis) for row in rows]
        return self.steps(grid[0][self.cut])


def _lazily(source: Any, steps: Steps) -> da.Array:
    """A graph of one task for each block of the result and of the signal, which takes the source chunks it needs."""
    ndim = len(steps.places)
    chunks = tuple(map(_cuts, steps.places, source.chunks)) + source.chunks[ndim:]
    chunks = _small_enough(chunks, ndim, steps.dtype.itemsize)
    bounds = [[slice(a, b) for a, b in pairwise(accumulate(sizes, initial=0))] for sizes in chunks[:ndim]]
    ends = [list(accumulate(sizes, initial=0)) for sizes in source.chunks[:ndim]]
    name = f"align-{tokenize(source.name, steps.places, steps.dtype, chunks)}"
    layer: dict[Any, Any] = {}
    for at in product(*map(range, map(len, bounds))):
        regions, local = steps.part([bound[i] for bound, i in zip(bounds, at, strict=True)])
        touched = [_touched(end, region) for end, region in zip(ends, regions, strict=True)]
        cut = tuple(
            slice(region.start - end[first.start], region.stop - end[first.start])
            for region, end, first in zip(regions, ends, touched, strict=True)
        )
        for signal in product(*map(range, source.numblocks[ndim:])):
            keys = [(source.name, *position, *signal) for position in product(*touched)]
            layer[(name, *at, *signal)] = (Piece(tuple(map(len, touched)), cut, local), keys)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[source])
    return da.Array(graph, name, chunks, dtype=steps.dtype)


def _touched(ends: list[int], region: slice) -> range:
    first = int(np.searchsorted(ends, region.start, side="right")) - 1
    return range(first, int(np.searchsorted(ends, region.stop, side="left")))


def _cuts(place: Between, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Cut the result where the source chunk changes, so that each is needed by as few blocks as can be."""
    chunk = np.searchsorted(np.cumsum(sizes), place.below, side="right")
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(chunk)]
    return tuple(b - a for a, b in pairwise(edges))


def _small_enough(chunks: tuple[tuple[int, ...], ...], ndim: int, itemsize: int) -> tuple[tuple[int, ...], ...]:
    """Halve the widest blocks until all are small, as a finer grid may make of one chunk more than fits in memory."""
    chunks = tuple(chunks)
    while itemsize * math.prod(map(max, chunks)) > _MOST_BYTES:
        dim = max(range(ndim), key=lambda at: max(chunks[at]))
        if max(chunks[dim]) == 1:
            break
        half = -(-max(chunks[dim]) // 2)
        halved = [part for size in chunks[dim] for part in _split(size, half)]
        chunks = (*chunks[:dim], tuple(halved), *chunks[dim + 1 :])
    return chunks


def _split(size: int, most: int) -> tuple[int, ...]:
    whole, rest = divmod(size, most)
    return (most,) * whole + ((rest,) if rest else ())
