"""Where a scene lies on the map: pixel centres from an affine transform, the `spatial_ref` coordinate, and back."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube.axes import ROLE
from refold.errors import CubeError

SPATIAL_REF = "spatial_ref"
"""Scalar coordinate that says in which reference system ``y`` and ``x`` are, as rioxarray and GDAL read it."""

Transform = tuple[float, float, float, float, float, float]
_WKT = re.compile(r"\s*[A-Z_]+\s*[\[(]")
_UNEVEN = 1e-3  # of a pixel, by which positions may stray; float32 coordinates in metres do


def georeference(cube: xr.DataArray, transform: Transform, crs: object = None) -> xr.DataArray:
    """Give a scene its place on the map.

    Parameters
    ----------
    cube : xarray.DataArray
        With dims ``y`` and ``x``; cubes, label maps and pictures alike.
    transform : tuple of float
        ``(a, b, c, d, e, f)`` in rasterio's order: the corner of a pixel lies at ``x = a * column + b * row + c`` and
        ``y = d * column + e * row + f``.
    crs : str, int or object with ``to_wkt``, optional
        Reference system: WKT, ``"EPSG:32611"``, the EPSG code, or a CRS of pyproj or rasterio.

    Returns
    -------
    xarray.DataArray
        With pixel centres in map units as coordinates, and ``spatial_ref`` if the reference system is known.

    Raises
    ------
    CubeError
        If it has no such dims, or the transform is rotated or sheared, so that no coordinate says where rows lie.

    Examples
    --------
    >>> scene = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"))
    >>> placed = georeference(scene, (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0))
    >>> placed.x.values.tolist(), placed.y.values.tolist()
    ([366030.0, 366060.0, 366090.0], [5809950.0, 5809920.0])
    """
    if not {"y", "x"} <= set(cube.dims):
        raise CubeError(f"dims {cube.dims}", "dims y and x", "rename them")
    y, x = map_positions(transform, (cube.sizes["y"], cube.sizes["x"]))
    units = {} if (unit := units_of(crs)) is None else {"units": unit}
    positions = {"y": y, "x": x}
    placed = cube.assign_coords(
        {dim: (dim, values, {ROLE: "navigation", **units}) for dim, values in positions.items()}
    )
    return placed if crs is None else placed.assign_coords({SPATIAL_REF: spatial_ref(crs)})


def map_positions(
    transform: Transform, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Find the centres of rows and columns in map units.

    Parameters
    ----------
    transform : tuple of float
        As for `georeference`.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    y, x : numpy.ndarray
        Centres of the rows, which usually descend, and of the columns.

    Raises
    ------
    CubeError
        If the transform is rotated or sheared.
    """
    a, b, c, d, e, f = transform
    if b or d or not a or not e:
        raise CubeError(
            f"an affine transform {tuple(transform)}", "one without rotation or shear", "warp the scene to north up"
        )
    rows, columns = (np.arange(size, dtype=np.float64) + 0.5 for size in shape)
    return np.asarray(f + e * rows), np.asarray(c + a * columns)


def spatial_ref(crs: object) -> xr.Variable:
    """Make the scalar coordinate that says in which reference system a scene's positions are.

    Parameters
    ----------
    crs : str, int or object with ``to_wkt``
        As for `georeference`.

    Returns
    -------
    xarray.Variable
        0, with the WKT as its attributes ``crs_wkt`` and ``spatial_ref``. Where a code would need pyproj, which is not
        installed, the latter holds the code.
    """
    text = wkt_of(crs)
    attrs = {"crs_wkt": text, SPATIAL_REF: text} if _WKT.match(text) else {SPATIAL_REF: text}
    return xr.Variable((), np.int64(0), attrs)


def wkt_of(crs: object) -> str:
    """Write a reference system as WKT; as its EPSG code where that needs pyproj, which is not installed."""
    if hasattr(crs, "to_wkt"):
        return str(crs.to_wkt())
    text = f"EPSG:{crs}" if isinstance(crs, int | np.integer) else str(crs)
    if _WKT.match(text):
        return text
    try:
        import pyproj
    except ImportError:
        return text
    try:
        return str(pyproj.CRS.from_user_input(text).to_wkt())
    except pyproj.exceptions.CRSError as error:
        wanted = "WKT, or an EPSG code such as 'EPSG:32611'"
        raise CubeError(f"a reference system {text!r}", wanted, "correct it") from error


