"""How many clusters: three criteria over a range of k, in one call, from a bounded sample."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cluster.criteria import Fits, Rows, elbow, first_within_error, gap, silhouettes
from refold.cube import check_cube, n_features
from refold.engine import Sample, sweep
from refold.errors import DataError, ParameterError

Method = Literal["elbow", "silhouette", "gap"]
METHODS: tuple[Method, ...] = ("elbow", "silhouette", "gap")
_MEANING = {
    "inertia": "sum of squared distances to the nearest centre",
    "silhouette": "mean silhouette",
    "gap": "gap statistic",
    "gap_error": "standard error of the gap statistic",
}
_CURVES = {"inertia": "elbow", "silhouette": "silhouette", "gap": "gap"}  # which method reads which


@dataclass(frozen=True)
class ClusterCount:
    """What the criteria say.

    Parameters
    ----------
    curves : xarray.Dataset
        ``inertia`` and, where asked for, ``silhouette``, ``gap`` and ``gap_error``, each over ``k``. A curve that a
        criterion reads has the number it suggests in its attributes, as ``suggested``.
    suggested : dict of str to int
        The number that each method suggests.

    Examples
    --------
    >>> rows = np.concatenate([np.random.default_rng(0).normal(at, 1, (50, 2)) for at in (0, 20, 50)])
    >>> found = estimate_clusters(rows, range(2, 6), n_references=5)
    >>> found.k, found.suggested
    (3, {'elbow': 3, 'silhouette': 3, 'gap': 3})
    """

    curves: xr.Dataset
    suggested: dict[str, int]

    @property
    def k(self) -> int:
        """What all methods together suggest: the middle one, so any that two of three agree on."""
        return statistics.median_low(self.suggested.values())

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: what is suggested, and the curves over ``k``.

        Examples
        --------
        >>> curves = xr.Dataset({"inertia": ("k", [9.0, 4.0])}, {"k": [2, 3]})
        >>> ClusterCount(curves, {"elbow": 3}).as_dict()
        {'k': 3, 'suggested': {'elbow': 3}, 'tried': [2, 3], 'inertia': [9.0, 4.0]}
        """
        curves = {str(name): curve.values.tolist() for name, curve in self.curves.items()}
        return {"k": self.k, "suggested": self.suggested, "tried": self.curves.k.values.tolist(), **curves}


def estimate_clusters(
    X: xr.DataArray | npt.ArrayLike,
    k: Sequence[int] = range(2, 16),
    *,
    method: Method | Sequence[Method] = METHODS,
    sample: int = 4000,
    n_references: int = 10,
    random_state: int = 0,
) -> ClusterCount:
    """Estimate how many clusters there are, by k-means at each number.

    Parameters
    ----------
    X : xarray.DataArray or array_like
        A cube, best of scores, (*navigation, component), lazy or not; or rows (rows, features).
    k : sequence of int
        Numbers of clusters to try, 1 or more.
    method : str or sequence of str
        Of ``"elbow"``, ``"silhouette"`` and ``"gap"``.
    sample : int
        Pixels to look at, at most; a uniform sample, drawn in one sweep. Time and memory depend on it alone.
    n_references : int
        Reference data sets of the gap statistic.
    random_state : int
        Seed of the sample, of k-means and of the references.

    Returns
    -------
    ClusterCount
        Curves, suggestions, and a plot of them.

    Raises
    ------
    ParameterError
        If a number or a method is none of these.
    DataError
        If there are fewer different pixels than clusters to try, or values that are not finite among rows.

    Notes
    -----
    - **Elbow**: the k whose step takes most off the log inertia, compared with the largest step that follows.
    - **Silhouette**: the largest mean silhouette (scikit-learn's, of 4000 rows at most).
    - **Gap**: the smallest k whose gap is no less than the next one's minus its standard error [1]_, references being
      uniform in a box along the principal axes. If none is, the largest k: try more.

    All three look for round clusters of similar spread. Of counts, take scores with ``PCA(scaling="poisson")``: where
    strong phases scatter more than weak ones the gap goes on to split them. A uniform sample knows little of phases
    that are rarer than a hundredth of the scan; HDBSCAN on `refold.Landmarks` finds those.

    References
    ----------
    .. [1] R. Tibshirani, G. Walther, T. Hastie, "Estimating the number of clusters in a data set via the gap
       statistic", J. R. Stat. Soc. B 63, 411 (2001).

    Examples
    --------
    >>> import refold
    >>> phantom = refold.synthetic.eds((32, 32), channels=128, phases=3, seed=0)
    >>> scores = refold.PCA(5, scaling="poisson", solver="scatter").fit(phantom.cube).transform(phantom.cube)
    >>> estimate_clusters(scores, range(2, 8), n_references=3).k
    4
    """
    from threadpoolctl import threadpool_limits

    methods = (method,) if isinstance(method, str) else tuple(method)
    counts = sorted({int(number) for number in k})
    _check(methods, counts, sample, n_references)
    rows = _sampled(X, sample, random_state)
    different = len(np.unique(rows, axis=0))
    if different < counts[-1]:
        raise DataError(f"{different} different pixels", f"{counts[-1]}, the largest k", "try fewer clusters")
    # Each criterion looks at the neighbours of a number as well.
    tried = sorted({near for number in counts for near in (number - 1, number, number + 1) if 1 <= near <= different})
    with threadpool_limits(1):  # sums in one order: the same bits on any machine's number of cores
        return _weigh_up(Fits(rows, tried, random_state), counts, methods, n_references)


