"""How unexpected the residual of a pixel is, and the visitor that keeps the most unexpected ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, SampleResult, Where
from refold.reduce.exact_product import ExactProduct
from refold.reduce.pca import PCA
from refold.reduce.projection import Projection
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_BODY = 0.99  # share of the typical pixels that is not extreme
_REGRESSED = 20  # leading scores that the expected residual follows
_TURNS = 3  # of Huber's: a spike is shrunk tenfold each time
_MARGIN = 0.999  # for what the residual's rounding may take off


@dataclass(frozen=True)
class Measure:
    """How unexpected the residual of a pixel is.

    Parameters
    ----------
    projection : Projection
        Onto the span of the components, in units in which every feature is about as noisy.
    cap : float
        Largest residual of one feature that counts.
    expected : numpy.ndarray
        Coefficients of the squared residual that is expected: a constant, and one for each of the leading scores.
    smallest : float
        Least that is ever expected.
    """

    projection: Projection
    cap: float
    expected: Vector
    smallest: float

    @classmethod
    def of(cls, pca: PCA, typical: npt.NDArray[Any]) -> Measure:
        """Learn what is usual from typical pixels."""
        weighted, factors = pca.scaling == "poisson", np.ones(pca.n_features_in_) if pca.scale_ is None else pca.scale_
        if weighted:
            typical = typical[row_factors(typical) > 0]
        left = left_of(pca, typical)
        lengths = (left**2).sum(axis=1)
        body = lengths <= np.quantile(lengths, _BODY) if len(lengths) else lengths > 0
        noise = (left[body] ** 2).sum(axis=0) / max(1, int(body.sum()))
        usual = float(np.median(noise[noise > 0])) if (noise > 0).any() else 1.0
        # Half of the usual noise for a feature without any: rare counts in a dark channel are no reason to be loud.
        weights = factors / np.sqrt(noise + usual)
        basis = np.linalg.qr((pca.components_ / np.sqrt(noise + usual)).T)[0].T
        projection = Projection(np.ascontiguousarray(basis), pca.mean_, weights, weighted)
        spread = np.sqrt(2 * np.sum((noise / (noise + usual)) ** 2))
        plain = cls(projection, float(np.sqrt(2 * spread)), np.zeros(1), 1.0)
        if not len(typical):
            return plain
        scores, squares = projection.forward(typical)[0], (plain.residuals(typical) ** 2).sum(axis=1)
        return cls(projection, plain.cap, *_expected(scores, squares))

    @cached_property
    def _products(self) -> tuple[ExactProduct, ExactProduct]:
        return ExactProduct(self.projection.components.T), ExactProduct(self.projection.components)

    def residuals(self, rows: npt.NDArray[Any]) -> Vector:
        """Residuals of rows, spikes in single features brought down to the cap (Huber's pseudo-values)."""
        forward, backward = self._products
        values = scaled(self.projection, rows)
        left: Vector = values - backward(forward(values)[0])[0]
        for _ in range(_TURNS):
            np.clip(left, -self.cap, self.cap, out=left)
            left -= backward(forward(left)[0])[0]
        return left

    def directions(self, rows: npt.NDArray[Any]) -> Vector:
        """Residuals brought to length 1."""
        left = self.residuals(rows)
        lengths = np.sqrt((left**2).sum(axis=1, keepdims=True))
        return np.asarray(left / np.where(lengths > 0, lengths, 1))

    def bounds(self, rows: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """What the squared residual is over what was expected, spikes included; and what was expected."""
        scores, residual = self.projection.forward(rows)
        expected = np.full(len(rows), self.expected[0])
        for score, slope in zip(scores.T, self.expected[1:], strict=False):
            expected += slope * score
        expected = np.maximum(expected, self.smallest)
        return residual**2 * rows.shape[1] / expected, expected

    def __call__(self, rows: npt.NDArray[Any], expected: Vector) -> Vector:
        """What the squared residual is over what was expected, without spikes."""
        return np.asarray(np.add.reduce(self.residuals(rows) ** 2, axis=1) / expected)


@dataclass
class _State:
    keys: Vector
    pixels: npt.NDArray[np.int64]
    rows: npt.NDArray[Any] | None = None


class Unexpected:
    """Visitor: the rows of the pixels whose residual is the most unexpected; of equals, the first.

    Parameters
    ----------
    measure : Measure
        Says how unexpected.
    n : int
        Pixels to keep.
    n_features : int
        Features of the cube.
    """

    def __init__(self, measure: Measure, n: int, n_features: int) -> None:
        self.measure = measure
        self.n = n
        self.n_features = n_features

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return self.n * (16 + 8 * self.n_features)

    def start(self) -> _State:
        """None yet."""
        return _State(np.empty(0), np.empty(0, dtype=np.int64))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Keep what is more unexpected than what was kept so far."""
        some = np.flatnonzero(block.valid)
        if self.measure.projection.weighted:
            some = some[row_factors(block.rows[some]) > 0]
        rows = block.rows if len(some) == block.n_pixels else block.rows[some]
        keys, expected = self.measure.bounds(rows)
        order = np.argsort(-keys, kind="stable")
        for start in range(0, len(order), self.n):
            part = order[start : start + self.n]
            if len(state.keys) >= self.n and keys[part[0]] < state.keys[-1] * _MARGIN:
                break  # without its spikes no pixel is more unexpected than with them
            self._keep(state, self.measure(rows[part], expected[part]), where.pixels[some[part]], rows[part])

    def _keep(self, state: _State, keys: Vector, pixels: npt.NDArray[np.int64], rows: npt.NDArray[Any]) -> None:
        keys, pixels = np.concatenate([state.keys, keys]), np.concatenate([state.pixels, pixels])
        rows = rows if state.rows is None else np.concatenate([state.rows, rows])
        best = np.lexsort((pixels, -keys))[: self.n]
        state.keys, state.pixels, state.rows = keys[best], pixels[best], rows[best]

    def merge(self, one: _State, other: _State) -> _State:
        """The most unexpected of both."""
        if other.rows is not None:
            self._keep(one, other.keys, other.pixels, other.rows)
        return one

    def finish(self, state: _State) -> SampleResult:
        """In the order of the scan."""
        order = np.argsort(state.pixels)
        rows = np.empty((0, self.n_features)) if state.rows is None else state.rows
        return SampleResult(state.pixels[order], rows[order])


def scaled(projection: Projection, rows: npt.NDArray[Any]) -> Vector:
    """Rows as the components see them: weighted, shifted and scaled."""
    gains = row_factors(rows)[:, None] if projection.weighted else 1.0
    shifted: Vector = rows.astype(np.float64) * gains - projection.mean
    return shifted if projection.factors is None else shifted * projection.factors


def left_of(pca: PCA, rows: npt.NDArray[Any]) -> Vector:
    """What the components leave of rows, weighted and scaled as for the fit."""
    values = scaled(Projection(pca.components_, pca.mean_, pca.scale_, pca.scaling == "poisson"), rows)
    left: Vector = values - (values @ pca.components_.T) @ pca.components_
    return left


def _expected(scores: Vector, squares: Vector) -> tuple[Vector, float]:
    """The squared residual as a linear function of scores, and the least of it.

    The variance of counts, and of most detectors, is linear in the signal: so is what is expected of the residual.
    """
    few = min(scores.shape[1], _REGRESSED, len(squares) // 20)
    table = np.column_stack([np.ones(len(squares)), scores[:, :few]])
    scale = np.maximum(np.abs(table).max(axis=0), 1e-300)
    usual, body = float(np.median(squares)), np.ones(len(squares), bool)
    if usual <= 0:
        return np.array([1.0]), 1.0
    for _ in range(5):
        found = np.linalg.lstsq(table[body] / scale, squares[body], rcond=None)[0] / scale
        expected = np.maximum(table @ found, usual / 10)
        ratio = squares / expected
        middle = float(np.median(ratio))
        body = ratio <= middle + 3 * 1.4826 * float(np.median(np.abs(ratio - middle)))
    return found, float(expected[body].min())
