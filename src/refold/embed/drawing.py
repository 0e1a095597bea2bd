"""The visitors that draw landmarks: the outskirts of body cells, the fewest keys of every cell, and pixels by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.embed.seeding import Singles, index_of
from refold.engine import Block, Where, pixel_keys

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass
class Drawn:
    """Pixels with what is known of them.

    Parameters
    ----------
    pixels : ndarray of int64
        Flat indices on the navigation grid.
    rows : ndarray of float32
        Their scores.
    keys : ndarray of float64
        Their keys; the smaller, the sooner drawn.
    cells : ndarray of int64
        Their cells.
    """

    pixels: Integers
    rows: Singles
    keys: Doubles
    cells: Integers

    @classmethod
    def nothing(cls, n_features: int) -> Drawn:
        """No pixel yet."""
        return cls(np.empty(0, np.int64), np.empty((0, n_features), np.float32), np.empty(0), np.empty(0, np.int64))

    def take(self, which: npt.NDArray[Any]) -> Drawn:
        """Some of them."""
        return Drawn(self.pixels[which], self.rows[which], self.keys[which], self.cells[which])

    def join(self, other: Drawn) -> Drawn:
        """These and others."""
        return Drawn(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.cells, other.cells]),
        )

    def by_pixel(self) -> Drawn:
        """In the order of the scan."""
        return self.take(np.argsort(self.pixels))

    def rank_in_cell(self) -> Integers:
        """How many of its cell come before each one."""
        order = np.lexsort((self.pixels, self.keys, self.cells))
        cells = self.cells[order]
        first = np.searchsorted(cells, cells, side="left")
        rank = np.empty(order.size, np.int64)
        rank[order] = np.arange(order.size) - first
        return rank


@dataclass
class _State:
    drawn: Drawn
    sizes: Integers


class Outskirts:
    """Visitor: a sample of pixels by how far out they lie, relative to the cell they are nearest to.

    Parameters
    ----------
    n : int
        Pixels wanted.
    centres : ndarray of float32, shape (cells, features)
        Body cells.
    spread : ndarray of float64, shape (cells,)
        Typical squared distance to the centre in each.
    seed : int
        Decides.

    Notes
    -----
    Weighted sampling without replacement by exponential keys: P. Efraimidis, P. Spirakis, "Weighted random sampling
    with a reservoir", Information Processing Letters 97, 181 (2006).
    """

    POWER = 4

    def __init__(self, n: int, centres: Singles, spread: Doubles, seed: int) -> None:
        self.n = n
        self.centres = centres
        self.spread = spread
        self.seed = seed
        self._index = index_of(centres)

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return int(self.n * (24 + 4 * self.centres.shape[1]))

    def start(self) -> _State:
        """Nothing drawn."""
        return _State(Drawn.nothing(self.centres.shape[1]), np.zeros(0, np.int64))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Offer the valid pixels of a block."""
        rows = block.valid_rows.astype(np.float32, copy=False)
        pixels = where.pixels[block.valid]
        cells, distance = self._index.query(rows, 1)
        weight = (distance[:, 0] ** 2 / self.spread[cells[:, 0]]) ** self.POWER
        with np.errstate(divide="ignore"):
            keys = -np.log(pixel_keys(pixels, self.seed)) / weight
        keep = np.isfinite(keys)
        if state.drawn.keys.size >= self.n:
            keep &= keys <= state.drawn.keys.max()
        self._keep(state, Drawn(pixels[keep], rows[keep], keys[keep], cells[keep, 0]))

    def _keep(self, state: _State, more: Drawn) -> None:
        both = state.drawn.join(more)
        if both.keys.size > self.n:
            both = both.take(np.lexsort((both.pixels, both.keys))[: self.n])
        state.drawn = both

    def merge(self, one: _State, other: _State) -> _State:
        """The smallest keys of both."""
        self._keep(one, other.drawn)
        return one

    def finish(self, state: _State) -> Drawn:
        """In the order of the scan."""
        return state.drawn.by_pixel()


