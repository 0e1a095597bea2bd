"""Three criteria for the number of clusters, each from k-means at every k: elbow, silhouette, gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

_STARTS = 5  # of k-means on the data; on a reference, which has no clusters to miss, one
_LEAST_STEP = 0.02  # of log inertia: what a step past the last cluster takes anyway
_SILHOUETTE_ROWS = 4000  # whose distances are held at once: 128 MB


class Fits:
    """K-means of the same rows at several numbers of clusters.

    Parameters
    ----------
    rows : ndarray, shape (rows, features)
        Finite rows.
    counts : sequence of int
        Numbers of clusters.
    seed : int
        Seed of the starts.
    """

    def __init__(self, rows: Rows, counts: Sequence[int], seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.inertia: dict[int, float] = {}
        self.labels: dict[int, npt.NDArray[np.int32]] = {}
        for k in counts:
            model = _k_means(rows, k, _STARTS, seed)
            self.inertia[k], self.labels[k] = float(model.inertia_), model.labels_
        self.log_inertia = _logs(self.inertia)


def elbow(log_inertia: Mapping[int, float], counts: Sequence[int]) -> int:
    """The k whose step down takes most compared with the largest step that follows.

    Parameters
    ----------
    log_inertia : mapping of int to float
        Logarithm of the inertia by k; also of ``k - 1`` and ``k + 1`` for each k asked about.
    counts : sequence of int
        Which k may be named.

    Returns
    -------
    int
        The elbow.

    Notes
    -----
    Up to the true number each further centre takes a whole cluster's distance off the inertia; past it all steps are
    small. Comparing with all that follow, and not with the next alone, passes over a large first step, such as that
    from specimen and vacuum to one centre for each, with the phases of the specimen still to come. Steps below 2 %
    count as 2 %, so that the end of the curve cannot win by dividing by nearly nothing.

    Examples
    --------
    >>> elbow(dict(enumerate([9.0, 5.0, 4.0, 3.0, 2.95, 2.9], start=1)), range(2, 6))
    4
    """
    ends = sorted(log_inertia)
    steps = {end: log_inertia[start] - log_inertia[end] for start, end in pairwise(ends)}

    def sharpness(k: int) -> float:
        return steps.get(k, 0.0) / max([_LEAST_STEP, *(step for end, step in steps.items() if end > k)])

    return max(counts, key=sharpness)


def silhouettes(fits: Fits, counts: Sequence[int]) -> Doubles:
    """Mean silhouette at each k, as scikit-learn has it, of some thousand rows at most; NaN for one cluster.

    Parameters
    ----------
    fits : Fits
        K-means at each k.
    counts : sequence of int
        Which k.

    Returns
    -------
    ndarray of float64, shape (k,)
        Between -1 and 1; the largest is the best.

    References
    ----------
    P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
    J. Comput. Appl. Math. 20, 53 (1987).
    """
    from sklearn.metrics import pairwise_distances, silhouette_score

    kept = np.random.default_rng(fits.seed).permutation(len(fits.rows))[:_SILHOUETTE_ROWS]
    distances = pairwise_distances(fits.rows[kept])
    found = np.full(len(counts), np.nan)
    for place, k in enumerate(counts):
        labels = fits.labels[k][kept]
        if 1 < np.unique(labels).size < labels.size:
            found[place] = silhouette_score(distances, labels, metric="precomputed")
    return found


def gap(fits: Fits, n_references: int) -> tuple[dict[int, float], dict[int, float]]:
    """Gap statistic and its standard error at each k.

    Parameters
    ----------
    fits : Fits
        K-means at each k.
    n_references : int
        Reference data sets, each uniform in the box along the principal axes that holds the rows.

    Returns
    -------
    gap : dict of int to float
        How much less the log inertia is than that of the references.
    error : dict of int to float
        Standard deviation over the references, times the root of ``1 + 1 / n_references``.

    References
    ----------
    R. Tibshirani, G. Walther, T. Hastie, "Estimating the number of clusters in a data set via the gap statistic",
    J. R. Stat. Soc. B 63, 411 (2001).
    """
    rows = fits.rows.astype(np.float64)
    centred = rows - rows.mean(axis=0)
    # A reference need not be turned back: k-means knows distances only, which no rotation changes.
    along = centred @ np.linalg.eigh(centred.T @ centred)[1]
    low, high = along.min(axis=0), along.max(axis=0)
    rng = np.random.default_rng(fits.seed)
    counts = sorted(fits.inertia)
    logs = np.empty((n_references, len(counts)))
    for number in range(n_references):
        reference = rng.uniform(low, high, rows.shape).astype(fits.rows.dtype)
        of_k = _logs({k: float(_k_means(reference, k, 1, fits.seed + number).inertia_) for k in counts})
        logs[number] = [of_k[k] for k in counts]
    mean, error = logs.mean(axis=0), logs.std(axis=0) * np.sqrt(1 + 1 / n_references)
    return (
        {k: float(mean[place] - fits.log_inertia[k]) for place, k in enumerate(counts)},
        {k: float(error[place]) for place, k in enumerate(counts)},
    )


def first_within_error(gaps: Mapping[int, float], errors: Mapping[int, float], counts: Sequence[int]) -> int:
    """The smallest k whose gap the next one does not pass by more than its standard error; the last, if all do.

    Parameters
    ----------
    gaps, errors : mapping of int to float
        Gap statistic and its standard error, also at ``k + 1`` for each k asked about.
    counts : sequence of int
        Which k may be named.

    Examples
    --------
    >>> first_within_error({2: 0.1, 3: 0.5, 4: 0.52}, {2: 0.05, 3: 0.05, 4: 0.05}, [2, 3])
    3
    """
    passed = (k for k in sorted(counts) if k + 1 in gaps and gaps[k] >= gaps[k + 1] - errors[k + 1])
    return next(passed, max(counts))


def _k_means(rows: Rows, k: int, n_init: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=n_init, random_state=seed).fit(rows)


def _logs(inertia: Mapping[int, float]) -> dict[int, float]:
    """Logarithms, of nothing less than rounding leaves of the largest."""
    floor = max(max(inertia.values()) * 1e-12, np.finfo(np.float64).tiny)
    return {k: float(np.log(max(value, floor))) for k, value in inertia.items()}
