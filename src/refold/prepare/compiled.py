"""Compiled loops over a tile of a block. No fast-math: NaN stays NaN, and additions keep their order.

Inner loops go over contiguous values and do one thing each, which is what LLVM vectorises. A numba integer is
as wide as 64 bits until it is stored, so values are cast to the type in which sums are defined.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LANES = 64  # of the sum of a pixel's values; see `kernels.lane_sums`

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
# A slice handed to a function counts its references, atomically. Inlined by LLVM it does not: 2.5 times faster.
_inlined = numba.njit(nogil=True, cache=True, error_model="numpy", forceinline=True)


@_compiled
def add_runs(values: Array, starts: Array, offsets: Array, fold: int, row: Array, out: Array) -> None:
    """Add runs of values, then fold neighbours: rows of an image and its columns, or images.

    Parameters
    ----------
    values : numpy.ndarray
        All values of a block, from its first to its last in memory.
    starts : numpy.ndarray of int64
        Shape (run,): where the first run of each sum begins.
    offsets : numpy.ndarray of int64
        Where the runs of a sum lie, from the first of them, in the order in which they are added.
    fold : int
        How many neighbours of the result are added as well.
    row : numpy.ndarray
        Room for one sum before it is folded, in the first cache.
    out : numpy.ndarray
        Shape (run, width / fold), of the type in which to add.
    """
    width, runs = out.shape[1] * fold, len(offsets)
    if runs == 2 and fold == 2:
        for n in range(len(starts)):
            a, b = starts[n], starts[n] + offsets[1]
            _add_squares(values[a : a + width], values[b : b + width], out[n])
        return
    for n in range(len(starts)):
        target, done = out[n] if fold == 1 else row, min(runs, 4 if runs >= 4 else 2)
        a, b = starts[n], starts[n] + offsets[min(1, runs - 1)]
        if runs >= 4:
            c, d = starts[n] + offsets[2], starts[n] + offsets[3]
            _add_four(
                values[a : a + width], values[b : b + width], values[c : c + width], values[d : d + width], target
            )
        elif runs >= 2:
            _add(values[a : a + width], values[b : b + width], target)
        else:
            _copy(values[a : a + width], target)
        for k in range(done, runs):
            a = starts[n] + offsets[k]
            _add_to(values[a : a + width], target)
        if fold > 1:
            _fold(row, fold, out[n])


@_compiled
def add_windows(values: Array, out: Array) -> None:
    """Sum the middle one of three dims into ``out``, whose type is that of the values."""
    for n in range(len(values)):
        _add(values[n, 0], values[n, 1], out[n])
        for j in range(2, values.shape[1]):
            _add_to(values[n, j], out[n])


@_inlined
def _copy(one: Array, out: Array) -> None:
    for c in range(len(out)):
        out[c] = one[c]


@_inlined
def _add(one: Array, other: Array, out: Array) -> None:
    kind = out.dtype.type
    for c in range(len(out)):
        out[c] = kind(one[c]) + kind(other[c])


@_inlined
def _add_squares(one: Array, other: Array, out: Array) -> None:
    """Add two rows and fold them by two: what is asked for most, without a row between."""
    kind = out.dtype.type
    for u in range(len(out)):
        out[u] = (kind(one[2 * u]) + kind(other[2 * u])) + (kind(one[2 * u + 1]) + kind(other[2 * u + 1]))


@_inlined
def _add_four(one: Array, other: Array, third: Array, fourth: Array, out: Array) -> None:
    kind = out.dtype.type
    for c in range(len(out)):
        out[c] = kind(one[c]) + kind(other[c]) + kind(third[c]) + kind(fourth[c])


@_inlined
def _add_to(one: Array, out: Array) -> None:
    kind = out.dtype.type
    for c in range(len(out)):
        out[c] += kind(one[c])


@_inlined
def _fold(row: Array, factor: int, out: Array) -> None:
    """Sum windows of ``factor`` neighbours; the common widths are known to the compiler, and vectorise."""
    if factor == 2:
        for u in range(len(out)):
            out[u] = row[2 * u] + row[2 * u + 1]
    elif factor == 3:
        for u in range(len(out)):
            out[u] = row[3 * u] + row[3 * u + 1] + row[3 * u + 2]
    elif factor == 4:
        for u in range(len(out)):
            out[u] = row[4 * u] + row[4 * u + 1] + row[4 * u + 2] + row[4 * u + 3]
    else:
        for u in range(len(out)):
            total = row[u * factor]
            for v in range(1, factor):
                total += row[u * factor + v]
            out[u] = total


@_compiled
def divide(values: Array, by: Any, out: Array) -> None:
    """Divide by a number of the values' own type; integers as float64."""
    for i in range(len(values)):
        out[i] = values[i] / by


