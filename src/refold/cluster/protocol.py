"""What every clusterer of landmarks does, whichever library finds the clusters."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from refold.backends import Backend, choose

NEIGHBOURS = 10  # rows that say how strongly one belongs to a cluster, where the clusterer does not


@runtime_checkable
class Clusterer(Protocol):
    """Clusters of rows, with soft membership in each.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (rows,)
        Cluster of each row; 0 is the largest, -1 is noise.
    probabilities_ : ndarray of float32, shape (rows,)
        How strongly a row belongs to its cluster; 0 for noise.
    membership_ : ndarray of float32, shape (rows, clusters)
        Membership of each row in each cluster; what a row's sum lacks to 1 is noise.
    n_clusters_ : int
        Clusters found.
    """

    labels_: npt.NDArray[np.int32]
    probabilities_: npt.NDArray[np.float32]
    membership_: npt.NDArray[np.float32]
    n_clusters_: int

    def fit(self, X: npt.ArrayLike, y: object = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Cluster rows, each of which stands for as many pixels as its weight says."""
        ...


def neighbour_shares(
    rows: npt.NDArray[np.floating], labels: npt.NDArray[np.int32], n_clusters: int, backend: Backend | None = None
) -> npt.NDArray[np.float32]:
    """Membership of rows whose clusterer gives none: the shares of each cluster among a row and its nearest rows.

    Parameters
    ----------
    rows : ndarray, shape (rows, features)
        What was clustered.
    labels : ndarray of int32, shape (rows,)
        Clusters; -1 is noise, which takes its share like any other.
    n_clusters : int
        Clusters there are.
    backend : Backend, optional
        Where neighbours are searched; the best there is by default.

    Returns
    -------
    ndarray of float32, shape (rows, clusters)
        Shares of `NEIGHBOURS` rows, the row itself being one of them; zeros for noise.

    Notes
    -----
    It asks nothing of the shape of clusters: a ring and the blob within it are told apart as well as two blobs.

    Examples
    --------
    >>> rows = np.arange(30.0)[:, None]
    >>> shares = neighbour_shares(rows, np.repeat([0, 1], 15).astype(np.int32), 2)
    >>> shares[[0, 13]].tolist()
    [[1.0, 0.0], [0.7, 0.3]]
    """
    singles = np.ascontiguousarray(rows, np.float32)
    index = (backend if backend is not None else choose("auto")).neighbours(singles)
    near, _ = index.query(singles, min(NEIGHBOURS, len(singles)), workers=-1)
    near_labels = labels[near]
    shares = np.stack([(near_labels == cluster).mean(axis=1) for cluster in range(n_clusters)] or [[]], axis=-1)
    shares = shares.reshape(len(singles), n_clusters).astype(np.float32)
    shares[labels < 0] = 0
    return shares


def own_share(membership: npt.NDArray[np.float32], labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Membership of each row in its own cluster; 0 for noise.

    Parameters
    ----------
    membership : ndarray of float32, shape (rows, clusters)
        Membership in every cluster.
    labels : ndarray of int32, shape (rows,)
        Clusters; -1 is noise.

    Returns
    -------
    ndarray of float32, shape (rows,)
        Probabilities.

    Examples
    --------
    >>> own_share(np.array([[0.75, 0.25], [0.5, 0.5]], np.float32), np.array([1, -1], np.int32)).tolist()
    [0.25, 0.0]
    """
    own = np.zeros(len(labels), np.float32)
    clustered = np.flatnonzero(labels >= 0)
    own[clustered] = membership[clustered, labels[clustered]]
    return own
