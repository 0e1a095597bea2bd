"""The mean signal of a selection: from the clusters' means, from the run's features, or from the scan, block by block.

What is averaged is what the run's ``cluster_mean`` is the average of: each cube as it was prepared. So the mean of a
selection that happens to be a cluster is that cluster's mean, wherever it is read from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import navigation_dims, navigation_shape, signal_dims, signal_shape, to_full_grid
from refold.engine import plan_grid, sweep
from refold.engine.layout import pixel_bytes
from refold.engine.progress import Progress
from refold.engine.settings import n_cores
from refold.errors import CubeError, DataError, ParameterError
from refold.explore.averaging import MaskedSums, SelectedBlocks, Weights
from refold.origin import found_scan
from refold.parts import identity_of, parts_of
from refold.planning import Grid, lay_out
from refold.recipe import Recipe
from refold.store import RunStore, open_run

Origin = Literal["clusters", "features", "scan"]
_FEATURES = "stages/features"
_BLOCK, _PARTITIONS = 4 * 2**20, 64  # bytes that a block is worth, and tasks that they are read in
# Of a cube's identity what a copy of it on another disk shares.
_OF_THE_NUMBERS = ("dims", "shape", "dtype", "coords")


@dataclass(frozen=True)
class MeanSignal:
    """The mean signal of some pixels.

    Parameters
    ----------
    mean : mapping of str to xarray.DataArray
        For each cube of the run, by name, its mean over the pixels, ``(*signal)``, float64, in the units of the cube as
        it was prepared.
    size : int
        Pixels selected, on the grid of the labels.
    origin : {"clusters", "features", "scan"}
        What it was read from: the clusters' means, the features that the run keeps, or the scan itself.
    """

    mean: Mapping[str, xr.DataArray]
    size: int
    origin: Origin

    @property
    def sum(self) -> dict[str, xr.DataArray]:
        """For each cube the sum over the pixels instead of their mean."""
        return {name: mean * self.size for name, mean in self.mean.items()}


class MeanSignals:
    """Answers what the mean signal of a selection of a run's pixels is.

    It holds no state of a page, so that all pages of a run may share one.

    Parameters
    ----------
    run : xarray.Dataset or path-like
        From `refold.open_run`, or where it lies.
    scan : xarray.DataArray, xarray.Dataset or mapping, optional
        What the run was made of, where it keeps no features and its scan cannot be found by itself any more.
    labels : numpy.ndarray, optional
        Its labels, where they are in memory already.
    memory : int or str, optional
        Bytes for what is read at once, or a size such as ``"2GB"``; a quarter of what is free by default.

    Raises
    ------
    CubeError
        If the scan is not the one of the run.

    Examples
    --------
    >>> import numpy as np, refold
    >>> signals = MeanSignals("scan.run.zarr")  # doctest: +SKIP
    >>> signals.read(np.ones((64, 64), bool)).size  # doctest: +SKIP
    4096
    """

    def __init__(self, run: Any, scan: Any = None, *, labels: Any = None, memory: int | str | None = None) -> None:
        self.run = run if isinstance(run, xr.Dataset) else open_run(run)
        self.identity: dict[str, Any] = json.loads(self.run.attrs.get("source") or "{}")
        self.recipe = Recipe.from_toml(self.run.attrs.get("recipe", ""))
        self.names = tuple(self.identity.get("cubes") or [str(self.identity.get("name", "signal"))])
        self.memory = memory
        self._labels = labels
        self._lock = Lock()
        self._readers: dict[str, SelectedBlocks] = {}
        self._given = None if scan is None else self._prepared(_by_name(scan, self.names), whole=False)

    @cached_property
    def labels(self) -> npt.NDArray[np.int32]:
        """Cluster of each pixel as the run has it, flat."""
        labels = self.run["labels"].values if self._labels is None else self._labels
        return np.asarray(labels, np.int32).ravel()

    @cached_property
    def _sizes(self) -> npt.NDArray[np.int64]:
        """Pixels of noise, and of each cluster."""
        return np.bincount(self.labels + 1, minlength=1 + self.run.sizes.get("cluster", 0))

    def at_once(self, selected: npt.NDArray[np.bool_]) -> MeanSignal | None:
        """Answer without reading anything, which can be done of whole clusters.

        Parameters
        ----------
        selected : numpy.ndarray of bool
            On the grid of the labels, or flat.

        Returns
        -------
        MeanSignal or None
            None where the selection takes a part of a cluster, or noise, or the run has no means.
        """
        selected = self._checked(selected).ravel()
        names = self._means_of()
        if names is None:
            return None
        taken = np.bincount(self.labels[selected] + 1, minlength=len(self._sizes))
        whole = np.flatnonzero(taken[1:])
        if taken[0] or not whole.size or (taken[1:] != self._sizes[1:])[whole].any():
            return None
        size = self.run["cluster_size"].values[whole].astype(np.float64)
        if not size.sum():
            return None
        found = {}
        for cube, name in names.items():
            means = self.run[name].isel(cluster=whole).astype(np.float64)
            weights = xr.DataArray(size, dims="cluster")
            # A cluster without a valid pixel has no mean, and no weight.
            found[cube] = (means.where(weights > 0, 0.0) * weights).sum("cluster") / size.sum()
        return MeanSignal(found, int(selected.sum()), "clusters")

    def _means_of(self) -> dict[str, str] | None:
        """The variable that holds the clusters' means of each cube."""
        several = len(self.names) > 1
        names = {cube: f"cluster_mean_{cube}" if several else "cluster_mean" for cube in self.names}
        return names if {"cluster_size", *names.values()} <= set(self.run) else None

    def read(self, selected: npt.NDArray[np.bool_], progress: Progress | None = None) -> MeanSignal:
        """Read the selected pixels, and average them; blocks without any of them are not read.

        Parameters
        ----------
        selected : numpy.ndarray of bool
            On the grid of the labels, or flat.
        progress : Progress, optional
            Told of every block that is read; what it raises ends the reading.

        Returns
        -------
        MeanSignal
            Pixels that hold no number in a channel are left out. Where the labels were found on a coarser grid, each
            pixel counts what was measured at its place there.

        Raises
        ------
        DataError
            If nothing is selected, or there is nothing to read: no features are kept, and the scan is gone or changed.
        """
        selected = self._checked(selected)
        size = int(selected.sum())
        if not size:
            raise DataError("an empty selection", "at least one pixel", "draw around some")
        origin, cubes = self._source
        found = {}
        for name, cube in cubes.items():
            sums = MaskedSums(self._weights(selected, cube))
            blocks = self._blocks(name, cube, sums)
            told = Progress() if progress is None else progress
            (mean,) = sweep(
                cube,
                sums,
                kept=blocks.holding(sums.weights),
                workers=max(1, n_cores() - 1),  # the page wants to answer meanwhile
                memory=self.memory,
                progress=told,
                label=f"signal of {size} pixels",
            )
            found[name] = _as_signal(mean, cube)
        return MeanSignal(found, size, origin)

    def _checked(self, selected: Any) -> npt.NDArray[np.bool_]:
        shape = self.run["labels"].shape
        selected = np.asarray(selected, bool)
        if selected.size != np.prod(shape, dtype=np.int64):
            raise ParameterError(
                f"a selection of shape {selected.shape}", f"one value for each pixel of {shape}", "give the whole grid"
            )
        return np.asarray(selected.reshape(shape))

    # --- what is read -------------------------------------------------------------------------------------------------

    @cached_property
    def _source(self) -> tuple[Origin, dict[str, xr.DataArray]]:
        """What selections are averaged over: features that were kept, or else the scan, prepared as in the run."""
        if self._given is not None:
            return "scan", self._given
        kept = self._kept_features()
        if kept is not None:
            return "features", kept
        named = self.identity.get("cubes") or {self.names[0]: self.identity}
        found = {name: found_scan(identity, self.recipe, name) for name, identity in named.items()}
        if gone := [name for name, cube in found.items() if cube is None]:
            raise DataError(
                f"no features in the run, and its scan ({', '.join(gone)}) gone from where it was, or changed",
                "the signals of its pixels",
                "give the scan: refold explore RUN --scan FILE",
            )
        return "scan", self._prepared(found, whole=True)

    def _kept_features(self) -> dict[str, xr.DataArray] | None:
        place = self.run.encoding.get("source")
        store = RunStore.open(place) if place else None
        if store is None or "features" not in store.records:
            return None
        groups = {name: _FEATURES if len(self.names) == 1 else f"{_FEATURES}/{name}" for name in self.names}
        return {name: store.read(group)["features"].rename(name) for name, group in groups.items()}

    def _prepared(self, cubes: Mapping[str, Any], *, whole: bool) -> dict[str, xr.DataArray]:
        """The cubes of a scan as the run prepared them; `whole` where they were seen to be the run's already."""
        parts = parts_of(cubes, self.recipe)
        if not whole:
            self._check_same(identity_of(parts))
        return {part.name: part.cube for part in parts}

    def _check_same(self, given: Mapping[str, Any]) -> None:
        """Raise unless a scan has the numbers that the run's had, as far as can be told without reading it."""
        ours, theirs = self.identity.get("cubes") or {"": self.identity}, given.get("cubes") or {"": given}
        for (name, was), found in zip(ours.items(), theirs.values(), strict=True):
            wrong = [key for key in _OF_THE_NUMBERS if was.get(key) != found.get(key)]
            if wrong:
                raise CubeError(
                    f"scan {(name or found['name'])!r}, {found['dtype']} {found['shape']}, of other {', '.join(wrong)}",
                    f"the one that the run was made of, {was.get('dtype')} {was.get('shape')}",
                    "give that scan",
                )

    def _weights(self, selected: npt.NDArray[np.bool_], cube: xr.DataArray) -> Weights:
        """How many selected pixels lie at each position of a cube, whose grid may be coarser than the labels'."""
        dims, shape = navigation_dims(cube), navigation_shape(cube)
        if selected.shape == shape:
            return selected.astype(np.int32)
        numbers = xr.Dataset({"number": (dims, np.arange(np.prod(shape)).reshape(shape))}, {d: cube[d] for d in dims})
        places = to_full_grid(numbers, {dim: self.run[dim] for dim in dims})["number"].values
        return np.bincount(places[selected], minlength=int(np.prod(shape))).astype(np.int32).reshape(shape)

    def _blocks(self, name: str, cube: xr.DataArray, sums: MaskedSums) -> SelectedBlocks:
        """The reader of a cube, made once: to optimise the graph of many chunks takes longer than to read a few."""
        with self._lock:
            if name not in self._readers:
                largest = plan_grid(cube, sums, memory=self.memory, workers=max(1, n_cores() - 1))
                self._readers[name] = SelectedBlocks(cube, _finer(cube, largest))
            return self._readers[name]


