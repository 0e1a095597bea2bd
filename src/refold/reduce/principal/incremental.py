"""Components of pixels that are seen once: a thin table of rows with nearly the same scatter matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where, buffers
from refold.reduce.leading import Leading, share_count
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_ROUNDING = 1e-14  # share of the largest eigenvalue
_TILE = 1024  # rows that a coarse sketch compresses at once
_COARSE = 32  # directions to which it compresses them: few phases meet in one tile


@dataclass
class SketchState:
    """Rows whose scatter matrix about zero is that of all pixels about their mean, but for what was dropped."""

    table: npt.NDArray[Any]
    filled: int = 0
    count: int = 0
    mean: Any = None
    dropped: bool = False


class Sketch:
    """Visitor: leading directions of rows seen once.

    Parameters
    ----------
    width : int
        Directions that are kept when the table is full; three times as many rows fit into it.
    n_features : int
        Features of the cube.
    dtype : numpy.dtype
        Of the rows.
    weighted : bool
        Whether rows are divided by the root of their sum.
    coarse : bool
        Whether tiles of rows are compressed before they enter the table, by the randomised range finder of Halko,
        Martinsson and Tropp (2011), SIAM Rev. 53, 217: a tenth of the work, and no more than a good start.

    Notes
    -----
    Merging is that of Ross, Lim, Lin and Yang (2008), Int. J. Comput. Vis. 77, 125: the difference between two means
    becomes one more row, so the mean and the scatter matrix are exact until rows are dropped. More directions are kept
    than are wanted, and a whole table of rows goes into each reduction, so little is lost.

    Examples
    --------
    >>> import refold
    >>> rows = np.random.default_rng(0).random((6, 5, 3))
    >>> (state,) = refold.sweep(refold.as_cube(rows, signal="energy"), Sketch(3, 3, np.dtype(float)))
    >>> kept = state.table[: state.filled]
    >>> bool(np.allclose(kept.T @ kept / 30, np.cov(rows.reshape(30, 3).T, bias=True)))
    True
    """

    def __init__(
        self, width: int, n_features: int, dtype: np.dtype[Any], *, weighted: bool = False, coarse: bool = False
    ) -> None:
        self.width = width
        self.n_features = n_features
        self.dtype = dtype
        self.weighted = weighted
        self.coarse = coarse

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 3 * self.width * self.n_features * self.dtype.itemsize

    @property
    def working_nbytes(self) -> int:
        """Bytes of its reduction in float64, and of a tile of rows."""
        rows = (_TILE + _COARSE) * self.dtype.itemsize * self.coarse
        return self.n_features * (3 * 8 * self.width + rows)

    def start(self) -> SketchState:
        """No rows."""
        return SketchState(np.empty((3 * self.width, self.n_features), self.dtype))

    def visit(self, state: SketchState, block: Block, where: Where) -> None:
        """Add a block's rows."""
        rows = block.valid_rows
        if self.weighted:
            weights = row_factors(rows)
            rows = (rows * weights.astype(rows.dtype)[:, None])[weights > 0]
        if not len(rows):
            return
        mean = _mean(rows) if self.coarse else rows.mean(axis=0, dtype=np.float64)
        self._shift(state, mean, len(rows))
        shift = mean.astype(rows.dtype)
        if self.coarse:
            for start in range(0, len(rows), _TILE):
                part = rows[start : start + _TILE]
                centred = np.subtract(part, shift, out=buffers.empty(part.shape, part.dtype))
                # Other directions for each tile: what one lot of them hides, others show. With one lot the start was
                # five times as far from the components.
                seed = [int(edge.start) for edge in where.slices] + [start]
                self._enter(state, self._compressed(centred, np.random.default_rng(seed)))
            state.dropped |= len(rows) > _COARSE
        else:
            self._enter(state, rows, shift)

    def _compressed(self, rows: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
        """Few rows whose scatter matrix about zero is nearly that of these."""
        if len(rows) <= _COARSE:
            return rows
        reached = rows @ random.standard_normal((rows.shape[1], _COARSE), dtype=self.dtype)
        squares, mixing = np.linalg.eigh((reached.T @ reached).astype(np.float64))
        some = squares > np.finfo(self.dtype).eps * squares[-1]
        basis = reached @ (mixing[:, some] / np.sqrt(squares[some])).astype(self.dtype)
        compressed: npt.NDArray[Any] = basis.T @ rows
        return compressed

    def _enter(self, state: SketchState, rows: npt.NDArray[Any], shift: Any = 0) -> None:
        """Put rows, less a shift, into the table."""
        start = 0
        while start < len(rows):
            part = rows[start : start + self._room(state)]
            np.subtract(part, shift, out=state.table[state.filled : state.filled + len(part)], casting="same_kind")
            state.filled += len(part)
            start += len(part)

    def _shift(self, state: SketchState, mean: Vector, count: int) -> None:
        """Note in one row that those to come have another mean."""
        both = state.count + count
        if state.count:
            self._room(state)
            delta = mean - state.mean
            state.table[state.filled] = delta * np.sqrt(state.count * count / both)
            state.filled += 1
            state.mean = state.mean + delta * (count / both)
        else:
            state.mean = mean.copy()
        state.count = both

    def _room(self, state: SketchState) -> int:
        """Rows that still fit; a full table is reduced to its leading directions first."""
        if state.filled == len(state.table):
            table = state.table.astype(np.float64)
            values, vectors = np.linalg.eigh(table @ table.T)
            state.table[: self.width] = vectors[:, ::-1][:, : self.width].T @ table
            state.dropped |= bool(values[-self.width - 1] > np.finfo(self.dtype).eps * values[-1])
            state.filled = self.width
        return len(state.table) - state.filled

    def merge(self, one: SketchState, other: SketchState) -> SketchState:
        """Join two tables."""
        if not (one.count and other.count):
            return one if one.count else other
        self._shift(one, other.mean, other.count)
        self._enter(one, other.table[: other.filled])
        one.dropped |= other.dropped
        return one

    def finish(self, state: SketchState) -> SketchState:
        """The table itself."""
        return state


def _mean(rows: npt.NDArray[Any]) -> Vector:
    """Mean by a product, in the dtype of the rows: several times as fast as adding them up in float64."""
    mean: Vector = (np.ones(len(rows), rows.dtype) @ rows).astype(np.float64) / len(rows)
    return mean


def leading_of_sketch(
    sketch: SketchState, factors: Vector | None, total: float, most: int, share: float | None, *, center: bool
) -> Leading:
    """Leading eigenpairs from a table of rows.

    Parameters
    ----------
    sketch : SketchState
        Of all pixels.
    factors : numpy.ndarray or None
        Factor of each feature.
    total : float
        Trace of the scatter matrix.
    most : int
        Components wanted; with a share, allowed.
    share : float or None
        Share of the trace that is to be explained.
    center : bool
        Whether about the mean.

    Returns
    -------
    Leading
        At most as many as wanted. Angles are not known (NaN) once rows were dropped.
    """
    table = sketch.table[: sketch.filled].astype(np.float64)
    if not center:
        table = np.vstack([table, np.sqrt(sketch.count) * sketch.mean])
    if factors is not None:
        table *= factors
    values, left = np.linalg.eigh(table @ table.T)
    values, left = values[::-1], left[:, ::-1]
    some = values > _ROUNDING * values[0]
    values, left = values[some][:most], left[:, some][:, :most]
    vectors = np.linalg.qr(table.T @ (left / np.sqrt(values)))[0]
    angles = np.full(len(values), np.nan if sketch.dropped else 0.0)
    found = Leading(values, vectors, total, angles)
    return found if share is None else found.keep(share_count(values, total, share) or len(values))
