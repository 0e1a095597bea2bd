"""Visitor: the image of a few directions under the scatter matrix, without forming that matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_TILE = 1024  # rows multiplied at once; their product is in the dtype of the rows, sums of products in float64
_FAR = 1e4  # squared distance of the mean from zero, in total variances, past which rows are centred before products


@dataclass(frozen=True)
class ImageResult:
    """The scatter matrix of all pixels times a basis.

    Parameters
    ----------
    count : int
        Valid pixels used.
    mean : numpy.ndarray
        Shape (feature,): of the (weighted) rows.
    basis : numpy.ndarray
        Shape (feature, column): the directions, as they were multiplied.
    image : numpy.ndarray
        Shape (feature, column): sum over pixels of centred row times its product with the basis.
    """

    count: int
    mean: Vector
    basis: npt.NDArray[Any]
    image: Vector


@dataclass
class _State:
    """Sums about a shift; closed, about the mean. The image is kept transposed, as products come out faster so."""

    count: int = 0
    shift: Any = None  # None until the first block, unless known beforehand
    total: Any = None
    image: Any = None
    mean: Any = None  # of a closed state
    far: bool | None = None
    scratch: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def buffer(self, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """A buffer kept from tile to tile."""
        held = self.scratch.get(name)
        if held is None or held.shape != shape:
            held = self.scratch[name] = np.empty(shape, dtype)
        return held


class Image:
    """Visitor: multiply the scatter matrix of the rows by a basis, as A^T (A Q), block by block.

    Parameters
    ----------
    basis : numpy.ndarray
        Shape (feature, column), in the dtype of the rows.
    weighted : bool
        Whether rows are divided by the root of their sum.
    shift : numpy.ndarray, optional
        Shape (feature,): the mean, or nearly, where it is known; else the mean of a partition's first block stands in.

    Notes
    -----
    A state is features x columns: it stays small where a scatter matrix would not. Rows are not copied to centre them:
    with p the shift and P = (A - 1 p^T) Q, the sum wanted is A^T P - p (1^T P), and the rest of the mean is taken off
    when partitions are joined (Chan, Golub and LeVeque 1983, Am. Stat. 37, 242). Where the mean is so far from zero
    that this would cancel, they are copied after all.

    Examples
    --------
    >>> import refold
    >>> rows = np.random.default_rng(0).random((6, 5, 3))
    >>> (result,) = refold.sweep(refold.as_cube(rows, signal="energy"), Image(np.eye(3)))
    >>> bool(np.allclose(result.image / 30, np.cov(rows.reshape(30, 3).T, bias=True)))
    True
    """

    def __init__(self, basis: npt.NDArray[Any], *, weighted: bool = False, shift: Vector | None = None) -> None:
        self.basis = basis
        self.weighted = weighted
        self.shift = None if shift is None else shift.astype(basis.dtype).astype(np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes of one state, with its buffers."""
        features, columns = self.basis.shape
        item = self.basis.dtype.itemsize
        return int(features * (columns + 1) * (8 + item) + _TILE * (columns + 1) * item)

    def start(self) -> _State:
        """Nothing seen yet."""
        features, columns = self.basis.shape
        return _State(shift=self.shift, total=np.zeros(features), image=np.zeros((columns, features)))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Add a block's rows."""
        rows = block.valid_rows
        weights = None
        if self.weighted:
            weights = row_factors(rows)
            filled = weights > 0
            rows, weights = (rows, weights) if filled.all() else (rows[filled], weights[filled])
            weights = weights.astype(rows.dtype)[:, None]
        if not len(rows):
            return
        if state.shift is None:
            state.shift = _mean(rows, weights).astype(rows.dtype).astype(np.float64)
        if state.far is None:
            state.far = _is_far(rows[:_TILE], None if weights is None else weights[:_TILE], state.shift)
        for start in range(0, len(rows), _TILE):
            part = rows[start : start + _TILE]
            factors = None if weights is None else weights[start : start + _TILE]
            self._add(state, part, factors)
        state.count += len(rows)

    def _add(self, state: _State, part: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> None:
        columns = self.basis.shape[1]
        shift = state.shift.astype(part.dtype)
        if state.far:
            centred = state.buffer("centred", part.shape, part.dtype)
            np.subtract(part if weights is None else part * weights, shift, out=centred)
            part, weights = centred, None
        right = state.buffer("right", (len(part), columns + 1), part.dtype)
        inner = right[:, :columns]
        np.matmul(part, self.basis, out=inner)
        right[:, columns] = 1
        sums = np.zeros(columns + 1)
        if weights is not None:
            right[:, :columns] *= weights
        if not state.far:
            inner -= (state.shift @ self.basis).astype(part.dtype)
            sums = right.sum(axis=0, dtype=np.float64)  # the last is the number of rows
        if weights is not None:
            right *= weights
        product = state.buffer("product", (columns + 1, part.shape[1]), part.dtype)
        np.matmul(right.T, part, out=product)
        state.image += product[:columns]
        state.total += product[columns]
        if not state.far:
            state.image -= np.outer(sums[:columns], state.shift)
            state.total -= state.shift * sums[columns]

    def _close(self, state: _State) -> _State:
        """From sums about the shift to a mean and sums about it."""
        state.scratch = {}
        if state.mean is None and state.count:
            state.image -= np.outer(state.total @ self.basis / state.count, state.total)
            state.mean = state.shift + state.total / state.count
        return state

    def merge(self, one: _State, other: _State) -> _State:
        """Join two partitions by the pairwise update."""
        one, other = self._close(one), self._close(other)
        if not (one.count and other.count):
            return one if one.count else other
        both = one.count + other.count
        delta = other.mean - one.mean
        one.image += other.image
        one.image += np.outer((one.count * other.count / both) * (delta @ self.basis), delta)
        one.mean += delta * (other.count / both)
        one.count = both
        return one

    def finish(self, state: _State) -> ImageResult:
        """The image about the mean."""
        state = self._close(state)
        mean = np.full(len(self.basis), np.nan) if state.mean is None else state.mean
        return ImageResult(state.count, mean, self.basis, np.ascontiguousarray(state.image.T))


def _mean(rows: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> Vector:
    ones = np.ones((len(rows), 1), rows.dtype) if weights is None else weights
    mean: Vector = (rows.T @ ones)[:, 0].astype(np.float64) / len(rows)
    return mean


def _is_far(rows: npt.NDArray[Any], weights: npt.NDArray[Any] | None, shift: Vector) -> bool:
    squares = np.einsum("ij,ij->i", rows, rows).astype(np.float64)
    if weights is not None:
        squares *= np.square(weights[:, 0], dtype=np.float64)
    distance = float(shift @ shift)
    return bool(distance > _FAR * max(0.0, float(squares.mean()) - distance))
