"""Annular virtual detectors: what falls between two radii, added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube
from refold.errors import ParameterError
from refold.features.plane import counted, distances, units_of
from refold.features.rows import feature_coords, lay
from refold.features.sums import Sums

Annulus = tuple[float, float]


def virtual_detectors(
    cube: xr.DataArray,
    centre: Sequence[float],
    annuli: Mapping[str, Annulus] | Sequence[Annulus],
    *,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """Add up what of each pattern falls on annular detectors, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    centre : sequence of float
        ``(cy, cx)`` in signal coordinates, or what `find_beam` gives.
    annuli : mapping of str to pair, or sequence of pairs
        Inner and outer radius of each detector, in the units of the signal coordinates, by name or not:
        ``{"bright": (0, 0.3), "dark": (1.2, 2.5)}``. The inner radius counts, the outer one does not, so that a signal
        pixel falls on one only of two detectors that adjoin. They may overlap.
    mask : xarray.DataArray of bool, optional
        Signal pixels to leave out, True.

    Returns
    -------
    xarray.DataArray
        ``(*navigation, feature)``, float32, as lazy as the cube, in its units. Beside ``feature`` stand ``detector``,
        its name, and ``inner`` and ``outer``.

    Raises
    ------
    ParameterError
        If a detector has no such radii, or covers no signal pixel.

    Examples
    --------
    >>> import numpy as np, refold
    >>> k = np.arange(-2.0, 3.0)
    >>> cube = refold.as_cube(np.ones((2, 3, 5, 5)), signal=("ky", "kx"), coords={"ky": k, "kx": k})
    >>> images = virtual_detectors(cube, (0, 0), {"bright": (0, 1), "dark": (1, 3)})
    >>> images.sel(feature=images.detector == "dark").values[0, 0]
    array([24.], dtype=float32)
    """
    cube = check_cube(cube)
    named = annuli if isinstance(annuli, Mapping) else {f"annulus {at}": pair for at, pair in enumerate(annuli)}
    if not named:
        raise ParameterError("no detector", "at least one", 'give radii, as in {"dark": (1.2, 2.5)}')
    radius, counts = distances(cube, centre), counted(cube, mask)
    pairs = [_read(name, pair) for name, pair in named.items()]
    parts = [np.flatnonzero(counts & (radius >= inner) & (radius < outer)) for inner, outer in pairs]
    empty = [name for name, part in zip(named, parts, strict=True) if not part.size]
    if empty:
        remedy = f"change the radii: pixels lie from {radius.min():.4g} to {radius.max():.4g}"
        raise ParameterError(f"detectors {empty} without a pixel", "some pixels on each", remedy)
    inner, outer = np.array(pairs, np.float64).T
    units = units_of(cube)
    names = np.array([str(name) for name in named])
    coords = feature_coords(len(parts), detector=names, inner=(inner, units), outer=(outer, units))
    kept = {key: value for key, value in cube.attrs.items() if key in ("units", "long_name")}
    return lay(cube, Sums.over(parts), coords, {"feature": len(parts)}, attrs=kept)


def _read(name: str, pair: Any) -> Annulus:
    try:
        inner, outer = (float(number) for number in pair)
    except (TypeError, ValueError):
        inner, outer = np.nan, np.nan
    if not 0 <= inner < outer:
        raise ParameterError(f"detector {name!r}: {pair!r}", "an inner and a larger outer radius", "change the radii")
    return inner, outer
