"""What scenes have in common: bands with wavelengths, rows and columns on the map, and numbers that mean no data."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube.georeference import SPATIAL_REF, Transform, map_positions, spatial_ref, units_of, wkt_of
from refold.errors import CubeError
from refold.source.axes import Axis
from refold.source.lazy import RegionReader, Stored, opened
from refold.source.packing import PackedRegion, Packing
from refold.source.signals import Signal
from refold.source.units import kind_of, normalise_units

FWHM, GOOD = "fwhm", "good"
UNREAD_CRS = "reference_system"
"""Attribute that keeps a reference system as the file says it, where nobody understands it."""

_NANOMETRES = {"nm": 1.0, "µm": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9, "Å": 0.1}
_WAVENUMBERS = {"wavenumber", "wavenumbers", "cm-1", "cm^-1", "1/cm"}
_FREQUENCIES = {"ghz": "GHz", "mhz": "MHz", "thz": "THz", "hz": "Hz"}
_DATUMS = {"wgs-84": 32600, "wgs84": 32600, "north america 1983": 26900, "nad83": 26900}
_SPOTS = (4, 8, 16)
_RUN = 16  # places in a row at a spot
_MOST = 1 << 26  # values that may be decoded for a sample


@dataclass(frozen=True, slots=True)
class Bands:
    """What a file says of its bands.

    Parameters
    ----------
    wavelengths, fwhm : sequence of float, optional
        One for each band.
    units : object
        Of both, as the file says it.
    good : sequence of bool, optional
        False for those that the file lists as bad.
    """

    wavelengths: Sequence[float] | None = None
    fwhm: Sequence[float] | None = None
    units: object = None
    good: Sequence[bool] | None = None

    def axis(self, size: int) -> Axis:
        """Make the axis of the bands: wavelengths in nm wherever the file gives a length; counted where it gives none.

        Parameters
        ----------
        size : int
            Number of bands.
        """
        if self.wavelengths is None:
            return Axis("band", "signal", np.arange(size))
        values = np.asarray(self.wavelengths, np.float64)
        if values.shape != (size,) or not np.isfinite(values).all():
            said = f"none: the file lists {values.size} wavelengths for {size} bands"
            return Axis("band", "signal", np.arange(size), calibration=said)
        text = str(self.units or "").strip().lower()
        if text in _WAVENUMBERS:
            return Axis("wavenumber", "signal", values, "1/cm")
        if text in _FREQUENCIES:
            return Axis("frequency", "signal", values, _FREQUENCIES[text])
        if self._factor is None:
            return Axis("wavelength", "signal", values, calibration="unit unknown: the file gives none")
        return Axis("wavelength", "signal", self._scaled(values), "nm")

    def coords(self, axis: Axis) -> dict[str, xr.Variable]:
        """Make the coordinates that go with the bands: ``fwhm`` and ``good``, where the file says them."""
        found: dict[str, xr.Variable] = {}
        if self.fwhm is not None and len(self.fwhm) == axis.size and axis.name != "band":
            values = np.asarray(self.fwhm, np.float64)
            attrs = {"units": axis.units} if axis.units else {}
            found[FWHM] = xr.Variable(axis.name, self._scaled(values) if axis.units == "nm" else values, attrs)
        if self.good is not None and len(self.good) == axis.size:
            found[GOOD] = xr.Variable(axis.name, np.asarray(self.good, bool))
        return found

    @property
    def _factor(self) -> float | None:
        unit = normalise_units(self.units)
        return _NANOMETRES.get(unit) if kind_of(unit) == "length" and unit else None

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Write lengths in nm, without the noise that a factor puts behind their last digit."""
        factor = self._factor or 1.0
        return values if factor == 1.0 else np.round(values * factor, 9)


