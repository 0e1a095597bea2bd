"""Counts of values between given edges, in one sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine.block import Block, Where
from refold.errors import ParameterError

Counts = npt.NDArray[np.int64]
Compute = Callable[[Block, Where], npt.NDArray[Any]]
_TILE_VALUES = 2**18


class Histogram:
    """Visitor: how many values of the valid pixels lie in each bin.

    Parameters
    ----------
    edges : array_like
        Rising edges, one more than there are bins. As in `numpy.histogram`, a bin holds its left edge and the last
        one both. Values outside are not counted.
    per_feature : bool
        Whether to count each feature for itself.
    of : callable, optional
        ``of(block, where)`` gives the values to count, of shape (*navigation of the block, feature); by default the
        block's own.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.array([[[0.0, 1.0], [1.5, 2.0]]]), signal="energy")
    >>> refold.sweep(cube, Histogram([0, 1, 2]))
    (array([1, 3]),)
    """

    def __init__(self, edges: npt.ArrayLike, *, per_feature: bool = False, of: Compute | None = None) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)
        self.per_feature = per_feature
        self.of = of
        if self.edges.ndim != 1 or self.edges.size <= 1 or not (np.diff(self.edges) > 0).all():
            raise ParameterError(
                f"histogram edges of shape {self.edges.shape}", "two or more, rising", "use numpy.linspace"
            )

    def start(self) -> list[Counts]:
        """Nothing counted yet; the number of features is not known before the first block."""
        return []

    def visit(self, state: list[Counts], block: Block, where: Where) -> None:
        """Count a block, some rows at a time: the bin numbers of all would be larger than the block."""
        if self.of is not None:
            block = Block(self.of(block, where), block.n_navigation)
        rows = block.rows
        bins, features = self.edges.size - 1, rows.shape[1]
        if not state:
            state.append(np.zeros(bins * (features if self.per_feature else 1), dtype=np.int64))
        tile = max(1, _TILE_VALUES // features)
        for start in range(0, len(rows), tile):
            part = rows[start : start + tile][block.valid[start : start + tile]]
            index = np.searchsorted(self.edges, part, side="right") - 1
            index[part == self.edges[-1]] = bins - 1
            inside = (index >= 0) & (index < bins)
            if self.per_feature:
                index += np.arange(features) * bins
            state[0] += np.bincount(index[inside], minlength=state[0].size)

    def merge(self, one: list[Counts], other: list[Counts]) -> list[Counts]:
        """Add."""
        return [one[0] + other[0]] if one and other else one or other

    def finish(self, state: list[Counts]) -> Counts:
        """Counts of shape (bin,) or (feature, bin)."""
        return state[0].reshape(-1, self.edges.size - 1) if self.per_feature else state[0]
