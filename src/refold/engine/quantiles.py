"""Order statistics of every feature, exact for any range of values, in a few sweeps and bounded memory.

Numbers are sorted by their bits: those of a float, the sign apart, are in the order of the numbers. One sweep counts
the leading eleven bits of each feature; cumulated, the counts say which leading bits the wanted ranks have, and how
many numbers come before all that begin so. The next sweep counts the next bits of those, and the last one the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, n_features, n_pixels
from refold.engine.block import Block, Where, row_dtype
from refold.engine.traversal import sweep
from refold.errors import ParameterError

Array = npt.NDArray[Any]
_BITS = 11  # counted in a sweep: three sweeps for 32 bits; 2048 counters a feature
_KINDS = {"b": 0, "u": 0, "i": 1, "f": 2}


class BitCounts:
    """Visitor: how often each pattern of some bits comes behind given leading bits, feature by feature.

    Parameters
    ----------
    dtype : numpy.dtype
        Whose bits are counted: that of the cube, or that of its blocks' rows.
    shift, width : int
        Which bits: ``width`` of them, above the lowest ``shift``.
    prefixes : sequence of numpy.ndarray
        For each feature, the bits above those, uint64 in rising order; other numbers are not counted.
    n_pixels : int
        Pixels of the cube, which say how large a counter must be.
    """

    def __init__(
        self, dtype: np.dtype[Any], shift: int, width: int, prefixes: Sequence[npt.NDArray[np.uint64]], n_pixels: int
    ) -> None:
        self.dtype = dtype
        self.shift = shift
        self.width = width
        self.first = np.cumsum([0, *map(len, prefixes)])
        self.prefix = np.concatenate(prefixes)
        self.counter = np.dtype(np.uint32 if n_pixels < 2**32 else np.uint64)

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return len(self.prefix) * self.counter.itemsize << self.width

    def start(self) -> Array:
        """Nothing counted yet."""
        return np.zeros((len(self.prefix), 1 << self.width), self.counter)

    def visit(self, state: Array, block: Block, where: Where) -> None:
        """Count the valid pixels of a block."""
        from refold.engine.ranks import count_bits  # numba takes half a second to import

        values = block.data if block.data.dtype.newbyteorder("=") == self.dtype else block.rows
        bits = np.ascontiguousarray(values, self.dtype.newbyteorder("=")).reshape(block.n_pixels, -1)
        size = 8 * self.dtype.itemsize
        count_bits(
            bits.view(f"u{self.dtype.itemsize}"),
            np.flatnonzero(block.valid),
            _KINDS[self.dtype.kind],
            np.uint64(1 << (size - 1)),
            np.uint64((1 << size) - 1),
            np.uint64(self.shift),
            np.uint64(self.width),
            self.first,
            self.prefix,
            state,
        )

    def merge(self, one: Array, other: Array) -> Array:
        """Add."""
        one += other
        return one

    def finish(self, state: Array) -> Array:
        """Counts of shape (prefix, pattern), the prefixes of all features one after the other."""
        return state


class RankSearch:
    """Search for quantiles, sweep by sweep: ``visitor`` is what the next sweep needs, `settle` takes what it counted.

    Parameters
    ----------
    cube : xarray.DataArray
        Whose features are meant; nothing of it is read here.
    q : array_like
        Between 0 and 1.
    sweeps : int
        Most sweeps that may be used.

    Attributes
    ----------
    visitor : BitCounts or None
        None once the search is over.
    bound : float
        See `quantile_bound`.

    Examples
    --------
    >>> import refold
    >>> cube = refold.as_cube(np.arange(10, dtype="float32").reshape(5, 2), signal="energy")
    >>> search = RankSearch(cube, 0.5)
    >>> while search.visitor is not None:
    ...     search = search.settle(*refold.sweep(cube, search.visitor))
    >>> search.values
    array([4., 5.])
    """

    def __init__(self, cube: xr.DataArray, q: npt.ArrayLike, *, sweeps: int = 3) -> None:
        cube = check_cube(cube)
        self.q = np.asarray(q, dtype=np.float64)
        if not self.q.size or not ((self.q >= 0) & (self.q <= 1)).all():
            raise ParameterError(f"q={q!r}", "shares between 0 and 1", "write the median as 0.5")
        self._dtype = _counted(cube.dtype, sweeps)
        self._size = 8 * self._dtype.itemsize
        self._widths = _widths(self._size, sweeps)
        self.bound = quantile_bound(cube.dtype, sweeps)
        self._features, self._n_pixels = n_features(cube), n_pixels(cube)
        self._known = 0  # leading bits that are
        self._leading = np.zeros((1, self._features), np.uint64)  # shape (rank, feature): these bits
        self._ranks: npt.NDArray[np.int64] | None = None  # shape (rank, feature): of these, among those that begin so
        self._count = 0
        self.visitor: BitCounts | None = self._next()

    def _next(self) -> BitCounts | None:
        if not self._widths:
            return None
        width = self._widths.pop(0)
        shift = self._size - self._known - width
        prefixes = [np.unique(column) for column in self._leading.T]
        return BitCounts(self._dtype, shift, width, prefixes, self._n_pixels)

    def settle(self, counts: Array) -> Self:
        """Take the counts of a sweep with ``visitor`` and make the next one.

        Parameters
        ----------
        counts : numpy.ndarray
            The result of ``visitor``.

        Returns
        -------
        RankSearch
            Itself.
        """
        from refold.engine.ranks import descend

        assert self.visitor is not None
        if self._ranks is None:
            self._count = int(counts[0].sum())
            below, above, _ = _places(self.q.ravel(), self._count)
            self._ranks = np.repeat(np.concatenate([below, above])[:, None], self._features, axis=1)
            self._leading = np.zeros_like(self._ranks, dtype=np.uint64)
        if not self._count:
            self.visitor, self._widths = None, []
            return self
        descend(
            counts, np.uint64(self.visitor.width), self.visitor.first, self.visitor.prefix, self._leading, self._ranks
        )
        self._known += self.visitor.width
        self.visitor = self._next()
        return self

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Shape (*shape of q, feature), in the C order of the signal dims; NaN where no pixel is valid."""
        shape = (*self.q.shape, self._features)
        if not self._count:
            return np.full(shape, np.nan)
        found = _numbers(self._leading, self._dtype, self._size - self._known)
        low, high = found[: self.q.size], found[self.q.size :]
        _, _, share = _places(self.q.ravel(), self._count)
        return _between(low, high, share[:, None]).reshape(shape)


