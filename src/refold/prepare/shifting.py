"""Spectra moved along their axis, each pixel by an amount of its own, lazily."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import navigation_dims
from refold.errors import DataError, ParameterError
from refold.prepare.blocks import float_of
from refold.prepare.evenly import EvenAxis
from refold.prepare.steps import is_compiled

Edges = Literal["crop", "keep", "expand"]
Interpolation = Literal["linear", "nearest"]
Array = npt.NDArray[Any]
_ROUNDING = 9  # decimals of a channel: a shift by whole channels is one also after conversion to units and back


def shift(cube: xr.DataArray, shifts: Array, *, whole: bool, edges: Edges, fill: float, origin: float) -> xr.DataArray:
    """Move each pixel's spectrum by so much.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra on an even axis.
    shifts : numpy.ndarray
        Shape of the navigation dims, in the units of the axis; NaN stands for none.
    whole : bool
        Whether to move by whole channels, which keeps the type.
    edges : {"crop", "keep", "expand"}
        Which channels the result has.
    fill : float
        Stands where a pixel has nothing.
    origin : float
        Position on the axis that becomes 0.

    Returns
    -------
    xarray.DataArray
        As lazy as the cube.
    """
    axis = EvenAxis.of(cube)
    cube = cube.transpose(*navigation_dims(cube), axis.dim)
    moves = np.round(np.nan_to_num(shifts) / axis.step, _ROUNDING)
    moves = np.rint(moves) if whole else moves
    channels = _channels(axis.size, moves, edges)
    dtype = cube.dtype.newbyteorder("=") if whole else float_of(cube.dtype)
    step = _Move(channels.start, len(channels), dtype, _fill(fill, dtype, needed=edges != "crop"))
    positions = axis.position(np.arange(channels.start, channels.stop)) - origin
    if edges != "expand":  # as the file has them, not as a step from the first one
        positions = cube[axis.dim].values[channels.start : channels.stop] - origin
    coords = {key: coord for key, coord in cube.coords.items() if axis.dim not in coord.dims}
    coords[axis.dim] = xr.DataArray(positions, dims=axis.dim, attrs=cube[axis.dim].attrs)
    moved = xr.DataArray(_laid(cube, moves, step), coords, cube.dims, attrs=cube.attrs)
    return moved.rename(cube.name)  # a lazy array would give its own name to one without


def _channels(size: int, moves: Array, edges: Edges) -> range:
    """Channels of the result, counted on the axis of the input."""
    low, high = float(moves.min()), float(moves.max())
    if edges == "keep":
        return range(size)
    if edges == "expand":
        return range(min(0, math.floor(low)), size + max(0, math.ceil(high)))
    channels = range(max(0, math.ceil(high)), size + min(0, math.floor(low)))
    if 2 * len(channels) < size:  # a single pixel can do that, by a peak that is none
        raise DataError(
            f"shifts from {low:.6g} to {high:.6g} channels, which leave {len(channels)} of {size} in all pixels",
            "half of the channels at least",
            "give a window around the zero loss, mask the pixels without one, or use edges='keep'",
        )
    return channels


def _fill(fill: float, dtype: np.dtype[Any], *, needed: bool) -> Any:
    if not needed:
        return dtype.type(0)
    if dtype.kind != "f" and not (float(fill).is_integer() and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max):
        remedy = "change it, or convert the cube with astype('float32')"
        raise ParameterError(f"fill={fill}", f"a value that {dtype} holds", remedy)
    return dtype.type(fill)


@dataclass(frozen=True)
class _Move:
    """What is done to a block: its spectra moved, each by the number of channels beside it."""

    start: int
    size: int
    dtype: np.dtype[Any]
    fill: Any

    def __call__(self, block: Array, moves: Array) -> Array:
        from refold.prepare.peaks import move  # numba costs more to import than this package

        block = block if is_compiled(block.dtype) else block.astype(self.dtype)
        rows = np.ascontiguousarray(block.reshape(-1, block.shape[-1]))
        out = np.empty((len(rows), self.size), self.dtype)
        move(rows, moves.ravel(), self.start, self.fill, out)
        return out.reshape(*block.shape[:-1], self.size)


def _laid(cube: xr.DataArray, moves: Array, step: _Move) -> Any:
    moves = moves[..., None]
    if cube.chunks is None:
        return step(cube.values, moves)
    data = cube.data.rechunk({cube.ndim - 1: -1})
    chunks = (*data.chunks[:-1], (step.size,))
    lazy = da.from_array(moves, chunks=(*data.chunks[:-1], (1,)))
    meta = np.empty((0,) * data.ndim, step.dtype)
    return da.map_blocks(step, data, lazy, dtype=step.dtype, chunks=chunks, meta=meta, token="refold-shift")
