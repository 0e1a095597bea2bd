"""The label map as an image of piece numbers and a palette: edits change the palette, and seldom the image.

A piece is a set of pixels that have always been in one cluster together. As long as the labels after an edit follow
from the pieces (after a merge, a new name, a new colour, and whatever is undone), the image stays as it is in the
browser and only the table from piece to cluster changes. A split cuts pieces, once; undoing it and doing it again does
not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refold.explore import kernels
from refold.report.colours import INVALID, NOISE

__all__ = ["CLEAR", "Pieces"]

CLEAR = "#00000000"
"""Colour of what is not shown."""
_BYTE, _MOST, _WORD = 1 << 8, 1 << 16, 32


class Pieces:
    """The pieces of the rows in memory.

    Parameters
    ----------
    labels : numpy.ndarray
        Int32 (row,), -1 for noise.
    usable : numpy.ndarray
        Bool (row,).

    Attributes
    ----------
    image : numpy.ndarray
        Uint8 or uint16 (row,): the piece of each row. Piece 0 is of pixels that could not be used.
    ids : numpy.ndarray
        Int32 (piece,): the cluster of each piece; -1 for noise.
    version : int
        Counts the images.

    Examples
    --------
    >>> pieces = Pieces(np.array([4, 4, 7, -1], np.int32), np.ones(4, bool))
    >>> pieces.follow(np.array([4, 4, 4, -1], np.int32)), pieces.follow(np.array([4, 8, 4, -1], np.int32))
    (False, True)
    """

    def __init__(self, labels: NDArray[np.int32], usable: NDArray[np.bool_]) -> None:
        self._unusable = ~usable
        self.version = 0
        self._begin(labels)

    def _begin(self, labels: NDArray[np.int32]) -> None:
        known, place = np.unique(labels, return_inverse=True)
        self._take(np.where(self._unusable & (labels < 0), 0, place + 1), np.append([-1], known))

    def _take(self, image: NDArray[Any], ids: NDArray[Any]) -> None:
        self.image: NDArray[Any] = image.astype(np.uint8 if len(ids) <= _BYTE else np.uint16)
        self.ids = np.asarray(ids, np.int32)
        self.version += 1

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self.ids)

    def follow(self, labels: NDArray[np.int32]) -> bool:
        """Take the labels after an edit.

        Parameters
        ----------
        labels : numpy.ndarray
            Int32 (row,).

        Returns
        -------
        bool
            Whether there is another image; if not, only the table has changed, if anything.
        """
        table, known = self.ids.copy(), np.zeros(len(self), bool)
        if kernels.function_of(self.image, labels, table, known):
            self.ids = table
            return False
        image = self.image.astype(np.int64)
        cut = np.flatnonzero(table[self.image] != labels)  # these are in new pieces, one for each piece and label
        new, place = np.unique(image[cut] << _WORD | (labels[cut].astype(np.int64) + 1), return_inverse=True)
        if len(self) + len(new) > _MOST:  # more than an image can number: from now on the labels are the pieces
            self._begin(labels)
            return True
        image[cut] = len(self) + place
        self._take(image, np.append(table, (new & ((1 << _WORD) - 1)) - 1))
        return True

    def palette(self, colours: Mapping[int, str], shown: Collection[int] | None = None) -> list[str]:
        """Colours of the pieces.

        Parameters
        ----------
        colours : mapping of int to str
            Of each cluster.
        shown : collection of int, optional
            Clusters that are shown, by default all; -1 for noise. The others are clear.

        Returns
        -------
        list of str
            ``#rrggbb``, or `CLEAR`.
        """
        return [self._colour(piece, int(label), colours, shown) for piece, label in enumerate(self.ids)]

    def _colour(self, piece: int, label: int, colours: Mapping[int, str], shown: Collection[int] | None) -> str:
        if label < 0 and piece == 0:
            return INVALID
        if shown is not None and label not in shown:
            return CLEAR
        return colours[label] if label >= 0 else NOISE

    def labels(self) -> NDArray[np.int32]:
        """Int32 (row,): cluster of each row."""
        return np.asarray(self.ids[self.image])

    def counts(self, mask: NDArray[np.bool_] | None = None) -> dict[int, int]:
        """Rows of each cluster, of the masked ones; -1 is noise. Pixels that could not be used are not counted."""
        image = self.image if mask is None else self.image[mask]
        found = np.bincount(image, minlength=len(self))
        counts: dict[int, int] = {}
        for piece, label in enumerate(self.ids.tolist()):
            if piece or label >= 0:
                counts[label] = counts.get(label, 0) + int(found[piece])
        return counts

    def within(self, clusters: Sequence[int]) -> NDArray[np.bool_]:
        """Bool (row,): which rows are in these clusters; -1 is noise."""
        wanted = np.isin(self.ids, np.asarray(clusters, np.int32))
        wanted[0] &= self.ids[0] >= 0
        return np.asarray(wanted[self.image], np.bool_)
