"""Trees of metadata as text and back: whatever HyperSpy keeps in one, JSON can hold."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from refold.source.axes import FileAxis

_TAG = "!"  # marks what JSON has no form for
_MOST_VALUES = 1 << 16  # of an array: what is longer is data, not metadata
_NOT = object()


def pack(tree: Mapping[str, Any]) -> str:
    """Write a tree as JSON.

    Parameters
    ----------
    tree : mapping
        Of mappings, sequences, strings, bytes, numbers, and arrays of these.

    Returns
    -------
    str
        The same for the same tree, in whatever order its keys are. What it cannot hold is left out: signals, long
        arrays, Python objects.

    Examples
    --------
    >>> pack({"b": np.float64(0.5), "a": (1, None), "c": object()})
    '{"a": {"!": "tuple", "values": [1, null]}, "b": 0.5}'
    """
    return json.dumps(_plain(tree), sort_keys=True, ensure_ascii=False, allow_nan=False)


def unpack(text: str) -> Any:
    """Read a tree that `pack` wrote.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    object
        The tree.

    Examples
    --------
    >>> unpack(pack({"a": (1, 2.5), "b": np.array([1, 2]), "c": float("nan")}))
    {'a': (1, 2.5), 'b': array([1, 2]), 'c': nan}
    """
    return json.loads(text, object_hook=_restored)


def _plain(value: Any) -> Any:
    """What JSON can hold of a value; `_NOT` if nothing."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: "float", "values": repr(value)}
    if isinstance(value, bytes):
        return {_TAG: "bytes", "values": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        items = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _NOT}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list | tuple):
        values = _all(value)
        return {_TAG: "tuple", "values": values} if isinstance(value, tuple) and values is not _NOT else values
    return _NOT


def _all(values: Iterable[Any]) -> Any:
    plain = [_plain(value) for value in values]
    return _NOT if any(value is _NOT for value in plain) else plain


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.size > _MOST_VALUES or array.dtype.kind not in "biufUS":
        return _NOT
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    values = [_plain(value) for value in array.ravel()]
    return {_TAG: array.dtype.newbyteorder("=").str.lstrip("<>=|"), "values": values, "shape": list(array.shape)}


def _restored(found: dict[str, Any]) -> Any:
    kind = found.get(_TAG)
    if kind is None:
        return found
    if kind == "tuple":
        return tuple(found["values"])
    if kind == "float":
        return float(found["values"])
    if kind == "bytes":
        return base64.b64decode(found["values"])
    return np.array(found["values"], dtype=kind).reshape(found["shape"])


NOTE = "hyperspy"
"""Attribute of a cube that holds, packed, what HyperSpy knows of it and the other attributes do not."""

# Histories and views of a file or a session, which are not of the scan.
_LEFT_OUT = frozenset({"_HyperSpy", "FileIO", "Markers", "Peaks", "Stacking_history"})


def note_of(
    metadata: Mapping[str, Any], original: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Attribute that keeps what a signal of HyperSpy says of itself, so that it can be made again.

    Parameters
    ----------
    metadata, original : mapping
        Trees of HyperSpy.
    axes : mapping of str to mapping
        For each dim, the axis as HyperSpy describes it.

    Returns
    -------
    dict
        One attribute; none where there is nothing to say.
    """
    said = {"metadata": _of_scan(metadata), "original_metadata": dict(original), "axes": axes}
    return {NOTE: pack(said)} if any(said.values()) else {}


def described(axis: FileAxis) -> dict[str, Any]:
    """An axis of a file in HyperSpy's words."""
    said = {"name": axis.name, "units": axis.units, "navigate": bool(axis.navigate), "size": axis.size}
    if axis.values is not None:
        return {**said, "axis": axis.values}
    scale, offset = axis.scale, axis.offset
    return {**said, "scale": 1.0 if scale is None else scale, "offset": 0.0 if offset is None else offset}


def _of_scan(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree without histories and without signals in it."""
    kept = {key: value for key, value in tree.items() if key not in _LEFT_OUT and not str(key).startswith("_sig_")}
    return {key: _of_scan(value) if isinstance(value, Mapping) else value for key, value in kept.items()}
