"""A map as the bands of a raster, and its way into a file, window by window."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Self
from zlib import crc32

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import as_cube, navigation_dims
from refold.cube.georeference import crs_of, name_of, transform_of
from refold.engine import Block, Where, plan_grid, sweep
from refold.errors import CubeError, ParameterError, StoreError
from refold.planning import Grid
from refold.report.calibration import Axis, format_number
from refold.report.colours import palette, to_rgb
from refold.report.stretching import CHANNEL

__all__ = ["Raster", "TooManyError"]

_LABELS = ("labels", "consensus")
_BAND = "band"
_TILE = 256  # pixels of a side of a stored tile; a multiple of 16, as TIFF wants
_CACHE = 64  # megabytes that GDAL may hold back
_COMPRESSIONS = ("deflate", "lzw", "zstd", "packbits", "none")  # without loss; GDAL takes others for none


Sums = list[tuple[Where, int]]


class TooManyError(ParameterError):
    """There are more classes than the type of the file can number."""


@dataclass(frozen=True)
class Raster:
    """What is written, and how.

    Attributes
    ----------
    cube : xarray.DataArray
        Dims y, x and one for the bands.
    dtype : numpy.dtype
        Of the file.
    place : mapping
        ``transform`` and ``crs``, as far as they are known.
    classes : bool
        Whether values are classes, with colours.
    nodata : float or None
        What says that a pixel has no value.
    descriptions : tuple of str
        One for each band.
    tags : tuple of mapping
        One for each band.
    """

    cube: xr.DataArray
    dtype: np.dtype[Any]
    place: Mapping[str, Any]
    classes: bool = False
    nodata: float | None = None
    descriptions: tuple[str, ...] = ()
    tags: tuple[Mapping[str, str], ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    table: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, array: xr.DataArray, *, nodata: float | None, colours: Any) -> Self:
        """Describe a map; the parameters are those of `to_geotiff`."""
        array = _rows_columns_bands(array)
        band = str(array.dims[2])
        classes = (array.name in _LABELS and array.sizes[band] == 1) if colours is None else bool(colours)
        if classes and (array.dtype.kind not in "iu" or array.sizes[band] > 1):
            found = f"values of dtype {array.dtype} in {array.sizes[band]} bands, to be written with colours"
            raise ParameterError(found, "whole numbers in one band", "pass colours=False")
        dtype = np.dtype(np.uint8) if classes else _storable(array.dtype)
        return cls(
            as_cube(array, signal=band),
            dtype,
            _place_of(array),
            classes,
            _nodata(array, dtype, nodata, classes),
            tuple(_descriptions(array, band)),
            tuple(_tags(array, band)),
            {key: str(array.attrs[key]) for key in ("long_name", "units") if key in array.attrs},
            colours if isinstance(colours, Mapping) else {},
        )

    def with_more_classes(self) -> Self:
        """The same in two bytes a pixel."""
        return replace(self, dtype=np.dtype(np.uint16), nodata=65535)

    def write(self, path: Path, compress: str, *, memory: Any, workers: Any, progress: Any) -> None:
        """Write the file in one sweep, and read it back to see that all of it is there.

        Raises
        ------
        TooManyError
            If there are more classes than the type of the file can number.
        StoreError
            If it cannot be written.
        """
        import rasterio

        if compress not in _COMPRESSIONS:
            raise ParameterError(f"compress={compress!r}", f"one of {', '.join(_COMPRESSIONS)}", "choose one of them")
        grid = plan_grid(self.cube, memory=memory, workers=workers)
        options = {"memory": memory, "workers": workers, "progress": progress, "label": "write"}
        with rasterio.Env(GDAL_CACHEMAX=_CACHE):
            with self._created(path, grid, compress) as file:
                self._describe(file)
                (sums,) = sweep(self.cube, _Windows(self, file), grid=grid, **options)
            _check_written(path, sums)

    @contextmanager
    def _created(self, path: Path, grid: Grid, compress: str) -> Iterator[Any]:
        height, width, count = self.cube.shape
        options: dict[str, Any] = {"compress": compress, "num_threads": "all_cpus", "bigtiff": "if_safer"}
        if self.dtype.kind == "f" and compress in ("deflate", "lzw", "zstd"):
            options["predictor"] = 3
        if (tile := _tile(grid)) and min(height, width) >= _TILE:
            options |= {"tiled": True, "blockysize": tile[0], "blockxsize": tile[1]}
        if self.cube.dims[2] == CHANNEL:
            options |= {"photometric": "rgb", "alpha": "yes", "interleave": "pixel"}
        else:
            options |= {"photometric": "palette" if self.classes else "minisblack", "interleave": "band"}
        file = _open(
            path, "w", driver="GTiff", height=height, width=width, count=count, dtype=self.dtype.name,
            nodata=self.nodata, **self.place, **options,
        )  # fmt: skip
        try:
            yield file
        finally:
            with _errors(path):
                file.close()

    def _describe(self, file: Any) -> None:
        file.update_tags(**self.notes)
        for number, (description, tags) in enumerate(zip(self.descriptions, self.tags, strict=True), 1):
            file.set_band_description(number, description)
            file.update_tags(number, **tags)
        if self.classes:
            colours = np.round(to_rgb(palette(255)) * 255).astype(int).tolist()
            rows = np.iinfo(self.dtype).max  # the last is nodata
            table = {row: (*colours[row % 255], 255) for row in range(rows)}
            table |= {row: (*map(int, bytes.fromhex(own[1:])), 255) for row, own in self.table.items() if row < rows}
            file.write_colormap(1, table | {rows: (0, 0, 0, 0)})

    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn values into those of the file."""
        if self.nodata is None:
            return values.astype(self.dtype)
        if self.classes:
            if values.max() >= self.nodata:
                raise TooManyError(f"class {values.max()}", f"numbers below {self.nodata}", "pass colours=False")
            return np.where(values < 0, self.nodata, values).astype(self.dtype)
        if values.dtype.kind == "f" and not math.isnan(self.nodata):
            return np.where(np.isnan(values), self.nodata, values).astype(self.dtype)
        return values.astype(self.dtype)


