"""Cropping: keep a range of any dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube
from refold.errors import ParameterError
from refold.prepare.blocks import options_by_dim

Bounds = Sequence[Any] | slice


def crop(
    cube: xr.DataArray,
    bounds: Mapping[str, Bounds] | None = None,
    *,
    by: Literal["coordinate", "index"] = "coordinate",
    **dims: Bounds,
) -> xr.DataArray:
    """Keep a range of some dims, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    bounds : mapping of str to (low, high), optional
        What to keep of each dim. None leaves an end open.
    by : {"coordinate", "index"}
        Whether bounds are positions on the coordinate, both ends kept, the larger first or last; or indices as in
        ``array[start:stop]``.
    **dims : (low, high)
        The bounds as keywords.

    Returns
    -------
    xarray.DataArray
        The smaller cube, the order of its positions kept: coordinates may descend, or have no order at all.

    Raises
    ------
    ParameterError
        If a dim is unknown, a bound is no pair, or nothing is left.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.ones((2, 2, 5)), signal="energy", coords={"energy": np.arange(5)[::-1] * 10.0})
    >>> crop(cube, energy=(5, 20)).energy.values.tolist()
    [20.0, 10.0]
    >>> crop(cube, energy=(0, 2), by="index").energy.values.tolist()
    [40.0, 30.0]
    """
    cube = check_cube(cube)
    if by not in ("coordinate", "index"):
        raise ParameterError(f"by={by!r}", "'coordinate' or 'index'", "choose one of the two")
    wanted = {dim: _pair(dim, value) for dim, value in options_by_dim(cube, bounds, dims).items()}
    kept: dict[str, Any] = {}
    for dim, (low, high) in wanted.items():
        kept[dim] = _by_coordinate(cube[dim].values, low, high) if by == "coordinate" else _by_index(dim, low, high)
    small = cube.isel(kept)
    empty = [dim for dim in wanted if small.sizes[dim] == 0]
    if empty:
        raise ParameterError(*_nothing_left(cube, empty[0], wanted[empty[0]], by))
    return small


def _pair(dim: str, value: Any) -> tuple[Any, Any]:
    if isinstance(value, slice) and value.step is None:
        return value.start, value.stop
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return value[0], value[1]
    raise ParameterError(f"{dim}={value!r}", "a pair (low, high)", "give both ends; None leaves one open")


def _by_coordinate(values: npt.NDArray[Any], low: Any, high: Any) -> slice | npt.NDArray[np.intp]:
    """Find the positions within the bounds; a slice where they follow each other, which is cheaper to read."""
    if low is not None and high is not None and values.dtype.kind not in "mMOUS" and low > high:
        low, high = high, low
    if values.dtype.kind == "M":
        low, high = (None if end is None else np.datetime64(end) for end in (low, high))
    inside = np.ones(values.shape, bool)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values <= high
    found = np.flatnonzero(inside)
    if found.size and found[-1] - found[0] + 1 == found.size:
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


def _by_index(dim: str, low: Any, high: Any) -> slice:
    for end in (low, high):
        if end is not None and not isinstance(end, int | np.integer):
            raise ParameterError(
                f"{dim}=({low!r}, {high!r}) with by='index'", "whole numbers", "or crop by='coordinate'"
            )
    return slice(low, high)


def _nothing_left(cube: xr.DataArray, dim: str, bounds: tuple[Any, Any], by: str) -> tuple[str, str, str]:
    found = f"nothing of {dim!r} between {bounds[0]} and {bounds[1]}"
    if by == "index":
        return found, f"indices from 0 to {cube.sizes[dim]}", "change the bounds"
    values, units = cube[dim].values, cube[dim].attrs.get("units", "")
    return found, f"bounds that meet its range, {values.min()} to {values.max()} {units}".rstrip(), "change the bounds"
