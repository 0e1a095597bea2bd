"""Steps on the values themselves: clip, logarithm, scaling each pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube, signal_dims
from refold.errors import ParameterError
from refold.prepare.blocks import float_of, lay, rechunked, with_data, without_units
from refold.prepare.values import How, Limits, Logarithm, Scale


def clip(cube: xr.DataArray, low: float | None = None, high: float | None = None) -> xr.DataArray:
    """Bring values below ``low`` up to it and those above ``high`` down to it, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    low, high : float, optional
        Bounds; None leaves an end open.

    Returns
    -------
    xarray.DataArray
        The cube with its type kept: for integers a bound is the nearest whole number inside. NaN stays NaN.

    Raises
    ------
    ParameterError
        If no bound is given, one is NaN, or no value of the cube's type lies between them.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> clip(as_cube(np.array([[-3, 0, 9]]), signal="energy"), 0, 5).values.tolist()
    [[0, 0, 5]]
    """
    cube = check_cube(cube)
    ends = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    if (low is None and high is None) or any(math.isnan(end) for end in ends) or ends[0] > ends[1]:
        raise ParameterError(f"low={low}, high={high}", "at least one bound, low not above high", "change the bounds")
    if cube.dtype.kind == "f":
        step = Limits(cube.dtype.type(ends[0]), cube.dtype.type(ends[1]))
    elif cube.dtype.kind == "b":
        raise ParameterError("a cube of booleans", "numbers that can be clipped", "convert it with astype('uint8')")
    else:
        step = Limits(*(cube.dtype.type(end) for end in _whole_bounds(cube.dtype, *ends)))
    return with_data(cube, lay(cube, step))


def _whole_bounds(dtype: np.dtype[Any], low: float, high: float) -> tuple[int, int]:
    """Find the whole numbers nearest to the bounds, inside of them and of an integer type."""
    limits = np.iinfo(dtype)
    bottom = math.ceil(min(max(low, int(limits.min)), int(limits.max) + 1))
    top = math.floor(max(min(high, int(limits.max)), int(limits.min) - 1))
    if bottom > top:
        wanted = f"bounds with a value of {dtype} between them"
        raise ParameterError(f"low={low:g}, high={high:g}", wanted, "change the bounds, or convert the cube first")
    return bottom, top


def log1p(cube: xr.DataArray) -> xr.DataArray:
    """Take log(1 + value), lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Negative values, which counts have from read-out noise only, are taken as 0.

    Returns
    -------
    xarray.DataArray
        float32, or float64 for a cube of 64 bits. NaN stays NaN. Units go: a logarithm of counts is no count.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> log1p(as_cube(np.array([[0, -4, 1]], "int16"), signal="energy")).values.tolist()
    [[0.0, 0.0, 0.6931472]]
    """
    cube = check_cube(cube)
    dtype = float_of(cube.dtype)
    return without_units(cube, lay(cube, Logarithm(dtype)), "log(1 + {})")


def normalise(cube: xr.DataArray, how: How = "total") -> xr.DataArray:
    """Divide each pixel's signal by its own size, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Where its signal dims are cut into chunks, those of one pixel are merged.
    how : {"total", "max", "unit"}
        By its sum, its largest value, or its Euclidean norm.

    Returns
    -------
    xarray.DataArray
        float32, or float64 for a cube of 64 bits. A pixel whose size is not positive, so an empty one, becomes zero.
        One that holds NaN is NaN throughout. Units go.

    Raises
    ------
    ParameterError
        If ``how`` is something else.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> normalise(as_cube(np.array([[1, 3], [0, 0]]), signal="energy")).values.tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    cube = check_cube(cube)
    if how not in ("total", "max", "unit"):
        raise ParameterError(f"how={how!r}", "'total', 'max' or 'unit'", "choose one of them")
    signal = signal_dims(cube)
    cube = rechunked(cube, dict.fromkeys(signal, -1))
    dtype = float_of(cube.dtype)
    step = Scale(how, len(signal), dtype)
    return without_units(cube, lay(cube, step), "{} of each pixel over its " + how)
