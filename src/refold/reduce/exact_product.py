"""A matrix product whose every row depends on that row alone, to the last bit.

A BLAS adds up a dot product in an order that depends on the shape of the whole product, on threads, and on the
processor: the scores of a pixel would depend on the batch in which it came. Here both factors are first rounded to few
enough bits that every product and every partial sum is exact in float64. Sums of exact numbers do not depend on their
order, so any BLAS gives the same bits for any batch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_MANTISSA = 52  # bits of a float64 below its leading one
_ROW_BITS = 27  # of a row, below the power of two above its length
_COLUMN_BITS = 25  # of a column, below its length; with _ROW_BITS no more than _MANTISSA
_TILE_BYTES = 4 << 20


class ExactProduct:
    """Multiply rows by a fixed matrix, each row bitwise independent of the others.

    Parameters
    ----------
    matrix : numpy.ndarray
        Shape (feature, column).

    Notes
    -----
    This is the error-free splitting of Ozaki, Ogita, Oishi and Rump (2012), Numer. Algorithms 59, 95, with lengths in
    place of largest elements: by Cauchy and Schwarz no partial sum of a dot product exceeds the product of the two
    lengths, so the bits needed do not grow with the number of features.

    A row is rounded to 2^-27 of its length (float32 rounds each element to 2^-24 of itself), the matrix is cut into
    two slices. Rows of float64 are cut into two slices too.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows, matrix = rng.random((50, 300), dtype=np.float32), rng.random((300, 4))
    >>> product = ExactProduct(matrix)
    >>> whole, alone = product(rows)[0], product(rows[7:8])[0]
    >>> bool((whole[7:8] == alone).all()), bool(np.allclose(whole, rows @ matrix, rtol=1e-6))
    (True, True)
    """

    def __init__(self, matrix: npt.NDArray[Any]) -> None:
        matrix = np.asarray(matrix, dtype=np.float64)
        self.n_features, self.n_columns = matrix.shape
        lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
        self._size = np.ldexp(1.0, np.frexp(np.where(lengths > 0, lengths, 1.0))[1])  # a power of two: scaling is exact
        unit = matrix / self._size
        coarse = np.ldexp(np.rint(np.ldexp(unit, _COLUMN_BITS)), -_COLUMN_BITS)
        # What is left is shorter than the root of the number of features times half a unit of the coarse slice.
        spread = math.ceil(math.log2(self.n_features) / 2)
        bits = 2 * _COLUMN_BITS - spread
        fine = np.ldexp(np.rint(np.ldexp(unit - coarse, bits)), -bits)
        self._slices = np.ascontiguousarray(np.hstack([coarse, fine]))
        self._spread = spread

    def __call__(self, rows: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """Multiply.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (row, feature), finite.

        Returns
        -------
        product : numpy.ndarray
            Shape (row, column), float64.
        squares : numpy.ndarray
            Shape (row,): squared length of each row, float64.
        """
        n_rows = len(rows)
        product, squares = np.empty((n_rows, self.n_columns)), np.empty(n_rows)
        step = max(1, min(n_rows, _TILE_BYTES // (8 * self.n_features)))
        tile = np.empty((step, self.n_features))
        both = np.empty((step, self._slices.shape[1]))
        for start in range(0, n_rows, step):
            part = rows[start : start + step]
            self._tile(
                part, tile[: len(part)], both[: len(part)], product[start : start + step], squares[start : start + step]
            )
        return product, squares

    def _tile(self, part: npt.NDArray[Any], tile: Vector, both: Vector, product: Vector, squares: Vector) -> None:
        np.copyto(tile, part)
        np.einsum("ij,ij->i", tile, tile, out=squares)
        anchors = self._round(tile, np.sqrt(squares))
        np.matmul(tile, self._slices, out=both)
        columns = self.n_columns
        np.add(both[:, :columns], both[:, columns:], out=product)
        if part.dtype == np.float64:
            rest = part - tile
            # The rest of a row is shorter than the root of the number of features times half a unit of its rounding.
            self._round(rest, np.ldexp(anchors, self._spread - _ROW_BITS))
            product += rest @ self._slices[:, :columns]
        product *= self._size

    @staticmethod
    def _round(tile: Vector, lengths: Vector) -> Vector:
        """Round each row, in place, to _ROW_BITS below the power of two above its length; return these powers."""
        powers = np.ldexp(1.0, np.frexp(lengths)[1])
        # Adding and taking off 1.5 * 2^52 units leaves a multiple of the unit (Dekker 1971, Numer. Math. 18, 224).
        anchor = np.ldexp(1.5 * powers, _MANTISSA - _ROW_BITS)[:, None]
        tile += anchor
        tile -= anchor
        return powers
