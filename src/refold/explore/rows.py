"""The pixels that the page holds in memory: all of a scan, or of a larger one every nth row and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.report.points import latent_name
from refold.report.tally import labels_of, validity_of
from refold.report.views import TILE, load

__all__ = ["LIMIT", "Rows", "Thinning"]

LIMIT = 1 << 22
"""At most so many pixels are held; some 40 bytes each."""


@dataclass(frozen=True, slots=True)
class Thinning:
    """Which pixels of a grid are held: all slices of a stack, and in each every nth row and column.

    Attributes
    ----------
    dims : tuple of str
        Navigation dims, those of a stack first, then rows and columns; of a line scan its only one.
    sizes : tuple of int
        Of the grid.
    step : int
        Every so many rows, and columns; 1 for all.
    """

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    step: int = 1

    @classmethod
    def of(cls, labels: xr.DataArray, limit: int = LIMIT) -> Thinning:
        """Thin a grid so far that no more than `limit` pixels are held, a row and a column of each slice at least."""
        sizes = tuple(int(size) for size in labels.shape)
        step = max(ceil(sqrt(prod(sizes) / limit)), 1)
        while prod(len(range(step // 2, size, step)) or 1 for size in sizes[-2:]) * prod(sizes[:-2]) > limit:
            if step > max(sizes[-2:]):  # a stack of more slices than that has nothing more to leave out
                break
            step += 1
        return cls(tuple(map(str, labels.dims)), sizes, step)

    def along(self, axis: int) -> range:
        """Positions along a dim that are held."""
        size = self.sizes[axis]
        if axis < len(self.sizes) - 2:
            return range(size)
        return range(min(self.step // 2, size - 1), size, self.step)

    @property
    def stack(self) -> tuple[int, ...]:
        """Sizes of the dims above rows and columns."""
        return self.sizes[:-2]

    @property
    def slices(self) -> int:
        """How many pictures there are."""
        return prod(self.stack)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture, as held; a line scan has one row."""
        rows = len(self.along(len(self.sizes) - 2)) if len(self.sizes) > 1 else 1
        return rows, len(self.along(len(self.sizes) - 1))

    @property
    def full_shape(self) -> tuple[int, int]:
        """Rows and columns of a picture of the grid."""
        return (self.sizes[-2] if len(self.sizes) > 1 else 1), self.sizes[-1]

    def index_of(self, row: int) -> tuple[int, ...]:
        """Position on the grid of a row in memory."""
        held = tuple(len(self.along(axis)) for axis in range(len(self.sizes)))
        return tuple(self.along(axis)[int(i)] for axis, i in enumerate(np.unravel_index(row, held)))

    def row_of(self, number: int, row: float, column: float) -> int | None:
        """Row in memory of the pixel nearest to a place in a picture; None outside.

        Parameters
        ----------
        number : int
            Of the picture.
        row, column : float
            In pixels of the grid, 0 at the centre of the first.
        """
        high, wide = self.full_shape
        if not (-0.5 <= row < high - 0.5 and -0.5 <= column < wide - 0.5):
            return None
        rows, columns = self.shape
        down = min(int((row + 0.5) // self.step), rows - 1)
        across = min(int((column + 0.5) // self.step), columns - 1)
        return (number * rows + down) * columns + across

    def flat(self) -> NDArray[np.int64]:
        """Flat positions on the whole grid of the rows in memory, in order."""
        flat = np.zeros(1, np.int64)
        for axis, size in enumerate(self.sizes):
            flat = np.add.outer(flat * size, np.asarray(self.along(axis), np.int64)).ravel()
        return flat

    def read(self, array: xr.DataArray, dtype: Any) -> NDArray[Any]:
        """Read the held pixels of a variable, a tile at a time.

        Parameters
        ----------
        array : xarray.DataArray
            On these dims, and possibly one more behind.
        dtype : dtype
            Of the answer.

        Returns
        -------
        numpy.ndarray
            Shape (row,), or (row, n) where there is one more dim.
        """
        more = tuple(array.shape[len(self.dims) :])
        columns = self.along(len(self.sizes) - 1)
        out = np.empty((self.slices * self.shape[0], self.shape[1], *more), dtype)
        at = 0
        for where, rows in self._bands(prod(more)):
            part = load(array.isel(where)).reshape(-1, self.sizes[-1], *more)
            kept = part[rows, columns.start :: self.step]
            out[at : at + len(kept)] = kept
            at += len(kept)
        return out.reshape(-1, *more)

    def _bands(self, values: int) -> Iterator[tuple[dict[str, Any], slice]]:
        """Parts of the grid of few values, and which of their rows are held."""
        if len(self.sizes) == 1:
            yield {}, slice(None)
            return
        held = self.along(len(self.sizes) - 2)
        each = max(TILE // max(self.sizes[-1] * values * self.step, 1), 1)
        for place in product(*map(range, self.stack)):
            above = dict(zip(self.dims, place, strict=False))
            for first in range(0, len(held), each):
                part = held[first : first + each]
                yield {**above, self.dims[-2]: slice(part[0], part[-1] + 1)}, slice(None, None, self.step)


@dataclass(frozen=True, slots=True)
class Rows:
    """What is held of a run.

    Attributes
    ----------
    thinning : Thinning
        Which pixels the rows are.
    labels : numpy.ndarray
        Int32 (row,), as the run has them.
    usable : numpy.ndarray
        Bool (row,); False where nothing could be learnt of a pixel.
    positions : numpy.ndarray
        Float32 (row, dimension); NaN where a pixel has no place in the latent space.
    space : str
        ``"embedding"`` or ``"scores"``: what the positions are; empty where there is neither.
    probability : numpy.ndarray or None
        Float32 (row,).
    flat : numpy.ndarray
        Int64 (row,), positions on the scan's whole grid.
    """

    thinning: Thinning
    labels: NDArray[np.int32]
    usable: NDArray[np.bool_]
    positions: NDArray[np.float32]
    space: str
    probability: NDArray[np.float32] | None
    flat: NDArray[np.int64]

    @classmethod
    def of(cls, run: xr.Dataset, limit: int = LIMIT) -> Rows:
        """Read a run.

        Parameters
        ----------
        run : xarray.Dataset
        limit : int
            At most so many pixels.

        Raises
        ------
        VariableError
            If there are no labels.
        """
        labels = labels_of(run)
        thinning = Thinning.of(labels, limit)
        validity = validity_of(run)
        usable = np.ones(thinning.slices * prod(thinning.shape), bool)
        own = thinning.read(labels, np.int32)
        if validity is not None:
            usable = np.isfinite(thinning.read(validity.transpose(*labels.dims), np.float32)) | (own >= 0)
        name = latent_name(run)
        positions = np.empty((len(own), 0), np.float32)
        if name is not None:
            (dim,) = (dim for dim in run[name].dims if dim not in labels.dims)
            kept = run[name].transpose(*labels.dims, dim).isel({dim: slice(0, 3)})
            positions = thinning.read(kept, np.float32)
        probability = None
        if "probability" in run and set(run["probability"].dims) == set(labels.dims):
            probability = thinning.read(run["probability"].transpose(*labels.dims), np.float32)
        return cls(thinning, own, usable, positions, name or "", probability, thinning.flat())

    def __len__(self) -> int:
        """How many there are."""
        return len(self.labels)
