"""Compiled counting of the leading bits of numbers, in an order that is that of the numbers."""

from __future__ import annotations

import numba
import numpy as np

_TOGETHER = 64  # features whose counts are in the second cache at once


@numba.njit(nogil=True, cache=True)
def ordered(bits, kind, top, full):  # type: ignore[no-untyped-def]  # compiled
    """Bits whose order as unsigned integers is that of the numbers: 0 unsigned, 1 signed, 2 floats, both zeros one."""
    if kind == 0:
        return bits
    if kind == 1 or bits == top or not bits & top:
        return bits if kind == 2 and bits == top else bits ^ top
    return bits ^ full


@numba.njit(nogil=True, cache=True)
def count_bits(values, used, kind, top, full, shift, width, first, prefix, counts):  # type: ignore[no-untyped-def]  # compiled
    """Count, in rows of these numbers, the bits behind each feature's prefixes.

    Feature j has the rows first[j] to first[j + 1] of counts, one for each of its prefixes; counted are the
    ``width`` bits above the lowest ``shift``, of the numbers whose bits above those are the prefix.
    """
    features, mask = values.shape[1], (np.uint64(1) << width) - np.uint64(1)
    for start in range(0, features, _TOGETHER):
        stop = min(start + _TOGETHER, features)
        for i in used:
            for j in range(start, stop):
                part = ordered(np.uint64(values[i, j]), kind, top, full) >> shift
                above = part >> width
                for row in range(first[j], first[j + 1]):
                    if prefix[row] == above:
                        counts[row, np.intp(part & mask)] += 1
                        break


@numba.njit(nogil=True, cache=True)
def descend(counts, width, first, prefix, leading, ranks):  # type: ignore[no-untyped-def]  # compiled
    """Append to the leading bits of each rank those under which it falls, and make it the rank among these numbers.

    Leading bits and ranks have shape (rank, feature) and are changed in place; the others are as for `count_bits`.
    """
    for j in range(ranks.shape[1]):
        for r in range(ranks.shape[0]):
            row = first[j]
            while prefix[row] != leading[r, j]:
                row += 1
            rest, pattern = ranks[r, j], 0
            while rest >= np.int64(counts[row, pattern]):
                rest -= np.int64(counts[row, pattern])
                pattern += 1
            ranks[r, j] = rest
            leading[r, j] = (leading[r, j] << width) | np.uint64(pattern)
