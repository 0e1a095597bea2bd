"""NetCDF: xarray says what is in the file; the numbers are read as those of any HDF5 file, chunk by chunk."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube.georeference import SPATIAL_REF, spatial_ref, units_of
from refold.errors import MissingDependencyError, SourceError
from refold.source.axes import Axis, named_axes
from refold.source.hdf5 import open_hdf5, stored_array
from refold.source.lazy import Stored
from refold.source.metadata import json_safe
from refold.source.packing import Packing, exact
from refold.source.scene import UNREAD_CRS, Bands, scene_signal, understood
from refold.source.signals import Signal

CLASSIC = (b"CDF\x01", b"CDF\x02")
_SUFFIXES = frozenset({".nc", ".nc4", ".cdf", ".netcdf"})
_FEWEST_DIMS = 3
_ROWS = {"y", "lat", "latitude", "northing", "row", "rows", "line", "lines", "downtrack", "along_track"}
_COLUMNS = {"x", "lon", "longitude", "easting", "column", "columns", "sample", "samples", "crosstrack", "across_track"}
_WAVELENGTHS, _FWHM, _GOOD = (re.compile(text, re.IGNORECASE) for text in ("wavelength", "fwhm", "^good"))
_NOT_KEPT = frozenset(
    {"scale_factor", "add_offset", "_FillValue", "missing_value", "coordinates", "grid_mapping", "_Unsigned"}
    | {"DIMENSION_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid", "valid_range", "valid_min", "valid_max"}
)
_CRS_KEYS = ("crs_wkt", "spatial_ref", "epsg_code")
# One by one: open_groups takes decode_cf=False, and decodes all the same.
_AS_STORED: dict[str, Any] = dict.fromkeys(("mask_and_scale", "decode_times", "decode_coords"), False)

Groups = dict[str, xr.Dataset]


@dataclass(frozen=True, slots=True)
class XarrayRegion:
    """Reads regions of a variable by xarray, which opens the file for each read."""

    path: str
    engine: str
    group: str
    name: str
    decode: bool

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region."""
        options: dict[str, Any] = {} if self.engine == "scipy" else {"group": self.group}
        options |= {} if self.decode else _AS_STORED
        with xr.open_dataset(self.path, engine=self.engine, **options) as dataset:
            return np.asarray(dataset[self.name].variable[region].values)


