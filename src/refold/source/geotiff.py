"""GeoTIFF scenes, read by rasterio: whole stored tiles at a time, in the thread that wants them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refold.engine import buffers
from refold.errors import MissingDependencyError, SourceError
from refold.source.axes import Axis, clean_name
from refold.source.lazy import Stored
from refold.source.metadata import json_safe
from refold.source.packing import Packing, exact
from refold.source.scene import Bands, Place, scene_signal
from refold.source.signals import Signal

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Tags that say where every pixel lies: their size, or a transform. OGC GeoTIFF 1.1, annex B.
_GEO_TAGS = frozenset({33550, 34264})
_NOT_KEPT = frozenset({"area_or_point", "tifftag_software"})


@dataclass(frozen=True, slots=True)
class GeoTiffRegion:
    """Reads regions of a GeoTIFF. The file is opened for each read: an open one does not travel, and holds a cache.

    Parameters
    ----------
    path : str
        The file.
    picture : bool
        Whether it has one band, and regions no axis for it; else regions are bands first.
    """

    path: str
    picture: bool

    @contextmanager
    def opened(self) -> Iterator[_Opened]:
        """Keep the file open for several reads."""
        with _open(self.path) as file:
            yield _Opened(file, self.picture)

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region; each stored tile or strip in it is decoded once."""
        with self.opened() as file:
            return file.read(region)


@dataclass(frozen=True, slots=True)
class _Opened:
    """Reads regions of a GeoTIFF that is open."""

    file: Any
    picture: bool

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        rows, columns = ((part.start, part.stop) for part in region[-2:])
        indexes = 1 if self.picture else list(range(region[0].start + 1, region[0].stop + 1))
        values = buffers.empty([part.stop - part.start for part in region], self.file.dtypes[0])
        self.file.read(indexes, window=(rows, columns), out=values)
        return values


def is_georeferenced(path: Path) -> bool:
    """Whether a TIFF file says where on the map it lies: told from the tags of its first picture."""
    with path.open("rb") as file:
        head = file.read(16)
        order, big = ("<" if head[:2] == b"II" else ">"), head[2:4] in (b"+\0", b"\0+")
        offset_as, count_as, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
        try:
            (first,) = struct.unpack_from(order + offset_as, head, 8 if big else 4)
            file.seek(first)
            (count,) = struct.unpack(order + count_as, file.read(struct.calcsize(order + count_as)))
            entries = file.read(min(count, 4096) * entry)
            tags = {struct.unpack_from(order + "H", entries, at)[0] for at in range(0, len(entries), entry)}
        except struct.error:  # cut off: whoever reads it will say so
            return False
    return not tags.isdisjoint(_GEO_TAGS)


def geotiff_signals(path: Path) -> list[Signal]:
    """Describe the scene of a GeoTIFF.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of Signal
        One: a cube; or, where there is one band, a picture.

    Raises
    ------
    MissingDependencyError
        If rasterio is not installed.
    SourceError
        If it cannot be opened.
    """
    with _open(path) as file:
        return [_signal(path, file)]


def _signal(path: Path, file: Any) -> Signal:
    picture = file.count == 1
    place, bands = _place(file), _bands([file.tags(number) for number in file.indexes])
    y, x = place.axes(file.height, file.width)
    axes: tuple[Axis, ...] = (y, x)
    coords = dict(place.coords)
    tile_rows, tile_columns = file.block_shapes[0]
    chunks: tuple[int, ...] = (min(tile_rows, file.height), min(tile_columns, file.width))
    if not picture:
        axis = bands.axis(file.count)
        axes, coords = (axis, y, x), coords | bands.coords(axis)
        together = str(file.profile.get("interleave", "")).lower() == "pixel"
        chunks = (file.count if together else 1, *chunks)
    no_data = tuple({exact(number) for number in file.nodatavals if number is not None})
    packing = Packing.scaled(tuple(file.scales), tuple(file.offsets), no_data)
    shape = tuple(one.size for one in axes)
    token = (str(path), path.stat().st_mtime_ns)
    stored = Stored(GeoTiffRegion(str(path), picture), shape, np.dtype(file.dtypes[0]), chunks, token)
    kept = {clean_name(key): json_safe(value) for key, value in file.tags().items()}
    attrs = {key: value for key, value in kept.items() if key and key not in _NOT_KEPT and value} | place.notes
    return scene_signal(stored, path.stem, axes, packing, coords, attrs)


def _place(file: Any) -> Place:
    a, b, c, d, e, f = tuple(file.transform)[:6]
    return Place((a, b, c, d, e, f), file.crs.to_wkt() if file.crs else None)


def _bands(tags: Sequence[dict[str, str]]) -> Bands:
    """Read wavelengths, widths and bad bands, where every band says its own."""

    def of_all(key: str) -> list[float] | None:
        try:
            return [float(said[key]) for said in tags]
        except (KeyError, ValueError):
            return None

    good = of_all("bbl")
    return Bands(
        of_all("wavelength"),
        of_all("fwhm"),
        tags[0].get("wavelength_units"),
        None if good is None else [value > 0 for value in good],
    )


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    """Open a file by rasterio, and say what is wrong with it where it cannot be read."""
    try:
        import rasterio
    except ImportError as error:
        what, remedy = f"{path}, which is a GeoTIFF", "pip install 'refold[geo]'"
        raise MissingDependencyError(what, "the package rasterio", remedy) from error
    try:
        with rasterio.open(path) as file:
            yield file
    except rasterio.errors.RasterioIOError as error:
        remedy = "copy or export it again"
        raise SourceError(f"{path}, which rasterio cannot read ({error})", "a whole GeoTIFF", remedy) from error
