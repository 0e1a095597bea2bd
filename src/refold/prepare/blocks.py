"""What all preparing steps share: dims checked by name, and a function laid over the blocks of a cube."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import dask.array as da
import numpy as np
import xarray as xr

from refold.errors import ParameterError

Chunks = tuple[tuple[int, ...], ...]
T = TypeVar("T")


def check_dims(cube: xr.DataArray, dims: Iterable[str]) -> None:
    """Raise unless the cube has all these dims; name the nearest one it has.

    Raises
    ------
    ParameterError
        If it lacks one.
    """
    known = [str(dim) for dim in cube.dims]
    for dim in dims:
        if dim not in known:
            near = difflib.get_close_matches(str(dim), known, n=1, cutoff=0.4)
            remedy = f"did you mean {near[0]!r}?" if near else "use one of the dims of this cube"
            raise ParameterError(f"dim {dim!r}", f"one of the dims {', '.join(map(repr, known))}", remedy)


def options_by_dim(cube: xr.DataArray, given: Mapping[str, T] | None, named: Mapping[str, T]) -> dict[str, T]:
    """Join options given as a mapping and as keywords, and check that the cube has their dims.

    Raises
    ------
    ParameterError
        If a dim is unknown, or given twice.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ParameterError(f"{given!r}", "a mapping from dims to values", 'write {"ky": …} or ky=…')
    twice = sorted(set(given or {}) & set(named))
    if twice:
        raise ParameterError(f"dims {twice} given twice", "each dim once", "leave them out of one of the two")
    options = {**(given or {}), **named}
    check_dims(cube, options)
    return options


def blockwise(
    cube: xr.DataArray,
    function: Callable[..., np.ndarray[Any, Any]],
    *others: da.Array,
    dtype: np.dtype[Any],
    label: str,
    chunks: Chunks | None = None,
) -> Any:
    """Lay a function over the blocks of a cube's array; where the cube is in memory, call it at once.

    Parameters
    ----------
    cube : xarray.DataArray
        The cube.
    function : callable
        Takes a block (and a block of each of the others) and returns a block of as many dims.
    *others : dask.array.Array
        Arrays of as many dims, in chunks that match the cube's, or of size 1 along a dim.
    dtype : numpy.dtype
        Of the result.
    label : str
        How the tasks are called.
    chunks : tuple of tuple of int, optional
        Of the result, where they are not those of the cube.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        As lazy as the cube.
    """
    if cube.chunks is None and not others:
        return function(cube.values)
    array = cube.data if cube.chunks is not None else da.from_array(cube.values, chunks=cube.shape, name=False)
    meta = np.empty((0,) * cube.ndim, dtype)
    return da.map_blocks(
        function, array, *others, dtype=dtype, chunks=chunks or array.chunks, meta=meta, token=f"refold-{label}"
    )


def with_data(cube: xr.DataArray, data: Any) -> xr.DataArray:
    """Give a cube other values of the same shape; how it was stored (its encoding) is forgotten."""
    return xr.DataArray(data, cube.coords, cube.dims, cube.name, cube.attrs)


def float_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose the float in which a cube's values are scaled: float32, or float64 for what has 64 bits."""
    return np.dtype(np.float64 if dtype.itemsize >= 8 else np.float32)
