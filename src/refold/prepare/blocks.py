"""What all preparing steps share: dims checked by name, and a step laid over the values of a cube."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, TypeVar

import dask.array as da
import numpy as np
import xarray as xr

from refold.errors import ParameterError
from refold.prepare.chain import Chain
from refold.prepare.fusing import lay_over
from refold.prepare.steps import Step

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


def check_number(name: str, value: Any, wanted: str, remedy: str, fits: Callable[[Any], bool]) -> Any:
    """Give an option back as a plain number, or raise.

    Raises
    ------
    ParameterError
        If it is no number, or does not fit.

    Examples
    --------
    >>> check_number("width", np.array(3), "3 or more", "give more", fits=lambda number: number >= 3)
    3
    """
    number = value.item() if isinstance(value, np.ndarray | xr.DataArray) and value.ndim == 0 else value
    if not isinstance(number, Real) or not fits(number):
        raise ParameterError(f"{name}={value!r}", wanted, remedy)
    return number


def is_count(number: Any) -> bool:
    """Whether a number is whole, and 0 or more."""
    return bool(0 <= number < np.inf and number == int(number))


def lay(cube: xr.DataArray, step: Step, *masks: Any) -> Any:
    """Lay a step over a cube's values: done at once where they are in memory, else joined to the task that makes them.

    Parameters
    ----------
    cube : xarray.DataArray
        The cube.
    step : Step
        What to do.
    *masks : numpy.ndarray or dask.array.Array
        As many as the step takes, of as many dims; lazy ones in the cube's chunks, or of size 1 along a dim.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        As lazy as the cube and the masks are.
    """
    lazy = [mask for mask in masks if isinstance(mask, da.Array)]
    if cube.chunks is None and not lazy:
        return Chain((step,), cube.dtype)(cube.values, *masks)
    array = cube.data if cube.chunks is not None else da.from_array(cube.values, chunks=cube.shape, name=False)
    return lay_over(array, step, masks)


def rechunked(cube: xr.DataArray, chunks: Mapping[str, Any]) -> xr.DataArray:
    """Cut the values of a lazy cube along some dims otherwise; coordinates stay in memory, which `chunk` makes lazy."""
    if cube.chunks is None:
        return cube
    sizes = {cube.get_axis_num(dim): size for dim, size in chunks.items()}
    return cube.copy(data=cube.data.rechunk(sizes))


def with_data(cube: xr.DataArray, data: Any) -> xr.DataArray:
    """Give a cube other values of the same shape; how it was stored (its encoding) is forgotten."""
    return xr.DataArray(data, cube.coords, cube.dims, cube.name, cube.attrs)


def without_units(cube: xr.DataArray, data: Any, name: str) -> xr.DataArray:
    """Give a cube new values that are no longer in its units; its name, if it has one, goes into ``name``."""
    result = with_data(cube, data)
    long_name = result.attrs.get("long_name")
    result.attrs = {key: value for key, value in result.attrs.items() if key != "units"}
    if long_name is not None:
        result.attrs["long_name"] = name.format(long_name)
    return result


def float_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose the float in which a cube's values are scaled: float32, or float64 for what has 64 bits."""
    return np.dtype(np.float64 if dtype.itemsize >= 8 else np.float32)
