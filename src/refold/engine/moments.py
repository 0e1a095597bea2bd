"""Count, mean, variance and scatter of all valid pixels, in one sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from refold.engine import buffers
from refold.engine.block import Block, Where, row_dtype
from refold.engine.histogram import Compute
from refold.engine.triangle import Triangle

Vector = npt.NDArray[np.float64]
Weighting = Literal["poisson"] | None
_TILE_ROWS = 256, 2048  # of a product, at least and most: enough that adding it up costs little beside forming it
_TYPICAL_ROWS = 256


@dataclass
class MomentsResult:
    """Moments over the valid pixels of a cube; features in the C order of the signal dims.

    Parameters
    ----------
    count : int
        Valid pixels that were used.
    mean, variance : numpy.ndarray
        Shape (feature,); the variance divides by the count. Of the weighted rows, if they were weighted.
    minimum, maximum : numpy.ndarray
        Shape (feature,); of the rows as they are.
    scatter : numpy.ndarray or None
        Shape (feature, feature): sum of the outer products of centred (and weighted) rows; None without valid pixel.
    total : numpy.ndarray
        Shape (feature,): sum over pixels of the rows as they are.
    n_pixels, n_invalid, n_empty : int
        Pixels seen; those with something not finite; those left out because a weight could not be formed.
    n_not_finite : numpy.ndarray
        Shape (feature,): in how many pixels each feature is not finite.
    weighting : str or None
        As asked for.
    """

    count: int
    mean: Vector
    variance: Vector
    minimum: Vector
    maximum: Vector
    scatter: Vector | None
    total: Vector
    n_pixels: int
    n_invalid: int
    n_empty: int
    n_not_finite: npt.NDArray[np.int64]
    weighting: Weighting = None


@dataclass
class _State:
    """Sums about a provisional mean: that of the first valid rows of the partition."""

    n_pixels: int = 0
    n_invalid: int = 0
    n_empty: int = 0
    count: int = 0
    shift: Vector | None = None
    mean: Any = None  # about the shift, until the state is closed
    square: Any = None
    low: Any = None
    high: Any = None
    total: Any = None
    scatter: Triangle | None = None
    not_finite: Any = None

    def begin(self, rows: npt.NDArray[Any]) -> None:
        """Make room, once the number of features is known."""
        features = rows.shape[1]
        span = np.iinfo(rows.dtype) if rows.dtype.kind in "iu" else None
        self.mean, self.square, self.total = np.zeros((3, features))
        self.low = np.full(features, np.inf if span is None else span.max, dtype=rows.dtype)
        self.high = np.full(features, -np.inf if span is None else span.min, dtype=rows.dtype)
        self.not_finite = np.zeros(features, dtype=np.int64)


class Moments:
    """Visitor: count, mean, variance, extremes and, if asked for, the scatter matrix of the valid pixels.

    Parameters
    ----------
    scatter : bool
        Whether to form the features x features scatter matrix.
    weighting : {"poisson"}, optional
        Scale each row by the inverse root of its sum (Keenan and Kotula 2004, Surf. Interface Anal. 36, 203). Rows
        that sum to nothing are left out.
    n_features : int, optional
        Features of the cube, so that the plan knows the size of a state.
    of : callable, optional
        ``of(block, where)`` gives the values to take the moments of, of shape (*navigation of the block, feature), and
        is picklable; by default the block's own.
    double : bool
        Whether to form products in float64 whatever the values are: where the scatter matrix will be inverted.

    Notes
    -----
    Partitions are joined by the pairwise update of Chan, Golub and LeVeque (1983), Am. Stat. 37, 242. Products are
    formed in the dtype of the rows, mostly float32, about a provisional mean, and added up in float64.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.array([[[1.0, 2.0], [3.0, 6.0]]]), signal="energy")
    >>> (moments,) = refold.sweep(cube, Moments(scatter=True))
    >>> moments.count, moments.mean.tolist(), moments.scatter.tolist()
    (2, [2.0, 4.0], [[2.0, 4.0], [4.0, 8.0]])
    """

    def __init__(
        self,
        *,
        scatter: bool = False,
        weighting: Weighting = None,
        n_features: int | None = None,
        of: Compute | None = None,
        double: bool = False,
    ) -> None:
        self.scatter = scatter
        self.weighting: Weighting = weighting
        self.n_features = n_features
        self.of = of
        self.double = double

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        features = self.n_features or 0
        return 8 * features * 6 + (Triangle.nbytes(features) if self.scatter else 0)

    @property
    def working_nbytes(self) -> int:
        """Bytes of a tile of centred rows, and of the product that is added to the state."""
        features = self.n_features or 0
        single = (Triangle.product_nbytes(features) + 4 * _tile(features) * features) if self.scatter else 0
        return 2 * single if self.double else single

    def start(self) -> _State:
        """Nothing seen yet."""
        return _State()

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Add a block's rows."""
        if self.of is not None:
            block = Block(self.of(block, where), block.n_navigation)
        used = block.valid
        if state.not_finite is None:
            state.begin(self._numbers(block))
        state.n_pixels += block.n_pixels
        if not used.all():
            state.n_invalid += int((~used).sum())
            state.not_finite += (~np.isfinite(block.rows[~used])).sum(axis=0)
        scale = None
        if self.weighting == "poisson":
            scale, filled = _poisson_scale(block.rows, used)
            state.n_empty += int((used & ~filled).sum())
            used = filled
        if not used.any():
            return
        if state.shift is None:
            state.shift = _typical(self._numbers(block), used, scale)
        state.count += int(used.sum())
        self._add(state, self._numbers(block), np.flatnonzero(used), scale)
        if self.scatter:
            self._add_scatter(state, self._numbers(block), np.flatnonzero(used), scale)

    def _numbers(self, block: Block) -> npt.NDArray[Any]:
        return block.numbers if self.weighting is None else block.rows

    def _add(self, state: _State, rows: npt.NDArray[Any], used: npt.NDArray[np.int64], scale: Any) -> None:
        # numba takes half a second to import
        from refold.engine.kernels import add_moments, add_scaled_moments

        sums = (state.mean, state.square, state.low, state.high)
        if scale is None:
            add_moments(rows, used, state.shift, *sums)
        else:
            add_scaled_moments(rows, used, scale, state.shift, state.total, *sums)

    def _add_scatter(self, state: _State, rows: npt.NDArray[Any], used: npt.NDArray[np.int64], scale: Any) -> None:
        """Add the product of the centred rows, a tile at a time."""
        from refold.engine.kernels import centre_rows, centre_scaled_rows

        dtype = np.dtype(np.float64) if self.double else row_dtype(rows.dtype)
        shift = np.asarray(state.shift, dtype=dtype)
        if state.scatter is None:
            state.scatter = Triangle(rows.shape[1])
        tile = _tile(rows.shape[1])
        for start in range(0, len(used), tile):
            part = used[start : start + tile]
            centred = buffers.empty((len(part), rows.shape[1]), dtype)
            if scale is None:
                centre_rows(rows, part, shift, centred)
            else:
                centre_scaled_rows(rows, part, scale, shift, centred)
            state.scatter.add_product(centred)

    def _close(self, state: _State) -> _State:
        """From sums about the shift to mean and sums about the mean."""
        if state.shift is None:
            return state
        offset = state.mean / state.count
        state.square -= state.count * offset**2
        np.maximum(state.square, 0, out=state.square)
        if state.scatter is not None:
            state.scatter.add_outer(-state.count, offset)
        if self.weighting is None:
            state.total = state.count * state.shift + state.mean
        state.mean = state.shift + offset
        state.shift = None
        return state

    def merge(self, one: _State, other: _State) -> _State:
        """Join two partitions by the pairwise update."""
        one, other = self._close(one), self._close(other)
        if other.not_finite is None or one.not_finite is None:
            return other if one.not_finite is None else one
        one.n_pixels += other.n_pixels
        one.n_invalid += other.n_invalid
        one.n_empty += other.n_empty
        one.not_finite += other.not_finite
        if other.count and one.count:
            delta = other.mean - one.mean
            share = one.count * other.count / (one.count + other.count)
            one.square += other.square + share * delta**2
            one.mean += delta * (other.count / (one.count + other.count))
            if one.scatter is not None and other.scatter is not None:
                one.scatter += other.scatter
                one.scatter.add_outer(share, delta)
        elif other.count:
            one.mean, one.square, one.scatter = other.mean, other.square, other.scatter
        one.count += other.count
        one.total += other.total
        one.low, one.high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
        return one

    def finish(self, state: _State) -> MomentsResult:
        """Mean and variance from the sums; without a valid pixel they are NaN."""
        state = self._close(state)
        some = state.count > 0
        nothing = np.full(len(state.low), np.nan)
        return MomentsResult(
            count=state.count,
            mean=state.mean if some else nothing,
            variance=state.square / state.count if some else nothing,
            minimum=state.low.astype(np.float64) if some else nothing,
            maximum=state.high.astype(np.float64) if some else nothing,
            scatter=None if state.scatter is None else state.scatter.whole(),
            total=state.total,
            n_pixels=state.n_pixels,
            n_invalid=state.n_invalid,
            n_empty=state.n_empty,
            n_not_finite=state.not_finite,
            weighting=self.weighting,
        )


def _tile(features: int) -> int:
    least, most = _TILE_ROWS
    return max(least, min(most, 4 * features))


def _typical(rows: npt.NDArray[Any], used: npt.NDArray[np.bool_], scale: npt.NDArray[Any] | None) -> Vector:
    """Mean of the first rows that are used, with no more figures than a float32 row has."""
    first = np.flatnonzero(used)[:_TYPICAL_ROWS]
    some = rows[first] if scale is None else rows[first] * scale[first, None]
    mean: Vector = some.mean(axis=0, dtype=np.float64).astype(row_dtype(rows.dtype)).astype(np.float64)
    return mean


def _poisson_scale(
    rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Inverse root of each row's sum, and which rows have one."""
    with np.errstate(invalid="ignore"):
        sums = rows.sum(axis=1, dtype=np.float64)
        filled = valid & (sums > 0)
    scale = np.zeros(len(rows), dtype=rows.dtype)
    scale[filled] = 1 / np.sqrt(sums[filled])
    return scale, filled
