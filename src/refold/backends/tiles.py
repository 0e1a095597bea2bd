"""The compiled search of `refold.backends.nearest`: rows in blocks, landmarks in tiles.

The screen is a matrix product in single precision, whose last bits depend on the block; so it only rules landmarks out,
by bounds that hold whatever the roundings. What is left, a dozen landmarks, is measured row by row in double precision,
and this alone decides. The answer is therefore that of measuring everything in double precision, bit for bit.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

TILE = 64
_HELD = 512  # candidates of a row that wait to be measured
NOBODY = np.int64(9223372036854775807)
_UNDERFLOW = np.float32(1e-35)  # squares below it lose their relative precision

_P = ParamSpec("_P")
_R = TypeVar("_R")
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]


class Tiling(NamedTuple):
    """Landmarks in tiles that are close together.

    Parameters
    ----------
    rows : ndarray of float32, shape (landmarks, features)
        The landmarks.
    tiles : ndarray of float32, shape (tiles, slabs, width, TILE)
        The same in tiles, as ways from the tile's centre, in slabs of so many features; the last of these that counts
        holds their squared lengths, and what comes after it is zero.
    members : ndarray of int32, shape (tiles, TILE)
        Which landmark each one is; -1 for none.
    centres, by_feature : ndarray of float32, shape (tiles, features) and (features, tiles)
        Centres of the tiles.
    radii : ndarray of float32, shape (tiles,)
        No landmark of a tile is farther from its centre.
    slack : float32
        Bound of the screen's error, relative to the square of the way from a row over the centre to the tile's rim.
    """

    rows: Singles
    tiles: Singles
    members: Places
    centres: Singles
    by_feature: Singles
    radii: Singles
    slack: np.float32


class Search(NamedTuple):
    """What is known so far of the rows of one block, by row; and what is being screened, by row that asks."""

    apart: Singles  # (asks, width): of a slab, twice the way to the tile's centre; after the last feature a one
    part: Singles  # (asks, TILE): what a slab adds to the screen
    screen: Singles  # (asks, TILE): squared distance, less that of the centre
    square: Singles  # (rows, tiles): squared distances to centres
    lows: Singles  # (rows, held): least squared distance that a candidate can have
    who: Places  # (rows, held)
    held: Integers
    upper: Singles  # (rows, k): the k least of the greatest squared distances that a landmark can have
    reach: Singles  # root of the last of these: how far to search
    closest: Integers  # tile
    asking: Integers  # rows that ask for a tile

    @classmethod
    def room(cls, rows: int, tiling: Tiling, k: int) -> Search:
        """Room for so many rows and neighbours.

        Parameters
        ----------
        rows : int
            In one block.
        tiling : Tiling
            The landmarks.
        k : int
            Neighbours.
        """
        n_tiles, _, width, _ = tiling.tiles.shape
        integers, singles = np.empty((3, rows), np.int64), np.empty(rows, np.float32)
        part, screen = np.empty((2, rows, TILE), np.float32)
        square = np.empty((rows, n_tiles), np.float32)
        lows, who = np.empty((rows, _HELD), np.float32), np.empty((rows, _HELD), np.int32)
        upper, apart = np.empty((rows, k), np.float32), np.empty((rows, width), np.float32)
        return cls(apart, part, screen, square, lows, who, integers[0], upper, singles, integers[1], integers[2])


def _compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Numba's decorator, with the types it drops. No fast-math: what is exact keeps its order."""
    return cast("Callable[_P, _R]", numba.njit(nogil=True, cache=True)(function))


