"""A mask for each cluster, as TIFF, for programs that take them one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.engine.progress import Progress
from refold.phases.clusters import chosen_clusters, clusters_in, file_names
from refold.phases.formats import new_tiff
from refold.phases.pixels import Spacing, picture_of, size_like, write_map
from refold.report.tally import labels_of
from refold.report.whole import whole_files


def export_masks(
    run: xr.Dataset,
    folder: str | os.PathLike[str],
    *,
    clusters: Iterable[int | str] | None = None,
    noise: bool = False,
    like: Any = None,
    overwrite: bool = False,
    memory: int | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write a mask of each cluster as a TIFF: 255 where a pixel is in it, 0 elsewhere.

    Parameters
    ----------
    run : xarray.Dataset
        A run, as `refold.open_run` gives it, or as edited.
    folder : path-like
        Where to; it is made where it is not there.
    clusters : iterable of int or str, optional
        Numbers or names; by default all.
    noise : bool
        Whether the pixels of no cluster get a mask as well, ``noise.tif``.
    like : path, array or (int, int), optional
        An image of the same field, or its rows and columns: masks are as large as it, each of its pixels in the cluster
        in which its centre lies. By default as large as the labels.
    overwrite : bool
        Whether files of the same names may go, once the new ones are whole.
    memory : int or str, optional
        Bytes for blocks, or a size such as ``"2GB"``; by default a quarter of what is free.
    workers : int, optional
        Blocks in flight; by default one for each core.
    progress : Progress, optional
        Told of every block.

    Returns
    -------
    tuple of Path
        The files: ``cluster_0.tif``, or ``0_quartz.tif`` where a cluster has a name.

    Raises
    ------
    StoreExistsError
        If one of the files is there already; then none is written.
    ParameterError
        If there is no such cluster, or `like` is no image.
    VariableError
        If the run has no labels.
    CubeError
        If labels have more than three dims.
    DiskFullError, StoreError
        If they cannot be written.

    Notes
    -----
    One sweep over the labels, block by block, writes all masks, so a map may be larger than memory. Pixels are a byte
    each, in strips without compression, which every reader takes; their size is in the resolution tags, its unit in the
    description, as ImageJ has it.

    Examples
    --------
    >>> import refold
    >>> run = refold.open_run("scan.run.zarr")  # doctest: +SKIP
    >>> refold.export_masks(run, "masks", like="bse.tif")  # doctest: +SKIP
    """
    folder = Path(folder)
    labels = picture_of(labels_of(run))
    taken = chosen_clusters(clusters_in(run), clusters)
    names = [*file_names(taken, ".tif"), *(["noise.tif"] if noise else [])]
    encoders = [_is(cluster.number) for cluster in taken] + ([_is_noise] if noise else [])
    if not names:
        return ()
    shape = size_like(labels, like)
    spacing = Spacing.of(labels, shape)
    with whole_files([folder / name for name in names], overwrite=overwrite) as places:
        files = [
            new_tiff(place, shape, np.uint8, spacing, encode) for place, encode in zip(places, encoders, strict=True)
        ]
        write_map(labels, files, folder, memory=memory, workers=workers, progress=progress)
    return tuple(folder / name for name in names)


def _is(number: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def encode(labels: NDArray[Any]) -> NDArray[Any]:
        return np.where(labels == number, np.uint8(255), np.uint8(0))

    return encode


def _is_noise(labels: NDArray[Any]) -> NDArray[Any]:
    return np.where(labels < 0, np.uint8(255), np.uint8(0))
