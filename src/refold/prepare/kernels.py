"""Sums over windows and over pixels, as NumPy defines them; the compiled forms must meet them bit for bit.

The order of additions is part of the definition, so that floats too come out the same on either path and for any
chunking. Windows: rows of the signal image, then its columns, then the other dims from the first on; within a window
from the first position to the last. Pixels: in lanes, as `lane_sums` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_LANES = 64


def adding_order(ndim: int) -> tuple[int, ...]:
    """In which order the dims of a block are summed: rows and columns of its images, then the others."""
    first = max(0, ndim - 2)
    return (*range(first, ndim), *range(first))


def window_sums(block: Array, factors: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Sum a block over windows by adding slices.

    Parameters
    ----------
    block : numpy.ndarray
        Any strides. Positions past the last whole window of a dim are left out.
    factors : sequence of int
        Width of the window along each dim of the block.
    dtype : numpy.dtype
        In which to add, and of the result.

    Returns
    -------
    numpy.ndarray
        As many dims, each shorter by its factor.
    """
    for axis in adding_order(block.ndim):
        if factors[axis] > 1:
            block = _sum_slices(block, axis, factors[axis], dtype)
    return block.astype(dtype, copy=False)


def _sum_slices(block: Array, axis: int, factor: int, dtype: np.dtype[Any]) -> Array:
    size = block.shape[axis] // factor * factor
    before = (slice(None),) * axis
    total = block[(*before, slice(0, size, factor))].astype(dtype)
    with np.errstate(invalid="ignore"):  # infinities of both signs make NaN: a pixel that was invalid stays so
        for position in range(1, factor):
            total += block[(*before, slice(position, size, factor))]
    return total


def lane_sums(rows: Array) -> npt.NDArray[np.float64]:
    """Sum each row in float64: every 64th value into one lane, the lanes then one after the other.

    A sum in one order would wait for every addition before the next; lanes are added side by side.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (pixel, feature).

    Returns
    -------
    numpy.ndarray of float64
        Shape (pixel,).
    """
    whole = rows.shape[1] // _LANES * _LANES
    lanes = rows[:, :whole].reshape(len(rows), -1, _LANES).sum(axis=1, dtype=np.float64)
    lanes[:, : rows.shape[1] - whole] += rows[:, whole:]
    total: npt.NDArray[np.float64] = np.zeros(len(rows))
    for lane in lanes.T:
        total += lane
    return total
