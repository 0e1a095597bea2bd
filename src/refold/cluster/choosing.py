"""The clusterer that a recipe names, and clusters for what it left as noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.cluster.agglomerative import Agglomerative
from refold.cluster.hdbscan import HDBSCAN
from refold.cluster.kmeans import KMeans
from refold.cluster.mixture import GaussianMixture
from refold.cluster.naming import order_by_size
from refold.cluster.nearest_centre import NearestCentre
from refold.cluster.protocol import Clusterer
from refold.engine import Block, Where
from refold.errors import ParameterError

_KINDS: dict[str, Any] = {
    "hdbscan": HDBSCAN,
    "kmeans": KMeans,
    "gaussian_mixture": GaussianMixture,
    "agglomerative": Agglomerative,
}


def clusterer_of(method: str, **options: Any) -> Any:
    """Make the clusterer of a name.

    Parameters
    ----------
    method : {"hdbscan", "kmeans", "gaussian_mixture", "agglomerative"}
        As in a recipe.
    **options
        As its class takes them.

    Returns
    -------
    Clusterer, or KMeans, which also clusters cubes
        Not fitted.

    Raises
    ------
    ParameterError
        If there is no such method, it has no such option, or an option has a value that it cannot have.

    Examples
    --------
    >>> clusterer_of("agglomerative", n_clusters=3)
    Agglomerative(n_clusters=3)
    """
    known = parameters_of(method)
    for name in options:
        if name not in known:
            raise ParameterError(
                f"option {name!r} of method {method!r}", f"one of {', '.join(known)}", "rename it, or leave it out"
            )
    model = _KINDS[method](**options)
    model.check_values()
    return model


def parameters_of(method: str) -> tuple[str, ...]:
    """Name the options of a method.

    Parameters
    ----------
    method : {"hdbscan", "kmeans", "gaussian_mixture", "agglomerative"}
        As in a recipe.

    Returns
    -------
    tuple of str
        Those of its class that are plain values.

    Raises
    ------
    ParameterError
        If there is no such method.

    Examples
    --------
    >>> parameters_of("kmeans")
    ('init', 'max_iter', 'n_clusters', 'n_init', 'random_state', 'tol')
    """
    if method not in _KINDS:
        raise ParameterError(f"method {method!r}", f"one of {', '.join(_KINDS)}", "name one of these")
    return tuple(sorted(set(_KINDS[method]._get_param_names()) - {"backend"}))


@dataclass(frozen=True)
class Assigned:
    """Labels of rows none of which is noise; fields as those of a `Clusterer`."""

    labels_: npt.NDArray[np.int32]
    probabilities_: npt.NDArray[np.float32]
    membership_: npt.NDArray[np.float32]
    n_clusters_: int


def assigned_to(centres: NearestCentre, rows: npt.NDArray[Any]) -> Assigned:
    """Clusters of rows by the nearest centre.

    Parameters
    ----------
    centres : NearestCentre
        Of the clusters.
    rows : ndarray, shape (rows, feature)
        What is asked about.

    Returns
    -------
    Assigned
        The same that pixels with these rows are given.

    Examples
    --------
    >>> assigned_to(NearestCentre(np.array([[1.0], [5.0]])), np.array([[4.0], [0.0]])).labels_
    array([1, 0], dtype=int32)
    """
    found = centres(Block(rows, 1), Where((slice(0, len(rows)),), (len(rows),)))
    return Assigned(found["labels"], found["probability"], found["membership"], len(centres.centres))


def assign_all(model: Clusterer, weights: npt.ArrayLike | None = None) -> Assigned:
    """Give each row the cluster of its largest soft membership.

    Parameters
    ----------
    model : Clusterer
        Fitted.
    weights : array_like, optional
        Pixels that each row stands for; they decide which cluster is the largest, and so its name.

    Returns
    -------
    Assigned
        The membership in the cluster given is its probability. A row that belongs to no cluster at all stays noise.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> found = SimpleNamespace(membership_=np.array([[0.1, 0.2], [0.9, 0.0], [0.3, 0.4]], np.float32))
    >>> assign_all(found).labels_.tolist()
    [0, 1, 0]
    """
    membership = model.membership_
    if not membership.shape[1]:
        return Assigned(model.labels_, model.probabilities_, membership, 0)
    probability = membership.max(axis=1)
    labels = np.where(probability > 0, membership.argmax(axis=1), -1)
    # A cluster that is nobody's first choice keeps its column, behind the others.
    named, order = order_by_size(labels, weights)
    rest = np.setdiff1d(np.arange(membership.shape[1]), order)
    columns = np.concatenate([order, rest])
    return Assigned(named, probability.astype(np.float32), membership[:, columns], membership.shape[1])
