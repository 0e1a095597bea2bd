"""Visitor: the image of a few directions under the scatter matrix, without forming that matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where, buffers
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_TILE = 2048  # rows multiplied at once; their product is in the dtype of the rows, sums of products in float64
_STEP = 16  # columns that a BLAS multiplies at once: with one less, or one more, it is a fifth slower


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
    """Sums about the shift, the same for all partitions. The image is transposed, as products come out faster so."""

    image: Vector
    sums: Vector
    count: int = 0


class Image:
    """Visitor: multiply the scatter matrix of the rows by a basis, as A^T (A Q), block by block.

    Parameters
    ----------
    basis : numpy.ndarray
        Shape (feature, column), in the dtype of the rows.
    mean : numpy.ndarray
        Shape (feature,): the mean of the (weighted) rows, or nearly.
    weighted : bool
        Whether rows are divided by the root of their sum.
    far : bool
        Whether the mean is so far from zero, in deviations, that rows have to be centred before products are formed.

    Notes
    -----
    A state is features x columns: it stays small where a scatter matrix would not. Rows are not copied to centre them:
    with p the mean and P = (A - 1 p^T) Q, the sum wanted is A^T P - p (1^T P), whose last term waits for the end. All
    partitions take the same p, so joining them is adding; what p lacks of the mean is taken off at the end as well.

    Examples
    --------
    >>> import refold
    >>> rows = np.random.default_rng(0).random((6, 5, 3))
    >>> (result,) = refold.sweep(refold.as_cube(rows, signal="energy"), Image(np.eye(3), np.full(3, 0.5)))
    >>> bool(np.allclose(result.image / 30, np.cov(rows.reshape(30, 3).T, bias=True)))
    True
    """

    def __init__(self, basis: npt.NDArray[Any], mean: Vector, *, weighted: bool = False, far: bool = False) -> None:
        features, self.columns = basis.shape
        self.basis = np.zeros((features, -(-(self.columns + 1) // _STEP) * _STEP), basis.dtype)
        self.basis[:, : self.columns] = basis
        self.shift = mean.astype(basis.dtype)
        self.weighted = weighted
        self.far = far
        self.inner = (self.shift.astype(np.float64) @ self.basis).astype(basis.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 8 * self.basis.size

    @property
    def working_nbytes(self) -> int:
        """Bytes of a tile's products, and of the tile itself where it is centred."""
        features, columns = self.basis.shape
        return int((features * columns + _TILE * (columns + features * self.far)) * self.basis.dtype.itemsize)

    def start(self) -> _State:
        """Nothing seen yet."""
        features, columns = self.basis.shape
        return _State(np.zeros((columns, features)), np.zeros(columns))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Add a block's rows."""
        rows = block.valid_rows
        weights = None
        if self.weighted:
            weights = row_factors(rows)
            filled = weights > 0
            rows, weights = (rows, weights) if filled.all() else (rows[filled], weights[filled])
            weights = weights.astype(rows.dtype)[:, None]
        for start in range(0, len(rows), _TILE):
            part = slice(start, start + _TILE)
            self._add(state, rows[part], None if weights is None else weights[part])
        state.count += len(rows)

    def _add(self, state: _State, part: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> None:
        """Add a tile. The column behind the basis sums up the rows themselves."""
        if self.far:
            centred = buffers.empty(part.shape, part.dtype)
            np.multiply(part, 1 if weights is None else weights, out=centred)
            centred -= self.shift
            part, weights = centred, None
        right = buffers.empty((len(part), self.basis.shape[1]), part.dtype)
        np.matmul(part, self.basis, out=right)
        if weights is not None:
            right *= weights
        if not self.far:
            right -= self.inner
        right[:, self.columns] = 1
        state.sums += right.sum(axis=0, dtype=np.float64)
        if weights is not None:
            right *= weights
        product = buffers.empty(state.image.shape, part.dtype)
        np.matmul(right.T, part, out=product)
        state.image += product

    def merge(self, one: _State, other: _State) -> _State:
        """Add up."""
        one.image += other.image
        one.sums += other.sums
        one.count += other.count
        return one

    def finish(self, state: _State) -> ImageResult:
        """The image about the mean."""
        basis = self.basis[:, : self.columns]
        if not state.count:
            nothing = np.full(len(basis), np.nan)
            return ImageResult(0, nothing, basis, np.zeros(basis.shape))
        shift = self.shift.astype(np.float64)
        image, total = state.image[: self.columns].T, state.image[self.columns]
        if not self.far:
            image = image - np.outer(shift, state.sums[: self.columns])
            total = total - state.count * shift
        image = image - np.outer(total, total @ basis / state.count)
        return ImageResult(state.count, shift + total / state.count, basis, np.ascontiguousarray(image))
