"""When is a stored result still the answer to what is asked? When its fingerprint is the same."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize

_PACKAGES = ("refold", "numpy", "scipy", "scikit-learn", "umap-learn", "hdbscan", "numba", "xarray", "dask", "zarr")
_METADATA_FILES = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


def versions() -> dict[str, str]:
    """Versions of the packages that make a result, and of Python.

    Examples
    --------
    >>> sorted(versions())[:2]
    ['dask', 'hdbscan']
    """
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Looked up once: each look parses a file."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return tuple(sorted(found.items()))


def identify(cube: xr.DataArray) -> dict[str, Any]:
    """Say which scan this is, without reading it.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube, as opened or computed.

    Returns
    -------
    dict
        Shape, dtype and coordinates; the path, size and time of change of the file it was opened from, if it was;
        otherwise a token of the array (its values if it is in memory, its graph if it is lazy).

    Examples
    --------
    >>> import numpy as np, refold
    >>> identify(refold.as_cube(np.zeros((2, 3, 4)), signal="energy"))["shape"]
    [2, 3, 4]
    """
    coords = hashlib.sha256()
    for dim in map(str, cube.dims):
        coords.update(repr((dim, cube[dim].attrs.get("units"))).encode())
        values = cube[dim].values
        named = values.dtype.kind in "OT"  # texts, whose bytes are addresses
        coords.update(repr(values.tolist()).encode() if named else np.ascontiguousarray(values).tobytes())
    identity: dict[str, Any] = {
        "name": str(cube.name),
        "dims": list(map(str, cube.dims)),
        "shape": list(cube.shape),
        "dtype": str(cube.dtype),
        "coords": coords.hexdigest()[:16],
        "token": tokenize(cube.data),
    }
    path = Path(cube.attrs["source"]) if "source" in cube.attrs else None
    if path is not None and path.exists():
        stats = [file.stat() for file in _identifying_files(path)]
        identity |= {
            "path": str(path),
            "bytes": sum(stat.st_size for stat in stats),
            "modified": max(stat.st_mtime_ns for stat in stats),
        }
    return identity


def _identifying_files(path: Path) -> list[Path]:
    """The file itself; of a directory store its metadata, as a stat of every chunk would take long."""
    if path.is_file():
        return [path]
    return [file for name in _METADATA_FILES for file in sorted(path.rglob(name))] or [path]


def stage_fingerprint(
    stage: str, options: Mapping[str, Any], before: str, packages: Sequence[str] = ("refold",)
) -> str:
    """Fingerprint of a stage: its options, those of all stages before it, and the versions that matter to it.

    Parameters
    ----------
    stage : str
        Name of the stage.
    options : mapping
        Its part of the recipe, JSON-ready.
    before : str
        Fingerprint of the stage before; of the first stage, anything that identifies the source.
    packages : sequence of str
        Packages whose version changes the result.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> one = stage_fingerprint("reduce", {"n_components": 20}, before="")
    >>> one == stage_fingerprint("reduce", {"n_components": 21}, before="")
    False
    """
    found = versions()
    known = {package: found.get(package, "") for package in packages}
    text = json.dumps([stage, options, before, known], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
