"""Spectrum images that a file keeps as X-ray events: made dense a region at a time, never whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

# What the graph of a sum of event lists is made of, by the names that Dask gives its layers.
_STEPS = ("array-", "original-array-", "add-", "astype-")


@dataclass(frozen=True, slots=True)
class Events:
    """Sparse arrays of one shape, one a detector, that are meant to be added up."""

    detectors: tuple[Any, ...]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense array."""
        return tuple(map(int, self.detectors[0].shape))

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]:
        return sum((_dense(events[region]) for events in self.detectors[1:]), _dense(self.detectors[0][region])).astype(
            self.dtype
        )


def _dense(values: Any) -> NDArray[Any]:
    return np.asarray(values.todense() if hasattr(values, "todense") else values)


def as_events(data: Any) -> Events | None:
    """Find the event lists behind a lazy array that RosettaSciIO made of them (JEOL, Velox); None for any other array.

    Its own chunks are of 100 MB and more, and each is made dense whole, as int64, for every slice taken from it.
    """
    if not isinstance(data, da.Array) or not all(str(name).startswith(_STEPS) for name in data.dask.layers):
        return None
    kept = [layer for name, layer in data.dask.layers.items() if str(name).startswith("original-array-")]
    arrays = [value for layer in kept for value in layer.values()]
    if arrays and all(hasattr(array, "nnz") and array.shape == data.shape for array in arrays):
        return Events(tuple(arrays), np.dtype(data.dtype))
    return None
