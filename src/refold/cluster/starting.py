"""Where k-means starts: k-means|| and k-means++, for several starts in the same sweeps.

Both draw pixels in proportion to their squared distance from what was drawn before. A draw keeps the pixels of the
smallest keys ``-log(u) / weight``, u being a random number that a pixel has of its own, which is weighted sampling
without replacement (Efraimidis and Spirakis 2006, Inf. Process. Lett. 97, 181) in one sweep, with nothing to know
beforehand; and it is the same draw however the scan is cut.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where, pixel_keys
from refold.engine.visitor import AnyVisitor

Doubles = npt.NDArray[np.float64]
Look = Callable[[AnyVisitor], Any]
"""Makes a sweep for a visitor, and gives its result."""

_ROUNDS = 2  # of k-means||, after a uniform draw
_OVERSAMPLING = 4  # pixels of one draw, for each cluster
_SEEDS = 2**62
_RECLUSTERINGS = 5


@dataclass
class Drawing:
    """What is to be drawn for one start.

    Parameters
    ----------
    centres : ndarray of float64, shape (drawn, feature)
        Drawn before; none yet for a uniform draw.
    n : int
        Pixels to draw.
    seed : int
        Decides.
    """

    centres: Doubles
    n: int
    seed: int


@dataclass
class _Drawn:
    keys: Doubles
    pixels: npt.NDArray[np.int64]
    rows: Doubles

    def join(self, other: _Drawn, n: int) -> _Drawn:
        keys, pixels = np.concatenate([self.keys, other.keys]), np.concatenate([self.pixels, other.pixels])
        best = np.lexsort((pixels, keys))[:n]
        return _Drawn(keys[best], pixels[best], np.concatenate([self.rows, other.rows])[best])


class Draw:
    """Visitor: pixels in proportion to their squared distance from centres; rows of float64 for each of some starts.

    Parameters
    ----------
    drawings : sequence of Drawing
        What to draw.
    weights : ndarray of float64, optional
        What each pixel counts, on the scan's grid.
    """

    def __init__(self, drawings: Sequence[Drawing], weights: Doubles | None) -> None:
        self.drawings = list(drawings)
        self.weights = weights

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return sum(8 * drawing.n * (2 + drawing.centres.shape[1]) for drawing in self.drawings)

    def start(self) -> list[_Drawn]:
        """Nothing drawn."""
        widths = [drawing.centres.shape[1] for drawing in self.drawings]
        return [_Drawn(np.empty(0), np.empty(0, np.int64), np.empty((0, width))) for width in widths]

    def visit(self, state: list[_Drawn], block: Block, where: Where) -> None:
        """Offer the pixels of a block."""
        rows, pixels = block.numbers, where.pixels
        for index, drawing in enumerate(self.drawings):
            weight = _squares(block, drawing.centres)
            if self.weights is not None:
                weight = weight * where.pick(self.weights)
            draw = -np.log(pixel_keys(pixels, drawing.seed))
            keys = np.divide(draw, weight, out=np.full(len(rows), np.inf), where=weight > 0)
            best = np.lexsort((pixels, keys))[: drawing.n]
            best = best[np.isfinite(keys[best])]
            more = _Drawn(keys[best], pixels[best], rows[best].astype(np.float64))
            state[index] = state[index].join(more, drawing.n)

    def merge(self, one: list[_Drawn], other: list[_Drawn]) -> list[_Drawn]:
        """The smallest keys of both."""
        return [mine.join(theirs, draw.n) for mine, theirs, draw in zip(one, other, self.drawings, strict=True)]

    def finish(self, state: list[_Drawn]) -> list[Doubles]:
        """The rows, in the order of the draw."""
        return [drawn.rows for drawn in state]


def _squares(block: Block, centres: Doubles) -> Doubles:
    """Squared distance of each row to the nearest centre; 1 where there is none yet, 0 where it is not finite."""
    if not len(centres):
        return block.valid.astype(np.float64)
    return np.nan_to_num(nearest(block, centres)[1], nan=0.0)


def nearest(block: Block, centres: Doubles) -> tuple[npt.NDArray[np.int32], Doubles]:
    """The nearest centre of each row of a block, -1 where one is not finite; and the squared distance, else NaN."""
    from refold.cluster.kernels import nearest_centres, screen_of

    rows = block.numbers
    labels, squares = np.empty(len(rows), np.int32), np.empty(len(rows))
    dtype = rows.dtype if rows.dtype.kind == "f" else np.dtype(np.float32)
    nearest_centres(rows, screen_of(centres, dtype), labels, squares)
    return labels, squares


class Share:
    """Visitor: the weight of the pixels that are nearest to each centre, for several sets of centres.

    Parameters
    ----------
    sets : sequence of ndarray of float64, shape (centre, feature)
        The centres.
    weights : ndarray of float64, optional
        What each pixel counts, on the scan's grid.
    """

    def __init__(self, sets: Sequence[Doubles], weights: Doubles | None) -> None:
        self.sets = list(sets)
        self.weights = weights

    def start(self) -> list[Doubles]:
        """Nothing counted."""
        return [np.zeros(len(centres)) for centres in self.sets]

    def visit(self, state: list[Doubles], block: Block, where: Where) -> None:
        """Count the pixels of a block."""
        weights = None if self.weights is None else where.pick(self.weights)
        for shares, centres in zip(state, self.sets, strict=True):
            labels = nearest(block, centres)[0]
            valid = labels >= 0
            shares[:] += np.bincount(labels[valid], None if weights is None else weights[valid], minlength=len(centres))

    def merge(self, one: list[Doubles], other: list[Doubles]) -> list[Doubles]:
        """Weights add."""
        for mine, theirs in zip(one, other, strict=True):
            mine[:] += theirs
        return one

    def finish(self, state: list[Doubles]) -> list[Doubles]:
        """As they are."""
        return state


@dataclass(frozen=True)
class Starting:
    """How starts are found.

    Parameters
    ----------
    method : {"k-means||", "k-means++"}
        The first draws some pixels a sweep and clusters those; four sweeps. The second draws one pixel a sweep.
    n_clusters, n_features : int
        Shape of the centres.
    n_starts : int
        Starts wanted.
    seed : int
        Decides.
    weights : ndarray of float64, optional
        What each pixel counts, on the scan's grid.

    References
    ----------
    Bahmani, Moseley, Vattani, Kumar and Vassilvitskii (2012), Proc. VLDB Endow. 5, 622; Arthur and Vassilvitskii
    (2007), SODA.
    """

    method: str
    n_clusters: int
    n_features: int
    n_starts: int
    seed: int
    weights: Doubles | None

    @property
    def n_drawn(self) -> int:
        """Pixels that one sweep draws for each start."""
        return 1 if self.method == "k-means++" else _OVERSAMPLING * self.n_clusters

    def find(self, look: Look) -> list[Doubles]:
        """Find the centres of every start; none where no pixel is valid."""
        rng = np.random.default_rng(self.seed)
        if self.method == "k-means++":
            return [self._filled(drawn) for drawn in self._draw(look, rng, [1] * self.n_clusters)]
        drawn = self._draw(look, rng, [self.n_drawn] * (1 + _ROUNDS))
        if not all(map(len, drawn)):
            return drawn
        shares = look(Share(drawn, self.weights))
        seeds = rng.integers(2**31, size=self.n_starts)
        return [self._recluster(*of_start) for of_start in zip(drawn, shares, seeds, strict=True)]

    def _draw(self, look: Look, rng: np.random.Generator, numbers: Sequence[int]) -> list[Doubles]:
        """Draw so many pixels a sweep, each time in proportion to the squared distance from those before."""
        drawn = [np.empty((0, self.n_features))] * self.n_starts
        for n in numbers:
            seeds = rng.integers(_SEEDS, size=self.n_starts)
            drawings = [Drawing(centres, n, int(seed)) for centres, seed in zip(drawn, seeds, strict=True)]
            more = look(Draw(drawings, self.weights))
            drawn = [np.concatenate(both) for both in zip(drawn, more, strict=True)]
            if not any(map(len, more)):
                break  # every pixel is drawn, or lies where one is
        return drawn

    def _recluster(self, drawn: Doubles, shares: Doubles, seed: int) -> Doubles:
        """Weighted k-means of what was drawn."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        drawn, shares = drawn[shares > 0], shares[shares > 0]
        if len(drawn) <= self.n_clusters:
            return self._filled(drawn)
        model = KMeans(self.n_clusters, n_init=_RECLUSTERINGS, random_state=int(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer points than clusters: said of all pixels later
            centres: Doubles = model.fit(drawn, sample_weight=shares).cluster_centers_
        return centres

    def _filled(self, centres: Doubles) -> Doubles:
        """As many centres as wanted: where all pixels lie on fewer points, some of these several times."""
        if not len(centres):
            return centres
        return centres[np.arange(self.n_clusters) % len(centres)]