def _finer(cube: xr.DataArray, largest: Grid) -> Grid:
    """Blocks of few chunks: more of them hold none of a selection, and what nobody waits for any more ends sooner."""
    chunks = cube.chunks or [[1] * size for size in cube.shape]
    each = pixel_bytes(cube)
    return lay_out(
        chunks[: len(largest.shape)], each, largest.block_pixels * each, enough_bytes=_BLOCK, max_partitions=_PARTITIONS
    )


def _by_name(scan: Any, names: tuple[str, ...]) -> dict[str, xr.DataArray]:
    """The cubes of a scan that was given, under the names that the run knows them by."""
    if isinstance(scan, xr.DataArray):
        scan = {names[0]: scan}
    cubes = {str(name): cube for name, cube in scan.items() if str(name) in names}
    if missing := [name for name in names if name not in cubes]:
        raise CubeError(
            f"a scan of {', '.join(map(str, scan))}", f"its cubes {', '.join(missing)} as well", "give all cubes"
        )
    return {name: cubes[name] for name in names}


def _as_signal(mean: npt.NDArray[np.float64], cube: xr.DataArray) -> xr.DataArray:
    dims = signal_dims(cube)
    coords = {name: c for name, c in cube.coords.items() if c.dims and {*c.dims} <= {*dims}}
    return xr.DataArray(mean.reshape(signal_shape(cube)), coords, dims, name=cube.name, attrs=cube.attrs)
