"""Roles of dims: which were scanned (navigation) and which were measured there (signal).

The role lives on the coordinates, because coordinates survive slicing, arithmetic, concatenation and Zarr, where the
attributes of an array do not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from refold.errors import CubeError

Role = Literal["navigation", "signal"]
ROLE = "role"
_DEFAULT_NAVIGATION = ("z", "y", "x")
_DIMS_OF_4D_STEM = 4
_SIGNAL_NAMES = frozenset({"ky", "kx", "energy", "wavelength", "channel", "feature", "component", "latent", "band"})


def _role(cube: xr.DataArray, dim: str) -> str | None:
    return cube.coords[dim].attrs.get(ROLE) if dim in cube.coords else None


def _dims_with(cube: xr.DataArray, role: Role) -> tuple[str, ...]:
    return tuple(str(dim) for dim in cube.dims if _role(cube, str(dim)) == role)


def navigation_dims(cube: xr.DataArray) -> tuple[str, ...]:
    """Dims along which the probe moved, in the order of the array.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube, whose coordinates carry roles.

    Returns
    -------
    tuple of str
        Names of the navigation dims.

    Examples
    --------
    >>> navigation_dims(as_cube(np.zeros((3, 4, 5)), signal="energy"))
    ('y', 'x')
    """
    return _dims_with(cube, "navigation")


def signal_dims(cube: xr.DataArray) -> tuple[str, ...]:
    """Dims of what was measured at each probe position, in the order of the array.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube, whose coordinates carry roles.

    Returns
    -------
    tuple of str
        Names of the signal dims.

    Examples
    --------
    >>> signal_dims(as_cube(np.zeros((3, 4, 5)), signal="energy"))
    ('energy',)
    """
    return _dims_with(cube, "signal")


def navigation_shape(cube: xr.DataArray) -> tuple[int, ...]:
    """Sizes of the navigation dims."""
    return tuple(cube.sizes[dim] for dim in navigation_dims(cube))


def signal_shape(cube: xr.DataArray) -> tuple[int, ...]:
    """Sizes of the signal dims."""
    return tuple(cube.sizes[dim] for dim in signal_dims(cube))


def n_pixels(cube: xr.DataArray) -> int:
    """Number of probe positions."""
    return int(np.prod(navigation_shape(cube), dtype=np.int64))


def n_features(cube: xr.DataArray) -> int:
    """Number of values measured at each probe position."""
    return int(np.prod(signal_shape(cube), dtype=np.int64))


def is_lazy(cube: xr.DataArray) -> bool:
    """Whether the cube is Dask-backed, so that nothing of it is in memory yet."""
    return cube.chunks is not None


def check_cube(obj: Any) -> xr.DataArray:
    """Check that an object is a cube, and return it with its navigation dims first.

    Parameters
    ----------
    obj : object
        Hopefully a cube.

    Returns
    -------
    xarray.DataArray
        The cube; transposed (lazily) if its signal dims did not come last.

    Raises
    ------
    CubeError
        If it is no DataArray, has a dim without a role, no navigation dim, no signal dim, a dim that is empty or of
        unknown size, or numbers that are not real.

    Examples
    --------
    >>> check_cube(as_cube(np.zeros((2, 3, 4)), signal="energy").transpose("energy", "y", "x")).dims
    ('y', 'x', 'energy')
    """
    if not isinstance(obj, xr.DataArray):
        kind = type(obj).__name__
        raise CubeError(f"a {kind}", "an xarray.DataArray with roles", "make one with refold.as_cube(array, signal=…)")
    dims = tuple(str(dim) for dim in obj.dims)
    unknown = [dim for dim in dims if _role(obj, dim) not in ("navigation", "signal")]
    navigation, signal = navigation_dims(obj), signal_dims(obj)
    if unknown or not navigation or not signal:
        raise CubeError(
            f"dims {dims} with navigation {navigation}, signal {signal}"
            + (f", no role on {unknown}" if unknown else ""),
            "at least one navigation and one signal dim, each with a role",
            "say which dims are signal, as in refold.as_cube(array, signal=('ky', 'kx'))",
        )
    _check_sized(obj)
    empty = [dim for dim in dims if obj.sizes[dim] == 0]
    if empty:
        raise CubeError(
            f"no positions along {empty} in shape {obj.shape}", "at least one along each dim", "check the crop"
        )
    if obj.dtype.kind not in "biuf":
        raise CubeError(f"values of dtype {obj.dtype}", "real numbers", "convert first, for instance to a magnitude")
    order = navigation + signal
    return obj if dims == order else obj.transpose(*order)


def _check_sized(array: xr.DataArray) -> None:
    """Refuse what a Dask array with unknown chunks leaves open."""
    unsized = [str(dim) for dim, size in zip(array.dims, array.shape, strict=True) if math.isnan(size)]
    if unsized:
        raise CubeError(
            f"dims of unknown size {unsized}",
            "sizes that are known without computing",
            "call compute_chunk_sizes() of the Dask array",
        )


def as_cube(
    array: Any,
    signal: str | Sequence[str] | None = None,
    dims: Sequence[str] | None = None,
    coords: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> xr.DataArray:
    """Make a cube of any array: name its dims, and say which of them are signal.

    Parameters
    ----------
    array : numpy.ndarray, dask.array.Array or xarray.DataArray
        Shape (*navigation, *signal). A lazy array stays lazy.
    signal : str or sequence of str, optional
        Names of the signal dims. Not needed for a DataArray that carries roles, or whose dims have the usual names
        (ky, kx, energy, wavelength, ...).
    dims : sequence of str, optional
        Names of all dims, in the order of the array. By default the last ones are the signal dims, and the others
        are named ``x``; ``y, x``; or ``z, y, x``.
    coords : mapping of str to array, optional
        Positions along the dims: values, or ``(values, attrs)`` as in ``{"x": (x, {"units": "nm"})}``. A dim without
        one is counted from 0 and has no units.
    name : str, optional
        Name of the cube.

    Returns
    -------
    xarray.DataArray
        The cube, navigation dims first, a ``role`` on the coordinate of every dim.

    Raises
    ------
    CubeError
        If the dims named are not those of the array, or no signal dim can be told.

    Examples
    --------
    >>> cube = as_cube(np.zeros((3, 4, 8, 8)), signal=("ky", "kx"), coords={"x": (np.arange(4) * 0.5, {"units": "nm"})})
    >>> cube.dims, cube.x.attrs
    (('y', 'x', 'ky', 'kx'), {'units': 'nm', 'role': 'navigation'})
    """
    wanted = (signal,) if isinstance(signal, str) else None if signal is None else tuple(signal)
    if not hasattr(array, "shape"):
        array = np.asarray(array)
    if dims is not None and (len(dims) != len(array.shape) or len(set(dims)) != len(dims)):
        raise CubeError(
            f"dims {tuple(dims)} for shape {array.shape}", "one name for each dim, all different", "correct dims=(…)"
        )
    if isinstance(array, xr.DataArray):
        cube = array.rename(dict(zip(array.dims, dims, strict=True))) if dims is not None else array
    else:
        cube = xr.DataArray(array, dims=tuple(dims) if dims is not None else _default_dims(array.shape, wanted))
    _check_sized(cube)
    names = tuple(str(dim) for dim in cube.dims)
    signals = wanted if wanted is not None else _told_signal(cube)
    missing = [dim for dim in (*signals, *(coords or {})) if dim not in names]
    if missing:
        raise CubeError(f"dims {names}, without {missing}", "dims that the array has", "name them with dims=(…)")
    cube = _with_coords(cube, coords or {}, signals)
    return check_cube(cube.rename(name) if name is not None else cube)


def _default_dims(shape: tuple[int, ...], signal: tuple[str, ...] | None) -> tuple[str, ...]:
    if signal is None:
        signal = ("ky", "kx") if len(shape) >= _DIMS_OF_4D_STEM else ("channel",)
    n_navigation = len(shape) - len(signal)
    if not 1 <= n_navigation <= len(_DEFAULT_NAVIGATION):
        raise CubeError(
            f"shape {shape} with signal dims {signal}, which leaves {n_navigation} navigation dims",
            "one, two or three navigation dims",
            "name all dims with dims=(…)",
        )
    return _DEFAULT_NAVIGATION[-n_navigation:] + signal


def _told_signal(cube: xr.DataArray) -> tuple[str, ...]:
    told = signal_dims(cube)
    return told or tuple(str(dim) for dim in cube.dims if dim in _SIGNAL_NAMES)


def _with_coords(cube: xr.DataArray, coords: Mapping[str, Any], signals: Iterable[str]) -> xr.DataArray:
    """Give every dim a coordinate that carries its role; the array's own are kept."""
    given: dict[str, Any] = {}
    for dim in map(str, cube.dims):
        role = {ROLE: "signal" if dim in signals else "navigation"}
        value = coords.get(dim, cube.coords[dim] if dim in cube.coords else np.arange(cube.sizes[dim]))
        if isinstance(value, xr.DataArray):
            values, attrs = value.values, value.attrs
        elif isinstance(value, tuple):
            values, attrs = np.asarray(value[0]), value[1]
        else:
            values, attrs = np.asarray(value), {}
        if values.shape != (cube.sizes[dim],):
            raise CubeError(
                f"coordinate {dim!r} of shape {values.shape}", f"shape ({cube.sizes[dim]},)", "give one per position"
            )
        given[dim] = (dim, values, {**attrs, **role})
    return cube.assign_coords(given)
