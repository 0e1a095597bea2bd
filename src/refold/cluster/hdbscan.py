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
    allow_single_cluster : bool
        Whether everything may be one cluster.
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
        allow_single_cluster: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_method = cluster_selection_method
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.allow_single_cluster = allow_single_cluster
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

    def _parameters(self, n_rows: int) -> dict[str, Any]:
        """Check the options and put them in the library's words."""
        for name, least in (("min_cluster_size", 2), ("min_samples", 1), ("max_cluster_size", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ParameterError(f"{name}={value}", f"{least} or more", f"raise {name}")
        if self.cluster_selection_method not in {"eom", "leaf"}:
            raise ParameterError(
                f"cluster_selection_method={self.cluster_selection_method!r}", "'eom' or 'leaf'", "name one of these"
            )
        epsilon = float(self.cluster_selection_epsilon or 0.0)
        if epsilon < 0:
            raise ParameterError(f"cluster_selection_epsilon={epsilon}", "0 or more", "0 turns it off")
        size = max(5, min(25, n_rows // 8)) if self.min_cluster_size is None else self.min_cluster_size
        if n_rows < size:
            raise ParameterError(
                f"n_samples={n_rows}, fewer than one cluster of min_cluster_size={size}",
                "more rows than a cluster needs",
                "lower min_cluster_size, or give more landmarks",
            )
        min_samples = size if self.min_samples is None else self.min_samples
        return {
            "min_cluster_size": size,
            "min_samples": min(min_samples, n_rows - 1),
            "cluster_selection_method": self.cluster_selection_method,
            "cluster_selection_epsilon": epsilon,
            "max_cluster_size": self.max_cluster_size or 0,
            "allow_single_cluster": self.allow_single_cluster,
        }


def _sound_membership(membership: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Shares between 0 and 1 whose sum is at most 1, whatever rows on top of each other made of the divisions."""
    sound = np.clip(np.nan_to_num(membership, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    total = sound.sum(axis=1, keepdims=True)
    return np.asarray(sound / np.maximum(total, 1.0), np.float32)
