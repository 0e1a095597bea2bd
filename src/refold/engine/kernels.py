"""Compiled loops over the rows of a block. Sums are kept in float64, in the order of the rows; no fast-math."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def add_moments(rows, used, shift, total, square, low, high):  # type: ignore[no-untyped-def]  # compiled
    """Add the rows that are used, less a shift, and their squares; widen the extremes."""
    features = rows.shape[1]
    for i in range(rows.shape[0]):
        if used[i]:
            for j in range(features):
                value = np.float64(rows[i, j])
                centred = value - shift[j]
                total[j] += centred
                square[j] += centred * centred
                low[j] = min(low[j], value)
                high[j] = max(high[j], value)


@numba.njit(nogil=True, cache=True)
def add_scaled_moments(rows, scale, shift, plain, total, square, low, high):  # type: ignore[no-untyped-def]  # compiled
    """The same with every row scaled first, where its scale is not zero; also add the rows as they are."""
    features = rows.shape[1]
    for i in range(rows.shape[0]):
        if scale[i] != 0:
            for j in range(features):
                value = np.float64(rows[i, j])
                centred = value * scale[i] - shift[j]
                plain[j] += value
                total[j] += centred
                square[j] += centred * centred
                low[j] = min(low[j], value)
                high[j] = max(high[j], value)


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
