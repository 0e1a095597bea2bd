"""How two clusterings agree: their contingency table, and all that follows from it by algebra alone.

A table has a row for each cluster of the one clustering and a column for each of the other. The last row and the last
column are noise, so that ``table[label]`` is right for every label, -1 included.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import Block, Where, sweep
from refold.errors import CubeError

INVALID = -2
"""Label of a pixel that was not clustered at all, and is left out of every table."""

Counts = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]


class PairTables:
    """Visitor: the contingency tables of several labellings of one grid, each with each.

    The cube's signal is one label for each labelling.

    Parameters
    ----------
    clusters : sequence of int
        Clusters of each labelling; its labels are below that.
    of : callable, optional
        ``of(block, where)`` gives the labels, shape (pixels, labellings); by default they are the block's own rows.
    """

    def __init__(self, clusters: Sequence[int], of: Any = None) -> None:
        self.clusters = tuple(clusters)
        self.of = of

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Which labellings each table is of, in the order of the tables."""
        return list(combinations(range(len(self.clusters)), 2))

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return sum(8 * (self.clusters[one] + 1) * (self.clusters[other] + 1) for one, other in self.pairs)

    def start(self) -> list[Counts]:
        """Nothing counted."""
        shape = [(self.clusters[one] + 1, self.clusters[other] + 1) for one, other in self.pairs]
        return [np.zeros(sizes, np.int64) for sizes in shape]

    def visit(self, state: list[Counts], block: Block, where: Where) -> None:
        """Count the pixels of a block that every labelling has an answer for."""
        labels = block.data.reshape(block.n_pixels, -1) if self.of is None else self.of(block, where)
        labels = labels[(labels != INVALID).all(axis=1)]
        for at, (one, other) in enumerate(self.pairs):
            sizes = self.clusters[one], self.clusters[other]
            state[at] += tabulate(labels[:, one], labels[:, other], *sizes)

    def merge(self, one: list[Counts], other: list[Counts]) -> list[Counts]:
        """Add."""
        return [table + more for table, more in zip(one, other, strict=True)]

    def finish(self, state: list[Counts]) -> dict[tuple[int, int], Counts]:
        """The table of each pair of labellings."""
        return dict(zip(self.pairs, state, strict=True))


def tabulate(
    one: npt.ArrayLike, other: npt.ArrayLike, n_one: int, n_other: int, weights: npt.ArrayLike | None = None
) -> npt.NDArray[Any]:
    """Contingency table of labels in memory.

    Parameters
    ----------
    one, other : array_like of int, shape (n,)
        Labels; -1 is noise.
    n_one, n_other : int
        Clusters of each.
    weights : array_like, shape (n,), optional
        What each counts, one by default.

    Returns
    -------
    ndarray, shape (n_one + 1, n_other + 1)
        Int64, or float64 with weights; noise last.

    Examples
    --------
    >>> tabulate([0, 0, 1, -1], [1, 1, 0, 0], 2, 2)
    array([[0, 2, 0],
           [1, 0, 0],
           [1, 0, 0]])
    """
    rows, columns = n_one + 1, n_other + 1
    # Modulo turns noise into the last row and column.
    cells = np.asarray(one, np.int64) % rows * columns + np.asarray(other, np.int64) % columns
    return np.bincount(cells, weights, minlength=rows * columns).reshape(rows, columns)


def contingency(one: xr.DataArray, other: xr.DataArray, n_one: int, n_other: int, **sweep_options: Any) -> Counts:
    """Contingency table of two label maps of any size, by one sweep.

    Parameters
    ----------
    one, other : xarray.DataArray of int
        Label maps over the same navigation dims, lazy or not. -1 is noise, a cluster of its own here; pixels of which
        either says -2 are left out.
    n_one, n_other : int
        Clusters of each.
    **sweep_options
        As `refold.sweep` takes them.

    Returns
    -------
    ndarray of int64, shape (n_one + 1, n_other + 1)
        Noise last.

    Raises
    ------
    CubeError
        If they are of different grids.
    """
    if dict(one.sizes) != dict(other.sizes):
        raise CubeError(
            f"label maps of {dict(one.sizes)} and {dict(other.sizes)}", "one grid", "compare maps of the same scan"
        )
    both = xr.concat(
        [one.reset_coords(drop=True), other.reset_coords(drop=True).transpose(*one.dims)],
        dim="labelling",
        join="override",
        coords="minimal",
        compat="override",
        combine_attrs="drop",
    )
    roles = {dim: (dim, np.arange(both.sizes[dim]), {"role": "navigation"}) for dim in map(str, one.dims)}
    cube = both.assign_coords(roles | {"labelling": ("labelling", np.arange(2), {"role": "signal"})})
    visitor = PairTables((n_one, n_other))
    (tables,) = sweep(cube.transpose(*one.dims, "labelling"), visitor, **{"label": "comparing", **sweep_options})
    table: Counts = tables[0, 1]
    return table


