"""Scene files as agencies lay them out, small: written by the libraries that judge what is read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

NO_DATA = -9999
WINDOWS = ((1340.0, 1445.0), (1790.0, 1955.0))
MAP_INFO = "UTM, 1.000, 1.000, 257000.00, 4112000.0, 2.0, 1.0, 11, North, WGS-84, units=Meters, 0"
EXTENT = (257000.0, 257022.0, 4111983.0, 4112000.0)


def reflectances(shape: tuple[int, int, int], seed: int = 0, *, empty_band: int | None = None) -> np.ndarray:
    """Reflectance x 10 000 with a corner of no data; one band may hold none at all."""
    values = np.random.default_rng(seed).integers(0, 10_000, shape).astype("int16")
    values[-2:, :3] = NO_DATA
    if empty_band is not None:
        values[..., empty_band] = NO_DATA
    return values


def as_reflectance(stored: np.ndarray) -> np.ndarray:
    """What stored numbers mean, by NumPy in double precision."""
    values = (stored / 10_000).astype("float32")
    values[stored == NO_DATA] = np.nan
    return values


def neon(path: Path, stored: np.ndarray, *, place: str = "map info", **layout: Any) -> Path:
    """A file in the layout of NEON's airborne platform, with all that it may say."""
    rows, columns, bands = stored.shape
    with h5py.File(path, "w") as file:
        product = file.create_group("SJER/Reflectance")
        for number, window in enumerate(WINDOWS, 1):
            product.attrs[f"Band_Window_{number}_Nanometers"] = window
        data = product.create_dataset("Reflectance_Data", data=stored, **layout)
        data.attrs["Scale_Factor"] = [10_000.0]
        data.attrs["Data_Ignore_Value"] = [float(NO_DATA)]
        data.attrs["Description"] = "Atmospherically corrected reflectance."
        metadata = product.create_group("Metadata")
        spectral = metadata.create_group("Spectral_Data")
        spectral["Wavelength"] = np.linspace(400, 2500, bands)
        spectral["Wavelength"].attrs["Units"] = "nanometers"
        spectral["FWHM"] = np.full(bands, 5.5)
        system = metadata.create_group("Coordinate_System")
        system["EPSG Code"] = [b"32611"]
        if place == "map info":
            system["Map_Info"] = MAP_INFO
        else:
            data.attrs["Spatial_Extent_meters"] = EXTENT
        ancillary = metadata.create_group("Ancillary_Imagery")
        elevation = np.arange(rows * columns, dtype="float32").reshape(rows, columns)
        elevation[0, 0] = NO_DATA
        ancillary["Smooth_Surface_Elevation"] = elevation
        ancillary["Smooth_Surface_Elevation"].attrs["Data_Ignore_Value"] = [float(NO_DATA)]
        ancillary["Weather_Quality_Indicator"] = np.ones((rows, columns, 3), "uint8")
        metadata["Logs"] = np.zeros(4)
    return path


def geotiff(path: Path, stored: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF with wavelengths, widths and a bad band in its bands' metadata, as GDAL writes them."""
    import rasterio

    rows, columns, bands = stored.shape
    options = {"crs": "EPSG:32633", "transform": (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0), **profile}
    options["transform"] = rasterio.Affine(*options["transform"])
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=bands, dtype=stored.dtype, **options
    ) as file:
        file.write(np.moveaxis(stored, -1, 0))
        file.scales, file.offsets = [0.0001] * bands, [0.0] * bands
        for band in range(bands):
            said = {"wavelength": 400 + 10 * band, "wavelength_units": "Nanometers", "fwhm": 6.5, "bbl": int(band != 1)}
            file.update_tags(band + 1, **said)
    return path


def emit(path: Path, stored: np.ndarray, **layout: Any) -> Path:
    """A NetCDF file as those of the EMIT mission: a swath, its bands and its map in groups of their own."""
    import h5netcdf

    rows, columns, bands = stored.shape
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"downtrack": rows, "crosstrack": columns, "bands": bands}
        dims = ("downtrack", "crosstrack", "bands")
        data = file.create_variable("reflectance", dims, stored.dtype, fillvalue=stored.dtype.type(NO_DATA), **layout)
        data[...] = stored
        group = file.create_group("sensor_band_parameters")
        for name, values in {
            "wavelengths": np.linspace(0.4, 2.5, bands),
            "fwhm": np.full(bands, 0.0085),
            "good_wavelengths": (np.arange(bands) != 2).astype("f4"),
        }.items():
            variable = group.create_variable(name, ("bands",), values.dtype)
            variable[...] = values
            variable.attrs["units"] = "um"
        place = file.create_group("location")
        for name in ("lat", "lon"):
            variable = place.create_variable(name, dims[:2], "f8")
            variable[...] = np.arange(rows * columns).reshape(rows, columns)
            variable.attrs["units"] = "degrees"
    return path
