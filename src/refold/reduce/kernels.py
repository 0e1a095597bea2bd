"""Compiled loops over rows that are about to be multiplied. Each row's result depends on that row alone."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def round_rows(rows, bits, rounded, squares):  # type: ignore[no-untyped-def]  # compiled
    """Round each row to so many bits below the power of two above its length; note its squared length.

    Adding and taking off 1.5 * 2^52 units leaves a multiple of the unit (Dekker 1971, Numer. Math. 18, 224).
    """
    features = rows.shape[1]
    whole = features - features % 8
    for i in range(rows.shape[0]):
        # Eight sums, always the same ones: what a processor can add at once, without leave to reorder.
        a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = 0.0
        for j in range(0, whole, 8):
            a0 += np.float64(rows[i, j]) * np.float64(rows[i, j])
            a1 += np.float64(rows[i, j + 1]) * np.float64(rows[i, j + 1])
            a2 += np.float64(rows[i, j + 2]) * np.float64(rows[i, j + 2])
            a3 += np.float64(rows[i, j + 3]) * np.float64(rows[i, j + 3])
            a4 += np.float64(rows[i, j + 4]) * np.float64(rows[i, j + 4])
            a5 += np.float64(rows[i, j + 5]) * np.float64(rows[i, j + 5])
            a6 += np.float64(rows[i, j + 6]) * np.float64(rows[i, j + 6])
            a7 += np.float64(rows[i, j + 7]) * np.float64(rows[i, j + 7])
        square = ((a0 + a4) + (a1 + a5)) + ((a2 + a6) + (a3 + a7))
        for j in range(whole, features):
            square += np.float64(rows[i, j]) * np.float64(rows[i, j])
        squares[i] = square
        exponent = math.frexp(math.sqrt(square))[1]
        anchor = math.ldexp(1.5, exponent + 52 - bits)
        for j in range(features):
            rounded[i, j] = (np.float64(rows[i, j]) + anchor) - anchor
