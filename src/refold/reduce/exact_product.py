"""A matrix product whose every row depends on that row alone, to the last bit.

A BLAS adds up a dot product in an order that depends on the shape of the whole product, on threads, and on the
processor: the scores of a pixel would depend on the batch in which it came. Here both factors are first rounded to few
enough bits that every product and every partial sum is exact in float64. Sums of exact numbers do not depend on their
order, so any BLAS gives the same bits for any batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_BITS = 26  # of rows and of columns, below the power of two above their length: half of a float64's 52
_TILE_BYTES = 2 << 20


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

    Rows of float32 and the matrix are rounded to 2^-27 of their length, which is less than rounding errors in a product
    in float32 add up to. Rows of float64 are cut into two slices, and so is the matrix for them.

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
        self._coarse = _rounded_columns(matrix)
        self._fine = _rounded_columns(matrix - self._coarse)

    def __call__(self, rows: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """Multiply.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (row, feature), finite; float32 or float64.

        Returns
        -------
        product : numpy.ndarray
            Shape (row, column), float64.
        squares : numpy.ndarray
            Shape (row,): squared length of each row, float64.
        """
        from refold.reduce.kernels import round_rows  # numba takes half a second to import

        n_rows = len(rows)
        product, squares = np.empty((n_rows, self.n_columns)), np.empty(n_rows)
        step = max(1, min(n_rows, _TILE_BYTES // (8 * max(1, self.n_features))))
        buffer = np.empty((step, self.n_features))
        for start in range(0, n_rows, step):
            part = rows[start : start + step]
            tile, out = buffer[: len(part)], product[start : start + step]
            round_rows(part, _BITS, tile, squares[start : start + step])
            np.matmul(tile, self._coarse, out=out)
            if part.dtype == np.float64:
                rest, unused = part - tile, np.empty(len(part))
                out += tile @ self._fine
                round_rows(rest, _BITS, rest, unused)
                out += rest @ self._coarse
        return product, squares


def _rounded_columns(matrix: Vector) -> Vector:
    """Round each column to _BITS below the power of two above its length."""
    lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    anchor = np.ldexp(1.5, np.frexp(lengths)[1] + 52 - _BITS)
    return np.asarray((matrix + anchor) - anchor)
