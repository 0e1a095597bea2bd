"""The door of a model: what it keeps of the signal that it was fitted to, and what it lets in afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from refold.cube.axes import as_cube, signal_dims, signal_shape
from refold.errors import CubeError

_TABLE = ("pixel", "feature")


def signal_template(cube: xr.DataArray) -> xr.DataArray:
    """The signal side of a cube: dims, coordinates, name and attributes, with values that take no memory.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.

    Returns
    -------
    xarray.DataArray
        Zeros over the signal dims.
    """
    dims = signal_dims(cube)
    coords = {name: coord for name, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    values = np.broadcast_to(np.zeros((), dtype=np.float32), signal_shape(cube))
    return xr.DataArray(values, dims=dims, coords=coords, name=cube.name, attrs=cube.attrs)


def check_signal(cube: xr.DataArray, fitted: xr.DataArray) -> xr.DataArray:
    """Check that a cube has the signal that a model was fitted to.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    fitted : xarray.DataArray
        From `signal_template`.

    Returns
    -------
    xarray.DataArray
        The same cube.

    Raises
    ------
    CubeError
        If its signal is of another shape.
    """
    if signal_shape(cube) != fitted.shape:
        raise CubeError(
            f"signal dims {dict(zip(signal_dims(cube), signal_shape(cube), strict=True))}",
            f"those fitted, {dict(fitted.sizes)}",
            "give a cube with the same signal, or fit again",
        )
    return cube


def table_as_cube(table: Any) -> xr.DataArray:
    """A table of pixels as a cube of one navigation dim.

    Parameters
    ----------
    table : numpy.ndarray, shape (pixel, feature)
        Numbers.

    Examples
    --------
    >>> table_as_cube(np.ones((3, 2))).dims
    ('pixel', 'feature')
    """
    return as_cube(table, signal="feature", dims=_TABLE)
