"""What the peaks of a spectrum may be: lines near them, of elements whose other lines are there too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import ROLE, navigation_dims
from refold.engine import Moments, sweep
from refold.errors import ParameterError
from refold.features.xrays.lines import ALPHAS, Line, element_of, lines_of, single_lines
from refold.features.xrays.peaks import Filtered, Found
from refold.features.xrays.table import EV, Spectrometer, energy_axis, listed_elements

_PRESENT, _EXPECTED = 3.0, 6.0  # deviations by which a line is seen, and from which on its absence tells
_MOST = 5
_LIKELY = 0.3  # of a score: less is no suggestion
# No line of what is stable and solid is missing here; gases that are not met in a vacuum, and what decays, are.
_ELEMENTS = (
    "Be B C N O F Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb Mo Ru Rh Pd Ag "
    "Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th U"
)

# Of two that fit as well the one that is met more often comes first.
_RARE = (
    "Be Ar Sc Ga Ge As Se Br Rb Y Nb Ru Rh Cd In Sb Te I Xe Cs La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Re Os Ir "
    "Hg Tl Bi Th U"
)
_LESS = 0.7


@dataclass(frozen=True)
class Candidate:
    """A line that may be a peak.

    Parameters
    ----------
    line : str
        As ``Fe_Ka``.
    energy : float
        Of the line, in the unit of the axis.
    score : float
        From 0 to 1: how near it is, times how much of what else this element would show is there.
    """

    line: str
    energy: float
    score: float


@dataclass(frozen=True)
class Peak:
    """A peak of a spectrum, and what it may be.

    Parameters
    ----------
    energy : float
        In the unit of the axis.
    counts : float
        Net counts within the full width at half maximum.
    significance : float
        Net counts over their standard deviation.
    known : str or None
        The line of the scan's own elements that it is, if one is there.
    candidates : tuple of Candidate
        The most likely lines of other elements, best first; none for a peak that is known.
    """

    energy: float
    counts: float
    significance: float
    known: str | None
    candidates: tuple[Candidate, ...]


def suggest_lines(
    spectrum: xr.DataArray,
    known: Sequence[str] | None = None,
    *,
    least: float = 6.0,
    above: float = 0.15,
    tolerance: float = 0.35,
    resolution: float | None = None,
    **options: Any,
) -> list[Peak]:
    """Find the peaks of X-ray spectra, and lines that would explain those that no listed element does.

    Parameters
    ----------
    spectrum : xarray.DataArray
        One spectrum of counts, or a cube, whose sum spectrum is taken in one sweep.
    known : sequence of str, optional
        Elements (or lines) that are known to be there; by default those that the scan lists.
    least : float
        Standard deviations by which a peak must stand out of what is beside it.
    above : float
        keV below which no peak is looked for: there are the zero peak and the noise.
    tolerance : float
        Full widths by which a line may be away from its peak; two channels at least. More for an axis that is off.
    resolution : float, optional
        Full width of Mn Kα in eV; by default what the scan says, or 130.
    **options
        As for `refold.sweep`.

    Returns
    -------
    list of Peak
        In the order of their energies.

    Raises
    ------
    ParameterError
        If the axis has no unit of energy, or there are several spectra that are no cube.
    MissingDependencyError
        If xraydb is not installed.

    Notes
    -----
    A line is suggested if it is near the peak, the beam can excite it, and the element's
    other lines that would be as strong as to be seen (of the same shell; and of a lower shell that the beam excites
    well) are seen. Intensities of different shells are not compared: they depend on sample, beam and detector.

    Examples
    --------
    >>> import refold
    >>> energy = np.arange(0, 10, 0.01)
    >>> shape = np.exp(-(((energy - 6.4) / 0.06) ** 2) / 2) + 0.13 * np.exp(-(((energy - 7.06) / 0.063) ** 2) / 2)
    >>> sum_spectrum = xr.DataArray(50 + 1e4 * shape, {"energy": ("energy", energy, {"units": "keV"})}, "energy")
    >>> [peak.candidates[0].line for peak in suggest_lines(sum_spectrum)]  # doctest: +SKIP
    ['Fe_Ka', 'Fe_Kb']
    """
    spectrometer = Spectrometer.of(spectrum, resolution)
    filtered = Filtered.of(sum_spectrum(spectrum, **options).values, spectrometer)
    elements = known_elements(spectrometer.attrs, known)
    scale = EV[spectrometer.units]
    peaks = []
    for found in filtered.peaks(least, 1e3 * above, spectrometer):
        reach = _reach(found, spectrometer, tolerance)
        explained = _explained(found, reach, filtered, spectrometer, elements)
        peaks.append(Peak(found.energy / scale, found.counts, found.significance, *explained))
    return peaks


def sum_spectrum(spectrum: xr.DataArray, **options: Any) -> xr.DataArray:
    """One spectrum: as it is, or the sum over the pixels of a cube, NaN left out.

    Parameters
    ----------
    spectrum : xarray.DataArray
        A spectrum or a cube of such.
    **options
        As for `refold.sweep`, which a cube takes one of.

    Returns
    -------
    xarray.DataArray
        On the energy axis, float64, with the cube's attributes.
    """
    axis = energy_axis(spectrum)
    dim = str(axis.name)
    if spectrum.dims == (dim,):
        return spectrum.astype(np.float64)
    if not navigation_dims(spectrum) or axis.attrs.get(ROLE) != "signal":
        remedy = "choose one, or make it a cube with refold.as_cube"
        raise ParameterError(f"spectra on {spectrum.dims}", "one spectrum, or a cube", remedy)
    (moments,) = sweep(spectrum, Moments(n_features=spectrum.sizes[dim]), **{"label": "sum spectrum", **options})
    return xr.DataArray(moments.total, {dim: axis}, dim, "sum spectrum", spectrum.attrs)


def known_elements(attrs: Any, known: Sequence[str] | None) -> tuple[str, ...]:
    """Elements that are given, or that the scan lists."""
    names = listed_elements(attrs) if known is None else known
    return tuple(dict.fromkeys(element_of(name)[0] for name in names))


def _explained(
    found: Found, reach: float, filtered: Filtered, spectrometer: Spectrometer, elements: Sequence[str]
) -> tuple[str | None, tuple[Candidate, ...]]:
    """The line of known elements that is nearest, or else candidates among the others."""
    for known in (lines_of, single_lines):  # what a detector sees, or else what is in it
        own = [line for element in elements for line in known(element) if abs(line.energy - found.energy) <= reach]
        own = [line for line in own if _excited(line, spectrometer)]
        if own:
            return max(own, key=lambda line: _fit(line, found, reach)).name, ()
    near = [line for line in _all_lines() if abs(line.energy - found.energy) <= reach and _excited(line, spectrometer)]
    near = [line for line in near if not _beside_its_alpha(line, spectrometer)]
    scale = EV[spectrometer.units]
    scored = [
        Candidate(line.name, line.energy / scale, _score(line, found, reach, filtered, spectrometer)) for line in near
    ]
    likely = sorted((one for one in scored if one.score >= _LIKELY), key=lambda one: (-one.score, one.line))
    return None, tuple(likely[:_MOST])


def _fit(line: Line, found: Found, reach: float) -> float:
    """How well a line that is surely there explains a peak: strong ones, alphas first, that are near."""
    return line.share * (1 + (line.family in ALPHAS)) / (0.2 + abs(line.energy - found.energy) / reach)


def _reach(found: Found, spectrometer: Spectrometer, tolerance: float) -> float:
    """How far a line may be from its peak."""
    energies = spectrometer.energies
    step = float(np.median(np.abs(np.diff(energies)))) if energies is not None and energies.size > 1 else 0.0
    return max(tolerance * spectrometer.width(found.energy), 2 * step)


def _excited(line: Line, spectrometer: Spectrometer) -> bool:
    return spectrometer.beam is None or line.edge < spectrometer.beam


@lru_cache(maxsize=1)
def _all_lines() -> tuple[Line, ...]:
    return tuple(line for element in _ELEMENTS.split() for line in lines_of(element))


def _beside_its_alpha(line: Line, spectrometer: Spectrometer) -> bool:
    """Whether a detector would show a line as a shoulder of the stronger one of its family, and not as a peak."""
    stronger = [other for other in lines_of(line.element) if other.family == f"{line.family[0]}a"]
    width = spectrometer.width(line.energy)
    return line.family not in ALPHAS and any(abs(other.energy - line.energy) <= width for other in stronger)


def _score(line: Line, found: Found, reach: float, filtered: Filtered, spectrometer: Spectrometer) -> float:
    near = float(np.exp(-0.5 * (2 * (line.energy - found.energy) / reach) ** 2))
    expected = seen = 0.0
    for sibling, counts in _siblings(line, found, spectrometer):
        net, deviation = filtered.at(sibling.energy)
        if counts is not None and counts < _EXPECTED * deviation:
            continue  # too weak to be seen if it is there
        weight = 1.0 if counts is None else min(1.0, counts / found.counts)
        expected += weight
        seen += weight * (net >= _PRESENT * deviation)
    # The peak itself is evidence too. What is no alpha or beta is rarely the first of an element to be noticed.
    usual = (1.0 if line.family[1] in "ab" else 0.5) * (_LESS if line.element in _RARE.split() else 1.0)
    return usual * near * (line.share + seen) / (line.share + expected)


def _siblings(line: Line, found: Found, spectrometer: Spectrometer) -> list[tuple[Line, float | None]]:
    """Other lines that would be seen apart from this one, with the counts to be expected, where that can be said."""
    siblings: list[tuple[Line, float | None]] = []
    for other in lines_of(line.element):
        apart = abs(other.energy - line.energy) > spectrometer.width(line.energy)
        if other.name == line.name or not apart or not _visible(other, spectrometer):
            continue
        if other.level == line.level:
            siblings.append((other, found.counts * other.share / line.share))
        elif other.family.endswith("a") and other.family[0] < line.family[0]:
            siblings.append((other, None))  # of a lower shell, which the beam fills as well
        elif other.family.endswith("a") and other.family[0] == line.family[0]:
            siblings.append((other, None))  # of the shell of the family that is filled most
    return siblings


def _visible(line: Line, spectrometer: Spectrometer) -> bool:
    """Whether a line would be seen: on the axis, and well excited."""
    beam = spectrometer.beam or np.inf
    return spectrometer.sees(line.energy) and line.edge * 1.5 < beam and line.energy > 150
