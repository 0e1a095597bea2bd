"""Every format that RosettaSciIO reads, with its traps mended.

Its lazy arrays are not put into the graph as they are: some hold open files or the whole data, some cut the signal
dims, some hold sparse chunks. A task here says only which file, which reader, which signal and which region; the file
is opened once in each process, and its reader asked for blocks of whole signals where it can be asked.
"""

from __future__ import annotations

import difflib
import functools
import gc
import importlib
import inspect
import logging
import re
import struct
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from refold.errors import MissingDependencyError, ParameterError, SourceError, UnknownFormatError
from refold.source.axes import Axis, FileAxis, mend_axes, plain_axes
from refold.source.events import as_events
from refold.source.lazy import lazy_array
from refold.source.metadata import keep_metadata, mapped_metadata
from refold.source.signals import Signal
from refold.source.trees import described, note_of

_HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".he5", ".hdf", ".nxs", ".emd"})
# Read by ways of our own, which need no older zarr and no open files.
_OURS = frozenset({"ZSPY", "numpy"})
# Their lazy arrays hold an open file, and read it whole whatever part is asked for.
_HOLDING = frozenset({"TIFF"})
# What readers raise when a file is not theirs, or is cut off.
_REFUSALS = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, RuntimeError, EOFError,
    struct.error, ParseError,
)  # fmt: skip
_WANTS_PACKAGE = re.compile(r"requires? (?:the )?['`\"]?(\w+)['`\"]? (?:package|library|module)", re.IGNORECASE)
# Import names that differ from what is installed.
_INSTALLED_AS = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "mrcz": "mrcz",
    "imagecodecs": "imagecodecs",
}


