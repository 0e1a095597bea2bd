"""Sums over windows: one definition in NumPy, and a compiled form of it for signal images that is bit for bit the same.

The order of additions is part of the definition, so that floats too come out the same on either path and for any
chunking: rows of the signal image, then its columns, then the other dims from the first on; within a window from the
first position to the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_WORTH_COMPILING = 1 << 18  # values; below that NumPy is as fast as the call


def window_sums(block: Array, factors: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Sum a block over windows.

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
    # numba knows neither foreign byte orders nor half floats
    if block.size < _WORTH_COMPILING or not block.dtype.isnative or block.dtype == np.float16:
        return window_sums_numpy(block, factors, dtype)
    if block.ndim == 1:
        return np.asarray(window_sums(block[None], (1, *factors), dtype)[0])
    if math.prod(factors[-2:]) > 1:
        block = _sum_images(block, factors[-2], factors[-1], dtype)
    for axis, factor in enumerate(factors[:-2]):
        if factor > 1:
            block = _sum_slices(block, axis, factor, dtype)
    return block.astype(dtype, copy=False)


def window_sums_numpy(block: Array, factors: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Sum a block over windows by adding slices: the definition that the compiled form must meet bit for bit."""
    first = max(0, block.ndim - 2)
    for axis in (*range(first, block.ndim), *range(first)):
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


def _sum_images(block: Array, fr: int, fc: int, dtype: np.dtype[Any]) -> Array:
    """Sum windows of the last two dims. A view with odd strides, as cropping leaves it, is read as it lies."""
    from refold.prepare.compiled import add_rows_fold_columns  # numba costs more to import than this package

    *outer, rows, columns = block.shape
    out = np.empty((*outer, rows // fr, columns // fc), dtype)
    row = np.empty(columns, dtype)
    if block.flags.c_contiguous:
        stacks, sums = block.reshape(1, -1, rows, columns), out.reshape(1, -1, *out.shape[-2:])
    else:  # joining dims of a cropped view would copy it: go through its last three dims one by one
        stacks, sums = (block[None], out[None]) if block.ndim == 2 else (block, out)
    for index in np.ndindex(*stacks.shape[:-3]):
        add_rows_fold_columns(stacks[index], fr, fc, row, sums[index])
    return out
