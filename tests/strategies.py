"""Hypothesis strategies: cubes of every shape that Refold takes as normal input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from hypothesis import strategies as st

from refold.cube import as_cube

NAVIGATION = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
SIGNAL = {1: ("energy",), 2: ("ky", "kx")}
UNITS = {"x": "nm", "y": "nm", "z": "nm", "energy": "eV", "ky": "1/nm", "kx": "1/nm"}
DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def shapes(n_dims: int, max_side: int = 7) -> st.SearchStrategy[tuple[int, ...]]:
    """Sizes of some dims; 1 is a size like any other (a scan of one row)."""
    return st.tuples(*[st.integers(1, max_side)] * n_dims)


def splits(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Ways to cut a dim into chunks: one, all ones, even with a ragged end, or just any."""
    regular = st.integers(1, size).map(lambda step: _regular(size, step))
    if size == 1:
        return st.just((1,))
    ragged = st.sets(st.integers(1, size - 1), max_size=4).map(lambda cuts: _between(cuts, size))
    return st.one_of(st.just((size,)), regular, ragged)


def chunkings(shape: Sequence[int]) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Chunks of an array of this shape, as Dask writes them."""
    return st.tuples(*[splits(size) for size in shape])


def _regular(size: int, step: int) -> tuple[int, ...]:
    whole, rest = divmod(size, step)
    return (step,) * whole + ((rest,) if rest else ())


def _between(cuts: set[int], size: int) -> tuple[int, ...]:
    edges = [0, *sorted(cuts), size]
    return tuple(int(width) for width in np.diff(edges))


@st.composite
def positions(draw: st.DrawFn, size: int) -> np.ndarray:
    """A coordinate: ascending or descending, of any offset and scale; now and then in no order at all."""
    order = draw(st.sampled_from(["ascending", "ascending", "descending", "unsorted"]))
    values = draw(st.sampled_from([-3.5, 0.0, 100.0])) + np.arange(size) * draw(st.sampled_from([0.25, 1.0, 8.0]))
    if order == "descending":
        return values[::-1].copy()
    return np.random.default_rng(size).permutation(values) if order == "unsorted" else values


@st.composite
def values(draw: st.DrawFn, shape: tuple[int, ...], dtype: str, invalid: bool = False) -> np.ndarray:
    """Numbers for a cube: counts, or reals around zero; with `invalid`, some pixels of a float cube are NaN or inf."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if np.dtype(dtype).kind in "iu":
        return rng.poisson(draw(st.sampled_from([0.3, 5.0, 60.0])), shape).clip(max=np.iinfo(dtype).max).astype(dtype)
    array = rng.normal(draw(st.sampled_from([0.0, 50.0])), 1.0, shape).astype(dtype)
    if invalid:
        spots = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3]))
        array[spots] = rng.choice([np.nan, np.inf, -np.inf], size=int(spots.sum()))
    return array


@st.composite
def cubes(
    draw: st.DrawFn,
    *,
    navigation: Sequence[int] = (1, 2, 3),
    signal: Sequence[int] = (1, 2),
    max_side: int = 6,
    dtypes: Sequence[str] = DTYPES,
    lazy: bool | None = None,
    invalid: bool = False,
    min_pixels: int = 1,
    min_features: int = 1,
) -> xr.DataArray:
    """Cubes: a line, a map or a stack of spectra or images, of any dtype, chunking and calibration.

    Parameters
    ----------
    navigation, signal : sequence of int
        Numbers of navigation and of signal dims to draw from.
    max_side : int
        Longest dim, before `min_pixels` and `min_features` are met (by a longer last dim).
    lazy : bool, optional
        Dask-backed, numpy-backed, or either. The signal dims may be cut into chunks as well.
    invalid : bool
        Whether float cubes may hold NaN and infinities.
    """
    navigation_dims, signal_dims = NAVIGATION[draw(st.sampled_from(navigation))], SIGNAL[draw(st.sampled_from(signal))]
    dims = navigation_dims + signal_dims
    shape = _at_least(draw(shapes(len(navigation_dims), max_side)), min_pixels) + _at_least(
        draw(shapes(len(signal_dims), max_side)), min_features
    )
    array: Any = draw(values(shape, draw(st.sampled_from(dtypes)), invalid))
    if draw(st.booleans()) if lazy is None else lazy:
        array = da.from_array(array, chunks=draw(chunkings(shape)), name=False)
    coords = {
        dim: (draw(positions(size)), {"units": UNITS[dim]})
        for dim, size in zip(dims, shape, strict=True)
        if draw(st.booleans())
    }
    return as_cube(array, signal=signal_dims, dims=dims, coords=coords, name=draw(st.sampled_from([None, "counts"])))


def _at_least(shape: tuple[int, ...], total: int) -> tuple[int, ...]:
    """The same shape, its last dim lengthened until it holds this many positions."""
    front = int(np.prod(shape[:-1], dtype=int))
    return (*shape[:-1], max(shape[-1], -(-total // front)))
