"""A checksum of a cube's values that does not depend on how they are cut, stored, compressed or visited.

Every value is taken as the whole number that its bits are, weighted by an odd number that follows from where it is, and
all are added modulo 2**64: so parts can be added in any order, and any part of the grid has a sum of its own. One value
that is another always changes the sum; many do but for a chance of one in 2**64, or of one in fewer where all values
have zeros as their last bits (counts stored as floats). It finds errors, not forgers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import check_cube, navigation_dims
from refold.engine import Block, Where, sweep

Sums = NDArray[np.uint64]

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of SplitMix64
_OF_SIGNAL = 0x632BE59BD9B4E019  # so that a channel is not weighted as the pixel of its number


class Checksums:
    """Visitor: a checksum of each tile of the navigation grid.

    Parameters
    ----------
    shape : tuple of int
        Of the cube, navigation dims first.
    n_navigation : int
        How many of its dims are navigation dims.
    tile : tuple of int, optional
        Along the navigation dims; by default the whole grid is one.

    Notes
    -----
    A block may also be cut along the signal: `where` then speaks of all dims, and the last dim of the block is 1.
    """

    def __init__(self, shape: tuple[int, ...], n_navigation: int, tile: tuple[int, ...] | None = None) -> None:
        self.shape, self.n_navigation = shape, n_navigation
        self.tile = shape[:n_navigation] if tile is None else tile
        self.counts = tuple(-(-size // side) for size, side in zip(shape, self.tile, strict=False))
        self._weights = weights(np.arange(math.prod(shape[n_navigation:]), dtype=np.uint64) + np.uint64(_OF_SIGNAL))

    @property
    def nbytes(self) -> int:
        """Bytes of a state."""
        return 8 * math.prod(self.counts)

    def start(self) -> Sums:
        """Nothing seen yet."""
        return np.zeros(self.counts, np.uint64)

    def visit(self, state: Sums, block: Block, where: Where) -> None:
        """Add a block."""
        tiles, sums = self.of_block(block, where)
        np.add.at(state.reshape(-1), tiles, sums)

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Add the sums."""
        one += other
        return one

    def finish(self, state: Sums) -> Sums:
        """Sum of each tile."""
        return state

    def of_block(self, block: Block, where: Where) -> tuple[NDArray[np.int64], Sums]:
        """For each pixel of a block its tile, by flat index, and its share of the tile's sum."""
        from refold.source.kernels import weighted_sums

        count = self.n_navigation
        signal = tuple(slice(0, size) for size in self.shape[count:])
        region = where.slices if len(where.slices) == len(self.shape) else (*where.slices, *signal)
        here = Where(region[:count], self.shape[:count])
        own = self._weights.reshape(self.shape[count:])[region[count:]].ravel()
        sums = np.empty(here.size, np.uint64)
        weighted_sums(_bits(block.data).reshape(here.size, -1), own, sums)
        sums *= weights(here.pixels.astype(np.uint64))
        places = np.meshgrid(*(np.arange(part.start, part.stop) for part in here.slices), indexing="ij")
        tiles = np.ravel_multi_index(
            tuple((at // side).ravel() for at, side in zip(places, self.tile, strict=True)), self.counts
        )
        return np.asarray(tiles, np.int64), sums


def weights(index: Sums) -> Sums:
    """Odd numbers without any pattern, one for each index: SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = index * np.uint64(_STEP) + np.uint64(_STEP)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
    odd: Sums = (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)
    return odd


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """Values as the whole numbers that their bits are, in one piece."""
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return native.view(np.dtype(f"u{native.dtype.itemsize}"))


def as_text(sums: Sums) -> str:
    """The checksum of all tiles together."""
    return f"{int(np.add.reduce(sums, axis=None, dtype=np.uint64)):016x}"


def checksum(cube: xr.DataArray) -> str:
    """Add up a cube's values to a number that tells it from others, however it is stored.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory.

    Returns
    -------
    str
        16 hexadecimal digits: those that `refold.convert` notes in the attributes of a store. The same for any chunks,
        compression or file format; another one for other values, another shape or order, or another width of numbers
        that are negative or not whole.

    Raises
    ------
    CubeError
        If it is no cube.

    Notes
    -----
    One sweep. It finds errors of copying; it does not keep anyone from making two cubes with the same checksum.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.arange(24, dtype="uint16").reshape(2, 3, 4), signal="energy")
    >>> checksum(cube) == checksum(cube.chunk(y=1)), checksum(cube) == checksum(cube[::-1])
    (True, False)
    """
    cube = check_cube(cube)
    (sums,) = sweep(cube, Checksums(cube.shape, len(navigation_dims(cube))), label="checksum")
    return as_text(sums)
