"""Compiled loops over spectra: where the zero-loss peak is, and moving it.

A pixel's result comes from its own values alone. No fast-math, so that it is the same on every path.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MAXIMUM, FIT, CORRELATION = 0, 1, 2
_REACH = 2  # widths at half height on either side that the mirror image is laid over

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def find_peaks(rows: Array, valid: Array, first: int, last: int, method: int, out: Array) -> None:
    """Find the position of the highest peak of each row, in channels.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (pixel, channel).
    valid : numpy.ndarray of bool
        Rows to look at; the others get NaN.
    first, last : int
        Channels among which the maximum is looked for; the last one excluded.
    method : int
        `MAXIMUM`, `FIT` or `CORRELATION`.
    out : numpy.ndarray of float32
        Shape (pixel,): positions; NaN also where nothing is positive, or all is equal.
    """
    for n in range(len(rows)):
        out[n] = np.nan
        if not valid[n]:
            continue
        row = rows[n]
        top, low = first, float(row[first])
        for c in range(first, last):
            if row[c] > row[top]:
                top = c
            low = min(low, float(row[c]))
        if not (row[top] > 0 and row[top] > low):
            continue
        if method == MAXIMUM:
            out[n] = top
            continue
        left, right = _upper_half(row, top, low)
        if left < 0 or right >= len(row):  # cut off by the end of the axis
            out[n] = top
        elif method == FIT:
            out[n] = _fitted(row, top, left, right)
        else:
            out[n] = _mirrored(row, top, low, left, right)


@_compiled
def _upper_half(row: Array, top: int, low: float) -> tuple[int, int]:
    """First and last channel above half height, the maximum and its neighbours at least; they may lie outside."""
    half = max((float(row[top]) + low) / 2, 0.0)
    left, right = top, top
    while left > 0 and row[left - 1] > half:
        left -= 1
    while right < len(row) - 1 and row[right + 1] > half:
        right += 1
    return min(left, top - 1), max(right, top + 1)


@_compiled
def _fitted(row: Array, top: int, left: int, right: int) -> float:
    """Vertex of the parabola through the logarithms, each weighted by its count, whose inverse is its variance."""
    s0, s1, s2, s3, s4, t0, t1, t2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for c in range(left, right + 1):
        value = float(row[c])
        if value <= 0:
            continue
        x, w, y = float(c - top), value, math.log(value)
        s0, s1, s2, s3, s4 = s0 + w, s1 + w * x, s2 + w * x * x, s3 + w * x**3, s4 + w * x**4
        t0, t1, t2 = t0 + w * y, t1 + w * x * y, t2 + w * x * x * y
    # Cramer's rule for y = a + bx + cx^2; the common divisor drops out of b / c.
    b = s0 * (t1 * s4 - t2 * s3) - t0 * (s1 * s4 - s2 * s3) + s2 * (s1 * t2 - s2 * t1)
    c2 = s0 * (s2 * t2 - s3 * t1) - s1 * (s1 * t2 - s2 * t1) + t0 * (s1 * s3 - s2 * s2)
    divisor = s0 * (s2 * s4 - s3 * s3) - s1 * (s1 * s4 - s2 * s3) + s2 * (s1 * s3 - s2 * s2)
    if not (divisor > 0 and c2 < 0):
        return float(top)
    vertex = top - b / (2 * c2)
    return vertex if left - 0.5 <= vertex <= right + 0.5 else float(top)


@_compiled
def _overlap(row: Array, low: float, middle: int, reach: int) -> float:
    """Correlate a peak with its mirror image about a channel."""
    total = 0.0
    for d in range(-reach, reach + 1):
        total += (float(row[middle + d]) - low) * (float(row[middle - d]) - low)
    return total


@_compiled
def _mirrored(row: Array, top: int, low: float, left: int, right: int) -> float:
    """Vertex of the parabola through the logarithms of the largest correlation and its neighbours."""
    reach = min(_REACH * (right - left), left - 1, len(row) - right - 2)
    if reach < 1:
        return float(top)
    best, highest = top, -1.0
    for middle in range(left, right + 1):
        overlap = _overlap(row, low, middle, reach)
        if overlap > highest:
            best, highest = middle, overlap
    before, after = _overlap(row, low, best - 1, reach), _overlap(row, low, best + 1, reach)
    if not (before > 0 and after > 0 and (before < highest or after < highest)):
        return float(best)
    a, b, c = math.log(before), math.log(highest), math.log(after)
    return best + min(max((a - c) / (2 * (a - 2 * b + c)), -0.5), 0.5) if a - 2 * b + c < 0 else float(best)


@_compiled
def move(rows: Array, shifts: Array, start: int, fill: Any, out: Array) -> None:
    """Move each row by so many channels, with linear interpolation.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (pixel, channel).
    shifts : numpy.ndarray of float64
        Shape (pixel,); towards higher channels where positive.
    start : int
        Channel of the input that is the first of the result, before anything is moved.
    fill : scalar
        Of the result's type: what stands where the input has nothing.
    out : numpy.ndarray
        Shape (pixel, channel of the result). Whole shifts copy values as they are.
    """
    size = rows.shape[1]
    for n in range(len(rows)):
        whole = math.floor(-shifts[n])
        share = -shifts[n] - whole
        for c in range(out.shape[1]):
            k = c + start + int(whole)
            if k < 0 or k >= size or (share > 0 and k + 1 >= size):
                out[n, c] = fill
            elif share == 0:
                out[n, c] = rows[n, k]
            else:
                out[n, c] = (1 - share) * rows[n, k] + share * rows[n, k + 1]