def crs_of(cube: xr.DataArray | xr.Dataset) -> str | None:
    """Read the reference system of a scene.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        A cube, a map, or a whole run.

    Returns
    -------
    str or None
        WKT (or a code, if pyproj was not installed where it was opened); None where it has none.
    """
    if SPATIAL_REF not in cube.coords:
        return None
    attrs = cube.coords[SPATIAL_REF].attrs
    return str(attrs.get("crs_wkt") or attrs.get(SPATIAL_REF) or "") or None


def transform_of(cube: xr.DataArray | xr.Dataset) -> Transform | None:
    """Find the affine transform that the coordinates of a scene say.

    Parameters
    ----------
    cube : xarray.DataArray or xarray.Dataset
        A cube, a map, or a whole run.

    Returns
    -------
    tuple of float or None
        ``(a, b, c, d, e, f)`` as for `georeference`; None where ``y`` or ``x`` is missing, uneven or only counted. A
        dim of one position has no spacing of its own: pixels are taken to be square, and rows to go south.

    Examples
    --------
    >>> y, x = np.array([5809950.0, 5809920.0]), np.array([366030.0, 366060.0, 366090.0])
    >>> transform_of(xr.DataArray(np.zeros((2, 3)), coords={"y": y, "x": x}, dims=("y", "x")))
    (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0)
    """
    if not all(dim in cube.coords and cube.sizes.get(dim) for dim in ("y", "x")):
        return None
    if any(cube.coords[dim].dtype.kind != "f" and "units" not in cube.coords[dim].attrs for dim in ("y", "x")):
        return None
    y, x = (np.asarray(cube.coords[dim].values, np.float64) for dim in ("y", "x"))
    dy, dx = _step(y), _step(x)
    dx, dy = (abs(dy) if x.size == 1 else dx), (-abs(dx) if y.size == 1 else dy)
    if not (math.isfinite(dx) and math.isfinite(dy)) or not dx or not dy:
        return None
    return dx, 0.0, float(x[0] - dx / 2), 0.0, dy, float(y[0] - dy / 2)


def _step(positions: npt.NDArray[np.float64]) -> float:
    """The spacing of even positions; NaN where there is none."""
    if positions.size < 2:
        return math.nan
    step = float(positions[-1] - positions[0]) / (positions.size - 1)
    even = np.abs(positions - positions[0] - step * np.arange(positions.size)).max() <= _UNEVEN * abs(step)
    return step if even else math.nan


def units_of(crs: object) -> str | None:
    """Tell the unit of the positions in a reference system; None where that is not known, or pyproj not installed.

    Examples
    --------
    >>> units_of(None) is None
    True
    """
    if crs is None:
        return None
    try:
        import pyproj
    except ImportError:
        return None
    try:
        axes: Any = pyproj.CRS.from_user_input(wkt_of(crs)).axis_info
    except (CubeError, pyproj.exceptions.CRSError):
        return None
    unit = str(axes[0].unit_name) if axes else ""
    return {"metre": "m", "degree": "°", "": None}.get(unit, unit)


def name_of(crs: str) -> str:
    """Name a reference system in short: its title and, where it has one, its EPSG code.

    Examples
    --------
    >>> name_of('PROJCS["WGS 84 / UTM zone 11N",UNIT["metre",1],AUTHORITY["EPSG","32611"]]')
    'WGS 84 / UTM zone 11N (EPSG:32611)'
    >>> name_of("EPSG:32611")
    'EPSG:32611'
    """
    title = re.search(r'"([^"]+)"', crs)
    code = re.search(r'(?:AUTHORITY|ID)\["EPSG",\s*"?(\d+)"?\]\s*\]\s*$', crs)
    if title is None:
        return crs
    return title.group(1) + (f" (EPSG:{code.group(1)})" if code else "")
