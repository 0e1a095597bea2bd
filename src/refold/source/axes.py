"""Calibration mended: what a file says of its axes becomes dims with a role, a coordinate and a unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refold.source.units import METRES, is_count, kind_of, normalise_units

Role = Literal["navigation", "signal"]

_CANONICAL = ("z", "y", "x")
_NAVIGATION_NAMES = {
    "height": "y", "width": "x", "depth": "z", "row": "y", "rows": "y", "column": "x", "columns": "x", "col": "x",
    "scan_y": "y", "scan_x": "x", "ry": "y", "rx": "x", "y_axis": "y", "x_axis": "x",
}  # fmt: skip
_DETECTOR_NAMES = {"dy", "dx", "ky", "kx", "qy", "qx", "y", "x", "height", "width"}
_SPECTRAL = re.compile(r"energy|wavelength|wavenumber|raman|frequency|band|sample|channel|loss")
_UNNAMED = {"", "undefined", "none"}
_SIGNAL_NAMES = {"ky", "kx", "qy", "qx", "dy", "dx", "kz", "feature", "component", "latent"}


@dataclass(frozen=True, slots=True)
class FileAxis:
    """An axis as a file describes it. None means that the file does not say."""

    size: int
    name: str | None = None
    scale: float | None = None
    offset: float | None = None
    units: object = None
    navigate: bool | None = None
    values: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis mended: ready to become a dim with its coordinate.

    `calibration` says, where there is none, what the file said instead.
    """

    name: str
    role: Role
    values: NDArray[Any]
    units: str | None = None
    calibration: str | None = None
    long_name: str | None = None

    @property
    def size(self) -> int:
        """Number of positions."""
        return int(self.values.shape[0])

    @property
    def range(self) -> tuple[float, float] | None:
        """First and last position, where they have a unit."""
        if self.units is None or not self.size or self.values.dtype.kind not in "iuf":
            return None
        return float(self.values[0]), float(self.values[-1])

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of the coordinate."""
        said = {"role": self.role, "units": self.units, "calibration": self.calibration, "long_name": self.long_name}
        return {key: value for key, value in said.items() if value is not None}


def mend_axes(axes: Sequence[FileAxis], signal_type: str = "", record_by: str = "") -> tuple[Axis, ...]:
    """Give every axis of a file its role, name, positions and unit.

    Parameters
    ----------
    axes : sequence of FileAxis
        In the order of the array.
    signal_type : str
        What the file says was measured, such as ``"electron_diffraction"`` or ``"EDS_TEM"``.
    record_by : str
        ``"spectrum"`` or ``"image"``, where an old file says that instead of marking its axes.

    Returns
    -------
    tuple of Axis
        In the order of the array; the signal axes need not come last.

    Examples
    --------
    >>> axes = mend_axes([FileAxis(2048, "Energy loss", 1.0, 300.0, "eV", navigate=True), FileAxis(2), FileAxis(3)])
    >>> [(axis.name, axis.role) for axis in axes]
    [('energy', 'signal'), ('y', 'navigation'), ('x', 'navigation')]
    """
    units = [normalise_units(axis.units) for axis in axes]
    roles = _roles(axes, units, record_by)
    names = _names(axes, units, roles, signal_type)
    return tuple(
        _calibrated(axis, name, role, unit) for axis, name, role, unit in zip(axes, names, roles, units, strict=True)
    )


def plain_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """Name the axes of an array that says nothing of itself: a scan of patterns from four dims on, else of spectra."""
    n_signal = 2 if len(shape) >= 4 else 1
    return mend_axes([FileAxis(int(size), navigate=at < len(shape) - n_signal) for at, size in enumerate(shape)])


def _is_spectral(axis: FileAxis, unit: str | None) -> bool:
    return kind_of(unit) in {"energy", "wavenumber"} or bool(_SPECTRAL.search(clean_name(axis.name)))


def _roles(axes: Sequence[FileAxis], units: Sequence[str | None], record_by: str) -> list[Role]:
    spectral = [_is_spectral(axis, unit) for axis, unit in zip(axes, units, strict=True)]
    told = [axis.navigate for axis in axes]
    if any(flag is None for flag in told):
        return _guessed_roles(units, spectral, record_by)
    if sum(spectral) == 1 and len(axes) > 1 and told[spectral.index(True)]:
        # Energy-first files (DM3, DM4, image stacks over energy) navigate in energy: the probe did not.
        return ["signal" if flag else "navigation" for flag in spectral]
    if not any(told) and len(axes) == 2 and not any(kind_of(unit) in {"reciprocal", "angle"} for unit in units):
        # An image in real space: its pixels are probe positions, with one value each.
        return ["signal" if flag else "navigation" for flag in spectral]
    return ["navigation" if flag else "signal" for flag in told]


def _guessed_roles(units: Sequence[str | None], spectral: Sequence[bool], record_by: str) -> list[Role]:
    measured = [flag or kind_of(unit) == "reciprocal" for flag, unit in zip(spectral, units, strict=True)]
    n_dims = len(units)
    if not any(measured):
        n_signal = {"spectrum": 1, "image": 2}.get(record_by, 2 if n_dims >= 4 else 0 if n_dims == 2 else 1)
        if n_signal == n_dims == 2:
            n_signal = 0
        measured = [at >= n_dims - n_signal for at in range(n_dims)]
    return ["signal" if flag else "navigation" for flag in measured]


def clean_name(name: object) -> str:
    """Make an identifier of an axis' name; empty where there is none.

    Examples
    --------
    >>> clean_name("Raman Shift"), clean_name("<undefined>"), clean_name("1")
    ('raman_shift', '', '')
    """
    if not isinstance(name, str):
        return ""
    plain = re.sub(r"\W+", "_", name.strip().lower(), flags=re.ASCII).strip("_")
    return "" if plain in _UNNAMED or not plain[0].isalpha() else plain


def _names(axes: Sequence[FileAxis], units: Sequence[str | None], roles: Sequence[Role], signal_type: str) -> list[str]:
    signal = [at for at, role in enumerate(roles) if role == "signal"]
    navigation = [at for at, role in enumerate(roles) if role == "navigation"]
    given = [clean_name(axis.name) for axis in axes]
    names = dict(
        zip(signal, _signal_names([given[at] for at in signal], [units[at] for at in signal], signal_type), strict=True)
    )
    taken = set(names.values())
    if taken & {"y", "x"} and len(navigation) == 1 and given[navigation[0]] in {"", "x", "y"}:
        names[navigation[0]] = "frame"  # a stack of images
    else:
        proposed = [_NAVIGATION_NAMES.get(given[at], given[at]) for at in navigation]
        names |= dict(zip(navigation, _navigation_names(proposed, taken), strict=True))
    return [names[at] for at in range(len(axes))]


def _navigation_names(given: Sequence[str], taken: set[str]) -> list[str]:
    sensible = all(given) and len(set(given)) == len(given) and not taken & set(given)
    if sensible:
        return list(given)
    canonical = [f"n{at}" for at in range(len(given) - len(_CANONICAL))] + list(
        _CANONICAL[-len(given) :] if given else ()
    )
    return [f"scan_{name}" if name in taken else name for name in canonical]


def _signal_names(given: Sequence[str], units: Sequence[str | None], signal_type: str) -> list[str]:
    if len(given) == 1:
        return [_spectral_name(given[0], units[0], signal_type)]
    if len(given) == 2 and (set(given) <= _DETECTOR_NAMES or not all(given) or given[0] == given[1]):
        in_real_space = {kind_of(unit) for unit in units} == {"length"} and "diffraction" not in signal_type.lower()
        return list(given) if in_real_space and all(given) and given[0] != given[1] else ["ky", "kx"]
    if all(given) and len(set(given)) == len(given):
        return list(given)
    return [f"signal_{at}" for at in range(len(given))]


def _spectral_name(given: str, unit: str | None, signal_type: str) -> str:
    kind = kind_of(unit)
    if kind == "energy" or "energy" in given or given == "eloss":
        return "energy"
    if "wavelength" in given or (kind == "length" and signal_type.upper().startswith(("CL", "LUM", "PL"))):
        return "wavelength"
    if given in {"sample", "band", "bands"}:
        return "band"
    if given and given not in _NAVIGATION_NAMES and given not in {"x", "y", "z"}:
        return given
    return "wavenumber" if kind == "wavenumber" else "channel"


def _calibrated(axis: FileAxis, name: str, role: Role, unit: str | None) -> Axis:
    long_name = axis.name if isinstance(axis.name, str) and clean_name(axis.name) not in {name, ""} else None
    if axis.values is not None:
        values, said = _listed_positions(axis)
    else:
        values, said = _uniform_positions(axis, unit)
    known = said is None and unit is not None
    return _readable(Axis(name, role, values, unit if known else None, said, long_name))


def _listed_positions(axis: FileAxis) -> tuple[NDArray[Any], str | None]:
    values = np.asarray(axis.values)
    numbers = values.shape == (axis.size,) and values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
    if not numbers:
        return np.arange(axis.size), "none: the file's positions are not all numbers"
    return values.astype(values.dtype.newbyteorder("=")), None


def _uniform_positions(axis: FileAxis, unit: str | None) -> tuple[NDArray[Any], str | None]:
    index = np.arange(axis.size)
    if axis.scale is None:
        return index, None
    scale, offset = axis.scale, axis.offset if axis.offset is not None else 0.0
    if scale == 0 or not math.isfinite(scale) or not math.isfinite(offset):
        return index, f"none: the file says a scale of {scale:g} and an offset of {offset:g}"
    values = index if (scale, offset) == (1.0, 0.0) and (unit is None or is_count(unit)) else offset + scale * index
    if unit is not None and is_count(unit):
        return values, f"none: the file counts in {unit}"
    if unit is None:
        return values, "none: the file gives no unit" if values is index else "unit unknown: the file gives none"
    return values, None


def _readable(axis: Axis) -> Axis:
    """Write tiny lengths in nanometres or micrometres: 3e-4 mm is a wavelength of 300 nm."""
    if axis.units not in {"m", "cm", "mm"} or axis.values.dtype.kind != "f":
        return axis
    extent = float(np.abs(axis.values).max() if axis.name == "wavelength" else np.ptp(axis.values)) * METRES[axis.units]
    if not 0 < extent < 1e-3:
        return axis
    units = "nm" if axis.name == "wavelength" or extent < 1e-6 else "µm"
    return replace(axis, values=axis.values * (METRES[axis.units] / METRES[units]), units=units)


def named_axes(
    dims: Sequence[str], shape: Sequence[int], positions: Mapping[str, tuple[NDArray[Any], Mapping[str, Any]]]
) -> tuple[Axis, ...]:
    """Give roles to dims that are named already, as in an xarray store; names and positions stay as they are.

    Parameters
    ----------
    dims, shape : sequence
        Of the array.
    positions : mapping of str to (values, attrs)
        Coordinates of the dims that have one.
    """
    attrs = [positions[dim][1] if dim in positions else {} for dim in dims]
    units = [normalise_units(said.get("units")) for said in attrs]
    told: list[Any] = [said.get("role") for said in attrs]
    if not all(role in {"navigation", "signal"} for role in told):
        spectral = [
            dim in _SIGNAL_NAMES or _is_spectral(FileAxis(size, dim), unit)
            for dim, size, unit in zip(dims, shape, units, strict=True)
        ]
        told = _guessed_roles(units, spectral, "")
    axes = []
    for dim, size, role, unit, said in zip(dims, shape, told, units, attrs, strict=True):
        values = positions[dim][0] if dim in positions else np.arange(size)
        axes.append(Axis(dim, role, values, unit, _said(said, "calibration"), _said(said, "long_name")))
    return tuple(axes)


def _said(attrs: Mapping[str, Any], key: str) -> str | None:
    value = attrs.get(key)
    return value if isinstance(value, str) and value else None
