"""Rebinning: merge neighbouring positions of signal or navigation dims."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube
from refold.errors import ParameterError, TrimWarning
from refold.prepare.blocks import lay, options_by_dim, rechunked
from refold.prepare.windows import How, Windows


def rebin(
    cube: xr.DataArray, factors: Mapping[str, int] | None = None, *, how: How = "sum", **dims: int
) -> xr.DataArray:
    """Merge neighbouring positions, lazily.

    Each chunk of the source feeds one chunk of the result: where a factor does not divide the chunks, neighbouring ones
    are merged, as few as will do. Edges that fill no whole window are left out, with a warning.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube; one that is in memory gives one in memory.
    factors : mapping of str to int, optional
        How many positions to merge along each dim.
    how : {"sum", "mean"}
        What becomes of the values that are merged.
    **dims : int
        The factors as keywords.

    Returns
    -------
    xarray.DataArray
        The smaller cube. Its coordinates are the means of those merged (the first of them, where they are no
        numbers or times); name, units and other attributes are kept. Sums of integers have the smallest integer type
        that cannot overflow (float64 where even 64 bits could), means of integers are float32 up to 16 bits and
        float64 above, floats stay as they are. NaN spreads to its window.

    Raises
    ------
    ParameterError
        If a dim is unknown, or a factor no integer from 1 to the size of its dim.

    Warns
    -----
    TrimWarning
        If edges were left out.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.ones((2, 3, 4, 4), "uint8"), signal=("ky", "kx"))
    >>> small = rebin(cube, ky=2, kx=2)
    >>> small.shape, small.dtype, small.kx.values.tolist()
    ((2, 3, 2, 2), dtype('uint16'), [0.5, 2.5])
    """
    cube = check_cube(cube)
    if how not in ("sum", "mean"):
        raise ParameterError(f"how={how!r}", "'sum' or 'mean'", "choose one of the two")
    wanted = options_by_dim(cube, factors, dims)
    merged = {dim: _factor(dim, factor, cube.sizes[dim]) for dim, factor in wanted.items()}
    merged = {dim: factor for dim, factor in merged.items() if factor > 1}
    if not merged:
        return cube
    cube = _whole_windows(cube, merged)
    step = _windows(cube, merged, how)
    if cube.chunks is not None:
        cube = rechunked(cube, {dim: _whole_chunks(cube.chunksizes[dim], factor) for dim, factor in merged.items()})
    data = lay(cube, step)
    coords = {name: _merged_coord(coord.variable, merged) for name, coord in cube.coords.items()}
    return xr.DataArray(data, coords, cube.dims, cube.name, cube.attrs)


def _factor(dim: str, factor: Any, size: int) -> int:
    try:
        whole = int(factor) == factor and not isinstance(factor, bool)
    except (TypeError, ValueError):
        whole = False
    if not whole or not 1 <= int(factor) <= size:
        wanted = f"a whole number from 1 to the {size} positions of {dim!r}"
        raise ParameterError(f"{dim}={factor!r}", wanted, "change the factor")
    return int(factor)


def _whole_windows(cube: xr.DataArray, merged: Mapping[str, int]) -> xr.DataArray:
    """Leave out the edges that fill no whole window, and say so."""
    ragged = {dim: cube.sizes[dim] % factor for dim, factor in merged.items() if cube.sizes[dim] % factor}
    if not ragged:
        return cube
    said = ", ".join(
        f"{rest} of {cube.sizes[dim]} along {dim!r} (factor {merged[dim]})" for dim, rest in ragged.items()
    )
    warnings.warn(f"left out the last positions, which fill no whole window: {said}", TrimWarning, stacklevel=3)
    return cube.isel({dim: slice(0, cube.sizes[dim] - rest) for dim, rest in ragged.items()})


def _windows(cube: xr.DataArray, merged: Mapping[str, int], how: How) -> Windows:
    factors = tuple(merged.get(str(dim), 1) for dim in cube.dims)
    adding = sum_dtype(cube.dtype, math.prod(factors))
    dtype = adding
    if how == "mean" and cube.dtype.kind in "biu":
        dtype = np.dtype(np.float32 if cube.dtype.itemsize <= 2 else np.float64)
        return Windows(factors, adding if adding.kind != "f" else dtype, dtype, how)
    return Windows(factors, adding, dtype, how)


def sum_dtype(dtype: np.dtype[Any], n: int) -> np.dtype[Any]:
    """Find the type in which ``n`` values of ``dtype`` can be added without overflow.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the values.
    n : int
        How many are added.

    Returns
    -------
    numpy.dtype
        For integers the smallest of the same sign that holds the largest sum, float64 if none does; floats as they
        are, but float16 as float32.

    Examples
    --------
    >>> sum_dtype(np.dtype("uint8"), 4), sum_dtype(np.dtype("int16"), 4), sum_dtype(np.dtype("float32"), 4)
    (dtype('uint16'), dtype('int32'), dtype('float32'))
    """
    if dtype.kind == "f":
        return np.dtype(np.float32) if dtype.itemsize < 4 else dtype.newbyteorder("=")
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for size in (1, 2, 4, 8):
        candidate = np.dtype(f"{'i' if dtype.kind == 'i' else 'u'}{size}")
        limits = np.iinfo(candidate)
        if limits.min <= low * n and high * n <= limits.max:
            return candidate
    return np.dtype(np.float64)


def _whole_chunks(sizes: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """Merge neighbouring chunks until each is whole windows: no chunk is split, and as few as possible are merged."""
    ends = np.cumsum(sizes)
    kept = ends[ends % factor == 0]
    return tuple(int(size) for size in np.diff(kept, prepend=0))


def _merged_coord(coord: xr.Variable, merged: Mapping[str, int]) -> xr.Variable:
    """Average a coordinate over its windows; where there is no mean, what is true of all of a window, or the first."""
    windows = {dim: factor for dim, factor in merged.items() if dim in coord.dims}
    coord = coord.to_base_variable()
    if not windows:
        return coord
    if coord.dtype.kind == "b":  # a window with a bad band is no good one
        every: xr.Variable = coord.coarsen(windows, func=np.all, keep_attrs=True)
        return every
    if coord.dtype.kind not in "iufcmM":
        return coord[{dim: slice(None, None, factor) for dim, factor in windows.items()}]
    means: xr.Variable = coord.coarsen(windows, func="mean", keep_attrs=True, skipna=False)
    return means.astype(coord.dtype) if coord.dtype.kind == "f" else means
