"""How much of each component is in each pixel: by its cluster, by its memberships, or by its own signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import as_cube, navigation_dims, signal_dims
from refold.engine import Block
from refold.engine.pixelwise import map_pixels
from refold.errors import CubeError, ParameterError, VariableError
from refold.origin import signals_of
from refold.reduce.nonnegative.unmixing import Unmixing
from refold.report.tally import clusters_of, labels_of

How = Literal["labels", "membership", "pixels"]
Array = npt.NDArray[Any]

_PIXELS = 1 << 20  # in a chunk of an array that is in memory as a whole


@dataclass(frozen=True)
class Abundances:
    """Maps of components over the grid of a run.

    Parameters
    ----------
    run : xarray.Dataset
        The run.
    components : xarray.DataArray
        ``(component, *signal)``.
    weights : xarray.DataArray
        ``(cluster, component)``.
    normalised : bool
        Whether weights are shares.
    cube : str or None
        Which cube of the run.
    """

    run: xr.Dataset
    components: xr.DataArray
    weights: xr.DataArray
    normalised: bool
    cube: str | None

    def of(self, how: How, scan: xr.DataArray | None) -> xr.DataArray:
        """Lazy maps; see `refold.phases.Unmixed.abundances`."""
        if how not in get_args(How):
            raise ParameterError(f"how={how!r}", f"one of {', '.join(get_args(How))}", "choose one of them")
        if how == "pixels":
            maps = self._of_pixels(scan)
        else:
            maps = self._of_labels() if how == "labels" else self._of_membership()
        attrs = {"long_name": "abundance", "units": "1"} if self.normalised else {"long_name": "abundance"}
        return maps.rename("abundance").assign_attrs(attrs)

    def _of_labels(self) -> xr.DataArray:
        labels = labels_of(self.run)
        order = np.argsort(self.weights["cluster"].values)
        numbers = self.weights["cluster"].values[order]
        table = np.concatenate([self.weights.values[order], np.full((1, self._count), np.nan)]).astype(np.float32)
        return self._laid_out(labels, _looked_up, {"numbers": numbers, "table": table})

    def _of_membership(self) -> xr.DataArray:
        if "membership" not in self.run:
            raise VariableError(
                "a run without membership",
                "the membership of each pixel in each cluster",
                "take how='labels' or how='pixels', or cluster with a method that has it, such as refold.HDBSCAN",
            )
        membership = self.run["membership"].transpose(..., "cluster")
        known = {number: i for i, number in enumerate(self.weights["cluster"].values.tolist())}
        table = np.zeros((membership.sizes["cluster"], self._count + 1))  # the last column: whether it was unmixed
        for i, number in enumerate(clusters_of(membership)):
            if number in known:
                table[i] = [*self.weights.values[known[number]], 1.0]
        maps = self._laid_out(membership, _averaged, {"table": table}, drop=1)
        # Noise, and pixels of clusters that were left out, belong a little to others as well.
        return maps.where(labels_of(self.run).isin(list(known))) if "labels" in self.run else maps

    def _laid_out(self, array: xr.DataArray, function: Any, told: dict[str, Any], drop: int = 0) -> xr.DataArray:
        """A function of each pixel's values, block by block, with the components as last dim."""
        dims = array.dims[: array.ndim - drop]
        lazy = array if array.chunks is not None else array.chunk(dict.fromkeys(dims, _side(len(dims))))
        data = lazy.data.rechunk(dict.fromkeys(range(len(dims), array.ndim), -1))
        mapped = da.map_blocks(
            function,
            data,
            **told,
            dtype=np.float32,
            drop_axis=list(range(len(dims), array.ndim)),
            new_axis=len(dims),
            chunks=(*data.chunks[: len(dims)], (self._count,)),
            meta=np.empty((0,) * (len(dims) + 1), np.float32),
        )
        coords = {name: coord for name, coord in array.coords.items() if set(coord.dims) <= set(dims)}
        maps = xr.DataArray(mapped, dims=(*dims, "component"), coords=coords)
        return as_cube(maps.assign_coords(component=self.components["component"].values), signal="component")

    def _of_pixels(self, scan: xr.DataArray | None) -> xr.DataArray:
        cube = self._same_channels(signals_of(self.run, scan, self.cube))
        if "labels" in self.run:
            _check_grid(cube, labels_of(self.run))
        rows = self.components.values.reshape(self._count, -1)
        told = (Unmixing(rows), self.normalised)
        return map_pixels(cube, _unmixed, told, None, {"component": self._count})

    def _same_channels(self, cube: xr.DataArray) -> xr.DataArray:
        """The cube in the channels that were unmixed, which may be a part of its own."""
        wanted = tuple(str(dim) for dim in self.components.dims if dim != "component")
        if set(wanted) != set(signal_dims(cube)):
            raise CubeError(
                f"a scan with the signal dims {signal_dims(cube)}",
                f"those of the components, {wanted}",
                "give the scan that the run was made of; of a run of several cubes name one with cube=…",
            )
        cube = cube.transpose(*navigation_dims(cube), *wanted)
        different = {
            dim: self.components[dim].values
            for dim in wanted
            if dim in self.components.coords and not np.array_equal(cube[dim].values, self.components[dim].values)
        }
        try:
            cube = cube.sel(different)
        except KeyError as error:
            raise _other_channels(cube, wanted) from error
        if any(cube.sizes[dim] != self.components.sizes[dim] for dim in wanted):
            raise _other_channels(cube, wanted)
        return cube

    @property
    def _count(self) -> int:
        return int(self.weights.sizes["component"])


