"""Spectra of clusters: their means, or the sums of their pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.errors import DataError, ParameterError, VariableError
from refold.phases.clusters import Cluster, chosen_clusters, clusters_in
from refold.report.signals import cubes_of
from refold.report.tally import clusters_of

Statistic = Literal["mean", "sum"]
Vector = npt.NDArray[np.float64]


def mean_of_cube(run: xr.Dataset, cube: str | None, kind: str = "cluster_mean") -> str:
    """Name of the variable with the mean signals of a cube: of the one asked for, or the first.

    Raises
    ------
    VariableError
        If the run has none, or none of that cube.
    """
    names = cubes_of(run)
    name = names[0] if cube is None and names else cube
    if name in names:
        return f"{kind}_{name}" if name else kind
    if cube is not None and names == ("",):
        return kind  # the only cube needs no name
    raise VariableError(
        "a run without cluster_mean" if not names else f"cubes {', '.join(map(repr, names))}",
        "mean signals of its clusters" + (f" in the cube {cube!r}" if cube else ""),
        "let refold.cluster_statistics make them; after a cluster was split, refold.edits(run).apply(statistics=True)",
    )


def spectra_of(
    run: xr.Dataset,
    clusters: Iterable[int | str] | None = None,
    *,
    statistic: Statistic = "mean",
    cube: str | None = None,
) -> tuple[tuple[Cluster, ...], xr.DataArray]:
    """Spectra (or patterns) of clusters.

    Parameters
    ----------
    run : xarray.Dataset
        With `cluster_mean`, or those of several cubes.
    clusters : iterable of int or str, optional
        Numbers or names; by default all that have a pixel.
    statistic : {"mean", "sum"}
        Of the pixels of each.
    cube : str, optional
        Of a run of several cubes the one to take; by default the first by name.

    Returns
    -------
    clusters : tuple of Cluster
    spectra : xarray.DataArray
        ``(cluster, *signal)``, float64, in memory; the numbers of the clusters as coordinate.

    Raises
    ------
    VariableError
        If the run has no mean signals, or no sizes where sums are asked for.
    ParameterError
        If there is no such cluster, or statistic.
    DataError
        If a chosen cluster has no pixel.
    """
    if statistic not in get_args(Statistic):
        raise ParameterError(f"statistic={statistic!r}", "'mean' or 'sum'", "choose one of them")
    means = run[mean_of_cube(run, cube)].transpose("cluster", ...)
    every = clusters_in(run)
    taken = chosen_clusters(every, clusters)
    places = clusters_of(means)
    found = means.isel(cluster=[places.index(cluster.number) for cluster in taken]).load().astype(np.float64)
    signal = tuple(found.dims[1:])
    empty = found.isnull().all(signal).values | np.array([cluster.size == 0 for cluster in taken], bool)
    if empty.any() and clusters is not None:
        names = ", ".join(str(taken[i].number) for i in np.flatnonzero(empty))
        raise DataError(f"no spectrum of cluster {names}", "clusters with valid pixels", "leave it out")
    taken = tuple(cluster for cluster, none in zip(taken, empty, strict=True) if not none)
    found = found.isel(cluster=~empty).assign_coords(cluster=[cluster.number for cluster in taken])
    if statistic == "sum":
        found = found * xr.DataArray(_sizes(taken), dims="cluster")
    return taken, found.assign_attrs(means.attrs)


def _sizes(clusters: tuple[Cluster, ...]) -> list[int]:
    if any(cluster.size is None for cluster in clusters):
        found, remedy = "a run without cluster_size", "take statistic='mean', or let refold.cluster_statistics make it"
        raise VariableError(found, "the size of each cluster, for sums", remedy)
    return [cluster.size or 0 for cluster in clusters]


def as_components(factors: Vector, spectra: xr.DataArray) -> xr.DataArray:
    """Rows of a table as components, on the signal of the spectra that they make up."""
    signal = spectra.dims[1:]
    coords = {name: coord for name, coord in spectra.coords.items() if "cluster" not in coord.dims}
    array = xr.DataArray(factors.reshape(len(factors), *spectra.shape[1:]), dims=("component", *signal), coords=coords)
    return array.assign_coords(component=np.arange(len(factors))).rename("components")


def as_weights(weights: Vector, taken: tuple[Cluster, ...]) -> xr.DataArray:
    """A table of weights with numbers and names of its clusters."""
    coords = {"cluster": [cluster.number for cluster in taken], "component": np.arange(weights.shape[1])}
    named = {"cluster_name": ("cluster", [cluster.name for cluster in taken])}
    return xr.DataArray(weights, coords=coords, dims=("cluster", "component"), name="weights").assign_coords(named)
