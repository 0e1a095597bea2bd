"""Cubes on one navigation grid, side by side in one lazy array; no chunk of theirs is read for two blocks of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Self

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import IMAGE_DIM, ROLE, n_features, navigation_dims, navigation_shape, signal_dims
from refold.engine import Block
from refold.errors import RefoldWarning
from refold.features.affine import AFFINE, Affine
from refold.features.scaling import Scaler, Scaling
from refold.planning import format_bytes

Array = npt.NDArray[Any]
Chunks = tuple[tuple[int, ...], ...]
_MOST_BYTES = 2**28  # of a block for the sake of common edges
_SWEPT_BYTES = 2**26  # of a block in a sweep, about
_TILE_BYTES = 2**20


def common_chunks(cubes: Mapping[str, xr.DataArray]) -> Chunks:
    """Navigation chunks whose edges are edges of the chunks of every cube, so that nothing is read for two of them.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        On one navigation grid. What is in memory may be cut anywhere.

    Returns
    -------
    tuple of tuple of int
        As Dask writes them. The chunks of a cube are cut after all where blocks would become too large for its sake,
        as for a picture that is one chunk; the larger cubes come first.

    Warns
    -----
    RefoldWarning
        If more is read for that reason than there is.
    """
    first = next(iter(cubes.values()))
    lazy = {name: cube for name, cube in cubes.items() if cube.chunks is not None}
    by_size = sorted(lazy, key=lambda name: -lazy[name].nbytes)
    pixel = sum(n_features(cube) * (cube.dtype.itemsize + 4) for cube in cubes.values())
    edges: list[set[int]] | None = None
    for name in by_size:
        own = [set(accumulate(sizes, initial=0)) for sizes in lazy[name].data.chunks[: len(navigation_dims(first))]]
        shared = own if edges is None else [one & other for one, other in zip(edges, own, strict=True)]
        if edges is None or pixel * math.prod(map(_widest, shared)) <= max(
            _MOST_BYTES, pixel * math.prod(map(_widest, edges))
        ):
            edges = shared
    if edges is None:
        return tuple((size,) for size in navigation_shape(first))
    there = sum(cube.nbytes for cube in cubes.values())
    for name in by_size:
        _warn_of_reading(name, lazy[name], edges, there)
    return tuple(tuple(int(b - a) for a, b in pairwise(sorted(edge))) for edge in edges)


def _widest(edges: set[int]) -> int:
    return max(stop - start for start, stop in pairwise(sorted(edges)))


def _warn_of_reading(name: str, cube: xr.DataArray, edges: Sequence[set[int]], there: int) -> None:
    """Warn of a cube that is read so many times that this is more than all there is."""
    assert cube.chunks is not None
    times = 1.0
    for sizes, edge in zip(cube.chunks, edges, strict=False):
        own = list(accumulate(sizes, initial=0))
        cuts = sum(1 for start, stop in pairwise(own) for at in edge if start < at < stop)
        times *= 1 + cuts / len(sizes)
    times = min(times, 1 + there / _SWEPT_BYTES)  # blocks of a sweep are larger than chunks
    if (times - 1) * cube.nbytes > there:
        warnings.warn(
            f"the chunks of {name!r} lie across those of a larger cube: {format_bytes(cube.nbytes)} may be read up to "
            f"{times:.0f} times in a sweep. To mend it: store it in chunks like the other's, with refold convert.",
            RefoldWarning,
            stacklevel=5,
        )


def join(
    cubes: Mapping[str, xr.DataArray], works: Sequence[Callable[[Array], Array]], widths: Sequence[int], after: Affine
) -> da.Array:
    """Lay cubes side by side, lazily.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        On one navigation grid, navigation dims first.
    works : sequence of callable
        For each cube, what is done to signals of shape (row, *signal) before.
    widths : sequence of int
        Features that each gives.
    after : Affine
        What is done to the whole.

    Returns
    -------
    dask.array.Array
        Shape (*navigation, feature), float32. A pixel with anything that is not finite is NaN throughout.
    """
    first = next(iter(cubes.values()))
    ndim, chunks = len(navigation_dims(first)), common_chunks(cubes)
    arguments: list[Any] = []
    label = ndim + 1
    for cube in cubes.values():
        tail = tuple((size,) for size in cube.shape[ndim:])
        lazy = cube.data if cube.chunks is not None else da.from_array(cube.values, chunks + tail)
        whole = lazy.rechunk(chunks + tail)
        arguments += [whole, (*range(ndim), *range(label, label + len(tail)))]
        label += len(tail)
    joined: da.Array = da.blockwise(
        _join_blocks,
        tuple(range(ndim + 1)),
        *arguments,
        new_axes={ndim: sum(widths)},
        concatenate=True,
        align_arrays=False,
        dtype=np.float32,
        meta=np.empty((0,) * (ndim + 1), np.float32),
        works=tuple(works),
        n_navigation=ndim,
        after=after,
    )
    return joined


def _join_blocks(
    *blocks: Array, works: Sequence[Callable[[Array], Array]], n_navigation: int, after: Affine
) -> npt.NDArray[np.float32]:
    """Work on some rows of all cubes at a time: what it takes meanwhile is small."""
    tables = [block.reshape(-1, *block.shape[n_navigation:]) for block in blocks]
    n_rows, width = len(tables[0]), len(after.scale)
    out = np.empty((n_rows, width), np.float32)
    step = max(16, _TILE_BYTES // (8 * width))
    for start in range(0, n_rows, step):
        parts = [work(table[start : start + step]) for work, table in zip(works, tables, strict=True)]
        rows = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        with np.errstate(over="ignore"):  # doubles that float32 does not reach become infinite, and so invalid
            out[start : start + step] = after(rows)
    valid = Block(out, 1).valid
    if not valid.all():
        out[~valid] = np.nan
    return out.reshape(*blocks[0].shape[:n_navigation], width)


def coords_of(signals: Mapping[str, Signal]) -> dict[str, Any]:
    """Coordinates along ``feature``: which cube each came from, and where in its signal it lay.

    Parameters
    ----------
    signals : mapping of str to Signal
        Of the cubes, in their order.

    Returns
    -------
    dict of str to (array, dict)
        Values and attributes. A number that a cube does not have is NaN; units are kept where all cubes agree on them.
    """
    ends = list(accumulate((signal.size for signal in signals.values()), initial=0))
    found: dict[str, list[tuple[slice, xr.DataArray]]] = {}
    for signal, (start, stop) in zip(signals.values(), pairwise(ends), strict=True):
        for name, flat in signal.flat().items():
            found.setdefault(name, []).append((slice(start, stop), flat))
    names = np.repeat(np.array(list(signals)), np.diff(ends))
    coords: dict[str, Any] = {"cube": (names, {"long_name": "cube that a feature came from"})}
    for name, parts in found.items():
        values = np.full(ends[-1], np.nan)
        for place, part in parts:
            values[place] = part.values
        units = {part.attrs.get("units") for _, part in parts}
        coords[name] = (values, {"units": units.pop()} if len(units) == 1 and None not in units else {})
    return coords


def before(scaler: Scaler) -> Scaling:
    """What is done to a cube pixel by pixel before it lies beside the others."""
    if not isinstance(scaler.kind, str):
        return scaler.scaling_
    return Scaling("unit" if scaler.kind == "unit" else "none", scaler.log1p)


def column_kind(scaler: Scaler) -> str:
    """What is then done to it feature by feature."""
    return scaler.kind if scaler.kind in AFFINE else "none"


@dataclass(frozen=True)
class Signal:
    """What the signal of a cube looked like.

    Parameters
    ----------
    sizes : dict of str to int
        Its dims.
    coords : dict of str to xarray.DataArray
        Coordinates along them.
    """

    sizes: dict[str, int]
    coords: dict[str, xr.DataArray]

    @classmethod
    def of(cls, cube: xr.DataArray, scaler: Scaler) -> Self:
        """Take note of what the signal of a scaled cube looks like: of new features, only how many they are."""
        if not isinstance(scaler.kind, str) and scaler.n_features_out_ is not None:
            new = scaler.n_features_out_
            return cls(
                {"feature": new}, {"feature": xr.DataArray(np.arange(new), dims="feature", attrs={ROLE: "signal"})}
            )
        signal = signal_dims(cube)
        coords = {
            str(name): coord.reset_coords(drop=True)
            for name, coord in cube.coords.items()
            if coord.dims and set(coord.dims) <= set(signal)
        }
        return cls({dim: cube.sizes[dim] for dim in signal}, coords)

    @property
    def size(self) -> int:
        """Features."""
        return math.prod(self.sizes.values())

    @property
    def is_pattern(self) -> bool:
        """Whether it is an image of reciprocal space, or what was selected of one."""
        return len(self.sizes) > 1 or {"ky", "kx"} <= set(self.coords)

    def flat(self) -> dict[str, xr.DataArray]:
        """Numbers along the signal dims, one for each feature; a count of features says nothing."""
        grid = [xr.DataArray(np.zeros(size), dims=dim) for dim, size in self.sizes.items()]
        flat = {}
        for name, coord in self.coords.items():
            counts = name == "feature" or self.sizes == {IMAGE_DIM: 1}
            if coord.dtype.kind in "iuf" and not counts:
                spread = xr.broadcast(coord.reset_coords(drop=True), *grid)[0].transpose(*self.sizes)
                flat[name] = xr.DataArray(spread.values.ravel(), attrs=coord.attrs)
        return flat

    def fold(self, values: xr.DataArray) -> xr.DataArray:
        """Lay values over a last dim ``feature`` out on the signal dims."""
        data = values.data.reshape(*values.shape[:-1], *self.sizes.values())
        others = {str(name): coord for name, coord in values.coords.items() if "feature" not in coord.dims}
        return xr.DataArray(data, {**others, **self.coords}, (*values.dims[:-1], *self.sizes), attrs=values.attrs)
