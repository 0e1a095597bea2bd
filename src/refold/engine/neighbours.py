"""Scatter of the differences between neighbouring pixels, in one sweep: what the noise of a scan looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from refold.engine import buffers
from refold.engine.block import Block, Where
from refold.engine.triangle import Triangle
from refold.errors import ParameterError

Vector = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.int64]
Direction = Literal["right", "lower", "lowerright", "lowerleft"]

DIRECTIONS: dict[str, tuple[int, int]] = {"right": (0, 1), "lower": (1, 0), "lowerright": (1, 1), "lowerleft": (1, -1)}
_TILE_ROWS = 64, 512  # of a product, at least and most: enough that adding it up costs little beside forming it


@dataclass
class NeighboursResult:
    """Differences between neighbours that are both valid; features in the C order of the signal dims.

    Parameters
    ----------
    count : int
        Pairs.
    mean : numpy.ndarray
        Shape (feature,): mean difference.
    scatter : numpy.ndarray or None
        Shape (feature, feature): sum of the outer products of centred differences; None without a pair.
    """

    count: int
    mean: Vector
    scatter: Vector | None

    @property
    def noise(self) -> Vector:
        """Covariance of the noise of a pixel, shape (feature, feature): half of that of a difference of two."""
        if self.scatter is None or self.count < 2:
            return np.full((len(self.mean), len(self.mean)), np.nan)
        return self.scatter / (2.0 * (self.count - 1))


@dataclass
class _Strip:
    """Pixels on the edge of a block whose partners lie beyond it."""

    pairs: Pixels  # rising; a pair is named by the flat index of its first pixel
    rows: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_]

    def take(self, at: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Rows that have met their partners, which are then forgotten."""
        rows, valid = self.rows[at], self.valid[at]
        left = np.ones(len(self.pairs), bool)
        left[at] = False
        self.pairs, self.rows, self.valid = self.pairs[left], self.rows[left], self.valid[left]
        return rows, valid


@dataclass
class _State:
    count: int = 0
    total: Any = None
    scatter: Triangle | None = None
    firsts: list[_Strip] = field(default_factory=list)
    seconds: list[_Strip] = field(default_factory=list)


