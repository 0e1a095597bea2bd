"""A scan: one cube, or several that were recorded on the same navigation grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from refold.cube.axes import check_cube, navigation_dims
from refold.errors import CubeError


def cubes_of(scan: xr.DataArray | xr.Dataset | Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """List the cubes of a scan by name.

    Parameters
    ----------
    scan : xarray.DataArray or xarray.Dataset
        One cube, or cubes that share their navigation dims.

    Returns
    -------
    dict of str to xarray.DataArray
        The cubes, navigation dims first. A single cube without a name is called ``signal``.

    Raises
    ------
    CubeError
        If there is none, one of them is no cube, or their navigation dims differ.
    """
    if isinstance(scan, xr.DataArray):
        cube = check_cube(scan)
        return {str(cube.name or "signal"): cube}
    if not isinstance(scan, xr.Dataset | Mapping):
        check_cube(scan)  # raises, and says what a cube is
    cubes = {str(name): check_cube(value) for name, value in dict(scan).items()}
    if not cubes:
        raise CubeError(
            "a scan without any variable", "one or more cubes", "put the cubes into the Dataset as variables"
        )
    grids = {name: {dim: cube.sizes[dim] for dim in navigation_dims(cube)} for name, cube in cubes.items()}
    if len({tuple(grid.items()) for grid in grids.values()}) > 1:
        raise CubeError(
            f"navigation dims {grids}", "the same navigation dims in every cube", "rename, reorder or crop the dims"
        )
    return cubes


def check_scan(scan: Any) -> xr.DataArray:
    """Check a scan and return the one cube that a run reads.

    Parameters
    ----------
    scan : xarray.DataArray or xarray.Dataset
        A cube, or a Dataset with exactly one.

    Returns
    -------
    xarray.DataArray
        The cube, navigation dims first.

    Raises
    ------
    CubeError
        If there are several cubes; it names them.
    """
    cubes = cubes_of(scan)
    if len(cubes) > 1:
        raise CubeError(f"{len(cubes)} cubes, {sorted(cubes)}", "one cube", "pick one, as in scan['name']")
    return next(iter(cubes.values()))
