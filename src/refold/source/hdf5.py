"""HDF5 files: HyperSpy's layout, and for files that nobody else knows, their arrays as they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refold.errors import SourceError
from refold.source.axes import Axis, plain_axes
from refold.source.experiments import axes_and_attrs, experiments, is_experiments
from refold.source.lazy import lazy_array
from refold.source.signals import Signal

_FEWEST_DIMS = 3


@dataclass(frozen=True, slots=True)
class HDF5Region:
    """Reads regions of an HDF5 dataset. The file is opened for each read: an open one does not travel to a worker."""

    path: str
    dataset: str

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region."""
        with open_hdf5(self.path) as file:
            return np.asarray(file[self.dataset][region])


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


def _signal(path: Path, dataset: Any, name: str, axes: tuple[Axis, ...], attrs: dict[str, Any]) -> Signal:
    told = path.stat()
    shape, dtype = tuple(map(int, dataset.shape)), np.dtype(dataset.dtype)
    lazy = functools.partial(
        _lazy, HDF5Region(str(path), str(dataset.name)), shape, dtype, (str(path), told.st_mtime_ns, str(dataset.name))
    )
    stored = tuple(map(int, dataset.chunks)) if dataset.chunks else (1,) * len(shape)
    stored = tuple(min(step, max(1, size)) for step, size in zip(stored, shape, strict=True))
    return Signal(name, axes, dtype, lazy, stored, attrs=attrs)


def _lazy(
    reader: HDF5Region, shape: tuple[int, ...], dtype: np.dtype[Any], token: object, blocks: tuple[int, ...]
) -> Any:
    return lazy_array(reader, shape, dtype, blocks, token)
