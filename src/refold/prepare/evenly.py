"""The signal axis of spectra: where it begins, its step, and which channels lie in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube, signal_dims
from refold.errors import CubeError, ParameterError

_UNEVEN = 1e-3  # of a step: what rounding in files leaves

Window = Sequence[float] | None


@dataclass(frozen=True)
class EvenAxis:
    """A signal axis with even steps.

    Parameters
    ----------
    dim : str
        Its name.
    first, step : float
        Position of the first channel, and from one to the next: negative on an axis that descends.
    size : int
        Channels.
    unit : str
        Of the positions; empty if it is not known.
    """

    dim: str
    first: float
    step: float
    size: int
    unit: str = ""

    @classmethod
    def of(cls, cube: xr.DataArray) -> EvenAxis:
        """Read the signal axis of a cube.

        Raises
        ------
        CubeError
            If there are several signal dims, fewer than two channels, or positions that are not evenly spaced.
        """
        dim = spectral_dim(cube)
        values = np.asarray(cube[dim].values, dtype=np.float64)
        steps = np.diff(values)
        step = float(values[-1] - values[0]) / max(1, len(steps))
        if not (len(steps) and step and (np.abs(steps - step) <= _UNEVEN * abs(step)).all()):
            raise CubeError(
                f"positions along {dim!r} that are not evenly spaced",
                "even steps: a shift of so many channels means another one in units elsewhere",
                f"interpolate the cube onto an even axis first: cube.interp({dim}=...)",
            )
        return cls(dim, float(values[0]), step, len(values), str(cube[dim].attrs.get("units", "")))

    def position(self, channel: Any) -> Any:
        """Position of a channel, whole or not."""
        return self.first + self.step * channel


def spectral_dim(cube: xr.DataArray) -> str:
    """Name the one signal dim of a cube of spectra.

    Raises
    ------
    CubeError
        If there are several, or its positions are no numbers.
    """
    dims = signal_dims(check_cube(cube))
    if len(dims) != 1:
        raise CubeError(f"signal dims {dims}", "spectra, with one signal dim", "choose a cube of spectra")
    if cube[dims[0]].dtype.kind not in "iuf":
        raise CubeError(f"positions along {dims[0]!r} of type {cube[dims[0]].dtype}", "numbers", "assign others")
    return dims[0]


def channels_between(cube: xr.DataArray, window: Window) -> slice:
    """Find the channels of a window, both ends kept.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of spectra.
    window : (float, float), optional
        In the units of the axis, either end first; all channels by default.

    Returns
    -------
    slice
        Channels, ascending whichever way the axis runs.

    Raises
    ------
    ParameterError
        If it is no window, or no channel lies in it.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.ones((2, 5)), signal="energy", coords={"energy": [4.0, 3.0, 2.0, 1.0, 0.0]})
    >>> channels_between(cube, (0.5, 3))
    slice(1, 4, None)
    """
    dim = spectral_dim(cube)
    values = np.asarray(cube[dim].values, dtype=np.float64)
    if window is None:
        return slice(0, len(values))
    try:
        low, high = sorted(float(end) for end in window)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"window={window!r}", f"two positions along {dim!r}", "give (low, high)") from error
    inside = np.flatnonzero((values >= low) & (values <= high))
    if not inside.size or np.ptp(inside) + 1 != inside.size:
        found = f"a window from {low:g} to {high:g} along {dim!r}"
        wanted = f"channels between {values.min():g} and {values.max():g} that follow each other"
        raise ParameterError(found, wanted, "change the window; it is in the units of the axis")
    return slice(int(inside[0]), int(inside[-1]) + 1)
