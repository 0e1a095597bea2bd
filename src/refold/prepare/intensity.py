"""Steps on the values themselves: clip, logarithm, scaling each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, signal_dims
from refold.errors import ParameterError
from refold.prepare.blocks import blockwise, float_of, with_data

How = Literal["total", "max", "unit"]


@dataclass(frozen=True)
class Limits:
    """Clip one block."""

    low: Any
    high: Any

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Clip; the bounds are of the block's own type."""
        return np.asarray(np.clip(block, self.low, self.high))


@dataclass(frozen=True)
class Logarithm:
    """Take the logarithm of one block."""

    dtype: np.dtype[Any]

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take log(1 + value) of what is not negative, and 0 of what is."""
        out = block.astype(self.dtype)
        np.maximum(out, 0, out=out)
        return np.asarray(np.log1p(out, out=out))


@dataclass(frozen=True)
class Scale:
    """Scale each pixel of one block."""

    how: How
    n_signal: int
    dtype: np.dtype[Any]

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Divide each pixel by its own total, maximum or norm."""
        axes = tuple(range(block.ndim - self.n_signal, block.ndim))
        out = block.astype(self.dtype)
        with np.errstate(invalid="ignore"):  # a pixel that holds infinities is invalid, and stays so as NaN
            size = self._size(out, axes)
            kept = (size > 0) | np.isnan(size)
            np.divide(out, np.where(kept, size, 1), out=out)
        np.copyto(out, 0, where=~kept)
        return out

    def _size(self, out: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
        """Measure each pixel, in the type of ``out``; added up in float64."""
        if self.how == "max":
            return np.asarray(out.max(axis=axes, keepdims=True))
        if self.how == "total":
            total = out.sum(axis=axes, keepdims=True, dtype=np.float64)
        else:
            # Scaled by the largest value first: squares of large floats overflow, those of small ones vanish.
            top = np.abs(out).max(axis=axes, keepdims=True)
            top[top == 0] = 1
            total = top * np.sqrt(np.square(out / top).sum(axis=axes, keepdims=True, dtype=np.float64))
        return np.asarray(total, self.dtype)


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
    return with_data(cube, blockwise(cube, step, dtype=cube.dtype, label="clip"))


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
    return _unitless(cube, blockwise(cube, Logarithm(dtype), dtype=dtype, label="log1p"), "log(1 + {})")


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
    if cube.chunks is not None:
        cube = cube.chunk(dict.fromkeys(signal, -1))
    dtype = float_of(cube.dtype)
    step = Scale(how, len(signal), dtype)
    return _unitless(cube, blockwise(cube, step, dtype=dtype, label="normalise"), "{} of each pixel over its " + how)


def _unitless(cube: xr.DataArray, data: Any, name: str) -> xr.DataArray:
    """Give the cube new values that are no longer in its units."""
    result = with_data(cube, data)
    long_name = result.attrs.get("long_name")
    result.attrs = {key: value for key, value in result.attrs.items() if key != "units"}
    if long_name is not None:
        result.attrs["long_name"] = name.format(long_name)
    return result
