"""Bands: leave out those that are bad, by the file's list, by windows or by index; keep ranges, or every so many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, signal_dims
from refold.errors import ParameterError
from refold.prepare.blocks import check_dims

Window = tuple[float, float]
_GOOD = "good"


def bands(
    cube: xr.DataArray,
    dim: str | None = None,
    *,
    good: bool = True,
    windows: Sequence[Window] | Window = (),
    drop: Any = None,
    keep: Sequence[Window] | Window = (),
    step: int = 1,
) -> xr.DataArray:
    """Keep the bands that are worth learning from, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    dim : str, optional
        The signal dim of the bands, where there are several signal dims.
    good : bool
        Whether to leave out the bands whose coordinate ``good`` is False: those that the file lists as bad, and those
        that `refold.open` found to hold no data. A cube without this coordinate loses none.
    windows : sequence of (low, high)
        Ranges to leave out, in the units of the coordinate, both ends included; also a single pair.
    drop : sequence of int or of bool, optional
        Bands to leave out: indices, negative ones from the end; or for each band whether to.
    keep : sequence of (low, high)
        Ranges to keep, if not all; also a single pair.
    step : int
        Keep every so many of the bands that are then left, the first of them included.

    Returns
    -------
    xarray.DataArray
        The cube with fewer bands, in their order, with their coordinates (``fwhm``, ``good``) and its attributes.
        Blocks are read as before, each chunk once; what is left out goes straight after.

    Raises
    ------
    ParameterError
        If it has several signal dims and none is named, an option is no such thing, or nothing is left.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.ones((2, 2, 6)), signal="wavelength", coords={"wavelength": np.arange(400.0, 1000, 100)})
    >>> bands(cube, windows=(550, 650), drop=[-1]).wavelength.values.tolist()
    [400.0, 500.0, 700.0, 800.0]
    >>> bands(cube.assign_coords(good=("wavelength", [True] * 3 + [False] * 3)), step=2).wavelength.values.tolist()
    [400.0, 600.0]
    """
    cube = check_cube(cube)
    dim = _band_dim(cube, dim)
    kept = np.ones(cube.sizes[dim], bool)
    if good and _GOOD in cube.coords and cube.coords[_GOOD].dims == (dim,):
        kept &= cube.coords[_GOOD].values.astype(bool)
    positions = cube.coords[dim].values
    kept &= ~_within(positions, _windows("windows", windows))
    if (ranges := _windows("keep", keep)) != []:
        kept &= _within(positions, ranges)
    if drop is not None:
        kept &= ~_dropped(drop, kept.size)
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 1:
        raise ParameterError(f"step={step!r}", "a whole number of at least 1", "keep every second band with step=2")
    found = np.flatnonzero(kept)[::step]
    if not found.size:
        unit = cube.coords[dim].attrs.get("units", "")
        wanted = f"something left of {kept.size} bands, {positions.min()} to {positions.max()} {unit}".rstrip()
        raise ParameterError(f"no band left along {dim!r}", wanted, "drop fewer, or pass good=False")
    return cube if found.size == kept.size else cube.isel({dim: _as_slice(found)})


def _band_dim(cube: xr.DataArray, dim: str | None) -> str:
    signal = signal_dims(cube)
    if dim is not None:
        check_dims(cube, [dim])
        if dim not in signal:
            raise ParameterError(f"dim {dim!r}", f"a signal dim, of {', '.join(signal)}", "crop navigation dims")
        return dim
    if len(signal) != 1:
        raise ParameterError(f"signal dims {signal}", "a single one for the bands", f"name it, as in dim={signal[0]!r}")
    return signal[0]


def _windows(name: str, given: Any) -> list[Window]:
    """Read ranges, of which a single one need not be in a list."""
    try:
        pairs = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        pairs = np.empty(1)
    if pairs.size == 0:
        return []
    if pairs.shape == (2,):
        pairs = pairs[None]
    if pairs.ndim != 2 or pairs.shape[1] != 2 or np.isnan(pairs).any():
        wanted = "pairs (low, high) in the units of the bands"
        raise ParameterError(f"{name}={given!r}", wanted, f"write {name}=((1340, 1445), (1790, 1955))")
    return [(float(low), float(high)) for low, high in np.sort(pairs, axis=1)]


def _within(positions: npt.NDArray[Any], windows: Sequence[Window]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(positions.shape, bool)
    for low, high in windows:
        inside |= (positions >= low) & (positions <= high)
    return inside


def _dropped(drop: Any, size: int) -> npt.NDArray[np.bool_]:
    """Read which bands to leave out."""
    given = np.atleast_1d(np.asarray(drop))
    if given.dtype.kind == "b" and given.shape == (size,):
        return given
    flags = np.zeros(size, bool)
    if given.size == 0:
        return flags
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.min() < -size or given.max() >= size:
        wanted = f"indices from {-size} to {size - 1}, or {size} booleans, True where to drop"
        raise ParameterError(f"drop={drop!r}", wanted, "give ranges of positions as windows=((low, high), …)")
    flags[given] = True
    return flags


def _as_slice(found: npt.NDArray[np.intp]) -> slice | npt.NDArray[np.intp]:
    """Bands that follow each other evenly as a slice, which copies nothing."""
    steps = np.unique(np.diff(found))
    if steps.size > 1:
        return found
    step = int(steps[0]) if steps.size else 1
    return slice(int(found[0]), int(found[-1]) + 1, step)
