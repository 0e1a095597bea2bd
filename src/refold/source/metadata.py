"""The metadata worth keeping: flat, and of kinds that JSON and Zarr attributes can hold."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

_LONGEST_LIST = 64
_GENERAL = ("title", "date", "time", "authors", "doi", "notes")
_SIGNAL = ("signal_type", "quantity")
_SAMPLE = ("elements", "xray_lines", "name", "description", "thickness")
# Wherever a file says these, they belong to the scan.
_LIFTED = ("camera_length", "dwell_time", "exposure", "exposure_time", "frame_time", "collection_angle")

# Attributes of a cube that say how it was read.
_NOT_OF_INSTRUMENT = ("instrument", "detector", "source", "signal", "reader", "read_whole", "hyperspy")


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
        kept[_sample_name(key)] = _branch(tree, "Sample").get(key)
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


def mapped_metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a signal that RosettaSciIO read, with what its reader says to take over from those of the file.

    Parameters
    ----------
    found : mapping
        As a reader gives it: ``metadata``, ``original_metadata``, and in ``mapping``, for paths in the latter, paths in
        the former and what to make of the value.

    Returns
    -------
    dict
        A tree of its own.

    Examples
    --------
    >>> found = {"original_metadata": {"Scope": {"kV": 300}}, "mapping": {"Scope.kV": ("TEM.beam_energy", float)}}
    >>> mapped_metadata(found)
    {'TEM': {'beam_energy': 300.0}}
    """
    tree: dict[str, Any] = copy.deepcopy(dict(found.get("metadata", {})))
    for path, (target, function) in found.get("mapping", {}).items():
        value: Any = found.get("original_metadata", {})
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            continue  # functions of branches want those of HyperSpy's own class
        with suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):  # an odd entry is no broken scan
            value = value if function is None or value is None else function(value)
            if value is not None:
                _set(tree, target.split("."), value)
    return tree


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def to_tree(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Arrange a cube's attributes as HyperSpy does: what `keep_metadata` took from such a tree goes back to its place.

    Parameters
    ----------
    attrs : mapping
        Of a cube.

    Returns
    -------
    dict
        Metadata; what has no place in it is left out.

    Examples
    --------
    >>> to_tree({"title": "a", "instrument": "SEM", "detector": "EDS", "eds_live_time": 2.0})
    {'General': {'title': 'a'}, 'Acquisition_instrument': {'SEM': {'Detector': {'EDS': {'live_time': 2.0}}}}}
    """
    tree: dict[str, Any] = {}
    for branch, keys in (("General", _GENERAL), ("Signal", _SIGNAL)):
        tree[branch] = {key: attrs[key] for key in keys if key in attrs}
    tree["Sample"] = {key: attrs[name] for key in _SAMPLE if (name := _sample_name(key)) in attrs}
    instrument = str(attrs.get("instrument", ""))
    if instrument:
        tree["Acquisition_instrument"] = {instrument: _instrument_of(attrs)}
    return {key: branch for key, branch in tree.items() if branch}


def _sample_name(key: str) -> str:
    return key if key in {"elements", "xray_lines"} else f"sample_{key}"


def _instrument_of(attrs: Mapping[str, Any]) -> dict[str, Any]:
    elsewhere = {*_GENERAL, *_SIGNAL, *map(_sample_name, _SAMPLE), *_NOT_OF_INSTRUMENT}
    found: dict[str, Any] = {}
    detectors: dict[str, dict[str, Any]] = {name: {} for name in str(attrs.get("detector", "")).split(", ") if name}
    for key, value in attrs.items():
        of = next((name for name in detectors if key.startswith(f"{name.lower()}_")), None)
        if of is not None:
            detectors[of][key.removeprefix(f"{of.lower()}_")] = value
        elif key.startswith("stage_"):
            found.setdefault("Stage", {})[key.removeprefix("stage_")] = value
        elif key not in elsewhere:
            found[key] = value
    return {**found, "Detector": detectors} if detectors else found
