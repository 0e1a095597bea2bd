"""Runs made by hand for export: labels with names and colours, and a phantom with the statistics of its truth."""

from __future__ import annotations

import dask.array as da
import numpy as np
import xarray as xr

import refold

NAMES = ("quartz", "Fe/Ni oxide", "α-Fe")
COLOURS = ("#ff0000", "#00ff00", "#123456")


def labelled(shape=(7, 11), clusters=3, *, chunks=(3, 4), unit="nm", step=0.5, seed=0):
    """Labels with noise, lazy, on a calibrated grid."""
    values = np.random.default_rng(seed).integers(-1, clusters, shape).astype(np.int32)
    dims = ("z", "y", "x")[-len(shape) :]
    coords = {
        dim: (dim, np.arange(size) * step, {"units": unit, "role": "navigation"} if unit else {"role": "navigation"})
        for dim, size in zip(dims, shape, strict=True)
    }
    labels = xr.DataArray(da.from_array(values, chunks=chunks[-len(shape) :]), dims=dims, coords=coords, name="labels")
    sizes = np.array([(values == i).sum() for i in range(clusters)], np.int64)
    return xr.Dataset({"labels": labels, "cluster_size": ("cluster", sizes)})


def named(run):
    """The same after edits that gave names and colours."""
    return run.assign(
        cluster_name=("cluster", np.array(NAMES, object)), cluster_colour=("cluster", np.array(COLOURS, object))
    )


def phantom_run(counts=3000, *, shape=(16, 20), channels=80, phases=3, seed=1):
    """An EDS phantom, and what a run of it would be if every pixel were right."""
    phantom = refold.synthetic.eds(shape, channels, phases=phases, counts=counts, seed=seed, chunks=(8, 8))
    labels = phantom.labels.astype("int32").rename("labels")
    return phantom, refold.cluster_statistics(phantom.cube, labels).assign(labels=labels)