class RosettaRegion:
    """Reads regions of one signal of a file, through RosettaSciIO.

    Where it was made, it keeps the file's description, so that the file is not parsed again; that stays behind when it
    is pickled, and each worker process opens the file for itself, once.
    """

    __slots__ = ("_data", "blocks", "fields", "index", "path", "reader", "stamp")

    def __init__(
        self,
        path: str,
        reader: str,
        index: int,
        *,
        stamp: int = 0,
        blocks: tuple[int, ...] | None = None,
        fields: tuple[str, ...] = (),
        data: Any = None,
    ) -> None:
        self.path, self.reader, self.index, self.stamp = path, reader, index, stamp
        self.blocks, self.fields, self._data = blocks, fields, data

    def __reduce__(self) -> tuple[Any, ...]:
        return _region, (self.path, self.reader, self.index, self.stamp, self.blocks, self.fields)

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region; red, green and blue of a picture become its last axis."""
        values = self._source()[region[:-1] if self.fields else region]
        if isinstance(values, da.Array):
            values = values.compute(scheduler="synchronous")
        if self.fields:
            return np.stack([values[name] for name in self.fields], axis=-1)[..., region[-1]]
        return np.asarray(values)

    def _source(self) -> Any:
        if self.reader in _HOLDING:
            with _OPENING:
                return _read(self.path, _named_plugin(self.reader), lazy=False)[self.index]["data"]
        if self._data is None:
            with _OPENING:
                self._data = _described(self.path, self.reader, self.stamp, self.blocks)[self.index]["data"]
        return self._data


def _region(
    path: str, reader: str, index: int, stamp: int, blocks: tuple[int, ...] | None, fields: tuple[str, ...]
) -> RosettaRegion:
    return RosettaRegion(path, reader, index, stamp=stamp, blocks=blocks, fields=fields)


def rosetta_signals(path: Path, reader: str | None = None) -> list[Signal]:
    """Describe the signals of a file that RosettaSciIO reads.

    Parameters
    ----------
    path : Path
        The file.
    reader : str, optional
        Name of its reader. By default those that know the suffix are tried in turn.

    Returns
    -------
    list of Signal
        Lazy where the reader can be; read whole by it where not, which the attribute ``read_whole`` says.

    Raises
    ------
    UnknownFormatError
        If no reader knows the file.
    MissingDependencyError
        If the one that does needs a package that is not installed.
    SourceError
        If all that know its suffix refuse it.
    """
    plugins = [_named_plugin(reader)] if reader is not None else _plugins_for(path)
    refusals: dict[str, BaseException] = {}
    for plugin in plugins:
        try:
            described = _read(str(path), plugin)
        except (*_REFUSALS, ImportError) as error:
            refusals[str(plugin["name"])] = error
            continue
        signals = [_signal(path, plugin, number, found) for number, found in enumerate(described) if "data" in found]
        if plugin["name"] in _HOLDING:
            _let_go(described)
        return signals
    if reader is None and path.suffix.lower() in _HDF5_SUFFIXES:
        from refold.source.hdf5 import dataset_signals

        found = dataset_signals(path)
        if found:
            return found
    raise _refusal(path, refusals)


# --- which reader -----------------------------------------------------------------------------------------------------


def _all_plugins() -> list[dict[str, Any]]:
    from rsciio import IO_PLUGINS

    return [plugin for plugin in IO_PLUGINS if plugin["name"] not in _OURS]


def _plugins_for(path: Path) -> list[dict[str, Any]]:
    suffix = path.suffix.lower().lstrip(".")
    return [plugin for plugin in _all_plugins() if suffix in {str(kind).lower() for kind in plugin["file_extensions"]}]


def _named_plugin(name: str) -> dict[str, Any]:
    plugins = {}
    for plugin in _all_plugins():
        for alias in (plugin["name"], *plugin["name_aliases"]):
            plugins[str(alias).lower()] = plugin
    if name.lower() in plugins:
        return plugins[name.lower()]
    near = difflib.get_close_matches(name.lower(), plugins, n=1)
    known = sorted(str(plugin["name"]) for plugin in _all_plugins())
    remedy = f"did you mean {plugins[near[0]]['name']!r}?" if near else "take one of these, or leave reader out"
    raise ParameterError(f"reader {name!r}", f"one of {known}", remedy)


def _refusal(path: Path, refusals: Mapping[str, BaseException]) -> SourceError | MissingDependencyError:
    """Say why nobody reads a file: a package that is missing comes first, since that can be mended."""
    if not refusals:
        companion = next((other for other in sorted(path.parent.glob(f"{path.stem}.*")) if _plugins_for(other)), None)
        return UnknownFormatError(
            f"{path}, with a suffix that no reader knows",
            "Zarr, .zspy, .hspy, .npy, HDF5, or a format that RosettaSciIO reads",
            f"open {companion.name} beside it"
            if companion
            else "name its reader, or give shape and dtype if it is raw",
        )
    said = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in refusals.items())
    for name, error in refusals.items():
        package = _missing_package(error)
        if package is not None and (len(refusals) == 1 or not isinstance(error, ImportError)):
            return MissingDependencyError(
                f"{path}, for the reader {name}", f"the package {package}", f"pip install {package}"
            )
    return SourceError(
        f"{path}, which its readers refuse ({said})",
        "a whole file of that format",
        "name its reader if it is another one's format, export it again if it is cut off, or convert it to Zarr",
    )


def _missing_package(error: BaseException) -> str | None:
    """Name the package that a reader lacks, if that is what its error says."""
    if isinstance(error, ImportError) and error.name:
        package = error.name.split(".")[0]
        return _INSTALLED_AS.get(package, package)
    said = _WANTS_PACKAGE.search(str(error))
    return _INSTALLED_AS.get(said.group(1), said.group(1)) if said else None


# --- reading ----------------------------------------------------------------------------------------------------------


_OPENING = threading.Lock()


@functools.lru_cache(maxsize=2)
def _described(path: str, reader: str, stamp: int, blocks: tuple[int, ...] | None) -> list[dict[str, Any]]:
    """Open a file once in this process. `stamp` is its modification time, so that a new file is opened anew."""
    return _read(path, _named_plugin(reader), blocks)


def _read(
    path: str, plugin: Mapping[str, Any], blocks: tuple[int, ...] | None = None, *, lazy: bool = True
) -> list[dict[str, Any]]:
    """Call a reader, lazily if it can."""
    file_reader = importlib.import_module(plugin["api"]).file_reader
    accepted = inspect.signature(file_reader).parameters
    options: dict[str, Any] = {"show_progressbar": False} if "show_progressbar" in accepted else {}
    if blocks is not None:
        options["chunks"] = blocks
    with _quiet():
        try:
            found = file_reader(path, lazy=lazy, **options)
        except NotImplementedError:  # what readers raise that cannot be lazy
            found = file_reader(path, **options)
    for signal in found:
        if "data" in signal:
            signal["data"] = as_events(signal["data"]) or signal["data"]
    return list(found)


def _let_go(described: list[dict[str, Any]]) -> None:
    """Close the files that lazy arrays hold open; there is no other way to them, and Python warns of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        described.clear()
        gc.collect()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep RosettaSciIO from telling what its users can do nothing about."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.ERROR)  # that packages of HyperSpy are missing which play no part here
    try:
        with warnings.catch_warnings():
            # rsciio 0.15 sets the shape of arrays in place (Delmic), which NumPy 2.5 deprecates
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="rsciio")
            yield
    finally:
        logger.setLevel(level)


