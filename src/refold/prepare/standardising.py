"""Steps that compare features with each other: z-scores over the pixels, softmax within a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, n_features, signal_dims, signal_shape
from refold.engine import Moments, sweep
from refold.errors import DataError, ParameterError
from refold.prepare.blocks import float_of, lay, rechunked, without_units
from refold.prepare.kernels import lane_sums
from refold.prepare.steps import ValueStep, as_rows
from refold.prepare.tiles import Bench

Array = npt.NDArray[Any]


def zscore(cube: xr.DataArray, mean: Any = None, std: Any = None, **options: Any) -> xr.DataArray:
    """Take each feature's mean off and divide by its standard deviation.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    mean, std : float, array_like or xarray.DataArray, optional
        Of each feature, over the signal dims; both or neither. By default they are found in one sweep over the cube.
    **options
        As for `refold.sweep`, if it is swept.

    Returns
    -------
    xarray.DataArray
        Lazy as the cube is; float32, or float64 for a cube of 64 bits. A feature that does not vary is only centred.
        NaN stays NaN. Units go.

    Raises
    ------
    ParameterError
        If one of mean and std is missing, is not finite, or there are not as many as features.
    DataError
        If they are to be found, and no pixel is valid.

    See Also
    --------
    refold.Scaler : The same, kept as a model, and other kinds of scaling.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.array([[[1.0, 2.0], [3.0, 2.0]]]), signal="energy")
    >>> zscore(cube).values.tolist()
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """
    cube = check_cube(cube)
    if (mean is None) != (std is None):
        raise ParameterError("one of mean and std", "both, or neither", "leave both out to have them found")
    if mean is None:
        (found,) = sweep(cube, Moments(n_features=n_features(cube)), **{"label": "z-scores", **options})
        if not found.count:
            remedy = "fill or crop what is not finite"
            raise DataError("no valid pixel", "pixels that are finite in every channel", remedy)
        mean, std = found.mean, np.sqrt(found.variance)
    center, scale = _of_features(cube, "mean", mean), _of_features(cube, "std", std)
    if (scale < 0).any():
        raise ParameterError("a negative std", "0 or more", "give standard deviations")
    cube = _whole_signal(cube)
    step = Standardise(center, np.where(scale > 0, scale, 1.0), len(signal_dims(cube)), float_of(cube.dtype))
    return without_units(cube, lay(cube, step), "z-score of {}")


def softmax(cube: xr.DataArray) -> xr.DataArray:
    """Turn each pixel's features into shares that add up to 1, lazily: exp(value) over the sum of all of them.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube; z-scores mostly, as values that are large beside 1 leave the largest alone.

    Returns
    -------
    xarray.DataArray
        float32, or float64 for a cube of 64 bits. A pixel that holds anything not finite is NaN throughout. Units go.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> softmax(as_cube(np.array([[0.0, 0.0], [0.0, np.nan]]), signal="energy")).values.tolist()
    [[0.5, 0.5], [nan, nan]]
    """
    cube = _whole_signal(check_cube(cube))
    step = Softmax(len(signal_dims(cube)), float_of(cube.dtype))
    return without_units(cube, lay(cube, step), "softmax of {}")


def _whole_signal(cube: xr.DataArray) -> xr.DataArray:
    return rechunked(cube, dict.fromkeys(signal_dims(cube), -1))


def _of_features(cube: xr.DataArray, name: str, given: Any) -> npt.NDArray[np.float64]:
    """One finite number for each feature, in the order in which a pixel holds them."""
    if isinstance(given, xr.DataArray) and given.dims:
        given = given.transpose(*signal_dims(cube), missing_dims="raise").values
    values = np.asarray(given, np.float64)
    if values.ndim and values.size != n_features(cube):
        wanted = f"one number, or {n_features(cube)} of shape {signal_shape(cube)}"
        raise ParameterError(f"{name} of shape {values.shape}", wanted, "give one for each feature")
    if not np.isfinite(values).all():
        raise ParameterError(f"{name} that is not finite", "numbers", "leave mean and std out to have them found")
    return np.ascontiguousarray(np.broadcast_to(values.ravel(), (n_features(cube),)))


class _InNumPy(ValueStep):
    """A step that NumPy does as fast as a loop would; it sees whole pixels."""

    n_signal: int

    @property
    def whole(self) -> int:
        """Its signal dims."""
        return self.n_signal

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Do it to a block."""
        raise NotImplementedError

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Do it to a tile, which is small enough to be copied."""
        out[...] = self(tile)


@dataclass(frozen=True, eq=False)
class Standardise(_InNumPy):
    """Centre and divide the features of one block, in a type of floats."""

    name: ClassVar[str] = "zscore"
    room: ClassVar[float] = 8.0

    center: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    n_signal: int
    dtype: np.dtype[Any]

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Centre in float64, for counts may be large beside their deviation."""
        rows = as_rows(block.astype(np.float64, order="C"), self.n_signal)
        rows -= self.center
        rows /= self.scale
        return np.asarray(rows.reshape(block.shape), self.dtype)


@dataclass(frozen=True)
class Softmax(_InNumPy):
    """Softmax of the pixels of one block, in a type of floats."""

    name: ClassVar[str] = "softmax"
    room: ClassVar[float] = 8.0

    n_signal: int
    dtype: np.dtype[Any]

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Take the largest value off first, so that nothing overflows."""
        rows = as_rows(block.astype(np.float64, order="C"), self.n_signal)
        known = np.isfinite(rows).all(axis=1)
        rows[~known] = 0
        rows -= rows.max(axis=1, keepdims=True)
        np.exp(rows, out=rows)
        rows /= lane_sums(rows)[:, None]
        rows[~known] = np.nan
        return np.asarray(rows.reshape(block.shape), self.dtype)
