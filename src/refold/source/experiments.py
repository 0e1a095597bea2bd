"""HyperSpy's own layout, as Zarr (`.zspy`) or HDF5 (`.hspy`, `.hdf5`): one group per signal under `Experiments`.

Both libraries' groups look alike, so one reader serves both. It is our own because RosettaSciIO's `.zspy` reader wants
an old zarr, and its lazy `.hspy` arrays hold open files, which do not travel to other processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refold.source.axes import Axis, FileAxis, mend_axes, plain_axes
from refold.source.metadata import keep_metadata
from refold.source.trees import described, note_of

# Branches of the metadata that hold fit results and histories, and would be many requests on an object store.
_SKIPPED = frozenset({"FileIO", "_HyperSpy", "Markers", "Stacking_history", "Peaks"})
_OLD_METADATA = "mapped_parameters"
_DEEPEST = 6
_LONGEST = 64


def is_experiments(root: Any) -> bool:
    """Whether a group is the root of a file in HyperSpy's layout."""
    return "Experiments" in root


def experiments(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and group of every signal that has data."""
    group = root["Experiments"]
    for name in sorted(group.keys()):
        if hasattr(group[name], "keys") and "data" in group[name]:
            yield str(name), group[name]


def axes_and_attrs(group: Any, shape: tuple[int, ...]) -> tuple[tuple[Axis, ...], dict[str, Any]]:
    """Read the axes and the metadata of one signal."""
    key = next((key for key in ("metadata", _OLD_METADATA) if key in group), None)
    tree = _tree(group[key]) if key is not None else {}
    attrs = keep_metadata(tree)
    if attrs.get("title") == "__unnamed__":
        del attrs["title"]
    if not all(f"axis-{at}" in group for at in range(len(shape))):
        return plain_axes(shape), attrs
    told = tree.get("Signal", {})
    axes = [_file_axis(group[f"axis-{at}"], size) for at, size in enumerate(shape)]
    mended = mend_axes(axes, str(told.get("signal_type") or ""), str(told.get("record_by") or ""))
    # Old files say once and of the signal what new ones say of each axis.
    old = {"record_by", "binned"}
    flags = [dict(group[f"axis-{at}"].attrs).get("is_binned") for at in range(len(shape))]
    binned = [
        bool(told.get("binned", False) and axis.role == "signal" if flag is None else flag)
        for flag, axis in zip(flags, mended, strict=True)
    ]
    if old & told.keys():
        tree = {**tree, "Signal": {key: value for key, value in told.items() if key not in old}}
    words = {
        axis.name: {**described(said), "is_binned": flag} for axis, said, flag in zip(mended, axes, binned, strict=True)
    }
    return mended, attrs | note_of(tree, {}, words)


def _file_axis(group: Any, size: int) -> FileAxis:
    said = dict(group.attrs)
    flag = said.get("navigate")
    values = np.asarray(group["axis"][...]) if "axis" in group else said.get("axis")
    return FileAxis(
        size=size,
        name=_text(said.get("name")),
        scale=_number(said.get("scale")),
        offset=_number(said.get("offset")),
        units=_text(said.get("units")),
        navigate=None if flag is None else bool(flag),
        values=None if values is None else np.asarray(values),
    )


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) and value != "_None_" else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else None


def _tree(group: Any, depth: int = 0) -> dict[str, Any]:
    """Read a metadata group: attributes are values, sub-groups are branches, small arrays are lists or tuples."""
    tree = dict(_entry(key, value) for key, value in dict(group.attrs).items())
    for key in group.keys() if depth < _DEEPEST else ():
        if key in _SKIPPED or key.startswith("_sig_"):
            continue
        item = group[key]
        if hasattr(item, "keys"):
            branch = _tree(item, depth + 1)
            listed = key.startswith(("_list_", "_tuple_"))
            tree |= [_entry(_without_count(key), [branch[at] for at in sorted(branch)])] if listed else {key: branch}
        elif item.ndim <= 1 and item.size <= _LONGEST:
            tree |= [_entry(key, np.asarray(item[...]))]
    return tree


def _entry(key: str, value: Any) -> tuple[str, Any]:
    """Name and value of an entry, whose kind HyperSpy writes before its name."""
    if isinstance(value, bytes | np.bytes_ | np.void) and not key.startswith("_bs_"):
        value = value.decode("utf-8", errors="replace") if not isinstance(value, np.void) else value.tobytes()
    if isinstance(value, str) and value == "_None_":
        value = None
    for prefix, kind in (("_list_empty_", list), ("_tuple_empty_", tuple)):
        if key.startswith(prefix):
            return key.removeprefix(prefix), kind()
    for prefix, kind in (("_list_", list), ("_tuple_", tuple)):
        if key.startswith(prefix):
            return key.removeprefix(prefix), kind(_decoded(value))
    return key.removeprefix("_datetime_").removeprefix("_bs_"), value


def _decoded(values: Any) -> list[Any]:
    plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return [value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value for value in plain]


def _without_count(key: str) -> str:
    """``_list_3_name`` without its number of items."""
    prefix, _, rest = key[1:].partition("_")
    return f"_{prefix}_{rest.partition('_')[2]}"
