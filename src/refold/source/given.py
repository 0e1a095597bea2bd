"""What is to be converted, be it a file or a cube: how it is stored, and how it is read in blocks of a size."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from dask.base import tokenize

from refold.cube import check_cube, navigation_dims
from refold.engine.layout import chunk_bytes
from refold.errors import ParameterError
from refold.planning.rechunking import Sizes, Stored
from refold.source.copying import kept_attrs
from refold.source.finding import origin_of
from refold.source.opening import signal_of
from refold.source.signals import Signal


@dataclass(frozen=True)
class Given:
    """What is to be converted.

    Parameters
    ----------
    name : str
        Of the scan in its file, or of the cube.
    where : str
        Where it came from, as far as it is known.
    cube : xarray.DataArray
        Lazy or in memory.
    stored : Stored
        Its shape, and what is decoded at once.
    read : callable
        Gives the cube in blocks of about a size, in whole stored chunks.
    identity : mapping
        What tells it from others, JSON-ready.
    """

    name: str
    where: str
    cube: xr.DataArray
    stored: Stored
    read: Callable[[Sizes], xr.DataArray]
    identity: Mapping[str, Any]


def given_of(scan: Any, signal: str | None, options: Mapping[str, Any]) -> Given:
    """Describe what `refold.convert` was given.

    Raises
    ------
    ParameterError
        If options of a file are given with a cube.
    CubeError
        If it has no navigation or no signal dims.
    """
    if isinstance(scan, xr.DataArray):
        if signal is not None or options:
            raise ParameterError(
                f"{', '.join(['signal'] * (signal is not None) + list(options))} with a cube",
                "a path, or a cube alone",
                "give them to refold.open, which made the cube",
            )
        return _of_cube(check_cube(scan))
    return _of_file(signal_of(scan, signal, **options), origin_of(scan))


def _of_file(chosen: Signal, where: str) -> Given:
    cube = check_cube(chosen.to_cube())
    names = [axis.name for axis in chosen.axes]
    steps = tuple(chosen.stored[names.index(str(dim))] for dim in cube.dims)

    def read(block: Sizes) -> xr.DataArray:
        sizes = {str(dim): -(-size // step) * step for dim, size, step in zip(cube.dims, block, steps, strict=True)}
        return check_cube(chosen.to_cube(sizes))

    # What is at a URL has no time of change that could be asked for cheaply: there its place and form must do.
    token = tokenize(cube.data) if Path(where).exists() else None
    return Given(
        chosen.name, where, cube, _stored(cube, steps), read, _identity(cube, chosen.name, where, steps, token)
    )


def _of_cube(cube: xr.DataArray) -> Given:
    where = os.fspath(cube.attrs.get("source", ""))
    name = str(cube.attrs.get("signal") or cube.name or "signal")
    if cube.chunks is None:
        steps, uneven, reading = (1,) * cube.ndim, False, 0
    else:
        steps = tuple(max(sizes) for sizes in cube.chunks)
        uneven = any(set(sizes[:-1]) - {step} for sizes, step in zip(cube.chunks, steps, strict=True))
        reading = chunk_bytes(cube)
    stored = _stored(cube, steps, uneven=uneven, reading=reading)
    identity = _identity(cube, name, where, steps, tokenize(cube.data))
    return Given(name, where, cube, stored, lambda _: cube, identity)


def _stored(cube: xr.DataArray, steps: Sizes, *, uneven: bool = False, reading: int = 0) -> Stored:
    n_navigation = len(navigation_dims(cube))
    return Stored(cube.shape, steps, n_navigation, cube.dtype.itemsize, uneven=uneven, reading=reading)


def _identity(cube: xr.DataArray, name: str, where: str, steps: Sizes, token: str | None) -> dict[str, Any]:
    """All that is copied; lazy arrays by the names that Dask gives them, which say how they are made."""
    return {
        "name": name,
        "scan": where,
        "shape": list(cube.shape),
        "dtype": str(cube.dtype),
        "stored": list(steps),
        "coordinate": {str(key): _token(coord.variable) for key, coord in cube.coords.items()},
        "attribute": {key: tokenize(value) for key, value in kept_attrs(cube).items()},
        "token": token,
    }


def _token(coord: xr.Variable) -> str:
    return str(tokenize(coord.dims, coord.data, dict(coord.attrs)))
