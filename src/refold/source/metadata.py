"""The metadata worth keeping: flat, and of kinds that JSON and Zarr attributes can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_LONGEST_LIST = 64
_GENERAL = ("title", "date", "time", "authors", "doi", "notes")
_SIGNAL = ("signal_type", "quantity")
_SAMPLE = ("elements", "xray_lines", "name", "description", "thickness")
# Wherever a file says these, they belong to the scan.
_LIFTED = ("camera_length", "dwell_time", "exposure", "exposure_time", "frame_time", "collection_angle")


def json_safe(value: object) -> Any:
    """Return a value as JSON can hold it, or None where it cannot.

    Examples
    --------
    >>> json_safe(np.array([b"Fe", b"Pt"])), json_safe(np.float32(0.5)), json_safe(float("inf"))
    (['Fe', 'Pt'], 0.5, None)
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return json_safe(value[()])
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = list(value)
    if isinstance(value, list | tuple) and 0 < len(value) <= _LONGEST_LIST:
        items = [json_safe(item) for item in value]
        return None if any(item is None or isinstance(item, list) for item in items) else items
    return None


def keep_metadata(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the part of HyperSpy's metadata tree that a scan should carry along.

    Parameters
    ----------
    tree : mapping
        Metadata as HyperSpy and RosettaSciIO arrange it (General, Signal, Sample, Acquisition_instrument).

    Returns
    -------
    dict
        Such as ``title``, ``signal_type``, ``elements``, ``beam_energy`` (keV), ``camera_length`` (mm),
        ``convergence_angle`` (mrad), ``dwell_time`` (s), ``detector``, ``eds_elevation_angle``, ``stage_tilt_alpha``.

    Notes
    -----
    Units are those of HyperSpy's metadata structure.

    Examples
    --------
    >>> microscope = {"beam_energy": 300.0, "Detector": {"EDS": {"live_time": 2.0}}}
    >>> keep_metadata({"Acquisition_instrument": {"TEM": microscope}})
    {'instrument': 'TEM', 'beam_energy': 300.0, 'detector': 'EDS', 'eds_live_time': 2.0}
    """
    kept: dict[str, Any] = {}
    for key in _GENERAL:
        kept[key] = _branch(tree, "General").get(key)
    for key in _SIGNAL:
        kept[key] = _branch(tree, "Signal").get(key)
    for key in _SAMPLE:
        kept[key if key in {"elements", "xray_lines"} else f"sample_{key}"] = _branch(tree, "Sample").get(key)
    for instrument, values in _branch(tree, "Acquisition_instrument").items():
        if isinstance(values, Mapping):
            kept |= {"instrument": instrument, **_of_instrument(values)}
    safe = {key: json_safe(value) for key, value in kept.items()}
    return {key: value for key, value in safe.items() if value is not None and value != ""}


def _branch(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    branch = tree.get(key)
    return branch if isinstance(branch, Mapping) else {}


def _of_instrument(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if kept.pop("beam_energy_units", "keV") == "V" and isinstance(kept.get("beam_energy"), int | float):
        kept["beam_energy"] /= 1000  # an acceleration voltage
    kept |= {f"stage_{key}": value for key, value in _branch(values, "Stage").items() if not isinstance(value, Mapping)}
    detectors = _branch(values, "Detector")
    if detectors:
        kept["detector"] = ", ".join(str(name) for name in detectors)
    for name, detector in detectors.items():
        if not isinstance(detector, Mapping):
            continue
        for key, value in detector.items():
            if key in _LIFTED:
                kept.setdefault(key, value)
            elif not isinstance(value, Mapping):
                kept[f"{str(name).lower()}_{key}"] = value
    return kept
