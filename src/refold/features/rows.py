"""Work on the signals of single pixels, laid lazily over a cube."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import ROLE, check_cube, navigation_dims, signal_dims

Rows = npt.NDArray[Any]
Work = Callable[[Rows], Rows]
_TILE_BYTES = 2**20  # of rows that are worked on together: what is made of them stays in the second cache
_TILE_ROWS = 16  # at least, so that a call is worth it


def lay(
    cube: xr.DataArray,
    work: Work,
    coords: Mapping[str, Any],
    dims: Mapping[str, int],
    dtype: npt.DTypeLike = np.float32,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Apply a function to each pixel's signal: lazily, block by block, where the cube is lazy; else at once.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Its navigation chunks are kept; a signal cut into chunks is joined.
    work : callable
        Of an array of shape (row, *signal), gives one of shape (row, *dims). What it gives for a row depends on that
        row alone. Picklable.
    coords : mapping
        Coordinates of the new dims, as for `xarray.DataArray`.
    dims : mapping of str to int
        Dims that take the place of the signal dims, and their sizes.
    dtype : dtype
        Of the result.
    attrs : mapping, optional
        Attributes of the result; by default none.

    Returns
    -------
    xarray.DataArray
        On the navigation dims of the cube, with all their coordinates, and on the new dims.
    """
    cube = check_cube(cube)
    navigation, signal = navigation_dims(cube), signal_dims(cube)
    first, tail, dtype = len(navigation), tuple(dims.values()), np.dtype(dtype)
    options: dict[str, Any] = {"work": work, "n_navigation": first, "tail": tail, "into": dtype}
    if cube.chunks is None:
        data = _on_block(cube.values, **options)
    else:
        whole = cube.data.rechunk(dict.fromkeys(range(first, cube.ndim), -1))
        data = da.map_blocks(
            _on_block,
            whole,
            drop_axis=list(range(first, first + len(signal))),
            new_axis=list(range(first, first + len(tail))),
            chunks=whole.chunks[:first] + tuple((size,) for size in tail),
            dtype=dtype,
            meta=np.empty((0,) * (first + len(tail)), dtype),
            **options,
        )
    kept = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(navigation)}
    return xr.DataArray(data, {**kept, **coords}, (*navigation, *dims), cube.name, attrs or {})


def feature_coords(n: int, **others: Any) -> dict[str, Any]:
    """Coordinates of a dim ``feature``: its index, with the role of a signal, and others beside it.

    Parameters
    ----------
    n : int
        Features.
    **others
        Values, or ``(values, attrs)``, one for each feature.

    Returns
    -------
    dict
        As for `xarray.DataArray`.
    """
    coords: dict[str, Any] = {"feature": ("feature", np.arange(n), {ROLE: "signal"})}
    for name, given in others.items():
        values, attrs = given if isinstance(given, tuple) else (given, {})
        coords[name] = ("feature", values, attrs)
    return coords


def _on_block(
    block: Rows, *, work: Work, n_navigation: int, tail: tuple[int, ...], into: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Do the work on some rows at a time: what it takes meanwhile is bounded, and in cache."""
    rows = block.reshape(-1, *block.shape[n_navigation:])
    step = max(_TILE_ROWS, _TILE_BYTES // (8 * max(1, math.prod(rows.shape[1:]))))
    out = np.empty((len(rows), *tail), into)
    for start in range(0, len(rows), step):
        out[start : start + step] = work(rows[start : start + step])
    return out.reshape(*block.shape[:n_navigation], *tail)
