"""A random sample of pixels that does not depend on how the scan is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine.block import Block, Where
from refold.errors import ParameterError


@dataclass
class SampleResult:
    """Pixels drawn without replacement.

    Parameters
    ----------
    pixels : numpy.ndarray
        Shape (sample,): flat indices on the navigation grid, rising.
    rows : numpy.ndarray
        Shape (sample, feature): their signals.
    """

    pixels: npt.NDArray[np.int64]
    rows: npt.NDArray[Any]


@dataclass
class _State:
    keys: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]
    rows: npt.NDArray[Any] | None = None


def pixel_keys(pixels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """A uniform random number in (0, 1) for each pixel, a function of its index and the seed alone.

    Parameters
    ----------
    pixels : numpy.ndarray
        Flat indices.
    seed : int
        Any integer.

    Returns
    -------
    numpy.ndarray
        Float64, the shape of ``pixels``.

    Notes
    -----
    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA) on a counter.

    Examples
    --------
    >>> import numpy as np
    >>> bool((pixel_keys(np.arange(5), 1)[2:] == pixel_keys(np.arange(2, 5), 1)).all())
    True
    """
    golden = 0x9E3779B97F4A7C15
    start = np.uint64((seed * golden + golden) % 2**64)
    with np.errstate(over="ignore"):
        z = start + np.asarray(pixels).astype(np.uint64) * np.uint64(golden)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


class Sample:
    """Visitor: a sample of the valid pixels without replacement, the same for any chunking and order.

    Parameters
    ----------
    n : int
        Pixels wanted; all valid ones, if there are fewer.
    seed : int
        Another seed, another sample.
    weights : array_like, optional
        Shape of the navigation dims: a pixel is drawn in proportion to it. A NumPy or a Zarr array.
    n_features : int, optional
        Features of the cube, so that the plan knows the size of a state.

    Notes
    -----
    Every pixel has a key of its own, and the n smallest are kept; with weights, exponential keys (Efraimidis and
    Spirakis 2006, Inf. Process. Lett. 97, 181).

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.arange(12.0).reshape(3, 2, 2), signal="energy")
    >>> (sample,) = refold.sweep(cube, Sample(2, seed=0))
    >>> sample.rows.shape
    (2, 2)
    """

    def __init__(self, n: int, seed: int = 0, weights: Any = None, *, n_features: int | None = None) -> None:
        if n < 1:
            raise ParameterError(f"a sample of {n} pixels", "one or more", "ask for some")
        self.n = n
        self.seed = seed
        self.weights = weights
        self.n_features = n_features

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return self.n * (16 + 8 * (self.n_features or 0))

    def start(self) -> _State:
        """Nothing drawn yet."""
        return _State(np.empty(0), np.empty(0, dtype=np.int64))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Keep the pixels of a block whose keys are among the smallest so far."""
        pixels = where.pixels
        keys = -np.log(pixel_keys(pixels, self.seed))
        if self.weights is not None:
            weights = where.pick(self.weights).astype(np.float64, copy=False)
            keys = np.divide(keys, weights, out=np.full(len(keys), np.inf), where=weights > 0)
        bound = state.keys.max() if len(state.keys) >= self.n else np.inf
        good = np.flatnonzero(block.valid & (keys <= bound) & np.isfinite(keys))
        if len(good) > self.n:
            good = np.sort(good[np.argsort(keys[good], kind="stable")[: self.n]])
        self._keep(state, keys[good], pixels[good], block.rows[good])

    def _keep(self, state: _State, keys: npt.NDArray[Any], pixels: npt.NDArray[Any], rows: npt.NDArray[Any]) -> None:
        keys, pixels = np.concatenate([state.keys, keys]), np.concatenate([state.pixels, pixels])
        rows = rows if state.rows is None else np.concatenate([state.rows, rows])
        best = np.lexsort((pixels, keys))[: self.n]
        state.keys, state.pixels, state.rows = keys[best], pixels[best], rows[best]

    def merge(self, one: _State, other: _State) -> _State:
        """The smallest keys of both."""
        if other.rows is not None:
            self._keep(one, other.keys, other.pixels, other.rows)
        return one

    def finish(self, state: _State) -> SampleResult:
        """The sample in the order of the scan."""
        order = np.argsort(state.pixels)
        rows = np.empty((0, self.n_features or 0)) if state.rows is None else state.rows
        return SampleResult(state.pixels[order], rows[order])
