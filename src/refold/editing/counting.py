"""How many pixels each cluster has after the edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import compute
from dask.delayed import delayed

from refold.editing.operations import Merge, Operation, Split

Sizes = dict[int, int]


def count(labels: xr.DataArray, ids: int) -> Sizes:
    """Count the pixels of every id, block by block.

    Parameters
    ----------
    labels : xarray.DataArray
        Ids of pixels; -1 is counted nowhere.
    ids : int
        Ids are below this.

    Returns
    -------
    dict of int to int
        Of every id, 0 as well.
    """
    blocks = da.asanyarray(labels.data).to_delayed().ravel()
    counted = compute(*(delayed(_counted)(block, ids) for block in blocks))
    total = np.sum(np.stack(counted), axis=0) if counted else np.zeros(ids, np.int64)
    return dict(enumerate(total.tolist()))


def _counted(labels: npt.NDArray[np.int32], ids: int) -> npt.NDArray[np.int64]:
    return np.bincount(labels.reshape(-1) + 1, minlength=ids + 1)[1:]


def follow(sizes: Mapping[int, int], operations: Sequence[Operation]) -> Sizes:
    """Follow sizes through operations as far as they can be known without looking at a pixel.

    Parameters
    ----------
    sizes : mapping of int to int
        Of the clusters before, where known.
    operations : sequence of Operation
        No reset among them.

    Returns
    -------
    dict of int to int
        Of the clusters after; without those that lost or gained an unknown number of pixels.
    """
    known = dict(sizes)
    for operation in operations:
        if isinstance(operation, Merge):
            parts = [known.pop(cluster, None) for cluster in operation.clusters]
            if None not in parts:
                known[min(operation.clusters)] = sum(part for part in parts if part is not None)
        elif isinstance(operation, Split):
            for cluster in list(known) if operation.clusters is None else operation.clusters:
                known.pop(cluster, None)
    return known
