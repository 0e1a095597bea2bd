"""NEON's airborne scenes: reflectance as HDF5, with its rasters beside it.

The layout is that of the Algorithm Theoretical Basis Document NEON.DOC.001288: one group for the site, in it
``Reflectance/Reflectance_Data`` (rows, columns, bands) and ``Reflectance/Metadata``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refold.source.axes import Axis, plain_axes
from refold.source.hdf5 import open_hdf5, stored_array
from refold.source.metadata import json_safe
from refold.source.packing import Packing, exact
from refold.source.scene import Bands, Place, map_info, scene_signal
from refold.source.signals import Signal

_PRODUCT = "Reflectance"
_DATA = "Reflectance_Data"
_WINDOW = re.compile(r"Band_Window_\d+_Nanometers")
_KEPT = {"Description": "description", "Cloud conditions": "cloud_conditions", "Cloud type": "cloud_type"}


def neon_signals(path: Path) -> list[Signal] | None:
    """Describe the reflectance of a NEON file, and its rasters; None where the file has another layout.

    Parameters
    ----------
    path : Path
        An HDF5 file.

    Returns
    -------
    list of Signal or None
        The cube first; then the rasters of its metadata, maps over the same pixels.
    """
    with open_hdf5(path) as file:
        for site, group in file.items():
            product: Any = group.get(_PRODUCT) if hasattr(group, "get") else None
            data = product.get(_DATA) if hasattr(product, "get") else None
            if data is not None and getattr(data, "ndim", 0) == 3:
                return list(_signals(path, str(site), product, data))
    return None


def _signals(path: Path, site: str, product: Any, data: Any) -> Iterator[Signal]:
    metadata = product.get("Metadata", {})
    place, bands = _place(data, metadata), _bands(product, metadata)
    y, x = place.axes(*data.shape[:2])
    axis = bands.axis(data.shape[2])
    attrs = {"site": site, "long_name": "reflectance", **place.notes}
    attrs |= {new: json_safe(_one(data.attrs[old])) for old, new in _KEPT.items() if old in data.attrs}
    coords = {**place.coords, **bands.coords(axis)}
    yield scene_signal(stored_array(path, data), _PRODUCT, (y, x, axis), _packing(data), coords, attrs)
    for name, raster in _rasters(metadata, data.shape[:2]):
        behind = () if raster.ndim == 2 else (_channels(raster.shape[2]),)
        yield scene_signal(
            stored_array(path, raster), name, (y, x, *behind), _packing(raster), place.coords, {"site": site}
        )


def _channels(size: int) -> Axis:
    return Axis("channel", "signal", plain_axes((size,))[0].values)


def _rasters(metadata: Any, shape: tuple[int, int]) -> Iterator[tuple[str, Any]]:
    """Yield the datasets of the metadata that lie on the scene's grid."""
    found: list[Any] = []
    if hasattr(metadata, "visititems"):
        metadata.visititems(lambda _, item: found.append(item) if getattr(item, "ndim", 0) in (2, 3) else None)
    for item in found:
        if item.shape[:2] == shape and item.dtype.kind in "biuf" and item.size:
            yield str(item.name).rsplit("/", 1)[-1], item


def _packing(dataset: Any) -> Packing:
    """Read the scale factor, by which values are to be divided, and the number that means no data."""
    said = {key.lower().replace(" ", "_"): value for key, value in dataset.attrs.items()}
    divisor, no_data = (_number(said.get(key)) for key in ("scale_factor", "data_ignore_value"))
    return Packing(divisor=float(divisor or 1.0), no_data=() if no_data is None else (no_data,))


def _bands(product: Any, metadata: Any) -> Bands:
    """Read wavelengths and widths, and mark as bad what lies in the file's bad-band windows."""
    spectral = metadata.get("Spectral_Data", {})
    if "Wavelength" not in spectral:
        return Bands()
    wavelengths = np.asarray(spectral["Wavelength"][...], np.float64).ravel()
    units = _text(spectral["Wavelength"].attrs.get("Units")) or "nm"
    windows = [np.asarray(value, np.float64) for key, value in product.attrs.items() if _WINDOW.fullmatch(key)]
    good = None
    if windows:
        good = ~np.any([(wavelengths >= low) & (wavelengths <= high) for low, high in windows], axis=0)
    fwhm = np.asarray(spectral["FWHM"][...], np.float64).ravel().tolist() if "FWHM" in spectral else None
    return Bands(wavelengths.tolist(), fwhm, units, good)


def _place(data: Any, metadata: Any) -> Place:
    """Read where the scene lies: by its map info, else by its extent."""
    system: Mapping[str, Any] = metadata.get("Coordinate_System", {})
    told = {key: _text(_one(item[()])) for key, item in system.items() if hasattr(item, "ndim")}
    code = re.fullmatch(r"(?:EPSG:)?0*([1-9]\d*)", told.get("EPSG Code") or "")  # 0 stands for none
    crs = int(code.group(1)) if code else told.get("Coordinate_System_String") or None
    place = map_info(told["Map_Info"] or "", crs) if "Map_Info" in told else Place()
    if place.transform is None and "Spatial_Extent_meters" in data.attrs:
        left, right, bottom, top = map(float, data.attrs["Spatial_Extent_meters"])
        rows, columns = data.shape[:2]
        transform = ((right - left) / columns, 0.0, left, 0.0, (bottom - top) / rows, top)
        place = Place(transform, crs, "m", place.attrs)
    return place


def _one(value: Any) -> Any:
    """The only value of an array of one."""
    array = np.asarray(value)
    return array.reshape(-1)[0] if array.size == 1 else value


def _text(value: Any) -> str | None:
    value = _one(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value).strip() or None if isinstance(value, str) else str(value) if value is not None else None


def _number(value: Any) -> int | float | None:
    try:
        return None if value is None else exact(_one(value))
    except (TypeError, ValueError):
        return None
