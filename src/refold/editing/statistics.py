"""Mean and deviation of clusters after edits that cannot be pooled from what the run knows: one sweep over the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from refold.cube import cubes_of, to_full_grid
from refold.engine.statistics import cluster_statistics
from refold.errors import DataError
from refold.store import RunStore

_FEATURES = "stages/features"
_MEAN, _STD, _SIZE = "cluster_mean", "cluster_std", "cluster_size"


def statistics_of(store: RunStore, labels: xr.DataArray, n_clusters: int, scan: Any = None) -> dict[str, xr.DataArray]:
    """Mean, deviation and size of clusters, by one sweep over what the run learnt from.

    Parameters
    ----------
    store : RunStore
        The run.
    labels : xarray.DataArray
        Clusters of all pixels, from 0 on, on the whole grid; may be lazy.
    n_clusters : int
        How many.
    scan : xarray.DataArray, xarray.Dataset or mapping of str to xarray.DataArray, optional
        What to average; by default the features that the run keeps.

    Returns
    -------
    dict of str to xarray.DataArray
        As the run has them; of several cubes ``cluster_mean_NAME`` of each.

    Raises
    ------
    DataError
        If the run keeps no features, and no scan is given.
    CubeError
        If the scan is on another grid.

    Notes
    -----
    Where clusters were found on a coarser grid than the scan's, pixels of one of its positions may be in different
    clusters after an edit on the map. Each pixel then counts with the signal of its position.
    """
    cubes = _kept(store) if scan is None else cubes_of(scan)
    found: dict[str, xr.DataArray] = {}
    for name, cube in cubes.items():
        part = cluster_statistics(_on_grid(cube, labels), labels, n_clusters)
        suffix = f"_{name}" if len(cubes) > 1 else ""
        found |= {f"{_MEAN}{suffix}": part[_MEAN], f"{_STD}{suffix}": part[_STD]}
        found.setdefault(_SIZE, part[_SIZE])
    return found


def _kept(store: RunStore) -> Mapping[str, xr.DataArray]:
    """The features of a run, as they were written."""
    if "features" not in store.records:
        raise DataError(
            f"{store.path}, which keeps no features",
            "what the means of clusters are to be taken of",
            "pass the scan, prepared as for the run, as scan=…, or make the run with features=True",
        )
    place = store.path / _FEATURES
    if (place / "features").is_dir():
        return {"": store.read(_FEATURES)["features"]}
    names = sorted(item.name for item in place.iterdir() if (item / "features").is_dir())
    return {name: store.read(f"{_FEATURES}/{name}")["features"] for name in names}


def _on_grid(cube: xr.DataArray, labels: xr.DataArray) -> xr.DataArray:
    """The cube on the grid of the labels, each pixel with the signal of its position on a coarser grid."""
    coarser = [dim for dim in labels.dims if dim in cube.dims and cube.sizes[dim] != labels.sizes[dim]]
    if not coarser:
        return cube
    return to_full_grid(cube.to_dataset(name="features"), {dim: labels[dim] for dim in coarser})["features"]