def understood(crs: object) -> str | None:
    """Write a reference system as WKT; None where it cannot be understood, for a scene is of use without one."""
    try:
        return wkt_of(crs)
    except CubeError:
        return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows and columns lie.

    Parameters
    ----------
    transform : tuple of float, optional
        As for `refold.cube.georeference.georeference`.
    crs : object
        Reference system.
    units : str, optional
        Of map positions, where the file says them and not in the reference system.
    attrs : mapping
        What the file says that coordinates cannot hold.
    """

    transform: Transform | None = None
    crs: object = None
    units: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rotated(self) -> bool:
        """Whether rows do not run along a map axis, so that no coordinate says where they lie."""
        return self.transform is not None and (self.transform[1] != 0 or self.transform[3] != 0)

    def axes(self, rows: int, columns: int) -> tuple[Axis, Axis]:
        """Make the axes ``y`` and ``x``: pixel centres in map units, or counted where there are none."""
        if self.transform is None or self.rotated:
            said = "none: the file's map grid is rotated" if self.rotated else None
            return (
                Axis("y", "navigation", np.arange(rows), calibration=said),
                Axis("x", "navigation", np.arange(columns), calibration=said),
            )
        y, x = map_positions(self.transform, (rows, columns))
        units = units_of(self.crs) or normalise_units(self.units)
        return Axis("y", "navigation", y, units), Axis("x", "navigation", x, units)

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Make the coordinate ``spatial_ref``, where the reference system is known and positions are in it."""
        known = self.crs is not None and self.transform is not None and not self.rotated
        crs = understood(self.crs) if known else None
        return {} if crs is None else {SPATIAL_REF: spatial_ref(crs)}

    @property
    def notes(self) -> dict[str, Any]:
        """Tell what the file says that coordinates cannot hold, such as a reference system not understood."""
        unread = self.crs is not None and understood(self.crs) is None
        return {**self.attrs, **({UNREAD_CRS: str(self.crs)} if unread else {})}


def map_info(text: str | Sequence[str], crs: object = None) -> Place:
    """Read ENVI's map info, which NEON's files hold too.

    Parameters
    ----------
    text : str or sequence of str
        ``projection, column, row, easting, northing, width, height, [zone, North or South,] datum, units=…,
        rotation=…``; columns and rows are counted from 1 at the corner of the first pixel.
    crs : object, optional
        Reference system, where the file says it elsewhere; else it is told from the projection, zone and datum.

    Returns
    -------
    Place
        Nothing known, where the text is no map info.

    Examples
    --------
    >>> map_info("UTM, 1, 1, 257000, 4112000, 1, 1, 11, North, WGS-84, units=Meters").transform
    (1.0, 0.0, 257000.0, 0.0, -1.0, 4112000.0)
    """
    parts = [part.strip() for part in (text.strip("{} ").split(",") if isinstance(text, str) else text)]
    attrs = {"map_info": ", ".join(parts)}
    try:
        column, row, easting, northing, width, height = map(float, parts[1:7])
    except ValueError:
        return Place(attrs=attrs)
    named = dict(part.lower().split("=", 1) for part in parts if "=" in part)
    named = {key.strip(): value.strip() for key, value in named.items()}
    angle = math.radians(_number(named.get("rotation")))
    cos, sin = (1.0, 0.0) if not angle else (math.cos(angle), math.sin(angle))
    # As GDAL's ENVI driver turns the grid.
    a, b, d, e = width * cos, width * sin, height * sin, -height * cos
    c, f = easting - (column - 1) * a - (row - 1) * b, northing - (column - 1) * d - (row - 1) * e
    return Place((a, b, c, d, e, f), crs if crs is not None else _epsg(parts), named.get("units"), attrs)


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _epsg(parts: Sequence[str]) -> int | None:
    """Tell the reference system from map info, for the few that it names without doubt."""
    low = [part.lower() for part in parts]
    base = next((_DATUMS[part] for part in low if part in _DATUMS), None)
    if base is None:
        return None
    if low[0].startswith("geographic"):
        return 4326 if base == 32600 else 4269
    if low[0] != "utm" or len(low) < 9 or not re.fullmatch(r"\d{1,2}", low[7]):
        return None
    south = low[8].startswith("s")
    if south and base != 32600:
        return None
    return base + int(low[7]) + 100 * south


