"""Compiled steps of Lloyd's algorithm. The cluster of a row is a function of that row and the centres, bit for bit.

It is the centre that is nearest in double precision, the lower index winning a tie. Squares in the precision of the
rows screen the centres, with a bound on their error; where more than one passes, what passes is measured in double
precision, in one order. How the screen rounds, which depends on the processor, therefore changes nothing.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_TILE = 16  # rows that are screened together
_PANEL = 1024  # of their features
_WIDE = 1 << 20  # features from which sums in single precision could be off by a quarter


class Screen(NamedTuple):
    """Centres as compiled loops read them.

    Parameters
    ----------
    coarse : ndarray, shape (cluster, feature)
        In the precision of the screen.
    exact : ndarray of float64, shape (cluster, feature)
        As they are.
    share : float
        Bound of the error of a square, relative to it.
    least : float
        Bound of the error of a square that underflows.
    apart : float
        How far, at most, a coarse centre is from the exact one.
    """

    coarse: npt.NDArray[np.floating]
    exact: Doubles
    share: float
    least: float
    apart: float


def screen_of(centres: Doubles, dtype: np.dtype[np.floating]) -> Screen:
    """Prepare centres for rows of a dtype; that of `refold.engine.block.row_dtype`."""
    features = centres.shape[1]
    info = np.finfo(np.float64 if features > _WIDE else dtype)
    with np.errstate(over="ignore"):
        coarse = np.ascontiguousarray(centres, info.dtype)
        apart = np.sqrt(((coarse - centres) ** 2).sum(axis=1)).max()
    # A sum of n squares of differences is off by n + 4 roundings at most, and so is the one in double precision.
    share = 2.0 * (features + 8) * float(info.eps) / 2
    return Screen(coarse, np.ascontiguousarray(centres), share, 4.0 * features * float(info.tiny), 1.001 * float(apart))


def _compiled(function):  # type: ignore[no-untyped-def]  # a decorator of Numba's
    """No fast-math: what is exact keeps its order."""
    return numba.njit(nogil=True, cache=True)(function)


def _reordered(function):  # type: ignore[no-untyped-def]  # a decorator of Numba's
    """For the screen: sums may be taken in any order, so that they fill vector registers."""
    return numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})(function)


@_reordered
def _square(rows, i, coarse, j):  # type: ignore[no-untyped-def]  # compiled
    """Square of the distance of a row to one centre, nearly."""
    kind = coarse.dtype.type
    total = kind(0)
    for f in range(coarse.shape[1]):
        apart = kind(rows[i, f]) - coarse[j, f]
        total += apart * apart
    return total


@_reordered
def _screen(rows, first, last, coarse, squares):  # type: ignore[no-untyped-def]  # compiled
    """Squares of the distances of some rows to all centres, nearly.

    Four centres at a time, so that a row is loaded less often; one panel of features after the other, so that what all
    rows and four centres have there stays in the nearest cache.
    """
    kind = coarse.dtype.type
    whole, features = coarse.shape[0] // 4 * 4, coarse.shape[1]
    squares[: last - first] = kind(0)
    for begin in range(0, features, _PANEL):
        n = min(_PANEL, features - begin)
        for j in range(0, whole, 4):
            c0, c1 = coarse[j, begin : begin + n], coarse[j + 1, begin : begin + n]
            c2, c3 = coarse[j + 2, begin : begin + n], coarse[j + 3, begin : begin + n]
            for t in range(last - first):
                row = rows[first + t, begin : begin + n]
                a = b = c = d = kind(0)
                for f in range(n):
                    value = kind(row[f])
                    p, q, v, w = value - c0[f], value - c1[f], value - c2[f], value - c3[f]
                    a += p * p
                    b += q * q
                    c += v * v
                    d += w * w
                squares[t, j] += a
                squares[t, j + 1] += b
                squares[t, j + 2] += c
                squares[t, j + 3] += d
        for j in range(whole, coarse.shape[0]):
            c0 = coarse[j, begin : begin + n]
            for t in range(last - first):
                row = rows[first + t, begin : begin + n]
                a = kind(0)
                for f in range(n):
                    p = kind(row[f]) - c0[f]
                    a += p * p
                squares[t, j] += a


@_compiled
def _exact(rows, i, centres, j):  # type: ignore[no-untyped-def]  # compiled
    """Square of the distance in double precision: eight sums, always the same ones."""
    features = centres.shape[1]
    whole = features - features % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for f in range(0, whole, 8):
        a, b = np.float64(rows[i, f]) - centres[j, f], np.float64(rows[i, f + 1]) - centres[j, f + 1]
        c, d = np.float64(rows[i, f + 2]) - centres[j, f + 2], np.float64(rows[i, f + 3]) - centres[j, f + 3]
        p, q = np.float64(rows[i, f + 4]) - centres[j, f + 4], np.float64(rows[i, f + 5]) - centres[j, f + 5]
        v, w = np.float64(rows[i, f + 6]) - centres[j, f + 6], np.float64(rows[i, f + 7]) - centres[j, f + 7]
        s0 += a * a
        s1 += b * b
        s2 += c * c
        s3 += d * d
        s4 += p * p
        s5 += q * q
        s6 += v * v
        s7 += w * w
    total = ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
    for f in range(whole, features):
        a = np.float64(rows[i, f]) - centres[j, f]
        total += a * a
    return total


@_compiled
def _finite(rows, i):  # type: ignore[no-untyped-def]  # compiled
    for f in range(rows.shape[1]):  # noqa: SIM110 - Numba compiles no generators here
        if not np.isfinite(np.float64(rows[i, f])):
            return False
    return True


@_compiled
def _longest(square, screen):  # type: ignore[no-untyped-def]  # compiled
    """The longest that the distance can be of which this is the square, nearly."""
    return math.sqrt(square * (1.0 + screen.share) + screen.least) + screen.apart


@_compiled
def _settle(rows, i, screen, squares, t, limit):  # type: ignore[no-untyped-def]  # compiled
    """The nearest in double precision among the centres whose squares are not beyond the limit."""
    if not _finite(rows, i):
        return -1
    best, nearest = np.inf, 0
    for j in range(squares.shape[1]):
        if not squares[t, j] > limit:
            exact = _exact(rows, i, screen.exact, j)
            if exact < best:
                best, nearest = exact, j
    return nearest


@_compiled
def _nearest(rows, i, screen, squares, t):  # type: ignore[no-untyped-def]  # compiled
    """The nearest centre of a row, -1 where it is not finite; and what no other centre is nearer than.

    The row is number `t` of those screened together.
    """
    nearest, best, second = 0, np.float64(squares[t, 0]), np.inf
    for j in range(1, squares.shape[1]):
        square = np.float64(squares[t, j])
        if square < best:
            nearest, best, second = j, square, best
        elif square < second:
            second = square
    reach = _longest(best, screen) + screen.apart
    limit = (reach * reach + screen.least) / (1.0 - screen.share)
    if not second > limit or not best < np.inf:  # also where something is not a number
        settled = _settle(rows, i, screen, squares, t, limit)
        second = best if settled != nearest else second
        nearest = settled
    return nearest, math.sqrt(max(0.0, second * (1.0 - screen.share) - screen.least)) - screen.apart


@_compiled
def _add(rows, i, count, weight, j, totals, masses, counts):  # type: ignore[no-untyped-def]  # compiled
    """Add a row to the sums of a cluster, or with count -1 take it out; cluster -1 is none."""
    if j >= 0 and weight > 0.0:
        counts[j] += count
        masses[j] += count * weight
        for f in range(rows.shape[1]):
            totals[j, f] += count * weight * np.float64(rows[i, f])


@_compiled
def assign(rows, weights, screen, before, after, bounds, totals, masses, counts):  # type: ignore[no-untyped-def]  # compiled
    """Give each row its nearest centre, and move it to that cluster's sums.

    Parameters
    ----------
    rows : ndarray, shape (row, feature)
        Small integers, or floats.
    weights : ndarray of float64, shape (row,) or (0,)
        What rows count; nothing for one each.
    screen : Screen
        The centres.
    before, after : ndarray of int32, shape (row,)
        Clusters until now, -1 for none; and from now on, -1 where a row is not finite.
    bounds : ndarray of float32, shape (row, 2) or (0, 2)
        Filled with what the own centre is not farther than, and no other centre is nearer than.
    totals, masses, counts : ndarray, shape (cluster, feature), (cluster,), (cluster,)
        Changes of weighted sums, of weights, and of the number of rows with a weight.

    Returns
    -------
    moved : int
        Rows whose cluster changed.
    inertia : float
        Weighted sum of the squares of the distances to the nearest centre.
    """
    squares = np.empty((_TILE, screen.coarse.shape[0]), screen.coarse.dtype)
    moved, inertia = 0, 0.0
    for i in range(rows.shape[0]):
        if i % _TILE == 0:
            _screen(rows, i, min(i + _TILE, rows.shape[0]), screen.coarse, squares)
        new, lower = _nearest(rows, i, screen, squares, i % _TILE)
        weight = weights[i] if weights.size else 1.0
        after[i] = new
        if new != before[i]:
            moved += 1
            _add(rows, i, -1, weight, before[i], totals, masses, counts)
            _add(rows, i, 1, weight, new, totals, masses, counts)
        if new >= 0:
            square = _exact(rows, i, screen.exact, new)
            inertia += weight * square
            if bounds.shape[0]:
                bounds[i, 0], bounds[i, 1] = math.sqrt(square) * (1.0 + 1e-6), lower - abs(lower) * 1e-6
    return moved, inertia


@_compiled
def reassign(rows, weights, screen, ways, before, after, bounds, totals, masses, counts):  # type: ignore[no-untyped-def]  # compiled
    """The same for centres that moved a little: rows whose bounds leave no doubt are not looked at.

    Parameters
    ----------
    rows, weights, screen, before, after, bounds, totals, masses, counts
        As for `assign`; the bounds are those for the centres before.
    ways : ndarray of float64, shape (3, cluster)
        How far each centre moved, how far the farthest of the others, and half its distance to the next one.

    Returns
    -------
    int
        Rows whose cluster changed.
    """
    squares = np.empty((1, screen.coarse.shape[0]), screen.coarse.dtype)
    moved = 0
    for i in range(rows.shape[0]):
        old = before[i]
        after[i] = old
        if old < 0:
            continue
        upper, lower = bounds[i, 0] + ways[0, old], bounds[i, 1] - ways[1, old]
        near = max(lower, ways[2, old])
        if upper >= near:
            upper = _longest(np.float64(_square(rows, i, screen.coarse, old)), screen)
        if upper >= near:
            _screen(rows, i, i + 1, screen.coarse, squares)
            new, lower = _nearest(rows, i, screen, squares, 0)
            if new != old:
                moved += 1
                after[i] = new
                weight = weights[i] if weights.size else 1.0
                _add(rows, i, -1, weight, old, totals, masses, counts)
                _add(rows, i, 1, weight, new, totals, masses, counts)
            upper = _longest(np.float64(squares[0, new]), screen)
        bounds[i, 0], bounds[i, 1] = upper * (1.0 + 1e-6), lower - abs(lower) * 1e-6
    return moved


@_compiled
def nearest_centres(rows, screen, labels, distances):  # type: ignore[no-untyped-def]  # compiled
    """The nearest centre of each row, -1 where it is not finite; and the squared distance, where there is room."""
    squares = np.empty((_TILE, screen.coarse.shape[0]), screen.coarse.dtype)
    for i in range(rows.shape[0]):
        if i % _TILE == 0:
            _screen(rows, i, min(i + _TILE, rows.shape[0]), screen.coarse, squares)
        labels[i] = _nearest(rows, i, screen, squares, i % _TILE)[0]
        if distances.size:
            distances[i] = _exact(rows, i, screen.exact, labels[i]) if labels[i] >= 0 else np.nan


@_compiled
def own_squares(rows, centres, labels, squares):  # type: ignore[no-untyped-def]  # compiled
    """Squared distance of each row to the centre of its cluster; -1 where it has none."""
    for i in range(rows.shape[0]):
        squares[i] = _exact(rows, i, centres, labels[i]) if labels[i] >= 0 else -1.0


@_compiled
def squared_distances(rows, centres, squares):  # type: ignore[no-untyped-def]  # compiled
    """Squared distances of all rows to all centres, in double precision."""
    for i in range(rows.shape[0]):
        for j in range(centres.shape[0]):
            squares[i, j] = _exact(rows, i, centres, j)
