"""Compiled loops over the rows of a block. Sums are kept in float64, in the order of the rows; no fast-math."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]  # numba has no types
def add_moments(rows, valid, shift, total, square, low, high):  # type: ignore[no-untyped-def]  # compiled
    """Add the rows of valid pixels, less a shift, and their squares; widen the extremes."""
    features = rows.shape[1]
    for i in range(rows.shape[0]):
        if valid[i]:
            for j in range(features):
                value = rows[i, j]
                centred = np.float64(value) - shift[j]
                total[j] += centred
                square[j] += centred * centred
                low[j] = min(low[j], value)
                high[j] = max(high[j], value)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]  # numba has no types
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
