"""Sums over parts of the signal: a sparse matrix times the signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Sums:
    """Weighted sums of some signal pixels of each row, in float64.

    Parameters
    ----------
    used : numpy.ndarray
        Flat indices of the signal pixels that a sum needs; what the others hold, NaN too, does not matter.
    matrix : scipy.sparse.csr_array
        Shape (sum, used).
    """

    used: npt.NDArray[np.int64]
    matrix: Any

    @classmethod
    def over(cls, parts: Sequence[npt.NDArray[np.int64]]) -> Sums:
        """Plain sums over parts of the signal.

        Parameters
        ----------
        parts : sequence of numpy.ndarray
            Flat indices of the signal pixels of each sum; they may overlap.
        """
        sizes = [len(part) for part in parts]
        number = np.repeat(np.arange(len(parts)), sizes)
        return cls._of(number, np.concatenate(parts), np.ones(sum(sizes)), len(parts))

    @classmethod
    def weighted(cls, weights: npt.NDArray[np.float64], used: npt.NDArray[np.int64]) -> Sums:
        """Sums of all the pixels used, each with weights of its own.

        Parameters
        ----------
        weights : numpy.ndarray
            Shape (sum, used).
        used : numpy.ndarray
            Flat indices of the signal pixels, rising.
        """
        number = np.repeat(np.arange(len(weights)), len(used))
        return cls._of(number, np.tile(used, len(weights)), weights.ravel(), len(weights))

    @classmethod
    def sparse(cls, weights: npt.NDArray[np.float64]) -> Sums:
        """Sums with a weight for every signal pixel, of which most are 0; those do not count, whatever they hold.

        Parameters
        ----------
        weights : numpy.ndarray
            Shape (sum, signal pixel).
        """
        number, pixels = np.nonzero(weights)
        return cls._of(number, pixels, weights[number, pixels], len(weights))

    @classmethod
    def _of(cls, number: Rows, pixels: Rows, weights: Rows, n: int) -> Sums:
        from scipy.sparse import csr_array

        used, column = np.unique(pixels, return_inverse=True)
        return cls(used, csr_array((weights, (number, column)), shape=(n, len(used))))

    def columns(self, rows: Rows) -> npt.NDArray[np.float64]:
        """The pixels used, of shape (used, row)."""
        flat = rows.reshape(len(rows), -1)
        picked = flat if len(self.used) == flat.shape[1] else np.take(flat, self.used, axis=1)
        # A product of a sparse matrix with columns adds one scaled row at a time, to each column by itself: a pixel's
        # sums do not depend on which pixels are beside it, as those of a dense product would.
        return np.ascontiguousarray(picked.T, dtype=np.float64)

    def __call__(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Sums of shape (row, sum)."""
        sums: npt.NDArray[np.float64] = (self.matrix @ self.columns(rows)).T
        return sums