def adjusted_rand_index(table: npt.ArrayLike) -> float:
    """Adjusted Rand index of two clusterings, exactly, from their contingency table.

    Parameters
    ----------
    table : array_like of int
        From `contingency` or `tabulate`. Noise counts as a cluster of its own; cut the last row and column off to
        leave it out.

    Returns
    -------
    float
        1 where they are the same, about 0 where they have nothing in common.

    Notes
    -----
    L. Hubert, P. Arabie, "Comparing partitions", Journal of Classification 2, 193 (1985). In whole numbers of any size:
    pairs of a terapixel are more than 64 bits hold. The value is that of `sklearn.metrics.adjusted_rand_score`.

    Examples
    --------
    >>> adjusted_rand_index([[2, 0], [0, 3]]), round(adjusted_rand_index([[2, 1], [1, 2]]), 3)
    (1.0, -0.111)
    """
    counts = np.asarray(table, np.int64)
    n = int(counts.sum())
    squares = _sum_of_squares(counts)
    of_rows, of_columns = _sum_of_squares(counts.sum(axis=1)), _sum_of_squares(counts.sum(axis=0))
    together = squares - n
    only_one, only_other = of_rows - squares, of_columns - squares
    if not only_one and not only_other:
        return 1.0
    apart = n * n - squares - only_one - only_other
    chance = (together + only_one) * (only_one + apart) + (together + only_other) * (only_other + apart)
    return 2 * (together * apart - only_one * only_other) / chance


def _sum_of_squares(counts: Counts) -> int:
    return sum(int(count) ** 2 for count in counts[counts > 0].tolist())


def match(table: npt.ArrayLike) -> Labels:
    """Name the clusters of the other clustering by those of the one, so that they agree on as much as they can.

    Parameters
    ----------
    table : array_like, shape (n_one + 1, n_other + 1)
        From `contingency` or `tabulate`.

    Returns
    -------
    ndarray of int32, shape (n_other + 1,)
        New name of each cluster of the other, and of its noise, which stays -1: ``names[labels]`` renames a label map.
        A cluster that has no counterpart gets a number from ``n_one`` on.

    Notes
    -----
    The Hungarian method on shared pixels; noise takes no part in it. H. W. Kuhn, "The Hungarian method for the
    assignment problem", Naval Research Logistics Quarterly 2, 83 (1955), by SciPy.

    Examples
    --------
    >>> match([[0, 8, 1, 0], [7, 0, 0, 0], [0, 0, 0, 2]])
    array([ 1,  0,  2, -1], dtype=int32)
    """
    from scipy.optimize import linear_sum_assignment

    shared = np.asarray(table)[:-1, :-1]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    real = shared[rows, columns] > 0
    names = np.full(shared.shape[1] + 1, -1, np.int32)
    names[columns[real]] = rows[real]
    left = np.flatnonzero(names[:-1] < 0)
    names[left] = np.arange(shared.shape[0], shared.shape[0] + left.size)
    return names


def jaccard(table: npt.ArrayLike, names: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """For each cluster of the one clustering, what it shares with its counterpart, over what the two are together.

    Parameters
    ----------
    table : array_like, shape (n_one + 1, n_other + 1)
        From `contingency`.
    names : array_like of int, shape (n_other + 1,)
        From `match`.

    Returns
    -------
    ndarray of float64, shape (n_one,)
        Jaccard index; 0 where there is no counterpart, NaN for a cluster without a pixel.

    Notes
    -----
    C. Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis 52, 258 (2007):
    below 0.5 a cluster is dissolved, from 0.75 on it is stable.

    Examples
    --------
    >>> jaccard([[8, 2, 0], [0, 5, 0], [0, 1, 4]], [0, 1, -1])
    array([0.8  , 0.625])
    """
    counts, names = np.asarray(table, np.float64), np.asarray(names)
    sizes, others = counts.sum(axis=1)[:-1], counts.sum(axis=0)
    found = np.where(sizes > 0, 0.0, np.nan)
    for column in np.flatnonzero((names >= 0) & (names < sizes.size)):
        row = names[column]
        shared = counts[row, column]
        union = sizes[row] + others[column] - shared
        found[row] = shared / union if union else np.nan
    return found
