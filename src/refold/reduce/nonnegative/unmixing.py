"""Nonnegative loadings of rows, and what all rows say of the factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where, buffers
from refold.reduce.exact_product import ExactProduct
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_TILE_BYTES, _TILE_ROWS = 4 << 20, 512  # of rows that are solved for together, at most


@dataclass(frozen=True)
class Unmixing:
    """Loadings w >= 0 of each row x such that w H is nearest to it, and rows from loadings.

    Parameters
    ----------
    components : numpy.ndarray
        Shape (component, feature): H, nonnegative.
    factors : numpy.ndarray or None
        Shape (feature,): factor of each feature in what "nearest" means.
    weighted : bool
        Whether the residual of a row is divided by the root of its sum, as for Poisson noise.
    clipped : bool
        Whether negative values count as 0.
    """

    components: Vector
    factors: Vector | None = None
    weighted: bool = False
    clipped: bool = False

    @cached_property
    def _forward(self) -> tuple[ExactProduct, Vector]:
        squared = self.components if self.factors is None else self.components * self.factors**2
        return ExactProduct(squared.T), squared @ self.components.T

    @cached_property
    def _backward(self) -> ExactProduct:
        return ExactProduct(self.components)

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Loadings, and what they leave of each row; NaN where a row is not valid.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (pixel, feature).
        valid : numpy.ndarray
            Shape (pixel,).

        Returns
        -------
        loadings : numpy.ndarray
            Shape (pixel, component), in the dtype of the rows, in the units of the data.
        residual : numpy.ndarray
            Shape (pixel,): root mean square over features of the row less its reconstruction, scaled as for the fit.
        """
        from refold.reduce.nonnegative.kernels import least_squares  # numba takes half a second to import

        loadings = np.full((len(rows), len(self.components)), np.nan, rows.dtype)
        residual = np.full(len(rows), np.nan, rows.dtype)
        (product, gram), at = self._forward, np.flatnonzero(valid)
        step = _tile(rows.shape[1])
        for start in range(0, len(at), step):
            part = at[start : start + step]
            taken = np.maximum(rows[part], 0) if self.clipped else rows[part]
            formed, squares = product(taken)
            if self.factors is not None:
                scaled = taken * self.factors
                squares = np.einsum("ij,ij->i", scaled, scaled)
            found, explained = least_squares(gram, formed)
            left = np.maximum(squares - explained, 0)
            loadings[part] = found
            residual[part] = np.sqrt(left / rows.shape[1]) * (row_factors(taken) if self.weighted else 1.0)
        return loadings, residual

    def backward(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows that these loadings stand for.

        Parameters
        ----------
        scores : numpy.ndarray
            Shape (pixel, component).

        Returns
        -------
        numpy.ndarray
            Shape (pixel, feature), in the dtype of the scores.
        """
        rows = np.empty((len(scores), self.components.shape[1]), scores.dtype)
        step = _tile(rows.shape[1])
        for start in range(0, len(scores), step):
            rows[start : start + step] = self._backward(scores[start : start + step])[0]
        return rows


@dataclass
class Sums:
    """What the loadings of all valid rows say, in the scaled space in which factors are sought.

    Parameters
    ----------
    gram : numpy.ndarray
        Shape (component, component): W'W.
    cross : numpy.ndarray
        Shape (component, feature): W'X.
    square : float
        Squared length of the rows.
    explained : float
        By how much that falls when W H is taken off.
    loadings, squares : numpy.ndarray
        Shape (component,): sums of the loadings of plain rows, and of their squares.
    """

    gram: Vector
    cross: Vector
    square: float
    explained: float
    loadings: Vector
    squares: Vector

    @property
    def error(self) -> float:
        """Length of X - W H."""
        return float(np.sqrt(max(self.square - self.explained, 0.0)))

    def factors(self, before: Vector) -> Vector:
        """The nonnegative factors that fit these loadings best; a factor that nobody has stays what it was.

        Parameters
        ----------
        before : numpy.ndarray
            Shape (component, feature).

        Returns
        -------
        numpy.ndarray
            Shape (component, feature).
        """
        from refold.reduce.nonnegative.kernels import least_squares

        found = least_squares(self.gram, self.cross.T)[0].T
        unused = np.diag(self.gram) == 0
        found[unused] = before[unused]
        return np.ascontiguousarray(found)


class Unmix:
    """Visitor: loadings of all rows for given factors, and the sums from which better factors follow.

    Parameters
    ----------
    factors : numpy.ndarray
        Shape (component, feature), in the scaled space.
    scale : numpy.ndarray or None
        Shape (feature,): factor of each feature in that space.
    weighted : bool
        Whether rows are divided by the root of their sum there, as for Poisson noise. Empty ones are left out.
    clipped : bool
        Whether negative values count as 0.

    Notes
    -----
    Loadings are solved for anew in each sweep, to their optimum, so nothing is kept of a pixel between sweeps.
    """

    def __init__(self, factors: Vector, scale: Vector | None, *, weighted: bool = False, clipped: bool = False) -> None:
        self.factors = factors
        self.scale = scale
        self.weighted = weighted
        self.clipped = clipped

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        components, features = self.factors.shape
        return int(8 * components * (features + components + 2))

    @property
    def working_nbytes(self) -> int:
        """Bytes of a tile of rows and of their loadings, and of a product."""
        components, features = self.factors.shape
        return int(8 * (_tile(features) * (2 * features + 4 * components) + components * features))

    def start(self) -> Sums:
        """Nothing seen."""
        components, features = self.factors.shape
        return Sums(
            np.zeros((components, components)),
            np.zeros((components, features)),
            0.0,
            0.0,
            np.zeros(components),
            np.zeros(components),
        )

    def visit(self, state: Sums, block: Block, where: Where) -> None:
        """Add a block's rows."""
        rows = block.rows
        factors = self.factors if self.scale is None else self.factors * self.scale
        rounded = factors.astype(rows.dtype)  # and the same ones for the products of factors
        exact = rounded.astype(np.float64)
        if self.scale is not None:
            exact = np.divide(exact, self.scale, out=np.zeros_like(exact), where=self.scale > 0)
        gram = exact @ exact.T
        at = np.flatnonzero(block.valid)
        step = _tile(rows.shape[1])
        for start in range(0, len(at), step):
            self._add(state, self._tile(rows, at[start : start + step]), rounded, gram)

    def _tile(self, rows: npt.NDArray[Any], at: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Some of the rows: without a copy where they lie together and nothing is clipped."""
        if at[-1] - at[0] + 1 == len(at):
            part = rows[at[0] : at[-1] + 1]
            return np.maximum(part, 0, out=buffers.empty(part.shape, part.dtype)) if self.clipped else part
        part = rows[at]
        return np.maximum(part, 0, out=part) if self.clipped else part

    def _add(self, state: Sums, rows: npt.NDArray[Any], rounded: npt.NDArray[Any], gram: Vector) -> None:
        from refold.reduce.nonnegative.kernels import least_squares

        weights = row_factors(rows) if self.weighted else np.ones(len(rows))
        loadings, explained = least_squares(gram, (rows @ rounded.T).astype(np.float64))
        loadings[weights == 0] = 0
        weighted = loadings * weights[:, None]
        state.gram += weighted.T @ weighted
        state.cross += (weighted * weights[:, None]).astype(rows.dtype).T @ rows
        state.square += self._square(rows, weights)
        state.explained += float(explained @ weights**2)
        state.loadings += loadings.sum(axis=0)
        state.squares += np.einsum("ij,ij->j", loadings, loadings)

    def _square(self, rows: npt.NDArray[Any], weights: Vector) -> float:
        """Squared length of all rows, weighted and scaled."""
        if self.scale is None and not self.weighted:
            return float(np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64))
        scaled = rows * (1.0 if self.scale is None else self.scale).astype(rows.dtype)  # type: ignore[union-attr]
        return float(np.einsum("ij,ij->i", scaled, scaled).astype(np.float64) @ weights**2)

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Add the sums of two partitions."""
        one.gram += other.gram
        one.cross += other.cross
        one.square += other.square
        one.explained += other.explained
        one.loadings += other.loadings
        one.squares += other.squares
        return one

    def finish(self, state: Sums) -> Sums:
        """The sums, the features scaled."""
        if self.scale is not None:
            state.cross *= self.scale
        return state


def _tile(features: int) -> int:
    return max(1, min(_TILE_ROWS, _TILE_BYTES // (8 * features)))
