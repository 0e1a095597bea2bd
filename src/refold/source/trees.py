"""Trees of metadata as text and back: whatever HyperSpy keeps in one, JSON can hold."""

from __future__ import annotations

import base64
import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from refold.errors import RefoldWarning
from refold.source.axes import FileAxis

_TAG = "!"  # marks what JSON has no form for
_MOST_VALUES = 1 << 16  # of an array: what is longer is data, not metadata
_NAMED = 8  # in a warning
_NOT = object()


def pack(tree: Mapping[str, Any], lost: list[str] | None = None) -> str:
    """Write a tree as JSON.

    Parameters
    ----------
    tree : mapping
        Of mappings, sequences, strings, bytes, numbers, also complex ones, times of NumPy, and arrays of these.
    lost : list of str, optional
        The names of what is left out are put there.

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
    return json.dumps(
        _plain(tree, "", [] if lost is None else lost), sort_keys=True, ensure_ascii=False, allow_nan=False
    )


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


def _plain(value: Any, name: str, lost: list[str]) -> Any:
    """What JSON can hold of a value; `_NOT` if nothing, and its name is then one of those that are lost."""
    if isinstance(value, Mapping):
        items = {str(key): _plain(item, f"{name}.{key}" if name else str(key), lost) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _NOT}
    if isinstance(value, list | tuple):
        values = _all(value, name, lost)
        return {_TAG: "tuple", "values": values} if isinstance(value, tuple) and values is not _NOT else values
    found = _array(value) if isinstance(value, np.ndarray) else _single(value)
    if found is _NOT:
        lost.append(name)
    return found


def _all(values: Iterable[Any], name: str, lost: list[str]) -> Any:
    plain = [_plain(value, name, lost) for value in values]
    return _NOT if any(value is _NOT for value in plain) else plain


def _single(value: Any) -> Any:
    if isinstance(value, np.datetime64 | np.timedelta64):  # of which item() makes an int, or loses the unit
        return {_TAG: "scalar", "values": _array(np.asarray(value))}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: "float", "values": repr(value)}
    if isinstance(value, complex):
        return {_TAG: "complex", "values": [_single(value.real), _single(value.imag)]}
    if isinstance(value, bytes):
        return {_TAG: "bytes", "values": base64.b64encode(value).decode()}
    return _NOT


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.size > _MOST_VALUES or array.dtype.kind not in "biufcmMUS":
        return _NOT
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    dtype = array.dtype.newbyteorder("=")
    numbers = array.astype(dtype).view(np.int64) if dtype.kind in "mM" else array  # counted in the unit of the dtype
    values = [_single(value) for value in numbers.ravel()]
    if any(value is _NOT for value in values):  # numbers longer than Python's
        return _NOT
    return {_TAG: dtype.str.lstrip("<>=|"), "values": values, "shape": list(array.shape)}


def _restored(found: dict[str, Any]) -> Any:
    kind = found.get(_TAG)
    if kind is None:
        return found
    values = found["values"]
    if kind in _SINGLE:
        return _SINGLE[kind](values)
    array = np.array(values, np.int64).view(kind) if kind[0] in "mM" else np.array(values, dtype=kind)
    return array.reshape(found["shape"])


_SINGLE: Mapping[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "float": float,
    "bytes": base64.b64decode,
    "complex": lambda parts: complex(*parts),
    "scalar": lambda array: array[()],
}


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

    Warns
    -----
    RefoldWarning
        If something of the metadata cannot be kept, with its names: Python objects, signals, arrays of more than 65536
        values.
    """
    said = {"metadata": _of_scan(metadata), "original_metadata": dict(original), "axes": axes}
    if not any(said.values()):
        return {}
    lost: list[str] = []
    packed = pack(said, lost)
    names = list(dict.fromkeys(name for name in lost if not name.startswith("axes.")))
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        warnings.warn(
            f"left out of what is kept of the signal: {', '.join(names[:_NAMED])}{more}; "
            f"text, numbers, times and arrays of up to {_MOST_VALUES} values are kept",
            RefoldWarning,
            stacklevel=3,
        )
    return {NOTE: packed}


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