def _other_channels(cube: xr.DataArray, wanted: tuple[str, ...]) -> CubeError:
    sizes = tuple(cube.sizes[dim] for dim in wanted)
    return CubeError(
        f"a scan whose channels along {', '.join(wanted)} are others, {sizes} of them",
        "those of the components",
        "give the scan as it was recorded: it is prepared as in the run",
    )


def _check_grid(cube: xr.DataArray, labels: xr.DataArray) -> None:
    found = {dim: cube.sizes[dim] for dim in navigation_dims(cube)}
    wanted = {str(dim): size for dim, size in labels.sizes.items()}
    if found != wanted:
        raise CubeError(f"signals on a grid of {found}", f"the grid of the labels, {wanted}", "give the scan as scan=…")


def _side(dims: int) -> int:
    return max(1, int(_PIXELS ** (1 / max(dims, 1))))


def _looked_up(labels: Array, *, numbers: Array, table: Array) -> Array:
    """Of each pixel the row of its cluster; the last row where it has none."""
    at = np.searchsorted(numbers, labels)
    at[at == len(numbers)] = 0
    found: Array = table[np.where(numbers[at] == labels, at, len(numbers))]
    return found


def _averaged(membership: Array, *, table: Array) -> Array:
    """Of each pixel the mean of the weights, by its membership in the clusters that have some."""
    rows = membership.reshape(-1, len(table)).astype(np.float64)
    # One product of matrices would round by the shape of the block; this is the same for a pixel in any.
    sums = np.einsum("pc,ck->pk", rows, table)
    with np.errstate(invalid="ignore"):
        found: Array = (sums[:, :-1] / sums[:, -1:]).astype(np.float32)
    return found.reshape(*membership.shape[:-1], -1)


def _unmixed(block: Block, told: tuple[Unmixing, bool]) -> Array:
    """Of each pixel the loadings; as shares of its signal, if so the components were found."""
    unmixing, normalised = told
    loadings = unmixing.forward_valid(block.rows, block.valid)[0]
    if normalised:
        sums = np.add.reduce(block.rows, axis=1, dtype=np.float64)[:, None]
        loadings = np.divide(loadings, sums, out=np.full(loadings.shape, np.nan), where=sums > 0)
    return loadings.astype(np.float32, copy=False)
