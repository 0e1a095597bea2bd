"""A scan: one cube, or several that were recorded on the same navigation grid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from refold.cube.axes import ROLE, check_cube, navigation_dims, signal_dims
from refold.errors import CubeError

IMAGE_DIM = "channel"
"""Signal dim, of length 1, of a picture that is a cube."""


def image_as_cube(image: xr.DataArray) -> xr.DataArray:
    """Make a cube of a picture of the scanned area, one value a pixel, as of BSE or HAADF.

    Parameters
    ----------
    image : xarray.DataArray
        Every dim is a navigation dim, whatever role it has.

    Returns
    -------
    xarray.DataArray
        The cube, with a signal dim ``channel`` of length 1 behind; as lazy as the picture.

    Raises
    ------
    CubeError
        If it is no DataArray, or no picture of real numbers.

    Examples
    --------
    >>> image_as_cube(xr.DataArray(np.ones((2, 3)), dims=("y", "x"))).sizes
    Frozen({'y': 2, 'x': 3, 'channel': 1})
    """
    if not isinstance(image, xr.DataArray):
        return check_cube(image)  # raises, and says what a cube is
    coords = {IMAGE_DIM: (IMAGE_DIM, np.arange(1), {ROLE: "signal"})}
    for dim in map(str, image.dims):
        coord = image.coords.get(dim)
        values, attrs = (np.arange(image.sizes[dim]), {}) if coord is None else (coord.values, coord.attrs)
        coords[dim] = (dim, values, {**attrs, ROLE: "navigation"})
    return check_cube(image.expand_dims(IMAGE_DIM, axis=-1).assign_coords(coords))


def cubes_of(
    scan: xr.DataArray | xr.Dataset | Mapping[str, xr.DataArray], *, same_grid: bool = True
) -> dict[str, xr.DataArray]:
    """List the cubes of a scan by name.

    Parameters
    ----------
    scan : xarray.DataArray or xarray.Dataset
        One cube, or cubes and pictures (BSE, HAADF) that share their navigation dims.
    same_grid : bool
        Whether to refuse cubes on different grids.

    Returns
    -------
    dict of str to xarray.DataArray
        The cubes, navigation dims first; a picture is a cube with one channel. A single cube without a name is called
        ``signal``.

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
    cubes = _checked({str(name): value for name, value in dict(scan).items()})
    if not cubes:
        raise CubeError(
            "a scan without any variable", "one or more cubes", "put the cubes into the Dataset as variables"
        )
    if same_grid:
        check_same_grid(cubes)
    return cubes


def check_same_grid(cubes: Mapping[str, xr.DataArray]) -> None:
    """Check that cubes have the same navigation dims, of the same sizes.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        By name.

    Raises
    ------
    CubeError
        If they have not; it names the dims of each.
    """
    grids = {name: {dim: cube.sizes[dim] for dim in navigation_dims(cube)} for name, cube in cubes.items()}
    if len({tuple(grid.items()) for grid in grids.values()}) > 1:
        raise CubeError(
            f"navigation dims {grids}",
            "the same navigation dims in every cube",
            "rename, reorder or crop the dims, or bring the cubes to one grid with refold.align",
        )


def _checked(scan: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Check each cube; what has only the navigation dims of the others is a picture."""
    whole = [value for value in scan.values() if isinstance(value, xr.DataArray) and signal_dims(value)]
    shared = [navigation_dims(value) for value in whole]
    cubes = {}
    for name, value in scan.items():
        dims = {str(dim) for dim in value.dims} if isinstance(value, xr.DataArray) else set()
        like = next((navigation for navigation in shared if set(navigation) == dims), None)
        if like is not None:
            cubes[name] = image_as_cube(value.transpose(*like))
        elif dims and not whole and len(navigation_dims(value)) == len(dims):
            cubes[name] = image_as_cube(value)
        else:
            cubes[name] = check_cube(value)
    return cubes
