"""A latent space of one dim as an image: bars of the clusters, one upon the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refold.explore import kernels
from refold.explore.raster import LEVELS, Groups, View

__all__ = ["Bars"]

_WIDE = 4  # cells of the canvas that a bar is wide
_HIGHEST = 0.95  # of the canvas


class Bars:
    """The rows in the bars of a view. It is drawn and lit as `Cells` are.

    Parameters
    ----------
    view : View
        Its height counts pixels: the highest bar nearly fills it.
    x : numpy.ndarray
        Float32 (row,).
    share : float
        Of the rows to draw.
    """

    def __init__(self, view: View, x: NDArray[np.float32], share: float = 1.0) -> None:
        self.view = view
        self.bins = max(view.width // _WIDE, 1)
        self.index = np.empty(len(x), np.int32)
        per_x = self.bins / (view.right - view.left)
        kernels.place(x, np.zeros_like(x), view.left, 0.0, per_x, 1.0, self.bins, 1, share, self.index)
        self.groups: Groups | None = None
        self.counts = np.zeros((0, self.bins), np.int64)

    def image(self, groups: Groups) -> NDArray[np.uint16]:
        """Draw the bars; see `Cells.image`."""
        self.groups = groups
        self.counts = np.array([self._count(group) for group in range(len(groups.begins) - 1)])
        image = np.zeros((self.view.height, self.bins), np.uint16)
        for group, inside in enumerate(self._insides()):
            image[inside] = 1 + group * LEVELS + LEVELS - 1
        return image

    def lit(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Light up a selection; see `Cells.lit`."""
        lit = np.zeros((self.view.height, self.bins), np.uint8)
        for group, inside in enumerate(self._insides()):
            lit[inside] = 1
            lit[inside & (self._count(group, mask) > 0)] = 2
        return lit

    def row_at(self, x: float, y: float) -> int | None:
        """A row of the bar at a place; see `Cells.row_at`."""
        cell = self.view.cell_of(x, y)
        if cell is None or self.groups is None:
            return None
        row, column = divmod(cell, self.view.width)
        bar = min(column * self.bins // self.view.width, self.bins - 1)
        for group, inside in enumerate(self._insides()):
            if inside[row, bar]:
                rows = self._rows(group)
                return int(rows[np.argmax(self.index[rows] == bar)])
        return None

    def _rows(self, group: int) -> NDArray[np.int32]:
        groups = self.groups
        return groups.order[groups.begins[group] : groups.begins[group + 1]] if groups else np.zeros(0, np.int32)

    def _count(self, group: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Rows of a group in each bar."""
        rows = self._rows(group)
        bars = self.index[rows if mask is None else rows[mask[rows]]]
        return np.bincount(bars[bars >= 0], minlength=self.bins)

    def _insides(self) -> list[NDArray[np.bool_]]:
        """For each group which cells of the canvas its part of the bars covers."""
        most = int(self.counts.sum(axis=0).max()) if self.counts.size else 0
        ends = np.cumsum(self.counts, axis=0) * (_HIGHEST * self.view.height / max(most, 1))
        at = np.arange(self.view.height)[:, None] + 0.5
        begins = np.vstack([np.zeros((1, self.bins)), ends[:-1]]) if len(ends) else ends
        return [(at >= begin) & (at < end) for begin, end in zip(begins, ends, strict=True)]
