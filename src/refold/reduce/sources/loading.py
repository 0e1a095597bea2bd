"""Scores of a whole scan, or of tiles of it, in memory: what sources are sought in where it is not the factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import navigation_dims, navigation_shape
from refold.engine import Block, Where, current_settings, sweep
from refold.engine.sample import pixel_keys
from refold.reduce.sources.sheets import Sheet, left_out, positions_along
from refold.reduce.treating import Way

Matrix = npt.NDArray[np.float64]

_MOST = 1 << 20  # pixels that are looked at: more do not find other sources
_SHARE = 64  # of the memory allowed, for them: states are joined, and differentiating and unmixing copies them
_TILE = 1024  # pixels of a tile: neighbours, so that they can be differentiated


@dataclass(frozen=True)
class Tiles:
    """Parts of a navigation grid: all of it as one, or a random sample of small tiles.

    Parameters
    ----------
    shape : tuple of int
        Of the grid.
    most : int
        Pixels wanted at most; all, where the grid has no more.
    seed : int
        Another seed, other tiles.

    Examples
    --------
    >>> Tiles((3, 4), most=20).parts
    [(slice(0, 3, None), slice(0, 4, None))]
    >>> len(Tiles((100, 100), most=2500).parts)
    2
    """

    shape: tuple[int, ...]
    most: int
    seed: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return math.prod(self.shape) <= self.most

    @property
    def sides(self) -> tuple[int, ...]:
        """Shape of a tile that does not lie on the far edge."""
        if self.whole:
            return self.shape
        side = round(_TILE ** (1 / len(self.shape)))
        return tuple(min(side, size) for size in self.shape)

    @property
    def _counts(self) -> tuple[int, ...]:
        return tuple(-(-size // side) for size, side in zip(self.shape, self.sides, strict=True))

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Flat indices of the tiles drawn, among all of them."""
        every = np.arange(math.prod(self._counts))
        wanted = max(1, self.most // math.prod(self.sides))
        return np.sort(every[np.argsort(pixel_keys(every, self.seed), kind="stable")[:wanted]])

    @property
    def parts(self) -> list[tuple[slice, ...]]:
        """Where the tiles lie."""
        corners = np.stack(np.unravel_index(self.numbers, self._counts), axis=1)
        return [
            tuple(
                slice(index * side, min((index + 1) * side, size))
                for index, side, size in zip(corner.tolist(), self.sides, self.shape, strict=True)
            )
            for corner in corners
        ]

    def holding(self, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """For each pixel, by its flat index, whether it lies in a tile that was drawn."""
        if self.whole:
            return np.ones(len(pixels), dtype=bool)
        places = np.unravel_index(pixels, self.shape)
        tiles = tuple(place // side for place, side in zip(places, self.sides, strict=True))
        return np.isin(np.ravel_multi_index(tiles, self._counts), self.numbers)


@dataclass
class _State:
    pixels: list[npt.NDArray[np.int64]] = field(default_factory=list)
    scores: list[npt.NDArray[Any]] = field(default_factory=list)


class Loadings:
    """Visitor: loadings of the pixels of some tiles, in the units of the data.

    Parameters
    ----------
    way : Way
        From pixels to loadings.
    tiles : Tiles
        Which pixels.
    n_components : int
        Loadings wanted, the first ones.
    """

    def __init__(self, way: Way, tiles: Tiles, n_components: int) -> None:
        self.way = way
        self.tiles = tiles
        self.n_components = n_components

    @property
    def nbytes(self) -> int:
        """Bytes of the state of the whole scan."""
        return pixel_bytes(self.n_components) * min(self.tiles.most, math.prod(self.tiles.shape))

    def start(self) -> _State:
        """Nothing seen yet."""
        return _State()

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Keep the loadings of the pixels in the tiles."""
        wanted = np.flatnonzero(self.tiles.holding(where.pixels))
        if not wanted.size:
            return
        part = block if wanted.size == block.n_pixels else Block(block.rows[wanted], 1)
        state.pixels.append(where.pixels[wanted])
        state.scores.append(self.way.loadings(part)[:, : self.n_components])

    def merge(self, one: _State, other: _State) -> _State:
        """Both."""
        one.pixels += other.pixels
        one.scores += other.scores
        return one

    def finish(self, state: _State) -> list[Matrix]:
        """Loadings of each tile, of shape (*tile, component); NaN where a pixel is not valid."""
        pixels = np.concatenate([np.empty(0, np.int64), *state.pixels])
        scores = np.concatenate([np.empty((0, self.n_components)), *state.scores], dtype=np.float64)
        order = np.argsort(pixels)
        pixels, scores = pixels[order], scores[order]
        laid = []
        for part in self.tiles.parts:
            where = Where(part, self.tiles.shape)
            laid.append(scores[np.searchsorted(pixels, where.pixels)].reshape(*where.shape, self.n_components))
        return laid


def pixel_bytes(n_components: int) -> int:
    """Bytes that a pixel takes in the state: where it is, and its scores in float64."""
    return 8 + 8 * n_components


def loading_sheets(way: Way, cube: xr.DataArray, n_components: int, mask: Any, seed: int) -> tuple[list[Sheet], bool]:
    """Loadings as functions of the navigation axes, of all of the scan or of tiles of it: one sweep.

    Parameters
    ----------
    way : Way
        From pixels to loadings.
    cube : xarray.DataArray
        The scan.
    n_components : int
        Loadings wanted, the first ones.
    mask : array_like or None
        Navigation shape: True where pixels are left out.
    seed : int
        Of the sample of tiles.

    Returns
    -------
    sheets : list of Sheet
        One for each tile.
    sampled : bool
        Whether there are other tiles.
    """
    dims, shape = [str(dim) for dim in navigation_dims(cube)], navigation_shape(cube)
    masked, positions = left_out(mask, dims, shape), positions_along(cube, dims)
    fitting = current_settings().budget.memory // (_SHARE * pixel_bytes(n_components))
    tiles = Tiles(shape, min(_MOST, fitting), seed)
    (laid,) = sweep(cube, Loadings(way, tiles, n_components), label="loadings")
    sheets = []
    for part, values in zip(tiles.parts, laid, strict=True):
        if masked is not None:
            values[masked[part]] = np.nan
        own = tuple(along[side] for along, side in zip(positions, part, strict=True))
        sheets.append(Sheet(values, own))
    return sheets, not tiles.whole
