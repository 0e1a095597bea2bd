"""Compiled loops over the rows of a block. Sums are kept in float64, in the order of the rows; no fast-math."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def add_moments(rows, used, shift, total, square, low, high):  # type: ignore[no-untyped-def]  # compiled
    """Add the rows of these numbers, less a shift, and their squares; widen the extremes, which are as the rows."""
    whole = len(used) - len(used) % 4
    for i in range(0, whole, 4):
        a, b, c, d = rows[used[i]], rows[used[i + 1]], rows[used[i + 2]], rows[used[i + 3]]
        _add_four(a, b, c, d, shift, total, square)
        _widen_four(a, b, c, d, low, high)
    for i in range(whole, len(used)):
        row = rows[used[i]]
        for j in range(len(row)):
            centred = np.float64(row[j]) - shift[j]
            total[j] += centred
            square[j] += centred * centred
            low[j] = min(low[j], row[j])
            high[j] = max(high[j], row[j])


# Four rows at once touch the sums a quarter as often; in two loops, because LLVM vectorises each but not both in one.


@numba.njit(nogil=True, cache=True)
def _add_four(a, b, c, d, shift, total, square):  # type: ignore[no-untyped-def]  # compiled
    for j in range(len(a)):
        s = shift[j]
        p, q, r, t = np.float64(a[j]) - s, np.float64(b[j]) - s, np.float64(c[j]) - s, np.float64(d[j]) - s
        total[j] += (p + q) + (r + t)
        square[j] += (p * p + q * q) + (r * r + t * t)


@numba.njit(nogil=True, cache=True)
def _widen_four(a, b, c, d, low, high):  # type: ignore[no-untyped-def]  # compiled
    for j in range(len(a)):
        low[j] = min(low[j], a[j], b[j], c[j], d[j])
        high[j] = max(high[j], a[j], b[j], c[j], d[j])


@numba.njit(nogil=True, cache=True)
def add_scaled_moments(rows, used, scale, shift, plain, total, square, low, high):  # type: ignore[no-untyped-def]  # compiled
    """The same with every row scaled first; the rows as they are go into the plain sums and the extremes."""
    for i in used:
        factor = np.float64(scale[i])
        row = rows[i]
        for j in range(len(row)):
            value = np.float64(row[j])
            centred = value * factor - shift[j]
            plain[j] += value
            total[j] += centred
            square[j] += centred * centred
            low[j] = min(low[j], row[j])
            high[j] = max(high[j], row[j])


@numba.njit(nogil=True, cache=True)
def centre_rows(rows, used, shift, centred):  # type: ignore[no-untyped-def]  # compiled
    """The rows of these numbers less a shift, in its dtype."""
    for i in range(len(used)):
        row, out = rows[used[i]], centred[i]
        for j in range(len(row)):
            out[j] = shift.dtype.type(row[j]) - shift[j]


@numba.njit(nogil=True, cache=True)
def centre_scaled_rows(rows, used, scale, shift, centred):  # type: ignore[no-untyped-def]  # compiled
    """The same with every row scaled first."""
    for i in range(len(used)):
        factor, row, out = scale[used[i]], rows[used[i]], centred[i]
        for j in range(len(row)):
            out[j] = row[j] * factor - shift[j]


@numba.njit(nogil=True, cache=True)
def add_by_label(rows, labels, shift, total, square, count):  # type: ignore[no-untyped-def]  # compiled
    """Add each row, less a shift, and its square to the sums of its label; negative labels are left out."""
    features = rows.shape[1]
    for i in range(rows.shape[0]):
        k = labels[i]
        if k >= 0:
            count[k] += 1
            for j in range(features):
                centred = np.float64(rows[i, j]) - shift[j]
                total[k, j] += centred
                square[k, j] += centred * centred
