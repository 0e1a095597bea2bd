"""Agglomerative clustering of the landmarks: merge the two closest clusters until few are left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import validate_data

from refold.backends import Backend
from refold.cluster.naming import order_by_size
from refold.cluster.protocol import NEIGHBOURS, neighbour_shares, own_share
from refold.errors import ParameterError

_ALL_PAIRS = 8192  # rows of which every pair may be compared: 268 MB of distances
_LINKAGES = ("ward", "average", "complete", "single")
_CONNECTIVITIES = ("auto", "all", "neighbours", "grid")


class Agglomerative(ClusterMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Agglomerative clustering, Ward's by default; on request only what touches on the scan's grid is merged.

    Parameters
    ----------
    n_clusters : int
        Clusters to stop at.
    linkage : {"ward", "average", "complete", "single"}
        What makes two clusters close: the variance that merging them adds, or the mean, largest or smallest distance
        between their rows.
    metric : str
        Distance between rows, as scikit-learn names it; Ward's linkage knows the Euclidean one only.
    distance_threshold : float, optional
        Stop when the closest clusters are further apart than this, and leave `n_clusters` out of account.
    connectivity : {"auto", "all", "neighbours", "grid"}
        Which clusters may merge: any two; those that hold near neighbours in feature space; or those that touch on the
        scan's grid, for which `fit` is told where the rows lie. ``"auto"`` is ``"all"`` up to 8192 rows, whose memory
        grows with their square, and ``"neighbours"`` beyond.
    backend : Backend, optional
        Where neighbours are searched; the best there is by default.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (rows,)
        Cluster of each row; 0 is the largest. There is no noise.
    probabilities_ : ndarray of float32, shape (rows,)
        Membership of each row in its cluster.
    membership_ : ndarray of float32, shape (rows, clusters)
        Shares of the clusters among a row and its nine nearest rows in feature space.
    n_clusters_ : int
        Clusters found.

    Notes
    -----
    By scikit-learn's `AgglomerativeClustering` [1]_. Weights decide which cluster is the largest; merging does not
    count them, so that a rare phase, of which landmarks keep more than its share, weighs more than it would in the
    scan.

    On the grid, where all pixels are rows, neighbours are the four (in a map) next to a pixel. Else they are the
    landmarks whose Voronoi cells touch. Pieces that no link joins are linked by the shortest tree in feature space.

    References
    ----------
    .. [1] J. H. Ward, "Hierarchical grouping to optimize an objective function", J. Am. Stat. Assoc. 58, 236 (1963).

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1], [0.2], [0.0]])
    >>> Agglomerative(2).fit(rows).labels_
    array([0, 0, 1, 1, 0, 0], dtype=int32)
    >>> Agglomerative(3, connectivity="grid").fit(rows, pixels=range(6), grid=(6,)).labels_
    array([0, 0, 1, 1, 2, 2], dtype=int32)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        linkage: Literal["ward", "average", "complete", "single"] = "ward",
        metric: str = "euclidean",
        distance_threshold: float | None = None,
        connectivity: Literal["auto", "all", "neighbours", "grid"] = "auto",
        backend: Backend | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.linkage = linkage
        self.metric = metric
        self.distance_threshold = distance_threshold
        self.connectivity = connectivity
        self.backend = backend

    def fit(
        self,
        X: npt.ArrayLike,
        y: object = None,
        *,
        weights: npt.ArrayLike | None = None,
        pixels: npt.ArrayLike | None = None,
        grid: Sequence[int] | None = None,
    ) -> Self:
        """Cluster rows.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows.
        y : None
            Ignored.
        weights : array_like, optional
            Pixels that each row stands for.
        pixels : array_like of int, shape (rows,), optional
            Flat indices of the rows on the scan's grid, as `refold.Landmarks` has them in ``pixels_``.
        grid : sequence of int, optional
            Navigation shape of the scan.

        Returns
        -------
        Agglomerative
            Itself.

        Raises
        ------
        ParameterError
            If an option has a value it cannot have, or the grid is asked for and not given.
        """
        from sklearn.cluster import AgglomerativeClustering

        rows = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        self._check_parameters(len(rows))
        by_distance = self.distance_threshold is not None
        model = AgglomerativeClustering(
            n_clusters=None if by_distance else self.n_clusters,
            distance_threshold=self.distance_threshold,
            linkage=self.linkage,
            metric=self.metric,
            connectivity=self._graph(rows, pixels, grid),
        )
        self.labels_, order = order_by_size(model.fit_predict(rows), weights)
        self.n_clusters_ = order.size
        self.membership_ = neighbour_shares(rows, self.labels_, self.n_clusters_, self.backend)
        self.probabilities_ = own_share(self.membership_, self.labels_)
        return self

    def _graph(self, rows: npt.NDArray[Any], pixels: npt.ArrayLike | None, grid: Sequence[int] | None) -> Any:
        """Which rows may be merged directly; None for any two."""
        from refold.cluster.connectivity import grid_graph, neighbour_graph

        wanted = self.connectivity
        if wanted == "auto":
            wanted = "all" if len(rows) <= _ALL_PAIRS else "neighbours"
        if wanted == "all":
            return None
        if wanted == "neighbours":
            return neighbour_graph(rows, NEIGHBOURS, self.backend)
        if pixels is None or grid is None:
            raise ParameterError(
                "connectivity='grid' without a grid",
                "where the rows lie",
                "call fit(X, pixels=landmarks.pixels_, grid=…) with the scan's navigation shape",
            )
        return grid_graph(pixels, grid, rows)

    def check_values(self) -> None:
        """Refuse options that have a value they cannot have, before there is anything to cluster.

        Raises
        ------
        ParameterError
            If one has.
        """
        for name, allowed in (("linkage", _LINKAGES), ("connectivity", _CONNECTIVITIES)):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}={getattr(self, name)!r}", f"one of {allowed}", "name one of these")
        if self.linkage == "ward" and self.metric != "euclidean":
            raise ParameterError(
                f"metric={self.metric!r} with Ward's linkage", "'euclidean'", "choose linkage='average'"
            )

    def _check_parameters(self, n_rows: int) -> None:
        self.check_values()
        if self.distance_threshold is None and not 1 <= self.n_clusters <= n_rows:
            raise ParameterError(
                f"n_clusters={self.n_clusters} of n_samples={n_rows}", f"1 to {n_rows}", "ask for fewer clusters"
            )
