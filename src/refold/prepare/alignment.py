"""Spectra aligned or calibrated by their zero loss: the functions over `ZeroLoss`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from refold.cube import check_cube, check_same_grid
from refold.prepare.evenly import EvenAxis, Window
from refold.prepare.shifting import Edges, Interpolation
from refold.prepare.zero_loss import Method, ZeroLoss


@dataclass(frozen=True)
class Alignment:
    """Aligned cubes, and how they were aligned.

    Parameters
    ----------
    cube : xarray.DataArray
        The cube, aligned; lazy.
    others : tuple of xarray.DataArray
        Those that were recorded with it, in the order given.
    shifts : xarray.DataArray
        ``(*navigation)``: by how much each pixel was moved, in the units of the axis; NaN for one without a peak.
    statistics : dict of str to float
        Of the shifts: ``mean``, ``std``, ``min``, ``median``, ``max``; and ``pixels``, how many have one.
    """

    cube: xr.DataArray
    others: tuple[xr.DataArray, ...]
    shifts: xr.DataArray
    statistics: dict[str, float] = field(repr=False)

    def __str__(self) -> str:
        unit = self.shifts.attrs.get("units", "")
        rows = [
            f"{name:>7}  {value:10.4g} {unit if name != 'pixels' else ''}" for name, value in self.statistics.items()
        ]
        return "\n".join(["Shift of the zero loss", *(row.rstrip() for row in rows)])


def align_zero_loss(
    cube: xr.DataArray,
    *,
    also_align: Iterable[xr.DataArray] = (),
    method: Method = "correlation",
    window: Window = None,
    edges: Edges = "crop",
    fill: float = 0.0,
    interpolation: Interpolation = "linear",
    calibrate: bool = True,
    **options: Any,
) -> Alignment:
    """Align spectra by their zero-loss peak: one sweep finds the shifts, which are then applied lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra on an even axis that has the zero loss, which is the highest peak of the window.
    also_align : iterable of xarray.DataArray
        Cubes recorded with it, as the high loss of dual EELS: on the same navigation grid, with energies of their own.
    method, window, edges, fill, interpolation, calibrate
        As of `ZeroLoss`.
    **options
        Of `refold.sweep`.

    Returns
    -------
    Alignment
        ``cube`` and ``others``, lazy; ``shifts``, a map; ``statistics``.

    Raises
    ------
    CubeError
        If an axis is not even, a cube has several signal dims, or the navigation grids or units differ.
    ParameterError
        If the window has no channel, or an option is unknown.
    DataError
        If no pixel has a peak, or the axis is to be cropped and the shifts leave less than half of it.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.cube import as_cube
    >>> counts = np.zeros((1, 3, 9), "uint16")
    >>> counts[0, [0, 1, 2], [4, 5, 3]] = 100
    >>> cube = as_cube(counts, signal="energy", coords={"energy": np.arange(9) * 0.5 - 2})
    >>> aligned = align_zero_loss(cube, method="maximum")
    >>> aligned.shifts.values.tolist(), aligned.cube.dtype.name
    ([[0.0, -0.5, 0.5]], 'uint16')
    >>> aligned.cube.sel(energy=0).values.tolist()
    [[100, 100, 100]]
    """
    model = ZeroLoss(
        method=method, window=window, edges=edges, fill=fill, interpolation=interpolation, calibrate=calibrate
    )
    others = tuple(also_align)
    check_same_grid({"cube": check_cube(cube), **{f"also_align[{n}]": check_cube(c) for n, c in enumerate(others)}})
    for other in others:
        EvenAxis.of(other)
    model.fit(cube, **options)
    aligned = tuple(model.transform(each) for each in (cube, *others))
    return Alignment(aligned[0], aligned[1:], model.shifts_, model.statistics_)


def calibrate_zero_loss(
    cube: xr.DataArray, *, method: Method = "correlation", window: Window = None, **options: Any
) -> xr.DataArray:
    """Put 0 of the axis at the mean position of the zero-loss peak, in one sweep; no value is moved.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra on an even axis that has the zero loss.
    method, window
        As of `ZeroLoss`.
    **options
        Of `refold.sweep`.

    Returns
    -------
    xarray.DataArray
        The same values with another axis.

    Raises
    ------
    CubeError, ParameterError, DataError
        As of `ZeroLoss.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.cube import as_cube
    >>> cube = as_cube(np.array([[1.0, 4.0, 1.0, 0.0]]), signal="energy", coords={"energy": [3.0, 4.0, 5.0, 6.0]})
    >>> calibrate_zero_loss(cube).energy.values.tolist()
    [-1.0, 0.0, 1.0, 2.0]
    """
    model = ZeroLoss(method=method, window=window).fit(cube, **options)
    axis = EvenAxis.of(cube)
    moved = cube[axis.dim] - float(model.positions_.mean())
    return cube.assign_coords({axis.dim: moved.assign_attrs(cube[axis.dim].attrs)})
