"""Two signal dims as a plane: distances from a centre, units, and which of its pixels count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import signal_dims
from refold.errors import ParameterError

Floats = npt.NDArray[np.float64]


def plane_of(cube: xr.DataArray) -> tuple[str, str]:
    """Name the two signal dims of patterns.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.

    Returns
    -------
    tuple of str
        The dim along columns, and the one along rows.

    Raises
    ------
    ParameterError
        If there are not two signal dims, or one of them has no numbers for positions.
    """
    dims = signal_dims(cube)
    if len(dims) != 2:
        raise ParameterError(f"signal dims {dims}", "two, as of diffraction patterns", "use it on a cube of patterns")
    for dim in dims:
        if cube[dim].dtype.kind not in "iuf":
            remedy = f"give numbers: assign_coords({dim}=range(...))"
            raise ParameterError(f"positions along {dim!r} of dtype {cube[dim].dtype}", "numbers", remedy)
    return dims[0], dims[1]


def distances(cube: xr.DataArray, centre: Sequence[float]) -> Floats:
    """Measure how far each pixel of a pattern is from a centre.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    centre : sequence of float
        ``(cy, cx)`` in signal coordinates; a third number, as of a `Beam`, is not looked at.

    Returns
    -------
    numpy.ndarray
        Shape of the signal dims, in the units of the signal coordinates.

    Raises
    ------
    ParameterError
        If the centre is not two finite numbers.
    """
    dims = plane_of(cube)
    try:
        middle = [float(number) for number in centre]
    except (TypeError, ValueError) as error:
        raise _no_centre(centre, dims) from error
    if len(middle) not in (2, 3) or not np.isfinite(middle).all():
        raise _no_centre(centre, dims)
    steps = [cube[dim].values.astype(np.float64) - at for dim, at in zip(dims, middle, strict=False)]
    return np.asarray(np.hypot(steps[0][:, None], steps[1][None, :]), np.float64)


def _no_centre(centre: Any, dims: tuple[str, str]) -> ParameterError:
    remedy = "give it in signal coordinates, or find it with refold.find_beam"
    return ParameterError(f"centre={centre!r}", f"a number along {dims[0]!r} and one along {dims[1]!r}", remedy)


def spacing(cube: xr.DataArray) -> float:
    """Distance of neighbouring pixels, along the dim where they are closest.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.

    Returns
    -------
    float
        In the units of the signal coordinates; 1 for a single pixel.
    """
    gaps = [np.diff(np.sort(cube[dim].values.astype(np.float64))) for dim in plane_of(cube)]
    steps = [float(np.median(gap[gap > 0])) for gap in gaps if (gap > 0).any()]
    return min(steps, default=1.0)


def units_of(cube: xr.DataArray) -> dict[str, str]:
    """Units of lengths in the plane, as attributes.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.

    Returns
    -------
    dict
        ``{"units": …}`` where both dims have the same; else nothing.
    """
    units = {cube[dim].attrs.get("units") for dim in plane_of(cube)}
    unit = units.pop() if len(units) == 1 else None
    return {} if unit is None else {"units": str(unit)}


def counted(cube: xr.DataArray, mask: xr.DataArray | None) -> npt.NDArray[np.bool_]:
    """Tell which pixels of a pattern count.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    mask : xarray.DataArray or array_like of bool, optional
        Over the signal dims; True is left out, as in `refold.mask`.

    Returns
    -------
    numpy.ndarray
        Shape of the signal dims; True counts.

    Raises
    ------
    ParameterError
        If the mask has another shape or is not of booleans.
    """
    dims = plane_of(cube)
    shape = tuple(cube.sizes[dim] for dim in dims)
    if mask is None:
        return np.ones(shape, dtype=bool)
    if isinstance(mask, xr.DataArray) and set(mask.dims) == set(dims):
        mask = mask.transpose(*dims)
    left_out = np.asarray(mask)
    if left_out.shape != shape or left_out.dtype.kind != "b":
        found = f"a mask of shape {left_out.shape} and dtype {left_out.dtype}"
        raise ParameterError(found, f"booleans of shape {shape}, True where left out", "make it over the signal dims")
    return ~left_out
