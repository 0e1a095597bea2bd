"""Any clusterer of scikit-learn's kind, fitted on landmarks like our own."""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin, MetaEstimatorMixin, clone
from sklearn.utils.validation import has_fit_parameter, validate_data

from refold.cluster.naming import order_by_size
from refold.cluster.protocol import Clusterer, neighbour_shares, own_share
from refold.errors import ParameterError


class LandmarkClusterer(ClusterMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc] # no types in sklearn
    """Any object with scikit-learn's clusterer interface, in the form that Refold clusters landmarks with.

    Parameters
    ----------
    estimator : object
        Has ``fit_predict(X)``. It is cloned, and left as it is.

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
    estimator_ : object
        The clone that was fitted.

    See Also
    --------
    refold.as_clusterer : wraps what needs wrapping.

    Notes
    -----
    Weights go to the estimator as ``sample_weight`` where its `fit` takes that; they always decide which cluster is
    the largest. Membership is what ``predict_proba`` says where the estimator has it, and otherwise the shares of
    each cluster among a row and its nine nearest rows.

    Examples
    --------
    >>> from sklearn.cluster import Birch
    >>> rows = np.concatenate([np.zeros((20, 2)), np.full((30, 2), 9.0)])
    >>> model = LandmarkClusterer(Birch(n_clusters=2)).fit(rows)
    >>> model.n_clusters_, int(model.labels_[0]), int(model.labels_[-1])
    (2, 1, 0)
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: npt.ArrayLike, y: object = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Cluster rows.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows.
        y : None
            Ignored.
        weights : array_like, optional
            Pixels that each row stands for.

        Returns
        -------
        LandmarkClusterer
            Itself.

        Raises
        ------
        ParameterError
            If the object is no clusterer, or does not give each row one label.
        """
        _check_interface(self.estimator)
        rows = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=1)
        self.estimator_ = clone(self.estimator, safe=False)
        taken = {}
        if weights is not None and has_fit_parameter(self.estimator_, "sample_weight"):
            taken["sample_weight"] = np.asarray(weights, np.float64)
        found = _checked_labels(self.estimator_.fit_predict(rows, **taken), len(rows), self.estimator_)
        self.labels_, order = order_by_size(found, weights)
        self.n_clusters_ = order.size
        self.membership_ = self._membership(rows, order)
        self.probabilities_ = own_share(self.membership_, self.labels_)
        return self

    def _membership(self, rows: npt.NDArray[Any], order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What the estimator says of every row and cluster, or what its neighbours do."""
        if not hasattr(self.estimator_, "predict_proba"):
            return neighbour_shares(rows, self.labels_, self.n_clusters_)
        said = np.asarray(self.estimator_.predict_proba(rows))
        if said.ndim != 2 or len(said) != len(rows) or said.shape[1] <= order.max(initial=-1):
            raise ParameterError(
                f"predict_proba of shape {said.shape}",
                f"{len(rows)} rows, and a column for each of {order.max(initial=-1) + 1} labels",
                f"make {type(self.estimator).__name__}.predict_proba and its labels agree",
            )
        # A column that no row is labelled with is no cluster; what it had is shared out among those that are.
        kept = said[:, order].astype(np.float64)
        total = np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray(kept / total, np.float32)


def as_clusterer(estimator: Any) -> Clusterer:
    """Take any clusterer: one of Refold's as it is, one of scikit-learn's kind wrapped.

    Parameters
    ----------
    estimator : object
        With ``fit(X, y=None, *, weights=None)``, as Refold's have it, or with scikit-learn's ``fit_predict(X)``.

    Returns
    -------
    Clusterer
        Itself, or a `LandmarkClusterer` of it.

    Raises
    ------
    ParameterError
        If it is neither.

    Examples
    --------
    >>> from sklearn.cluster import SpectralClustering
    >>> type(as_clusterer(SpectralClustering())).__name__
    'LandmarkClusterer'
    """
    _check_interface(estimator)
    fit = getattr(estimator, "fit", None)
    ours = callable(fit) and "weights" in inspect.signature(fit).parameters
    return estimator if ours else LandmarkClusterer(estimator)


def _check_interface(estimator: Any) -> None:
    """Refuse what cannot cluster, with a word on what it is instead."""
    if isinstance(estimator, type):
        name = estimator.__name__
        raise ParameterError(f"the class {name}", "an object that clusters", f"make one of it: {name}(…)")
    if not callable(getattr(estimator, "fit_predict", None)):
        raise ParameterError(
            f"a {type(estimator).__name__} without fit_predict",
            "an object with scikit-learn's clusterer interface",
            "give it a method fit_predict(X) that returns one label for each row, -1 for noise",
        )


def _checked_labels(found: Any, n_rows: int, estimator: Any) -> npt.NDArray[np.int64]:
    """One whole number for each row, every negative one being noise."""
    labels = np.asarray(found)
    if labels.shape != (n_rows,) or labels.dtype.kind not in "iu":
        raise ParameterError(
            f"labels of shape {labels.shape} and dtype {labels.dtype} from {type(estimator).__name__}.fit_predict",
            f"one integer for each of {n_rows} rows",
            "make fit_predict return one label for each row, -1 for noise",
        )
    return np.maximum(labels.astype(np.int64), -1)
