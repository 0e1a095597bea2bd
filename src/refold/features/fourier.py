"""Fourier transforms of signals: of the values, and of their logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import ROLE, check_cube, signal_dims
from refold.engine.block import row_dtype
from refold.errors import ParameterError
from refold.features.rows import lay

_REAL_SPACE = {"ky": "dy", "kx": "dx"}
_EVEN = 1e-3  # of the spacing: files keep coordinates in float32


def log_fourier(cube: xr.DataArray, *, window: bool = True) -> xr.DataArray:
    """Logarithm of the magnitude of each signal's Fourier transform, lazily: what does not change when it shifts.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube whose signal coordinates are evenly spaced.
    window : bool
        Whether to fade the signal out towards its ends (Hann), which are else a cross of high frequencies.

    Returns
    -------
    xarray.DataArray
        log(1 + magnitude), float32, as lazy as the cube. The signal dims become ``dy, dx`` for ``ky, kx``, and
        ``<dim>_frequency`` for others, with coordinates in the inverse units. Of the last one only half is there, from
        0 on: the other half is its mirror image.

    Raises
    ------
    ParameterError
        If a signal coordinate is not evenly spaced.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.ones((2, 3, 8, 8)), signal=("ky", "kx"))
    >>> dict(log_fourier(cube, window=False).sizes)
    {'y': 2, 'x': 3, 'dy': 8, 'dx': 5}
    """
    return _transformed(cube, window, cepstrum=False)


def cepstrum(cube: xr.DataArray, *, window: bool = True) -> xr.DataArray:
    """Magnitude of the Fourier transform of each signal's logarithm, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube whose signal coordinates are evenly spaced. Negative values are taken as 0.
    window : bool
        Whether to fade the logarithm, less its mean, out towards its ends (Hann).

    Returns
    -------
    xarray.DataArray
        As of `log_fourier`. For patterns, peaks lie at the distances between atoms, whatever the tilt.

    Raises
    ------
    ParameterError
        If a signal coordinate is not evenly spaced.

    Notes
    -----
    Of log(1 + counts), as zero counts have no logarithm; Padgett et al. (2020), Ultramicroscopy 214, 112994, where it
    is called the exit wave power cepstrum.

    Examples
    --------
    >>> import numpy as np, refold
    >>> k = np.arange(32) / 8  # 1/nm: fringes of a period of 0.5 / nm are a distance of 2 nm
    >>> fringes = np.exp(3 + np.cos(2 * np.pi * k * 2))[:, None] * np.ones((1, 1, 32, 32))
    >>> coords = {"ky": (k, {"units": "1/nm"}), "kx": (k, {"units": "1/nm"})}
    >>> along = cepstrum(refold.as_cube(fringes, ("ky", "kx"), coords=coords), window=False).isel(y=0, x=0, dx=0)
    >>> abs(float(along.dy[along.argmax("dy")])), along.dy.attrs["units"]
    (2.0, 'nm')
    """
    return _transformed(cube, window, cepstrum=True)


def _transformed(cube: xr.DataArray, window: bool, *, cepstrum: bool) -> xr.DataArray:
    cube = check_cube(cube)
    dims = signal_dims(cube)
    coords: dict[str, Any] = {}
    for dim in dims:
        name, values = _REAL_SPACE.get(dim, f"{dim}_frequency"), _frequencies(cube, dim)
        values = values[: cube.sizes[dim] // 2 + 1] if dim == dims[-1] else np.fft.fftshift(values)
        coords[name] = (name, values, {**_inverse_units(cube[dim].attrs.get("units")), ROLE: "signal"})
    taper = np.ones(())
    for dim in dims:
        side = np.sin(np.pi * (np.arange(cube.sizes[dim]) + 0.5) / cube.sizes[dim]) ** 2 if window else np.ones(1)
        taper = taper[..., None] * side
    dtype = row_dtype(cube.dtype)
    name = "cepstrum" if cepstrum else "log(1 + magnitude of the Fourier transform)"
    sizes = {new: len(values) for new, (_, values, _) in coords.items()}
    work = _Fourier(taper.astype(dtype), dtype, cepstrum)
    return lay(cube, work, coords, sizes, attrs={"long_name": name})


def _frequencies(cube: xr.DataArray, dim: str) -> npt.NDArray[np.float64]:
    """In the order of the transform; of a coordinate that descends they do too."""
    values = cube[dim].values
    if values.dtype.kind in "iuf":
        n = len(values)
        step = (float(values[-1]) - float(values[0])) / (n - 1) if n > 1 else 1.0
        ideal = float(values[0]) + step * np.arange(n)
        if step and np.abs(values - ideal).max() <= _EVEN * abs(step):
            frequencies = np.asarray(np.fft.fftfreq(n, 1.0) / step, np.float64)
            if n % 2 == 0 and dim == signal_dims(cube)[-1]:
                frequencies[n // 2] *= -1  # the highest one is its own mirror image
            return frequencies
    remedy = f"interpolate to even spacing, or number the positions: assign_coords({dim}=range(...))"
    raise ParameterError(f"positions along {dim!r}", "numbers, evenly spaced", remedy)


def _inverse_units(units: str | None) -> dict[str, str]:
    if not units:
        return {}
    return {"units": units[2:] if units.startswith("1/") else f"1/{units}"}


@dataclass(frozen=True)
class _Fourier:
    """Transform some rows."""

    taper: npt.NDArray[Any]
    dtype: np.dtype[Any]
    cepstrum: bool

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        from scipy.fft import fftshift, rfftn

        axes = tuple(range(1, rows.ndim))
        values = rows.astype(self.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            if self.cepstrum:
                np.log1p(np.maximum(values, 0, out=values), out=values)
                values -= values.mean(axis=axes, keepdims=True)
            values *= self.taper
            magnitude = np.abs(rfftn(values, axes=axes, norm="ortho"))
            result = magnitude if self.cepstrum else np.log1p(magnitude, out=magnitude)
        return np.asarray(fftshift(result, axes=axes[:-1]))