def _takes_chunks(plugin: Mapping[str, Any]) -> bool:
    return "chunks" in inspect.signature(importlib.import_module(plugin["api"]).file_reader).parameters


# --- describing -------------------------------------------------------------------------------------------------------


def _signal(path: Path, plugin: Mapping[str, Any], number: int, found: Mapping[str, Any]) -> Signal:
    data, tree = found["data"], mapped_metadata(found)
    axes, words = _axes(found.get("axes", ()), tuple(map(int, data.shape)), tree.get("Signal", {}))
    fields, dtype = data.dtype.names or (), np.dtype(data.dtype)
    if fields:  # a picture in red, green and blue
        axes = (
            *axes,
            replace(plain_axes((len(fields),))[0], name="channel", role="signal", long_name=", ".join(fields)),
        )
        dtype = np.dtype(dtype[0])
    attrs = keep_metadata(tree) | note_of(tree, {}, words) | {"reader": str(plugin["name"])}
    if isinstance(data, np.ndarray):
        attrs["read_whole"] = True
    name = str(tree.get("General", {}).get("title") or path.stem)
    region = RosettaRegion(
        str(path),
        str(plugin["name"]),
        number,
        stamp=path.stat().st_mtime_ns,
        fields=fields,
        data=None if plugin["name"] in _HOLDING else data,
    )
    shape = tuple(axis.size for axis in axes)
    chunked = isinstance(data, da.Array) and _takes_chunks(plugin)
    stored = (1,) * len(shape) if chunked or fields else _stored(data)
    lazy = functools.partial(_lazy, region, shape, dtype, chunked)
    return Signal(name, axes, dtype, lazy, stored, attrs=attrs, picture=bool(fields))


def _stored(data: Any) -> tuple[int, ...]:
    """Units in which values can be got without reading others."""
    return tuple(map(int, data.chunksize)) if isinstance(data, da.Array) else (1,) * len(data.shape)


def _lazy(
    region: RosettaRegion, shape: tuple[int, ...], dtype: np.dtype[Any], chunked: bool, blocks: tuple[int, ...]
) -> da.Array:
    token = (region.path, region.stamp, region.reader, region.index)
    if chunked:  # ask the reader for just these blocks, instead of cutting up its own
        region = _region(region.path, region.reader, region.index, region.stamp, blocks, region.fields)
    return lazy_array(region, shape, dtype, blocks, token)


def _axes(
    told: Sequence[Mapping[str, Any]], shape: tuple[int, ...], signal: Mapping[str, Any]
) -> tuple[tuple[Axis, ...], dict[str, dict[str, Any]]]:
    """Axes of a signal, and how the file describes each."""
    for order in (list(told), sorted(told, key=lambda axis: axis.get("index_in_array") or 0)):
        if tuple(int(axis["size"] if "size" in axis else np.size(axis["axis"])) for axis in order) == shape:
            axes = [_file_axis(axis, size) for axis, size in zip(order, shape, strict=True)]
            mended = mend_axes(axes, str(signal.get("signal_type") or ""), str(signal.get("record_by") or ""))
            return mended, {axis.name: described(said) for axis, said in zip(mended, axes, strict=True)}
    return plain_axes(shape), {}


def _file_axis(said: Mapping[str, Any], size: int) -> FileAxis:
    flag, values = said.get("navigate"), said.get("axis")
    return FileAxis(
        size=size,
        name=said.get("name") if isinstance(said.get("name"), str) else None,
        scale=_number(said.get("scale")),
        offset=_number(said.get("offset")),
        units=said.get("units"),
        navigate=None if flag is None else bool(flag),
        values=None if values is None else np.asarray(values),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
