"""Size, mean and deviation of every cluster's signal, in one sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine.block import Block, Where
from refold.errors import ParameterError

_TYPICAL_ROWS = 256


@dataclass
class ClusterSumsResult:
    """Statistics of each cluster; features in the C order of the signal dims.

    Parameters
    ----------
    size : numpy.ndarray
        Shape (cluster,): valid pixels.
    mean, std : numpy.ndarray
        Shape (cluster, feature); the deviation divides by the size. NaN for an empty cluster.
    """

    size: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


@dataclass
class _State:
    count: npt.NDArray[np.int64]
    shift: Any = None
    total: Any = None
    square: Any = None


class ClusterSums:
    """Visitor: size, mean and standard deviation of the signal in each cluster.

    Parameters
    ----------
    labels : array_like
        Shape of the navigation dims, int; a NumPy or a Zarr array. Negative labels are left out.
    n_clusters : int
        Labels run from 0 to this, less one.
    n_features : int, optional
        Features of the cube, so that the plan knows the size of a state.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.array([[[1.0], [3.0], [7.0]]]), signal="energy")
    >>> (sums,) = refold.sweep(cube, ClusterSums(np.array([[0, 0, 1]]), n_clusters=2))
    >>> sums.size.tolist(), sums.mean.tolist(), sums.std.tolist()
    ([2, 1], [[2.0], [7.0]], [[1.0], [0.0]])
    """

    def __init__(self, labels: Any, n_clusters: int, *, n_features: int | None = None) -> None:
        self.labels = labels
        self.n_clusters = n_clusters
        self.n_features = n_features

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 16 * self.n_clusters * (self.n_features or 0)

    def start(self) -> _State:
        """Nothing seen yet."""
        return _State(np.zeros(self.n_clusters, dtype=np.int64))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Add each row to the sums of its cluster."""
        from refold.engine.kernels import add_by_label  # numba takes half a second to import

        rows = block.numbers
        labels = np.where(block.valid, where.pick(self.labels), -1)
        known = np.flatnonzero(labels >= 0)
        if not known.size:
            return
        if labels.max() >= self.n_clusters:  # compiled code would write past the end
            raise ParameterError(
                f"label {labels.max()}", f"labels below n_clusters={self.n_clusters}", "count them again"
            )
        if state.shift is None:
            # Squares about a typical value keep their figures; about zero they would lose them under a large mean.
            state.shift = rows[known[:_TYPICAL_ROWS]].mean(axis=0, dtype=np.float64)
            state.total, state.square = np.zeros((2, self.n_clusters, rows.shape[1]))
        add_by_label(rows, labels, state.shift, state.total, state.square, state.count)

    def merge(self, one: _State, other: _State) -> _State:
        """Move one state's sums to the other's shift, and add."""
        if other.shift is None or one.shift is None:
            return one if other.shift is None else other
        offset = other.shift - one.shift
        one.square += other.square + 2 * offset * other.total + other.count[:, None] * offset**2
        one.total += other.total + other.count[:, None] * offset
        one.count += other.count
        return one

    def finish(self, state: _State) -> ClusterSumsResult:
        """Means and deviations from the sums."""
        if state.shift is None:
            nothing = np.full((self.n_clusters, self.n_features or 0), np.nan)
            return ClusterSumsResult(state.count, nothing, nothing.copy())
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = state.total / state.count[:, None]
            std = np.sqrt(np.maximum(state.square / state.count[:, None] - mean**2, 0))
        return ClusterSumsResult(state.count, mean + state.shift, std)
