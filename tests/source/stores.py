"""Small stores of every layout, written by hand, for the tests of this room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

AXES_4D = (
    {"name": "y", "scale": 2.0, "offset": 1.0, "units": "nm", "navigate": True},
    {"name": "x", "scale": 2.0, "offset": -4.0, "units": "nm", "navigate": True},
    {"name": "ky", "scale": 0.1, "offset": -0.5, "units": "$A^{-1}$", "navigate": False},
    {"name": "kx", "scale": 0.1, "offset": -0.5, "units": "$A^{-1}$", "navigate": False},
)


def counts(shape: tuple[int, ...], dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(4.0, shape).astype(dtype)


def write_zspy(where: Any, signals: dict[str, tuple[np.ndarray, tuple[dict[str, Any], ...]]], **array: Any) -> None:
    """Write the layout of HyperSpy's .zspy: Zarr v2, one group a signal, one group an axis."""
    root = zarr.open_group(where, mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.1"})
    for name, (data, axes) in signals.items():
        group = root.create_group(f"Experiments/{name}")
        group.create_array("data", data=data, **array)
        for at, axis in enumerate(axes):
            group.create_group(f"axis-{at}").attrs.update({"_type": "UniformDataAxis", "size": data.shape[at], **axis})
        metadata = group.create_group("metadata")
        metadata.create_group("General").attrs["title"] = name
        metadata.create_group("Signal").attrs["signal_type"] = "electron_diffraction"
        tem = metadata.create_group("Acquisition_instrument/TEM")
        tem.attrs["beam_energy"] = 300.0
        tem.create_group("Detector/Diffraction").attrs["camera_length"] = 21.0


def write_hspy(
    path: Path, data: np.ndarray, axes: list[dict[str, Any]], metadata: dict[str, Any], **options: Any
) -> None:
    from rsciio.hspy import file_writer

    signal = {
        "data": data,
        "axes": [
            {"_type": "UniformDataAxis", "is_binned": False, "size": n, **a}
            for n, a in zip(data.shape, axes, strict=True)
        ],
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "", "package_version": ""},
    }
    file_writer(str(path), signal, close_file=True, show_progressbar=False, **options)
