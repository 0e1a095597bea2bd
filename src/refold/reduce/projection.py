"""From rows to scores and back, one row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.reduce.exact_product import ExactProduct
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_TILE_BYTES = 4 << 20


@dataclass(frozen=True)
class Projection:
    """Orthonormal components of rows that are weighted, shifted and scaled: z = (g x - mean) * factors.

    Parameters
    ----------
    components : numpy.ndarray
        Shape (component, feature), orthonormal.
    mean : numpy.ndarray
        Shape (feature,): of the weighted rows; 0 where rows are not centred.
    factors : numpy.ndarray or None
        Shape (feature,): factor of each feature.
    weighted : bool
        Whether rows are weighted by the inverse root of their sum (g), as for Poisson noise.
    """

    components: Vector
    mean: Vector
    factors: Vector | None = None
    weighted: bool = False

    @cached_property
    def _forward(self) -> tuple[ExactProduct, Vector, float]:
        """The product to form with plain rows, what to take off, and the squared length of the scaled mean.

        Its last column is for the length of a shifted row: |g x s - m s|^2 = |g x s|^2 - 2 g x (m s^2) + |m s|^2.
        """
        factors = np.ones_like(self.mean) if self.factors is None else self.factors
        loadings = (self.components * factors).T
        return (
            ExactProduct(np.column_stack([loadings, self.mean * factors**2])),
            self.mean @ loadings,
            float(np.sum((self.mean * factors) ** 2)),
        )

    def forward(self, rows: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """Scores, and what the components leave of each row.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (pixel, feature), finite.

        Returns
        -------
        scores : numpy.ndarray
            Shape (pixel, component).
        residual : numpy.ndarray
            Shape (pixel,): root mean square over features of the scaled row less its reconstruction.
        """
        product, offset, mean_square = self._forward
        formed, squares = product(rows)
        if self.factors is not None:
            squares = _squares(rows, self.factors)
        if self.weighted:
            weights = row_factors(rows)
            formed *= weights[:, None]
            squares = squares * weights**2
        scores = formed[:, :-1] - offset
        left = squares - 2 * formed[:, -1] + mean_square - np.einsum("ij,ij->i", scores, scores)
        return scores, np.sqrt(np.maximum(left, 0) / rows.shape[1])

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """As `forward`, in the dtype of the rows, NaN where a row is not valid."""
        if valid.all():
            scores, residual = self.forward(rows)
            return scores.astype(rows.dtype, copy=False), residual.astype(rows.dtype, copy=False)
        scores = np.full((len(rows), len(self.components)), np.nan, rows.dtype)
        residual = np.full(len(rows), np.nan, rows.dtype)
        if valid.any():
            scores[valid], residual[valid] = self.forward(rows[valid])
        return scores, residual

    @cached_property
    def _backward(self) -> ExactProduct:
        if self.factors is None:
            return ExactProduct(self.components)
        known = self.factors > 0
        return ExactProduct(np.where(known, self.components / np.where(known, self.factors, 1.0), 0.0))

    def backward(self, scores: npt.NDArray[Any], kept: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
        """Rows that these scores stand for, unscaled.

        Parameters
        ----------
        scores : numpy.ndarray
            Shape (pixel, component).
        kept : tuple of int, optional
            Components to build from; all by default.

        Returns
        -------
        numpy.ndarray
            Shape (pixel, feature), in the dtype of the scores.

        Notes
        -----
        A row that was divided by the root of its sum adds up to that root, so the reconstruction from all scores says
        by what to multiply; without centring, exactly, since the root of the column means is then the first component.
        """
        some = scores if kept is None else only_scores(scores, kept)
        roots = None
        if self.weighted and kept is not None:
            roots = np.concatenate([np.empty(0), *(np.add.reduce(part, axis=1) for part in self._parts(scores))])
        return self._unweighted(some, roots)

    def rebuild(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows as the components describe them: projected, and back.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (pixel, feature), finite.

        Returns
        -------
        numpy.ndarray
            Shape (pixel, feature), in the dtype of the rows.
        """
        scores = self.forward(rows)[0].astype(rows.dtype, copy=False)
        roots = np.sqrt(np.maximum(np.add.reduce(rows, axis=1, dtype=np.float64), 0)) if self.weighted else None
        return self._unweighted(scores, roots)

    def only(self, kept: tuple[int, ...]) -> Projection:
        """The same with some of the components."""
        return replace(self, components=self.components[list(kept)])

    def _unweighted(self, scores: npt.NDArray[Any], roots: Vector | None) -> npt.NDArray[Any]:
        """Rows from scores, multiplied by the roots of their sums where they are weighted."""
        rows = np.empty((len(scores), len(self.mean)), scores.dtype)
        start = 0
        for part in self._parts(scores):
            stop = start + len(part)
            if self.weighted:
                factors = np.add.reduce(part, axis=1) if roots is None else roots[start:stop]
                np.multiply(part, np.maximum(factors, 0)[:, None], out=part)
            rows[start:stop] = part
            start = stop
        return rows

    def _parts(self, scores: npt.NDArray[Any]) -> Iterator[Vector]:
        """Weighted rows that scores stand for, a tile at a time."""
        step = max(1, _TILE_BYTES // (8 * len(self.mean)))
        for start in range(0, len(scores), step):
            part, _ = self._backward(scores[start : start + step])
            part += self.mean
            yield part


def only_scores(scores: npt.NDArray[Any], kept: tuple[int, ...]) -> npt.NDArray[Any]:
    """Scores with 0 in place of all others; what is NaN stays NaN.

    Examples
    --------
    >>> only_scores(np.array([[1.0, 2.0], [np.nan, np.nan]]), (1,)).tolist()
    [[0.0, 2.0], [nan, nan]]
    """
    wanted = np.zeros(scores.shape[1], scores.dtype)
    wanted[list(kept)] = 1
    return scores * wanted


def _squares(rows: npt.NDArray[Any], factors: Vector) -> Vector:
    """Squared length of each scaled row."""
    squares = np.empty(len(rows))
    step = max(1, _TILE_BYTES // (8 * rows.shape[1]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step] * factors
        np.einsum("ij,ij->i", part, part, out=squares[start : start + step])
    return squares
