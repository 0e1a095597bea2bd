"""From rows to scores along directions that are not orthonormal, and back, one row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.reduce.exact_product import ExactProduct

Vector = npt.NDArray[np.float64]

_TILE_BYTES = 4 << 20


@dataclass(frozen=True)
class Oblique:
    """Scores by one set of directions, reconstructions by another: t = (x - mean) W and x = mean + t A.

    Parameters
    ----------
    unmixing : numpy.ndarray
        Shape (component, feature): W, transposed.
    components : numpy.ndarray
        Shape (component, feature): A.
    mean : numpy.ndarray
        Shape (feature,).
    """

    unmixing: Vector
    components: Vector
    mean: Vector

    @cached_property
    def _forward(self) -> tuple[ExactProduct, Vector]:
        return ExactProduct(self.unmixing.T), self.unmixing @ self.mean

    @cached_property
    def _backward(self) -> ExactProduct:
        return ExactProduct(self.components)

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Scores, and what they leave of each row; NaN where a row is not valid.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (pixel, feature).
        valid : numpy.ndarray
            Shape (pixel,).

        Returns
        -------
        scores : numpy.ndarray
            Shape (pixel, component), in the dtype of the rows.
        residual : numpy.ndarray
            Shape (pixel,): root mean square over features of the row less its reconstruction.
        """
        scores = np.full((len(rows), len(self.components)), np.nan, rows.dtype)
        residual = np.full(len(rows), np.nan, rows.dtype)
        product, offset = self._forward
        at = np.flatnonzero(valid)
        step = max(1, _TILE_BYTES // (8 * len(self.mean)))
        for start in range(0, len(at), step):
            part = at[start : start + step]
            formed = product(rows[part])[0] - offset
            left = rows[part] - self._rows(formed)
            scores[part] = formed
            residual[part] = np.sqrt(np.einsum("ij,ij->i", left, left) / len(self.mean))
        return scores, residual

    def only(self, kept: tuple[int, ...]) -> Oblique:
        """The same along some of the directions; their scores stay what they are."""
        chosen = list(kept)
        return Oblique(self.unmixing[chosen], self.components[chosen], self.mean)

    def backward(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows that these scores stand for.

        Parameters
        ----------
        scores : numpy.ndarray
            Shape (pixel, component).

        Returns
        -------
        numpy.ndarray
            Shape (pixel, feature), in the dtype of the scores.
        """
        rows = np.empty((len(scores), len(self.mean)), scores.dtype)
        step = max(1, _TILE_BYTES // (8 * len(self.mean)))
        for start in range(0, len(scores), step):
            rows[start : start + step] = self._rows(scores[start : start + step])
        return rows

    def _rows(self, scores: npt.NDArray[Any]) -> Vector:
        formed, _ = self._backward(scores)
        formed += self.mean
        return formed
