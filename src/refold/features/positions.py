"""Where the pixels of two grids lie with respect to each other, in one unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import navigation_dims
from refold.errors import CubeError
from refold.source.units import METRES, normalise_units

Positions = npt.NDArray[np.float64]
_SAME = 0.1  # of a step: nearer than that is the same place
_ROUNDING = 1e-6  # of a step
_FIGURES = 1e-12  # of a position, that doubles do not tell apart


@dataclass(frozen=True)
class Between:
    """Along one dim, between which positions of a source those of a target lie.

    Parameters
    ----------
    below, above : numpy.ndarray of int64
        Shape (target,): indices of the source.
    share : numpy.ndarray
        How far from the one to the other, 0 to 1.
    inside : numpy.ndarray of bool
        Whether the source reaches that far.
    """

    below: npt.NDArray[np.int64]
    above: npt.NDArray[np.int64]
    share: Positions
    inside: npt.NDArray[np.bool_]


def positions(coord: xr.DataArray, units: str | None) -> Positions:
    """Values of a coordinate in a unit.

    Parameters
    ----------
    coord : xarray.DataArray
        With its own ``units``, or none.
    units : str or None
        The unit wanted; None for a coordinate that has none.

    Returns
    -------
    numpy.ndarray
        float64.

    Raises
    ------
    CubeError
        If one has a unit and the other has not, or they are not of one kind.
    """
    own, wanted = normalise_units(coord.attrs.get("units")), normalise_units(units)
    values: Positions = coord.values.astype(np.float64)
    if own == wanted:
        return values
    if own in METRES and wanted in METRES:
        return values * (METRES[own] / METRES[wanted])
    raise CubeError(
        f"{coord.name!r} in {own or 'no unit'} beside {wanted or 'no unit'}",
        "units of length on both, the same unit, or none on either",
        f"write the unit that it is in: cube.{coord.name}.attrs['units'] = 'nm'",
    )


def step_of(values: Positions) -> float:
    """Typical distance of neighbours; 0 for one position."""
    return float(np.median(np.abs(np.diff(np.sort(values))))) if len(values) > 1 else 0.0


def nearest(source: Positions, target: Positions) -> Between:
    """Find the nearest position, halfway between two the lower; a pixel reaches half a step beyond its middle."""
    order = np.argsort(source, kind="stable")
    rising = source[order]
    halfway = rising[:-1] + (rising[1:] - rising[:-1]) / 2
    found = order[np.searchsorted(halfway, target, side="left")].astype(np.int64)
    half = (step_of(source) or step_of(target)) / 2 * (1 + _ROUNDING) + _FIGURES * float(np.abs(rising).max())
    inside = (target >= rising[0] - half) & (target <= rising[-1] + half)
    return Between(found, found, np.zeros(len(target)), inside)


def linear(source: Positions, target: Positions) -> Between:
    """Find the two neighbours of each position; nothing is beyond the first and the last."""
    order = np.argsort(source, kind="stable")
    rising = source[order]
    slack = _ROUNDING * (step_of(source) or step_of(target)) + _FIGURES * float(np.abs(rising).max())
    inside = (target >= rising[0] - slack) & (target <= rising[-1] + slack)
    at = np.clip(np.searchsorted(rising, target, side="right") - 1, 0, max(len(rising) - 2, 0))
    then = np.minimum(at + 1, len(rising) - 1)
    width = rising[then] - rising[at]
    share = np.clip((target - rising[at]) / np.where(width > 0, width, 1), 0, 1)
    below, above = order[at].astype(np.int64), order[then].astype(np.int64)
    # At a position of the source the other neighbour says nothing, not even where it is NaN.
    above, below = np.where(share == 0, below, above), np.where(share == 1, above, below)
    return Between(below, above, share, inside)


def check_same_places(cubes: Mapping[str, xr.DataArray]) -> None:
    """Check that cubes whose grids have one size also lie in one place, as far as they say where they lie.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        On navigation grids of one shape.

    Raises
    ------
    CubeError
        If they do not; `refold.align` brings them there.
    """
    first, *others = cubes
    for name in others:
        for dim in navigation_dims(cubes[first]):
            one, other = cubes[first].coords[dim], cubes[name].coords[dim]
            if _is_counted(one) or _is_counted(other):
                continue
            here, there = positions(one, one.attrs.get("units")), positions(other, one.attrs.get("units"))
            if np.abs(here - there).max() > _SAME * step_of(here) + _FIGURES * np.abs(here).max():
                raise CubeError(
                    f"{dim!r} from {here[0]:g} to {here[-1]:g} in {first!r} and from {there[0]:g} to {there[-1]:g} "
                    f"in {name!r}",
                    "cubes that lie in one place",
                    f"bring one to the other's grid: refold.align(scan[{name!r}], scan[{first!r}])",
                )


def _is_counted(coord: Any) -> bool:
    return normalise_units(coord.attrs.get("units")) is None and np.array_equal(coord.values, np.arange(coord.size))
