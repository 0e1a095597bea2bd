"""Compiled loops over stored values."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def weighted_sums(rows, weights, sums):  # type: ignore[no-untyped-def]  # compiled
    """Sum of each row of whole numbers, weighted, modulo 2**64."""
    for i in range(rows.shape[0]):
        row, total = rows[i], np.uint64(0)
        for j in range(len(row)):
            total += np.uint64(row[j]) * weights[j]
        sums[i] = total
