"""A spectrum image with the pictures that were taken with it: of the same file, or of files beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import ROLE, navigation_dims
from refold.errors import CubeError, ParameterError
from refold.source.axes import clean_name
from refold.source.finding import origin_of, signals_of, where_of
from refold.source.images import image_of, is_image
from refold.source.signals import Signal, choose
from refold.source.units import METRES, normalise_units

_SAME = 0.025  # by which pixels in another file may be larger or smaller


def with_images(cube: xr.DataArray, path: Any, images: Any, options: Mapping[str, Any]) -> xr.Dataset:
    """Lay images beside a cube.

    Parameters
    ----------
    cube : xarray.DataArray
        The cube, as `refold.open` opened it.
    path : object
        Where.
    images : True, str, path or sequence of these
        Which: all of the file on the cube's grid; signals of the file by name; or files of their own.
    options : mapping
        For the reader.

    Returns
    -------
    xarray.Dataset
        The cube first, then the images in the order in which they are named.

    Raises
    ------
    ParameterError
        If an image is not there.
    CubeError
        If there is none on the cube's grid, or one lies elsewhere.
    """
    name = clean_name(cube.name) or "signal"
    found = {name: cube.rename(name)}
    signals = [signal for signal in signals_of(path, **options) if signal.name != cube.attrs.get("signal")]
    if images is True:
        chosen = [signal for signal in signals if _shape(signal) == _grid(cube)]
        if not chosen:
            raise CubeError(
                f"no image of {_grid(cube)} pixels in {where_of(path)}, but {_shapes(signals)}",
                "one on the grid of the spectra",
                "name a file that holds one, as in images='haadf.tif', or bring it to the grid with refold.align",
            )
        pairs = [(signal, path) for signal in chosen]
    else:
        given = [images] if isinstance(images, str | os.PathLike) else list(images)
        pairs = [_found(image, signals, path, cube) for image in given]
    for signal, where in pairs:
        name = clean_name(signal.name) or "image"
        name = name if name not in found else f"{name}_{len(found)}"
        found[name] = _on_grid(signal, where, cube, same_file=where is path).rename(name)
    return xr.Dataset(found)


def _found(image: Any, signals: Sequence[Signal], path: Any, cube: xr.DataArray) -> tuple[Signal, Any]:
    """A signal of the file by its name, or the image in a file of its own, looked for beside the scan too."""
    name = os.fspath(image)
    for signal in signals:
        if signal.name == name:
            return signal, path
    places = [Path(name).expanduser()]
    if isinstance(path, str | os.PathLike):
        places.append(Path(where_of(path)).parent / name)
    there = next((place for place in places if place.exists()), None)
    if there is None:
        known = [signal.name for signal in signals]
        found = f"no image {name!r} in {where_of(path)}, and no file of that name"
        raise ParameterError(found, f"one of {known}, or a file" if known else "a file", "correct the name")
    if is_image(there):
        return image_of(there), there
    theirs = signals_of(there, shape=None, dtype=None, offset=0, reader=None)
    fitting = [signal for signal in theirs if _shape(signal) == _grid(cube)]
    return choose(fitting or theirs, None, str(there)), there


def _on_grid(signal: Signal, where: Any, cube: xr.DataArray, *, same_file: bool) -> xr.DataArray:
    """The image on the cube's coordinates."""
    if _shape(signal) != _grid(cube):
        raise CubeError(
            f"image {signal.name!r} of {_shapes([signal])} beside spectra on {_grid(cube)}",
            "an image on the grid of the spectra",
            "open it by itself, and bring it to the grid with refold.align",
        )
    image = signal.to_cube()
    dims = navigation_dims(cube)
    image = image.transpose(*dims) if set(image.dims) == set(dims) else image
    if not same_file:
        _check_places(image, cube)
    # A file that took both at once may round the pixel of one of them otherwise: they are the same pixels.
    own = {dim: (dim, cube[dim].values, {**cube[dim].attrs, ROLE: "navigation"}) for dim in dims}
    placed = xr.DataArray(image.data, own, dims, attrs=image.attrs)
    placed.attrs.update(source=origin_of(where), signal=signal.name)
    return placed


def _check_places(image: xr.DataArray, cube: xr.DataArray) -> None:
    """Refuse an image of another file whose pixels have another size; where they begin is said in too many ways."""
    for dim, theirs in zip(navigation_dims(cube), map(str, image.dims), strict=True):
        steps = [_step(coord) for coord in (cube[dim], image[theirs])]
        if min(steps) > 0 and abs(steps[1] / steps[0] - 1) > _SAME:
            raise CubeError(
                f"pixels of {steps[0]:.4g} m along {dim!r} of the spectra and of {steps[1]:.4g} m of the image",
                "an image of the same field",
                "bring it to the grid with refold.align",
            )


def _step(coord: xr.DataArray) -> float:
    """Size of a pixel in metres; 0 where it is not known."""
    unit = normalise_units(coord.attrs.get("units"))
    if unit not in METRES or coord.size < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(coord.values.astype(np.float64))))) * METRES[unit]


def _grid(cube: xr.DataArray) -> tuple[int, ...]:
    return tuple(cube.sizes[dim] for dim in navigation_dims(cube))


def _shape(signal: Signal) -> tuple[int, ...] | None:
    """Shape of an image; None of what is none."""
    flat = not signal.is_cube and not signal.picture and len(signal.axes) <= 2
    return signal.shape if flat else None


def _shapes(signals: Sequence[Signal]) -> str:
    said = [f"{signal.name!r} {' x '.join(map(str, signal.shape))}" for signal in signals if not signal.is_cube]
    return ", ".join(said) or "none"