def _weigh_up(fits: Fits, counts: list[int], methods: Sequence[str], n_references: int) -> ClusterCount:
    """The curves that the methods need, and what each says of them."""
    curves: dict[str, Any] = {"inertia": [fits.inertia[number] for number in counts]}
    suggested = {}
    if "elbow" in methods:
        suggested["elbow"] = elbow(fits.log_inertia, counts)
    if "silhouette" in methods:
        curves["silhouette"] = silhouettes(fits, counts)
        best = np.nan_to_num(curves["silhouette"], nan=-np.inf)
        suggested["silhouette"] = counts[int(best.argmax())]
    if "gap" in methods:
        gaps, errors = gap(fits, n_references)
        curves["gap"], curves["gap_error"] = ([of[number] for number in counts] for of in (gaps, errors))
        suggested["gap"] = first_within_error(gaps, errors, counts)
    dataset = xr.Dataset(
        {name: ("k", np.asarray(curve, np.float64), {"long_name": _MEANING[name]}) for name, curve in curves.items()},
        coords={"k": ("k", counts, {"long_name": "number of clusters"})},
    )
    for name, which in _CURVES.items():
        if which in suggested:
            dataset[name].attrs["suggested"] = suggested[which]
    return ClusterCount(dataset, {name: suggested[name] for name in methods})


def _check(methods: Sequence[str], counts: Sequence[int], sample: int, n_references: int) -> None:
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or not methods:
        raise ParameterError(f"method {unknown}", f"some of {METHODS}", "name one or several of these")
    if not counts or counts[0] < 1:
        raise ParameterError(f"k={list(counts)}", "numbers of clusters, 1 or more", "try range(2, 16)")
    for name, value, least in (("sample", sample, 2), ("n_references", n_references, 2)):
        if value < least:
            raise ParameterError(f"{name}={value}", f"{least} or more", f"raise {name}")


def _sampled(X: xr.DataArray | npt.ArrayLike, sample: int, seed: int) -> Rows:
    """At most so many rows of a cube, or of rows."""
    if isinstance(X, xr.DataArray):
        cube = check_cube(X)
        (drawn,) = sweep(cube, Sample(sample, seed, n_features=n_features(cube)), label="sample")
        if len(drawn.rows) == 0:
            raise DataError("no pixel with finite values", "at least one", "look at the mask and the scan")
        return np.asarray(drawn.rows)
    rows = np.asarray(X)
    rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    if rows.ndim != 2:
        raise ParameterError(f"rows of shape {rows.shape}", "(rows, features)", "give a table, or a cube with roles")
    if not np.isfinite(rows).all():
        raise DataError("rows with values that are not finite", "finite rows", "leave these rows out")
    if len(rows) > sample:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), sample, replace=False))]
    return rows
