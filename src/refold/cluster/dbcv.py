"""How well density clusters are separated: the density-based index, bounded by a sample."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.errors import ParameterError

_SAMPLE = 2000


def validity(X: npt.ArrayLike, labels: npt.ArrayLike, *, sample: int = _SAMPLE, random_state: int = 0) -> xr.Dataset:
    """Density-based validity of a clustering of any shapes (DBCV).

    Parameters
    ----------
    X : array_like, shape (rows, features)
        What was clustered, such as latent coordinates or scores of landmarks.
    labels : array_like of int, shape (rows,)
        Cluster of each row; -1 is noise.
    sample : int
        Rows to look at, at most. Of larger tables each cluster keeps its share, but two rows at least. Time and memory
        grow with the square of the largest cluster's share: 2000 rows take seconds and 200 MB at most.
    random_state : int
        Seed of the sample.

    Returns
    -------
    xarray.Dataset
        ``cluster_validity`` (cluster): between -1 and 1, how much sparser the surroundings of a cluster are than its
        own sparsest place; below 0, there is a denser way to another cluster than within. NaN for a cluster of which
        there is one place only. ``validity``: their mean, weighted by size, noise counting as 0.

    Raises
    ------
    ParameterError
        If labels and rows do not match, or there is no row or too small a sample.

    Notes
    -----
    Method of [1]_, by the hdbscan package. It is made for few features: use it in the latent space. Rows on top of one
    another, which it cannot do with, count once. The package's trees depend on the order of rows where paths are
    equally good, by a tenth now and then; here rows come in the order of their values, so the index is one number.

    References
    ----------
    .. [1] D. Moulavi, P. A. Jaskowiak, R. J. G. B. Campello, A. Zimek, J. Sander, "Density-Based Clustering
       Validation", SDM 2014.

    Examples
    --------
    >>> rows = np.concatenate([np.random.default_rng(0).normal(at, 1, (60, 2)) for at in (0, 30)])
    >>> right, wrong = np.repeat([0, 1], 60), np.tile([0, 1], 60)
    >>> bool(validity(rows, right).validity > 0.5), bool(validity(rows, wrong).validity < 0)
    (True, True)
    """
    rows, names = np.asarray(X, np.float64), np.asarray(labels)
    if rows.ndim != 2 or names.shape != (len(rows),) or names.dtype.kind not in "iu" or len(rows) == 0:
        raise ParameterError(
            f"rows of shape {rows.shape} and labels of shape {names.shape}, {names.dtype}",
            "(rows, features), and one integer for each row",
            "pass the rows that were clustered with their labels",
        )
    if sample < 2:
        raise ParameterError(f"sample={sample}", "2 or more", "try 2000")
    n_clusters = int(names.max(initial=-1)) + 1
    sizes = np.bincount(names[names >= 0], minlength=n_clusters)
    kept = _share_of_each(rows, names, sample, np.random.default_rng(random_state))
    scores = _scores(rows[kept], names[kept], n_clusters)
    whole = float(np.nansum(scores * sizes) / len(rows))
    return xr.Dataset(
        {
            "cluster_validity": ("cluster", scores, {"long_name": "density-based validity of the cluster"}),
            "validity": ((), whole, {"long_name": "density-based validity of the clustering"}),
        },
        coords={"cluster": np.arange(n_clusters)},
    )


def _share_of_each(
    rows: npt.NDArray[np.float64], names: npt.NDArray[Any], sample: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Indices of different rows, in the order of their values: of each cluster its share of the sample."""
    _, first = np.unique(np.column_stack([rows, names]), axis=0, return_index=True)
    first = first[names[first] >= 0]
    share = min(1.0, sample / max(1, first.size))
    parts = []
    for cluster in np.unique(names[first]):
        mine = np.flatnonzero(names[first] == cluster)
        parts.append(rng.permutation(mine)[: max(2, round(share * mine.size))])
    return first[np.sort(np.concatenate(parts))] if parts else first


def _scores(rows: npt.NDArray[np.float64], names: npt.NDArray[Any], n_clusters: int) -> npt.NDArray[np.float64]:
    """Validity of each cluster; NaN where there are not two places of it, or no other cluster."""
    from hdbscan.validity import validity_index

    scores = np.full(n_clusters, np.nan)
    places = np.bincount(names, minlength=n_clusters)
    usable = np.flatnonzero(places > 1)
    if usable.size < 2:
        return scores
    mine = np.isin(names, usable)
    # Distances enter by a power as high as there are features: in units of their own size they do not overflow.
    centred = rows[mine] - rows[mine].mean(axis=0)
    scaled = centred / np.sqrt((centred**2).sum(axis=1).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of powers in many features that overflow all the same
        _, found = validity_index(scaled, np.searchsorted(usable, names[mine]), per_cluster_scores=True)
    scores[usable] = found
    return scores
