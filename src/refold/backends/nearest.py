"""The exact nearest landmarks of many rows, each row's answer its own.

Distances by matrix products are quick, but their last bits depend on how many rows are multiplied at once, so a pixel's
neighbours would depend on its batch. Here landmarks lie in tiles of up to 64 that are close together; a tile whose
bounding ball is farther than the k-th neighbour so far is skipped; matrix products in single precision screen the
others, with a bound on their error; and what passes the screen is measured in double precision, row by row, which alone
decides. Ties go to the lower index. So the answer for a row is a function of the row and the landmarks, bit for bit,
whatever the batch, the thread or the chunk.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from refold.backends.tiles import NOBODY, TILE, Doubles, Integers, Search, Singles, Tiling, nearest

_BLOCK = 64  # rows screened together
_SLAB = 256  # features that are multiplied at once
_BLOCK_VALUES = 4000  # of a slab: past some 260 000 products of 64 columns OpenBLAS starts threads of its own
_FEW, _POWERS = 64, 8  # features whose extent is found exactly; steps by which it is found of more


def _into_tiles(rows: Singles) -> list[Integers]:
    """Halve the landmarks across their longest extent until each part fits a tile."""
    waiting, done = [np.arange(rows.shape[0], dtype=np.int64)], []
    while waiting:
        part = waiting.pop()
        if part.size <= TILE:
            done.append(part)
            continue
        values = rows[part]
        centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
        order = np.argsort(centred @ _longest(centred), kind="stable")
        # Cut at a whole number of tiles, so that tiles are full.
        cut = max(1, part.size // TILE // 2) * TILE
        waiting += [part[order[cut:]], part[order[:cut]]]
    return done


def _longest(centred: Doubles) -> Doubles:
    """The direction of the longest extent; of many features about that direction, which any cut is good enough for."""
    if centred.shape[1] <= _FEW:
        return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, -1])
    direction: Doubles = centred[(centred**2).sum(axis=1).argmax()]
    for _ in range(_POWERS):
        length = np.linalg.norm(direction)
        direction = centred.T @ (centred @ (direction / (length or 1.0)))
    return direction


class TiledIndex:
    """Exact nearest-neighbour index over a set of landmarks.

    Parameters
    ----------
    rows : ndarray of float32, shape (landmarks, features)
        The landmarks; finite.

    Notes
    -----
    Memory is about twice that of the landmarks. Pickles, and gives the same answers afterwards.
    """

    def __init__(self, rows: Singles) -> None:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        self.n_rows, self.n_features = rows.shape
        parts = _into_tiles(rows)
        # Sums of n products in single precision are off by n times 6e-8 at most; four times that leaves no doubt.
        slack = np.float32(4 * (self.n_features + 8) * 2.0**-24)
        slabs = -(-(self.n_features + 1) // _SLAB)
        width = -(-(self.n_features + 1) // slabs)
        # Partial tiles are filled with landmarks -1 that are infinitely far away.
        tiles = np.zeros((len(parts), slabs * width, TILE), np.float32)
        tiles[:, self.n_features] = np.inf
        members = np.full((len(parts), TILE), -1, np.int32)
        centres = np.empty((len(parts), self.n_features), np.float32)
        radii = np.empty(len(parts), np.float32)
        for t, part in enumerate(parts):
            centres[t] = rows[part].mean(axis=0, dtype=np.float64)
            ways = rows[part] - centres[t]
            squares = (ways.astype(np.float64) ** 2).sum(axis=1)
            members[t, : part.size] = part
            radii[t] = np.sqrt(squares.max()) * (1 + slack)
            with np.errstate(over="ignore"):  # what overflows passes every screen
                tiles[t, : self.n_features, : part.size], tiles[t, self.n_features, : part.size] = ways.T, squares
        tiles = tiles.reshape(len(parts), slabs, width, TILE)
        self._block = max(1, min(_BLOCK, _BLOCK_VALUES // width))
        self._tiling = Tiling(rows, tiles, members, centres, np.ascontiguousarray(centres.T), radii, slack)

    def query(self, rows: Singles, k: int, workers: int = 1) -> tuple[Integers, Doubles]:
        """Find the nearest landmarks of each row.

        Parameters
        ----------
        rows : ndarray of float32, shape (rows, features)
            Finite rows.
        k : int
            How many; at most the number of landmarks.
        workers : int
            Threads; -1 for all cores. No effect on the answer.

        Returns
        -------
        indices : ndarray of int64, shape (rows, k)
            Landmarks, nearest first, ties by index.
        distances : ndarray of float64, shape (rows, k)
            Euclidean distances.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        k = min(k, self.n_rows)
        indices = np.full((rows.shape[0], k), NOBODY)
        squares = np.full((rows.shape[0], k), np.inf)
        threads = workers if workers > 0 else (os.cpu_count() or 1)
        step = max(256, -(-rows.shape[0] // (4 * threads)))
        spans = [slice(start, start + step) for start in range(0, rows.shape[0], step)]

        def work(span: slice) -> None:
            search = Search.room(self._block, self._tiling, k)
            for start in range(span.start, min(span.stop, rows.shape[0]), self._block):
                some = slice(start, min(start + self._block, span.stop))
                nearest(rows[some], self._tiling, search, squares[some], indices[some])

        if threads == 1 or len(spans) < 2:
            for span in spans:
                work(span)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, spans))
        return indices, np.sqrt(squares)
