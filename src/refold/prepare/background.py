"""Backgrounds of core-loss spectra, and relative thickness: closed forms of each pixel, lazily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, navigation_dims
from refold.errors import ParameterError
from refold.prepare.blocks import check_number, float_of, lay, rechunked, with_data
from refold.prepare.evenly import EvenAxis, Window, channels_between, spectral_dim
from refold.prepare.steps import ValueStep, as_rows
from refold.prepare.tiles import Bench

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-6  # of a step: how far from 0 an energy may lie that is meant to be 0


def remove_background(cube: xr.DataArray, window: Window, *, zero_before: bool = False) -> xr.DataArray:
    """Subtract a power law, fitted in a window before an edge to each pixel, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        Core-loss spectra on an even axis.
    window : (float, float)
        Where to fit, in the units of the axis: two channels at least, before the edge.
    zero_before : bool
        Whether to put 0 before the window, where the power law says little, in each valid pixel.

    Returns
    -------
    xarray.DataArray
        float32, or float64 for a cube of 64 bits; lazy if the cube was. A pixel whose counts in either half of the
        window are not positive, an empty one, is left as it is; one that is not valid stays so. No valid one becomes
        invalid: channels less than half a step above 0, and those where the power law leaves the range of the floats,
        keep their values.

    Raises
    ------
    CubeError
        If there are several signal dims, or the axis is not even.
    ParameterError
        If the window has fewer than two channels, or reaches energies that are not positive.

    Notes
    -----
    The two-area method (Egerton 2011, Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed., section
    4.4.1): the sums over the two halves of the window give the exponent and the height of ``A E^-r``. No sweep.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> energy = np.arange(100.0, 200.0)
    >>> cube = as_cube(1e9 * energy[None] ** -3.0, signal="energy", coords={"energy": energy})
    >>> bool((abs(remove_background(cube, (110, 150))) < 0.01 * cube).all())
    True
    """
    cube = check_cube(cube)
    axis = EvenAxis.of(cube)
    within = channels_between(cube, window)
    halves = (within.stop - within.start) // 2
    lowest = min(axis.position(within.start - 0.5), axis.position(within.stop - 0.5))
    if window is None or halves < 1 or lowest <= _ROUNDING * abs(axis.step):
        found = f"window={window!r}, with {within.stop - within.start} channels from {lowest:g} {axis.unit}".rstrip()
        raise ParameterError(found, "two channels or more, at positive energies", "choose a window before the edge")
    cube = rechunked(cube, {axis.dim: -1})
    step = PowerLaw(axis, within.start, halves, float_of(cube.dtype), zero_before)
    return with_data(cube, lay(cube, step)).rename(cube.name)


@dataclass(frozen=True)
class PowerLaw(ValueStep):
    """Subtract the power law of each pixel of one block.

    Parameters
    ----------
    axis : EvenAxis
        Of the spectra.
    first, half : int
        First channel of the window, and how many each half of it has.
    dtype : numpy.dtype
        Of the result.
    zero_before : bool
        Whether to put 0 at energies below the window.
    """

    name: ClassVar[str] = "background"
    room: ClassVar[float] = 16.0  # power laws in doubles

    axis: EvenAxis
    first: int
    half: int
    dtype: np.dtype[Any]
    zero_before: bool

    @property
    def whole(self) -> int:
        """The spectrum."""
        return 1

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Subtract from a copy."""
        out = block.astype(self.dtype, order="C")
        self._subtract(as_rows(out, 1))
        return out

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Copy a tile, and subtract there."""
        out[...] = tile
        self._subtract(as_rows(out, 1))

    def _subtract(self, rows: Array) -> None:
        energies = self.axis.position(np.arange(self.axis.size, dtype=np.float64))
        lowest = abs(self.axis.step) / 2  # a law goes to infinity at 0, which a channel may miss by rounding alone
        if self.zero_before:
            lowest = energies[[self.first, self.first + 2 * self.half - 1]].min()
            rows[np.ix_(np.isfinite(rows).all(axis=1), energies < lowest)] = 0
        channels = np.flatnonzero(energies >= lowest)
        part = slice(channels[0], channels[-1] + 1)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # laws steep enough leave any range
            height, exponent = self.fitted(rows)
            law = np.exp(-exponent[:, None] * np.log(energies[part]))
            law *= height[:, None]
            left = law.astype(self.dtype, copy=False)
            np.subtract(rows[:, part], left, out=left)
        np.copyto(rows[:, part], left, where=np.isfinite(left))

    def fitted(self, rows: Array) -> tuple[Floats, Floats]:
        """Height and exponent of each row; a height of 0 where there is no background to fit."""
        first, middle, last = self.first, self.first + self.half, self.first + 2 * self.half
        areas = [
            np.add.reduce(rows[:, part].astype(np.float64), axis=1) * abs(self.axis.step)
            for part in (slice(first, middle), slice(middle, last))
        ]
        edges = [self.axis.position(channel - 0.5) for channel in (first, middle, last)]  # between channels
        if self.axis.step < 0:
            areas, edges = areas[::-1], edges[::-1]
        usable = (areas[0] > 0) & (areas[1] > 0) & np.isfinite(areas[0] + areas[1])
        one, two = (np.where(usable, area, 1.0) for area in areas)
        low, half_way, high = edges
        exponent = 2 * np.log(one / two * (high - half_way) / (half_way - low)) / np.log(high / low)
        k = np.where(exponent == 1, np.finfo(np.float64).eps, 1 - exponent)  # the limit there is a logarithm
        heights = k * one / (half_way**k - low**k), k * two / (high**k - half_way**k)
        height = (heights[0] * one + heights[1] * two) / (one + two)
        return np.where(usable & np.isfinite(height), height, 0.0), exponent


def relative_thickness(low_loss: xr.DataArray, threshold: float) -> xr.DataArray:
    """Thickness over the mean free path of inelastic scattering, by the log-ratio, lazily.

    Parameters
    ----------
    low_loss : xarray.DataArray
        Low-loss spectra with the zero loss, aligned and calibrated.
    threshold : float
        Energy below which all counts are of the zero loss.

    Returns
    -------
    xarray.DataArray
        ``(*navigation)``, float32: the logarithm of all counts over those of the zero loss; lazy if the cube was. NaN
        for pixels that are not valid, or without counts in the zero loss.

    Raises
    ------
    CubeError
        If there are several signal dims.
    ParameterError
        If the threshold is no number, no channel lies below it, or all do.

    Notes
    -----
    Egerton (2011), Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed., section 5.1. No sweep.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> energy = [-1.0, 0.0, 1.0, 2.0]
    >>> cube = as_cube(np.array([[0, 100, 0, 0], [0, 50, 25, 25]]), signal="energy", coords={"energy": energy})
    >>> relative_thickness(cube, 0.5).values.round(3).tolist()
    [0.0, 0.693]
    """
    cube = check_cube(low_loss)
    dim, dims = spectral_dim(cube), navigation_dims(cube)
    low, high = cube[dim].values.min(), cube[dim].values.max()
    wanted = f"an energy between the zero loss and what follows, above {low:g} and up to {high:g}"
    remedy = "calibrate the axis, or change the threshold"
    threshold = check_number("threshold", threshold, wanted, remedy, fits=lambda energy: low < energy <= high)
    ratio = _LogRatio(cube[dim].values < threshold)
    data: Any = ratio(cube.values) if cube.chunks is None else da.map_blocks(
        ratio, cube.chunk({dim: -1}).data, dtype=np.float32, drop_axis=cube.ndim - 1,
        meta=np.empty((0,) * len(dims), np.float32), token="refold-thickness",
    )  # fmt: skip
    coords = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    attrs = {"long_name": "thickness over the inelastic mean free path", "units": "1"}
    return xr.DataArray(data, coords, dims, "thickness", attrs)


@dataclass(frozen=True)
class _LogRatio:
    """The logarithm of all counts of each pixel over those of some channels."""

    elastic: npt.NDArray[np.bool_]

    def __call__(self, block: Array) -> Array:
        rows = block.reshape(-1, block.shape[-1]).astype(np.float64)
        total, zero = np.add.reduce(rows, axis=1), np.add.reduce(rows[:, self.elastic], axis=1)
        fits = np.isfinite(total) & (zero > 0) & (total > 0)
        ratio = np.log(np.where(fits, total, 1.0) / np.where(fits, zero, 1.0))
        return np.where(fits, ratio, np.nan).astype(np.float32).reshape(block.shape[:-1])
