"""The label map as one map for each cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from refold.cube import ROLE, conform
from refold.errors import CubeError, ParameterError


def cluster_labels(labels: xr.DataArray, n_clusters: int | None = None) -> xr.DataArray:
    """Lay a label map out as one map a cluster: 1 in it, 0 elsewhere; lazily, where the labels are lazy.

    Parameters
    ----------
    labels : xarray.DataArray of int
        Cluster of each pixel (*navigation); -1, which is noise, is in no cluster.
    n_clusters : int, optional
        Clusters there are; by default as many as the labels name, for which they must be in memory.

    Returns
    -------
    xarray.DataArray of uint8
        Dims (cluster, *navigation), with the coordinates of the labels. Its mean over the navigation dims is the share
        of the scan that each cluster has.

    Raises
    ------
    ParameterError
        If the labels are lazy and nobody says how many clusters there are, or there are too few of them.
    CubeError
        If they are no labels.

    See Also
    --------
    refold.cluster_statistics : centres, deviations and sizes of clusters, of any cube on the labels' grid.

    Examples
    --------
    >>> labels = xr.DataArray(np.array([1, 0, -1, 0]), dims="x")
    >>> cluster_labels(labels).values
    array([[0, 1, 0, 1],
           [1, 0, 0, 0]], dtype=uint8)
    """
    if not isinstance(labels, xr.DataArray) or labels.dtype.kind not in "iu":
        found = f"a DataArray of {labels.dtype}" if isinstance(labels, xr.DataArray) else f"a {type(labels).__name__}"
        raise CubeError(found, "a DataArray of integers", "pass the labels of a run, or of backproject")
    in_memory = labels.chunks is None
    if n_clusters is None and not in_memory:
        raise ParameterError(
            "lazy labels and no n_clusters", "a number", "pass n_clusters=run.sizes['cluster'], or labels.compute()"
        )
    named = int(labels.max()) + 1 if in_memory else 0
    n_clusters = named if n_clusters is None else n_clusters
    if n_clusters < named:
        raise ParameterError(f"n_clusters={n_clusters}, and label {named - 1}", f"{named} or more", "raise n_clusters")
    names = xr.DataArray(
        np.arange(n_clusters, dtype=np.int32), dims="cluster", coords={"cluster": np.arange(n_clusters)}
    )
    # Labels that came without roles lie over navigation dims all the same.
    placed = labels.assign_coords({dim: labels[dim].assign_attrs({ROLE: "navigation"}) for dim in labels.dims})
    spread: Any = (names == placed).astype(np.uint8)
    return conform("cluster_labels", spread)
