"""A phantom: a lazy cube of any size together with the truth about it, and its bounded-memory way to disk."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from refold.cube import ROLE
from refold.errors import ParameterError
from refold.source.phantoms.scene import Place, Scene

Floats = npt.NDArray[np.float64]
Slices = tuple[slice, ...]
_BLOCK_BYTES = 32 << 20
_COUNTS_PER_CHANNEL = 4.0  # drawing 4 counts costs about what drawing one channel does
Truth = Literal["labels", "grains", "thickness", "abundance"]


@dataclass(frozen=True)
class Phantom:
    """A made-up scan whose truth is known. Nothing of it exists until it is asked for, block by block.

    Made by :func:`four_d_stem`, :func:`eds` and :func:`reflectance`. Every value depends only on the parameters, the
    seed and its pixel, so it is the same for any chunking.

    Attributes
    ----------
    cube : xarray.DataArray
        The scan, lazy, with calibrated coordinates.
    labels, grains : xarray.DataArray
        The phase, and the grain, of every pixel, int32, lazy. -1 where nothing was measured.
    thickness, abundance : xarray.DataArray
        Thickness of every pixel, and its share of every phase, float64, lazy.
    truth : xarray.Dataset
        All four.
    """

    scene: Scene
    name: str
    sources: Floats
    rates: Callable[[Place], Floats]
    signal: Mapping[str, tuple[npt.NDArray[Any], Mapping[str, Any]]]
    dtype: np.dtype[Any]
    step: float = 1.0
    units: str = "nm"
    gaussian: float | None = None
    nodata_value: float | None = None
    chunks: tuple[int, ...] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limit = np.iinfo(self.dtype).max if self.dtype.kind in "ui" else math.inf
        brightest = float((self._extreme_rates @ self.sources).max())
        if self.gaussian is None and brightest + 8 * math.sqrt(brightest) > limit:
            raise ParameterError(
                f"about {brightest:.0f} counts in the brightest channel",
                f"at most {limit}, for {self.dtype}",
                "lower the dose",
            )

    # --- numbers

    @cached_property
    def _extreme_rates(self) -> Floats:
        """Rates of every pure phase at both ends of the thickness, between which those of all pixels lie."""
        n = self.scene.n_labels
        nothing = np.zeros(n, np.int64)
        ends = [
            Place(nothing, nothing.astype(np.int32), nothing.astype(np.int32), np.eye(n), np.full(n, thickness))
            for thickness in self.scene.thickness
        ]
        return np.concatenate([self.rates(place) for place in ends])

    @cached_property
    def _tables(self) -> npt.NDArray[np.uint64] | None:
        from refold.source.phantoms.sampling import alias_tables

        if self._extreme_rates.sum(axis=1).max() > _COUNTS_PER_CHANNEL * self.sources.shape[1]:
            return None
        return alias_tables(self.sources)

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Sizes of the signal dims."""
        return tuple(len(values) for values, _ in self.signal.values())

    def block(self, where: Slices) -> npt.NDArray[Any]:
        """Make the data of one block.

        Parameters
        ----------
        where : tuple of slice
            One a navigation dim, with start and stop.

        Returns
        -------
        numpy.ndarray
            Shape of the block, then of the signal.
        """
        from refold.source.phantoms.sampling import add_gaussian, count

        place = self.scene.look(where)
        rates = self.rates(place)
        out: npt.NDArray[Any]
        if self.gaussian is None:
            out = count(
                self.scene.seed,
                place.pixels,
                rates=rates,
                sources=self.sources,
                tables=self._tables,
                dtype=self.dtype,
            )
        else:
            out = (rates @ self.sources).astype(self.dtype)
            add_gaussian(self.scene.seed, place.pixels, self.gaussian, out)
        if self.nodata_value is not None:
            out[place.labels < 0] = self.nodata_value
        return out.reshape(*(s.stop - s.start for s in where), *self.signal_shape)

    def truth_block(self, where: Slices, what: Truth = "labels") -> npt.NDArray[Any]:
        """Tell the truth of one block: its labels, grains, thickness or abundance (phases last)."""
        values = np.asarray(getattr(self.scene.look(where), what))
        return values.reshape(*(s.stop - s.start for s in where), *values.shape[1:])

    # --- lazy arrays

    @property
    def cube(self) -> xr.DataArray:
        """The scan as a lazy cube."""
        data = self._lazy(self.block, self.dtype, self.signal_shape, "cube")
        return xr.DataArray(
            data, self._coords(with_signal=True), (*self.scene.dims, *self.signal), self.name, dict(self.attrs)
        )

    @property
    def labels(self) -> xr.DataArray:
        """The true phase of every pixel."""
        return self._truth("labels", np.int32, {"long_name": "true phase", "flag_meaning": "-1: nothing measured"})

    @property
    def grains(self) -> xr.DataArray:
        """The true grain of every pixel."""
        return self._truth("grains", np.int32, {"long_name": "true grain"})

    @property
    def thickness(self) -> xr.DataArray:
        """The thickness, or illumination, of every pixel, as multiples of one."""
        return self._truth("thickness", np.float64, {"long_name": "relative thickness"})

    @property
    def abundance(self) -> xr.DataArray:
        """The share of every phase in every pixel."""
        return self._truth("abundance", np.float64, {"long_name": "share of each phase"})

    @property
    def truth(self) -> xr.Dataset:
        """Everything that is known about the scan."""
        parts = (self.labels, self.grains, self.thickness, self.abundance)
        return xr.Dataset({str(part.name): part for part in parts})

    def rechunk(self, *chunks: int) -> Phantom:
        """Give the same phantom with its lazy arrays in other chunks, one size a navigation dim."""
        return replace(self, chunks=chunks)

    def _truth(self, what: Truth, dtype: npt.DTypeLike, attrs: Mapping[str, Any]) -> xr.DataArray:
        rest = (self.scene.n_labels,) if what == "abundance" else ()
        data = self._lazy(_Look(self, what), np.dtype(dtype), rest, what)
        dims = (*self.scene.dims, "phase") if rest else self.scene.dims
        return xr.DataArray(data, self._coords(with_signal=False), dims, what, dict(attrs))

    def _coords(self, with_signal: bool) -> dict[str, Any]:
        coords: dict[str, Any] = {
            dim: (dim, np.arange(n) * self.step, {ROLE: "navigation", "units": self.units})
            for dim, n in zip(self.scene.dims, self.scene.shape, strict=True)
        }
        if with_signal:
            coords |= {dim: (dim, v, {ROLE: "signal", **attrs}) for dim, (v, attrs) in self.signal.items()}
        return coords

    def block_shape(self) -> tuple[int, ...]:
        """Chunk sizes along the navigation dims: those asked for, or squares of about 32 MB."""
        if self.chunks is not None:
            if len(self.chunks) != len(self.scene.shape) or min(self.chunks) < 1:
                wanted = f"{len(self.scene.shape)} sizes of at least 1, for navigation dims {self.scene.dims}"
                raise ParameterError(f"chunks {self.chunks}", wanted, "give one size a navigation dim")
            return tuple(min(c, n) for c, n in zip(self.chunks, self.scene.shape, strict=True))
        pixels = max(1, _BLOCK_BYTES // (math.prod(self.signal_shape) * self.dtype.itemsize))
        side = max(1, int(pixels ** (1 / len(self.scene.shape))))
        return tuple(min(side, n) for n in self.scene.shape)

    def _lazy(self, make: Callable[[Slices], Any], dtype: np.dtype[Any], rest: tuple[int, ...], what: str) -> da.Array:
        n_navigation = len(self.scene.shape)
        chunks = da.core.normalize_chunks(self.block_shape(), shape=self.scene.shape)
        name = f"phantom-{what}-{tokenize(self._identity, chunks)}"
        corners = [tuple(itertools.accumulate(sizes, initial=0)) for sizes in chunks]
        graph = {
            (name, *index, *(0,) * len(rest)): (
                make,
                tuple(slice(corners[d][i], corners[d][i + 1]) for d, i in enumerate(index)),
            )
            for index in itertools.product(*(range(len(sizes)) for sizes in chunks))
        }
        meta = np.empty((0,) * (n_navigation + len(rest)), dtype)
        return da.Array(graph, name, (*chunks, *((n,) for n in rest)), meta=meta)

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        signal = {dim: values for dim, (values, _) in self.signal.items()}
        return (
            repr(self.scene),
            self.name,
            self.sources,
            repr(self.rates),
            signal,
            str(self.dtype),
            self.gaussian,
            self.nodata_value,
        )

    # --- to disk

    def save(
        self,
        path: str | os.PathLike[str],
        chunks: tuple[int, ...] | None = None,
        *,
        shards: tuple[int, ...] | None = None,
        overwrite: bool = False,
        workers: int | None = None,
    ) -> Path:
        """Write the scan and its truth as one Zarr v3 store that ``xarray.open_zarr`` opens.

        Each block is made and compressed (Blosc, zstd 3, bit shuffle) by one of ``workers`` threads, so memory is about
        two blocks a worker. The store appears under its name only when it is whole.

        Parameters
        ----------
        path : path
            The store.
        chunks : tuple of int, optional
            Chunk size along each navigation dim; the signal is whole. By default squares of about 32 MB.
        shards : tuple of int, optional
            Shard size along each navigation dim, a multiple of the chunks.
        overwrite : bool
            Whether to replace what is there.
        workers : int, optional
            Threads; by default one a core.

        Returns
        -------
        pathlib.Path
            The store.

        Raises
        ------
        StoreExistsError
            If there is something at ``path`` already.
        DiskFullError
            If the disk fills up.
        """
        from refold.source.phantoms.saving import save

        phantom = self if chunks is None else self.rechunk(*chunks)
        return save(phantom, Path(path), shards, overwrite, workers or os.cpu_count() or 1)


@dataclass(frozen=True)
class _Look:
    """One kind of truth as a function of the block, so that a Dask task can carry it to another process."""

    phantom: Phantom
    what: Truth

    def __call__(self, where: Slices) -> npt.NDArray[Any]:
        return self.phantom.truth_block(where, self.what)