class Neighbours:
    """Visitor: count, mean and scatter matrix of the differences between each pixel and its neighbour.

    Parameters
    ----------
    direction : {"right", "lower", "lowerright", "lowerleft"}
        Where the neighbour is, in the last two navigation dims, as in Spectral Python's ``noise_from_diffs``. Along a
        line, or in a scan of one row or column, it is the next pixel.
    n_features : int, optional
        Features of the cube, so that the plan knows the size of a state.
    edge_pixels : int
        Pixels whose partners may lie beyond a partition, for the plan.

    Notes
    -----
    Every pair counts, wherever blocks and partitions are cut: pixels at an edge wait in the state until their partners
    come, in a later block or in the merge. What waits is the outline of a partition. A pixel that is not finite makes
    no pair. Differences are formed and multiplied in float64: they are about to be inverted.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.array([[[1.0, 2.0], [3.0, 6.0], [2.0, 2.0]]]), signal="energy")
    >>> (pairs,) = refold.sweep(cube, Neighbours("right"))
    >>> pairs.count, pairs.mean.tolist(), pairs.noise.tolist()
    (2, [-0.5, 0.0], [[2.25, 6.0], [6.0, 16.0]])
    """

    def __init__(
        self, direction: Direction = "lowerright", *, n_features: int | None = None, edge_pixels: int = 0
    ) -> None:
        if direction not in DIRECTIONS:
            raise ParameterError(f"direction={direction!r}", f"one of {tuple(DIRECTIONS)}", "choose one of these")
        self.direction: Direction = direction
        self.n_features = n_features
        self.edge_pixels = edge_pixels

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        features = self.n_features or 0
        return Triangle.nbytes(features) + 8 * features * (1 + 2 * self.edge_pixels)

    @property
    def working_nbytes(self) -> int:
        """Bytes of a tile of differences, of the rows they are made of, and of a product."""
        features = self.n_features or 0
        return 3 * 8 * features * _tile(features) + 2 * Triangle.product_nbytes(features)

    def start(self) -> _State:
        """No pair yet."""
        return _State()

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Add the pairs within a block, and those that it makes with earlier ones."""
        numbers, valid = block.numbers, block.valid
        if state.total is None:
            state.total = np.zeros(numbers.shape[1])
        step = _step(self.direction, where.grid)
        if step is None:
            return
        inside, first, second, offset = _partners(where, step)
        apart = step[0] * where.shape[-1] + step[1]
        both = np.flatnonzero(inside)
        both = both[valid[both] & valid[both + apart]]
        self._add(state, numbers, numbers, both, both + apart)
        pixels = where.pixels
        self._wait(
            state,
            [_Strip(pixels[at], numbers[at], valid[at]) for at in (np.flatnonzero(first),) if at.size],
            [_Strip(pixels[at] - offset, numbers[at], valid[at]) for at in (np.flatnonzero(second),) if at.size],
        )

    def _wait(self, state: _State, firsts: list[_Strip], seconds: list[_Strip]) -> None:
        """Match new strips with those that wait, and let the rest wait with them."""
        self._match(state, firsts, state.seconds)
        self._match(state, state.firsts, seconds)
        state.firsts = [strip for strip in (*state.firsts, *firsts) if strip.pairs.size]
        state.seconds = [strip for strip in (*state.seconds, *seconds) if strip.pairs.size]

    def _match(self, state: _State, firsts: list[_Strip], seconds: list[_Strip]) -> None:
        for one in firsts:
            for other in seconds:
                _, at, there = np.intersect1d(one.pairs, other.pairs, assume_unique=True, return_indices=True)
                if at.size:
                    (ours, good), (theirs, well) = one.take(at), other.take(there)
                    both = np.flatnonzero(good & well)
                    self._add(state, ours, theirs, both, both)

    def _add(self, state: _State, rows: Any, others: Any, firsts: Pixels, seconds: Pixels) -> None:
        """Add the differences of some rows and others."""
        features = rows.shape[1]
        tile = _tile(features)
        state.count += len(firsts)
        for start in range(0, len(firsts), tile):
            at, there = firsts[start : start + tile], seconds[start : start + tile]
            differences = buffers.empty((len(at), features), np.dtype(np.float64))
            np.subtract(rows[at], others[there], out=differences, dtype=np.float64)
            if state.scatter is None:
                state.scatter = Triangle(features)
            state.total += differences.sum(axis=0)
            state.scatter.add_product(differences)

    def merge(self, one: _State, other: _State) -> _State:
        """Join two partitions, and the pairs between them."""
        if other.total is None or one.total is None:
            return other if one.total is None else one
        one.count += other.count
        one.total += other.total
        if one.scatter is not None and other.scatter is not None:
            one.scatter += other.scatter
        elif other.scatter is not None:
            one.scatter = other.scatter
        self._wait(one, other.firsts, other.seconds)
        return one

    def finish(self, state: _State) -> NeighboursResult:
        """Mean and scatter; pixels that still wait have no partner on the grid that was seen."""
        if not state.count or state.scatter is None:
            features = self.n_features or 0 if state.total is None else len(state.total)
            return NeighboursResult(0, np.full(features, np.nan), None)
        mean = state.total / state.count
        state.scatter.add_outer(-state.count, mean)
        return NeighboursResult(state.count, mean, state.scatter.whole())


def _tile(features: int) -> int:
    least, most = _TILE_ROWS
    return max(least, min(most, 4 * features))


def _step(direction: Direction, grid: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns to the neighbour; None in a scan of one pixel."""
    rows, columns = grid[-2] if len(grid) > 1 else 1, grid[-1]
    if rows == 1 or columns == 1:
        return None if rows == columns else (int(rows > 1), int(columns > 1))
    return DIRECTIONS[direction]


def _partners(where: Where, step: tuple[int, int]) -> tuple[Any, Any, Any, int]:
    """Which pixels of a block have their neighbour in it; which have it beyond; which are one to a pixel beyond.

    And by how much the flat indices of two neighbours differ on the grid.
    """
    across = [_along(part, size, by) for part, size, by in _last_two(where, step)]
    planes = where.size // (len(across[0][0]) * len(across[1][0]))
    inside, there, back_inside, back = (
        np.tile(np.logical_and.outer(across[0][kind], across[1][kind]).ravel(), planes) for kind in range(4)
    )
    return inside, there & ~inside, back & ~back_inside, step[0] * where.grid[-1] + step[1]


def _last_two(where: Where, step: tuple[int, int]) -> Iterator[tuple[slice, int, int]]:
    """The last two dims of a block, of which a line has but one."""
    parts = (slice(0, 1), *where.slices)[-2:]
    sizes = (1, *where.grid)[-2:]
    return zip(parts, sizes, step, strict=True)


def _along(part: slice, size: int, by: int) -> tuple[Any, Any, Any, Any]:
    """For positions of a block along one dim, whether a step ahead stays in it, or on the grid; and a step back."""
    ahead, back = np.arange(part.start, part.stop) + by, np.arange(part.start, part.stop) - by
    return (
        (ahead >= part.start) & (ahead < part.stop),
        (ahead >= 0) & (ahead < size),
        (back >= part.start) & (back < part.stop),
        (back >= 0) & (back < size),
    )
