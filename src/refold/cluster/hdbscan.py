"""HDBSCAN of the latent space, with soft membership in every cluster."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import validate_data

from refold.backends import Backend, choose
from refold.cluster.naming import order_by_size
from refold.errors import ParameterError

_PAIRWISE = ("cosine", "correlation")  # which no tree of neighbours knows
METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "canberra", "braycurtis", *_PAIRWISE)
_ALL_PAIRS = 8192  # rows whose distances in pairs are held: 512 MB, and the same again for what is made of them

_LEAST = {
    "min_cluster_size": 2,
    "min_samples": 1,
    "max_cluster_size": 2,
    "cluster_selection_epsilon": 0,
    "cluster_selection_epsilon_max": 0,
    "cluster_selection_persistence": 0,
    "leaf_size": 1,
    "p": 1,
}
_CHOICES = {
    "cluster_selection_method": ("eom", "leaf"),
    "metric": METRICS,
    "algorithm": ("best", "generic", "prims_kdtree", "prims_balltree", "boruvka_kdtree", "boruvka_balltree"),
}
_AS_THEY_ARE = (
    "cluster_selection_method",
    "cluster_selection_persistence",
    "allow_single_cluster",
    "alpha",
    "metric",
    "algorithm",
    "leaf_size",
    "approx_min_span_tree",
    "match_reference_implementation",
)


class HDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Density clustering without a number of clusters to guess.

    Parameters
    ----------
    min_cluster_size : int or None
        Fewest rows that are a cluster. None takes 25, or an eighth of the rows where that is less, but 5 at least.
    min_samples : int or None
        Neighbours that a dense row has; the higher, the more rows are noise. None takes ``min_cluster_size``.
    cluster_selection_method : {"eom", "leaf"}
        Which clusters of the tree are kept: the most persistent, or the finest.
    cluster_selection_epsilon : float or None
        Clusters closer than this are not split; None, like 0, splits whatever is dense. In UMAP's latent space
        `refold.embed.LATENT_GAP` is a good choice, and what `refold.run` takes.
    max_cluster_size : int or None
        Clusters of more rows than this are split, also those that ``cluster_selection_epsilon`` would have merged. Rows
        are landmarks: where these are a tenth of the pixels, the limit in pixels is about ten times as high.
    cluster_selection_epsilon_max : float or None
        Clusters that hold together over a larger distance than this are split; None sets no limit. Only with ``"eom"``.
    cluster_selection_persistence : float
        Branches of the tree that last for less than this, in distance, are not looked at as clusters.
    allow_single_cluster : bool
        Whether everything may be one cluster.
    alpha : float
        By which distances are divided before densities are compared, as in robust single linkage; 1 leaves them.
    metric : str
        Distance between rows, one of `refold.cluster.hdbscan.METRICS`. ``"cosine"`` and ``"correlation"`` need the
        distances of all pairs in memory, so rows may be no more than 8 192.
    p : float or None
        Power of ``metric="minkowski"``.
    algorithm : {"best", "generic", "prims_kdtree", "prims_balltree", "boruvka_kdtree", "boruvka_balltree"}
        How the spanning tree is found; ``"generic"`` takes all pairs.
    leaf_size : int
        Rows in a leaf of the tree that neighbours are searched with; it changes the time alone.
    approx_min_span_tree : bool
        Whether the spanning tree may be short of exact where that is faster.
    match_reference_implementation : bool
        Whether sizes and neighbours are counted as in the authors' Java: a point is not its own neighbour.
    backend : Backend, optional
        Where to run; the best there is by default.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (rows,)
        Cluster of each row; 0 is the largest, -1 is noise.
    probabilities_ : ndarray of float32, shape (rows,)
        How strongly a row belongs to its cluster; 0 for noise.
    membership_ : ndarray of float32, shape (rows, clusters)
        Soft membership of each row in each cluster; what a row's sum lacks to 1 is noise.
    n_clusters_ : int
        Clusters found.

    Notes
    -----
    Method of [1]_, [2]_, by the hdbscan package [3]_; ``docs/design/clustering.md`` says why that one.

    References
    ----------
    .. [1] R. J. G. B. Campello, D. Moulavi, J. Sander, "Density-Based Clustering Based on Hierarchical Density
       Estimates", PAKDD 2013.
    .. [2] R. J. G. B. Campello et al., "Hierarchical Density Estimates for Data Clustering, Visualization, and Outlier
       Detection", ACM TKDD 10, 5 (2015).
    .. [3] L. McInnes, J. Healy, S. Astels, "hdbscan: Hierarchical density based clustering", JOSS 2, 205 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> latent = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(20, 1, (90, 2))])
    >>> model = HDBSCAN(min_cluster_size=20).fit(latent)
    >>> model.n_clusters_, int(model.labels_[0]), int(model.labels_[-1])
    (2, 1, 0)
    """

    def __init__(
        self,
        min_cluster_size: int | None = None,
        *,
        min_samples: int | None = 10,
        cluster_selection_method: str = "eom",
        cluster_selection_epsilon: float | None = None,
        max_cluster_size: int | None = None,
        cluster_selection_epsilon_max: float | None = None,
        cluster_selection_persistence: float = 0.0,
        allow_single_cluster: bool = False,
        alpha: float = 1.0,
        metric: str = "euclidean",
        p: float | None = None,
        algorithm: str = "best",
        leaf_size: int = 40,
        approx_min_span_tree: bool = True,
        match_reference_implementation: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_method = cluster_selection_method
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.cluster_selection_epsilon_max = cluster_selection_epsilon_max
        self.cluster_selection_persistence = cluster_selection_persistence
        self.allow_single_cluster = allow_single_cluster
        self.alpha = alpha
        self.metric = metric
        self.p = p
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.approx_min_span_tree = approx_min_span_tree
        self.match_reference_implementation = match_reference_implementation
        self.backend = backend

    def fit(self, X: npt.ArrayLike, y: object = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Cluster rows.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows, usually latent coordinates of the landmarks.
        y : None
            Ignored.
        weights : array_like, optional
            Pixels that each row stands for. They decide which cluster is the largest, and so its name; densities do not
            count them.

        Returns
        -------
        HDBSCAN
            Itself.

        Raises
        ------
        ParameterError
            If an option has a value it cannot have, or there are fewer rows than a cluster needs.
        """
        rows = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=1)
        parameters = self._parameters(rows.shape[0])
        backend = self.backend if self.backend is not None else choose("auto")
        found = backend.hdbscan(rows, parameters)
        self.labels_, order = order_by_size(found.labels, weights)
        self.n_clusters_ = order.size
        self.probabilities_ = np.nan_to_num(found.probabilities, nan=0.0).astype(np.float32)
        self.membership_ = _sound_membership(found.membership[:, order])
        return self

    def check_values(self) -> None:
        """Refuse options that have a value they cannot have, before there is anything to cluster.

        Raises
        ------
        ParameterError
            If one has.
        """
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ParameterError(f"{name}={value}", f"{least} or more", f"raise {name}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name}={getattr(self, name)!r}", f"one of {', '.join(allowed)}", "name one of these"
                )
        if self.alpha <= 0:
            raise ParameterError(f"alpha={self.alpha}", "a number above 0", "1 leaves distances as they are")
        if (self.p is None) == (self.metric == "minkowski"):
            raise ParameterError(
                f"metric={self.metric!r} with p={self.p}",
                "a power for 'minkowski', and none otherwise",
                "give p=3, say",
            )

    def _parameters(self, n_rows: int) -> dict[str, Any]:
        """Check the options and put them in the library's words."""
        self.check_values()
        size = max(5, min(25, n_rows // 8)) if self.min_cluster_size is None else self.min_cluster_size
        if n_rows < size:
            raise ParameterError(
                f"n_samples={n_rows}, fewer than one cluster of min_cluster_size={size}",
                "more rows than a cluster needs",
                "lower min_cluster_size, or give more landmarks",
            )
        if n_rows > _ALL_PAIRS and (self.algorithm == "generic" or self.metric in _PAIRWISE):
            raise ParameterError(
                f"n_samples={n_rows} with metric={self.metric!r}, algorithm={self.algorithm!r}, which take all pairs",
                f"at most {_ALL_PAIRS} rows",
                "take fewer landmarks, or another metric",
            )
        min_samples = size if self.min_samples is None else self.min_samples
        own = {name: getattr(self, name) for name in _AS_THEY_ARE}
        return {
            **own,
            # Left to itself the library takes a tree that does not know them, and fails.
            **({"algorithm": "generic"} if self.metric in _PAIRWISE else {}),
            "min_cluster_size": size,
            "min_samples": min(min_samples, n_rows - 1),
            "cluster_selection_epsilon": float(self.cluster_selection_epsilon or 0.0),
            "max_cluster_size": self.max_cluster_size or 0,
            **({} if (most := self.cluster_selection_epsilon_max) is None else {"cluster_selection_epsilon_max": most}),
            **({} if self.p is None else {"p": self.p}),
        }


def _sound_membership(membership: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Shares between 0 and 1 whose sum is at most 1, whatever rows on top of each other made of the divisions."""
    sound = np.clip(np.nan_to_num(membership, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    total = sound.sum(axis=1, keepdims=True)
    return np.asarray(sound / np.maximum(total, 1.0), np.float32)
