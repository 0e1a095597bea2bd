"""From a navigation-binned grid back to every position of the scan, by coordinate."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.errors import CubeError


def to_full_grid(dataset: xr.Dataset, coords: Mapping[Hashable, Any]) -> xr.Dataset:
    """Give every position of the full grid the answer of the nearest one on the coarser grid.

    Parameters
    ----------
    dataset : xarray.Dataset
        Results on the coarser grid.
    coords : mapping of str to array_like or DataArray
        Coordinates of the full grid, such as ``scan.coords``; entries that are no dim of the dataset are ignored. They
        may descend, be unsorted, or reach past the coarser grid's: an edge that was trimmed gets the answer beside it.

    Returns
    -------
    xarray.Dataset
        The same variables on the full grid, as lazy as they were, with the full grid's coordinates and attributes.

    Raises
    ------
    CubeError
        If a coordinate of the coarser grid repeats, so that nearness says nothing.

    Examples
    --------
    >>> coarse = xr.Dataset({"labels": ("x", [3, 7])}, coords={"x": [0.5, 2.5]})
    >>> to_full_grid(coarse, {"x": [4.0, 3.0, 2.0, 1.0, 0.0]}).labels.values
    array([7, 7, 7, 3, 3])
    """
    shared = {str(dim): _as_coordinate(dim, coords[dim]) for dim in dataset.dims if dim in coords}
    places = {dim: _nearest(dim, dataset[dim].values, full.values) for dim, full in shared.items()}
    result = dataset.isel(places)
    full_coords = {dim: (dim, full.values, full.attrs or dataset[dim].attrs) for dim, full in shared.items()}
    return result.assign_coords(full_coords)


def _as_coordinate(dim: Hashable, values: Any) -> xr.DataArray:
    return values if isinstance(values, xr.DataArray) else xr.DataArray(np.asarray(values), dims=str(dim))


def _nearest(dim: str, coarse: npt.NDArray[Any], full: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Position on the coarser grid of the nearest coordinate; halfway between two, the lower coordinate."""
    order = np.argsort(coarse, kind="stable")
    rising = coarse[order]
    if (rising[1:] == rising[:-1]).any():
        raise CubeError(
            f"equal coordinates along {dim!r}",
            "distinct ones",
            f"give {dim!r} an index: assign_coords({dim}=range(...))",
        )
    halfway = rising[:-1] + (rising[1:] - rising[:-1]) / 2
    return np.asarray(order[np.searchsorted(halfway, full, side="left")], np.int64)
