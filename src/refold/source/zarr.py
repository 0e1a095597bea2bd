"""Zarr v2 and v3: plain arrays, groups, xarray's stores, Refold's own, and HyperSpy's `.zspy`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from refold.cube.georeference import SPATIAL_REF
from refold.errors import UnknownFormatError
from refold.source.axes import Axis, named_axes, plain_axes
from refold.source.chunks import ChunkReader
from refold.source.experiments import axes_and_attrs, experiments, is_experiments
from refold.source.lazy import lazy_array
from refold.source.metadata import json_safe
from refold.source.signals import Signal

_MOST_BYTES = 64 * 2**20  # of a shard that is read in one piece
_DIMS_V2 = "_ARRAY_DIMENSIONS"
_PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value")
_NOT_KEPT = frozenset({_DIMS_V2, "coordinates", "grid_mapping", *_PACKING})


@dataclasses.dataclass(frozen=True, slots=True)
class ZarrRegion:
    """Reads regions of a Zarr array by zarr-python, where `ChunkReader` does not know its codecs.

    The array itself is only a description (where its store is, and its metadata), so it is what travels with a task:
    nothing has to be opened again in the worker, and no metadata fetched.

    `shards` is given for a sharded array. zarr-python fetches a shard in one piece only if the whole of it is asked
    for, so a ragged one is asked for past the array's edge and cropped.
    """

    array: zarr.Array[Any]
    shards: tuple[int, ...] | None = None

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> ZarrRegion:
        """Make the reader of an array."""
        if array.shards is None:
            return cls(_bare(array))
        whole = tuple(-(-size // step) * step for size, step in zip(array.shape, array.shards, strict=True))
        return cls(_bare(array, shape=whole), array.shards)

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region; each chunk or shard in it is fetched once."""
        if self.shards is None:
            return np.asarray(self.array[region])
        whole = tuple(
            slice(part.start, -(-part.stop // step) * step) for part, step in zip(region, self.shards, strict=True)
        )
        return np.asarray(self.array[whole])[tuple(slice(part.stop - part.start) for part in region)]


def _bare(array: zarr.Array[Any], **changed: Any) -> zarr.Array[Any]:
    """The array without its attributes, which can be large: it travels with every task."""
    metadata = dataclasses.replace(array.metadata, attributes={}, **changed)
    return zarr.Array(dataclasses.replace(array.async_array, metadata=metadata))


def zarr_signals(source: Any, where: str) -> list[Signal]:
    """Describe every signal of a Zarr store.

    Parameters
    ----------
    source : str, path, zarr store, zarr.Array or zarr.Group
        What to open.
    where : str
        How to name it in messages, and a signal that has no name of its own.

    Returns
    -------
    list of Signal
        None of them read.

    Raises
    ------
    UnknownFormatError
        If there is no Zarr array or group there.
    """
    root = source if isinstance(source, zarr.Array | zarr.Group) else _opened(source, where)
    if isinstance(root, zarr.Array):
        return [_array_signal(root, _stem(where), {}, {})]
    if is_experiments(root):
        return [_experiment_signal(group, name) for name, group in experiments(root)]
    return list(_group_signals(root))


def _opened(source: Any, where: str) -> zarr.Array[Any] | zarr.Group:
    try:
        return zarr.open(source, mode="r")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # what broken metadata raises in zarr
        raise UnknownFormatError(
            f"no readable Zarr array or group at {where} ({type(error).__name__}: {error})",
            "a Zarr v2 or v3 store",
            "check the path inside the store; a store that was cut off while it was copied has to be copied again",
        ) from error


def _stem(where: str) -> str:
    return where.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr") or "data"


def _experiment_signal(group: zarr.Group, name: str) -> Signal:
    array = group["data"]
    if not isinstance(array, zarr.Array):
        raise UnknownFormatError(f"a group for the data of {name!r}", "an array", "save the signal again")
    axes, attrs = axes_and_attrs(group, array.shape)
    return _signal(array, name, axes, attrs)


def _group_signals(root: zarr.Group) -> Iterator[Signal]:
    """Yield the arrays below a group that are no coordinates of others."""
    members = sorted(root.members(max_depth=None))
    arrays = {path: item for path, item in members if isinstance(item, zarr.Array)}
    lines = {path for path, array in arrays.items() if array.ndim == 1 and _dims(array) in {None, (_leaf(path),)}}
    beside = {path: _coordinates_of(path, arrays) for path in arrays}
    others = {place for places in beside.values() for place in places.values()}
    for path, array in arrays.items():
        if path in lines or path in others or array.ndim == 0 or array.dtype.kind not in "biufc":
            continue
        folder = path.rpartition("/")[0]
        above = [folder.rsplit("/", depth)[0] if depth else folder for depth in range(folder.count("/") + 1)]
        positions: dict[str, tuple[NDArray[Any], Mapping[str, Any]]] = {}
        for dim, size in zip(_dims(array) or (), array.shape, strict=False):
            places = [f"{up}/{dim}".lstrip("/") for up in [*above, ""]]
            # of a group above only what fits: a map of another size has other positions
            found = next((place for place in places if place in lines and arrays[place].shape == (size,)), None)
            if found is not None:
                positions[dim] = _coordinate(dim, arrays[found])
        yield _array_signal(array, path, positions, {name: arrays[place] for name, place in beside[path].items()})


def _coordinates_of(path: str, arrays: Mapping[str, zarr.Array[Any]]) -> dict[str, str]:
    """Find the arrays that one names as its coordinates, as xarray does: in its attributes, beside it."""
    said = dict(arrays[path].attrs)
    named = {name: name for name in str(said.get("coordinates", "")).split()}
    mapping = str(said.get("grid_mapping", "")).partition(":")[0]
    if mapping:
        named[SPATIAL_REF] = mapping
    folder = path.rpartition("/")[0]
    places = {name: f"{folder}/{leaf}".lstrip("/") for name, leaf in named.items()}
    return {name: place for name, place in places.items() if place in arrays and arrays[place].dtype.kind in "biufM"}


def _leaf(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _dims(array: zarr.Array[Any]) -> tuple[str, ...] | None:
    """Names of an array's dims, as xarray keeps them: in the attributes (v2) or the metadata (v3)."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get(_DIMS_V2)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        return None
    return tuple(names) if len(set(names)) == array.ndim else None


def _coordinate(dim: str, array: zarr.Array[Any]) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """Read the positions along a dim; times and packed numbers are decoded by xarray."""
    attrs = _packed_attrs(array)
    decoded = xr.conventions.decode_cf_variable(dim, xr.Variable(dim, np.asarray(array[...]), attrs))
    return np.asarray(decoded.values), decoded.attrs


def _packed_attrs(array: zarr.Array[Any]) -> dict[str, Any]:
    attrs = {key: value for key, value in dict(array.attrs).items() if key != _DIMS_V2}
    fill = attrs.pop("_FillValue", None)
    if isinstance(fill, str):  # xarray writes it in base64 into Zarr v3
        fill = xr.backends.zarr.FillValueCoder.decode(fill, array.dtype.str)
    elif fill is None and array.metadata.zarr_format == 2 and _dims(array) is not None:
        # xarray keeps its fill value in Zarr v2's own field. A plain 0 there is only Zarr's default: counts of 0 count.
        fill = array.fill_value if array.fill_value not in {None, 0} else None
    if fill is not None and not (array.dtype.kind == "f" and np.isnan(np.asarray(fill))):
        attrs["_FillValue"] = fill
    return attrs


def _array_signal(
    array: zarr.Array[Any],
    name: str,
    positions: Mapping[str, tuple[NDArray[Any], Mapping[str, Any]]],
    beside: Mapping[str, zarr.Array[Any]],
) -> Signal:
    dims = _dims(array)
    axes = plain_axes(array.shape) if dims is None else named_axes(dims, array.shape, positions)
    kept = {key: json_safe(value) for key, value in dict(array.attrs).items() if key not in _NOT_KEPT}
    attrs = {key: value for key, value in kept.items() if value is not None}
    lying = {key: (_dims(other) or (), other) for key, other in beside.items()}
    coords = {
        key: _beside(other, over)
        for key, (over, other) in lying.items()
        if key not in (dims or ()) and len(over) == other.ndim and set(over) <= set(dims or ())
    }
    return replace(_signal(array, name, axes, attrs), coords=coords)


def _beside(array: zarr.Array[Any], dims: tuple[str, ...]) -> xr.Variable:
    """Make a coordinate that is no dim's own: lines are read, maps stay lazy."""
    attrs = _packed_attrs(array)
    if array.ndim > 1:
        kept = {key: value for key, value in attrs.items() if key not in _NOT_KEPT}
        return xr.Variable(dims, _signal(array, "", (), {}).array(array.shape), kept)
    decoded = xr.conventions.decode_cf_variable("beside", xr.Variable(dims, np.asarray(array[...]), attrs))
    return xr.Variable(dims, decoded.values, decoded.attrs)


def _signal(array: zarr.Array[Any], name: str, axes: tuple[Axis, ...], attrs: dict[str, Any]) -> Signal:
    direct = ChunkReader.of(_bare(array))
    reader, token = direct or ZarrRegion.of(array), _token(array)
    whole = array.shards or array.chunks
    if array.shards is not None and direct is not None:
        whole = _part_of_shard(array.shards, array.chunks, array.dtype.itemsize)
    chunks = tuple(min(step, max(1, size)) for step, size in zip(whole, array.shape, strict=True))
    packing = {key: value for key, value in _packed_attrs(array).items() if key in _PACKING}

    def lazy(blocks: tuple[int, ...]) -> da.Array:
        return _unpacked(lazy_array(reader, array.shape, array.dtype, blocks, token), packing)

    dtype = lazy(chunks).dtype if packing else array.dtype
    return Signal(name, axes, np.dtype(dtype), lazy, chunks, tiled=False, attrs=attrs)


def _part_of_shard(shard: tuple[int, ...], chunk: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """What of a shard is read at once: all of it, or, where that is too much for a block, whole chunks that divide it.

    The last dims, which are the signal, are kept whole first.
    """
    part = list(chunk)
    for axis in reversed(range(len(shard))):
        others = itemsize * math.prod(part) // part[axis]
        counts = range(shard[axis] // chunk[axis], 0, -1)
        fitting = (n for n in counts if shard[axis] // chunk[axis] % n == 0 and n * chunk[axis] * others <= _MOST_BYTES)
        part[axis] = chunk[axis] * next(fitting, 1)
    return tuple(part)


def _unpacked(values: da.Array, packing: Mapping[str, Any]) -> da.Array:
    if not packing:
        return values
    dims = [f"d{at}" for at in range(values.ndim)]
    unpacked: da.Array = xr.conventions.decode_cf_variable("values", xr.Variable(dims, values, packing)).data
    return unpacked


def _token(array: zarr.Array[Any]) -> object:
    """Tell the values of an array from all others: by where it is and when it was made, as far as that can be known."""
    store = array.store
    if isinstance(store, LocalStore):
        folder = store.root / array.path
        stamps = [path.stat().st_mtime_ns for name in ("zarr.json", ".zarray") if (path := folder / name).is_file()]
        return (str(folder), *stamps)
    known = getattr(store, "__dask_tokenize__", None)  # a store may say itself what tells its values from all others
    return (known(), array.path) if known is not None else uuid4().hex
