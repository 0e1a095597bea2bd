"""The map of all clusters as a file: for ImageJ, for GIS, for pictures, for NumPy and for xarray."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube.georeference import crs_of
from refold.engine.progress import Progress
from refold.errors import CubeError, ParameterError
from refold.origin import refuse_own
from refold.phases.clusters import Cluster, clusters_in
from refold.phases.formats import NOISE_INDEX, new_bytes, new_npy, new_tiff, write_png
from refold.phases.pixels import Spacing, picture_of, size_like, write_map
from refold.report.colours import NOISE, to_rgb
from refold.report.geotiff import to_geotiff
from refold.report.tally import labels_of
from refold.report.whole import whole_files

Format = Literal["tiff", "geotiff", "png", "npy", "zarr"]
Legend = Literal["json", "csv"]

_SUFFIXES: dict[str, Format] = {".tif": "tiff", ".tiff": "tiff", ".png": "png", ".npy": "npy", ".zarr": "zarr"}
_CHUNK = 1024  # pixels of a side of a chunk of a Zarr array


def export_labels(
    run: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    legend: Legend | bool | None = None,
    like: Any = None,
    overwrite: bool = False,
    memory: int | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the label map of a run, pixel by pixel as it is.

    Parameters
    ----------
    run : xarray.Dataset
        A run, as `refold.open_run` gives it, or as edited.
    path : path-like
        The new file, or the new Zarr store.
    format : {"tiff", "geotiff", "png", "npy", "zarr"}, optional
        By default what the suffix says; ``.tif`` is a GeoTIFF where the labels have a reference system.
    legend : {"json", "csv"} or bool, optional
        Whether to write beside it, as ``NAME.json`` or ``NAME.csv``, which value is which cluster: its name, colour and
        size. By default as JSON beside a PNG, else not.
    like : path, array or (int, int), optional
        An image of the same field, or its rows and columns, as large as which the map is written, each pixel with the
        cluster in which its centre lies. Not for GeoTIFF and Zarr, whose coordinates say where pixels are.
    overwrite : bool
        Whether what is there may go, once the new file is whole.
    memory : int or str, optional
        Bytes for blocks, or a size such as ``"2GB"``; by default a quarter of what is free.
    workers : int, optional
        Blocks in flight; by default one for each core.
    progress : Progress, optional
        Told of every block.

    Returns
    -------
    Path
        The file. TIFF and NPY hold the labels as int32, -1 for noise; PNG and GeoTIFF a byte each with a table of
        colours, 255 for noise (two bytes in a GeoTIFF of more than 255 clusters); Zarr the labels with coordinates, and
        names and colours as attributes (``flag_values``, ``flag_meanings``, ``flag_colors``, as in the CF conventions).

    Raises
    ------
    StoreExistsError
        If there is something at the path already; or it is the run's own store or scan, even with ``overwrite=True``.
    ParameterError
        If the format is none of these, is not named by the suffix, cannot hold so many clusters, or `like` is no image
        or has no place in it.
    VariableError
        If the run has no labels.
    CubeError
        If a PNG is to hold a stack; use `isel` for one slice.
    DiskFullError, StoreError
        If it cannot be written.

    Notes
    -----
    One sweep over the labels, block by block, so a map may be larger than memory.

    Examples
    --------
    >>> import refold
    >>> run = refold.open_run("scan.run.zarr")  # doctest: +SKIP
    >>> refold.export_labels(run, "phases.png")  # doctest: +SKIP
    """
    path = Path(path)
    labels = labels_of(run)
    kind = _format_of(path, format, labels)
    beside = _legend_of(kind, legend)
    if like is not None and kind in {"geotiff", "zarr"}:
        raise ParameterError(f"like=… for {kind}", "none: its coordinates say where pixels are", "leave it out")
    clusters = clusters_in(run)
    if kind == "png":
        _check_for_png(labels, clusters)
    paths = [path, *([path.with_suffix(f".{beside}")] if beside else [])]
    if len(set(paths)) < len(paths):
        raise ParameterError(f"a map and its legend both at {path}", "two files", "name the map by its format")
    refuse_own(run, path)
    options: dict[str, Any] = {"memory": memory, "workers": workers, "progress": progress}
    with whole_files(paths, overwrite=overwrite) as places:
        if kind == "geotiff":
            to_geotiff(labels.rename("labels"), places[0], colours=_table(clusters), **options)
        elif kind == "zarr":
            _write_zarr(places[0], labels, clusters)
        else:
            _write_plain(places[0], kind, labels, like, clusters, options)
        if beside:
            _write_legend(places[1], clusters, noise=NOISE_INDEX if kind == "png" else -1)
    return path


