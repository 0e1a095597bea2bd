"""What is done to pixels before a decomposition and undone after it, one row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block
from refold.reduce.projection import Projection
from refold.reduce.rebuilding import Kept, RowMap, rebuilt
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Treatment:
    """Channels picked, then rows about their own mean, or divided by the roots of their sum and of the columns'.

    Parameters
    ----------
    channels : numpy.ndarray or None
        Shape (feature,): those used; None for all.
    centred : bool
        Whether each row is taken about its own mean (HyperSpy's ``centre="signal"``).
    roots : numpy.ndarray or None
        Shape (channel,): roots of the sums of the columns, for noise that follows Poisson (Keenan and Kotula 2004).
    """

    channels: npt.NDArray[np.bool_] | None = None
    centred: bool = False
    roots: Vector | None = None

    @property
    def nothing(self) -> bool:
        """Whether rows stay as they are."""
        return self.channels is None and not self.centred and self.roots is None

    def picked(self, rows: Rows) -> Rows:
        """The channels that are used."""
        return rows if self.channels is None else np.ascontiguousarray(rows[:, self.channels])

    def expanded(self, rows: Rows) -> Rows:
        """All channels again, NaN where they were not used."""
        if self.channels is None:
            return rows
        whole = np.full((len(rows), len(self.channels)), np.nan, rows.dtype)
        whole[:, self.channels] = rows
        return whole

    def done(self, rows: Rows) -> Rows:
        """Rows of picked channels, treated."""
        if self.centred:
            return rows - _means(rows)[:, None]
        if self.roots is not None:
            treated: Rows = (rows * row_factors(rows)[:, None] / self.roots).astype(rows.dtype, copy=False)
            return treated
        return rows

    def undone(self, treated: Rows, rows: Rows) -> Rows:
        """Treated rows as they would have been; `rows` are those that were treated."""
        if self.centred:
            return treated + _means(rows)[:, None]
        if self.roots is not None:
            back: Rows = (treated * row_roots(rows)[:, None] * self.roots).astype(rows.dtype, copy=False)
            return back
        return treated


@dataclass(frozen=True)
class Way:
    """From the pixels of a cube to the loadings of a decomposition, and to what its components say of them.

    Parameters
    ----------
    treatment : Treatment
        Of the rows.
    projection : RowMap
        Of the estimator, fitted to treated rows.
    scale : float
        Of the loadings: by it factors are larger and loadings smaller than the estimator's.
    """

    treatment: Treatment
    projection: RowMap
    scale: float = 1.0

    @property
    def weighted(self) -> bool:
        """Whether scores stand for rows that were divided by the root of their sum."""
        inside = isinstance(self.projection, Projection) and self.projection.weighted
        return inside or getattr(self.projection, "divided", False) or self.treatment.roots is not None

    def loadings(self, block: Block) -> Rows:
        """Loadings of a block's pixels: their rows are these times the factors, and the mean."""
        rows, valid = self._entered(block)
        scores, _ = self.projection.forward_valid(self.treatment.done(rows), valid)
        scales = row_roots(rows) / self.scale if self.weighted else np.full(len(rows), 1 / self.scale)
        loadings: Rows = (scores * scales[:, None]).astype(rows.dtype, copy=False)
        return loadings

    def model(self, block: Block, kept: Kept) -> Rows:
        """Rows of a block's pixels as some components describe them; NaN where a channel was not used."""
        rows, valid = self._entered(block)
        treated = rebuilt(self.projection, self.treatment.done(rows), valid, kept)
        return self.treatment.expanded(self.treatment.undone(treated, rows))

    def residuals(self, block: Block, kept: Kept) -> Rows:
        """Rows of a block's pixels less their model."""
        left: Rows = block.rows - self.model(block, kept)
        return left

    def means(self, block: Block) -> Rows:
        """The mean that was taken off each pixel."""
        rows, valid = self._entered(block)
        return np.where(valid, _means(rows), np.nan).astype(rows.dtype, copy=False)

    def _entered(self, block: Block) -> tuple[Rows, npt.NDArray[np.bool_]]:
        if self.treatment.channels is None:
            return block.rows, block.valid
        picked = Block(self.treatment.picked(block.rows), 1)
        return picked.rows, picked.valid


def basis(projection: RowMap, count: int) -> tuple[Vector, Vector]:
    """What each component looks like in the rows that were fitted, and the mean: scores times these plus the mean.

    Parameters
    ----------
    projection : RowMap
        Of a fitted model.
    count : int
        Components that it has.

    Returns
    -------
    components : numpy.ndarray
        Shape (component, feature).
    mean : numpy.ndarray
        Shape (feature,). Where the model weights rows, of weighted rows.
    """
    plain = projection
    if isinstance(projection, Projection):
        plain = Projection(projection.components, projection.mean, projection.factors)
    elif hasattr(projection, "plain"):
        plain = projection.plain()
    mean = plain.backward(np.zeros((1, count)))[0]
    return plain.backward(np.eye(count)) - mean, mean


def row_roots(rows: Rows) -> Vector:
    """Root of each row's sum, 1 where the row sums to nothing."""
    factors = row_factors(rows)
    return np.where(factors > 0, 1 / np.where(factors > 0, factors, 1), 1.0)


def _means(rows: Rows) -> Rows:
    """Mean of each row; its sum is formed row by row, along a contiguous axis."""
    sums = np.add.reduce(np.ascontiguousarray(rows), axis=1, dtype=np.float64)
    return np.asarray(sums / rows.shape[1]).astype(rows.dtype, copy=False)