def quantiles(cube: xr.DataArray, q: npt.ArrayLike, *, sweeps: int = 3, **options: Any) -> npt.NDArray[np.float64]:
    """Quantiles of every feature over the valid pixels, interpolated between neighbours as `numpy.quantile` does.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube. Pixels with anything that is not finite are left out.
    q : array_like
        Shares between 0 and 1.
    sweeps : int
        Most times that the cube is read. Three are exact for numbers of up to 32 bits, two for integers of 16, one for
        8; with fewer, and for doubles, which need six, see `quantile_bound`.
    **options
        As for `sweep`.

    Returns
    -------
    numpy.ndarray
        Shape (*shape of q, feature), float64; features in the C order of the signal dims. NaN if no pixel is valid.

    Raises
    ------
    ParameterError
        If a share is not between 0 and 1, or there is to be no sweep.

    Notes
    -----
    Selection by radix, most significant digit first (Knuth, The Art of Computer Programming 3, 5.2.5), over blocks.
    64-bit integers are taken as doubles.

    Examples
    --------
    >>> import refold
    >>> quantiles(refold.as_cube(np.arange(10.0).reshape(5, 2), signal="energy"), [0, 0.5], sweeps=6)
    array([[0., 1.],
           [4., 5.]])
    """
    search = RankSearch(cube, q, sweeps=sweeps)
    while search.visitor is not None:
        (counts,) = sweep(cube, search.visitor, **{"label": "quantiles", **options})
        search.settle(counts)
    return search.values


