"""The bytes of a store's objects: files of this machine are read by the thread itself, into its own buffer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.abc.store import RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from refold.engine import buffers

Bytes = NDArray[np.uint8]


def fetch(store: Store, key: str, start: int = 0, stop: int | None = None) -> Bytes | None:
    """Fetch an object, or some of its bytes.

    Parameters
    ----------
    store : Store
        A Zarr store.
    key : str
        Of the object.
    start, stop : int, optional
        Which bytes; a negative start counts from the end.

    Returns
    -------
    numpy.ndarray or None
        Its bytes, on a buffer; None if there is no such object.
    """
    if type(store) is LocalStore:  # a subclass may get its objects in its own way
        return read_file(store.root / key, start, stop)
    wanted: Any = None
    if start < 0:
        wanted = SuffixByteRequest(-start)
    elif stop is not None:
        wanted = RangeByteRequest(start, stop)
    found = sync(store.get(key, default_buffer_prototype(), wanted))
    return None if found is None else np.asarray(found.as_numpy_array()).view(np.uint8)


def read_file(path: Path, start: int = 0, stop: int | None = None) -> Bytes | None:
    """Read a file, or some of its bytes; None if there is none."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size + start) if start < 0 else start
            stored = buffers.empty((max(0, min(stop or size, size) - start),), np.uint8)
            file.seek(start)
            fill(file, stored)
    except FileNotFoundError:
        return None
    return stored


def fill(file: Any, target: Bytes) -> None:
    """Read bytes from where a file stands, until the target is full.

    Raises
    ------
    EOFError
        If the file ends before.
    """
    view = target.data
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise EOFError(f"the file ends {len(view) - done} bytes too early")
        done += count
