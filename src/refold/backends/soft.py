"""Soft membership in density clusters, from the condensed tree of HDBSCAN.

The measure is the one of hdbscan's ``all_points_membership_vectors``: how near a point is to a cluster's exemplars,
times how late in the tree it and the cluster part, times the probability of being in any cluster at all. It is written
again because that function walks the tree anew for each point and cluster, fails on trees with a single cluster and on
points that lie on top of each other, and loses clusters that an epsilon has merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BATCH = 2_000_000  # distances held at once while looking for the nearest exemplars: 16 MB
_TINY = 1e-8  # hdbscan's guard against a density of zero


class CondensedTree:
    """A condensed tree as flat arrays, clusters counted from the root at 0, parents before their children.

    Parameters
    ----------
    rows : mapping of str to ndarray
        ``parent``, ``child``, ``lambda_val`` and ``child_size``, as hdbscan's ``condensed_tree_.to_numpy()``.
    n_points : int
        Points clustered; the root bears this number.
    """

    def __init__(self, rows: Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any], n_points: int) -> None:
        parent = np.asarray(rows["parent"], np.int64) - n_points
        child = np.asarray(rows["child"], np.int64)
        density = np.asarray(rows["lambda_val"], np.float64)
        finite = density[np.isfinite(density)]
        # Points on top of each other meet at infinite density. They count as the densest of the others.
        density = np.minimum(density, finite.max() if finite.size and finite.max() > 0 else 1.0)
        points = child < n_points
        self.n_clusters = int(parent.max()) + 1
        self.parent = np.full(self.n_clusters, -1, np.int64)
        self.birth = np.zeros(self.n_clusters)
        self.parent[child[~points] - n_points] = parent[~points]
        self.birth[child[~points] - n_points] = density[~points]
        self.densest = np.zeros(self.n_clusters)
        np.maximum.at(self.densest, parent, density)
        self.home = np.zeros(n_points, np.int64)
        self.density = np.zeros(n_points)
        self.home[child[points]] = parent[points]
        self.density[child[points]] = density[points]

    def selected(self, labels: npt.NDArray[Any], n_labels: int) -> Integers:
        """The cluster of the tree that each label stands for: the lowest one that holds all its points."""
        found = np.empty(n_labels, np.int64)
        for label in range(n_labels):
            homes = set(np.unique(self.home[labels == label]).tolist())
            while len(homes) > 1:
                last = max(homes)
                homes.remove(last)
                homes.add(int(self.parent[last]))
            found[label] = homes.pop()
        return found

    def meeting_densities(self, selected: Integers) -> Doubles:
        """Density at which each cluster parts from each selected one; NaN where one holds the other."""
        above = np.zeros((self.n_clusters, selected.size), bool)
        for column, cluster in enumerate(selected):
            at = int(cluster)
            while at >= 0:
                above[at, column] = True
                at = int(self.parent[at])
        meeting = np.full((self.n_clusters, selected.size), np.nan)
        within = np.zeros(selected.size, bool)
        inside = np.zeros_like(above)
        for cluster in range(self.n_clusters):
            up = int(self.parent[cluster])
            within = selected == cluster
            inside[cluster] = within | (inside[up] if up >= 0 else False)
            if up >= 0:
                parted = np.where(above[up], self.birth[cluster], meeting[up])
                meeting[cluster] = np.where(above[cluster] | inside[cluster], np.nan, parted)
        return meeting

    def exemplars(self, selected: Integers) -> list[Integers]:
        """The points at the densest of every leaf under each selected cluster."""
        is_leaf = np.ones(self.n_clusters, bool)
        is_leaf[self.parent[1:]] = False
        top = np.full(self.n_clusters, -1, np.int64)
        for cluster in range(self.n_clusters):
            own = np.flatnonzero(selected == cluster)
            up = int(self.parent[cluster])
            top[cluster] = own[0] if own.size else (top[up] if up >= 0 else -1)
        shining = np.flatnonzero(is_leaf[self.home] & (self.density == self.densest[self.home]))
        owner = top[self.home[shining]]
        return [shining[owner == column] for column in range(selected.size)]


def soft_membership(
    points: Doubles, tree: CondensedTree, labels: npt.NDArray[Any], n_labels: int, **metric: Any
) -> npt.NDArray[np.float32]:
    """Membership of every point in every cluster.

    Parameters
    ----------
    points : ndarray of float64, shape (points, features)
        What was clustered.
    tree : CondensedTree
        Its tree.
    labels : ndarray of int, shape (points,)
        Its labels, 0 … n_labels - 1; -1 is noise.
    n_labels : int
        Clusters.
    **metric
        Distance that they were clustered by, as `scipy.spatial.distance.cdist` takes it; Euclidean by default.

    Returns
    -------
    ndarray of float32, shape (points, n_labels)
        Rows sum to at most 1.
    """
    result = np.zeros((points.shape[0], n_labels), np.float32)
    if n_labels == 0:
        return result
    selected = tree.selected(labels, n_labels)
    meeting, exemplars = tree.meeting_densities(selected), tree.exemplars(selected)
    held = np.concatenate(exemplars)
    starts = np.cumsum([0] + [part.size for part in exemplars[:-1]])
    step = max(1, _BATCH // max(held.size, n_labels))
    for start in range(0, points.shape[0], step):
        batch = slice(start, start + step)
        near = _nearness(points[batch], points[held], starts, **metric)
        result[batch] = _combine(near, tree, meeting, selected, batch)
    return result


def _nearness(points: Doubles, exemplars: Doubles, starts: npt.NDArray[Any], **metric: Any) -> Doubles:
    """Inverse distance to the nearest exemplar of each cluster, as shares."""
    from scipy.spatial.distance import cdist

    distance = np.minimum.reduceat(cdist(points, exemplars, **metric), starts, axis=1)
    # Relative to the smallest, so that no quotient overflows; where that is 0, those at 0 share everything.
    smallest = distance.min(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(smallest > 0, smallest / distance, distance == 0)
    return np.asarray(share / share.sum(axis=1, keepdims=True), np.float64)


def _combine(near: Doubles, tree: CondensedTree, meeting: Doubles, selected: Integers, batch: slice) -> Doubles:
    """Nearness times lateness of parting times the probability of being in some cluster."""
    home, own = tree.home[batch], tree.density[batch, None]
    height = meeting[home]
    height = np.where(np.isnan(height), own, height)
    with np.errstate(divide="ignore"):
        score = np.exp(-(tree.densest[home][:, None] + _TINY) / height)
    outlier = np.exp(score - score.max(axis=1, keepdims=True))
    shares = near * outlier / outlier.sum(axis=1, keepdims=True)
    best = height.argmax(axis=1)
    densest = np.maximum(tree.densest[selected[best]], own[:, 0])
    some = np.divide(height.max(axis=1), densest, out=np.ones_like(densest), where=densest > 0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True) * some[:, None], np.float64)
