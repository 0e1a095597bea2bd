"""Gaussian mixture of the landmarks, each counting as many pixels as it stands for."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import _check_sample_weight, validate_data

from refold.cluster.naming import order_by_size
from refold.cluster.protocol import own_share
from refold.errors import ParameterError

_KINDS = ("full", "tied", "diag", "spherical")
_STARTS = ("kmeans", "k-means++", "random", "random_from_data")


class GaussianMixture(ClusterMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A sum of Gaussians, by expectation and maximisation, whose posterior is the soft membership.

    Parameters
    ----------
    n_clusters : int
        Gaussians.
    covariance_type : {"full", "tied", "diag", "spherical"}
        Whether each Gaussian is an ellipsoid of any direction, the same one for all, one along the features, or round.
    reg_covar : float
        Added to the variances, as a share of the mean variance of the features, so that none becomes 0.
    n_init : int
        Starts; the likeliest result is kept.
    max_iter : int
        Steps after which a start ends anyway.
    tol : float
        Gain in mean log-likelihood below which a start has converged.
    init : {"kmeans", "k-means++", "random", "random_from_data"}
        Where a start begins: at the clusters of k-means, at the first centres that it would take, at shares drawn for
        every row, or at rows drawn as centres.
    random_state : int, numpy.random.RandomState or None
        Seed of the starts.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (rows,)
        Likeliest cluster of each row; 0 is the largest. There is no noise.
    probabilities_ : ndarray of float32, shape (rows,)
        Posterior of that cluster.
    membership_ : ndarray of float32, shape (rows, clusters)
        Posterior of every cluster.
    n_clusters_ : int
        Clusters found: Gaussians that are the likeliest of some row. Others are left out, and their posterior with
        them.
    means_ : ndarray of float64, shape (clusters, features)
        Centres.
    covariances_ : ndarray of float64, shape (clusters, features, features)
        Covariance of each, as a whole matrix whatever the ``covariance_type``.
    weights_ : ndarray of float64, shape (clusters,)
        Share of the pixels that each Gaussian holds.
    converged_ : bool
        Whether the steps came to an end.
    n_iter_ : int
        Steps of the start that was kept.

    Notes
    -----
    scikit-learn's `GaussianMixture` knows no weights of rows. Here they enter both steps, so that a row of weight 3 is
    worth three equal rows, and landmarks give the mixture of the scan although they hold more of its rare phases.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(0, [1, 5], (60, 2)), rng.normal(9, [1, 5], (90, 2))])
    >>> model = GaussianMixture(2).fit(rows)
    >>> model.labels_[[0, -1]], model.weights_.round(1)
    (array([1, 0], dtype=int32), array([0.6, 0.4]))
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        covariance_type: Literal["full", "tied", "diag", "spherical"] = "full",
        reg_covar: float = 1e-6,
        n_init: int = 3,
        max_iter: int = 200,
        tol: float = 1e-3,
        init: Literal["kmeans", "k-means++", "random", "random_from_data"] = "kmeans",
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.init = init
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: object = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Fit the Gaussians.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows.
        y : None
            Ignored.
        weights : array_like, optional
            Pixels that each row stands for; one each by default.

        Returns
        -------
        GaussianMixture
            Itself.

        Raises
        ------
        ParameterError
            If an option has a value it cannot have.
        """
        from threadpoolctl import threadpool_limits

        from refold.cluster.weighted_mixture import WeightedMixture

        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self._check_parameters(len(rows))
        counts = _check_sample_weight(weights, rows, dtype=np.float64, ensure_non_negative=True)
        centre = np.average(rows, axis=0, weights=counts)
        spread = np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=counts).mean()) or 1.0
        model = WeightedMixture(
            self.n_clusters,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            init_params=self.init,
            random_state=self.random_state,
        )
        # The start is a k-means, whose threads add up in no fixed order.
        with threadpool_limits(1, user_api="openmp"):
            found = model.fit_weighted((rows - centre) / spread, counts)
        self.labels_, order = order_by_size(found, counts)
        self.n_clusters_ = order.size
        posterior = model.predict_proba((rows - centre) / spread)[:, order]
        self.membership_ = (posterior / posterior.sum(axis=1, keepdims=True)).astype(np.float32)
        self.probabilities_ = own_share(self.membership_, self.labels_)
        self.means_ = model.means_[order] * spread + centre
        self.covariances_ = _as_matrices(model)[order] * spread**2
        self.weights_ = model.weights_[order]
        self.converged_ = bool(model.converged_)
        self.n_iter_ = int(model.n_iter_)
        return self

    def check_values(self) -> None:
        """Refuse options that have a value they cannot have, before there is anything to cluster.

        Raises
        ------
        ParameterError
            If one has.
        """
        for name, allowed in (("covariance_type", _KINDS), ("init", _STARTS)):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}={getattr(self, name)!r}", f"one of {allowed}", "name one of these")
        for name, least in (("n_init", 1), ("max_iter", 1), ("reg_covar", 0), ("tol", 0)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name}={getattr(self, name)}", f"{least} or more", f"raise {name}")

    def _check_parameters(self, n_rows: int) -> None:
        self.check_values()
        if not 1 <= self.n_clusters <= n_rows:
            raise ParameterError(
                f"n_clusters={self.n_clusters} of n_samples={n_rows}", f"1 to {n_rows}", "ask for fewer clusters"
            )


def _as_matrices(model: Any) -> npt.NDArray[np.float64]:
    """Covariance of each Gaussian as a matrix, in the units that the model was fitted in."""
    clusters, features = model.means_.shape
    held, whole = np.asarray(model.covariances_), np.eye(features)
    if model.covariance_type == "tied":
        return np.repeat(held[None], clusters, axis=0)
    if model.covariance_type == "diag":
        return np.asarray(held[:, None, :] * whole)
    return held if model.covariance_type == "full" else np.asarray(held[:, None, None] * whole)