@_compiled
def multiply(values: Array, by: Any, out: Array) -> None:
    """Multiply by a float."""
    for i in range(len(values)):
        out[i] = values[i] * by


@_compiled
def look_up(values: Array, table: Array, out: Array) -> bool:
    """Put in place of each whole number its entry of a table, that of 0 for negative ones; False where one has none."""
    nothing = top = values.dtype.type(0)
    for i in range(len(values)):
        top = max(top, values[i])
    if np.uint64(top) >= np.uint64(len(table)):
        return False
    for i in range(len(values)):
        out[i] = table[np.uint32(max(values[i], nothing))]
    return True


@_compiled
def bound(values: Array, low: Any, high: Any, out: Array) -> None:
    """Bring values between two of their own type; NaN compares with nothing and so stays."""
    for i in range(len(values)):
        value = values[i]
        value = low if value < low else value
        out[i] = high if value > high else value


@_compiled
def fill_channels(values: Array, masked: Array, fill: Any, out: Array) -> None:
    """Copy pixels x channels, with a number where a channel is masked."""
    for p in range(len(values)):
        one, other = values[p], out[p]
        for c in range(len(one)):
            other[c] = fill if masked[c] else one[c]


@_compiled
def fill_pixels(values: Array, masked: Array, fill: Any, out: Array) -> None:
    """Copy pixels x channels, with a number throughout the pixels that are masked."""
    for p in range(len(values)):
        if masked[p]:
            out[p] = fill
        else:
            _copy(values[p], out[p])


@_compiled
def scale_by_total(values: Array, out: Array) -> None:
    """Divide each pixel, a row, by its sum."""
    lanes = np.empty(LANES)
    for p in range(len(values)):
        _scale(out[p], out.dtype.type(_copy_and_sum(values[p], out[p], lanes)))


@_compiled
def scale_by_max(values: Array, out: Array) -> None:
    """Divide each pixel, a row, by its largest value."""
    lanes = np.empty(LANES, out.dtype)
    for p in range(len(values)):
        _copy(values[p], out[p])
        _scale(out[p], _largest(out[p], lanes))


@_compiled
def scale_to_unit(values: Array, other: Array, out: Array) -> None:
    """Divide each pixel, a row, by its norm; ``other`` is room for a row, twice."""
    lanes, tops, kind = np.empty(LANES), np.empty(LANES, out.dtype), out.dtype.type
    for p in range(len(values)):
        row, part, square = out[p], other[0], other[1]
        _copy(values[p], row)
        for c in range(len(row)):
            part[c] = abs(row[c])
        top = _largest(part, tops)
        top = kind(1) if top == 0 else top
        for c in range(len(row)):
            part[c] = row[c] / top
        for c in range(len(row)):
            part[c] = part[c] * part[c]
        _scale(row, kind(top * math.sqrt(_copy_and_sum(part, square, lanes))))


@_inlined
def _scale(row: Array, size: Any) -> None:
    if size > 0 or math.isnan(size):  # an invalid pixel stays so
        for c in range(len(row)):
            row[c] = row[c] / size
    else:
        for c in range(len(row)):
            row[c] = 0


@_inlined
def _copy_and_sum(values: Array, out: Array, lanes: Array) -> float:
    """Copy a row, and add it up in the type of the lanes as it then is."""
    kind, whole = out.dtype.type, len(out) // LANES * LANES
    lanes[:] = 0
    for first in range(0, whole, LANES):
        these, those = values[first : first + LANES], out[first : first + LANES]
        for k in range(LANES):
            value = kind(these[k])
            those[k] = value
            lanes[k] += value
    for c in range(whole, len(out)):
        out[c] = kind(values[c])
        lanes[c - whole] += out[c]
    total = 0.0
    for k in range(LANES):
        total += lanes[k]
    return total


@_inlined
def _largest(row: Array, lanes: Array) -> Any:
    """The largest value of a row, NaN if there is one."""
    whole = len(row) // LANES * LANES
    lanes[:] = row[0]
    for first in range(0, whole, LANES):
        for k in range(LANES):
            lanes[k] = row[first + k] if row[first + k] > lanes[k] else lanes[k]
    for c in range(whole, len(row)):
        lanes[0] = row[c] if row[c] > lanes[0] else lanes[0]
    bad = False
    for c in range(len(row)):
        bad |= row[c] != row[c]  # only NaN is; math.isnan would not be vectorised
    for k in range(LANES):
        lanes[0] = lanes[k] if lanes[k] > lanes[0] else lanes[0]
    return row.dtype.type(np.nan) if bad else lanes[0]
