"""Compiled loops over a block's images. No fast-math: NaN stays NaN, and additions keep their order."""

from __future__ import annotations

from typing import Any

import numba
import numpy.typing as npt

Array = npt.NDArray[Any]


@numba.njit(nogil=True, cache=True)
def _fold(row: Array, factor: int, out: Array) -> None:
    """Sum windows of ``factor`` values of one row."""
    if factor == 1:
        out[:] = row[: out.size]
    elif factor == 2:  # known width: vectorises
        for u in range(out.size):
            out[u] = row[2 * u] + row[2 * u + 1]
    else:
        for u in range(out.size):
            total = row[u * factor]
            for v in range(1, factor):
                total += row[u * factor + v]
            out[u] = total


@numba.njit(nogil=True, cache=True)
def add_rows_fold_columns(block: Array, fr: int, fc: int, row: Array, out: Array) -> None:
    """Sum windows of ``fr`` rows and ``fc`` columns of each image of ``block`` (images, rows, columns) into ``out``.

    Whole rows are added first, into ``row`` in the first cache: that loop is the one over all the data, and it
    vectorises. Folding the columns then goes over what is left, a share of 1 / fr.
    """
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            for c in range(row.size):
                row[c] = block[n, i * fr, c]
            for j in range(1, fr):
                for c in range(row.size):
                    row[c] += block[n, i * fr + j, c]
            _fold(row, fc, out[n, i])
