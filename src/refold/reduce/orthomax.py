"""Orthomax: the rotation that makes each column large in few rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def orthomax(rows: Matrix, gamma: float, tol: float, max_iter: int) -> tuple[Matrix, int, bool]:
    """Rotate columns so that the variance of their squares is largest.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (row, column).
    gamma : float
        Between 0 (quartimax) and 1 (varimax).
    tol : float
        Relative change of the criterion below which the rotation is found.
    max_iter : int
        Steps at most.

    Returns
    -------
    rotation : numpy.ndarray
        Shape (column, column), orthogonal: ``rows @ rotation.T`` are rotated.
    n_iter : int
        Steps taken.
    converged : bool
        Whether the last one changed little.

    Notes
    -----
    Each step takes the orthogonal matrix nearest to the gradient of the criterion (Lawley and Maxwell 1971; Jennrich
    2001, Psychometrika 66, 289), by its singular value decomposition.

    Examples
    --------
    >>> apart = np.array([[3.0, 0], [2, 0], [0, 1], [0, 2]])
    >>> turned = apart @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> rotation, _, converged = orthomax(turned, 1.0, 1e-9, 100)
    >>> np.abs(turned @ rotation.T).round(3).tolist(), converged
    ([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], True)
    """
    rotation, before = np.eye(rows.shape[1]), 0.0
    for step in range(1, max_iter + 1):
        turned = rows @ rotation
        squares = turned**2
        gradient = rows.T @ (turned * (squares - gamma * squares.mean(axis=0)))
        left, values, right = np.linalg.svd(gradient)
        rotation = left @ right
        reached = float(values.sum())
        if abs(reached - before) <= tol * reached:
            return rotation.T, step, True
        before = reached
    return rotation.T, max_iter, False
