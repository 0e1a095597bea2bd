"""Leading components of a scatter matrix that is at hand: exact, after one sweep."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import MomentsResult
from refold.reduce.leading import Leading, share_count

Vector = npt.NDArray[np.float64]

_DIRECT = 600  # features; below this LAPACK takes less than a tenth of a second
_FEW = 8  # an iterative solver pays while at most one in so many components is wanted


def scaled_scatter(moments: MomentsResult, factors: Vector | None, *, center: bool) -> Vector:
    """Scatter matrix of the scaled rows, about their mean or about zero.

    Parameters
    ----------
    moments : MomentsResult
        With its scatter.
    factors : numpy.ndarray or None
        Factor of each feature.
    center : bool
        Whether about the mean.

    Returns
    -------
    numpy.ndarray
        Shape (feature, feature). May be the one of the moments itself.
    """
    scatter: Vector = np.asarray(moments.scatter, dtype=np.float64)
    if not center:
        scatter = scatter + moments.count * np.outer(moments.mean, moments.mean)
    if factors is not None:
        scatter = scatter * factors
        scatter *= factors[:, None]
    return scatter


def leading_of(scatter: Vector, most: int, share: float | None) -> Leading:
    """Leading eigenpairs of a symmetric matrix.

    Parameters
    ----------
    scatter : numpy.ndarray
        Shape (feature, feature).
    most : int
        Components wanted; or, with a share, allowed.
    share : float or None
        Share of the trace that is to be explained.

    Returns
    -------
    Leading
        As many as wanted.
    """
    features = len(scatter)
    total = float(np.trace(scatter))
    count = min(most, 32) if share is not None else most
    while features > _DIRECT and count * _FEW <= features:
        values, vectors = _iterate(scatter, count)
        needed = count if share is None else share_count(values, total, share)
        if needed is not None:
            return _packed(values, vectors, total).keep(min(needed, most))
        count *= 4
    from scipy.linalg import eigh

    first = 0 if share is not None else features - most
    values, vectors = eigh(scatter, subset_by_index=[first, features - 1], check_finite=False)
    found = _packed(values[::-1], vectors[:, ::-1], total)
    needed = most if share is None else share_count(found.values, total, share) or most
    return found.keep(min(needed, most))


def _iterate(scatter: Vector, count: int) -> tuple[Vector, Vector]:
    """Largest eigenpairs by the Lanczos method with restarts, from a fixed start."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    features = len(scatter)
    start = np.random.default_rng(0).standard_normal(features)
    try:
        values, vectors = eigsh(scatter, count, v0=start, ncv=min(features, 2 * count + 20))
    except ArpackNoConvergence:
        values, vectors = eigh(scatter, subset_by_index=[features - count, features - 1], check_finite=False)
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _packed(values: npt.NDArray[Any], vectors: npt.NDArray[Any], total: float) -> Leading:
    return Leading(np.maximum(values, 0.0), vectors, total, np.zeros(len(values)))
