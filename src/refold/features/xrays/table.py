"""Which X-ray lines are meant: the file's own or those given, with their windows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import ROLE, signal_dims
from refold.errors import ParameterError, RefoldWarning
from refold.features.xrays.lines import ALPHAS, USUAL_RESOLUTION, Line, element_of, line_of, lines_of, resolution_at

RESOLUTION, BEAM = "eds_energy_resolution_MnKa", "beam_energy"
EV = {"eV": 1.0, "keV": 1e3, "meV": 1e-3, "MeV": 1e6}
_OVERVOLTAGE = 2.0  # of the beam over a line, from which on it is well excited


@dataclass(frozen=True)
class Spectrometer:
    """What a scan says about its spectra, in eV.

    Parameters
    ----------
    attrs : mapping
        Of the cube.
    energies : numpy.ndarray or None
        Middles of the channels; None where only metadata are known.
    units : str
        Of the axis.
    resolution : float
        Full width of Mn Kα.
    """

    attrs: Mapping[str, Any]
    energies: npt.NDArray[np.float64] | None
    units: str
    resolution: float

    @classmethod
    def of(cls, source: xr.DataArray | Mapping[str, Any], resolution: float | None = None) -> Spectrometer:
        """Read a cube, a spectrum, or metadata such as its attributes."""
        if isinstance(source, xr.DataArray):
            axis = energy_axis(source)
            units, energies = str(axis.attrs["units"]), axis.values.astype(np.float64)
            attrs: Mapping[str, Any] = {str(key): value for key, value in source.attrs.items()}
            energies = energies * EV[units]
        elif isinstance(source, Mapping):
            attrs, units, energies = source, "keV", None
        else:
            wanted = "a cube, a spectrum, or metadata"
            raise ParameterError(f"a {type(source).__name__}", wanted, "give what refold.open returned")
        width = resolution if resolution is not None else attrs.get(RESOLUTION) or USUAL_RESOLUTION
        if not 0 < float(width) < np.inf:
            raise ParameterError(f"resolution={width!r}", "eV at Mn Kα above 0", "leave it out for the detector's")
        return cls(attrs, energies, units, float(width))

    @property
    def beam(self) -> float | None:
        """Energy of the beam in eV, if the scan says it."""
        told = self.attrs.get(BEAM)
        return float(told) * 1e3 if told else None

    def sees(self, energy: float) -> bool:
        """Whether an energy lies on the axis, and below that of the beam."""
        if self.beam is not None and energy >= self.beam:
            return False
        return energy > 0 if self.energies is None else bool(self.energies.min() <= energy <= self.energies.max())

    def width(self, energy: float) -> float:
        """Full width of a line at half its maximum."""
        return resolution_at(energy, self.resolution)

    def best_line(self, element: str) -> Line:
        """The alpha line to measure an element by: the highest that the beam excites well, and that is on the axis."""
        alphas = [line for line in lines_of(element) if line.family in ALPHAS and self.sees(line.energy)]
        if not alphas:
            remedy = "name a line that is on the axis, or leave the element out"
            raise ParameterError(f"no line of {element} on the axis and below the beam", "an element seen", remedy)
        beam = self.beam or np.inf
        return next((line for line in alphas if line.energy * _OVERVOLTAGE <= beam), alphas[-1])


def energy_axis(cube: xr.DataArray) -> xr.DataArray:
    """The one signal coordinate of X-ray spectra, in units of energy.

    Raises
    ------
    ParameterError
        If there is none.
    """
    dims = signal_dims(cube) or tuple(str(dim) for dim in cube.dims[-1:])
    if len(dims) != 1 or dims[0] not in cube.coords or cube[dims[0]].dtype.kind not in "iuf":
        raise ParameterError(f"signal dims {dims}", "one dim of energies", "use it on a cube of spectra")
    axis = cube[dims[0]]
    units = axis.attrs.get("units")
    if units not in EV:
        remedy = f"say the units: cube.{dims[0]}.attrs['units'] = 'keV'"
        raise ParameterError(f"X-ray lines on an axis in {units!r}", f"one of {', '.join(EV)}", remedy)
    return axis


def choose_lines(spectrometer: Spectrometer, lines: Sequence[str] | None) -> tuple[Line, ...]:
    """Lines that are given, or those that the scan lists; each once, in their order."""
    if isinstance(lines, str) or not isinstance(lines, Iterable | None):
        raise ParameterError(f"lines={lines!r}", "a list of lines and elements", f"try lines=[{lines!r}]")
    listed = lines is None
    names = _listed(spectrometer.attrs) if lines is None else list(lines)
    if not names:
        wanted = "lines, or a scan that lists its elements"
        raise ParameterError("no X-ray lines", wanted, "name them, as in lines=['Fe_Ka', 'O']; see suggest_lines")
    chosen: dict[str, Line] = {}
    for name in names:
        try:
            line = _seen(spectrometer, name)
        except ParameterError as error:
            if not listed:
                raise
            # files list what was looked for: hydrogen, which has no line, and lines that are weak or beyond the axis
            warnings.warn(f"left out {name}, which the file lists: {error.found}", RefoldWarning, stacklevel=3)
        else:
            chosen[line.name] = line
    if not chosen:
        raise ParameterError(f"{names}, none of which is on the axis", "lines that are", "name others")
    return tuple(chosen.values())


def _seen(spectrometer: Spectrometer, name: str) -> Line:
    """The line that a name means, if it is on the axis."""
    element, is_line = element_of(name)
    line = line_of(name) if is_line else spectrometer.best_line(element)
    if not spectrometer.sees(line.energy):
        found = f"{name} at {line.energy / 1e3:.3g} keV, beyond the axis or the beam"
        raise ParameterError(found, "lines on the axis and below the beam's energy", "leave it out")
    return line


def listed_elements(attrs: Mapping[str, Any]) -> list[str]:
    """All that a scan lists, elements and lines."""
    return [name for key in ("elements", "xray_lines") for name in _listed(attrs, (key,))]


def _listed(attrs: Mapping[str, Any], keys: Sequence[str] = ("xray_lines", "elements")) -> list[str]:
    for key in keys:
        told = attrs.get(key)
        if told is not None and len(told):
            return [told] if isinstance(told, str) else [str(name) for name in told]
    return []


def xray_lines(
    scan: xr.DataArray | Mapping[str, Any],
    lines: Sequence[str] | None = None,
    *,
    width: float = 1.0,
    resolution: float | None = None,
) -> xr.Dataset:
    """Look X-ray lines up: their energies, and the window of each on the detector.

    Parameters
    ----------
    scan : xarray.DataArray or mapping
        A cube of spectra, one spectrum, or only the metadata, as `refold.open` keeps them in attributes: ``elements``,
        ``xray_lines``, ``beam_energy`` (keV), ``eds_energy_resolution_MnKa`` (eV).
    lines : sequence of str, optional
        Lines, ``"Fe_Ka"``, and elements, ``"Fe"``: of these the alpha line of the highest energy that is on the axis
        and at most half of the beam's. By default those that the file lists.
    width : float
        Of the window, in full widths at half maximum.
    resolution : float, optional
        Full width of Mn Kα in eV; by default what the scan says, or 130.

    Returns
    -------
    xarray.Dataset
        By ``line``: ``energy``, ``fwhm`` and the window from ``low`` to ``high``, in the unit of the axis (keV for
        metadata); ``element`` along them.

    Raises
    ------
    ParameterError
        If nothing is listed, a line is unknown or beyond the axis or the beam, or the axis has no unit of energy.
    MissingDependencyError
        If xraydb is not installed.

    Notes
    -----
    What a detector does not tell apart is one line: Kα is Kα1 and Kα2, at their weighted mean. Energies are those of
    XrayDB (Elam, Ravel and Sieber 2002, Radiat. Phys. Chem. 63, 121), widths those of Fiori and Newbury (1978),
    Scanning Electron Microscopy 1, 401.

    Examples
    --------
    >>> found = xray_lines({"elements": ["Fe", "O"], "beam_energy": 20.0})  # doctest: +SKIP
    >>> found.energy.sel(line="Fe_Ka").round(2).item()  # doctest: +SKIP
    6.4
    """
    if not 0 < width < np.inf:
        raise ParameterError(f"width={width!r}", "a number of full widths above 0", "1 is the full width itself")
    spectrometer = Spectrometer.of(scan, resolution)
    return as_table(spectrometer, choose_lines(spectrometer, lines), width)


def as_table(spectrometer: Spectrometer, lines: Sequence[Line], width: float) -> xr.Dataset:
    """Lines with their windows, in the unit of the axis."""
    energy = np.array([line.energy for line in lines])
    fwhm = np.array([spectrometer.width(line.energy) for line in lines])
    columns = {"energy": energy, "fwhm": fwhm, "low": energy - width * fwhm / 2, "high": energy + width * fwhm / 2}
    scale, attrs = EV[spectrometer.units], {"units": spectrometer.units}
    elements = ("line", np.array([line.element for line in lines], dtype=object))
    coords = {"line": line_coords(lines, spectrometer.units)["line"], "element": elements}
    return xr.Dataset({name: ("line", values / scale, attrs) for name, values in columns.items()}, coords)


def line_coords(lines: Sequence[Line], units: str) -> dict[str, Any]:
    """Coordinates of a dim ``line``: names, with the role of a signal, and energies in an axis' unit.

    The names are Python's own texts, as which a Zarr store keeps them; NumPy's of fixed length it can not.
    """
    names = np.array([line.name for line in lines], dtype=object)
    energies = np.array([line.energy for line in lines]) / EV[units]
    return {"line": ("line", names, {ROLE: "signal"}), "line_energy": ("line", energies, {"units": units})}
