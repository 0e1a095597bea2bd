"""Counts of values between given edges, in one sweep."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refold.engine.block import Block, Where
from refold.errors import ParameterError

Counts = npt.NDArray[np.int64]


class Histogram:
    """Visitor: how many values of the valid pixels lie in each bin.

    Parameters
    ----------
    edges : array_like
        Rising edges, one more than there are bins. As in `numpy.histogram`, a bin holds its left edge and the last
        one both. Values outside are not counted.
    per_feature : bool
        Whether to count each feature for itself.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.array([[[0.0, 1.0], [1.5, 2.0]]]), signal="energy")
    >>> refold.sweep(cube, Histogram([0, 1, 2]))
    (array([1, 3]),)
    """

    def __init__(self, edges: npt.ArrayLike, *, per_feature: bool = False) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)
        self.per_feature = per_feature
        if self.edges.ndim != 1 or self.edges.size <= 1 or not (np.diff(self.edges) > 0).all():
            raise ParameterError(f"histogram edges of shape {self.edges.shape}", "two or more, rising", "use numpy.linspace")

    def start(self) -> list[Counts]:
        """Nothing counted yet; the number of features is not known before the first block."""
        return []

    def visit(self, state: list[Counts], block: Block, where: Where) -> None:
        """Count a block."""
        rows = block.valid_rows
        bins = self.edges.size - 1
        index = np.searchsorted(self.edges, rows, side="right") - 1
        index[rows == self.edges[-1]] = bins - 1
        inside = (index >= 0) & (index < bins)
        if self.per_feature:
            index += np.arange(rows.shape[1]) * bins
            counts = np.bincount(index[inside], minlength=bins * rows.shape[1]).reshape(rows.shape[1], bins)
        else:
            counts = np.bincount(index[inside], minlength=bins)
        if state:
            state[0] += counts
        else:
            state.append(counts.astype(np.int64))

    def merge(self, one: list[Counts], other: list[Counts]) -> list[Counts]:
        """Add."""
        return [one[0] + other[0]] if one and other else one or other

    def finish(self, state: list[Counts]) -> Counts:
        """Counts of shape (bin,) or (feature, bin)."""
        return state[0]
