"""The exact nearest landmarks of many rows, each row answered on its own.

Distances by matrix products are quick, but their last bits depend on how many rows are multiplied at once, so a pixel's
neighbours would depend on its batch. Here every row walks the landmarks by itself: landmarks lie in tiles of up to 64
that are close together; a tile whose bounding ball is farther than the k-th neighbour so far is skipped; within a tile
all distances are screened in single precision (one vector instruction for many landmarks), and what passes the screen
is measured again in double precision, which alone decides. Ties go to the lower index. So the answer for a row is a
function of the row and the landmarks, bit for bit, whatever the batch, the thread or the chunk.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

TILE = 64
# Single precision screens, double precision decides: a squared distance of d terms summed in float32 is off by at
# most (d + 2) * 6e-8 of itself, under 1e-3 for any number of features below sixteen thousand.
_SLACK = 1.001

_P = ParamSpec("_P")
_R = TypeVar("_R")
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def _compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Numba's decorator, with the types it drops. No fast-math: sums keep their order."""
    return cast("Callable[_P, _R]", numba.njit(nogil=True, cache=True)(function))


@_compiled
def _insert(best: Doubles, who: Integers, distance: float, index: int) -> None:
    """Put one candidate into the sorted list of the best; equal distances are sorted by index."""
    k = best.size
    if distance > best[k - 1] or (distance == best[k - 1] and index >= who[k - 1]):
        return
    at = k - 1
    while at > 0 and (best[at - 1] > distance or (best[at - 1] == distance and who[at - 1] > index)):
        best[at] = best[at - 1]
        who[at] = who[at - 1]
        at -= 1
    best[at] = distance
    who[at] = index


@_compiled
def _screen_tile(row: Singles, tile: Singles, limit: np.float32, screen: Singles) -> int:
    """Single-precision squared distances to one tile, stored feature by feature; how many are within the limit."""
    n_features, width = tile.shape
    for j in range(width):
        screen[j] = np.float32(0.0)
    whole = n_features // 4 * 4
    for f in range(0, whole, 4):  # four at a time: a quarter of the traffic through `screen`
        a, b, c, d = row[f], row[f + 1], row[f + 2], row[f + 3]
        for j in range(width):
            first, second, third, fourth = a - tile[f, j], b - tile[f + 1, j], c - tile[f + 2, j], d - tile[f + 3, j]
            screen[j] += (first * first + second * second) + (third * third + fourth * fourth)
    for f in range(whole, n_features):
        a = row[f]
        for j in range(width):
            first = a - tile[f, j]
            screen[j] += first * first
    within = 0
    for j in range(width):
        within += screen[j] <= limit
    return within


@_compiled
def _visit_tile(row: Singles, tile: Singles, members: Integers, screen: Singles, best: Doubles, who: Integers) -> None:
    """Offer the landmarks of one tile to the list of the best."""
    last = best.size - 1
    if _screen_tile(row, tile, np.float32(best[last] * _SLACK), screen) == 0:
        return
    for j in range(tile.shape[1]):
        if members[j] >= 0 and screen[j] <= best[last] * _SLACK:
            exact = 0.0
            for f in range(tile.shape[0]):
                apart = np.float64(row[f]) - np.float64(tile[f, j])
                exact += apart * apart
            _insert(best, who, exact, members[j])


@_compiled
def _nearest(
    rows: Singles,
    tiles: Singles,
    members: Integers,
    centres: Singles,
    radii: Doubles,
    indices: Integers,
    squares: Doubles,
) -> None:
    """Fill `indices` and `squares` (rows, k) with the nearest landmarks of each row, nearest first."""
    n_tiles = tiles.shape[0]
    screen = np.empty(tiles.shape[2], np.float32)
    gap = np.empty(n_tiles, np.float64)
    for r in range(rows.shape[0]):
        row, best, who = rows[r], squares[r], indices[r]
        best[:] = np.inf
        who[:] = np.int64(9223372036854775807)
        closest = 0
        for t in range(n_tiles):
            gap[t] = 0.0
        for f in range(rows.shape[1]):
            value = np.float64(row[f])
            for t in range(n_tiles):
                apart = value - centres[f, t]
                gap[t] += apart * apart
        for t in range(n_tiles):
            gap[t] = max(0.0, np.sqrt(gap[t]) - radii[t])
            if gap[t] < gap[closest]:
                closest = t
        _visit_tile(row, tiles[closest], members[closest], screen, best, who)
        for t in range(n_tiles):
            # The slack here is for the roundings of the square root and the radius only.
            if t != closest and gap[t] * gap[t] <= best[best.size - 1] * _SLACK:
                _visit_tile(row, tiles[t], members[t], screen, best, who)


def _into_tiles(rows: Singles) -> list[Integers]:
    """Halve the landmarks at the median of their widest feature until each part fits a tile."""
    waiting, done = [np.arange(rows.shape[0], dtype=np.int64)], []
    while waiting:
        part = waiting.pop()
        if part.size <= TILE:
            done.append(part)
            continue
        values = rows[part]
        widest = int(np.argmax(values.max(axis=0) - values.min(axis=0)))
        order = np.argsort(values[:, widest], kind="stable")
        # Cut at a whole number of tiles, so that tiles are full.
        cut = max(1, part.size // TILE // 2) * TILE
        waiting += [part[order[cut:]], part[order[:cut]]]
    return done


class TiledIndex:
    """Exact nearest-neighbour index over a set of landmarks.

    Parameters
    ----------
    rows : ndarray of float32, shape (landmarks, features)
        The landmarks; finite.

    Notes
    -----
    Memory is about that of the landmarks. Pickles, and gives the same answers afterwards.
    """

    def __init__(self, rows: Singles) -> None:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        self.n_rows, self.n_features = rows.shape
        parts = _into_tiles(rows)
        # Partial tiles are padded, by a landmark -1 infinitely far away, to whole vector registers.
        self._tiles = np.full((len(parts), self.n_features, TILE), np.inf, np.float32)
        self._members = np.full((len(parts), TILE), -1, np.int64)
        self._centres = np.empty((self.n_features, len(parts)), np.float32)
        self._radii = np.empty(len(parts), np.float64)
        for t, part in enumerate(parts):
            inside = rows[part]
            self._tiles[t, :, : part.size] = inside.T
            self._members[t, : part.size] = part
            self._centres[:, t] = inside.mean(axis=0, dtype=np.float64)
            apart = inside.astype(np.float64) - self._centres[:, t].astype(np.float64)
            self._radii[t] = np.sqrt((apart**2).sum(axis=1).max())

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
        indices = np.empty((rows.shape[0], k), np.int64)
        squares = np.empty((rows.shape[0], k), np.float64)
        threads = workers if workers > 0 else (os.cpu_count() or 1)
        step = max(256, -(-rows.shape[0] // (4 * threads)))
        spans = [slice(start, start + step) for start in range(0, rows.shape[0], step)]

        def work(span: slice) -> None:
            _nearest(rows[span], self._tiles, self._members, self._centres, self._radii, indices[span], squares[span])

        if threads == 1 or len(spans) < 2:
            for span in spans:
                work(span)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, spans))
        return indices, np.sqrt(squares)
