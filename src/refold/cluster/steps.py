"""The visitors of k-means: one step of Lloyd's algorithm for several starts, and pixels far from their centres.

What is known of every pixel (its cluster, its bounds) lies in block order: the pixels of the first block of the grid,
then those of the second. So what a block needs is one slice, whatever its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.planning import Grid

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Piece = tuple[slice, Labels]

_TILE_BYTES = 1 << 19  # of rows that are shown to one start after the other, while they are in cache
_NO_BOUNDS = np.empty((0, 2), np.float32)


class Places:
    """Where the pixels of a block lie in block order.

    Parameters
    ----------
    grid : Grid
        How the cube is cut.

    Examples
    --------
    >>> places = Places(Grid(edges=((0, 1, 2), (0, 2, 3))))
    >>> places(Where((slice(0, 1), slice(2, 3)), (2, 3)))
    slice(2, 3, None)
    >>> places.to_map(np.arange(6)).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._starts: dict[tuple[int, ...], int] = {}
        start = 0
        for index in range(grid.n_blocks):
            bounds = grid.block(index)
            self._starts[tuple(first for first, _ in bounds)] = start
            start += int(np.prod([stop - first for first, stop in bounds]))
        self.n_pixels = start

    def __call__(self, where: Where) -> slice:
        """The slice of a block."""
        start = self._starts[tuple(part.start for part in where.slices)]
        return slice(start, start + where.size)

    def to_map(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values in block order as a map on the scan's grid."""
        found = np.empty(self.grid.shape, values.dtype)
        for index in range(self.grid.n_blocks):
            where = Where(tuple(slice(*bounds) for bounds in self.grid.block(index)), self.grid.shape)
            found[where.slices] = values[self(where)].reshape(where.shape)
        return found


@dataclass
class Start:
    """One of several starts, and how far it got.

    Parameters
    ----------
    centres : ndarray of float64, shape (cluster, feature)
        Centres that the next step takes.
    labels : ndarray of int32, shape (pixel,)
        Clusters in block order, -1 for none.
    bounds : ndarray of float32, shape (pixel, 2) or (0, 2)
        What the own centre is not farther than, and no other is nearer than. Kept where blocks are.
    ways : ndarray of float64, shape (3, cluster), optional
        How the centres moved since the bounds were made; see `refold.cluster.kernels.reassign`.
    """

    centres: Doubles
    labels: Labels
    bounds: npt.NDArray[np.float32] = field(default_factory=lambda: _NO_BOUNDS)
    ways: Doubles | None = None


@dataclass
class Step:
    """What one step changes: of weighted sums, of weights, of the number of pixels with a weight.

    ``inertia`` is NaN where pixels were passed over.
    """

    totals: Doubles
    masses: Doubles
    counts: npt.NDArray[np.int64]
    moved: int = 0
    inertia: float = 0.0
    pieces: list[Piece] = field(default_factory=list)

    def add(self, other: Step) -> None:
        """Take in the changes of a later partition."""
        self.totals += other.totals
        self.masses += other.masses
        self.counts += other.counts
        self.moved += other.moved
        self.inertia += other.inertia
        self.pieces += other.pieces


class Assign:
    """Visitor: give every pixel its nearest centre, for each of some starts; `Step` for each of them.

    Parameters
    ----------
    starts : sequence of Start
        Only read, bar their bounds.
    places : Places
        Of the grid that is swept.
    weights : ndarray of float64, optional
        What each pixel counts, on the scan's grid.
    """

    def __init__(self, starts: Sequence[Start], places: Places, weights: Doubles | None) -> None:
        self.starts = list(starts)
        self.places = places
        self.weights = weights

    @property
    def nbytes(self) -> int:
        """Bytes of one state, clusters of pixels apart."""
        return sum(8 * (start.centres.size + 2 * len(start.centres)) for start in self.starts)

    def start(self) -> list[Step]:
        """No change yet."""
        shapes = [start.centres.shape for start in self.starts]
        return [Step(np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[0], np.int64)) for shape in shapes]

    def visit(self, state: list[Step], block: Block, where: Where) -> None:
        """Look at the pixels of a block, tile by tile, for one start after the other."""
        from refold.cluster.kernels import screen_of

        rows, at, weights = block.numbers, self.places(where), weights_of(self.weights, where)
        dtype = rows.dtype if rows.dtype.kind == "f" else np.dtype(np.float32)
        screens = [screen_of(start.centres, dtype) for start in self.starts]
        labels = [np.empty(len(rows), np.int32) for _ in self.starts]
        step = len(rows) if len(screens) == 1 else max(1, _TILE_BYTES // (rows.itemsize * rows.shape[1]))
        for first in range(0, len(rows), step):
            some = slice(first, first + step)
            here = slice(at.start + first, min(at.start + first + step, at.stop))
            for start, sums, screen, found in zip(self.starts, state, screens, labels, strict=True):
                _show(rows[some], weights[some], start, here, screen, found[some], sums)
        for sums, found in zip(state, labels, strict=True):
            sums.pieces.append((at, found))

    def merge(self, one: list[Step], other: list[Step]) -> list[Step]:
        """Add the changes."""
        for mine, theirs in zip(one, other, strict=True):
            mine.add(theirs)
        return one

    def finish(self, state: list[Step]) -> list[Step]:
        """The changes of all pixels."""
        for start, step in zip(self.starts, state, strict=True):
            if start.ways is not None:
                step.inertia = float("nan")
        return state


def _show(rows: Any, weights: Doubles, start: Start, here: slice, screen: Any, found: Labels, sums: Step) -> None:
    """Show rows to one start."""
    from refold.cluster.kernels import assign, reassign

    before, bounds, changes = start.labels[here], start.bounds[here], (sums.totals, sums.masses, sums.counts)
    if start.ways is None:
        moved, inertia = assign(rows, weights, screen, before, found, bounds, *changes)
        sums.inertia += inertia
    else:
        moved = reassign(rows, weights, screen, start.ways, before, found, bounds, *changes)
    sums.moved += moved


def weights_of(weights: Doubles | None, where: Where) -> Doubles:
    """Weights of a block's pixels; none where they count one each."""
    return np.empty(0) if weights is None else where.pick(weights)


@dataclass
class Far:
    """Pixels far from their centres, the farthest first; equal ones in the order of the scan."""

    squares: Doubles
    pixels: npt.NDArray[np.int64]
    labels: Labels
    weights: Doubles
    rows: Doubles

    def take(self, which: npt.NDArray[Any]) -> Far:
        """Some of them."""
        return Far(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def join(self, other: Far, n: int) -> Far:
        """The farthest of these and others."""
        both = Far(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__dataclass_fields__))
        return both.take(np.lexsort((both.pixels, -both.squares))[:n])


class Farthest:
    """Visitor: the pixels farthest from the centres of their clusters, `Far` for each of some starts.

    Parameters
    ----------
    starts : sequence of Start
        With the centres that gave the labels.
    wanted : sequence of int
        Pixels for each.
    places : Places
        Of the grid that is swept.
    weights : ndarray of float64, optional
        What each pixel counts.
    """

    def __init__(self, starts: Sequence[Start], wanted: Sequence[int], places: Places, weights: Doubles | None) -> None:
        self.starts = list(starts)
        self.wanted = list(wanted)
        self.places = places
        self.weights = weights

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        pairs = zip(self.starts, self.wanted, strict=True)
        return sum(8 * n * (4 + start.centres.shape[1]) for start, n in pairs)

    def start(self) -> list[Far]:
        """None yet."""
        none = np.empty(0, np.int64)
        return [
            Far(np.empty(0), none, none.astype(np.int32), np.empty(0), np.empty((0, start.centres.shape[1])))
            for start in self.starts
        ]

    def visit(self, state: list[Far], block: Block, where: Where) -> None:
        """Offer the pixels of a block."""
        from refold.cluster.kernels import own_squares

        rows, at, pixels = block.numbers, self.places(where), where.pixels
        weights = np.ones(len(rows)) if self.weights is None else where.pick(self.weights)
        for index, (start, n) in enumerate(zip(self.starts, self.wanted, strict=True)):
            labels, squares = start.labels[at], np.empty(len(rows))
            own_squares(rows, start.centres, labels, squares)
            best = np.lexsort((pixels, -squares))[:n]
            best = best[squares[best] >= 0]
            more = Far(squares[best], pixels[best], labels[best], weights[best], rows[best].astype(np.float64))
            state[index] = state[index].join(more, n)

    def merge(self, one: list[Far], other: list[Far]) -> list[Far]:
        """The farthest of both."""
        return [mine.join(theirs, n) for mine, theirs, n in zip(one, other, self.wanted, strict=True)]

    def finish(self, state: list[Far]) -> list[Far]:
        """As they are."""
        return state
