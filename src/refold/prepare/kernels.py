"""Sums over windows: one definition in NumPy, and a compiled form of it for signal images that is bit for bit the same.

The order of additions is part of the definition, so that floats too come out the same on either path and for any
chunking: dim by dim from the first to the last, within a window from the first position to the last.
"""

from __future__ import annotations

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
    *outer, fr, fc = (1, *factors) if block.ndim == 1 else factors
    if _compilable(block) and fr * fc > 1 and not any(factor > 1 for factor in outer):
        return _sum_images(block, fr, fc, dtype)
    return window_sums_numpy(block, factors, dtype)


def _compilable(block: Array) -> bool:
    """Whether the compiled form knows this kind of array, and the block is worth the call."""
    return block.size >= _WORTH_COMPILING and block.dtype.isnative and block.dtype != np.float16


def window_sums_numpy(block: Array, factors: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Sum a block over windows by adding slices: the definition that the compiled form must meet bit for bit."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            size = block.shape[axis] // factor * factor
            slices = [(*(slice(None),) * axis, slice(first, size, factor)) for first in range(factor)]
            total = block[slices[0]].astype(dtype)
            for rest in slices[1:]:
                total += block[rest]
            block = total
    return block.astype(dtype, copy=False)


def _sum_images(block: Array, fr: int, fc: int, dtype: np.dtype[Any]) -> Array:
    """Sum windows of the last two dims. A view with odd strides, as cropping leaves it, is read as it lies."""
    *outer, rows, columns = (1, *block.shape) if block.ndim == 1 else block.shape
    shape = (rows // fr, columns // fc)
    out = np.empty((int(np.prod(outer, dtype=np.int64)), *shape), dtype)
    from refold.prepare.compiled import add_rows_fold_columns as kernel  # numba costs more to import than this package

    row = np.empty(columns, dtype)
    if block.ndim <= 3 or block.flags.c_contiguous:
        kernel(block.reshape(-1, rows, columns), fr, fc, row, out)
    else:  # joining dims of a cropped view would copy all of it: go plane by plane instead
        planes = out.reshape(*outer[:-1], outer[-1], *shape)
        for index in np.ndindex(*outer[:-1]):
            kernel(block[index], fr, fc, row, planes[index])
    return out.reshape(*(outer if block.ndim > 1 else ()), *(shape if block.ndim > 1 else shape[1:]))