class _Windows:
    """Visitor: writes each block into a file that is open, one at a time, and keeps a checksum of it."""

    def __init__(self, raster: Raster, file: Any) -> None:
        self.raster = raster
        self.file = file
        self.turn = Lock()

    def start(self) -> Sums:
        """Nothing written yet."""
        return []

    def visit(self, state: Sums, block: Block, where: Where) -> None:
        """Write a block's window."""
        values = np.ascontiguousarray(np.moveaxis(self.raster.encode(block.data), -1, 0))
        with self.turn, _errors(self.file.name):
            self.file.write(values, window=_window(where))
        state.append((where, crc32(values.data)))

    def merge(self, one: Sums, other: Sums) -> Sums:
        """All of both."""
        return one + other

    def finish(self, state: Sums) -> Sums:
        """What was handed over."""
        return state


def _rows_columns_bands(array: xr.DataArray) -> xr.DataArray:
    """Name and order the dims of a map y, x and that of its bands; a line becomes a single row."""
    dims = [str(dim) for dim in array.dims]
    named = tuple(dim for dim in ("y", "x") if dim in dims)
    navigation = named if len(named) == 2 else navigation_dims(array) or named
    rest = [dim for dim in dims if dim not in navigation]
    if not 1 <= len(navigation) <= 2 or len(rest) > 1 or not array.size:
        raise CubeError(
            f"dims {tuple(dims)} of shape {array.shape}",
            "rows and columns, and at most one dim more, none of them empty",
            "choose one with isel, as in scores.isel(z=0)",
        )
    if len(navigation) == 1:
        array = array.rename({navigation[0]: "x"} if navigation[0] != "x" else {}).expand_dims("y")
    elif set(navigation) != {"y", "x"}:
        array = array.rename(dict(zip(navigation, ("y", "x"), strict=True)))
    band = rest[0] if rest else _BAND
    return (array if rest else array.expand_dims(_BAND)).transpose("y", "x", band)


def _place_of(array: xr.DataArray) -> dict[str, Any]:
    """Transform and reference system, as far as the coordinates say them."""
    import rasterio

    crs, transform = crs_of(array), transform_of(array)
    calibrated = any("units" in array.coords[dim].attrs for dim in ("y", "x") if dim in array.coords)
    if crs is None and not calibrated:
        return {}  # positions were only counted
    missing = any(dim not in array.coords for dim in ("y", "x"))
    if transform is None and not missing and array.shape[:2] == (1, 1):  # nothing says how large a single pixel is
        transform = (1.0, 0.0, float(array.x[0]) - 0.5, 0.0, -1.0, float(array.y[0]) + 0.5)
    if transform is None and (crs is not None or not missing):
        raise CubeError(
            "positions along y and x that are missing or uneven",
            "even ones, as a GeoTIFF has no others",
            "bring the map to a regular grid, as with interp(y=…, x=…), or drop its coordinates",
        )
    place: dict[str, Any] = {} if transform is None else {"transform": rasterio.Affine(*transform)}
    return place if crs is None else place | {"crs": _known_to_gdal(crs)}


