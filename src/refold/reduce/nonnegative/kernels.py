"""Compiled least squares with nonnegative coefficients. Each row's answer depends on that row alone, bit for bit.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_RIDGE = 1e-12  # of the diagonal: factors that coincide, or are nothing, then make no singular matrix
_ROUNDING = 1e-13  # of the largest target
_PATIENCE = 3  # exchanges of all offenders that gain nothing, before one at a time are exchanged


def least_squares(gram: Doubles, targets: Doubles) -> tuple[Doubles, Doubles]:
    """Coefficients w >= 0 that minimise ``w G w - 2 w b`` for each row b, and how much that explains.

    Parameters
    ----------
    gram : numpy.ndarray
        Shape (component, component): products of the factors, G.
    targets : numpy.ndarray
        Shape (row, component): products of the rows with the factors, b.

    Returns
    -------
    coefficients : numpy.ndarray
        Shape (row, component).
    explained : numpy.ndarray
        Shape (row,): ``2 w b - w G w``, by which the squared length of a row falls.

    Notes
    -----
    Exact, by block principal pivoting (Kim and Park 2011, SIAM J. Sci. Comput. 33, 3261): begun where the solution
    without constraint is positive, mostly done after one or two exchanges. Factors are brought to about the same length
    by powers of two, which round nothing, so that short ones are not lost beside long ones.

    Examples
    --------
    >>> least_squares(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 2.0], [1.0, -1.0]]))[0].round(9).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    lengths = np.diag(gram)
    scale = np.exp2(-np.round(np.log2(np.where(lengths > 0, lengths, 1.0)) / 2))
    gram = gram * scale[:, None] * scale
    gram[np.diag_indices(len(gram))] += _RIDGE
    coefficients, explained = np.empty(targets.shape), np.empty(len(targets))
    _solve_rows(np.ascontiguousarray(gram), targets * scale, coefficients, explained)
    coefficients *= scale
    return coefficients, explained


@numba.njit(nogil=True, cache=True)
def _solve_rows(gram, targets, coefficients, explained):  # type: ignore[no-untyped-def]  # compiled
    size = gram.shape[0]
    passive, everyone = np.empty(size, np.bool_), np.arange(size)
    order, factor, whole = np.empty(size, np.int64), np.empty((size, size)), np.empty((size, size))
    slack = np.empty(size)
    _factorise(gram, everyone, size, whole)
    for row in range(targets.shape[0]):
        b, x = targets[row], coefficients[row]
        _substitute(whole, everyone, size, b, x)
        free = True
        for i in range(size):
            passive[i] = x[i] > 0.0
            free &= x[i] >= 0.0
        if not free:
            _pivot(gram, b, x, passive, order, factor, slack)
        total = 0.0
        for i in range(size):
            image = 0.0
            for j in range(size):
                image += gram[i, j] * x[j]
            total += x[i] * (2.0 * b[i] - image)
        explained[row] = total


@numba.njit(nogil=True, cache=True)
def _pivot(gram, b, x, passive, order, factor, slack):  # type: ignore[no-untyped-def]  # compiled
    """Exchange offenders between the coefficients that are free and those that are 0, until there are none."""
    size = gram.shape[0]
    fewest, patience = size + 1, _PATIENCE
    largest = 0.0
    for i in range(size):
        largest = max(largest, abs(b[i]))
    for _ in range(50 + 5 * size):
        _solve_passive(gram, b, passive, order, factor, x)
        offenders, last = _offenders(gram, b, x, passive, slack, _ROUNDING * largest)
        if offenders == 0:
            return
        alone = False
        if offenders < fewest:
            fewest, patience = offenders, _PATIENCE
        elif patience > 0:
            patience -= 1
        else:
            alone = True  # the rule that cannot cycle
        for i in range(size):
            if slack[i] < 0.0 and (not alone or i == last):
                passive[i] = not passive[i]
    for i in range(size):
        x[i] = max(x[i], 0.0)


@numba.njit(nogil=True, cache=True)
def _offenders(gram, b, x, passive, slack, rounding):  # type: ignore[no-untyped-def]  # compiled
    """Count the free coefficients that are negative, and the others whose gradient says that they should be free."""
    count, last = 0, -1
    for i in range(gram.shape[0]):
        slack[i] = 0.0
        if passive[i]:
            if x[i] < 0.0:
                slack[i] = -1.0
        else:
            gradient = -b[i]
            for j in range(gram.shape[0]):
                gradient += gram[i, j] * x[j]
            if gradient < -rounding:
                slack[i] = -1.0
        if slack[i] < 0.0:
            count += 1
            last = i
    return count, last


@numba.njit(nogil=True, cache=True)
def _solve_passive(gram, b, passive, order, factor, x):  # type: ignore[no-untyped-def]  # compiled
    """Least squares in the free coefficients, by Cholesky; the others are 0."""
    n = 0
    for i in range(gram.shape[0]):
        x[i] = 0.0
        if passive[i]:
            order[n] = i
            n += 1
    _factorise(gram, order, n, factor)
    _substitute(factor, order, n, b, x)


@numba.njit(nogil=True, cache=True)
def _factorise(gram, order, n, factor):  # type: ignore[no-untyped-def]  # compiled
    """Lower factor of the part of a matrix that these rows and columns are."""
    for i in range(n):
        for j in range(i + 1):
            total = gram[order[i], order[j]]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            if i == j:
                factor[i, i] = math.sqrt(max(total, 1e-300))
            else:
                factor[i, j] = total / factor[j, j]


@numba.njit(nogil=True, cache=True)
def _substitute(factor, order, n, b, x):  # type: ignore[no-untyped-def]  # compiled
    """Solve for these coefficients, with the lower factor of their part of the matrix."""
    for i in range(n):
        total = b[order[i]]
        for m in range(i):
            total -= factor[i, m] * x[order[m]]
        x[order[i]] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = x[order[i]]
        for m in range(i + 1, n):
            total -= factor[m, i] * x[order[m]]
        x[order[i]] = total / factor[i, i]
