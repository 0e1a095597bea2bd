"""HDF5 files: HyperSpy's layout, and for files that nobody else knows, their arrays as they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from numcodecs.abc import Codec
from numpy.typing import NDArray

from refold.engine import buffers
from refold.errors import SourceError
from refold.source import fetching
from refold.source.assembling import Position, assemble, touched
from refold.source.axes import Axis, plain_axes
from refold.source.decoding import Decoder
from refold.source.experiments import axes_and_attrs, experiments, is_experiments
from refold.source.lazy import Stored
from refold.source.raw import RawRegion
from refold.source.signals import Signal

_FEWEST_DIMS = 3


# Filters that numcodecs undoes, by their numbers: https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md
_DEFLATE, _SHUFFLE, _BLOSC, _ZSTD = 1, 2, 32001, 32015


@dataclass(frozen=True, slots=True)
class HDF5Region:
    """Reads regions of an HDF5 dataset by h5py. The file is opened for each read: an open one does not travel."""

    path: str
    dataset: str

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region in native byte order."""
        with open_hdf5(self.path) as file:
            dataset = file[self.dataset]
            values = buffers.empty([part.stop - part.start for part in region], dataset.dtype.newbyteorder("="))
            if values.size:
                dataset.read_direct(values, region)
            return values


@dataclass(frozen=True, slots=True)
class HDF5Chunks:
    """Reads regions of a chunked HDF5 dataset from the bytes in its file.

    Parameters
    ----------
    path, dataset : str
        Where it is.
    decoder : Decoder
        Of a chunk.
    fill_value : object
        What chunks hold that are not stored.
    stamp : int
        When the file was written.

    Notes
    -----
    The HDF5 library decodes one chunk at a time, whatever the number of threads. It is asked only where the chunks are,
    once in each process. It leaves out a filter that made a chunk no smaller; such a chunk is left to it.
    """

    path: str
    dataset: str
    decoder: Decoder
    fill_value: Any
    stamp: int

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region in native byte order; each chunk in it is read once."""
        places, odd = _chunk_places(self.path, self.dataset, self.stamp)
        if odd and not odd.isdisjoint(touched(region, self.decoder.shape)):
            return HDF5Region(self.path, self.dataset).read(region)

        def bytes_of(position: Position) -> NDArray[np.uint8] | None:
            if position not in places:
                return None
            start, size = places[position]
            return fetching.read_file(Path(self.path), start, start + size)

        return assemble(region, self.decoder, bytes_of, self.fill_value, f"{self.path}:{self.dataset}")


@functools.lru_cache(maxsize=8)
def _chunk_places(path: str, name: str, stamp: int) -> tuple[dict[Position, tuple[int, int]], frozenset[Position]]:
    """Where in its file each chunk of a dataset lies, and its size; and which of them are not written as all are."""
    places: dict[Position, tuple[int, int]] = {}
    odd: set[Position] = set()
    with open_hdf5(path) as file:
        dataset = file[name]
        steps = dataset.chunks

        def note(chunk: Any) -> None:
            position = tuple(at // step for at, step in zip(chunk.chunk_offset, steps, strict=True))
            places[position] = (int(chunk.byte_offset), int(chunk.size))
            if chunk.filter_mask:
                odd.add(position)

        dataset.id.chunk_iter(note)
    return places, frozenset(odd)


def _reader(path: Path, dataset: Any) -> HDF5Region | HDF5Chunks | RawRegion:
    """Choose how to read a dataset: its bytes as they lie in the file, where they are plain or of a known filter."""
    name, dtype = str(dataset.name), np.dtype(dataset.dtype)
    elsewhere = dataset.is_virtual or dataset.external or dataset.file.userblock_size
    if elsewhere or dtype.kind not in "iuf" or not dataset.size:
        return HDF5Region(str(path), name)
    if dataset.chunks is None:
        offset = dataset.id.get_offset()  # none before anything is written
        return HDF5Region(str(path), name) if offset is None else RawRegion(str(path), dataset.shape, dtype.str, offset)
    codecs = _codecs(dataset)
    if codecs is None:
        return HDF5Region(str(path), name)
    shape = tuple(map(int, dataset.chunks))
    decoder = Decoder(shape, dtype, tuple(range(len(shape))), codecs)
    return HDF5Chunks(str(path), name, decoder, dataset.fillvalue, path.stat().st_mtime_ns)


def _codecs(dataset: Any) -> tuple[Codec, ...] | None:
    """List the codecs that undo a dataset's filters; None if there is one that numcodecs does not know."""
    pipeline = dataset.id.get_create_plist()
    codecs: list[Codec] = []
    for place in range(pipeline.get_nfilters()):
        number = pipeline.get_filter(place)[0]
        if number not in (_DEFLATE, _SHUFFLE, _BLOSC, _ZSTD):
            return None
        name = {_DEFLATE: "zlib", _SHUFFLE: "shuffle", _BLOSC: "blosc", _ZSTD: "zstd"}[number]
        options = {"elementsize": dataset.dtype.itemsize} if number == _SHUFFLE else {}
        codecs.insert(0, numcodecs.get_codec({"id": name, **options}))
    return tuple(codecs)


def open_hdf5(path: str | Path) -> Any:
    """Open an HDF5 file for reading, with the compression filters of fast detectors at hand."""
    import h5py
    import hdf5plugin  # registers its filters with HDF5 when imported

    del hdf5plugin
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SourceError(
            f"{path}, which HDF5 cannot open ({error})", "a whole HDF5 file", "copy or export it again"
        ) from error


def experiment_signals(path: Path) -> list[Signal] | None:
    """Describe the signals of a file in HyperSpy's layout; None where it has another."""
    with open_hdf5(path) as file:
        if not is_experiments(file):
            return None
        return [
            _signal(path, group["data"], name, *axes_and_attrs(group, group["data"].shape))
            for name, group in experiments(file)
        ]


def dataset_signals(path: Path) -> list[Signal]:
    """Describe every array of at least three dims, named by its path in the file."""
    with open_hdf5(path) as file:
        return [
            _signal(path, dataset, dataset.name.lstrip("/"), plain_axes(dataset.shape), {})
            for dataset in _datasets(file)
        ]


def _datasets(file: Any) -> Iterator[Any]:
    import h5py

    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    for dataset in found:
        if dataset.ndim >= _FEWEST_DIMS and dataset.dtype.kind in "biufc" and dataset.size:
            yield dataset


def stored_array(path: Path, dataset: Any) -> Stored:
    """Say where a dataset lies and how it is read."""
    shape = tuple(map(int, dataset.shape))
    steps = tuple(map(int, dataset.chunks)) if dataset.chunks else (1,) * len(shape)
    steps = tuple(min(step, max(1, size)) for step, size in zip(steps, shape, strict=True))
    token = (str(path), path.stat().st_mtime_ns, str(dataset.name))
    return Stored(_reader(path, dataset), shape, np.dtype(dataset.dtype), steps, token)


def _signal(path: Path, dataset: Any, name: str, axes: tuple[Axis, ...], attrs: dict[str, Any]) -> Signal:
    stored = stored_array(path, dataset)
    return Signal(name, axes, stored.dtype, stored.lazy, stored.chunks, attrs=attrs)
