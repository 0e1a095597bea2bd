"""Signals of HyperSpy become cubes, and cubes such signals, lazy as they were."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import ROLE, check_cube
from refold.errors import CubeError, MissingDependencyError, ParameterError
from refold.source.axes import Axis, FileAxis, mend_axes
from refold.source.metadata import keep_metadata, to_tree
from refold.source.trees import NOTE, note_of, unpack
from refold.source.units import normalise_units

_NEAR = 1e-9  # of a step: positions this near to even ones are even


def from_hyperspy(signal: Any) -> xr.DataArray:
    """Make a cube of a signal of HyperSpy.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        Lazy or in memory, of any class, with at least one navigation and one signal axis.

    Returns
    -------
    xarray.DataArray
        On the signal's own array: lazy where it is lazy, without a copy where it is in memory. Dims, units and
        attributes are those that `refold.open` gives to the file of such a signal; HyperSpy's x, y are ``y, x``, the
        order of the array. What the attributes cannot say (all metadata, how axes were written) is in one of them,
        ``hyperspy``, for `refold.to_hyperspy`.

    Raises
    ------
    CubeError
        If the signal is ragged, has no navigation or no signal axis, or holds numbers that are not real.
    ParameterError
        If it is no signal of HyperSpy.

    Examples
    --------
    >>> import hyperspy.api as hs, numpy as np
    >>> signal = hs.signals.Signal1D(np.ones((3, 4, 5)))
    >>> from_hyperspy(signal).dims
    ('y', 'x', 'channel')
    """
    manager = getattr(signal, "axes_manager", None)
    if manager is None:
        raise ParameterError(f"a {type(signal).__name__}", "a signal of HyperSpy", "give what hs.load returned")
    _check(manager)
    tree, original = signal.metadata.as_dictionary(), signal.original_metadata.as_dictionary()
    kind = str(tree.get("Signal", {}).get("signal_type") or "")
    told = [_file_axis(axis) for axis in manager._axes]  # in the order of the array, unlike its navigation_axes
    # Here the signal says itself what it navigates, where a file may only seem to.
    axes = [
        replace(axis, role="navigation" if said.navigate else "signal")
        for axis, said in zip(mend_axes(told, kind), told, strict=True)
    ]
    described = {axis.name: own.get_axis_dictionary() for axis, own in zip(axes, manager._axes, strict=True)}
    coords = {axis.name: xr.IndexVariable(axis.name, axis.values, axis.attrs) for axis in axes}
    attrs = keep_metadata(tree) | note_of(tree, original, described)
    name = str(tree.get("General", {}).get("title") or "signal")
    return check_cube(xr.DataArray(signal.data, coords, [axis.name for axis in axes], name, attrs))


def _check(manager: Any) -> None:
    if manager.ragged:
        raise CubeError(
            "a ragged signal, whose positions hold different numbers of values",
            "one shape of signal at all positions",
            "make it regular first, for instance a histogram at each position",
        )
    for axes, what in ((manager.navigation_axes, "navigation"), (manager.signal_axes, "signal")):
        if not axes:
            raise CubeError(
                f"a signal with no {what} axis, {manager.shape}",
                "at least one navigation and one signal axis",
                "stack signals with hs.stack, or say anew which axes are which with its transpose method",
            )


def _file_axis(axis: Any) -> FileAxis:
    """An axis of HyperSpy in the words of a file."""
    said = axis.get_axis_dictionary()
    uniform = "scale" in said
    return FileAxis(
        size=axis.size,
        name=said.get("name"),
        scale=float(said["scale"]) if uniform else None,
        offset=float(said["offset"]) if uniform else None,
        units=said.get("units"),
        navigate=bool(axis.navigate),
        values=None if uniform else np.asarray(axis.axis),
    )


def to_signal(cube: xr.DataArray) -> Any:
    """Make a signal of HyperSpy of a cube; see `refold.to_hyperspy`, which also takes runs.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory.

    Returns
    -------
    hyperspy.api.signals.BaseSignal
        On the cube's own array, of the class that the cube's ``signal_type`` and number of signal dims ask for.

    Raises
    ------
    CubeError
        If it is no cube.
    MissingDependencyError
        If HyperSpy is not installed.
    """
    cube = check_cube(cube)
    hs = hyperspy_api()
    note = unpack(cube.attrs.get(NOTE, "{}"))
    axes = [_axis(cube, str(dim), note.get("axes", {}).get(str(dim), {})) for dim in cube.dims]
    plain = {key: value for key, value in cube.attrs.items() if key != NOTE}
    metadata = note.get("metadata") or to_tree({"title": cube.name or "", **plain})
    original = note.get("original_metadata", plain)
    with _unknown_types_allowed():
        signal = hs.signals.BaseSignal(cube.data, axes=axes, metadata=metadata, original_metadata=original)
        if cube.chunks is not None:
            return signal.as_lazy()
        signal.set_signal_type(str(metadata.get("Signal", {}).get("signal_type") or ""))
    return signal


def hyperspy_api() -> Any:
    """HyperSpy, imported when it is needed."""
    try:
        import hyperspy.api as hs
    except ImportError as error:
        raise MissingDependencyError(f"no HyperSpy ({error})", "HyperSpy 2", "pip install hyperspy exspy") from error
    return hs


@contextmanager
def _unknown_types_allowed() -> Iterator[None]:
    """Keep HyperSpy from warning that no package is installed for a type: a plain signal does then."""
    logger = logging.getLogger("hyperspy.io")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _axis(cube: xr.DataArray, dim: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a dim to HyperSpy: in the words that it was described in, if its positions are the same still."""
    coordinate = cube[dim]
    role = coordinate.attrs[ROLE]
    if said:
        from hyperspy.axes import create_axis

        was = create_axis(**{key: value for key, value in said.items() if key != "index_in_array"})
        (mended,) = mend_axes([_file_axis(was)])
        if _same(mended, coordinate):
            return {**said, "size": coordinate.size, "navigate": role == "navigation"}
    units = coordinate.attrs.get("units")
    return {
        "name": said.get("name") or coordinate.attrs.get("long_name") or dim,
        "units": said["units"] if said and normalise_units(said.get("units")) == units else units,
        "navigate": role == "navigation",
        "is_binned": bool(said.get("is_binned", False)),
        "size": coordinate.size,
        **_positions(coordinate.values),
    }


def _same(mended: Axis, coordinate: xr.DataArray) -> bool:
    return mended.units == coordinate.attrs.get("units") and np.array_equal(mended.values, coordinate.values)


def _positions(values: NDArray[Any]) -> dict[str, Any]:
    """Scale and offset of even positions, else the positions; counted from 0 where HyperSpy cannot have them."""
    index = np.arange(values.size)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        return {"scale": 1.0, "offset": 0.0}
    if values.size == 1:
        return {"scale": 1.0, "offset": float(values[0])}
    positions = values.astype(np.float64)
    for scale in (positions[1] - positions[0], (positions[-1] - positions[0]) / (values.size - 1)):
        if scale and np.abs(positions[0] + scale * index - positions).max() <= _NEAR * abs(scale):
            return {"scale": float(scale), "offset": float(positions[0])}
    steps = np.diff(positions)
    ordered = (steps > 0).all() or (steps < 0).all()
    return {"axis": positions} if ordered else {"scale": 1.0, "offset": 0.0}
