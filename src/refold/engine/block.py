"""A block: a tile of the navigation grid with its whole signal, as visitors see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import buffers
from refold.errors import ParameterError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Where:
    """Where on the navigation grid a block lies.

    Parameters
    ----------
    slices : tuple of slice
        One for each navigation dim.
    grid : tuple of int
        Navigation shape of the whole cube.

    Examples
    --------
    >>> where = Where((slice(1, 3), slice(0, 2)), grid=(4, 5))
    >>> where.shape, where.pixels
    ((2, 2), array([ 5,  6, 10, 11]))
    """

    slices: tuple[slice, ...]
    grid: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Navigation shape of the block."""
        return tuple(part.stop - part.start for part in self.slices)

    @property
    def size(self) -> int:
        """Pixels in the block."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> npt.NDArray[np.int64]:
        """Flat C-order indices of the block's pixels on the whole grid, in the order of the block's rows."""
        flat = np.zeros((), dtype=np.int64)
        for part, size in zip(self.slices, self.grid, strict=True):
            flat = flat[..., None] * size + np.arange(part.start, part.stop, dtype=np.int64)
        return flat.ravel()

    def pick(self, values: Any) -> Array:
        """The values of a map at the block's pixels, in the order of the block's rows.

        Parameters
        ----------
        values : array_like
            Shape of the navigation dims; a NumPy or a Zarr array, of which only this part is read.

        Returns
        -------
        numpy.ndarray
            Shape (pixel,).

        Raises
        ------
        ParameterError
            If it has another shape than the scan's grid.
        """
        if np.shape(values) != self.grid:
            raise ParameterError(
                f"a map of shape {np.shape(values)}",
                f"one value for each pixel of {self.grid}",
                "give it on the scan's grid",
            )
        return np.asarray(values[self.slices]).ravel()


class Block:
    """The values of a block in the forms that visitors want, each made once and shared by all of them.

    Parameters
    ----------
    data : numpy.ndarray
        Shape (*navigation, *signal), in the cube's own dtype.
    n_navigation : int
        How many of the dims are navigation dims.
    """

    def __init__(self, data: Array, n_navigation: int) -> None:
        self.data = data.view()
        self.data.flags.writeable = False  # it may be the user's own array
        self.n_navigation = n_navigation

    @property
    def n_pixels(self) -> int:
        """Pixels in the block."""
        return math.prod(self.data.shape[: self.n_navigation])

    @cached_property
    def rows(self) -> Array:
        """Pixels x features as floats, read only: see `row_dtype` for which."""
        shape = (self.n_pixels, -1)
        dtype = row_dtype(self.data.dtype)
        if self.data.dtype == dtype and self.data.flags.c_contiguous:
            return self.data.reshape(shape)
        rows = buffers.empty(self.data.shape, dtype)
        np.copyto(rows, self.data, casting="unsafe")
        rows.flags.writeable = False
        return rows.reshape(shape)

    @property
    def numbers(self) -> Array:
        """Pixels x features as a compiled loop reads them soonest: small counts as they are, else `rows`. Read only."""
        dtype, small = self.data.dtype, np.dtype(np.uint16).itemsize
        if dtype.kind in "iu" and dtype.itemsize <= small and dtype.isnative and self.data.flags.c_contiguous:
            return self.data.reshape(self.n_pixels, -1)
        return self.rows

    @cached_property
    def valid(self) -> npt.NDArray[np.bool_]:
        """For each pixel, whether every channel is finite."""
        if self.data.dtype.kind != "f":
            return np.ones(self.n_pixels, dtype=bool)
        # A sum is finite only if all its terms are, bar overflow: the exact test is then needed for few rows only.
        with np.errstate(invalid="ignore", over="ignore"):
            valid: npt.NDArray[np.bool_] = np.isfinite(self.rows.sum(axis=1))
        for row in np.flatnonzero(~valid):
            valid[row] = np.isfinite(self.rows[row]).all()
        return valid

    @property
    def valid_rows(self) -> Array:
        """The rows of valid pixels; all rows, without a copy, where all are valid."""
        return self.rows if self.valid.all() else self.rows[self.valid]


def row_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Dtype of a block's rows: counts and float32 become float32, float64 and 64-bit integers float64."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float64 if dtype.itemsize > np.dtype(np.float32).itemsize else np.float32)
