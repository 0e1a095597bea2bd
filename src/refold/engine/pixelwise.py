"""A function of single pixels, laid lazily over a cube."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, conform, navigation_dims, signal_dims
from refold.engine.block import Block


def map_pixels(
    cube: xr.DataArray,
    function: Callable[[Block, Any], npt.NDArray[Any]],
    model: Any,
    name: str | None,
    sizes: Mapping[Any, int],
    template: xr.DataArray | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> xr.DataArray:
    """Apply a function to each pixel's signal, lazily and block by block.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Its navigation chunks are kept; a signal cut into chunks is joined.
    function : callable
        ``function(block, model)`` gives an array of shape (row, ...).
    model : object
        Handed to the function.
    name : str or None
        Declared variable that the result is; None for a cube of its own.
    sizes : mapping of str to int
        Dims that take the place of the signal dims.
    template : xarray.DataArray, optional
        Has coordinates, name and attributes of these dims.
    dtype : dtype
        Of what the function gives.

    Returns
    -------
    xarray.DataArray
        Lazy, on the navigation dims of the cube and the dims given.
    """
    cube = check_cube(_with_component_role(cube))
    navigation, signal = navigation_dims(cube), signal_dims(cube)
    lazy = cube if cube.chunks is not None else cube.chunk()
    data = lazy.data.rechunk(dict.fromkeys(range(len(navigation), cube.ndim), -1))
    first = len(navigation)
    mapped = da.map_blocks(
        _on_block,
        data,
        dtype=dtype,
        drop_axis=list(range(first, first + len(signal))),
        new_axis=list(range(first, first + len(sizes))) or None,
        chunks=data.chunks[:first] + tuple((size,) for size in sizes.values()),
        meta=np.empty((0,) * (first + len(sizes)), dtype=dtype),
        function=function,
        model=model,
        n_navigation=first,
        tail=tuple(sizes.values()),
    )
    coords = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(navigation)}
    if template is not None:
        coords |= dict(template.coords)
    for dim in ("component", "cluster") if template is None else ():
        if dim in sizes:
            coords[dim] = xr.Variable(dim, np.arange(sizes[dim]), {"role": "signal"})
    result = xr.DataArray(mapped, dims=(*navigation, *map(str, sizes)), coords=coords)
    if template is not None:
        return result.rename(template.name).assign_attrs(template.attrs)
    return result if name is None else conform(name, result)


def _on_block(
    chunk: npt.NDArray[Any],
    *,
    function: Callable[[Block, Any], npt.NDArray[Any]],
    model: Any,
    n_navigation: int,
    tail: tuple[int, ...],
) -> npt.NDArray[Any]:
    result = function(Block(chunk, n_navigation), model)
    return result.reshape(*chunk.shape[:n_navigation], *tail)


def _with_component_role(cube: xr.DataArray) -> xr.DataArray:
    """Scores that lost the role of their components, as after a computation of one's own, get it back."""
    if "component" in cube.dims and "component" not in cube.coords:
        return cube.assign_coords(component=("component", np.arange(cube.sizes["component"]), {"role": "signal"}))
    return cube
