"""Landmarks: the pixels on which the embedding and the clustering are fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator

from refold.cube import check_cube, n_features, n_pixels
from refold.embed.drawing import CellDraw, Drawn, Outskirts, Picked
from refold.embed.seeding import Singles, index_of, seed_cells
from refold.engine import Block, Sample, SampleResult, Visitor, Where, sweep
from refold.errors import DataError, ParameterError
from refold.planning.landmarks import landmarks_of

_CELL_SHARE = 96  # landmarks for each cell: half of them by level, so about 48 of any small cell are kept
_MOST_CELLS = 256
_FEWEST_CELLS = 32
_SEEDING_ROWS = 8192  # rows that the cells are found from

Visitors = tuple[Visitor[Any, Any], ...]
Steps = Generator[Visitors, tuple[Any, ...], None]


class Landmarks(BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """All valid pixels while they fit, else a weighted sample that keeps rare phases.

    Parameters
    ----------
    n : int, float or None
        Pixels to keep at most; a float in (0, 1] is a share of the valid pixels. None goes by the size of the scan:
        5 000 up to 250 x 250 pixels, 10 240 of 512 x 512, 20 000 from 1000 x 1000 on.
    always : array_like of int, optional
        Flat indices of pixels that are landmarks in any case, as far as they are valid: those that
        `refold.promote_outliers` found. They count towards `n`, and each stands for itself.
    random_state : int
        Seed. The draw depends on it and the scores alone, not on chunks, threads or processes.

    Attributes
    ----------
    pixels_ : ndarray of int64, shape (landmarks,)
        Flat indices on the navigation grid, ascending.
    rows_ : ndarray of float32, shape (landmarks, component)
        Their scores.
    weights_ : ndarray of float64, shape (landmarks,)
        How many pixels each stands for; they add up to the valid pixels.
    n_valid_ : int
        Valid pixels of the scan.

    Notes
    -----
    One sweep where all pixels fit. Else three: a uniform sample gives cells for the body of the data; a second sweep
    samples what lies far outside them, and cells are placed there too; a third counts every cell and draws from it.
    Half of the landmarks are shared out by size, the other half raise all cells to a common level, as water fills a
    basin, so that a cell of fifty pixels is kept whole. ``docs/design/landmarks.md`` has the reasons and the figures.

    Examples
    --------
    >>> import numpy as np, refold
    >>> scores = refold.as_cube(np.random.default_rng(0).normal(size=(8, 9, 3)), signal="component")
    >>> marks = Landmarks(n=20).fit(scores)
    >>> marks.rows_.shape, float(marks.weights_.sum())
    ((20, 3), 72.0)
    """

    def __init__(
        self, n: int | float | None = None, *, always: npt.ArrayLike | None = None, random_state: int = 0
    ) -> None:
        self.n = n
        self.always = always
        self.random_state = random_state

    def fit(self, scores: xr.DataArray, y: object = None) -> Self:
        """Choose landmarks.

        Parameters
        ----------
        scores : xarray.DataArray
            A cube (*navigation, component), lazy or not. Pixels with a score that is not finite are left out.
        y : None
            Ignored.

        Returns
        -------
        Landmarks
            Itself.

        Raises
        ------
        DataError
            If no pixel is valid.
        ParameterError
            If ``n`` is neither a number of pixels nor a share, or ``always`` names a pixel that there is not.
        """
        cube = check_cube(scores)
        draw_together([self.steps(cube)], lambda wanted: [sweep(cube, *wanted[0], label="landmarks")])
        return self

    def steps(self, scores: xr.DataArray) -> Steps:
        """Choose landmarks by sweeps that somebody else makes, so that several draws can share them.

        Parameters
        ----------
        scores : xarray.DataArray
            As for `fit`; only its shape is looked at.

        Yields
        ------
        tuple of Visitor
            What the next sweep over the scores is to feed; their results, in this order, are to be sent. When nothing
            more is wanted, the landmarks are chosen. See `draw_together`.
        """
        cube = check_cube(scores)
        uniform = Sample(self._most(n_pixels(cube)), self.random_state, n_features=n_features(cube))
        picked = Picked(self._always(n_pixels(cube)), n_features(cube))
        sample, n_valid, always = yield uniform, _Count(), picked
        if n_valid == 0:
            raise DataError("no pixel with finite scores", "at least one", "look at the residual map and the mask")
        n = min(self._most(n_valid), n_valid)
        self.n_valid_ = int(n_valid)
        if n == n_valid:
            self._remember(sample.pixels, sample.rows, np.ones(n))
            return
        # The others are drawn as if these were not there; one at least, to stand for all the rest.
        drawn, weights = yield from self._draw(sample, max(1, n - always.pixels.size), always.pixels)
        both, weights = always.join(drawn), np.concatenate([np.ones(always.pixels.size), weights])
        order = np.argsort(both.pixels)
        self._remember(both.pixels[order], both.rows[order], weights[order])

    def _always(self, available: int) -> npt.NDArray[np.int64]:
        """Pixels that are landmarks in any case, rising, each once."""
        pixels = np.unique(np.asarray(() if self.always is None else self.always, np.int64))
        if pixels.size and not 0 <= pixels[0] <= pixels[-1] < available:
            raise ParameterError(
                f"always with pixels {pixels[0]} to {pixels[-1]}",
                f"flat indices from 0 to {available - 1}",
                "give indices on the grid of the scores",
            )
        return pixels

    def _most(self, available: int) -> int:
        """Landmarks wanted of so many pixels."""
        if self.n is None:
            return landmarks_of(available)
        if isinstance(self.n, Integral) and not isinstance(self.n, bool) and int(self.n) >= 1:
            return min(int(self.n), available)
        if isinstance(self.n, Real) and not isinstance(self.n, Integral) and 0 < float(self.n) <= 1:
            return max(1, math.ceil(float(self.n) * available))
        raise ParameterError(
            f"n={self.n!r}", "a number of pixels, a share above 0 and up to 1, or None", "try n=10_000, or n=0.1"
        )

    def _remember(
        self, pixels: npt.NDArray[np.int64], rows: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> None:
        self.pixels_, self.weights_ = pixels, weights
        self.rows_ = np.ascontiguousarray(rows, dtype=np.float32)

    def _draw(
        self, sample: SampleResult, n: int, without: npt.NDArray[np.int64]
    ) -> Generator[Visitors, tuple[Any, ...], tuple[Drawn, npt.NDArray[np.float64]]]:
        """Find cells, draw from each, and weigh."""
        # Two landmarks for each cell at least, so that each gets one and stands for its pixels.
        n_cells = max(1, min(n // 2, int(np.clip(n // _CELL_SHARE, _FEWEST_CELLS, _MOST_CELLS))))
        centres = yield from self._cells(sample.rows[_evenly(len(sample.pixels))].astype(np.float32), n, n_cells)
        draw = CellDraw(n, 4 * (-(-n // (2 * centres.shape[0]))), centres, self.random_state + 2, without)
        ((drawn, sizes),) = yield (draw,)
        kept = np.bincount(drawn.cells, minlength=sizes.size)
        quotas = share_out(n, sizes, kept)
        drawn = drawn.take(drawn.rank_in_cell() < quotas[drawn.cells])
        return drawn, sizes[drawn.cells] / quotas[drawn.cells]

    def _cells(self, body: Singles, n: int, n_cells: int) -> Generator[Visitors, tuple[Any, ...], Singles]:
        """Centres of the body's cells and of the outskirts'."""
        rng = np.random.default_rng(self.random_state)
        centres = seed_cells(body, max(1, n_cells // 2), rng)
        cells, distance = index_of(centres).query(body, 1)
        totals = np.bincount(cells[:, 0], distance[:, 0] ** 2, minlength=centres.shape[0])
        counts = np.maximum(np.bincount(cells[:, 0], minlength=centres.shape[0]), 1)
        overall = totals.sum() / counts.sum()
        if overall == 0:
            overall = 1.0
        # A cell of a few equal pixels has no spread of its own; a tenth of the common one stands in.
        spread = np.maximum(totals / counts, overall / 10)
        outskirts = Outskirts(min(_SEEDING_ROWS, max(n // 2, 64)), centres, spread, self.random_state + 1)
        (far,) = yield (outskirts,)
        if far.pixels.size == 0 or n_cells == 1:
            return centres
        outer = seed_cells(far.rows, n_cells - n_cells // 2, rng, known=centres)
        return np.concatenate([centres, outer])


def draw_together(draws: Sequence[Steps], traverse: Callable[[Sequence[Visitors]], Sequence[tuple[Any, ...]]]) -> None:
    """Let several draws of landmarks share each of their sweeps.

    Parameters
    ----------
    draws : sequence of generator
        `Landmarks.steps` of each.
    traverse : callable
        Given the visitors that each draw wants fed (none, once a draw is done), it sweeps, and returns their results.
    """
    wanted: list[Visitors] = [next(draw) for draw in draws]
    while any(wanted):
        found = traverse(wanted)
        for at, (draw, results) in enumerate(zip(draws, found, strict=True)):
            if not wanted[at]:
                continue
            try:
                wanted[at] = draw.send(results)
            except StopIteration:
                wanted[at] = ()


class _Count:
    """Visitor: how many pixels are valid."""

    nbytes = 8

    def start(self) -> list[int]:
        return [0]

    def visit(self, state: list[int], block: Block, where: Where) -> None:
        state[0] += int(block.valid.sum())

    def merge(self, one: list[int], other: list[int]) -> list[int]:
        return [one[0] + other[0]]

    def finish(self, state: list[int]) -> int:
        return state[0]


def _evenly(size: int) -> slice:
    """At most `_SEEDING_ROWS` of a sample in scan order, spread over it."""
    return slice(None, None, max(1, size // _SEEDING_ROWS))


def share_out(n: int, sizes: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Share landmarks out over cells: half in proportion to size, half to raise the lowest to a common level.

    Parameters
    ----------
    n : int
        Landmarks; at most the sum of `kept`.
    sizes : ndarray of int64
        Pixels of each cell.
    kept : ndarray of int64
        Pixels of each cell that can be had.

    Returns
    -------
    ndarray of int64
        Landmarks of each cell; they add up to `n`. With two or more for each cell, none that has pixels goes without.

    Examples
    --------
    >>> share_out(100, np.array([9000, 960, 40]), np.array([100, 100, 40]))
    array([62, 21, 17])
    """
    quotas = np.minimum((n // 2) * sizes // max(1, sizes.sum()), kept)
    low, high = 0, n
    while low < high:  # the highest level that can be paid for
        level = (low + high + 1) // 2
        if np.minimum(quotas + level, kept).sum() <= n:
            low = level
        else:
            high = level - 1
    quotas = np.minimum(quotas + low, kept)
    rest = n - int(quotas.sum())
    wanting = np.flatnonzero(quotas < kept)
    quotas[wanting[np.argsort(-sizes[wanting], kind="stable")[:rest]]] += 1
    return np.asarray(quotas, np.int64)
