"""Images that can lie under the phase map: what a run knows of each pixel, and the pictures of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.explore.rows import Thinning

__all__ = ["Ground", "grounds_of"]

_PERCENT = (1.0, 99.0)
_SIDES = (0.0, 1.0)  # of these both ends are known


@dataclass(frozen=True, slots=True)
class Ground:
    """One image.

    Attributes
    ----------
    name : str
        As it is listed.
    read : callable
        Gives its values, float32 (row,), for the pixels that are held in memory.
    slow : bool
        Whether that reads a whole scan.
    """

    name: str
    read: Callable[[], NDArray[np.float32]]
    slow: bool = False

    def grey(self) -> NDArray[np.uint8]:
        """Uint8 (row,): its values from the 1st percentile, 1, to the 99th, 255; 0 where there is none.

        Examples
        --------
        >>> Ground("bse", lambda: np.array([0, 5, 10, np.nan], np.float32)).grey().tolist()
        [1, 128, 255, 0]
        """
        values = self.read()
        finite = np.isfinite(values)
        grey = np.zeros(len(values), np.uint8)
        if not finite.any():
            return grey
        low, high = np.percentile(values[finite], _PERCENT) if self.name != "probability" else _SIDES
        if high <= low:
            low, high = float(values[finite].min()), float(values[finite].max())
        share = (values[finite] - low) / (high - low) if high > low else np.full(int(finite.sum()), 0.5)
        grey[finite] = 1 + np.round(254 * np.clip(share, 0, 1)).astype(np.uint8)
        return grey


def grounds_of(run: xr.Dataset, scan: xr.DataArray | xr.Dataset | None, thinning: Thinning) -> dict[str, Ground]:
    """List the images that a run and its scan have.

    Parameters
    ----------
    run : xarray.Dataset
    scan : xarray.DataArray or xarray.Dataset, optional
    thinning : Thinning
        Which pixels are held.

    Returns
    -------
    dict of str to Ground
        By name. Nothing is read yet.

    Notes
    -----
    Of a scan, those cubes that lie on the run's grid: pictures as they are, others as their sum over the signal.
    """
    found: dict[str, Ground] = {}
    for name in map(str, run.data_vars):
        if set(run[name].dims) == set(thinning.dims) and name not in {"labels", "consensus"}:
            found[name] = _ground(name, run[name], thinning)
    for name, cube in _cubes(scan).items():
        if any(cube.sizes.get(dim) != size for dim, size in zip(thinning.dims, thinning.sizes, strict=True)):
            continue
        signal = [dim for dim in cube.dims if dim not in thinning.dims]
        if all(cube.sizes[dim] == 1 for dim in signal):
            found[name] = _ground(name, cube.isel(dict.fromkeys(signal, 0), drop=True), thinning)
        else:
            found[f"sum of {name}"] = _ground(f"sum of {name}", cube.sum(signal), thinning, slow=True)
    return found


def _ground(name: str, array: xr.DataArray, thinning: Thinning, *, slow: bool = False) -> Ground:
    return Ground(name, partial(thinning.read, array.transpose(*thinning.dims), np.float32), slow)


def _cubes(scan: xr.DataArray | xr.Dataset | None) -> dict[str, xr.DataArray]:
    """The cubes of a scan, by name."""
    if scan is None:
        return {}
    if isinstance(scan, xr.DataArray):
        return {str(scan.name or "scan"): scan}
    return {str(name): scan[name] for name in scan.data_vars}