def quantile_bound(dtype: npt.DTypeLike, sweeps: int) -> float:
    """Say how far from the true ones quantiles may be after so many sweeps.

    Parameters
    ----------
    dtype : dtype
        Of the cube.
    sweeps : int
        Sweeps allowed.

    Returns
    -------
    float
        Of each of the two neighbours, the largest error as a share of it; 0 if they are exact. Numbers nearer to zero
        than the smallest normal one of the type count as zero.

    Examples
    --------
    >>> [quantile_bound("float32", sweeps) for sweeps in (1, 2, 3)], quantile_bound("uint16", 2)
    ([0.125, 6.103515625e-05, 0.0], 0.0)
    """
    dtype = np.dtype(dtype)
    counted = _counted(dtype, sweeps)
    size = 8 * counted.itemsize
    unknown = size - sum(_widths(size, sweeps))
    bound = 0.0
    if counted.kind == "f" and dtype.kind in "iu" and 8 * dtype.itemsize > np.finfo(counted).nmant + 1:
        bound += float(np.finfo(counted).eps) / 2  # of integers that it cannot hold
    if unknown:
        fraction = np.finfo(counted).nmant - unknown  # bits of it that are known; below 0, even the exponent is not
        bound += 2.0 ** -(fraction + 1) if fraction >= 0 else (2.0**2**-fraction - 1) / 2
    return bound


def _counted(dtype: np.dtype[Any], sweeps: int) -> np.dtype[Any]:
    """The type whose bits are counted: of integers with more bits than there are sweeps for, a float's."""
    if sweeps < 1:
        raise ParameterError(f"sweeps={sweeps}", "one or more", "three are exact for 32 bits")
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    whole = dtype.kind in "iu" and dtype.itemsize <= 4 and 8 * dtype.itemsize <= _BITS * sweeps
    return dtype.newbyteorder("=") if whole else row_dtype(dtype)


def _widths(size: int, sweeps: int) -> list[int]:
    """Bits that each sweep counts: all of them in as few sweeps as that takes, or as many as there are sweeps for."""
    needed = math.ceil(size / _BITS)
    if needed > sweeps:
        return [_BITS] * sweeps
    return [size // needed + (place < size % needed) for place in range(needed)]


def _places(q: npt.NDArray[np.float64], count: int) -> tuple[Array, Array, npt.NDArray[np.float64]]:
    """Ranks of the neighbours below and above, and how far between them each quantile lies."""
    place = q * (count - 1)
    below = np.floor(place).astype(np.int64)
    return below, np.minimum(below + 1, max(count - 1, 0)), place - below


def _between(low: Array, high: Array, share: Array) -> npt.NDArray[np.float64]:
    """Interpolate in NumPy's way, from the nearer neighbour, which is exact at both and never turns back."""
    with np.errstate(over="ignore", invalid="ignore"):
        step = high - low
        near: npt.NDArray[np.float64] = np.where(share >= 0.5, high - step * (1 - share), low + step * share)
        # Of doubles with all but the whole range between them the difference is infinite.
        return np.where(np.isfinite(step), near, low * (1 - share) + high * share)


def _numbers(leading: npt.NDArray[np.uint64], dtype: np.dtype[Any], unknown: int) -> npt.NDArray[np.float64]:
    """The numbers that bits stand for; if some are not known, the middle of those that begin so."""
    low = leading << np.uint64(unknown)
    if not unknown:
        return _decoded(low, dtype)
    high = low | np.uint64((1 << unknown) - 1)
    ends = _decoded(low, dtype), _decoded(high, dtype)
    middle = ends[0] / 2 + ends[1] / 2
    return np.where(np.abs(middle) < np.finfo(dtype).tiny, 0.0, middle)


def _decoded(keys: npt.NDArray[np.uint64], dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    """Undo `ranks.ordered`."""
    size = 8 * dtype.itemsize
    top, full = np.uint64(1 << (size - 1)), np.uint64((1 << size) - 1)
    if dtype.kind == "f":
        keys = np.where(keys & top != 0, keys ^ top, keys ^ full)
    elif dtype.kind == "i":
        keys = keys ^ top
    return keys.astype(f"u{dtype.itemsize}").view(dtype).astype(np.float64)