def scene_signal(
    stored: Stored,
    name: str,
    axes: tuple[Axis, ...],
    packing: Packing,
    coords: Mapping[str, xr.Variable] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Signal:
    """Describe a cube of bands, or a picture, whose numbers are packed.

    Parameters
    ----------
    stored : Stored
        The array.
    name : str
        Of the signal.
    axes : tuple of Axis
        In the order of the file.
    packing : Packing
        What its numbers stand for.
    coords, attrs : mapping, optional
        Of the cube.

    Returns
    -------
    Signal
        Whose coordinate ``good`` says, where the file declares a number for no data, which bands hold any: they are
        looked for when the cube is made.
    """
    bands = [at for at, axis in enumerate(axes) if axis.role == "signal"]
    look = None
    declared = packing.missing(stored.dtype)
    if packing.scales or declared:
        reader = PackedRegion(stored.reader, packing, bands[0] if bands else 0)
        token = (stored.token, packing)
        stored = replace(stored, reader=reader, dtype=packing.dtype_of(stored.dtype), token=token)
    if declared and len(bands) == 1 and len(axes) == 3:
        look = functools.partial(bands_with_data, stored.reader, stored.shape, stored.chunks, bands[0])
    return Signal(
        name, axes, stored.dtype, stored.lazy, stored.chunks, attrs=attrs or {}, coords=coords or {}, look=look
    )


def bands_with_data(
    reader: RegionReader, shape: tuple[int, ...], chunks: tuple[int, ...], axis: int
) -> NDArray[np.bool_]:
    """Find the bands that hold data anywhere in a sample of about 256 places, spread over the scene.

    Parameters
    ----------
    reader : RegionReader
        Gives NaN where there are no data.
    shape, chunks : tuple of int
        Of the array, in the order of the file.
    axis : int
        Where the bands are.

    Returns
    -------
    numpy.ndarray
        One bool a band. All True where no place of the sample holds data in any band: it then says nothing.

    Notes
    -----
    Each spot costs the stored chunks that it lies in. So the sample is 16 neighbours in a row at each of 4 x 4 spots,
    or more rows at fewer spots where chunks are large; if none of these holds data, of 8 x 8 and then of 16 x 16.
    """
    y, x = (at for at in range(3) if at != axis)
    steps = [chunks[at] if chunks[at] > 1 else shape[at] for at in (y, x)]
    cost = shape[axis] * max(chunks[y] * chunks[x], _RUN)
    affordable = max(1, math.isqrt(_MOST // cost))
    with opened(reader) as file:
        for count in sorted({min(count, affordable) for count in _SPOTS}):
            high = max(1, _SPOTS[0] ** 2 // count**2)
            held = np.zeros(shape[axis], bool)
            for row, column in product(_spread(shape[y], count), _spread(shape[x], count)):
                region = [slice(0, size) for size in shape]
                region[y] = _near(row, high, steps[0], shape[y])
                region[x] = _near(column, _RUN, steps[1], shape[x])
                held |= (~np.isnan(file.read(tuple(region)))).any(axis=(y, x))
            if held.any():
                return held
    return np.ones(shape[axis], bool)


def _near(at: int, length: int, step: int, size: int) -> slice:
    """Some positions around one, all in its stored chunk."""
    first = at // step * step
    start = max(first, at - length // 2)
    return slice(start, min(start + length, first + step, size))


def _spread(size: int, count: int) -> list[int]:
    """Positions at the middles of equal parts of a dim."""
    count = min(size, count)
    return [int((at + 0.5) * size / count) for at in range(count)]