def _contracted(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same for the screen: products and sums may be one instruction."""
    return cast("Callable[_P, _R]", numba.njit(nogil=True, cache=True, fastmath={"contract"})(function))


# A view of an array, or one taken out of a tuple, is counted by an atomic instruction, which costs as much as screening
# half a tile. So what is called for every row and tile takes whole arrays and where to look in them.


@_contracted
def _squares_to_centres(rows: Singles, r: int, centres: Singles, squares: Singles) -> None:
    """Squared distances of a row to all centres (features, tiles)."""
    n_features, n_tiles = centres.shape
    for t in range(n_tiles):
        squares[r, t] = np.float32(0.0)
    whole = n_features // 4 * 4
    for f in range(0, whole, 4):  # four at a time: a quarter of the traffic through `squares`
        a, b, c, d = rows[r, f], rows[r, f + 1], rows[r, f + 2], rows[r, f + 3]
        for t in range(n_tiles):
            p, q, v, w = a - centres[f, t], b - centres[f + 1, t], c - centres[f + 2, t], d - centres[f + 3, t]
            squares[r, t] += (p * p + q * q) + (v * v + w * w)
    for f in range(whole, n_features):
        a = rows[r, f]
        for t in range(n_tiles):
            p = a - centres[f, t]
            squares[r, t] += p * p


@_contracted
def _from_centre(rows: Singles, r: int, centres: Singles, t: int, first: int, apart: Singles, i: int) -> None:
    """Twice the way from a row to a centre, in a slab of features; a one after the last."""
    n_features, width = rows.shape[1], apart.shape[1]
    inside = min(width, n_features - first)
    for f in range(inside):
        apart[i, f] = np.float32(2.0) * (centres[t, first + f] - rows[r, first + f])
    for f in range(max(0, inside), width):
        apart[i, f] = np.float32(1.0)


@_compiled
def _screened(
    n: int, t: int, rows: Singles, asking: Integers, centres: Singles, tiles: Singles,
    apart: Singles, part: Singles, screen: Singles,
) -> None:  # fmt: skip
    """Squared distances of the rows that ask to the landmarks of a tile, less those to its centre.

    Slab by slab: past some 260 000 products OpenBLAS starts threads of its own, each of which waits for the others.
    """
    for slab in range(tiles.shape[1]):
        for i in range(n):
            _from_centre(rows, asking[i], centres, t, slab * apart.shape[1], apart, i)
        if slab == 0:
            np.dot(apart[:n], tiles[t, slab], screen[:n])
            continue
        np.dot(apart[:n], tiles[t, slab], part[:n])
        for i in range(n):
            for j in range(TILE):
                screen[i, j] += part[i, j]


@_compiled
def _within(screen: Singles, i: int, limit: np.float32) -> np.int32:
    """How many are not beyond the limit; what overflowed is not."""
    count = np.int32(0)
    for j in range(TILE):
        count += np.int32(0) if screen[i, j] > limit else np.int32(1)
    return count


@_compiled
def _insert(best: Doubles, who: Integers, r: int, distance: float, index: int) -> None:
    """Put one candidate into the sorted list of a row's best; equal distances are sorted by index."""
    at = best.shape[1] - 1
    if distance > best[r, at] or (distance == best[r, at] and index >= who[r, at]):
        return
    while at > 0 and (best[r, at - 1] > distance or (best[r, at - 1] == distance and who[r, at - 1] > index)):
        best[r, at] = best[r, at - 1]
        who[r, at] = who[r, at - 1]
        at -= 1
    best[r, at] = distance
    who[r, at] = index


@_compiled
def _lower(upper: Singles, r: int, value: np.float32) -> None:
    """Put a value into the sorted list of a row's k smallest."""
    at = upper.shape[1] - 1
    if not value < upper[r, at]:
        return
    while at > 0 and upper[r, at - 1] > value:
        upper[r, at] = upper[r, at - 1]
        at -= 1
    upper[r, at] = value


@_compiled
def _settle(
    r: int, n: int, lows: Singles, who: Places, upper: Singles,
    rows: Singles, landmarks: Singles, squares: Doubles, indices: Integers,
) -> None:  # fmt: skip
    """Measure the candidates of a row that are still in reach, in double precision."""
    for i in range(n):
        if lows[r, i] > upper[r, -1]:
            continue
        exact = 0.0
        for f in range(rows.shape[1]):
            apart = np.float64(rows[r, f]) - np.float64(landmarks[who[r, i], f])
            exact += apart * apart
        _insert(squares, indices, r, exact, who[r, i])


@_compiled
def _hold(
    r: int, i: int, t: int, n: int, screen: Singles, square: np.float32, error: np.float32, members: Places,
    lows: Singles, who: Places, upper: Singles,
    rows: Singles, landmarks: Singles, squares: Doubles, indices: Integers,
) -> int:  # fmt: skip
    """Hold the landmarks of a tile that may be among the nearest of a row; how many are held then."""
    for j in range(TILE):
        if screen[i, j] > upper[r, -1] - square + error or members[t, j] < 0:
            continue
        if n == lows.shape[1]:  # many are as far as each other: measure them now
            _settle(r, n, lows, who, upper, rows, landmarks, squares, indices)
            n = 0
        lows[r, n], who[r, n] = screen[i, j] + square - error, members[t, j]
        n += 1
        _lower(upper, r, screen[i, j] + square + error)
    return n


@_compiled
def _begin(r: int, square: Singles, upper: Singles) -> int:
    """Forget the row that was here before; which tile is the closest."""
    for j in range(upper.shape[1]):
        upper[r, j] = np.inf
    closest = 0
    for t in range(square.shape[1]):
        if square[r, t] < square[r, closest]:
            closest = t
    return closest


@_compiled
def _ask(
    t: int, rows: int, reach: Singles, radius: np.float32, square: Singles, closest: Integers, asking: Integers
) -> int:
    """Which rows have to look at a tile that is not their closest; how many."""
    n = 0
    for r in range(rows):
        rim = reach[r] + radius
        if not square[r, t] > rim * rim and t != closest[r]:
            asking[n] = r
            n += 1
    return n


@_compiled
def nearest(rows: Singles, tiling: Tiling, search: Search, squares: Doubles, indices: Integers) -> None:
    """Find the nearest landmarks of a block of rows.

    Parameters
    ----------
    rows : ndarray of float32, shape (rows, features)
        Finite rows.
    tiling : Tiling
        The landmarks.
    search : Search
        Room for so many rows.
    squares : ndarray of float64, shape (rows, k)
        Infinities; filled with squared distances, nearest first.
    indices : ndarray of int64, shape (rows, k)
        `NOBODY`; filled with landmarks.
    """
    landmarks, tiles, members, centres, by_feature, radii, slack = tiling
    apart, part, screen, square, lows, who, held, upper, reach, closest, asking = search
    n_rows = rows.shape[0]
    for r in range(n_rows):
        held[r] = 0
        _squares_to_centres(rows, r, by_feature, square)
        closest[r] = _begin(r, square, upper)
    # First the closest tile of every row, which tells how far to search; then all others that reach into that.
    for turn in range(n_rows + radii.size):
        if turn < n_rows:
            t, n, asking[0] = closest[turn], 1, turn
        else:
            t = turn - n_rows
            n = _ask(t, n_rows, reach, radii[t], square, closest, asking)
        if n > 0:
            _screened(n, t, rows, asking, centres, tiles, apart, part, screen)
        for i in range(n):
            r = asking[i]
            span = np.sqrt(square[r, t]) + radii[t]
            error = slack * span * span + _UNDERFLOW
            if _within(screen, i, upper[r, -1] - square[r, t] + error) > 0:
                held[r] = _hold(
                    r, i, t, held[r], screen, square[r, t], error, members,
                    lows, who, upper, rows, landmarks, squares, indices,
                )  # fmt: skip
                reach[r] = np.sqrt(upper[r, -1]) * (np.float32(1.0) + slack)
    for r in range(n_rows):
        _settle(r, held[r], lows, who, upper, rows, landmarks, squares, indices)
