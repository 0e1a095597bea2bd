"""Between the scan's grid and the table of pixels x features: ``fold(unfold(cube))`` is the cube."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from refold.cube.axes import ROLE, check_cube, n_features, n_pixels, navigation_dims, signal_dims
from refold.errors import CubeError

_LAYOUT = "unfolded"
_TABLE = ("pixel", "feature")


def unfold(cube: xr.DataArray) -> xr.DataArray:
    """Lay a cube out as a table, one row a pixel, one column a feature.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube; lazy ones stay lazy.

    Returns
    -------
    xarray.DataArray
        Dims ``(pixel, feature)``. The coordinates of the cube are kept, one value for each row or column, and the
        layout is noted on the ``pixel`` coordinate so that `fold` can undo it.

    Examples
    --------
    >>> import numpy as np, refold
    >>> refold.unfold(refold.as_cube(np.zeros((3, 4, 8, 8)), signal=("ky", "kx"))).sizes
    Frozen({'pixel': 12, 'feature': 64})
    """
    cube = check_cube(cube)
    navigation, signal = navigation_dims(cube), signal_dims(cube)
    layout = {
        "dims": [[dim, cube.sizes[dim]] for dim in cube.dims],
        "signal": list(signal),
        "coords": {str(name): list(coord.dims) for name, coord in cube.coords.items()},
    }
    flat: dict[str, Any] = {}
    for name, coord in cube.coords.items():
        axes = [
            (target, dims)
            for target, dims in zip(_TABLE, (navigation, signal), strict=True)
            if set(dims) & set(coord.dims)
        ]
        full = coord.variable.set_dims({dim: cube.sizes[dim] for _, dims in axes for dim in dims})
        full = full.transpose(*(dim for _, dims in axes for dim in dims))
        shape = [int(np.prod([cube.sizes[dim] for dim in dims])) for _, dims in axes]
        flat[_column(str(name))] = (
            tuple(target for target, _ in axes),
            full.data.reshape(shape) if axes else full.data,
            coord.attrs,
        )
    n_rows, n_columns = n_pixels(cube), n_features(cube)
    flat["pixel"] = ("pixel", np.arange(n_rows), {ROLE: "navigation", _LAYOUT: json.dumps(layout)})
    flat["feature"] = ("feature", np.arange(n_columns), {ROLE: "signal"})
    return xr.DataArray(
        cube.data.reshape((n_rows, n_columns)), dims=_TABLE, coords=flat, name=cube.name, attrs=cube.attrs
    )


def fold(table: xr.DataArray) -> xr.DataArray:
    """Undo `unfold`: give the rows and columns of a table their place on the scan's grid.

    Parameters
    ----------
    table : xarray.DataArray
        Made by `unfold`; its values may have been changed since, its rows and columns not reordered.

    Returns
    -------
    xarray.DataArray
        The cube, with the coordinates, name and attributes that it had.

    Raises
    ------
    CubeError
        If the table does not come from `unfold`, or rows or columns are missing.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.random.default_rng(0).random((3, 4, 8)), signal="energy")
    >>> refold.fold(refold.unfold(cube) * 2).identical(cube * 2)
    True
    """
    note = table.coords["pixel"].attrs.get(_LAYOUT) if "pixel" in table.coords else None
    if note is None or tuple(table.dims) != _TABLE:
        raise CubeError(
            f"dims {table.dims} and no layout", "a table made by refold.unfold", "unfold the cube with refold.unfold"
        )
    layout = json.loads(note)
    sizes = dict(layout["dims"])
    signal = set(layout["signal"])
    wanted = tuple(math.prod(size for dim, size in sizes.items() if (dim in signal) is side) for side in (False, True))
    places = [table.coords[dim].values for dim in _TABLE]
    if table.shape != wanted or not all(np.array_equal(place, np.arange(len(place))) for place in places):
        raise CubeError(
            f"a table of shape {table.shape}", f"all of {wanted}, in order, for {sizes}", "fold the whole table"
        )
    coords: dict[str, Any] = {}
    for name, dims in layout["coords"].items():
        coord = table.coords[_column(name)]
        whole = [dim for dim in sizes if set(dims) & _group(dim, layout)]
        grid = coord.data.reshape([sizes[dim] for dim in whole])
        picked = xr.Variable(whole, grid).isel({dim: 0 for dim in whole if dim not in dims}).transpose(*dims)
        coords[name] = (tuple(dims), picked.data, coord.attrs)
    return xr.DataArray(
        table.data.reshape(tuple(sizes.values())), dims=tuple(sizes), coords=coords, name=table.name, attrs=table.attrs
    )


def _group(dim: str, layout: dict[str, Any]) -> set[str]:
    """All dims that lie in the same column of the table's layout as this one."""
    signal = set(layout["signal"])
    return signal if dim in signal else {name for name, _ in layout["dims"]} - signal


def _column(name: str) -> str:
    """What a coordinate of the cube is called in the table, whose own dims come first."""
    return f"{name} of the cube" if name.removesuffix(" of the cube") in _TABLE else name
