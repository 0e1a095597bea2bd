"""Names of clusters: the largest is 0, so that names mean the same from run to run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def order_by_size(
    labels: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Rename clusters so that sizes descend; -1 stays noise.

    Parameters
    ----------
    labels : array_like of int
        Cluster of each row; -1 is noise.
    weights : array_like, optional
        What each row counts, such as the pixels a landmark stands for. One each by default.

    Returns
    -------
    renamed : ndarray of int32
        The same clusters, renamed. Equal sizes are ordered by their first row.
    order : ndarray of int64
        Old name of each new one: columns of a membership table are ordered by ``membership[:, order]`` where the old
        names are 0 … n-1.

    Examples
    --------
    >>> order_by_size([7, 3, 3, -1, 3])
    (array([ 1,  0,  0, -1,  0], dtype=int32), array([3, 7]))
    """
    labels = np.asarray(labels)
    old, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    counts: npt.NDArray[Any] = np.bincount(
        inverse.ravel(), None if weights is None else np.asarray(weights).ravel(), minlength=old.size
    )
    order = np.lexsort((first, -counts))
    order = order[old[order] >= 0]
    new = np.full(old.size, -1, np.int32)
    new[order] = np.arange(order.size, dtype=np.int32)
    return new[inverse].reshape(labels.shape), old[order].astype(np.int64)
