"""Results as GeoTIFF: label maps, probabilities, scores and pictures, on the map where their scene lies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from refold.engine.progress import Progress
from refold.errors import MissingDependencyError, StoreError, StoreExistsError, VariableError
from refold.report.rasters import Raster, TooManyError

__all__ = ["to_geotiff"]


def to_geotiff(
    result: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    variable: str = "labels",
    *,
    colours: bool | Mapping[int, str] | None = None,
    nodata: float | None = None,
    compress: str = "deflate",
    overwrite: bool = False,
    memory: int | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a result as a GeoTIFF, where its scene lies on the map.

    Parameters
    ----------
    result : xarray.DataArray or xarray.Dataset
        A map on two navigation dims (or one, which becomes a single row), with at most one more dim, whose positions
        become bands: labels, probability, scores, a picture, a cube; lazy or not. Or a run.
    path : path-like
        The new file; it is there when it is whole.
    variable : str
        Which variable of a run.
    colours : bool or mapping of int to str, optional
        Whether to write whole numbers as classes with the colours of the report, or with these, as ``#rrggbb``: in one
        byte each, or two where there are more than 255 classes, negative ones as ``nodata``. By default for ``labels``
        and ``consensus``. Otherwise values keep their type.
    nodata : float, optional
        What says that a pixel has no value. By default NaN for floats; 255 or 65535 for classes with colours, -1 for
        label maps without; none for other whole numbers. Where floats get another one, it is written for NaN.
    compress : {"deflate", "lzw", "zstd", "packbits", "none"}
        How; none of them loses anything.
    overwrite : bool
        Whether a file that is there already may go, once the new one is whole.
    memory : int or str, optional
        Bytes for blocks, or a size such as ``"2GB"``; by default a quarter of what is free. GDAL holds 64 MB besides.
    workers : int, optional
        Blocks in flight; by default one for each core.
    progress : Progress, optional
        Told of every block.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CubeError
        If it is no map, or its positions are uneven, so that no transform says where they are.
    ParameterError
        If colours are asked for what are no classes, ``nodata`` does not fit the values, or an option is no such thing.
    VariableError
        If a run has no such variable.
    StoreExistsError
        If there is something at the path.
    StoreError
        If the file cannot be written.
    MissingDependencyError
        If rasterio is not installed.

    Notes
    -----
    One sweep, block by block; a second where classes turn out to be more than 255. Then the file is read back, since a
    disk that is full would not be noticed otherwise. The transform comes from the
    coordinates ``y`` and ``x``, the reference system from ``spatial_ref``. Without the latter, positions with units are
    written as a transform alone; positions that are only counted, not at all.

    Examples
    --------
    >>> import refold
    >>> run = refold.open_run("scene.run.zarr")  # doctest: +SKIP
    >>> refold.to_geotiff(run, "labels.tif")  # doctest: +SKIP
    >>> refold.to_geotiff(run, "scores.tif", "scores")  # doctest: +SKIP
    """
    path = Path(path)
    try:
        import rasterio  # noqa: F401 - to say at once that it is missing
    except ImportError as error:
        found, remedy = f"{path}, to be written as GeoTIFF", "pip install 'refold[geo]'"
        raise MissingDependencyError(found, "the package rasterio", remedy) from error
    if path.exists() and (path.is_dir() or not overwrite):
        raise StoreExistsError(f"{path}, which exists", "a new path", "choose another, or pass overwrite=True")
    array = _variable(result, variable) if isinstance(result, xr.Dataset) else result
    raster = Raster.of(array, nodata=nodata, colours=colours)
    options = {"memory": memory, "workers": workers, "progress": progress}
    with _whole(path) as partial:
        try:
            raster.write(partial, compress, **options)
        except TooManyError:
            raster.with_more_classes().write(partial, compress, **options)
    return path


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a hidden file beside another to write to, which takes its place when it is whole; else nothing is left."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "check the path and its permissions"
        raise StoreError(f"{error.strerror or error} at {path}", "a place that can be written", remedy) from error
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _variable(run: xr.Dataset, name: str) -> xr.DataArray:
    if name not in run:
        there = ", ".join(map(str, run.data_vars)) or "none"
        raise VariableError(f"no variable {name!r}", f"one of those of the run: {there}", "name one of them")
    return run[name]
