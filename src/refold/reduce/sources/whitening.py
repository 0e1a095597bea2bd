"""Whitening: turn and scale columns so that they are uncorrelated and vary alike."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

from refold.errors import RefoldWarning

Matrix = npt.NDArray[np.float64]
Whitening = Literal["pca", "zca"] | None
WHITENINGS = ("pca", "zca", None)
_NOTHING = 1e-12  # of the largest variance: rounding


def whiten(rows: Matrix, method: Whitening = "pca") -> tuple[Matrix, Matrix]:
    """Centre rows, and make their covariance the identity.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (row, column).
    method : {"pca", "zca", None}
        Along the eigenvectors of the covariance; or so that columns change the least; or not at all.

    Returns
    -------
    whitened : numpy.ndarray
        Shape (row, column).
    matrix : numpy.ndarray
        Shape (column, column): ``whitened = centred @ matrix.T``.

    Warns
    -----
    RefoldWarning
        If some mix of the columns is constant; it stays so.

    References
    ----------
    Kessy, Lewin and Strimmer (2018), Am. Stat. 72, 309.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(50, 2)) @ [[1, 3], [0, 2]]
    >>> whitened, matrix = whiten(rows)
    >>> bool(np.allclose(whitened.T @ whitened / 50, np.eye(2)))
    True
    """
    columns = rows.shape[1]
    if method is None:
        return rows, np.eye(columns)
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    values, vectors = values[::-1], vectors[:, ::-1]
    large = values > max(_NOTHING * values[0], 0.0)
    if not large.all():
        warnings.warn(
            f"{columns} components vary in {large.sum()} directions once they are differentiated and masked; the rest "
            f"is not separated. Ask for {large.sum()} components, choose diff_order=0, or mask less",
            RefoldWarning,
            stacklevel=6,
        )
        values = np.where(large, values, values[0] if large[0] else 1.0)
    matrix = vectors.T / np.sqrt(values)[:, None]
    if method == "zca":
        matrix = vectors @ matrix
    return centred @ matrix.T, matrix