def is_netcdf(path: Path) -> bool:
    """Whether an HDF5 file is NetCDF, by its suffix or by what the library notes in it."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    with open_hdf5(path) as file:
        return "_NCProperties" in file.attrs


def netcdf_signals(path: Path, *, classic: bool = False) -> list[Signal]:
    """Describe the variables of three or more dims in a NetCDF file.

    Parameters
    ----------
    path : Path
        The file.
    classic : bool
        Whether it is of the format before version 4, which is not HDF5.

    Returns
    -------
    list of Signal
        Named by their paths in the file.

    Raises
    ------
    MissingDependencyError
        If the file is HDF5 and h5netcdf is not installed.
    SourceError
        If xarray cannot open it.
    """
    if not classic and find_spec("h5netcdf") is None:
        raise MissingDependencyError(f"{path}, which is NetCDF", "the package h5netcdf", "pip install 'refold[geo]'")
    with _groups(path, classic) as groups:
        return [
            _signal(path, groups, group, str(name), classic)
            for group, dataset in groups.items()
            for name, variable in dataset.variables.items()
            if variable.ndim >= _FEWEST_DIMS and variable.dtype.kind in "biufc" and variable.size
        ]


@contextmanager
def _groups(path: Path, classic: bool) -> Iterator[Groups]:
    """Open all groups of a file, their numbers and attributes as they are stored."""
    with ExitStack() as stack:
        try:
            if classic:
                groups = {"/": xr.open_dataset(path, engine="scipy", **_AS_STORED)}
            else:
                groups = xr.open_groups(path, engine="h5netcdf", phony_dims="sort", **_AS_STORED)
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "copy or export it again"
            raise SourceError(f"{path}, which xarray cannot open ({error})", "a whole NetCDF file", remedy) from error
        for dataset in groups.values():
            stack.callback(dataset.close)
        yield groups


def _signal(path: Path, groups: Groups, group: str, name: str, classic: bool) -> Signal:
    variable = groups[group][name].variable
    full = f"{group}/{name}".lstrip("/")
    axes, coords = _axes(groups, group, variable)
    crs, unread = _crs(groups, group, variable)
    if crs is not None and {"y", "x"} <= {axis.name for axis in axes}:
        coords[SPATIAL_REF] = spatial_ref(crs)
        units = units_of(crs)
        axes = tuple(replace(axis, units=axis.units or units) if axis.name in ("y", "x") else axis for axis in axes)
    renamed = dict(zip(map(str, variable.dims), (axis.name for axis in axes), strict=True))
    coords |= dict(_listed(path, groups, variable, renamed, classic))
    kept = {str(key): json_safe(value) for key, value in variable.attrs.items() if key not in _NOT_KEPT}
    attrs = {key: value for key, value in {**kept, UNREAD_CRS: unread}.items() if value is not None}
    stored, packing = _stored(path, full, variable, classic)
    return scene_signal(stored, full, axes, packing, coords, attrs)


def _stored(path: Path, name: str, variable: xr.Variable, classic: bool) -> tuple[Stored, Packing]:
    """Say how a variable is read, and what its numbers stand for."""
    engine = "scipy" if classic else "h5netcdf"
    group, _, leaf = name.rpartition("/")
    token = (str(path), path.stat().st_mtime_ns, name)
    if "_Unsigned" in variable.attrs:  # an old way to say that bytes are counts: left to xarray, scale and all
        decoded = xr.conventions.decode_cf_variable(leaf, variable)
        reader = XarrayRegion(str(path), engine, group or "/", leaf, decode=True)
        return Stored(reader, variable.shape, decoded.dtype, (1,) * variable.ndim, token), Packing()
    said = {key: _number(variable.attrs.get(key)) for key in _NOT_KEPT}
    no_data = tuple(
        number for key in ("_FillValue", "missing_value") if (number := said[key]) is not None and math.isfinite(number)
    )
    packing = Packing.scaled(_or(said["scale_factor"], 1.0), _or(said["add_offset"], 0.0), no_data)
    if classic:
        reader = XarrayRegion(str(path), engine, "/", leaf, decode=False)
        return Stored(reader, variable.shape, variable.dtype, (1,) * variable.ndim, token), packing
    with open_hdf5(path) as file:
        return stored_array(path, file[name]), packing


def _number(value: Any) -> int | float | None:
    array = np.asarray(value)
    return exact(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else None


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _nearest(groups: Groups, group: str, name: str) -> xr.Variable | None:
    """Find a variable by name: in a group, in those above it, then anywhere."""
    above = [group]
    while above[-1] not in ("", "/"):
        above.append(above[-1].rpartition("/")[0] or "/")
    for place in (*above, *groups):
        if place in groups and name in groups[place].variables:
            return groups[place][name].variable
    return None


def _axes(groups: Groups, group: str, variable: xr.Variable) -> tuple[tuple[Axis, ...], dict[str, xr.Variable]]:
    """Make the axes: rows and columns of a map are ``y`` and ``x``, bands have the wavelengths that the file gives."""
    dims = tuple(map(str, variable.dims))
    positions: dict[str, tuple[NDArray[Any], Mapping[str, Any]]] = {}
    for dim in dims:
        line = _nearest(groups, group, dim)
        if line is not None and line.dims == (dim,):
            decoded = xr.conventions.decode_cf_variable(dim, line)
            positions[dim] = (np.asarray(decoded.values), decoded.attrs)
    rows, columns = ([dim for dim in dims if dim.lower() in names] for names in (_ROWS, _COLUMNS))
    if len(rows) == len(columns) == 1:
        for dim, size in zip(dims, variable.shape, strict=True):
            values, said = positions.get(dim, (np.arange(size), {}))
            positions[dim] = (values, {**said, "role": "navigation" if dim in rows + columns else "signal"})
    axes = list(named_axes(dims, variable.shape, positions))
    if len(rows) == len(columns) == 1:
        for old, new in ((rows[0], "y"), (columns[0], "x")):
            at = dims.index(old)
            axes[at] = replace(axes[at], name=new, long_name=axes[at].long_name or (old if old != new else None))
    signal = [at for at, axis in enumerate(axes) if axis.role == "signal"]
    if len(signal) != 1:
        return tuple(axes), {}
    at = signal[0]
    bands = _bands(groups, dims[at], positions.get(dims[at]))
    if bands.wavelengths is not None:
        axes[at] = bands.axis(axes[at].size)
    return tuple(axes), bands.coords(axes[at])


def _bands(groups: Groups, dim: str, own: tuple[NDArray[Any], Mapping[str, Any]] | None) -> Bands:
    """Gather what variables over a dim, in whatever group, say of its bands."""
    over = {
        str(name): variable
        for dataset in groups.values()
        for name, variable in dataset.variables.items()
        if variable.dims == (dim,) and variable.dtype.kind in "biuf"
    }

    def find(pattern: re.Pattern[str]) -> xr.Variable | None:
        return next((variable for name, variable in over.items() if pattern.search(name)), None)

    good, fwhm, lines = find(_GOOD), find(_FWHM), {name: one for name, one in over.items() if not _GOOD.search(name)}
    centres = next((one for name, one in lines.items() if _WAVELENGTHS.search(name)), None)
    if centres is None and own is not None and _WAVELENGTHS.search(dim):
        centres = xr.Variable(dim, own[0], dict(own[1]))
    return Bands(
        None if centres is None else np.asarray(centres.values, np.float64).tolist(),
        None if fwhm is None else np.asarray(fwhm.values, np.float64).tolist(),
        None if centres is None else centres.attrs.get("units"),
        None if good is None else (np.asarray(good.values) > 0).tolist(),
    )


def _listed(
    path: Path, groups: Groups, variable: xr.Variable, renamed: Mapping[str, str], classic: bool
) -> Iterator[tuple[str, xr.Variable]]:
    """Yield the maps that a variable names as its coordinates, or that say longitude and latitude; lazily."""
    named = set(str(variable.attrs.get("coordinates", "")).split()) | {"lat", "lon", "latitude", "longitude"}
    for group, dataset in groups.items():
        for name, other in dataset.variables.items():
            if str(name) not in named or other.ndim != 2 or not set(other.dims) < set(variable.dims):
                continue
            stored, packing = _stored(path, f"{group}/{name}".lstrip("/"), other, classic)
            signal = scene_signal(stored, str(name), named_axes(tuple(map(str, other.dims)), other.shape, {}), packing)
            units = {"units": str(other.attrs["units"])} if "units" in other.attrs else {}
            yield str(name), xr.Variable([renamed[str(dim)] for dim in other.dims], signal.array(other.shape), units)


def _crs(groups: Groups, group: str, variable: xr.Variable) -> tuple[str | None, str | None]:
    """Read the reference system that a variable's grid mapping says; else the text of one that is not understood."""
    mapping = str(variable.attrs.get("grid_mapping", SPATIAL_REF)).split(":")[0].strip()
    said = _nearest(groups, group, mapping)
    if said is None or said.ndim:
        return None, None
    texts = [text for key in _CRS_KEYS if (text := str(said.attrs.get(key, "")).strip())]
    for text in texts:
        if (crs := understood(text)) is not None:
            return crs, None
    crs = _crs_of_cf({key: value for key, value in said.attrs.items() if key not in _CRS_KEYS})
    return crs, texts[0] if texts and crs is None else None


def _crs_of_cf(parameters: Mapping[str, Any]) -> str | None:
    """Make a reference system from the parameters of CF."""
    try:
        import pyproj
    except ImportError:
        return None
    try:
        return str(pyproj.CRS.from_cf(dict(parameters)).to_wkt())
    except (pyproj.exceptions.CRSError, KeyError):
        return None
