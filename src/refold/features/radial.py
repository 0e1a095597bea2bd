"""Patterns as functions of the distance from their centre: mean, and variance, along circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube
from refold.errors import ParameterError
from refold.features.plane import counted, distances, plane_of, spacing, units_of
from refold.features.rows import feature_coords, lay
from refold.features.sums import Sums


def radial_profile(
    cube: xr.DataArray,
    centre: Sequence[float],
    *,
    step: float | None = None,
    inner: float = 0.0,
    outer: float | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """Mean of each pattern along circles about a centre, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    centre : sequence of float
        ``(cy, cx)`` in signal coordinates, or what `find_beam` gives.
    step : float, optional
        Width of the rings, in the units of the signal coordinates; by default one pixel.
    inner, outer : float, optional
        Radii of the first and, at most, of the last ring. By default from the centre to the farthest side of the
        patterns.
    mask : xarray.DataArray of bool, optional
        Signal pixels to leave out, True, such as a beam stop.

    Returns
    -------
    xarray.DataArray
        ``(*navigation, feature)``, float32, as lazy as the cube; the radius of each ring stands beside ``feature`` as
        ``radius``. A signal pixel belongs to the ring whose radius is nearest to its own; rings without any are left
        out.

    Raises
    ------
    ParameterError
        If the radii leave no ring, or the cube has no patterns.

    Examples
    --------
    >>> import numpy as np, refold
    >>> k = np.arange(-2.0, 3.0)
    >>> patterns = np.broadcast_to(np.hypot(k[:, None], k), (1, 3, 5, 5))
    >>> cube = refold.as_cube(patterns, signal=("ky", "kx"), coords={"ky": k, "kx": k})
    >>> profile = radial_profile(cube, centre=(0, 0))
    >>> profile.radius.values, profile.values[0, 0]
    (array([0., 1., 2.]), array([0.  , 1.207, 2.157], dtype=float32))
    """
    cube = check_cube(cube)
    rings = _rings(cube, centre, step, inner, outer, mask)
    kept = {key: value for key, value in cube.attrs.items() if key in ("units", "long_name")}
    return _described(cube, rings, _Mean(rings.sums, rings.counts), kept)


def angular_variance(
    cube: xr.DataArray,
    centre: Sequence[float],
    *,
    step: float | None = None,
    inner: float = 0.0,
    outer: float | None = None,
    mask: xr.DataArray | None = None,
    relative: bool = True,
) -> xr.DataArray:
    """Variance of each pattern along circles about a centre, lazily: nothing for rings, much for spots.

    Parameters
    ----------
    cube, centre, step, inner, outer, mask
        As for `radial_profile`.
    relative : bool
        Whether to divide by the squared mean of the ring, which makes it independent of thickness and dose, as in
        fluctuation microscopy (Treacy and Gibson 1996, Acta Cryst. A 52, 212). 0 where the mean is.

    Returns
    -------
    xarray.DataArray
        As of `radial_profile`.

    Raises
    ------
    ParameterError
        As for `radial_profile`.

    Examples
    --------
    >>> import numpy as np, refold
    >>> k = np.arange(-2.0, 3.0)
    >>> patterns = np.ones((1, 1, 5, 5))
    >>> patterns[0, 0, 0, 2] = 12  # a spot of twelve times what is around it, in a ring of twelve pixels
    >>> cube = refold.as_cube(patterns, signal=("ky", "kx"), coords={"ky": k, "kx": k})
    >>> angular_variance(cube, (0, 0), relative=False).values[0, 0]
    array([0.   , 0.   , 9.243], dtype=float32)
    """
    cube = check_cube(cube)
    rings = _rings(cube, centre, step, inner, outer, mask)
    return _described(cube, rings, _Variance(rings.sums, rings.counts, rings.number, relative), {})


@dataclass(frozen=True)
class _Rings:
    radii: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]  # pixels of each ring
    number: npt.NDArray[np.int64]  # ring of each pixel used
    sums: Sums


def _rings(
    cube: xr.DataArray, centre: Sequence[float], step: float | None, inner: float, outer: float | None, mask: Any
) -> _Rings:
    radius = distances(cube, centre)
    step = spacing(cube) if step is None else float(step)
    outer = _farthest_side(cube, centre) if outer is None else float(outer)
    if not (step > 0 and 0 <= inner <= outer and np.isfinite((step, outer)).all()):
        found = f"rings from {inner} to {outer} in steps of {step}"
        raise ParameterError(found, "radii of 0 or more, rising, and a step above 0", "change inner, outer or step")
    place = np.rint((radius - inner) / step)
    last = np.floor((outer - inner) / step + 1e-9)
    used = np.flatnonzero(counted(cube, mask) & (place >= 0) & (place <= last))
    if not used.size:
        raise ParameterError(f"rings from {inner} to {outer} with no pixel", "some on the detector", "change the radii")
    places, number, counts = np.unique(place.flat[used], return_inverse=True, return_counts=True)
    parts = np.split(used[np.argsort(number, kind="stable")], np.cumsum(counts)[:-1])
    return _Rings(inner + places * step, counts, number, Sums.over(parts))


def _farthest_side(cube: xr.DataArray, centre: Sequence[float]) -> float:
    """Distance from the centre to the side of the patterns that is farthest from it; corners count for nothing."""
    positions = [
        cube[dim].values.astype(np.float64) - float(at) for dim, at in zip(plane_of(cube), centre, strict=False)
    ]
    return float(max(np.abs(values).max() for values in positions))


def _described(cube: xr.DataArray, rings: _Rings, work: Any, attrs: dict[str, Any]) -> xr.DataArray:
    coords = feature_coords(len(rings.radii), radius=(rings.radii, units_of(cube)))
    return lay(cube, work, coords, {"feature": len(rings.radii)}, attrs=attrs)


@dataclass(frozen=True)
class _Mean:
    sums: Sums
    counts: npt.NDArray[np.int64]

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(invalid="ignore"):  # an invalid pixel has infinities of both signs
            return self.sums(rows) / self.counts


@dataclass(frozen=True)
class _Variance:
    sums: Sums
    counts: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    relative: bool

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Of what is centred first: a difference of squares would lose figures."""
        columns, matrix, counts = self.sums.columns(rows), self.sums.matrix, self.counts[:, None]
        with np.errstate(invalid="ignore", over="ignore"):
            mean = matrix @ columns / counts
            columns -= mean[self.number]
            variance = matrix @ np.square(columns, out=columns) / counts
            if self.relative:
                variance = np.divide(variance, mean**2, out=np.where(mean == 0, 0.0, np.nan), where=mean != 0)
        return np.asarray(variance.T)