class CellDraw:
    """Visitor: the size of each cell, and enough of its pixels to fill any quota.

    Kept are the pixels of the smallest keys, as many as the whole draw, and the smallest keys of each cell, as many as
    a cell can be given beyond its share.

    Parameters
    ----------
    n : int
        Pixels wanted in all.
    per_cell : int
        Pixels kept of every cell in any case.
    centres : ndarray of float32, shape (cells, features)
        All cells.
    seed : int
        Decides.
    without : ndarray of int64
        Pixels that are neither drawn nor counted.
    """

    def __init__(self, n: int, per_cell: int, centres: Singles, seed: int, without: Integers) -> None:
        self.n = n
        self.per_cell = per_cell
        self.centres = centres
        self.seed = seed
        self.without = without
        self._index = index_of(centres)

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return int((self.n + self.per_cell * self.centres.shape[0]) * (24 + 4 * self.centres.shape[1]))

    def start(self) -> _State:
        """Nothing drawn, nothing counted."""
        return _State(Drawn.nothing(self.centres.shape[1]), np.zeros(self.centres.shape[0], np.int64))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Count the valid pixels of a block by cell, and offer them."""
        rows = block.valid_rows.astype(np.float32, copy=False)
        pixels = where.pixels[block.valid]
        left = ~np.isin(pixels, self.without)
        if not left.all():
            rows, pixels = rows[left], pixels[left]
        cells = self._index.query(rows, 1)[0][:, 0]
        state.sizes += np.bincount(cells, minlength=state.sizes.size)
        more = Drawn(pixels, rows, pixel_keys(pixels, self.seed), cells)
        # Thin the block out by itself first: rows are copied only of what may stay.
        self._keep(state, more.take(self._kept(more)))

    def _kept(self, drawn: Drawn) -> npt.NDArray[np.bool_]:
        kept = drawn.rank_in_cell() < self.per_cell
        kept[np.lexsort((drawn.pixels, drawn.keys))[: self.n]] = True
        return kept

    def _keep(self, state: _State, more: Drawn) -> None:
        both = state.drawn.join(more)
        state.drawn = both.take(self._kept(both))

    def merge(self, one: _State, other: _State) -> _State:
        """Sizes add; the smallest keys of both."""
        one.sizes += other.sizes
        self._keep(one, other.drawn)
        return one

    def finish(self, state: _State) -> tuple[Drawn, Integers]:
        """What was drawn, in the order of the scan, and the size of each cell."""
        return state.drawn.by_pixel(), state.sizes


class Picked:
    """Visitor: these pixels, as far as they are valid.

    Parameters
    ----------
    pixels : ndarray of int64
        Flat indices, rising.
    n_features : int
        Features of the cube.
    """

    def __init__(self, pixels: Integers, n_features: int) -> None:
        self.pixels = pixels
        self.n_features = n_features

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return int(self.pixels.size * (24 + 4 * self.n_features))

    def start(self) -> list[Drawn]:
        """None of them seen."""
        return [Drawn.nothing(self.n_features)]

    def visit(self, state: list[Drawn], block: Block, where: Where) -> None:
        """Take those that lie in a block."""
        pixels = where.pixels
        found = np.flatnonzero(block.valid & np.isin(pixels, self.pixels))
        if found.size:
            rows, nothing = block.rows[found].astype(np.float32, copy=False), np.zeros(found.size)
            state[0] = state[0].join(Drawn(pixels[found], rows, nothing, nothing.astype(np.int64)))

    def merge(self, one: list[Drawn], other: list[Drawn]) -> list[Drawn]:
        """Those of both."""
        return [one[0].join(other[0])]

    def finish(self, state: list[Drawn]) -> Drawn:
        """In the order of the scan."""
        return state[0].by_pixel()
