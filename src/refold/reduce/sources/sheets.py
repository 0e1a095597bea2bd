"""Components as functions on a grid, and their derivatives."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.errors import ParameterError

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sheet:
    """Components side by side on the grid that they are functions of: the signal's, or part of the scan's.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (*grid, component); NaN where left out.
    positions : tuple of numpy.ndarray
        Coordinate along each dim of the grid, strictly monotonic.
    """

    values: Matrix
    positions: tuple[npt.NDArray[Any], ...]

    def differentiated(self, order: int, axes: Sequence[int]) -> Iterator[Matrix]:
        """Rows of the derivative along each axis, without those that touch something left out."""
        count = self.values.shape[-1]
        left_out = ~np.isfinite(self.values).all(axis=-1)
        for axis in axes if order else axes[:1]:
            values = self.values
            for _ in range(order):
                values = np.gradient(values, self.positions[axis], axis=axis)
            # The central difference of even spacing skips the middle, so that what was left out is named again.
            yield values[np.isfinite(values).all(axis=-1) & ~left_out].reshape(-1, count)


def factor_sheet(factors: Matrix, signal: xr.DataArray, mask: Any) -> Sheet:
    """Factors as functions of the signal axes.

    Parameters
    ----------
    factors : numpy.ndarray
        Shape (component, feature).
    signal : xarray.DataArray
        Signal side of the cube.
    mask : array_like or None
        Shape of the signal: True where channels are left out.
    """
    dims = [str(dim) for dim in signal.dims]
    values = np.moveaxis(factors.reshape(-1, *signal.shape), 0, -1).copy()
    masked = left_out(mask, dims, signal.shape)
    if masked is not None:
        values[masked] = np.nan
    return Sheet(values, positions_along(signal, dims))


def positions_along(array: xr.DataArray, dims: Sequence[str]) -> tuple[npt.NDArray[Any], ...]:
    """Coordinates to differentiate by: as they are where they rise or fall throughout, else 0, 1 and so on."""
    found = []
    for dim in dims:
        values: npt.NDArray[Any] = np.arange(float(array.sizes[dim]))
        if dim in array.coords and array.coords[dim].dtype.kind in "iuf":
            steps = np.diff(array.coords[dim].values.astype(np.float64))
            if np.all(steps > 0) or np.all(steps < 0):
                values = array.coords[dim].values.astype(np.float64)
        found.append(values)
    return tuple(found)


def axes_of(dims: Sequence[Hashable], shape: Sequence[int], wanted: Any, order: int) -> tuple[int, ...]:
    """Axes to differentiate along: those named, by one name or several, or all; no axis of one position.

    Raises
    ------
    ParameterError
        If a dim is unknown, or nothing can be differentiated.
    """
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    unknown = sorted(set(wanted or ()) - set(dims))
    if unknown:
        raise ParameterError(f"diff_axes with {unknown}", f"some of the dims {tuple(dims)}", "name dims among these")
    axes = tuple(axis for axis, dim in enumerate(dims) if shape[axis] > 1 and (wanted is None or dim in wanted))
    if order and not axes:
        raise ParameterError(
            f"diff_order={order} along {tuple(wanted or dims)} of shape {tuple(shape)}",
            "a dim of two positions or more",
            "choose diff_order=0",
        )
    return axes or (0,)


def left_out(mask: Any, dims: Sequence[str], shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    """A mask, True where something is left out, in the order of the dims.

    Raises
    ------
    ParameterError
        If it has another shape.
    """
    if mask is None:
        return None
    if isinstance(mask, xr.DataArray) and set(map(str, mask.dims)) == set(dims):
        mask = mask.transpose(*dims).values
    values = np.asarray(mask, dtype=bool)
    if values.shape != shape:
        raise ParameterError(
            f"a mask of shape {values.shape}", f"{shape}, of the dims {tuple(dims)}", "give True where to leave out"
        )
    return values
