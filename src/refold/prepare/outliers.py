"""Compiled loops over spectra: how far each channel stands out of its neighbours.

A spike goes up and comes down again within a few channels; an edge only goes up. So what is measured is the smaller of
the rise before and the fall after: the height above the morphological opening of the spectrum by a flat line of one
channel more than a spike is wide (the white top-hat). On a slope it is zero.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PER_OCTAVE = 8  # bins between a height and twice as much, each wider than the one before by the same factor
_FRACTION = 52  # bits of a double
_EIGHTH = _FRACTION - 3
# Each eighth of the way from a power of 2 to the next holds one edge of these bins, save for the last.
_EDGES = np.append((2.0 ** (np.arange(1, 8) / 8)).view(np.int64) & ((1 << _FRACTION) - 1), 1 << _FRACTION)

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def stand_out(row: Array, width: int, relative: bool, values: Array, least: Array, out: Array) -> None:
    """Measure by how much each channel stands out.

    Parameters
    ----------
    row : numpy.ndarray
        Shape (channel,), finite.
    width : int
        Most channels of a spike, fewer than there are.
    relative : bool
        Whether to divide a height by the root of what stands above and below it, which is its deviation if these are
        counts.
    values, least : numpy.ndarray of float64
        Shape (channel,): room.
    out : numpy.ndarray of float64
        Shape (channel,): 0 or more; 0 in the first and the last channel, which has no side to come down on.
    """
    size = len(row)
    for c in range(size):
        values[c] = row[c]
        least[c] = values[c]
    for d in range(1, width + 1):  # the smallest of each window, by where it begins; nothing is past the end
        for c in range(size - d):
            least[c] = min(least[c], values[c + d])
    for c in range(size):  # the largest of those over the windows that hold a channel
        out[c] = least[c]
    for d in range(1, width + 1):
        for c in range(d, size):
            out[c] = max(out[c], least[c - d])
    smallest = values[0]
    for end in range(width):  # windows that begin before the first channel
        smallest = min(smallest, values[end])
        for c in range(end + 1):
            out[c] = max(out[c], smallest)
    for c in range(size):
        height, both = values[c] - out[c], max(values[c], 0.0) + max(out[c], 0.0)
        out[c] = height / math.sqrt(both) if relative and both > 0 else height


@_compiled
def count_heights(rows: Array, valid: Array, width: int, relative: bool, lowest: int, counts: Array) -> int:
    """Count heights by channel and size.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (pixel, channel).
    valid : numpy.ndarray of bool
        Rows to look at.
    width, relative
        As of `stand_out`.
    lowest : int
        The first bin begins at 2^lowest; `PER_OCTAVE` of them lead to twice as much.
    counts : numpy.ndarray of int64
        Shape (channel, bin): added to. What lies outside goes into the first or the last bin; heights of 0 nowhere.

    Returns
    -------
    int
        Rows that were counted.
    """
    size, bins, seen = rows.shape[1], counts.shape[1], 0
    values, least, heights = np.empty(size), np.empty(size), np.empty(size)
    bits = heights.view(np.int64)
    first = np.int64(1023 + lowest) * PER_OCTAVE
    for n in range(len(rows)):
        if not valid[n]:
            continue
        seen += 1
        stand_out(rows[n], width, relative, values, least, heights)
        for c in range(size):
            if heights[c] > 0:  # exponent and fraction, as the number has them
                eighth = bits[c] >> _EIGHTH
                above = (bits[c] & ((1 << _FRACTION) - 1)) >= _EDGES[eighth & 7]
                counts[c, min(max(eighth - first + above, 0), bins - 1)] += 1
    return seen


@_compiled
def find_outliers(
    rows: Array, valid: Array, width: int, relative: bool, thresholds: Array, margin: int, out: Array, hit: Array
) -> None:
    """Find the channels that stand out too far.

    Parameters
    ----------
    rows, valid, width, relative
        As of `count_heights`.
    thresholds : numpy.ndarray of float64
        Shape (channel,): positive, from which height on; infinity for channels in which there are no spikes.
    margin : int
        Channels on either side that go with them.
    out : numpy.ndarray of bool
        Shape (pixel, channel).
    hit : numpy.ndarray of bool
        Shape (pixel,): rows that have any.
    """
    size = rows.shape[1]
    values, least, heights = np.empty(size), np.empty(size), np.empty(size)
    for n in range(len(rows)):
        hit[n] = False
        for c in range(size):
            out[n, c] = False
        if not valid[n]:
            continue
        stand_out(rows[n], width, relative, values, least, heights)
        for c in range(size):
            if heights[c] >= thresholds[c]:
                hit[n] = True
                for d in range(max(0, c - margin), min(size, c + margin + 1)):
                    out[n, d] = True
