"""A run as it is after the edits: its labels numbered anew, and of its clusters what follows for the new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import conform
from refold.editing.history import History
from refold.editing.operations import Merge, Split
from refold.editing.relabelling import Relabeller

Rows = npt.NDArray[Any]
Groups = Sequence[Sequence[int]]

# Of these a merged cluster's follow from those of its parts.
_POOLED = ("cluster_size", "cluster_mean", "cluster_std", "membership")
# What was found of single pixels, but of the labels that the run gave them.
_OF_LABELS = (
    "probability",
    "stability",
    "consensus",
    "consensus_probability",
    "landmark_label",
    "landmark_probability",
)
_COUNTED = ("clusters", "noise")
_OF_REPEATS = ("repeat", "other_repeat", "agreeing")


def applied(
    run: xr.Dataset, embedding: xr.DataArray | None, history: History, statistics: Mapping[str, xr.DataArray]
) -> xr.Dataset:
    """Give a run as it is after edits.

    Parameters
    ----------
    run : xarray.Dataset
        As it was.
    embedding : xarray.DataArray or None
        Its latent coordinates.
    history : History
        The edits.
    statistics : mapping of str to xarray.DataArray
        What was computed anew of the new clusters.

    Returns
    -------
    xarray.Dataset
        Lazy as the run is. See `Edits.apply`.
    """
    effective = history.effective
    split = any(isinstance(operation, Split) for operation in effective)
    changed = split or any(isinstance(operation, Merge) for operation in effective)
    result = run
    if changed:
        result = _without_old(run)
        labels = Relabeller(history, numbered=True).lazily(run["labels"], embedding)
        result = result.assign(labels=labels)
        if not split:
            result = result.assign(pooled(run, groups_of(history)))
    result = result.assign(statistics).assign(_looks(history))
    result.attrs = dict(run.attrs)
    if changed and "measured" in run.attrs:  # what was counted of the run's own clusters
        measured = json.loads(run.attrs["measured"])
        result.attrs["measured"] = json.dumps({key: measured[key] for key in measured if key not in _COUNTED})
    result.encoding = dict(run.encoding)
    return result


def _without_old(run: xr.Dataset) -> xr.Dataset:
    """Drop what was found of the clusters of the run, or of its labels."""
    of_clusters = [name for name, one in run.variables.items() if "cluster" in one.dims]
    of_repeats = [name for name, one in run.data_vars.items() if {*one.dims} & {*_OF_REPEATS}]
    gone = {*of_clusters, *of_repeats, *(name for name in _OF_LABELS if name in run)}
    return run.drop_vars(sorted(gone, key=str))


def _looks(history: History) -> dict[str, xr.DataArray]:
    table = sorted(history.table.looks.items())
    shown = [look.shown(number) for number, look in table]
    columns = {
        "cluster_id": np.array([number for number, _ in table], np.int32),
        "cluster_name": np.array([name for name, _ in shown], object),
        "cluster_colour": np.array([colour for _, colour in shown], object),
    }
    numbers = {"cluster": np.arange(len(table))}
    return {
        name: conform(name, xr.DataArray(values, dims="cluster", coords=numbers)) for name, values in columns.items()
    }


# --- merged clusters --------------------------------------------------------------------------------------------------


def groups_of(history: History) -> list[list[int]]:
    """List, for every cluster there is, the clusters of the run that it was merged from; nothing was split off."""
    members = {number: [number] for number in range(history.frame.clusters)}
    for operation in history.effective:
        if isinstance(operation, Merge):
            joined = sorted(one for cluster in operation.clusters for one in members.pop(cluster))
            members[min(operation.clusters)] = joined
    return [members[number] for number in sorted(members)]


def pooled(run: xr.Dataset, groups: Groups) -> dict[str, xr.DataArray]:
    """Size, mean, deviation and membership of merged clusters, from those of their parts, lazily.

    Parameters
    ----------
    run : xarray.Dataset
        As it was.
    groups : sequence of sequence of int
        Clusters of the run that each new cluster is made of.

    Returns
    -------
    dict of str to xarray.DataArray
        What of these the run has.

    Notes
    -----
    The variance of a whole is the mean of the variances of its parts and of their squared distances from its mean, all
    weighted by size: exact but for the rounding of what was stored.
    """
    found: dict[str, xr.DataArray] = {}
    if "membership" in run:
        found["membership"] = _summed(run["membership"], groups)
    if "cluster_size" not in run:
        return found
    found["cluster_size"] = _summed(run["cluster_size"], groups)
    for name in map(str, run.data_vars):
        if name.startswith("cluster_mean"):
            other = name.replace("cluster_mean", "cluster_std", 1)
            parts = [run[name], *([run[other]] if other in run else [])]
            for which, part in zip((name, other), parts, strict=False):
                found[which] = _pooled(part, parts, run["cluster_size"], groups)
    return found


def _summed(parts: xr.DataArray, groups: Groups) -> xr.DataArray:
    axis = parts.get_axis_num("cluster")
    blocks = da.asanyarray(parts.data)
    blocks = blocks.rechunk({axis: -1})
    widths = (*blocks.chunks[:axis], (len(groups),), *blocks.chunks[axis + 1 :])
    summed = da.map_blocks(_sum, blocks, axis, groups, chunks=widths, dtype=parts.dtype, meta=blocks._meta)
    return _like(parts, summed, groups)


def _sum(parts: Rows, axis: int, groups: Groups) -> Rows:
    rows = np.moveaxis(parts, axis, 0)
    made = np.stack([rows[group].sum(axis=0) for group in groups]) if groups else rows[:0]
    return np.ascontiguousarray(np.moveaxis(made, 0, axis)).astype(parts.dtype, copy=False)


def _pooled(which: xr.DataArray, parts: Sequence[xr.DataArray], sizes: xr.DataArray, groups: Groups) -> xr.DataArray:
    signal = [f"signal {axis}" for axis in range(1, which.ndim)]
    blocks = [da.asanyarray(part.transpose("cluster", ...).data).rechunk({0: -1}) for part in parts]
    given = [item for block in blocks for item in (block, ("old", *signal))]
    made = da.blockwise(
        _pool, ("new", *signal), da.asanyarray(sizes.data).rechunk(-1), ("old",), *given,
        groups=groups, deviation=which is not parts[0], new_axes={"new": len(groups)}, concatenate=True,
        dtype=which.dtype, meta=np.empty((0,) * which.ndim, which.dtype), align_arrays=True,
    )  # fmt: skip
    return _like(which, made, groups)


def _pool(sizes: Rows, mean: Rows, std: Rows | None = None, *, groups: Groups, deviation: bool) -> Rows:
    stored = std if deviation and std is not None else mean
    made = np.full((len(groups), *mean.shape[1:]), np.nan)
    for row, group in enumerate(groups):
        filled = [cluster for cluster in group if sizes[cluster] > 0]
        if len(filled) == 1:
            made[row] = stored[filled[0]]  # as it was, to the last bit
        elif filled:
            share = sizes[filled] / sizes[filled].sum()
            centre = np.tensordot(share, mean[filled].astype(np.float64), axes=1)
            made[row] = centre
            if deviation and std is not None:
                spread = std[filled].astype(np.float64) ** 2 + (mean[filled] - centre) ** 2
                made[row] = np.sqrt(np.tensordot(share, spread, axes=1))
    return made.astype(stored.dtype)


def _like(parts: xr.DataArray, made: Any, groups: Groups) -> xr.DataArray:
    kept = {name: one for name, one in parts.coords.items() if "cluster" not in one.dims}
    return xr.DataArray(
        made, dims=parts.dims, coords={**kept, "cluster": np.arange(len(groups))}, attrs=parts.attrs, name=parts.name
    )