def _format_of(path: Path, given: str | None, labels: xr.DataArray) -> Format:
    known = get_args(Format)
    if given is not None:
        if given not in known:
            raise ParameterError(f"format={given!r}", f"one of {', '.join(known)}", "choose one of them")
        return given  # type: ignore[return-value] # just checked
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        wanted = f"one of {', '.join(_SUFFIXES)}"
        raise ParameterError(f"a file named {path.name}", wanted, "name it so, or pass format=…")
    return "geotiff" if found == "tiff" and crs_of(labels) is not None else found


def _legend_of(kind: Format, legend: Legend | bool | None) -> str | None:
    if legend is None:
        return "json" if kind == "png" else None
    if isinstance(legend, bool):
        return "json" if legend else None
    if legend not in get_args(Legend):
        raise ParameterError(f"legend={legend!r}", "'json', 'csv', True or False", "choose one of them")
    return legend


def _check_for_png(labels: xr.DataArray, clusters: Sequence[Cluster]) -> None:
    if labels.ndim > 2:
        raise CubeError(f"labels along {labels.dims}", "two dims for a PNG", "choose one slice with isel, or a TIFF")
    if any(cluster.number >= NOISE_INDEX for cluster in clusters):
        found = f"clusters up to number {clusters[-1].number} for a PNG"
        raise ParameterError(found, f"numbers below {NOISE_INDEX}: a byte holds no more", "write a TIFF")


def _table(clusters: Sequence[Cluster]) -> dict[int, str]:
    return {cluster.number: cluster.colour for cluster in clusters}


def _as_index(labels: NDArray[Any]) -> NDArray[Any]:
    return np.where(labels < 0, NOISE_INDEX, labels).astype(np.uint8)


def _as_int32(labels: NDArray[Any]) -> NDArray[Any]:
    return labels.astype("<i4", copy=False)


def _write_plain(
    place: Path, kind: Format, labels: xr.DataArray, like: Any, clusters: Sequence[Cluster], options: dict[str, Any]
) -> None:
    picture = picture_of(labels)
    shape = size_like(picture, like)
    if kind == "tiff":
        write_map(picture, [new_tiff(place, shape, "<i4", Spacing.of(picture, shape), _as_int32)], place, **options)
    elif kind == "npy":
        own = shape if labels.ndim > 1 else shape[1:]
        file = new_npy(place, own, "<i4", _as_int32)
        write_map(picture, [type(file)(file.path, file.offset, shape, file.encode)], place, **options)
    else:
        bare = place.with_name(f"{place.name}.bytes")
        write_map(picture, [new_bytes(bare, shape, _as_index)], place, **options)
        table = np.round(to_rgb([NOISE] * (NOISE_INDEX + 1)) * 255).astype(int)
        for cluster in clusters:
            table[cluster.number] = np.round(to_rgb([cluster.colour])[0] * 255)
        write_png(place, bare, (shape[-2], shape[-1]), [tuple(row) for row in table.tolist()])
        bare.unlink()


def _write_zarr(place: Path, labels: xr.DataArray, clusters: Sequence[Cluster]) -> None:
    numbers = [-1, *(cluster.number for cluster in clusters)]
    names = ["noise", *(cluster.file or f"cluster_{cluster.number}" for cluster in clusters)]
    names = [f"{name}_{i - 1}" if i and names.count(name) > 1 else name for i, name in enumerate(names)]
    attrs = {
        "long_name": str(labels.attrs.get("long_name", "cluster of each pixel; -1 is noise")),
        "flag_values": numbers,
        "flag_meanings": " ".join(names),
        "flag_colors": " ".join([NOISE, *(cluster.colour for cluster in clusters)]),
        "cluster_names": ["noise", *(cluster.name for cluster in clusters)],
    }
    chunks = {dim: min(size, _CHUNK) for dim, size in labels.sizes.items()}
    whole = labels.rename("labels").chunk(chunks).drop_encoding().assign_attrs(attrs).to_dataset()
    for name in whole.coords:
        whole[name].encoding = {}
    whole.to_zarr(place, zarr_format=3, consolidated=False)


def _write_legend(place: Path, clusters: Sequence[Cluster], noise: int) -> None:
    entries: list[dict[str, Any]] = [
        {"value": cluster.number, "name": cluster.name, "colour": cluster.colour, "size": cluster.size}
        for cluster in clusters
    ]
    entries.append({"value": noise, "name": "noise", "colour": NOISE, "size": None})
    if place.suffix == ".json":
        place.write_text(json.dumps({"clusters": entries}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    with place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(entries[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)
