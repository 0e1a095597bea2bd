"""The mean signal of every cluster, its deviation, and how many pixels it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from refold.cube import check_cube, n_features, navigation_dims, navigation_shape, signal_dims, signal_shape
from refold.cube.variables import conform
from refold.engine.cluster_sums import ClusterSums
from refold.engine.traversal import sweep
from refold.errors import CubeError


def cluster_statistics(
    cube: xr.DataArray, labels: Any, n_clusters: int | None = None, **sweep_options: Any
) -> xr.Dataset:
    """Mean and standard deviation of the signal of each cluster, by one sweep over any cube on the labels' grid.

    Parameters
    ----------
    cube : xarray.DataArray
        What to average: the scan itself, its features, or another cube of the same navigation grid.
    labels : xarray.DataArray or array_like of int
        Cluster of each pixel; -1 is left out. May be lazy, or a Zarr array.
    n_clusters : int, optional
        Clusters there are; by default as many as the labels name, which reads the labels once more.
    **sweep_options
        As `refold.sweep` takes them.

    Returns
    -------
    xarray.Dataset
        ``cluster_mean`` and ``cluster_std`` (cluster, *signal), ``cluster_size`` (cluster). NaN for a cluster without
        a valid pixel.

    Raises
    ------
    CubeError
        If the labels are on another grid.

    Examples
    --------
    >>> import refold
    >>> scan = refold.as_cube(np.array([[1.0, 2.0], [3.0, 2.0], [9.0, 9.0]]), signal="energy")
    >>> cluster_statistics(scan, np.array([0, 0, 1])).cluster_mean.values
    array([[2., 2.],
           [9., 9.]], dtype=float32)
    """
    cube = check_cube(cube)
    if isinstance(labels, xr.DataArray) and set(labels.dims) == set(navigation_dims(cube)):
        labels = labels.transpose(*navigation_dims(cube))
    if tuple(labels.shape) != navigation_shape(cube):
        raise CubeError(
            f"labels of shape {tuple(labels.shape)}",
            f"the navigation shape {navigation_shape(cube)}",
            "bring them to the cube's grid with to_full_grid",
        )
    if n_clusters is None:
        n_clusters = int(np.asarray(labels).max(initial=-1)) + 1
    visitor = ClusterSums(labels, n_clusters, n_features=n_features(cube))
    (sums,) = sweep(cube, visitor, **{"label": "cluster means", **sweep_options})
    dims = ("cluster", *signal_dims(cube))
    # Numbers along the signal come too, not the index alone: they say where a feature lay. An index may be of names.
    along = {name: c for name, c in cube.coords.items() if c.dims and {*c.dims} <= {*dims}}
    kept = {name: c for name, c in along.items() if name in dims or c.dtype.kind in "iuf"}
    coords = {"cluster": np.arange(n_clusters), **kept}

    def folded(values: Any) -> xr.DataArray:
        shaped = np.asarray(values, np.float32).reshape(n_clusters, *signal_shape(cube))
        return xr.DataArray(shaped, dims=dims, coords=coords)

    size = xr.DataArray(np.asarray(sums.size, np.int64), dims="cluster", coords={"cluster": coords["cluster"]})
    return xr.Dataset(
        {
            "cluster_mean": conform("cluster_mean", folded(sums.mean)),
            "cluster_std": conform("cluster_std", folded(sums.std)),
            "cluster_size": conform("cluster_size", size),
        }
    )