def _known_to_gdal(crs: str) -> Any:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise CubeError(
            f"a reference system {name_of(crs)!r}",
            "one that GDAL knows",
            "drop the coordinate spatial_ref, or set another by refold.cube.georeference.spatial_ref",
        ) from error


def _storable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the file for values that keep theirs: TIFF has no booleans, and no halves."""
    if dtype.kind not in "biuf":
        raise ParameterError(f"values of dtype {dtype}", "real numbers", "convert them first")
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype.itemsize == 2 and dtype.kind == "f" else dtype.newbyteorder("=")


def _nodata(array: xr.DataArray, dtype: np.dtype[Any], given: float | None, classes: bool) -> float | None:
    if classes:
        if given is not None:
            found = f"nodata={given} for classes with colours"
            raise ParameterError(found, "none: it is 255, or 65535", "pass colours=False to choose it")
        return 255
    if given is None:
        return math.nan if dtype.kind == "f" else -1 if array.name in _LABELS and dtype.kind == "i" else None
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    if not isinstance(given, numbers.Real):
        raise ParameterError(f"nodata={given!r}", "a number", "leave it out for the default")
    if not (limits.min <= given <= limits.max and (dtype.kind == "f" or float(given).is_integer())) and not (
        dtype.kind == "f" and math.isnan(given)
    ):
        raise ParameterError(f"nodata={given}", f"a value that {dtype} holds", "change it, or convert the values first")
    return given


def _descriptions(array: xr.DataArray, band: str) -> Iterator[str]:
    """What each band is, for people."""
    if band not in array.coords:
        yield from (
            [str(array.name or "values")] if band == _BAND else map(f"{band} {{}}".format, range(array.shape[2]))
        )
        return
    unit = Axis.of(array, band).unit
    for value in array.coords[band].values:
        text = format_number(float(value)) if array.coords[band].dtype.kind in "iuf" else str(value)
        yield f"{text} {unit}" if unit else text if band == CHANNEL else f"{band} {text}"


def _tags(array: xr.DataArray, band: str) -> Iterator[dict[str, str]]:
    """What each band is, for programs: wavelengths as the tools of imaging spectroscopy write and read them."""
    known = {
        key: array.coords[name].values
        for key, name in (("wavelength", "wavelength"), ("fwhm", "fwhm"), ("bbl", "good"))
        if band == "wavelength" and name in array.coords and array.coords[name].dims == (band,)
    }
    units = {"wavelength_units": Axis.of(array, band).unit} if known else {}
    for place in range(array.shape[2]):
        said = {key: str(int(values[place]) if key == "bbl" else values[place]) for key, values in known.items()}
        yield said | units


def _tile(grid: Grid) -> tuple[int, int] | None:
    """Sides of stored tiles that no two blocks share, so that none is written twice; else of the usual ones."""
    sides = []
    for edges, count in zip(grid.edges, grid.counts, strict=True):
        even = math.gcd(*edges[1:-1]) if count > 1 else _TILE
        sides.append(next((side for side in range(_TILE, 15, -16) if even % side == 0), _TILE))
    return sides[0], sides[1]


@contextmanager
def _errors(path: str | Path) -> Iterator[None]:
    """Say in our words what GDAL refused."""
    from rasterio.errors import RasterioError

    try:
        yield
    except RasterioError as error:
        remedy = "check the path and the room on the disk"
        raise StoreError(f"{error} at {path}", "a file that can be written", remedy) from error


def _open(path: Path, mode: str, **options: Any) -> Any:
    import rasterio

    with _errors(path), warnings.catch_warnings():
        # Scans of a microscope lie nowhere on Earth.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(path, mode, **options)


def _check_written(path: Path, sums: Sums) -> None:
    """Read it back: GDAL writes its last tiles as it closes a file, and says nothing where the disk is full."""
    with _open(path, "r", num_threads="all_cpus") as file, _errors(path):
        arrived = all(crc32(file.read(window=_window(where)).data) == crc for where, crc in sums)
    if not arrived:
        remedy = "free some, or choose another path"
        raise StoreError(f"parts that did not arrive in {path}", "room on the disk", remedy)


def _window(where: Where) -> Any:
    from rasterio.windows import Window

    return Window.from_slices(*((part.start, part.stop) for part in where.slices))
