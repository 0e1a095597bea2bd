"""Orthomax: the rotation that makes each column large in few rows."""

from __future__ import annotations

from itertools import combinations

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
        Angle below which the rotation is found.
    max_iter : int
        Rounds over all pairs of columns at most.

    Returns
    -------
    rotation : numpy.ndarray
        Shape (column, column), orthogonal: ``rows @ rotation.T`` are rotated.
    n_iter : int
        Rounds taken.
    converged : bool
        Whether the last one turned no pair by more than `tol`.

    Notes
    -----
    Pairs of columns are turned in their plane to the best angle there is, in closed form (Kaiser 1958, Psychometrika
    23, 187; Harman 1976 for other gammas). Where the components are symmetric, the iteration by singular value
    decompositions, as HyperSpy's, starts at a saddle and stays: this one does not.

    Examples
    --------
    >>> apart = np.array([[3.0, 0], [2, 0], [0, 1], [0, 2]])
    >>> turned = apart @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> rotation, _, converged = orthomax(turned, 1.0, 1e-7, 100)
    >>> np.abs(turned @ rotation.T).round(3).tolist(), converged
    ([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], True)
    """
    columns, rotation = rows.T.copy(), np.eye(rows.shape[1])
    for step in range(1, max_iter + 1):
        largest = 0.0
        for first, second in combinations(range(len(columns)), 2):
            angle, pair = _best_angle(columns[first], columns[second], gamma), [first, second]
            largest = max(largest, abs(angle))
            cosine, sine = np.cos(angle), np.sin(angle)
            turn = np.array([[cosine, sine], [-sine, cosine]])
            columns[pair] = turn @ columns[pair]
            rotation[pair] = turn @ rotation[pair]
        if largest <= tol:
            return rotation, step, True
    return rotation, max_iter, False


def _best_angle(first: Matrix, second: Matrix, gamma: float) -> float:
    """Angle by which to turn two columns in their plane."""
    difference, product = first**2 - second**2, 2 * first * second
    share, sums = gamma / len(first), (difference.sum(), product.sum())
    sine = 2 * (difference @ product - share * sums[0] * sums[1])
    cosine = difference @ difference - product @ product - share * (sums[0] ** 2 - sums[1] ** 2)
    return float(np.arctan2(sine, cosine) / 4)
